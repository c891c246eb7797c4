"""Two tracks go in and one mask comes out: the mask is divided by the shapes that the tracks had.

A detector that takes two touching objects for one gives one mask where two tracks are expected. Each expected
shape is laid where it explains the mask best, and each pixel goes to the shape that it lies deepest in. An
object that is merely hidden behind another is not meant: the mask then has no pixels left over for it.

The idea is that of splitting merged measurements by predicted shapes: Bose, Wang and Grimson, "Multi-class
Object Tracking Algorithm that Handles Fragmentation and Grouping", CVPR 2007, sections 3 and 4; the test by
area and the cut by signed distance are this program's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.masks import Masks

from .association import assign
from .laid import Shape, Window, worth
from .round import Round

Bools = NDArray[np.bool_]
Index = NDArray[np.int64]
NOBODY = -1


@dataclass(frozen=True)
class MergeSettings:
    """When a mask counts as merged, and how it is cut.

    Attributes:
        inside: part of an expected shape that must lie in the mask for its object to be looked for there.
        gain: an object is there if the pixels of the mask that it alone explains, less those that it would
            have outside the mask, are at least this part of its expected area.
        fit: IoU that each part must have with its shape where it was laid.
        alone: IoU from which a detection is the whole of one track; that track is not looked for elsewhere.
        reach: how far a shape may be moved from where it is expected, in parts of its mean side.
        recent: frames that a track may have been missing and still be looked for.
        most: objects that one mask may be divided into; masks over more are left whole.

    Raises:
        InputError: a value out of range.
    """

    inside: float = 0.5
    gain: float = 0.15
    fit: float = 0.3
    alone: float = 0.5
    reach: float = 0.3
    recent: float = 3
    most: int = 8

    def __post_init__(self) -> None:
        for name in ("inside", "gain", "fit", "alone", "reach"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(
                    f"MergeSettings, {name}: expected 0 to 1, got {getattr(self, name)}; correct it"
                )
        if self.most < 2:
            raise InputError(f"MergeSettings, most: expected 2 or more objects, got {self.most}; correct it")


def split_merged(
    play: Round, settings: MergeSettings | None = None, order: Callable[[Round, Index], Bools] | None = None
) -> None:
    """A step of a tracker: masks over two or more tracks are cut, and each part is paired with its track.

    Tracks take part that are confirmed, free, and were seen in one of the last ``settings.recent`` frames.
    ``order`` tells of some tracks, as rows, who is known to be in front of whom, (K, K) bool.
    """
    settings = settings or MergeSettings()
    tracks = play.tracks
    rows = np.flatnonzero(play.free_tracks & tracks.confirmed & (tracks.missing <= settings.recent + 1))
    if play.found.masks is None or len(rows) < 2:
        return
    expected = play.masks[rows]
    for column, under in suspects(play.found, expected, tracks.labels[rows], settings).items():
        if not play.free_found[column]:
            continue
        front = None if order is None else order(play, rows[under])
        cut = divide(play.found.masks[column], expected[under], settings, front)
        if cut is not None:
            there, parts = cut
            play.split(column, parts, rows[under[there]])


def suspects(found: Instances, expected: Masks, labels: Index, settings: MergeSettings) -> dict[int, Index]:
    """Detections that two or more tracks may be under.

    Args:
        found: N detections with masks.
        expected: (K) where each track is expected.
        labels: (K,) classes of the tracks; a mask is divided among tracks of its own class.
        settings: when and how.

    Returns:
        The detection's place to the tracks (rows), those deepest inside first.

    Raises:
        InputError: shapes and labels of different number, detections without masks or on another image size.
    """
    if found.masks is None or len(labels) != len(expected) or expected.size != found.size:
        raise InputError(
            f"suspects: expected detections with masks, {len(expected)} labels and shapes on an image of "
            f"{found.size}, got {len(labels)} and {expected.size}; give one label a shape, and this frame's"
        )
    i, j, shared = expected.intersection_pairs(found.masks)
    own, other = expected.area, found.masks.area
    iou = shared / (own[i] + other[j] - shared)
    same = labels[i] == found.labels[j]
    similarity = np.zeros((len(expected), len(found)))
    similarity[i[same], j[same]] = iou[same]
    home = np.full(len(expected), NOBODY)
    rows, columns = assign(similarity, settings.alone)
    home[rows] = columns
    under = same & (shared >= settings.inside * own[i]) & ((home[i] == NOBODY) | (home[i] == j))
    result: dict[int, list[int]] = {}
    order = np.lexsort((i, -shared / own[i], j))
    for k in order[under[order]].tolist():
        result.setdefault(int(j[k]), []).append(int(i[k]))
    return {place: np.array(tracks) for place, tracks in result.items() if 2 <= len(tracks) <= settings.most}


def divide(
    merged: Masks, shapes: Masks, settings: MergeSettings, in_front: Bools | None = None
) -> tuple[list[int], Masks] | None:
    """Cut one mask into parts by the shapes of the objects that may be under it.

    Args:
        merged: one mask.
        shapes: (K) expected shapes on the same image.
        settings: when and how.
        in_front: (K, K) bool, the first is known to be in front of the second; where two shapes lie over each
            other the pixels are the front one's. Default: unknown, the border runs midway.

    Returns:
        The shapes (rows) that are there and the part of each, disjoint, together the whole mask; None where
        fewer than two are there.
    """
    side = float(np.sqrt(shapes.area.max(initial=1)))
    window = Window.around(np.concatenate((merged.boxes, shapes.boxes)), merged.size, side, settings.reach)
    target = merged.window(window.x1, window.y1, window.x2, window.y2).dense()[0]
    expected = [Shape.of(shapes, k, window) for k in range(len(shapes))]
    there, drawn = _laid(target, expected, settings)
    while len(there) > 1:
        front = None if in_front is None else in_front[np.ix_(there, there)]
        parts = _cut(target, [drawn[k] for k in there], front)
        poor = [n for n, k in enumerate(there) if _fit(parts, n, drawn[k]) < settings.fit]
        if not poor:
            return there, Masks.from_crops(parts, [window.corner] * len(parts), merged.size)
        there = [k for n, k in enumerate(there) if n != poor[-1]]
    return None


def _laid(
    target: Bools,
    expected: list[Shape],
    settings: MergeSettings,
) -> tuple[list[int], list[Bools]]:
    """Which shapes are in the mask, and all of them laid, each where it explains most that none other does.

    Twice over all of them, so that the first can make room for the later ones; then those that explain too
    little are dropped, the least useful first.
    """
    drawn = [shape.drawn() for shape in expected]
    for _ in range(2):
        for k, shape in enumerate(expected):
            rest = np.any([d for n, d in enumerate(drawn) if n != k], axis=0)
            drawn[k] = shape.laid(worth(target, rest & target), settings.reach).drawn()
    there = list(range(len(expected)))
    while len(there) > 1:
        gains = []
        for k in there:
            rest = np.any([drawn[n] for n in there if n != k], axis=0)
            alone = drawn[k] & ~rest
            good = int(np.count_nonzero(alone & target))
            gains.append((2 * good - int(np.count_nonzero(alone))) / max(expected[k].area, 1))
        worst = int(np.argmin(gains))
        if gains[worst] >= settings.gain:
            break
        del there[worst]
    return there, drawn


def _cut(target: Bools, drawn: list[Bools], in_front: Bools | None) -> list[Bools]:
    """Each pixel of the mask to the shape that it lies deepest in, or nearest to, or to the front one."""
    depth = np.stack([_signed(shape) for shape in drawn])
    if in_front is not None:
        for a, b in np.argwhere(in_front & ~in_front.T).tolist():
            depth[b][drawn[a] & drawn[b]] = np.inf
        depth[np.all(np.isinf(depth), axis=0)[None] & np.stack(drawn)] = 0  # a circle of three
    owner = np.argmin(depth, axis=0)
    return [target & (owner == k) for k in range(len(drawn))]


def _signed(shape: Bools) -> NDArray[Any]:
    """Distance in pixels to the shape's outline, negative inside."""
    pixels = shape.astype(np.uint8)
    outside = cv2.distanceTransform(1 - pixels, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return outside - cv2.distanceTransform(pixels, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def _fit(parts: list[Bools], n: int, drawn: Bools) -> float:
    """How much of what could show of a shape is in its part: IoU, without what the other parts hide."""
    others = np.any([p for k, p in enumerate(parts) if k != n], axis=0)
    shape = drawn & ~others
    both = int(np.count_nonzero(shape & parts[n]))
    return both / max(int(np.count_nonzero(shape | parts[n])), 1)
