"""Two tracks go in and one mask comes out: the mask is divided by the shapes that the tracks had.

A detector that takes two touching objects for one gives one mask where two tracks are expected. Each expected
shape is laid where it explains the mask best, and each pixel goes to the shape that it lies deepest in. An
object that is merely hidden behind another is not meant: the mask then has no pixels left over for it.

The idea is that of splitting merged measurements by predicted shapes: Bose, Wang and Grimson, "Multi-class
Object Tracking Algorithm that Handles Fragmentation and Grouping", CVPR 2007, sections 3 and 4; the test by
area and the cut by signed distance are this program's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.masks import Masks

from .association import assign
from .round import Round

Bools = NDArray[np.bool_]
Index = NDArray[np.int64]
Floats = NDArray[np.float64]
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
    gain: float = 0.2
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


def split_merged(play: Round, settings: MergeSettings | None = None) -> None:
    """A step of a tracker: masks over two or more tracks are cut, and each part is paired with its track.

    Tracks take part that are confirmed, free, and were seen in one of the last ``settings.recent`` frames.
    """
    settings = settings or MergeSettings()
    tracks = play.tracks
    rows = np.flatnonzero(play.free_tracks & tracks.confirmed & (tracks.missing <= settings.recent + 1))
    if play.found.masks is None or len(rows) < 2:
        return
    expected = play.masks[rows]
    for column, under in suspects(play.found, expected, tracks.labels[rows], settings).items():
        if play.free_found[column] and (cut := divide(play.found.masks[column], expected[under], settings)):
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


def divide(merged: Masks, shapes: Masks, settings: MergeSettings) -> tuple[list[int], Masks] | None:
    """Cut one mask into parts by the shapes of the objects that may be under it.

    Args:
        merged: one mask.
        shapes: (K) expected shapes on the same image.
        settings: when and how.

    Returns:
        The shapes (rows) that are there and the part of each, disjoint, together the whole mask; None where
        fewer than two are there.
    """
    x1, y1, x2, y2 = (int(v) for v in merged.boxes[0])
    side = np.sqrt(np.maximum(shapes.area, 1))
    edge = int(np.ceil(side.max() * (1 + settings.reach))) + 1  # a shape may stand out of the mask
    window = (x1 - edge, y1 - edge, x2 + edge, y2 + edge)
    target = merged.window(*window).dense()[0]
    corner = np.array(window[:2])
    crops = [_crop(shapes, k, corner) for k in range(len(shapes))]
    there, places = _place(target, crops, settings)
    while len(there) > 1:
        parts = _cut(target, [_drawn(crops[k][0], places[k], target.shape) for k in there])
        poor = [
            n
            for n, k in enumerate(there)
            if _iou(parts[n], _drawn(crops[k][0], places[k], target.shape)) < settings.fit
        ]
        if not poor:
            return there, Masks.from_crops(parts, [corner.tolist()] * len(parts), merged.size)
        there = [k for n, k in enumerate(there) if n != poor[-1]]
    return None


Placed = tuple[Bools, tuple[int, int]]


def _crop(shapes: Masks, k: int, corner: Index) -> Placed:
    """One shape in its tight box, and where that begins in the window."""
    crop, (x, y) = shapes.crop(k)
    return crop, (x - int(corner[0]), y - int(corner[1]))


def _drawn(crop: Bools, place: tuple[int, int], size: Sequence[int]) -> Bools:
    """The shape in the window; what lies outside is cut off."""
    drawn = np.zeros(size, np.bool_)
    x, y = place
    top, left = max(-y, 0), max(-x, 0)
    inner = crop[top : max(top, size[0] - y), left : max(left, size[1] - x)]
    drawn[y + top : y + top + inner.shape[0], x + left : x + left + inner.shape[1]] = inner
    return drawn


def _place(
    target: Bools, crops: list[Placed], settings: MergeSettings
) -> tuple[list[int], dict[int, tuple[int, int]]]:
    """Which shapes are in the mask and where: each laid in turn where it explains most that none other does.

    Twice over all of them, so that the first can make room for the later ones; then those that explain too
    little are dropped, the least useful first.
    """
    places = {k: at for k, (_, at) in enumerate(crops)}
    drawn = [_drawn(crop, at, target.shape) for crop, at in crops]
    for _ in range(2):
        for k, (crop, at) in enumerate(crops):
            rest = np.any([d for n, d in enumerate(drawn) if n != k], axis=0)
            places[k] = _best(target, rest, crop, at, settings.reach)
            drawn[k] = _drawn(crop, places[k], target.shape)
    there = list(range(len(crops)))
    while len(there) > 1:
        gains = []
        for k in there:
            rest = np.any([drawn[n] for n in there if n != k], axis=0)
            alone = drawn[k] & ~rest
            good, area = int(np.count_nonzero(alone & target)), int(np.count_nonzero(crops[k][0]))
            gains.append((2 * good - int(np.count_nonzero(alone))) / max(area, 1))
        worst = int(np.argmin(gains))
        if gains[worst] >= settings.gain:
            break
        del there[worst]
    return there, places


def _best(target: Bools, rest: Bools, crop: Bools, at: tuple[int, int], reach: float) -> tuple[int, int]:
    """Where near ``at`` a shape explains most: +1 a pixel of the mask, 0 where another is, -1 outside it."""
    worth = np.where(target, np.where(rest, 0.0, 1.0), -1.0).astype(np.float32)
    area = float(np.count_nonzero(crop))
    far = max(1, round(reach * np.sqrt(area)))
    (x, y), (h, w) = at, crop.shape
    padded = np.pad(worth, max(h, w) + far, constant_values=-1)  # shapes may stand out of the window
    x, y = x + max(h, w) + far, y + max(h, w) + far
    search = padded[max(y - far, 0) : y + far + h, max(x - far, 0) : x + far + w]
    if search.shape != (2 * far + h, 2 * far + w):
        return at
    gain = cv2.matchTemplate(search, crop.astype(np.float32), cv2.TM_CCORR)
    dy, dx = np.mgrid[-far : far + 1, -far : far + 1]
    gain = gain - 0.2 * area * (dx * dx + dy * dy) / (far * far)  # rather where it is expected
    row, column = divmod(int(np.argmax(np.round(gain, 3))), gain.shape[1])
    return at[0] + column - far, at[1] + row - far


def _cut(target: Bools, drawn: list[Bools]) -> list[Bools]:
    """Each pixel of the mask to the shape that it lies deepest in, or nearest to."""
    depth = np.stack([_signed(shape) for shape in drawn])
    owner = np.argmin(depth, axis=0)
    return [target & (owner == k) for k in range(len(drawn))]


def _signed(shape: Bools) -> NDArray[Any]:
    """Distance in pixels to the shape's outline, negative inside."""
    pixels = shape.astype(np.uint8)
    outside = cv2.distanceTransform(1 - pixels, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return outside - cv2.distanceTransform(pixels, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def _iou(one: Bools, other: Bools) -> float:
    return int(np.count_nonzero(one & other)) / max(int(np.count_nonzero(one | other)), 1)
