"""Perimeter and Euler number of many regions at once."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .runs import Runs

STRIP_PIXELS = 8_000_000  # a strip of regions side by side is at most so large, unless one region is larger
CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
NEIGHBOURS = np.array([[10, 2, 10], [2, 1, 2], [10, 2, 10]], dtype=np.float32)


def _step_lengths() -> NDArray[np.float64]:
    """(50,) length that a border pixel adds, by the code of its neighbourhood."""
    lengths = np.zeros(50)
    lengths[[5, 7, 15, 17, 25, 27]] = 1
    lengths[[21, 33]] = np.sqrt(2)
    lengths[[13, 23]] = (1 + np.sqrt(2)) / 2
    return lengths


STEP_LENGTHS = _step_lengths()


def perimeters(runs: Runs) -> NDArray[np.float64]:
    """(N,) perimeter of every region in pixels: the length of the line through its border pixels' centres.

    Holes count too. The estimator is scikit-image's ``perimeter(neighborhood=4)``: Benkrid, Crookes,
    "Design and FPGA implementation of a perimeter estimator", 2000. It is 0 for one pixel.
    """
    result = np.zeros(len(runs))
    bbox = runs.bbox if len(runs) else np.zeros((0, 4), dtype=np.int64)
    heights, widths = bbox[:, 2] - bbox[:, 0], bbox[:, 3] - bbox[:, 1]
    order = np.argsort(heights, kind="stable")  # regions of like height share a strip
    first = 0
    while first < len(order):
        room = (np.cumsum(widths[order[first:]] + 1) + 1) * (heights[order[first:]] + 2)
        last = first + max(1, int(np.searchsorted(room, STRIP_PIXELS, side="right")))
        chosen = order[first:last]
        result[chosen] = _strip_perimeters(runs.chosen(chosen), bbox[chosen])
        first = last
    return result


def _strip_perimeters(runs: Runs, bbox: NDArray[np.int64]) -> NDArray[np.float64]:
    """Perimeters of a few regions, painted side by side with a pixel between them."""
    widths = bbox[:, 3] - bbox[:, 1]
    height = int((bbox[:, 2] - bbox[:, 0]).max()) + 2
    ends = np.cumsum(widths + 1)
    left = ends - widths  # strip column where each region begins; column 0 is empty
    begin = (runs.x + runs.spread(left - bbox[:, 1])) * height + (runs.y - runs.spread(bbox[:, 0])) + 1
    steps = np.zeros((int(ends[-1]) + 1) * height, dtype=np.int8)
    steps[begin] += 1
    steps[begin + runs.length] -= 1
    strip = np.cumsum(steps, dtype=np.int8).view(np.uint8).reshape(-1, height)  # (columns, rows) of 0 and 1
    border = strip - cv2.erode(strip, CROSS, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    codes = cv2.filter2D(border, cv2.CV_8U, NEIGHBOURS, borderType=cv2.BORDER_CONSTANT)
    where = np.flatnonzero(border)
    region = np.repeat(np.arange(len(runs)), widths + 1)[where // height - 1]
    seen = np.bincount(region * 50 + codes.ravel()[where], minlength=50 * len(runs))
    return seen.reshape(-1, 50) @ STEP_LENGTHS


def euler_numbers(runs: Runs) -> NDArray[np.int64]:
    """(N,) connected parts less holes of every region; parts touch by edges and corners (8-neighbours).

    Runs and the contacts between runs of neighbouring columns form a graph whose every loop goes around a
    hole, so parts - holes = runs - contacts.
    """
    height, width = runs.size
    column = runs.owner * (width + 2) + runs.x
    starts = column * (height + 2) + runs.y
    ends = starts + runs.length
    following = (column + 1) * (height + 2) + runs.y
    contacts = np.searchsorted(starts, following + runs.length, side="right")
    contacts -= np.searchsorted(ends, following, side="left")
    return runs.counts - runs.sum(contacts.astype(np.int64))
