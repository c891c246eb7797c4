"""The camera's motion between two frames, from what does not move by itself.

Corners of the background (objects are masked out) are followed by sparse optical flow, and a similarity
transform is fitted to them by RANSAC, as in BoT-SORT (Aharon et al., arXiv:2206.14651, 2022, section 3.2).
Corners: Shi and Tomasi, "Good Features to Track", CVPR 1994. Flow: Lucas and Kanade, IJCAI 1981, in pyramids.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances

Floats = NDArray[np.float64]
STILL = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
"""The transform of a camera that stands still."""
FEWEST = 12  # points that must agree
REACH = 10  # pixels from a point to the edge of the window by which the flow follows it


class Camera:
    """Follows the camera through a video.

    Args:
        longest: the frames are shrunk to so many pixels on their longer side.
        share: part of the points that must agree, else the camera is taken to stand still.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> world = cv2.GaussianBlur(rng.integers(0, 255, (140, 200), dtype=np.uint8), (0, 0), 1.5)
        >>> camera, nobody = Camera(), Instances.empty((120, 160))
        >>> _ = camera.step(world[:120, :160], nobody)
        >>> camera.step(world[5:125, 7:167], nobody).round().astype(int).tolist()
        [[1, 0, -7], [0, 1, -5]]
    """

    def __init__(self, longest: int = 640, share: float = 0.4) -> None:
        self.longest, self.share = longest, share
        self._before: NDArray[np.uint8] | None = None
        self._usable: NDArray[np.uint8] | None = None

    def step(self, frame: NDArray[Any] | None, objects: Instances) -> Floats:
        """The motion since the frame before.

        Args:
            frame: (H, W) or (H, W, C) pixels of any number type; None where there are none.
            objects: what is seen in this frame; the next step looks for points outside their boxes.

        Returns:
            (2, 3): a point x of the frame before now lies at ``A[:, :2] @ x + A[:, 2]``. :data:`STILL` in the
            first frame, and where too few points agree.

        Raises:
            InputError: a frame that is not of the objects' size.
        """
        if frame is None:
            self._before = None
            return STILL
        if frame.shape[:2] != objects.size:
            raise InputError(
                f"tracker, frame: expected pixels of size {objects.size} (height, width), got "
                f"{frame.shape[:2]}; give the frame that the detections come from"
            )
        shrink = min(1.0, self.longest / max(objects.size))
        grey = _grey(frame, shrink)
        moved = STILL
        if self._before is not None and self._before.shape == grey.shape and self._usable is not None:
            moved = _fit(self._before, grey, self._usable, self.share)
        self._before, self._usable = grey, _background(objects, grey.shape, shrink)
        # from the shrunk frames' pixels to the frames'; pixel centres lie at halves
        half = (1 / shrink - 1) / 2
        offset = moved[:, 2] / shrink + (half - moved[:, :2] @ np.array([half, half]))
        return np.concatenate((moved[:, :2], offset[:, None]), axis=1)


def _grey(frame: NDArray[Any], shrink: float) -> NDArray[np.uint8]:
    """One plane of bytes, shrunk; other number types are stretched from their lowest to their highest."""
    plane = frame if frame.ndim == 2 else frame[..., :3].mean(axis=2) if frame.shape[2] != 3 else frame
    if plane.dtype != np.uint8:
        plane = plane.astype(np.float32)
    size = (max(round(frame.shape[1] * shrink), 1), max(round(frame.shape[0] * shrink), 1))
    if shrink < 1:
        plane = cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
    if plane.ndim == 3:
        plane = cv2.cvtColor(plane, cv2.COLOR_RGB2GRAY)
    if plane.dtype == np.uint8:
        return np.ascontiguousarray(plane)
    plane = np.nan_to_num(plane, posinf=0.0, neginf=0.0)
    low, high = float(plane.min()), float(plane.max())
    return np.asarray((plane - low) * (255 / max(high - low, 1e-9)), dtype=np.uint8)


def _background(objects: Instances, shape: tuple[int, ...], shrink: float) -> NDArray[np.uint8]:
    """255 where a window of the flow does not reach into an object's box."""
    usable = np.full(shape, 255, dtype=np.uint8)
    corners = np.concatenate(
        (np.floor(objects.boxes[:, :2] * shrink) - REACH, np.ceil(objects.boxes[:, 2:] * shrink) + REACH),
        axis=1,
    )
    for x1, y1, x2, y2 in np.clip(corners, 0, max(shape)).astype(np.int64).tolist():
        usable[y1:y2, x1:x2] = 0
    return usable


def _fit(
    before: NDArray[np.uint8], now: NDArray[np.uint8], usable: NDArray[np.uint8], share: float
) -> Floats:
    """The similarity transform from one frame to the next; a jerk is guessed where small steps fit badly."""
    points = cv2.goodFeaturesToTrack(before, maxCorners=400, qualityLevel=0.01, minDistance=6, mask=usable)
    if points is None or len(points) < FEWEST:
        return STILL
    moved = _followed(before, now, points, points.copy(), share)
    if moved is None:  # Kuglin and Hines, "The Phase Correlation Image Alignment Method", 1975
        (x, y), _ = cv2.phaseCorrelate(before.astype(np.float32), now.astype(np.float32))
        moved = _followed(before, now, points, points + np.array([x, y], dtype=np.float32), share)
    return STILL if moved is None else moved


def _followed(
    before: NDArray[np.uint8], now: NDArray[np.uint8], points: Any, guess: Any, share: float
) -> Floats | None:
    """The transform that the points agree on when they are looked for from ``guess`` on, or None."""
    ends, good, _ = cv2.calcOpticalFlowPyrLK(
        before,
        now,
        points,
        guess,
        winSize=(2 * REACH + 1, 2 * REACH + 1),
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
    kept = good.reshape(-1).astype(np.bool_)
    if kept.sum() < FEWEST:
        return None
    start, end = points.reshape(-1, 2)[kept], ends.reshape(-1, 2)[kept]
    moved, agree = cv2.estimateAffinePartial2D(start, end, method=cv2.RANSAC, ransacReprojThreshold=1.5)
    if moved is None or agree.sum() < max(FEWEST, share * len(start)):
        return None
    scale = float(np.hypot(moved[0, 0], moved[1, 0]))
    return np.asarray(moved, dtype=np.float64) if 0.8 < scale < 1.25 else None
