"""The square of an image that the click network looks at: cut, scaled, and a mask brought back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from delineate.core.batch import to_rgb_float
from delineate.core.masks import Masks
from delineate.metrics.clicks import Click

SIDE = 128  # pixels of the network's view
CONTEXT = 384  # pixels around it whose brightness decides the scaling
RADIUS = 3.0  # of a click's disc, in the view's pixels
MEAN, STD = np.float32(0.5), np.float32(0.25)
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class View:
    """A square window of an image, seen as ``out`` x ``out`` pixels.

    Attributes:
        x0: left edge in the image, in pixels; may lie outside.
        y0: top edge.
        side: width and height in pixels of the image.
        out: width and height in pixels of the view.
    """

    x0: int
    y0: int
    side: int
    out: int = SIDE

    @classmethod
    def around(cls, box: Box, margin: float, least: int, size: tuple[int, int], out: int = SIDE) -> View:
        """The window around a box, moved into the image where it fits.

        Args:
            box: x1, y1, x2, y2 in the image.
            margin: how many times as large as the box's longer side.
            least: side at least, in pixels.
            size: (height, width) of the image.
            out: side of the view.
        """
        side = max(least, round(margin * max(box[2] - box[0], box[3] - box[1])))
        side = min(side, max(least, *size))
        corner = []
        for low, high, limit in ((box[0], box[2], size[1]), (box[1], box[3], size[0])):
            at = round((low + high - side) / 2)
            corner.append(max(0, min(at, limit - side)) if limit >= side else (limit - side) // 2)
        return cls(corner[0], corner[1], side, out)

    def pixels(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """(3, out, out) normalised pixels; zeros outside the image.

        Brightness is scaled by the 1 to 99.8 percentiles of the window, or of a larger one around a small.
        """
        grow = max(0, CONTEXT - self.side) // 2
        step = max(1, self.side // (2 * self.out))
        wide = self._cut(image, grow, step)
        scaled = to_rgb_float(wide[0], "percentile")
        inner = scaled[tuple(slice(-(o // -step), None) for o in wide[1])]
        count = -(-self.side // step)
        left, top = (max(0, -v) // step for v in (self.x0, self.y0))
        canvas = np.full((count, count, 3), 0.5, np.float32)
        part = inner[: count - top, : count - left]
        canvas[top : top + part.shape[0], left : left + part.shape[1]] = part
        method = cv2.INTER_AREA if count > self.out else cv2.INTER_LINEAR
        seen = np.asarray(cv2.resize(canvas, (self.out, self.out), interpolation=method))
        return np.ascontiguousarray(((seen - MEAN) / STD).transpose(2, 0, 1), dtype=np.float32)

    def _cut(self, image: NDArray[Any], grow: int, step: int) -> tuple[NDArray[Any], tuple[int, int]]:
        """The window grown by ``grow`` pixels as far as there is image, every ``step``-th pixel.

        With it, how many pixels (rows, columns) were added above and left.
        """
        x1, y1 = (max(0, v - grow) for v in (self.x0, self.y0))
        x2, y2 = (max(a + 1, v + self.side + grow) for a, v in ((x1, self.x0), (y1, self.y0)))
        return image[y1:y2:step, x1:x2:step], (max(0, self.y0) - y1, max(0, self.x0) - x1)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """A point of the image, in the view."""
        scale = self.out / self.side
        return (x - self.x0) * scale, (y - self.y0) * scale

    def see(self, masks: Masks) -> NDArray[np.float32]:
        """(out, out) how much of each of the view's pixels a mask covers, 0..1."""
        inside = masks.window(self.x0, self.y0, self.x0 + self.side, self.y0 + self.side)
        crop, (x, y) = inside.crop(0)
        dense = np.zeros((self.side, self.side), np.float32)
        dense[y : y + crop.shape[0], x : x + crop.shape[1]] = crop
        method = cv2.INTER_AREA if self.side > self.out else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(dense, (self.out, self.out), interpolation=method), np.float32)

    def to_image(self, probability: NDArray[np.float32], size: tuple[int, int]) -> Masks:
        """A mask of the view, cut at 0.5 on the image's own pixels.

        Args:
            probability: (out, out) in 0..1.
            size: (height, width) of the image.
        """
        method = cv2.INTER_AREA if self.side < self.out else cv2.INTER_LINEAR
        back = np.asarray(cv2.resize(probability, (self.side, self.side), interpolation=method))
        return Masks.from_crops([back > 0.5], np.array([[self.x0, self.y0]]), size)


def hint_maps(
    out: int, clicks: Sequence[Click], before: NDArray[np.float32] | None = None, box: Box | None = None
) -> NDArray[np.float32]:
    """What the network is told: discs at positive clicks, at negative ones, the mask so far, a box's inside.

    Args:
        out: side of the view.
        clicks: in the view's pixels, as all here.
        before: (out, out) in 0..1, or None.
        box: x1, y1, x2, y2, or None.

    Returns:
        (4, out, out) in 0..1.
    """
    maps = np.zeros((4, out, out), np.float32)
    rows, columns = np.ogrid[:out, :out]
    for click in clicks:
        near = (columns + 0.5 - click.x) ** 2 + (rows + 0.5 - click.y) ** 2 <= RADIUS**2
        maps[0 if click.positive else 1][near] = 1
    if before is not None:
        maps[2] = before
    if box is not None:
        x1, y1, x2, y2 = box
        maps[3] = (columns + 0.5 > x1) & (columns + 0.5 < x2) & (rows + 0.5 > y1) & (rows + 0.5 < y2)
    return maps
