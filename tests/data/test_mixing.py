from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.core.panoptic import Panoptic
from delineate.core.stuff import whole
from delineate.data.mixing import SEAM, copy_paste, mixup, mosaic, quarters, visible


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


@settings(max_examples=50, deadline=None)
@given(st.integers(16, 900), st.integers(0, 99))
def test_quarters_cover_each_pixel_once(side: int, seed: int) -> None:
    windows = quarters(side, np.random.default_rng(seed))
    seen = np.zeros((side, side), int)
    for x0, y0, x1, y1 in windows:
        seen[y0:y1, x0:x1] += 1
        assert min(x1 - x0, y1 - y0) >= int(SEAM[0] * side)
    assert (seen == 1).all()


def test_a_mosaic_is_its_parts_in_their_places() -> None:
    windows = [(0, 0, 30, 12), (30, 0, 40, 12), (0, 12, 30, 40), (30, 12, 40, 40)]
    rng = np.random.default_rng(0)
    parts, expected = [], np.zeros((40, 40), int)
    for number, (x0, y0, x1, y1) in enumerate(windows, 1):
        labels = rng.integers(0, 3, (y1 - y0, x1 - x0))
        parts.append(
            (
                np.full((*labels.shape, 1 if number < 4 else 3), number / 4, np.float32),
                Instances(labels.shape, masks=Masks.from_label_image(labels), ids=[number, number + 4]),
            )
        )
        expected[y0:y1, x0:x1] = np.where(labels > 0, labels + 2 * number - 2, 0)
    image, truth = mosaic(parts, windows, 40)
    np.testing.assert_array_equal(truth.masks.to_label_image(), expected)
    np.testing.assert_array_equal(truth.boxes, truth.masks.boxes)
    assert image.shape == (40, 40, 3) and truth.ids is None
    assert image[0, 0].tolist() == [0.25] * 3 and image[39, 39].tolist() == [1] * 3


def test_a_mosaic_of_nothing_and_of_boxes() -> None:
    windows = quarters(40, np.random.default_rng(0))
    sizes = [(y1 - y0, x1 - x0) for x0, y0, x1, y1 in windows]
    blank = [np.zeros((*size, 1), np.float32) for size in sizes]
    empty = [(i, Instances.empty(s)) for i, s in zip(blank, sizes, strict=True)]
    assert len(mosaic(empty, windows, 40)[1]) == 0
    boxed = [(i, Instances(s, boxes=[[1, 1, 3, 4]])) for i, s in zip(blank, sizes, strict=True)]
    truth = mosaic([*empty[:1], *boxed[1:]], windows, 40)[1]
    x, y = windows[3][:2]
    assert len(truth) == 3 and truth.boxes[2].tolist() == [x + 1, y + 1, x + 3, y + 4]


def test_mixup_shows_and_keeps_both() -> None:
    crop, other = (pixels(0), square((5, 5))), (pixels(1, 3), square((7, 7), (20, 20)))
    image, truth = mixup(crop, other, np.random.default_rng(0))
    assert image.shape == (40, 40, 3) and image.dtype == np.float32
    assert np.ptp(image) == 0 and 0.25 < image[0, 0, 0] < 0.75
    assert truth.masks.area.tolist() == [100] * 3 and len(truth.masks.intersection_pairs(truth.masks)[0]) == 5


MEADOW = Labels(("cow", "grass"), things=(True, False))


def meadow(size: int = 40) -> Instances:
    """A cow in the grass."""
    image = np.full((size, size), 2)
    image[5:15, 5:15] = 1
    return whole(Panoptic(image, labels=[0, 1], classes=MEADOW))


def test_stuff_of_a_mosaic_is_one_object() -> None:
    windows = [(0, 0, 20, 20), (20, 0, 40, 20), (0, 20, 20, 40), (20, 20, 40, 40)]
    _, mixed = mosaic([(np.zeros((20, 20, 1), np.float32), meadow(20))] * 4, windows, 40)
    assert mixed.names == ["cow", "grass", "cow", "cow", "cow"]
    assert mixed.area.tolist() == [100, 1200, 100, 100, 100]
    assert mixed.boxes[1].tolist() == [0, 0, 40, 40]


def test_stuff_is_never_pasted_and_cut_by_what_is() -> None:
    truth = meadow()
    other = meadow().replace(masks=meadow().masks.shift(0, 20), boxes=None)  # type: ignore[union-attr]
    for seed in range(5):
        _, mixed = copy_paste(pixels(0), truth, pixels(1), other, np.random.default_rng(seed))
        assert mixed.names == ["cow", "grass", "cow"] and mixed.area.tolist() == [100, 1400, 100]


def test_stuff_of_two_blended_crops_is_one_object() -> None:
    _, mixed = mixup((pixels(0), meadow()), (pixels(1), meadow()), np.random.default_rng(0))
    assert mixed.names == ["cow", "grass", "cow"] and mixed.area.tolist() == [100, 1500, 100]
