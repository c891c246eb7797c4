from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.models.detection.roi_heads import paste_masks_in_image

from delineate.core.errors import MaskError
from delineate.core.masks import Masks


def peer(probabilities: np.ndarray, boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    soft = paste_masks_in_image(torch.from_numpy(probabilities)[:, None], torch.from_numpy(boxes), size)
    return (soft[:, 0] > 0.5).numpy()


@pytest.mark.parametrize("grid", [1, 7, 14, 28, 56])
@pytest.mark.parametrize("size", [(1, 1), (33, 50), (200, 161)])
def test_the_pixels_of_torchvision(grid: int, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(grid)
    number = 40
    h, w = size
    corner = rng.random((number, 2)) * [w, h]
    extent = rng.random((number, 2)) * [w, h] * rng.choice([0.02, 0.3, 1.0], (number, 1))
    boxes = np.concatenate((corner, np.minimum(corner + extent, [w, h])), axis=1).astype(np.float32)
    boxes[0] = [0, 0, w, h]
    boxes[1] = [w - 1, h - 1, w, h]
    probabilities = rng.random((number, grid, grid)).astype(np.float32)
    probabilities[2:6] = 1
    masks = Masks.paste(probabilities, boxes, size)
    np.testing.assert_array_equal(masks.dense(), peer(probabilities, boxes, size))


def test_boxes_that_leave_the_image() -> None:
    rng = np.random.default_rng(0)
    boxes = (rng.random((60, 4)) * 200 - 80).astype(np.float32)
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2])
    seen = (boxes[:, 0] < 55) & (boxes[:, 1] < 45) & (boxes[:, 2] > 1) & (boxes[:, 3] > 1)
    probabilities = rng.random((60, 28, 28)).astype(np.float32)
    expected = peer(probabilities[seen], boxes[seen], (50, 60))
    masks = Masks.paste(probabilities, boxes, (50, 60))
    np.testing.assert_array_equal(masks[seen].dense(), expected)
    gone = (boxes[:, 0] > 65) | (boxes[:, 3] < -5)
    assert not masks[gone].area.any()


def test_a_box_far_larger_than_the_image() -> None:
    grid = np.zeros((1, 28, 28), dtype=np.float32)
    grid[0, :, :14] = 1  # left half
    far = 2.0**20
    dense = Masks.paste(grid, [[30 - far, 20 - far, 30 + far, 20 + far]], (40, 60)).dense()[0]
    assert dense[:, :28].all() and not dense[:, 32:].any()


def test_many_chunks_and_none() -> None:
    probabilities = np.ones((30, 28, 28), dtype=np.float32)
    boxes = np.tile(np.array([[0, 0, 700, 500]], dtype=np.float32), (30, 1))
    masks = Masks.paste(probabilities, boxes, (500, 700))
    assert len(masks) == 30 and len(set(masks.area.tolist())) == 1
    assert Masks.paste(np.zeros((0, 28, 28)), np.zeros((0, 4)), (5, 6)) == Masks.empty((5, 6))


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        ((1, 28), [0, 0, 1, 1]),
        ((1, 28, 27), [0, 0, 1, 1]),
        ((2, 28, 28), [0, 0, 1, 1]),
        ((1, 0, 0), [0, 0, 1, 1]),
    ]
    + [((1, 28, 28), [0, 0, bad, 1]) for bad in (np.nan, np.inf, 1e30)],
)
def test_malformed(shape: tuple[int, ...], box: list[float]) -> None:
    with pytest.raises(MaskError, match=r"paste: expected .*got "):
        Masks.paste(np.zeros(shape), [box], (9, 9))
