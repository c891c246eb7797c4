"""From the pixels a network saw back to the original's, exactly; and the other way for truths."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .instances import Instances
from .masks import Masks


class Frames:
    """Where the images of a batch lie: how large each is in the network's frame, and in its own.

    Attributes:
        sizes: B (height, width): the part of the network's input that is image; the network frame.
        originals: B (height, width) of the images as given; the original frame.
    """

    sizes: list[tuple[int, int]]
    originals: list[tuple[int, int]]

    def __len__(self) -> int:
        return len(self.sizes)

    def boxes_to_original(self, index: int, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 4) xyxy of image ``index`` from the network frame to the original, clipped to the image."""
        return scale_boxes(boxes, self.sizes[index], self.originals[index])

    def masks_to_original(self, index: int, masks: Masks) -> Masks:
        """Masks of image ``index`` from the network frame (padded or not) to the original pixels."""
        height, width = self.sizes[index]
        return resize_masks(masks.window(0, 0, width, height), self.originals[index])


def scale_boxes(
    boxes: NDArray[np.float32], size: tuple[int, int], new_size: tuple[int, int]
) -> NDArray[np.float32]:
    """(N, 4) xyxy on an image of ``size`` to the same places on ``new_size``, clipped."""
    ratio_y, ratio_x = (np.float32(n) / np.float32(s) for n, s in zip(new_size, size, strict=True))
    scaled = boxes.astype(np.float32) * np.array([ratio_x, ratio_y, ratio_x, ratio_y], dtype=np.float32)
    height, width = new_size
    limits = np.array([width, height, width, height], dtype=np.float32)
    return np.minimum(np.maximum(scaled, np.float32(0)), limits)


def resize_masks(masks: Masks, size: tuple[int, int]) -> Masks:
    """Masks on another pixel grid: each new pixel takes the old pixel under its centre.

    Enlarging and going back gives the masks exactly; corner pixels stay corner pixels.
    """
    if size == masks.size:
        return masks
    rows = _nearest(masks.size[0], size[0])  # (new height,) old row of each new row
    columns = _nearest(masks.size[1], size[1])
    crops, corners = [], []
    for i in range(len(masks)):
        crop, (x0, y0) = masks.crop(i)
        top, bottom = np.searchsorted(rows, (y0, y0 + crop.shape[0]))
        left, right = np.searchsorted(columns, (x0, x0 + crop.shape[1]))
        crops.append(crop[np.ix_(rows[top:bottom] - y0, columns[left:right] - x0)])
        corners.append((int(left), int(top)))
    return Masks.from_crops(crops, np.array(corners, dtype=np.int64).reshape(-1, 2), size)


def _nearest(old: int, new: int) -> NDArray[np.int64]:
    return ((2 * np.arange(new, dtype=np.int64) + 1) * old) // (2 * new)


def resize_instances(instances: Instances, size: tuple[int, int]) -> Instances:
    """Boxes and masks of one image moved to a resized frame; annotated areas scale along."""
    if size == instances.size:
        return instances
    factor = size[0] * size[1] / (instances.size[0] * instances.size[1])
    return instances.replace(
        size=size,
        boxes=scale_boxes(instances.boxes, instances.size, size),
        masks=None if instances.masks is None else resize_masks(instances.masks, size),
        areas=None if instances.areas is None else instances.areas * factor,
    )
