from __future__ import annotations

import numpy as np
import pytest

from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.data.mixing import copy_paste, visible


def square(*corners: tuple[int, int], side: int = 10, size: int = 40) -> Instances:
    labels = np.zeros((size, size), np.int32)
    for i, (y, x) in enumerate(corners, 1):
        labels[y : y + side, x : x + side] = i
    return Instances((size, size), masks=Masks.from_label_image(labels))


def pixels(value: float, channels: int = 1) -> np.ndarray:
    return np.full((40, 40, channels), value, np.float32)


def test_pasted_objects_hide_what_lies_under_them() -> None:
    truth, other = square((5, 5)), square((10, 10))
    image, mixed = copy_paste(pixels(0.2), truth, pixels(0.8), other, np.random.default_rng(0))
    assert mixed.masks.area.tolist() == [75, 100]
    assert not (mixed.masks[0].dense() & mixed.masks[1].dense()).any()
    np.testing.assert_array_equal(
        mixed.masks.dense().any(axis=0), truth.masks.dense()[0] | other.masks.dense()[0]
    )
    assert image[15, 15, 0] == pytest.approx(0.8, abs=1e-3) and image[30, 30, 0] == pytest.approx(
        0.2, abs=1e-3
    )


def test_what_is_hidden_wholly_is_gone() -> None:
    _, mixed = copy_paste(pixels(0), square((5, 5)), pixels(1), square((5, 5)), np.random.default_rng(0))
    assert mixed.masks.area.tolist() == [100]


def test_nothing_to_paste() -> None:
    image, truth = pixels(0.3), square((5, 5))
    same, mixed = copy_paste(image, truth, pixels(1), Instances.empty((40, 40)), np.random.default_rng(0))
    assert same is image and mixed is truth


def test_onto_an_empty_image() -> None:
    _, mixed = copy_paste(
        pixels(0), Instances.empty((40, 40)), pixels(1), square((5, 5)), np.random.default_rng(0)
    )
    assert mixed.masks.area.tolist() == [100]


def test_crowds_are_never_pasted() -> None:
    other = square((5, 5)).replace(crowd=np.array([True]))
    _, mixed = copy_paste(pixels(0), square((20, 20)), pixels(1), other, np.random.default_rng(0))
    assert len(mixed) == 1


def test_boxes_alone_are_left_as_they_are() -> None:
    truth = Instances((40, 40), boxes=[[0, 0, 5, 5]])
    _, mixed = copy_paste(pixels(0), truth, pixels(1), square((5, 5)), np.random.default_rng(0))
    assert mixed is truth


def test_grey_meets_colour() -> None:
    image, _ = copy_paste(pixels(0), square((0, 0)), pixels(1, 3), square((20, 20)), np.random.default_rng(0))
    assert image.shape == (40, 40, 3)


def test_some_objects_are_chosen() -> None:
    other = square((0, 0), (0, 20), (20, 0), (20, 20))
    counts = {
        len(copy_paste(pixels(0), Instances.empty((40, 40)), pixels(1), other, np.random.default_rng(s))[1])
        for s in range(30)
    }
    assert counts == {1, 2, 3, 4}


def test_visible_keeps_order_and_fields() -> None:
    truth = square((0, 0), (0, 20), (20, 0)).replace(ids=np.array([4, 5, 6]))
    cover = np.zeros((40, 40), bool)
    cover[:15, 15:] = True
    rest = visible(truth, cover)
    assert rest.ids.tolist() == [4, 6] and rest.masks.area.tolist() == [100, 100]
