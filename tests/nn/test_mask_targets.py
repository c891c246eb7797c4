import numpy as np
import pytest
import torch
from torchvision.ops import roi_align

from delineate.core.masks import Masks
from delineate.nn.mask_targets import crop_targets

SIZE = (50, 70)


def dense_masks(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    dense = np.zeros((count, *SIZE), bool)
    for plane in dense:
        y, x = rng.integers(0, SIZE[0] - 4), rng.integers(0, SIZE[1] - 4)
        h, w = rng.integers(3, 40, 2)
        plane[y : y + h, x : x + w] = rng.random(plane[y : y + h, x : x + w].shape) < 0.8
        plane[y, x] = True
    if count > 1:
        dense[0] = True  # the whole image: its border is the image's border
        dense[1] = False
        dense[1, -1, -1] = True  # one pixel in the corner
    return dense


@pytest.mark.parametrize("seed", range(4))
def test_equal_to_roi_align_on_full_masks(seed):
    dense = dense_masks(6, seed)
    rng = np.random.default_rng(seed)
    corners = rng.random((40, 2, 2)) * [SIZE[1], SIZE[0]]
    boxes = np.concatenate([corners.min(1), corners.max(1)], 1).astype(np.float32)
    boxes[0] = [0, 0, SIZE[1], SIZE[0]]
    boxes[1] = [SIZE[1] - 3, SIZE[0] - 3, SIZE[1], SIZE[0]]
    matched = rng.integers(0, 6, 40)
    matched[:2] = 0, 1
    rois = torch.from_numpy(np.concatenate([matched[:, None], boxes], 1).astype(np.float32))
    expected = roi_align(torch.from_numpy(dense)[:, None].float(), rois, 28, 1.0, -1)[:, 0]
    found = crop_targets(Masks.from_dense(dense), torch.from_numpy(matched), torch.from_numpy(boxes))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert ((found > 0) & (found < 1)).any()  # not made binary


def test_nothing_matched():
    none = torch.zeros(0, dtype=torch.int64)
    assert crop_targets(Masks.empty(SIZE), none, torch.zeros(0, 4)).shape == (0, 28, 28)


def test_only_matched_masks_are_decoded(monkeypatch):
    decoded = []
    crop = Masks.crop
    monkeypatch.setattr(Masks, "crop", lambda self, i: (decoded.append(i), crop(self, i))[1])
    boxes = torch.tensor([[0.0, 0, 20, 20]] * 3)
    crop_targets(Masks.from_dense(dense_masks(6, 0)), torch.tensor([2, 4, 2]), boxes)
    assert decoded == [2, 4]
