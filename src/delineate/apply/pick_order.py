"""Which object hides which, how much of each shows, and in which order to pick them: from the top.

Along the border of two masks the nearer side hides the farther one. What is hidden of an object is guessed
from the outline that is its own: the ellipse or the rectangle that fits this part best goes on behind the
neighbours that hide the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .scene_cloud import SceneCloud

Floats = NDArray[np.float64]
STEP = 0.004
"""Metres that one side of a border must be nearer to count as in front."""
REACH = 5
"""Pixels across a border that are compared."""


@dataclass(frozen=True, eq=False)
class PickOrder:
    """How N objects lie.

    Attributes:
        hides: (N, N) pixels of border along which row hides column.
        hidden_border: (N,) share of each object's outline along which something nearer hides the rest, 0..1.
        visible: (N,) estimated share of each object's silhouette that shows, 0..1; NaN for an empty mask.
        order: (N,) objects in the order of picking.
    """

    hides: NDArray[np.int64]
    hidden_border: Floats
    visible: Floats
    order: NDArray[np.int64]

    def hidden_by(self, i: int) -> list[int]:
        """The objects that hide a part of object ``i``, the longest border first."""
        return [int(j) for j in np.argsort(-self.hides[:, i], kind="stable") if self.hides[j, i] > 0]


def pick_order(scene: SceneCloud) -> PickOrder:
    """Compares all neighbours.

    Args:
        scene: the frame; objects without points are neither compared nor, but at the end, picked.
    """
    count = len(scene.masks)
    hides = np.zeros((count, count), np.int64)
    border = np.zeros(count)
    visible = np.full(count, np.nan)
    whole = scene.masks.to_label_image()
    for i in range(count):
        found = _border(scene, whole, i)
        if found is None:
            continue
        rows, columns, length, behind = found
        for j in np.unique(behind[behind > 0]):
            hides[j - 1, i] = int((behind == j).sum())
        border[i] = (behind != 0).sum() / max(length, 1)
        visible[i] = _visible(whole, i, np.column_stack([columns, rows]), behind, hides[:, i])
    hides = np.where(hides > hides.T, hides, 0)
    hides[hides < REACH] = 0
    return PickOrder(hides, border, visible, _sorted(scene, hides, visible))


def _border(
    scene: SceneCloud, whole: NDArray[np.int32], i: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], int, NDArray[np.int64]] | None:
    """The outline's rows and columns, its length, and what hides the object there.

    That is j + 1 for object j, -1 for the background, 0 for nothing.
    """
    x1, y1, x2, y2 = (int(v) for v in scene.masks.boxes[i])
    mask = np.pad((whole[y1:y2, x1:x2] == i + 1).astype(np.uint8), 1)
    rings, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not rings:
        return None
    ring = max(rings, key=len).reshape(-1, 2).astype(np.int64) + np.array([x1 - 1, y1 - 1])
    inner, outer, who = _sides(scene.depth, whole, ring, i + 1)
    with np.errstate(invalid="ignore"):
        behind = np.where(outer < inner - STEP, np.where(who > 0, who, -1), 0)
    return ring[:, 1], ring[:, 0], len(ring), behind


def _sides(
    depth: NDArray[np.float32], whole: NDArray[np.int32], ring: NDArray[np.int64], own: int
) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """At each point of the outline: depth inside, the nearest depth outside in reach, and whose that is."""
    height, width = depth.shape
    step = np.arange(-REACH, REACH + 1)
    x = np.clip(ring[:, :1] + np.repeat(step, len(step)), 0, width - 1)
    y = np.clip(ring[:, 1:] + np.tile(step, len(step)), 0, height - 1)
    mine, value = whole[y, x] == own, depth[y, x]
    known = np.isfinite(value)
    inner = np.where(mine & known, value, -np.inf).max(axis=1)
    outside = np.where(known & ~mine, value, np.inf)
    rows, nearest = np.arange(len(ring)), outside.argmin(axis=1)
    who = whole[y[rows, nearest], x[rows, nearest]].astype(np.int64)
    return np.where(np.isfinite(inner), inner, np.nan), outside[rows, nearest], who


def _visible(
    whole: NDArray[np.int32],
    i: int,
    ring: NDArray[np.int64],
    behind: NDArray[np.int64],
    by: NDArray[np.int64],
) -> float:
    """Pixels of the mask over pixels of mask and guess."""
    seen = whole == i + 1
    area = int(seen.sum())
    own = ring[behind == 0]
    over = [int(j) + 1 for j in np.flatnonzero(by >= REACH)]
    if not over or len(own) < 8:
        return 1.0
    x1, y1 = ring.min(axis=0) - 200
    x2, y2 = ring.max(axis=0) + 200
    y1, x1 = max(0, int(y1)), max(0, int(x1))
    window = (slice(y1, int(y2)), slice(x1, int(x2)))
    hiding = np.isin(whole[window], over)
    best, worst = 1.0, np.inf
    for shape in (_ellipse, _rectangle):
        drawn = np.zeros(hiding.shape, np.uint8)
        miss = shape(drawn, own - (x1, y1))
        if miss < worst:
            worst = miss
            best = area / (area + int((drawn.astype(bool) & hiding & ~seen[window]).sum()))
    return float(best)


def _ellipse(drawn: NDArray[np.uint8], points: NDArray[np.int64]) -> float:
    """Draws the ellipse through points; its mean distance from them, in pixels (roughly)."""
    (x, y), (a, b), turn = cv2.fitEllipseDirect(points.astype(np.float32))
    if not (
        np.isfinite([x, y, a, b]).all() and min(a, b) > 2 and max(a, b) < 4 * np.ptp(points, axis=0).max()
    ):
        return np.inf
    cv2.ellipse(drawn, ((x, y), (a, b), turn), 1, -1)
    away = points - (x, y)
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    across, along = away @ (c, s) / (a / 2), away @ (-s, c) / (b / 2)
    radius = np.hypot(across, along)
    return float(np.abs(radius - 1).mean() * min(a, b) / 2)


def _rectangle(drawn: NDArray[np.uint8], points: NDArray[np.int64]) -> float:
    """Draws the smallest rectangle around points; their mean distance from its sides, in pixels."""
    (x, y), (w, h), turn = cv2.minAreaRect(points.astype(np.float32))
    if min(w, h) < 2:
        return np.inf
    corners = cv2.boxPoints(((x, y), (w, h), turn))
    cv2.fillPoly(drawn, [np.rint(corners).astype(np.int32)], 1)
    away = points - (x, y)
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    across, along = np.abs(away @ (c, s)), np.abs(away @ (-s, c))
    return float(np.minimum(np.abs(w / 2 - across), np.abs(h / 2 - along)).mean())


def _sorted(scene: SceneCloud, hides: NDArray[np.int64], visible: Floats) -> NDArray[np.int64]:
    """From the top: what nothing hides first; among those the one farthest out along the approach."""
    count = len(visible)
    approach = scene.approach
    tops = np.array([np.percentile(cloud @ approach, 5) if len(cloud) else np.inf for cloud in scene.clouds])
    left, order = list(range(count)), []
    while left:
        load = [int(hides[left, i].sum()) for i in left]
        least = min(load)
        ready = [i for i, n in zip(left, load, strict=True) if n == least]
        chosen = min(ready, key=lambda i: (np.isinf(tops[i]), tops[i], i))
        order.append(chosen)
        left.remove(chosen)
    return np.array(order, np.int64)


__all__ = ["PickOrder", "pick_order"]
