"""Which images look the same: copies, turned, in other shades and sizes; and which do not."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from delineate.data.check.look import (
    Agreement,
    agreement,
    close_pairs,
    details_of,
    look_of,
    turned,
    turned_words,
)
from delineate.data.images import read

Image = np.ndarray


@pytest.fixture(scope="module")
def photos(data_dir: Path) -> list[Image]:
    files = sorted((data_dir / "coco_subset").rglob("*.jpg"))[:24]
    return [read(file).pixels for file in files]


def scene(seed: int, side: int = 96) -> Image:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (12, 12, 3), np.uint8)
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)


def pairs(*images: Image) -> list[tuple[int, int, int]]:
    looks = [look for image in images if (look := look_of(image)) is not None]
    return list(close_pairs(looks))


def compared(one: Image, other: Image, turn: int = 0) -> Agreement:
    return agreement(details_of(one), details_of(other), turn)


@pytest.mark.parametrize("turn", range(8))
def test_a_turned_copy_is_found_and_its_turn_told(turn: int) -> None:
    image = scene(1)
    copy = np.ascontiguousarray(turned(image, turn))
    ((_, _, found),) = pairs(copy, image)
    assert found == turn
    assert min(compared(copy, image, turn)) > 0.99


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image,
        lambda image: cv2.resize(image, (61, 47), interpolation=cv2.INTER_AREA),
        lambda image: (image.astype(np.float32) * 0.5 + 40).astype(np.uint8),
        lambda image: image.astype(np.uint16) * 257,
        lambda image: image.mean(axis=2).astype(np.uint8),
        lambda image: cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 20])[1], 1),
    ],
    ids=["same", "small", "dark", "16 bit", "grey", "JPEG"],
)
def test_changed_copies_are_found(change: object) -> None:
    image = scene(2)
    copy = change(image)  # type: ignore[operator]
    assert pairs(image, copy) == [(0, 1, 0)]
    assert compared(image, copy).same


def test_other_images_are_not_taken_for_copies() -> None:
    assert pairs(*(scene(seed) for seed in range(60))) == []


@pytest.mark.parametrize("images", [[], [np.zeros((9, 9), np.uint8)], [scene(1)]])
def test_too_few_to_compare(images: list[Image]) -> None:
    assert pairs(*images) == []


@pytest.mark.parametrize(
    "image",
    [np.full((40, 40), 7, np.uint8), np.zeros((5, 5, 3), np.float32), np.full((1, 1), 3, np.uint16)],
)
def test_an_even_image_has_no_look(image: Image) -> None:
    assert look_of(image) is None
    assert compared(image, image) == (0.0, 0.0)


def test_empty_margins_do_not_make_images_alike() -> None:
    """Rotated exports share their black corners; what is between them decides."""
    y, x = np.mgrid[:128, :128]
    corners = (x + 4 * y < 110) | (x + 4 * y > 530)
    one, other = (
        np.where(corners, 0, 180 + 4 * scene(seed, 128)[:, :, 0].astype(int) // 64) for seed in (1, 2)
    )
    assert not compared(one.astype(np.uint8), other.astype(np.uint8)).same
    assert min(compared(one.astype(np.uint8), one.astype(np.uint8))) > 0.99


def test_photographs(photos: list[Image]) -> None:
    assert pairs(*photos) == []
    copies = [cv2.resize(photo[:, ::-1], (300, 200)) for photo in photos]
    found = [(i, j) for i, j, _ in pairs(*photos, *copies)]
    assert found == [(i, i + len(photos)) for i in range(len(photos))]


def test_words_for_turns() -> None:
    assert [turned_words(turn) for turn in (0, 1, 3, 4)] == [
        "",
        ", mirrored",
        ", turned by 180°",
        ", turned by 90°",
    ]
