from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.core.panoptic import Panoptic
from delineate.core.semantic import Semantic
from delineate.core.stuff import class_of_pixels, is_thing, joined, things_of, whole

CLASSES = Labels(("cup", "table", "wall"), things=(True, False, False))
MAPS = arrays(np.int16, (6, 7), elements=st.integers(-1, 2))


def segments(image: np.ndarray, labels: list[int]) -> Panoptic:
    return Panoptic(np.array(image), labels=labels, classes=CLASSES)


def test_segments_as_objects() -> None:
    found = whole(segments([[1, 1, 2], [3, 3, 0]], [0, 1, 0]))
    assert found.names == ["cup", "table", "cup"] and found.area.tolist() == [2, 1, 2]
    assert is_thing(found).tolist() == [True, False, True]
    assert things_of(found).boxes.tolist() == [[0, 0, 2, 1], [0, 1, 2, 2]]
    assert len(whole(segments([[0]], []))) == 0


@given(MAPS)
def test_pixels_survive_the_way_there_and_back(image: np.ndarray) -> None:
    truth = Semantic(image, CLASSES)
    found = whole(truth)
    assert np.array_equal(class_of_pixels(found), truth.map)
    assert found.crowd.tolist() == is_thing(found).tolist()  # nobody knows how many
    assert joined(found) is found  # one object a class already


@given(MAPS, st.integers(0, 7))
def test_cut_stuff_is_joined_again(image: np.ndarray, at: int) -> None:
    truth = Semantic(image, CLASSES)
    left = np.where(np.arange(7) < at, image, -1).astype(np.int16)
    right = np.where(np.arange(7) >= at, image, -1).astype(np.int16)
    halves = [whole(Semantic(half, CLASSES)) for half in (left, right)]
    found = joined(Instances.concatenate(halves))
    assert np.array_equal(class_of_pixels(found), truth.map)
    stuff = found[~is_thing(found)]
    assert sorted(stuff.labels.tolist()) == [k for k in (1, 2) if (image == k).any()]
    assert stuff.masks is not None and np.array_equal(stuff.boxes, stuff.masks.boxes)


def test_things_lie_on_top_and_keep_their_boxes() -> None:
    masks = Masks.from_dense(np.array([[[1, 1, 0]], [[1, 1, 1]], [[0, 0, 1]]], bool))
    boxes = np.array([[0, 0, 1.5, 1], [0, 0, 3, 1], [2, 0, 3, 1]], np.float32)
    found = Instances((1, 3), boxes, labels=[0, 1, 1], masks=masks, classes=CLASSES)
    assert class_of_pixels(found).tolist() == [[0, 0, 1]]
    assert joined(found).boxes.tolist() == [[0, 0, 1.5, 1], [0, 0, 3, 1]]


def test_without_objects_or_masks() -> None:
    assert class_of_pixels(Instances.empty((2, 3), CLASSES)).tolist() == [[-1] * 3] * 2
    with pytest.raises(InputError, match="class_of_pixels: expected masks"):
        class_of_pixels(Instances((2, 3), boxes=[[0, 0, 1, 1]], classes=CLASSES))
