"""Footprints on the ground from masks: outlines simplified without gaps, squared, small ones left out.

It works on any tool's masks. All lengths are in the unit of the plane that the caller gives, usually metres;
an equal-area or local projection keeps right angles right, which degrees do not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from delineate.core.convert.shapely import Geometries, from_shapely, shapely_package, to_shapely
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.core.polygons import Polygon

from .coverage import disjoint, noded, simplified
from .right_angles import square

Points = NDArray[np.float64]
ToPlane = Callable[[Points], Points]
CRUMB = 2.0
"""Parts and holes smaller than the square of so many tolerances are left out when outlines are simplified."""

STEP = 3.0
"""Edges between walls that are shorter than so many tolerances are closed: simplifying makes such corners."""


@dataclass(frozen=True, eq=False)
class Footprints:
    """Outlines of N objects on a plane.

    Attributes:
        shapes: N objects, each its parts with holes, in the plane's unit.
        kept: (N,) int64 which of the given objects each is; objects without an area are not among them.
        fit: (N,) float64 IoU with the mask's exact outline, 0..1.
        squared: (N,) bool, whether its walls stand at right angles now.
        direction: (N,) degrees, 0 to below 90, of its walls from the plane's x axis; NaN where not squared.
        at_edge: (N,) bool, whether the image's edge cuts it.
        masks: N masks, without common pixels.
        empty: how many of the given objects had no pixel, or none of their own.
        small: how many were smaller than the least area.
        contested: pixels that several objects claimed; the surest has them.
    """

    shapes: tuple[tuple[Polygon, ...], ...]
    kept: NDArray[np.int64]
    fit: NDArray[np.float64]
    squared: NDArray[np.bool_]
    direction: NDArray[np.float64]
    at_edge: NDArray[np.bool_]
    masks: Masks
    empty: int = 0
    small: int = 0
    contested: int = 0

    def __len__(self) -> int:
        return len(self.kept)


def footprints(
    objects: Instances,
    to_plane: ToPlane,
    *,
    simplify: float = 0.0,
    regularise: bool = False,
    min_area: float = 0.0,
) -> Footprints:
    """Outlines of objects on the ground.

    Args:
        objects: with masks; where they overlap, a pixel goes to the one of higher score.
        to_plane: from pixel corners (P, 2) xy to the plane.
        simplify: tolerance in the plane's unit, 0 for outlines along pixel edges: corners whose triangle
            is smaller than its square go, on borders that neighbours share for both at once.
        regularise: right angles, see :func:`delineate.apply.right_angles.square`.
        min_area: objects of less area, in the plane's unit squared, are left out.

    Raises:
        InputError: boxes only, or a negative number.
        MissingDependencyError: shapely is not installed.

    Example:
        >>> masks = Masks.from_label_image(np.kron([[1, 2]], np.ones((6, 5), int)))
        >>> found = footprints(Instances((6, 10), masks=masks), lambda xy: xy * 0.5)
        >>> [parts[0].area for parts in found.shapes], found.fit.tolist()
        ([7.5, 7.5], [1.0, 1.0])
    """
    if objects.masks is None:
        raise InputError("footprints: expected masks, got boxes only; use a model that predicts masks")
    for name, value in (("simplify", simplify), ("min_area", min_area)):
        if not (np.isfinite(value) and value >= 0):
            raise InputError(
                f"footprints, {name}: expected a number of 0 or more, got {value}; leave it out for none"
            )
    apart, contested = disjoint(objects.masks, objects.scores)
    kept = np.flatnonzero(np.asarray(apart.area) > 0)
    empty = len(apart) - len(kept)
    masks = without_crumbs(apart[kept], to_plane, CRUMB * simplify)
    exact = _on_plane(masks, to_plane)
    large = shapely_package().area(exact) >= min_area if len(exact) else np.zeros(0, np.bool_)
    masks, exact, kept = masks[large], exact[large], kept[large]
    found = _drawn(exact, simplify, regularise)
    boxes = masks.boxes
    height, width = objects.size
    at_edge = (boxes[:, :2] <= 0).any(axis=1) | (boxes[:, 2] >= width) | (boxes[:, 3] >= height)
    return replace(
        found,
        kept=kept,
        at_edge=at_edge,
        masks=masks,
        empty=empty,
        small=int(np.count_nonzero(~large)),
        contested=contested,
    )


def _drawn(exact: Geometries, simplify: float, regularise: bool) -> Footprints:
    """The outlines, their fit and walls; the rest is filled in by the caller."""
    package = shapely_package()
    shapes = simplified(exact, simplify)
    done, direction = np.zeros(len(exact), np.bool_), np.full(len(exact), np.nan)
    if regularise and len(exact):
        squared = square(shapes, exact, STEP * simplify)
        shapes, done, direction = squared.shapes, squared.done, squared.direction
    fit = np.ones(len(exact))
    if len(exact) and (simplify > 0 or regularise):
        shared = package.area(package.intersection(shapes, exact))
        fit = shared / (package.area(shapes) + package.area(exact) - shared)
    none = np.zeros(0, np.int64)
    rings = tuple(tuple(from_shapely(shape)) for shape in shapes)
    return Footprints(rings, none, fit, done, direction, none.astype(np.bool_), Masks.empty((1, 1)))


def _on_plane(masks: Masks, to_plane: ToPlane) -> Geometries:
    """The exact outlines as a coverage on the plane."""
    outlines = noded(masks.to_polygons())
    moved = [
        [Polygon(to_plane(part.exterior), tuple(to_plane(hole) for hole in part.holes)) for part in parts]
        for parts in outlines
    ]
    return to_shapely(moved)


def without_crumbs(masks: Masks, to_plane: ToPlane, side: float) -> Masks:
    """Masks without parts and holes smaller than a square of ``side``, where another part is larger.

    A hole that another object fills stays one.

    Args:
        masks: N without common pixels.
        to_plane: from pixels to the plane.
        side: in the plane's unit.
    """
    if side <= 0 or not len(masks):
        return masks
    outlines = masks.to_polygons()
    corner = to_plane(np.array([[0.0, 0.0], [1, 0], [0, 1]]))
    pixel = abs(float(np.linalg.det(corner[1:] - corner[0])))
    least = side**2 / pixel  # in pixels, near enough anywhere in the image
    holes = [
        (k, Polygon(hole))
        for k, parts in enumerate(outlines)
        for part in parts
        for hole in part.holes
        if Polygon(hole).area < least
    ]
    crumbs = []
    for k, parts in enumerate(outlines):
        largest = max(part.area for part in parts)
        crumbs += [(k, p) for p in parts if p.area < least and p.area < largest]
    result = masks
    if holes:
        filled = Masks.from_polygons([[hole] for _, hole in holes], masks.size)
        taken = np.isin(np.arange(len(holes)), filled.intersection_pairs(masks)[0])
        owners = np.array([k for k, _ in holes])[~taken]
        both = Masks.concatenate([masks, filled[~taken]])
        result = both.merge(np.concatenate((np.arange(len(masks)), owners)))
    return _less(result, crumbs)


def _less(masks: Masks, crumbs: list[tuple[int, Polygon]]) -> Masks:
    """The masks without some of their parts."""
    if not crumbs:
        return masks
    gone: dict[int, list[Polygon]] = {}
    for k, part in crumbs:
        gone.setdefault(k, []).append(part)
    touched = np.array(sorted(gone))
    removed = Masks.from_polygons([gone[int(k)] for k in touched], masks.size)
    crops, corners = [], []
    for at, k in enumerate(touched.tolist()):
        crop, (x0, y0) = masks.crop(k)
        window = removed[at].window(x0, y0, x0 + crop.shape[1], y0 + crop.shape[0]).dense()[0]
        crops.append(crop & ~window)
        corners.append((x0, y0))
    rest = np.setdiff1d(np.arange(len(masks)), touched)
    order = np.argsort(np.concatenate((rest, touched)), kind="stable")
    cut = Masks.from_crops(crops, np.array(corners), masks.size)
    return Masks.concatenate([masks[rest], cut])[order]
