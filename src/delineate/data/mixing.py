"""Several crops made into one, with the objects of all.

Copy-paste: Ghiasi et al. 2021, "Simple Copy-Paste", section 3. Mosaic: Bochkovskiy et al. 2020, "YOLOv4",
section 3.3. Mix-up: Zhang et al. 2018, "mixup", section 2, as detection uses it: both keep their objects.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.core.stuff import is_thing, joined

EDGE = 1.0  # sigma in pixels of the soft edge between the pasted object and what lies under it
SEAM = (0.2, 0.8)  # a mosaic's seams lie between these parts of its side
ALPHA = 32.0  # of mix-up's Beta distribution: near one half, so that no object is counted that is hardly seen

Crop = tuple[NDArray[np.float32], Instances]  # (H, W, 1 or 3) float32 in 0..1, and its objects


def quarters(side: int, rng: np.random.Generator) -> list[tuple[int, int, int, int]]:
    """A mosaic's four windows (x0, y0, x1, y1), row by row; they meet at one point."""
    x, y = (int(v) for v in np.rint(rng.uniform(*SEAM, size=2) * side))
    return [(0, 0, x, y), (x, 0, side, y), (0, y, x, side), (x, y, side, side)]


def mosaic(parts: Sequence[Crop], windows: Sequence[tuple[int, int, int, int]], side: int) -> Crop:
    """Four crops side by side.

    Args:
        parts: a crop for each window, of its height and width.
        windows: (x0, y0, x1, y1) of each, see :func:`quarters`.
        side: of the whole, in pixels.

    Returns:
        The (side, side, 1 or 3) image, and the objects of all parts in its pixels, in their order; stuff of
        one class is one object.
    """
    channels = max(image.shape[2] for image, _ in parts)
    whole = np.empty((side, side, channels), dtype=np.float32)
    moved: list[Instances] = []
    for (image, truth), (x0, y0, x1, y1) in zip(parts, windows, strict=True):
        whole[y0:y1, x0:x1] = image
        masks = None if truth.masks is None else truth.masks.shift(x0, y0, (side, side))
        boxes = truth.boxes + np.array([x0, y0, x0, y0], dtype=np.float32)
        moved.append(truth.replace(size=(side, side), masks=masks, boxes=boxes, ids=None, areas=None))
    return whole, joined(Instances.concatenate(moved))


def mixup(crop: Crop, other: Crop, rng: np.random.Generator) -> Crop:
    """Two crops of one size seen through each other; the objects of both are kept, and may overlap."""
    (image, truth), (second, second_truth) = crop, other
    image, second = _alike(image, second)
    share = np.float32(rng.beta(ALPHA, ALPHA))
    parts = [t.replace(ids=None, areas=None) for t in (truth, second_truth)]
    return image * share + second * (1 - share), joined(Instances.concatenate(parts))


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
        other_truth: its objects; crowd regions and stuff are never pasted.
        rng: where the choice comes from.
        min_area: objects with fewer visible pixels are dropped.

    Returns:
        The new image, and the visible rest of its own objects followed by the pasted ones.
    """
    candidates = np.flatnonzero(~other_truth.crowd & is_thing(other_truth))
    if truth.masks is None or other_truth.masks is None or not len(candidates):
        return image, truth
    count = int(rng.integers(1, len(candidates) + 1))
    pasted = other_truth[np.sort(rng.choice(candidates, count, replace=False))]
    assert pasted.masks is not None
    cover = pasted.masks.to_label_image() > 0
    image, other = _alike(image, other)
    weight = cv2.GaussianBlur(cover.astype(np.float32), (0, 0), EDGE)[:, :, None]
    mixed = (image * (1 - weight) + other * weight).astype(np.float32)
    rest = visible(truth, cover, min_area)
    parts = [p.replace(ids=None, areas=None) for p in (rest, pasted)]
    return mixed, Instances.concatenate(parts)


def visible(truth: Instances, cover: NDArray[np.bool_], min_area: int = 1) -> Instances:
    """What remains of each object outside ``cover`` (H, W); objects with fewer pixels are dropped."""
    assert truth.masks is not None
    boxes = truth.masks.boxes.astype(np.int64).tolist()
    met = np.array([cover[y1:y2, x1:x2].any() for x1, y1, x2, y2 in boxes], dtype=np.bool_)
    order = np.concatenate([np.flatnonzero(~met), np.flatnonzero(met)])
    crops: list[NDArray[np.bool_]] = []
    for i in np.flatnonzero(met):
        part, (x, y) = truth.masks.crop(int(i))
        crops.append(part & ~cover[y : y + part.shape[0], x : x + part.shape[1]])
    corners = truth.masks.boxes[met, :2].astype(np.int64)
    rest = Masks.concatenate([truth.masks[~met], Masks.from_crops(crops, corners, truth.size)])
    rest = rest[np.argsort(order)]
    kept = np.flatnonzero(rest.area >= max(1, min_area))
    return truth[kept].replace(masks=rest[kept], boxes=rest[kept].boxes, areas=None)


def _alike(
    image: NDArray[np.float32], other: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Both as colour where one is."""
    if image.shape[2] == other.shape[2]:
        return image, other
    one, two = (np.repeat(i, 3, axis=2) if i.shape[2] == 1 else i for i in (image, other))
    return one, two
