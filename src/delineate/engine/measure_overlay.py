"""A picture of what was measured: each object outlined, its number in the table written on it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

from delineate.apply.draw import colors, display, draw_masks
from delineate.core.instances import Instances

from .outline_paths import inner_spot

LEGIBLE = 44
"""A number of three digits fits into an object of about so many pixels; smaller ones are enlarged."""
LARGEST = 6000
"""No side of the picture is longer than this by enlargement."""
SHADE = ((-1, 0), (1, 0), (0, -1), (0, 1))


def numbered_overlay(
    objects: Instances, image: ArrayLike | None, numbers: NDArray[np.int64], marked: NDArray[np.bool_]
) -> Image.Image:
    """The objects on the image, enlarged by a whole factor (1 to 4) where their numbers would not fit.

    Args:
        objects: N objects with masks; boxes are left out.
        image: (H, W) or (H, W, C), or None for black.
        numbers: (N,) what to write on each.
        marked: (N,) objects whose number is written in red, as their row has a mark.
    """
    canvas = np.zeros((*objects.size, 3), np.uint8) if image is None else display(image)
    masks = objects.masks
    if masks is None or not len(objects):
        return Image.fromarray(canvas)
    area = np.asarray(masks.area)
    typical = float(np.sqrt(np.median(area[area > 0]))) if (area > 0).any() else LEGIBLE
    factor = max(1, min(4, int(np.ceil(LEGIBLE / typical)), LARGEST // max(objects.size)))
    if factor > 1:
        canvas = np.repeat(np.repeat(canvas, factor, axis=0), factor, axis=1)
        masks = _enlarged(objects, factor)
    draw_masks(canvas, masks, colors(objects), 1)
    picture = Image.fromarray(canvas)
    pen = ImageDraw.Draw(picture)
    font: Any = ImageFont.load_default(size=13)
    boxes = masks.boxes
    for i in np.flatnonzero(area > 0).tolist():
        crop, (x0, y0) = masks.crop(i)
        x, y = inner_spot(crop)
        if boxes[i, 2] - boxes[i, 0] < 4:
            continue
        place = (float(x0 + x), float(y0 + y))
        for dx, dy in SHADE:
            pen.text((place[0] + dx, place[1] + dy), str(numbers[i]), (0, 0, 0), font, anchor="mm")
        ink = (255, 90, 90) if marked[i] else (255, 255, 255)
        pen.text(place, str(numbers[i]), ink, font, anchor="mm")
    return picture


def _enlarged(objects: Instances, factor: int) -> Any:
    """The masks with every pixel as ``factor`` x ``factor`` pixels."""
    from delineate.core.masks import Masks

    assert objects.masks is not None
    crops, corners = [], []
    for i in range(len(objects)):
        crop, (x0, y0) = objects.masks.crop(i)
        crops.append(np.repeat(np.repeat(crop, factor, axis=0), factor, axis=1))
        corners.append((x0 * factor, y0 * factor))
    size = (objects.size[0] * factor, objects.size[1] * factor)
    return Masks.from_crops(crops, np.array(corners, dtype=np.int64).reshape(-1, 2), size)
