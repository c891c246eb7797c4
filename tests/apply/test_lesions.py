"""Lesions on leaves: against counting pixels in dense arrays; scales against their printed bounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.apply.lesions import SCALES, SeverityScale, diseased, leaves_by_colour
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks

TWO = Labels(("spot", "rust"))


def instances(dense: np.ndarray, labels=None, classes: Labels | None = None) -> Instances:
    return Instances(dense.shape[1:], masks=Masks.from_dense(dense), labels=labels, classes=classes)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 3), st.integers(0, 6))
def test_the_same_as_counting_pixels(seed: int, leaves: int, lesions: int) -> None:
    rng = np.random.default_rng(seed)
    leaf = np.zeros((leaves, 20, 24), bool)
    for k in range(leaves):
        leaf[k, :, 8 * k + 1 : 8 * k + 8] = True
    lesion = np.zeros((lesions, 20, 24), bool)
    for k in range(lesions):
        y, x = rng.integers(0, 16), rng.integers(0, 20)
        lesion[k, y : y + rng.integers(1, 9), x : x + rng.integers(1, 9)] = True
    kinds = rng.integers(0, 2, lesions)
    found = diseased(instances(leaf), instances(lesion, kinds, TWO))
    for i in range(lesions):
        shared = (leaf & lesion[i]).sum(axis=(1, 2))
        if shared.any():
            assert shared[found.leaf[i]] == shared.max()
            assert found.share[i] == pytest.approx(shared.max() / lesion[i].sum())
        else:
            assert found.leaf[i] == -1
    for j in range(leaves):
        mine = found.leaf == j
        assert found.diseased_area[j] == (lesion[mine].any(axis=0) & leaf[j]).sum()
        assert found.lesions[j] == mine.sum()
        for k in (0, 1):
            assert found.by_class[j, k] == (lesion[mine & (kinds == k)].any(axis=0) & leaf[j]).sum()
    assert ((found.fraction >= 0) & (found.fraction <= 1)).all()


@pytest.mark.parametrize(
    "scale, parts, scores",
    [
        ("brown-spot", [0, 0.005, 0.02, 0.045, 0.08, 0.13, 0.2, 0.4, 0.6, 0.9], list(range(10))),
        ("bacterial-blight", [0, 0.03, 0.09, 0.2, 0.4, 0.8], [0, 1, 3, 5, 7, 9]),
        ("horsfall-barratt", [0, 0.01, 0.04, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.98, 1], list(range(12))),
    ],
)
def test_scales_as_printed(scale: str, parts: list[float], scores: list[int]) -> None:
    assert [SCALES[scale].score(part) for part in parts] == scores
    assert SCALES[scale].score(float("nan")) is None


def test_a_scale_rises_from_nothing() -> None:
    with pytest.raises(InputError, match="rising from 0"):
        SeverityScale("x", "y", ((0, 0.1),))


def test_leaves_are_what_has_colour() -> None:
    image = np.full((120, 200, 3), (235, 230, 228), np.uint8)
    image[30:90, 10:80] = (90, 140, 40)
    image[50:60, 30:40] = (250, 250, 250)  # a hole
    image[40:100, 120:190] = (70, 110, 30)
    image[60:100, 185:199] = (120, 95, 80)  # a lesion with little colour at a leaf's edge
    spot = np.zeros((1, 120, 200), bool)
    spot[0, 60:100, 185:199] = True
    found = leaves_by_colour(image, instances(spot))
    assert len(found) == 2 and found.classes.names == ("leaf",)
    dense = found.masks.dense()
    assert dense[0, 80, 195] and dense[1, 55, 35]
    assert abs(int(dense[1].sum()) - 4200) < 250
    assert len(leaves_by_colour(np.full((50, 50, 3), 240, np.uint8))) == 0


def test_nothing_and_boxes() -> None:
    none = Instances.empty((10, 10))
    found = diseased(none, none)
    assert len(found.leaf) == 0 and len(found.fraction) == 0
    hollow = instances(np.zeros((1, 10, 10), bool))
    assert np.isnan(diseased(hollow, none).fraction[0])
    assert diseased(none, hollow).leaf.tolist() == [-1]
    with pytest.raises(InputError, match="expected masks"):
        diseased(Instances((10, 10), boxes=[[0, 0, 2, 2]]), none)
    with pytest.raises(InputError, match="of one image"):
        diseased(none, Instances.empty((9, 10)))
