"""Copy-paste: objects of one crop laid onto another (Ghiasi et al. 2021, "Simple Copy-Paste", section 3)."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from delineate.core.instances import Instances
from delineate.core.masks import Masks

EDGE = 1.0  # sigma in pixels of the soft edge between the pasted object and what lies under it


def copy_paste(
    image: NDArray[np.float32],
    truth: Instances,
    other: NDArray[np.float32],
    other_truth: Instances,
    rng: np.random.Generator,
    min_area: int = 4,
) -> tuple[NDArray[np.float32], Instances]:
    """A random choice of the other crop's objects pasted on top; what they hide is cut from the truth.

    Args:
        image: (S, S, 1 or 3) float32 in 0..1.
        truth: its objects; unchanged results where it has no masks.
        other: the crop that gives objects, of the same height and width.
        other_truth: its objects; crowd regions are never pasted.
        rng: where the choice comes from.
        min_area: objects with fewer visible pixels are dropped.

    Returns:
        The new image, and the visible rest of its own objects followed by the pasted ones.
    """
    candidates = np.flatnonzero(~other_truth.crowd)
    if truth.masks is None or other_truth.masks is None or not len(candidates):
        return image, truth
    count = int(rng.integers(1, len(candidates) + 1))
    pasted = other_truth[np.sort(rng.choice(candidates, count, replace=False))]
    assert pasted.masks is not None
    cover = pasted.masks.to_label_image() > 0
    if image.shape[2] != other.shape[2]:
        image, other = (np.repeat(i, 3, axis=2) if i.shape[2] == 1 else i for i in (image, other))
    weight = cv2.GaussianBlur(cover.astype(np.float32), (0, 0), EDGE)[:, :, None]
    mixed = (image * (1 - weight) + other * weight).astype(np.float32)
    rest = visible(truth, cover, min_area)
    parts = [p.replace(ids=None, areas=None) for p in (rest, pasted)]
    return mixed, Instances.concatenate(parts)


def visible(truth: Instances, cover: NDArray[np.bool_], min_area: int = 1) -> Instances:
    """What remains of each object outside ``cover`` (H, W); objects with fewer pixels are dropped."""
    assert truth.masks is not None
    crops: list[NDArray[np.bool_]] = []
    corners: list[tuple[int, int]] = []
    kept: list[int] = []
    for i in range(len(truth)):
        part, (x, y) = truth.masks.crop(i)
        part = part & ~cover[y : y + part.shape[0], x : x + part.shape[1]]
        if np.count_nonzero(part) >= max(1, min_area):
            crops.append(part)
            corners.append((x, y))
            kept.append(i)
    masks = Masks.from_crops(crops, np.array(corners, dtype=np.int64).reshape(-1, 2), truth.size)
    chosen = truth[np.array(kept, dtype=np.int64)]
    return chosen.replace(masks=masks, boxes=masks.boxes, areas=None)
