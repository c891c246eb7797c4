"""A shape laid on a mask: where near its expected place it explains most of what is seen."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from delineate.core.masks import Masks

Bools = NDArray[np.bool_]
STAY = 0.2  # what moving a shape as far as it may costs, in parts of its area


@dataclass(frozen=True, eq=False)
class Shape:
    """A shape in a window.

    Attributes:
        crop: (h, w) bool, the shape in its tight box.
        at: column and row of the window where that begins; it may stand out of the window.
        window: (height, width).
    """

    crop: Bools
    at: tuple[int, int]
    window: tuple[int, int]

    @classmethod
    def of(cls, masks: Masks, k: int, corner: tuple[int, int], window: tuple[int, int]) -> Shape:
        """Mask ``k`` in a window that begins at ``corner`` (x, y) of the image."""
        crop, (x, y) = masks.crop(k)
        return cls(crop, (x - corner[0], y - corner[1]), window)

    @property
    def area(self) -> int:
        """Pixels, those outside the window too."""
        return int(np.count_nonzero(self.crop))

    def moved(self, dx: int, dy: int) -> Shape:
        """The shape elsewhere."""
        return Shape(self.crop, (self.at[0] + dx, self.at[1] + dy), self.window)

    def drawn(self) -> Bools:
        """(height, width) bool: the window with the shape in it."""
        result = np.zeros(self.window, np.bool_)
        (x, y), (height, width) = self.at, self.window
        top, left = max(-y, 0), max(-x, 0)
        inner = self.crop[top : max(top, height - y), left : max(left, width - x)]
        result[y + top : y + top + inner.shape[0], x + left : x + left + inner.shape[1]] = inner
        return result

    def laid(self, worth: NDArray[np.float32], reach: float) -> Shape:
        """The shape moved, by whole pixels, to where the pixels under it are worth most.

        Args:
            worth: (height, width) what each pixel is worth; outside the window -1.
            reach: how far it may be moved each way, in parts of its mean side. To move it that far costs a
                fifth of its area, and less in proportion to the square.
        """
        area = self.area
        far = max(1, round(reach * float(np.sqrt(area))))
        (x, y), (h, w), (height, width) = self.at, self.crop.shape, self.window
        if x + w + far <= 0 or y + h + far <= 0 or x - far >= width or y - far >= height:
            return self
        rows = np.arange(y - far, y + far + h)
        columns = np.arange(x - far, x + far + w)
        search = np.full((len(rows), len(columns)), -1, np.float32)
        inside = np.ix_((rows >= 0) & (rows < height), (columns >= 0) & (columns < width))
        search[inside] = worth[np.ix_(rows[inside[0].ravel()], columns[inside[1].ravel()])]
        gain = cv2.matchTemplate(search, self.crop.astype(np.float32), cv2.TM_CCORR)
        dy, dx = np.mgrid[-far : far + 1, -far : far + 1]
        gain = gain - STAY * area * (dx * dx + dy * dy) / (far * far)
        row, column = divmod(int(np.argmax(np.round(gain, 3))), gain.shape[1])
        return self.moved(column - far, row - far)


def window_of(masks: Masks, reach: float = 0.3) -> tuple[tuple[int, int], tuple[int, int]]:
    """A window around some masks in which each can be moved: corner (x, y), size (height, width)."""
    boxes, area = masks.boxes, masks.area
    boxes = boxes[area > 0] if area.any() else boxes
    edge = int(np.ceil(reach * np.sqrt(area.max(initial=1)))) + 1
    x1, y1 = boxes[:, :2].min(axis=0).astype(int) - edge
    x2, y2 = boxes[:, 2:].max(axis=0).astype(int) + edge
    return (int(x1), int(y1)), (int(y2 - y1), int(x2 - x1))


def worth(target: Bools, free: Bools, corner: tuple[int, int], image: tuple[int, int]) -> NDArray[np.float32]:
    """What each pixel of a window is worth to a shape: 1 on the target, 0 where it may be hidden, else -1.

    Args:
        target: (h, w) the mask that is to be explained.
        free: (h, w) where others are, which may hide it or have explained it.
        corner: column and row of the image where the window begins.
        image: (height, width); outside it nothing can be seen, which counts 0.
    """
    h, w = target.shape
    rows, columns = np.arange(corner[1], corner[1] + h), np.arange(corner[0], corner[0] + w)
    inside = ((rows >= 0) & (rows < image[0]))[:, None] & ((columns >= 0) & (columns < image[1]))
    return np.where(free | ~inside, 0, np.where(target, 1, -1)).astype(np.float32)
