"""Frames with tracked objects drawn on them: one steady colour per identity, its number, the way it came."""

from __future__ import annotations

from collections import deque
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import distinct_colors

from .draw import display, draw_masks

PALETTE = 997  # ids this far apart share a colour
WRITTEN = 150  # with more objects than this, numbers are left out
TRAIL = 40  # points of a trail

Pixels = NDArray[np.uint8]


def id_colors(ids: NDArray[np.int64]) -> Pixels:
    """(N, 3) uint8 RGB, the same colour for the same id in every frame.

    Example:
        >>> bool((id_colors(np.array([5, 1, 5]))[0] == id_colors(np.array([5]))[0]).all())
        True
    """
    tints: Pixels = _palette()[np.asarray(ids) % PALETTE]
    return tints


@cache
def _palette() -> Pixels:
    return distinct_colors(PALETTE)


@cache
def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size=size)


class TrackDrawing:
    """Draws one frame after another; keeps the last points of each track that goes on, and nothing else.

    Args:
        trail: points of the way that each object came; 0 for none.
        numbers: whether ids are written.
    """

    def __init__(self, trail: int = TRAIL, numbers: bool = True) -> None:
        self.trail, self.numbers = trail, numbers
        self._ways: dict[int, deque[tuple[int, int]]] = {}

    def draw(self, instances: Instances, image: NDArray[np.generic], ended: tuple[int, ...] = ()) -> Pixels:
        """The next frame.

        Args:
            instances: N objects with ``ids``; boxes are drawn where there are no masks.
            image: (H, W) or (H, W, C) of any number type.
            ended: ids whose trails are forgotten.

        Returns:
            (H, W, 3) uint8 RGB.

        Raises:
            InputError: an image of another size.
        """
        for gone in ended:
            self._ways.pop(gone, None)
        canvas = display(image)
        if canvas.shape[:2] != instances.size:
            raise InputError(
                f"drawing: expected the image of the objects, {instances.size[0]} x {instances.size[1]}, got "
                f"{canvas.shape[0]} x {canvas.shape[1]}; give the frame that they were found in"
            )
        ids = np.zeros(len(instances), np.int64) if instances.ids is None else instances.ids
        tints = id_colors(ids)
        thickness = 1 if min(instances.size) < 700 else 2
        self._walk(canvas, instances, ids, tints, thickness)
        if instances.masks is not None:
            draw_masks(canvas, instances.masks, tints, thickness)
        else:
            for box, tint in zip(np.rint(instances.boxes).astype(int).tolist(), tints.tolist(), strict=True):
                corner = (max(box[0], box[2] - 1), max(box[1], box[3] - 1))
                cv2.rectangle(canvas, (box[0], box[1]), corner, tint, thickness)
        if self.numbers and 0 < len(instances) <= WRITTEN:
            return _numbered(canvas, instances, ids, tints)
        return canvas

    def _walk(
        self, canvas: Pixels, instances: Instances, ids: NDArray[np.int64], tints: Pixels, thickness: int
    ) -> None:
        """The trails of the objects in this frame, up to where they are now."""
        if not self.trail:
            return
        middles = (instances.boxes[:, :2] + instances.boxes[:, 2:]) / 2
        places = np.rint(middles).astype(int).tolist()
        for track, middle, tint in zip(ids.tolist(), places, tints.tolist(), strict=True):
            way = self._ways.setdefault(track, deque(maxlen=self.trail))
            way.append((middle[0], middle[1]))
            if len(way) > 1:
                line = np.array(way, np.int32).reshape(-1, 1, 2)
                cv2.polylines(canvas, [line], False, tint, thickness, cv2.LINE_AA)


def _numbered(canvas: Pixels, instances: Instances, ids: NDArray[np.int64], tints: Pixels) -> Pixels:
    """Each object's number in the middle of its top edge, on its colour; large objects first."""
    picture = Image.fromarray(canvas)
    pen = ImageDraw.Draw(picture)
    height, width = instances.size
    font = _font(max(10, round(min(height, width) / 45)))
    for i in np.argsort(-instances.area, kind="stable").tolist():
        text = str(int(ids[i]))
        left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
        wide, tall = right - left + 3, bottom - top + 3
        x1, y1, x2, _ = (float(v) for v in instances.boxes[i])
        x = min(max(0.0, (x1 + x2 - wide) / 2), max(0.0, width - wide))
        y = min(max(0.0, y1 - tall), max(0.0, height - tall))
        tint = tuple(tints[i].tolist())
        pen.rectangle((x, y, x + wide, y + tall), fill=tint)
        dark = 0.3 * tint[0] + 0.59 * tint[1] + 0.11 * tint[2] < 128
        pen.text((x + 2 - left, y + 1 - top), text, font=font, fill="white" if dark else "black")
    return np.asarray(picture)
