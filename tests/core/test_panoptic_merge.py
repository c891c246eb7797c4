from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.core.panoptic_merge import merge

CLASSES = Labels(("cup", "table", "hand", "wall"), things=(True, False, True, False))
SIZE = (12, 16)


def objects(count: int, seed: int) -> Instances:
    rng = np.random.default_rng(seed)
    dense = np.zeros((count, *SIZE), bool)
    for plane in dense:
        y, x = rng.integers(0, SIZE[0]), rng.integers(0, SIZE[1])
        plane[y : y + rng.integers(1, 9), x : x + rng.integers(1, 9)] = True
    labels, scores = rng.choice([0, 2], count), rng.permutation(count) / max(count, 1)
    return Instances(SIZE, labels=labels, scores=scores, masks=Masks.from_dense(dense), classes=CLASSES)


def by_the_paper(found: Instances, stuff: np.ndarray, visible: float, least: float) -> list:
    """The rule on whole pictures, one object after the other: (class, pixels) of each segment."""
    taken = np.zeros(SIZE, bool)
    segments = []
    for i in sorted(range(len(found)), key=lambda i: -found.scores[i]):
        mask = found.masks.dense()[i]  # type: ignore[union-attr]
        hidden = (mask & taken).sum() / mask.sum()
        if hidden > 1 - visible + 1e-9 or hidden == 1:
            continue
        segments.append((int(found.labels[i]), mask & ~taken))
        taken |= mask
    for label in (1, 3):
        pixels = (stuff == label) & ~taken
        if pixels.any() and pixels.mean() >= least:
            segments.append((label, pixels))
    return segments


@given(
    st.integers(0, 6),
    st.integers(0, 10**6),
    st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    st.sampled_from([0.0, 0.2]),
)
def test_as_the_paper_says(count: int, seed: int, visible: float, least: float) -> None:
    found = objects(count, seed)
    stuff = np.random.default_rng(seed + 1).choice([-1, 0, 1, 3], SIZE).astype(np.int16)
    result = merge(found, stuff, visible=visible, least=least)
    wanted = by_the_paper(found, stuff, visible, least)
    assert result.labels.tolist() == [label for label, _ in wanted]
    for number, (_, pixels) in enumerate(wanted, 1):
        assert np.array_equal(result.map == number, pixels)


def test_objects_of_stuff_classes_take_no_part() -> None:
    found = Instances((1, 2), labels=[1], masks=Masks.from_dense(np.ones((1, 1, 2), bool)), classes=CLASSES)
    assert merge(found, np.array([[-1, 3]], np.int16)).names == ["wall"]


def test_wrong_sizes_and_boxes_alone() -> None:
    with pytest.raises(InputError, match=r"stuff of the objects' image \(12, 16\)"):
        merge(objects(1, 0), np.zeros((3, 3), np.int16))
    with pytest.raises(InputError, match="panoptic merge: expected masks"):
        merge(Instances((1, 2), boxes=[[0, 0, 1, 1]], classes=CLASSES), np.zeros((1, 2), np.int16))
