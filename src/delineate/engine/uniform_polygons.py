"""Polygons of one density: as many points as a tolerance asks for, whoever drew them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.core.polygons import Polygon
from delineate.core.simplify import resample, simplify
from delineate.data.records import Dataset, Record

from .annotators import strokes

MIN_IOU = 0.9
HALVINGS = 4


@dataclass(frozen=True)
class UniformSettings:
    """How outlines are made uniform.

    Attributes:
        tolerance: pixels that an outline may lie from the one it replaces, >= 0.
        spacing: no edge is longer than so many pixels; 0 adds no points.
        min_iou: where mask and new mask overlap less, the tolerance is halved for that object, up to four
            times; a small object would lose its shape otherwise. 0..1.

    Raises:
        InputError: a setting out of range.
    """

    tolerance: float = 1.0
    spacing: float = 0.0
    min_iou: float = MIN_IOU

    def __post_init__(self) -> None:
        finite = np.isfinite([self.tolerance, self.spacing, self.min_iou]).all()
        if not finite or self.tolerance < 0 or self.spacing < 0 or not 0 <= self.min_iou <= 1:
            raise InputError(
                f"polygons: expected a tolerance and a spacing >= 0 pixels and an IoU in 0..1, got "
                f"{self.tolerance}, {self.spacing}, {self.min_iou}; give for example 1.0, 0, 0.9"
            )
        if 0 < self.spacing < 0.5:
            raise InputError(
                f"polygons, spacing: expected 0 or at least 0.5 pixels, got {self.spacing}; give 5"
            )


@dataclass(frozen=True, eq=False)
class UniformReport:
    """What became of N objects.

    Attributes:
        points_before: (N,) vertices, of drawn polygons or of exact pixel outlines.
        points_after: (N,) vertices.
        length_before: (N,) outline in pixels.
        length_after: (N,) outline in pixels.
        bound: (N,) pixels within which new and old outline lie.
        iou: (N,) of the masks, both rasterised from outlines by the even-odd rule.
        finer: objects for which the tolerance was halved.
        left: objects with a box alone, which stay as they are.
    """

    points_before: NDArray[np.int64]
    points_after: NDArray[np.int64]
    length_before: NDArray[np.float64]
    length_after: NDArray[np.float64]
    bound: NDArray[np.float64]
    iou: NDArray[np.float64]
    finer: int
    left: int

    def __str__(self) -> str:
        if not len(self.bound):
            return "no objects with masks"
        before, after = self.points_before, self.points_after
        dense = [_density(before, self.length_before), _density(after, self.length_after)]
        bound, iou = self.bound, self.iou
        lines = [
            f"{len(self.bound)} objects, {int(before.sum())} vertices before, {int(after.sum())} after",
            f"  vertices of an object       {_spread(before)}  ->  {_spread(after)}",
            f"  per 100 pixels of outline   {_spread(dense[0])}  ->  {_spread(dense[1])}",
            f"  distance of the outlines    at most {bound.max():.3f} px, mean bound {bound.mean():.3f} px",
            f"  IoU of the masks            mean {iou.mean():.4f}, least {iou.min():.4f}",
        ]
        if self.finer:
            lines.append(f"  {self.finer} small objects were simplified less")
        if self.left:
            lines.append(f"  {self.left} objects with a box alone stay as they are")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """The numbers as plain values, None where there are no objects."""
        some = len(self.bound) > 0
        return {
            "objects": len(self.bound),
            "vertices_before": int(self.points_before.sum()),
            "vertices_after": int(self.points_after.sum()),
            "hausdorff_bound": float(self.bound.max()) if some else None,
            "mean_bound": float(self.bound.mean()) if some else None,
            "mean_iou": float(self.iou.mean()) if some else None,
            "least_iou": float(self.iou.min()) if some else None,
            "simplified_less": self.finer,
            "boxes_alone": self.left,
        }


def _density(points: NDArray[np.int64], length: NDArray[np.float64]) -> NDArray[np.float64]:
    """Vertices per 100 pixels of outline."""
    return 100 * points / np.maximum(length, 1e-9)


def _spread(values: NDArray[Any]) -> str:
    low, middle, high = np.percentile(values, [5, 50, 95])
    return f"{middle:5.0f} (5 % {low:.0f}, 95 % {high:.0f})"


class UniformPolygons:
    """A dataset whose outlines are made uniform image by image, as they are asked for.

    Args:
        data: the dataset; its polygons as drawn, or the outlines of its masks.
        settings: how.
    """

    def __init__(self, data: Dataset, settings: UniformSettings) -> None:
        self.settings = settings
        self._of = data
        self._places = {record.image_id: index for index, record in enumerate(data.records)}
        self._last: tuple[int, Instances, list[Sequence[Polygon] | None]] | None = None
        self._rows: dict[int, tuple[NDArray[np.float64], int, int]] = {}
        self.data = replace(data, decode=self._decode, outlines=self._outlines)

    def report(self) -> UniformReport:
        """What became of the objects of all images asked for so far."""
        kept = [self._rows[key] for key in sorted(self._rows)]
        table = np.concatenate([np.zeros((0, 6)), *(rows for rows, _, _ in kept)])
        return UniformReport(
            points_before=table[:, 0].astype(np.int64),
            points_after=table[:, 1].astype(np.int64),
            length_before=table[:, 2],
            length_after=table[:, 3],
            bound=table[:, 4],
            iou=table[:, 5],
            finer=sum(finer for _, finer, _ in kept),
            left=sum(left for _, _, left in kept),
        )

    def _decode(self, record: Record, classes: Labels) -> tuple[Instances, tuple[str, ...]]:
        return self._made(record)[0], ()

    def _outlines(self, record: Record, classes: Labels) -> list[Sequence[Polygon] | None]:
        return self._made(record)[1]

    def _made(self, record: Record) -> tuple[Instances, list[Sequence[Polygon] | None]]:
        if self._last is None or self._last[0] != record.image_id:
            index = self._places[record.image_id]
            truth = self._of.truth(index)
            if truth.masks is None:
                self._rows[record.image_id] = np.zeros((0, 6)), 0, len(truth)
                self._last = record.image_id, truth, [None] * len(truth)
            else:
                self._last = record.image_id, *self._uniform(index, truth)
        return self._last[1:]

    def _uniform(self, index: int, truth: Instances) -> tuple[Instances, list[Sequence[Polygon] | None]]:
        old = self._of.polygons(index, truth)
        masks = _rasterized(old, truth.size)  # by the rule that the new ones are rasterised by
        bounds, tolerance = np.zeros(len(old)), np.full(len(old), self.settings.tolerance)
        iou, new = np.zeros(len(old)), list(old)
        todo = list(range(len(old)))
        for turn in range(HALVINGS + 2):
            for i in todo:
                new[i], bounds[i] = self._outline(old[i], tolerance[i], truth.size)
            drawn = _rasterized([new[i] for i in todo], truth.size)
            iou[todo] = [float(masks[i].iou(drawn[k])[0, 0]) for k, i in enumerate(todo)]
            todo = [i for i in todo if iou[i] < self.settings.min_iou]
            if not todo or turn > HALVINGS:
                break
            tolerance[todo] = tolerance[todo] / 2 if turn < HALVINGS else 0
        before, after = strokes(old), strokes(new)
        columns = (before.points, after.points, before.length, after.length, bounds, iou)
        finer = int((tolerance < self.settings.tolerance).sum())
        self._rows[self._of.records[index].image_id] = np.stack(columns, axis=1), finer, 0
        made = _rasterized(new, truth.size)
        return truth.replace(masks=made, boxes=made.boxes, areas=None), list(new)

    def _outline(
        self, parts: Sequence[Polygon], tolerance: float, size: tuple[int, int]
    ) -> tuple[list[Polygon], float]:
        found, bound = simplify(parts, tolerance, size)
        if self.settings.spacing:
            step = self.settings.spacing
            found = [
                Polygon(resample(part.exterior, step), tuple(resample(hole, step) for hole in part.holes))
                for part in found
            ]
        return found, bound


def _rasterized(objects: Sequence[Sequence[Polygon]], size: tuple[int, int]) -> Masks:
    """The masks; an object without any outline, such as an empty mask, stays empty."""
    filled = [k for k, parts in enumerate(objects) if parts]
    drawn = Masks.from_polygons([list(objects[k]) for k in filled], size)
    order = np.full(len(objects), len(filled))
    order[filled] = np.arange(len(filled))
    empty = Masks.from_crops([np.zeros((0, 0), np.bool_)], np.zeros((1, 2), np.int64), size)
    return Masks.concatenate([drawn, empty])[order]
