"""A shape laid on a mask: where near its expected place it explains most of what is seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from delineate.core.masks import Masks

Bools = NDArray[np.bool_]
STAY = 0.2  # what moving a shape as far as it may costs, in parts of its area


@dataclass(frozen=True)
class Window:
    """A part of an image: columns x1 up to x2, rows y1 up to y2."""

    x1: int
    y1: int
    x2: int
    y2: int

    @classmethod
    def around(cls, boxes: NDArray[np.floating], image: tuple[int, int], side: float, reach: float) -> Window:
        """Room for some objects to be moved in, cut to the image.

        Args:
            boxes: (N, 4) xyxy of the objects.
            image: (height, width).
            side: the largest mean side of the objects in pixels.
            reach: how far they may be moved, in parts of it.
        """
        edge = int(np.ceil(reach * side)) + 1
        x1, y1 = (int(v) - edge for v in boxes[:, :2].min(axis=0))
        x2, y2 = (int(np.ceil(v)) + edge for v in boxes[:, 2:].max(axis=0))
        return cls(max(x1, 0), max(y1, 0), min(x2, image[1]), min(y2, image[0]))

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return max(self.y2 - self.y1, 0), max(self.x2 - self.x1, 0)

    @property
    def corner(self) -> tuple[int, int]:
        """(x1, y1)."""
        return self.x1, self.y1

    def of(self, image: NDArray[Any]) -> NDArray[Any]:
        """The window of an image, a view."""
        return image[self.y1 : self.y2, self.x1 : self.x2]


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
    def of(cls, masks: Masks, k: int, window: Window) -> Shape:
        """Mask ``k`` in a window of the image."""
        crop, (x, y) = masks.crop(k)
        return cls(crop, (x - window.x1, y - window.y1), window.size)

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
            worth: (height, width) what each pixel is worth; outside the window, where nothing is seen, 0.
            reach: how far it may be moved each way, in parts of its mean side. To move it that far costs a
                fifth of its area, and less in proportion to the square.
        """
        area = self.area
        far = max(1, round(reach * float(np.sqrt(area))))
        (x, y), (h, w), (height, width) = self.at, self.crop.shape, self.window
        if x + w + far <= 0 or y + h + far <= 0 or x - far >= width or y - far >= height:
            return self
        search = np.zeros((2 * far + h, 2 * far + w), np.float32)
        top, left = max(far - y, 0), max(far - x, 0)
        seen = worth[max(y - far, 0) : y + far + h, max(x - far, 0) : x + far + w]
        search[top : top + seen.shape[0], left : left + seen.shape[1]] = seen
        gain = cv2.matchTemplate(search, self.crop.astype(np.float32), cv2.TM_CCORR)
        way = np.arange(-far, far + 1) ** 2
        gain = gain - STAY * area * (way[:, None] + way) / (far * far)
        row, column = divmod(int(np.argmax(np.round(gain, 3))), gain.shape[1])
        return self.moved(column - far, row - far)


def worth(target: Bools, free: Bools) -> NDArray[np.float32]:
    """What each pixel is worth to a shape: 1 on the target, 0 where others are, else -1.

    Args:
        target: (h, w) the mask that is to be explained.
        free: (h, w) where others are, which may hide it or have explained it.
    """
    return np.where(free, 0, np.where(target, 1, -1)).astype(np.float32)
