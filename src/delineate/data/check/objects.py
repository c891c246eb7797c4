"""The objects of one image: boxes against masks, outlines, duplicates, specks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from delineate.core.boxes import iou
from delineate.core.instances import Instances
from delineate.core.masks import Masks

from ..formats.coco_check import agrees
from ..formats.label_image import parts as count_parts
from ..records import Drawn, Record
from .finding import Finding
from .rings import Crossing, beyond, crossings, within

SAME = 0.9
"""From this IoU on, two objects are one that stands twice."""
TIGHT = 0.7
"""Below this IoU a box does not fit its mask, unless all edges are within :data:`SLACK` pixels."""
SLACK = 3.0
OUTSIDE = 2.0
"""An outline may reach so many pixels out of its image: rounding."""
LOOP = 4.0
"""A crossing counts where it cuts off so many square pixels, and :data:`LOOP_SHARE` of the ring's box."""
LOOP_SHARE = 0.01
SPECK = 4
"""A mask of fewer pixels is a speck."""
FAR = 3.0
"""Parts of one object are far apart where its box is so many times as long as the parts are together."""
RECTANGLE = 64
"""A mask of at least so many pixels that fills its box is a rectangle."""


def check_objects(record: Record, truth: Instances, drawn: Drawn) -> list[Finding]:
    """What is wrong with the objects of one image.

    Args:
        record: the image.
        truth: its objects, as training sees them.
        drawn: the polygons of each object as they were drawn, None where it has none.
    """
    of_each = _Objects(record, truth, drawn)
    found = [*of_each.outlines(), *of_each.holes(), *of_each.repeated()]
    if truth.masks is not None and len(truth):
        found += [*of_each.boxes(), *of_each.areas(), *of_each.shapes(truth.masks)]
    elif len(truth):
        found += of_each.outside_boxes()
    return found


class _Objects:
    def __init__(self, record: Record, truth: Instances, drawn: Drawn) -> None:
        self.record = record
        self.truth = truth
        self.split = record.groups.get("split", "")
        self.parts = [[part.exterior for part in parts or ()] for parts in drawn]
        self.drawn = [
            (k, ring) for k, parts in enumerate(drawn) for part in parts or () for ring in part.rings
        ]

    def _finding(self, kind: str, index: int, message: str) -> Finding:
        ids = self.truth.ids
        identity = int(ids[index]) if ids is not None else index + 1
        return Finding(kind, message, self.record.name, self.split, identity, index=index)

    def outlines(self) -> Iterator[Finding]:
        """Outlines that cross themselves or leave the image."""
        rings = [ring for _, ring in self.drawn]
        worst: dict[int, Crossing] = {}
        for crossing in crossings(rings):
            index, ring = self.drawn[crossing.ring]
            extent = float(np.prod(ring.max(axis=0) - ring.min(axis=0)))
            if crossing.cut >= max(LOOP, LOOP_SHARE * extent, worst[index].cut if index in worst else 0.0):
                worst[index] = crossing
        for index, crossing in worst.items():
            x, y = crossing.at
            more = "" if crossing.number == 1 else f" and in {crossing.number - 1} more places"
            told = f"crosses itself at ({x:.0f}, {y:.0f}){more}; the loop there has {crossing.cut:.0f} px²"
            yield self._finding("crossing", index, told)
        out: dict[int, float] = {}
        for (index, _), far in zip(self.drawn, beyond(rings, self.truth.size).tolist(), strict=True):
            out[index] = max(far, out.get(index, 0.0))
        for index, far in out.items():
            if far > OUTSIDE:
                yield self._finding("outside", index, f"reaches {far:.0f} px out of the image")

    def holes(self) -> Iterator[Finding]:
        """Rings inside other rings of the same object, which are filled where a hole was meant."""
        for index, parts in enumerate(self.parts):
            inner = [
                i for i, ring in enumerate(parts) if any(o is not ring and within(ring, o) for o in parts)
            ]
            if inner:
                x, y = parts[inner[0]].mean(axis=0).tolist()
                more = f" and {len(inner) - 1} more" if len(inner) > 1 else ""
                told = f"the ring around ({x:.0f}, {y:.0f}){more} lies inside another and is filled"
                yield self._finding("hole-filled", index, told)

    def outside_boxes(self) -> Iterator[Finding]:
        """Boxes that leave the image, where there are no masks."""
        height, width = self.truth.size
        boxes = self.truth.boxes
        out = np.maximum(-boxes[:, :2].min(axis=1), (boxes[:, 2:] - [width, height]).max(axis=1))
        for index in np.flatnonzero(out > OUTSIDE).tolist():
            yield self._finding("outside", index, f"its box reaches {out[index]:.0f} px out of the image")

    def repeated(self) -> Iterator[Finding]:
        """Pairs of objects that cover the same pixels."""
        truth = self.truth
        for i, j, overlap in _pairs(truth):
            if truth.crowd[i] or truth.crowd[j]:
                continue
            ids = truth.ids if truth.ids is not None else np.arange(len(truth)) + 1
            same = truth.labels[i] == truth.labels[j]
            if same:
                yield self._finding("duplicate", j, f"is object {ids[i]} again (IoU {overlap:.2f})")
            else:
                one, other = (truth.classes.name(int(truth.labels[k])) for k in (i, j))
                told = f"{other} here, {one} as object {ids[i]} (IoU {overlap:.2f})"
                yield self._finding("two-classes", j, told)

    def boxes(self) -> Iterator[Finding]:
        """Annotated boxes that do not fit the masks."""
        masks = self.truth.masks
        assert masks is not None
        given, own = self.truth.boxes, masks.boxes
        off = np.abs(given - own).max(axis=1)
        for index in np.flatnonzero((off > SLACK) & (masks.area > 0) & ~self.truth.crowd).tolist():
            overlap = float(iou(given[index : index + 1], own[index : index + 1])[0, 0])
            if overlap < TIGHT and agrees(tuple(given[index].tolist()), tuple(own[index].tolist())):
                box, mask = _show(given[index]), _show(own[index])
                yield self._finding("box", index, f"box {box} and mask {mask} have an IoU of {overlap:.2f}")

    def areas(self) -> Iterator[Finding]:
        """Annotated areas that are not the masks'."""
        masks, given = self.truth.masks, self.truth.areas
        if given is None or masks is None:
            return
        own = masks.area
        away = np.abs(given - own)
        boxes = np.prod(self.truth.boxes[:, 2:] - self.truth.boxes[:, :2], axis=1)
        for index in np.flatnonzero(
            (away > 16) & (away > 0.2 * own) & (own > 0) & ~self.truth.crowd
        ).tolist():
            hint = ", which is the box's" if abs(given[index] - boxes[index]) < 1 else ""
            yield self._finding("area", index, f"area {given[index]:.0f}{hint}; the mask has {own[index]} px")

    def shapes(self, masks: Masks) -> Iterator[Finding]:
        """Specks, rectangles and scattered parts; objects without any pixel."""
        area, boxes = masks.area, masks.boxes
        sides = boxes[:, 2:] - boxes[:, :2]
        for index in np.flatnonzero(area < SPECK).tolist():
            if area[index]:
                told = f"{area[index]} pixel{'s' if area[index] > 1 else ''}"
                yield self._finding("tiny", index, told)
            else:
                yield self._finding("no-pixels", index, "covers no pixel of the image")
        whole = np.prod(sides, axis=1)
        full = (area == whole) & (area >= RECTANGLE) & (sides.min(axis=1) >= 4) & ~self.truth.crowd
        for index in np.flatnonzero(full).tolist():
            width, height = sides[index].tolist()
            yield self._finding("rectangle", index, f"fills its box of {width:.0f} x {height:.0f} px")
        if not self.drawn:
            yield from self._scattered(masks, sides)

    def _scattered(self, masks: Masks, sides: NDArray[np.float32]) -> Iterator[Finding]:
        length = np.hypot(*sides.T)
        loose = np.flatnonzero(
            (length > FAR * 2 * np.sqrt(masks.area)) & (masks.area > 0) & ~self.truth.crowd
        )
        for index, number in zip(loose.tolist(), count_parts(masks[loose].runs).tolist(), strict=True):
            if number > 1:
                told = f"{number} parts over {length[index]:.0f} px, {masks.area[index]} px in all"
                yield self._finding("scattered", index, told)


def _pairs(truth: Instances) -> Iterator[tuple[int, int, float]]:
    """Pairs i < j that overlap by :data:`SAME`; each j once."""
    if truth.masks is not None:
        i, j, shared = truth.masks.intersection_pairs(truth.masks)
        area = truth.masks.area
        overlap = shared / (area[i] + area[j] - shared)
    else:
        table = iou(truth.boxes, truth.boxes)
        i, j = np.nonzero(table >= SAME)
        overlap = table[i, j]
    seen: set[int] = set()
    for k in np.flatnonzero((i < j) & (overlap >= SAME)).tolist():
        if int(j[k]) not in seen:
            seen.add(int(j[k]))
            yield int(i[k]), int(j[k]), float(overlap[k])


def _show(box: NDArray[np.float32]) -> str:
    return f"({', '.join(f'{value:.0f}' for value in box.tolist())})"
