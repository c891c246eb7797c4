"""Objects taken away: what was behind them is taken from other frames, else made up from what is around."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from .clusters import clusters

Picture = NDArray[np.uint8]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]
Matrix = NDArray[np.float64]

STRIDE = 4  # every so many frames one is kept to look for the background in
KEPT = 16  # so many at most
AHEAD = 30  # frames that are shown before they are composed, where that is possible
LONGEST = 480  # pixels of the longer side on which the camera's motion is looked for
STILL = 0.08  # pixels of motion, on that side, below which the camera stands
BUSY = 0.02  # weight of a pixel that shows some other object, against one that shows none
AROUND = 12  # pixels of a hole's surroundings that are looked at
LIKENESS = 18.0  # grey levels: colours that differ more from the rest count little


class View(NamedTuple):
    """A frame that is kept.

    Attributes:
        number: the frame's.
        place: 3 x 3, from its pixels to those of the first frame.
        picture: (H, W, 3) uint8.
        weight: (H, W) float32: 0 in holes, BUSY on other objects, else 1.
    """

    number: int
    place: Matrix
    picture: Picture
    weight: Floats


class Backdrop:
    """The background of a video as far as other frames show it; bounded memory.

    Frames are shown in order by :meth:`see`, and filled in the same order by :meth:`fill`, at once or some
    frames later, so that a frame is filled from those before and after it.
    """

    def __init__(self) -> None:
        self._views: deque[View] = deque(maxlen=KEPT)
        self._places: deque[Matrix] = deque()
        self._number = 0
        self._place = np.eye(3)
        self._last: tuple[NDArray[np.uint8], Bools] | None = None
        self._before: tuple[Matrix, Picture] | None = None

    def see(self, picture: Picture, hole: Bools, busy: Bools) -> None:
        """The next frame: (H, W, 3) uint8, what is to go in it, and where other objects are, (H, W) each."""
        grey, free, scale = _small(picture, hole | busy)
        if self._views and self._views[-1].picture.shape != picture.shape:  # another video begins
            self._views.clear()
            self._before = None
        if self._last is not None and self._last[0].shape == grey.shape:
            step = camera_step(self._last[0], grey, self._last[1])
            zoom = np.diag([scale, scale, 1.0])
            self._place = self._place @ np.linalg.inv(zoom) @ np.linalg.inv(step) @ zoom
        self._last = (grey, free)
        self._places.append(self._place)
        if self._number % STRIDE == 0:
            weight = np.where(hole, 0, np.where(busy, BUSY, 1)).astype(np.float32)
            self._views.append(View(self._number, self._place, picture, weight))
        self._number += 1

    def fill(self, picture: Picture, hole: Bools) -> Picture:
        """The next frame without what is in its hole."""
        place = self._places.popleft()
        result = picture.copy()
        for rows, columns, own in clusters(hole, AROUND):
            part, gap = picture[rows, columns], hole[rows, columns]
            plate, known = self._plate(place, (columns.start, rows.start), part, gap)
            made = fill(_joined(part, plate, gap, known), gap & ~known)
            result[rows, columns][own] = made[own]
        self._before = (place, result)
        return result

    def _plate(
        self, place: Matrix, corner: tuple[int, int], part: Picture, gap: Bools
    ) -> tuple[Floats, Bools]:
        """What other frames show in a window: (h, w, 3) float32, and where they show it."""
        size = (part.shape[1], part.shape[0])
        shift = np.array([[1, 0, corner[0]], [0, 1, corner[1]], [0, 0, 1.0]])
        ring = ~gap
        stack, weights = [], []
        for view in self._views:
            path = np.linalg.inv(view.place) @ place @ shift
            colours = _warped(view.picture, path, size).astype(np.float32)
            weight = _warped(view.weight, path, size)
            apart = abs(colours - part).mean(axis=2)
            both = ring & (weight > 0.5)
            fit = float(np.median(apart[both])) if both.any() else LIKENESS
            stack.append(colours)
            weights.append(weight * np.float32(np.exp(-((fit / LIKENESS) ** 2)) + 1e-3))
        if self._before is not None:  # what was made up before stays, where nothing better is known
            path = np.linalg.inv(self._before[0]) @ place @ shift
            stack.append(_warped(self._before[1], path, size).astype(np.float32))
            inside = _warped(np.ones(self._before[1].shape[:2], np.float32), path, size)
            weights.append(np.where(inside > 0.99, np.float32(1e-6), np.float32(0)))
        if not stack:
            return part.astype(np.float32), np.zeros(gap.shape, np.bool_)
        return _agreed(np.stack(stack), np.stack(weights))


def _agreed(stack: NDArray[np.float32], weights: NDArray[np.float32]) -> tuple[Floats, Bools]:
    """The colour that most agree on: a weighted mean, then once more without those far from it."""
    total = weights.sum(axis=0)
    mean = (stack * weights[..., None]).sum(axis=0) / np.maximum(total, 1e-12)[..., None]
    away = abs(stack - mean).mean(axis=-1)
    closer = weights * np.exp(-((away / LIKENESS) ** 2)) + weights * np.float32(1e-4)
    sums = closer.sum(axis=0)
    colour = (stack * closer[..., None]).sum(axis=0) / np.maximum(sums, 1e-20)[..., None]
    return colour.astype(np.float32), np.asarray(total > 0)


def _joined(part: Picture, plate: Floats, gap: Bools, known: Bools) -> Picture:
    """The plate in the gap, its light fitted to the frame's along the rim."""
    take = gap & known
    if not take.any():
        return part
    rim = (~gap & known).astype(np.float32)[..., None]
    rest = (part - plate) * rim
    rest *= abs(rest).max(axis=2, keepdims=True) < 3 * LIKENESS  # what has moved says nothing of the light
    reach = max(3.0, max(gap.shape) / 8)
    parts = cv2.GaussianBlur(np.concatenate([rest, rim], -1), (0, 0), reach, borderType=cv2.BORDER_REFLECT)
    light = parts[..., :3] / np.maximum(parts[..., 3:], 1e-3)
    fitted = np.clip(np.rint(plate + light), 0, 255).astype(np.uint8)
    return np.where(take[..., None], fitted, part).astype(np.uint8)


def camera_step(before: NDArray[np.uint8], after: NDArray[np.uint8], free: Bools) -> Matrix:
    """The camera's motion between two frames.

    Corners (Shi and Tomasi 1994) outside the objects are followed (Lucas and Kanade) and a homography is
    fitted to those that agree (RANSAC).

    Args:
        before: (H, W) grey.
        after: (H, W) grey.
        free: (H, W) bool, pixels of ``before`` that belong to the background.

    Returns:
        3 x 3, from pixels of ``before`` to ``after``; the unit matrix where the camera stands or too little
        is seen of the background.
    """
    still = np.eye(3)
    corners: Any = cv2.goodFeaturesToTrack(before, 300, 0.01, 6, mask=free.astype(np.uint8))
    if corners is None or len(corners) < 8:
        return still
    found, status, _ = cv2.calcOpticalFlowPyrLK(before, after, corners, np.empty_like(corners))
    good = status.ravel() == 1
    first, second = corners[good].reshape(-1, 2), found[good].reshape(-1, 2)
    if len(first) < 8 or float(np.median(abs(second - first).max(axis=1))) < STILL:
        return still
    cv2.setRNGSeed(0)
    matrix, inliers = cv2.findHomography(first, second, cv2.RANSAC, 1.0)
    if matrix is None or inliers is None or inliers.sum() < 8 or abs(np.linalg.det(matrix) - 1) > 0.5:
        return still
    return np.asarray(matrix, np.float64)


def fill(picture: Picture, hole: Bools) -> Picture:
    """A picture with its hole filled from around it (Telea 2004, "An Image Inpainting Technique Based on the
    Fast Marching Method"): smooth, without new texture.

    Args:
        picture: (H, W, 3) uint8.
        hole: (H, W) bool.
    """
    result = picture.copy()
    for rows, columns, own in clusters(hole, AROUND):
        part, gap = np.ascontiguousarray(picture[rows, columns]), hole[rows, columns].astype(np.uint8)
        result[rows, columns][own] = cv2.inpaint(part, gap, 5, cv2.INPAINT_TELEA)[own]
    return result


def _small(picture: Picture, taken: Bools) -> tuple[NDArray[np.uint8], Bools, float]:
    """The frame in grey, no longer than LONGEST, where its background is, and the scale."""
    height, width = taken.shape
    scale = min(1.0, LONGEST / max(height, width))
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    grey = cv2.cvtColor(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    small = cv2.resize(taken.astype(np.uint8), size, interpolation=cv2.INTER_AREA)
    return np.asarray(grey), np.asarray(cv2.dilate(small, np.ones((5, 5), np.uint8)) == 0), size[0] / width


def _warped(values: NDArray[Any], path: Matrix, size: tuple[int, int]) -> NDArray[Any]:
    """A window of (width, height) whose pixel p shows ``values`` at ``path`` p; 0 outside."""
    moved = abs(path[:2, 2] - np.rint(path[:2, 2])).max() < 1e-6 and np.allclose(
        path - np.eye(3), np.array([[0, 0, path[0, 2]], [0, 0, path[1, 2]], [0, 0, 0]]), atol=1e-9
    )
    how = cv2.INTER_NEAREST if moved else cv2.INTER_LINEAR
    return cv2.warpPerspective(values, path, size, flags=how | cv2.WARP_INVERSE_MAP)


__all__ = ["AHEAD", "Backdrop", "camera_step", "fill"]
