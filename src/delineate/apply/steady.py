"""Edges that do not flicker: masks and alpha of a video carried from frame to frame along the optical flow.

Carried values are trusted only where the picture itself agrees with where the flow says that it came from,
and never reach beyond what the new frame's own alpha has nearby (neighbourhood clamping, as temporal
antialiasing does: Karis 2014, "High Quality Temporal Supersampling"), so nothing is left standing where an
object has been.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .follow import flow_between

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
LONGEST = 480  # pixels of the longer side on which the flow is looked for
LEVELS = 8.0  # grey levels of difference at which a carried value is trusted by 1/e, above the noise
SAME = 0.4  # mean trust below which it is another scene: cuts give 0.1 to 0.3, a pan of 20 pixels 0.99
NOISIEST = 4.0  # grey levels of change that are still taken for noise
FOUND = 0.2  # an object counts as found again when so much of where it should be is covered
SMALLEST = 30  # pixels of what is held; less is an edge


@dataclass(frozen=True, eq=False)
class Flow:
    """From the pixels of a frame to where they were in the frame before.

    Attributes:
        columns: (H, W) float32, x in the frame before.
        rows: (H, W) float32, y.
        trust: (H, W) float32 in 0..1: how well the picture agrees.
    """

    columns: Floats
    rows: Floats
    trust: Floats

    def carry(self, values: NDArray[Any]) -> Floats:
        """What (H, W) values of the frame before become in this one; 0 comes in from outside."""
        moved = cv2.remap(values.astype(np.float32), self.columns, self.rows, cv2.INTER_LINEAR)
        return np.asarray(moved, np.float32)


class Motion:
    """The flow of each frame of a video from the frame before; holds one small grey picture."""

    def __init__(self) -> None:
        self._last: NDArray[np.uint8] | None = None

    def step(self, picture: NDArray[np.uint8]) -> Flow | None:
        """The next frame's flow, (H, W, 3) uint8; None for the first, and after a change of size or a cut."""
        height, width = picture.shape[:2]
        scale = min(1.0, LONGEST / max(height, width))
        size = (max(8, round(width * scale)), max(8, round(height * scale)))
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
        last, self._last = self._last, grey
        if last is None or last.shape != grey.shape:
            return None
        back, trust = _explained(grey, last)
        if float(trust.mean()) < SAME:
            return None
        full = cv2.resize(back, (width, height), interpolation=cv2.INTER_LINEAR)
        columns = np.arange(width, dtype=np.float32) + full[..., 0] * np.float32(width / size[0])
        rows = np.arange(height, dtype=np.float32)[:, None] + full[..., 1] * np.float32(height / size[1])
        wide = cv2.resize(trust, (width, height), interpolation=cv2.INTER_LINEAR)
        return Flow(columns, rows, np.asarray(wide, np.float32))


def _explained(grey: NDArray[np.uint8], last: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """The flow from ``grey`` back to ``last``, (h, w, 2), and its trust, (h, w).

    Where standing still explains a pixel as well as the flow does, it stands still: what is carried there is
    then not blurred by being sampled anew in every frame.
    """
    back = flow_between(grey, last)
    rows, columns = np.mgrid[: grey.shape[0], : grey.shape[1]].astype(np.float32)
    smooth_now, smooth_last = (cv2.GaussianBlur(g.astype(np.float32), (0, 0), 1.0) for g in (grey, last))
    moved = cv2.remap(
        smooth_last,
        columns + back[..., 0],
        rows + back[..., 1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    differs, stands = abs(smooth_now - moved), abs(smooth_now - smooth_last)
    noise = min(NOISIEST, float(np.median(stands)))
    near_differs, near_stands = cv2.blur(differs, (5, 5)), cv2.blur(stands, (5, 5))
    still = near_stands <= near_differs + 0.5 * noise + 0.5
    back[still] = 0
    left = np.where(still, near_stands, near_differs)
    trust = np.exp(-(np.maximum(0, left - 2 * noise) ** 2) / LEVELS**2)
    return back, trust.astype(np.float32)


class Steady:
    """The alpha of one selection, calmed.

    Args:
        share: 0..1, of the carried alpha where it is fully trusted.
        reach: pixels around in which the new alpha sets the limits of what is carried.
    """

    def __init__(self, share: float, reach: int) -> None:
        self.share, self.reach = share, reach
        self._last: Floats | None = None

    def step(self, alpha: Floats, flow: Flow | None) -> Floats:
        """The next frame's alpha, (H, W) in 0..1, and its flow; gives the calmed one."""
        if self.share and flow is not None and self._last is not None and self._last.shape == alpha.shape:
            window = np.ones((2 * self.reach + 1,) * 2, np.uint8)
            carried = np.clip(flow.carry(self._last), cv2.erode(alpha, window), cv2.dilate(alpha, window))
            alpha = alpha + np.float32(self.share) * flow.trust * (carried - alpha)
        self._last = alpha
        return alpha


class Held:
    """The mask of one selection, with objects that were missed for a few frames where the flow takes them.

    Args:
        frames: for how many frames at most; 0 holds nothing.
    """

    def __init__(self, frames: int) -> None:
        self.frames = frames
        self._last: Bools | None = None
        self._age: NDArray[np.uint8] | None = None  # frames since each pixel of the mask was last found

    def step(self, mask: Bools, flow: Flow | None) -> Bools:
        """The next frame's mask, (H, W), and its flow; gives it with what is held."""
        age = np.zeros(mask.shape, np.uint8)
        held = mask
        if self.frames and flow is not None and self._last is not None and self._age is not None:
            held, age = self._with_missed(mask, flow, self._last, self._age)
        self._last, self._age = held, age
        return held

    def _with_missed(
        self, mask: Bools, flow: Flow, last: Bools, last_age: NDArray[np.uint8]
    ) -> tuple[Bools, NDArray[np.uint8]]:
        held, age = mask.copy(), np.zeros(mask.shape, np.uint8)
        moved = flow.carry(last) > 0.5
        if not (moved & ~mask).any():
            return held, age
        older = cv2.remap(last_age, flow.columns, flow.rows, cv2.INTER_NEAREST)
        count, parts, about, _ = cv2.connectedComponentsWithStats(moved.astype(np.uint8), connectivity=4)
        for k in range(1, count):
            x, y, w, h, area = about[k].tolist()
            here = (slice(y, y + h), slice(x, x + w))
            part = parts[here] == k
            since = int(older[here][part].max()) + 1
            seen = float(flow.trust[here][part].mean())
            if area >= SMALLEST and mask[here][part].mean() < FOUND and since <= self.frames and seen > 0.5:
                held[here] |= part
                age[here][part & ~mask[here]] = since
        return held, age
