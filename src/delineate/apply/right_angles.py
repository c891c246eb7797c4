"""Right angles for the outlines of buildings: walls snapped to one direction and the one across it.

The direction is the mean of all edges' directions modulo 90 degrees, long edges weighing more. Then every
edge near it or its normal becomes a wall: all points of a wall get one coordinate across it, the mean of the
wall's edges by their length. That is the least-squares answer with right angles as hard constraints (squaring
as in Lokhat and Touya, "Enhancing building footprints with squaring operations", Journal of Spatial
Information Science 13, 2016), and it splits into independent means, one for each wall. Short edges between
walls are closed: the walls meet, or become one. Longer slanting edges stay as they are. At the end the
outline is scaled about its middle to the area that it had.

Neighbours that share a border are squared together, in one direction, their common points moving as one: no
gap or overlap arises. Where the result would fit worse than is allowed, the outline stays as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from delineate.core.convert.shapely import Geometries, from_shapely, shapely_package, to_shapely
from delineate.core.polygons import Polygon

from .coverage import neighbours

Ints = NDArray[np.int64]
Points = NDArray[np.float64]
WALL = np.radians(30)
"""An edge within so much of a wall's direction becomes a wall; others slant."""
LEAST_IOU = 0.75
"""A squared outline that overlaps its mask less is not taken."""
COST = 0.002
"""Of two results the one with fewer points is taken where each point less costs at most so much IoU."""


@dataclass(frozen=True, eq=False)
class Squared:
    """Outlines with right angles.

    Attributes:
        shapes: (N,) geometries.
        done: (N,) bool; False where the outline stayed as it was.
        direction: (N,) degrees, 0 to below 90, of the walls from the x axis; NaN where not done.
    """

    shapes: Geometries
    done: NDArray[np.bool_]
    direction: NDArray[np.float64]


def square(shapes: Geometries, exact: Geometries, step: float) -> Squared:
    """Outlines with right angles, those that touch squared together.

    Args:
        shapes: (N,) simplified outlines, a coverage, in metres (or any plane unit with square axes).
        exact: (N,) the outlines they stand for, to which the fit is measured.
        step: edges shorter than this between walls are closed; three tolerances of simplifying are enough.

    Example:
        >>> rough = to_shapely([[Polygon([[0, 0], [10, 0.4], [10.2, 5], [0.2, 5.2]])]])
        >>> done = square(rough, rough, 0.5)
        >>> ring = from_shapely(done.shapes[0])[0].exterior
        >>> sides = np.roll(ring, -1, axis=0) - ring
        >>> len(ring), bool(np.abs((sides * np.roll(sides, 1, axis=0)).sum(axis=1)).max() < 1e-9)
        (4, True)
    """
    result, direction = shapes.copy(), np.full(len(shapes), np.nan)
    group = neighbours(shapes)
    order = np.argsort(group, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        if not len(members):
            continue
        found = _best([from_shapely(shapes[k]) for k in members.tolist()], exact[members], step)
        if found is not None:
            result[members], angle = found
            direction[members] = np.degrees(angle) % 90
    while len(crossed := _overlapping(result, group)):  # what was apart must stay so
        back = np.isin(group, group[crossed]) & np.isfinite(direction)
        result[back], direction[back] = shapes[back], np.nan
        if not back.any():
            break
    return Squared(result, np.isfinite(direction), direction)


def _overlapping(shapes: Geometries, group: Ints) -> Ints:
    """The shapes that now overlap a shape of another group."""
    package = shapely_package()
    if not len(shapes):
        return group
    i, j = package.STRtree(shapes).query(shapes, predicate="intersects")
    other = group[i] != group[j]
    i, j = i[other], j[other]
    met: Ints = np.unique(i[package.area(package.intersection(shapes[i], shapes[j])) > 0])
    return met


def _best(
    objects: Sequence[Sequence[Polygon]], exact: Geometries, step: float
) -> tuple[Geometries, float] | None:
    """The result that fits best, of two directions and two lengths of steps; None where none fits."""
    package = shapely_package()
    graph = _Graph.of(objects)
    if not len(graph.points):
        return None
    best: tuple[float, Geometries, float] | None = None
    for angle, short in product(_directions(graph, step), (step, step / 2)):
        made = graph.squared(angle, short)
        if made is None:
            continue
        shapes = _scaled(to_shapely(made), float(package.area(exact).sum()))
        valid = package.is_valid(shapes).all() and (len(shapes) == 1 or package.coverage_is_valid(shapes))
        if not valid or package.is_empty(shapes).any():
            continue
        shared = package.area(package.intersection(shapes, exact))
        iou = shared / (package.area(shapes) + package.area(exact) - shared)
        if iou.min() < LEAST_IOU:
            continue
        worth = float(iou.mean()) - COST * float(package.get_num_coordinates(shapes).mean())
        if best is None or worth > best[0]:
            best = worth, shapes, angle
    return None if best is None else (best[1], best[2])


def _scaled(shapes: Geometries, area: float) -> Geometries:
    """The same about their common middle, with so much area in all."""
    package = shapely_package()
    now = float(package.area(shapes).sum())
    if now <= 0 or area <= 0:
        return shapes
    middle = package.get_coordinates(package.centroid(package.geometrycollections(shapes)))[0]
    factor = np.sqrt(area / now)
    scaled: Geometries = package.transform(shapes, lambda points: middle + (points - middle) * factor)
    return scaled


def direction_of(edges: Points) -> float:
    """The walls' direction in radians, -pi/4 to pi/4, from the edges (E, 2): their mean modulo a right angle.

    Each edge weighs as the square of its length, so that walls count and the corners' crumbs do not.

    Example:
        >>> round(float(np.degrees(direction_of(np.array([[10, 1.0], [-1, 10.0], [0.1, 0.1]])))), 1)
        5.7
    """
    angle = np.arctan2(edges[:, 1], edges[:, 0])
    weight = np.square(edges).sum(axis=1)
    return float(np.angle((weight * np.exp(4j * angle)).sum()) / 4)


def _directions(graph: _Graph, step: float) -> list[float]:
    """The mean of all edges, as it is and turned to fit the walls it makes; the longest edge's, turned so."""
    edges = graph.points[graph.edges[:, 1]] - graph.points[graph.edges[:, 0]]
    longest = edges[[int(np.square(edges).sum(axis=1).argmax())]]
    mean = direction_of(edges)
    found = (mean, graph.refined(mean, step / 3), graph.refined(direction_of(longest), step / 3))
    return list({round(angle, 4): angle for angle in found}.values())


@dataclass(frozen=True, eq=False)
class _Walls:
    """Points in the frame of the walls.

    Attributes:
        turn: (2, 2) from the plane to the frame, for rows of points.
        at: (P, 2) the points in the frame.
        length: (E,) of the edges.
        short: (E,) bool, edges that are closed.
        level: (E,) bool, edges of walls along x.
        upright: (E,) bool, edges of walls along y.
    """

    turn: Points
    at: Points
    length: Points
    short: NDArray[np.bool_]
    level: NDArray[np.bool_]
    upright: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class _Graph:
    """The points and edges of outlines that may share them.

    Attributes:
        points: (P, 2) each point once.
        edges: (E, 2) its two points, each edge once, whichever outlines it belongs to.
        rings: per object, per part, per ring the points' numbers.
    """

    points: Points
    edges: Ints
    rings: list[list[list[Ints]]]

    @classmethod
    def of(cls, objects: Sequence[Sequence[Polygon]]) -> _Graph:
        every = [ring for parts in objects for part in parts for ring in part.rings]
        if not every:
            return cls(np.zeros((0, 2)), np.zeros((0, 2), np.int64), [])
        points, number = np.unique(np.concatenate(every), axis=0, return_inverse=True)
        lengths = np.cumsum([len(ring) for ring in every])[:-1]
        numbers = iter(np.split(number.reshape(-1), lengths))
        rings = [[[next(numbers) for _ in part.rings] for part in parts] for parts in objects]
        flat = [ring for parts in rings for part in parts for ring in part]
        pairs = np.concatenate([np.stack((r, np.roll(r, -1)), axis=1) for r in flat])
        return cls(points, np.unique(np.sort(pairs, axis=1), axis=0), rings)

    def _turned(self, angle: float, step: float) -> _Walls:
        """The points with walls of this direction along the axes, and what each edge is then."""
        cosine, sine = np.cos(angle), np.sin(angle)
        turn = np.array([[cosine, -sine], [sine, cosine]])
        at = self.points @ turn
        across = np.abs(at[self.edges[:, 1]] - at[self.edges[:, 0]])
        length = np.hypot(across[:, 0], across[:, 1])
        slant = np.arctan2(across.min(axis=1), across.max(axis=1)) > WALL
        short = length < np.where(slant, 2 * step, step)  # corners cut off are slanted
        level = (across[:, 0] >= across[:, 1]) & ~slant  # runs along x: its points share y
        upright = (across[:, 0] < across[:, 1]) & ~slant
        return _Walls(turn, at, length, short, level, upright)

    def refined(self, angle: float, step: float) -> float:
        """The direction that fits all walls best, each a straight line through its edges (least squares).

        An edge alone is swayed by the steps of pixels; a wall of several edges tells its direction better.
        """
        w = self._turned(angle, step)
        slope = weight = 0.0
        for along, own, sign in ((0, w.level, 1.0), (1, w.upright, -1.0)):
            told = own & ~w.short
            _, wall = self._walls(w.at[:, 1 - along], own | w.short, told, w.length)
            ends = w.at[self.edges[told]]
            size, owner = w.length[told], wall[self.edges[told, 0]]
            total = np.bincount(owner, size)
            middle = ends.mean(axis=1)
            mean = np.stack([np.bincount(owner, size * middle[:, k]) for k in (0, 1)], axis=1)
            off = middle - mean[owner] / total[owner, None]
            half = (ends[:, 1] - ends[:, 0]) / 2
            both = size[:, None] * (off * off[:, ::-1] + half * half[:, ::-1] / 3)
            square = size * (off[:, along] ** 2 + half[:, along] ** 2 / 3)
            slope += sign * float(both[:, 0].sum())
            weight += float(square.sum())
        return angle + float(np.arctan2(slope, weight)) if weight > 0 else angle

    def squared(self, angle: float, step: float) -> list[list[Polygon]] | None:
        """The outlines with walls along ``angle`` and across it; None where one collapses."""
        w = self._turned(angle, step)
        x, x_wall = self._walls(w.at[:, 0], w.upright | w.short, w.upright & ~w.short, w.length)
        y, y_wall = self._walls(w.at[:, 1], w.level | w.short, w.level & ~w.short, w.length)
        key = x_wall * len(self.points) + y_wall
        back = np.stack((x[x_wall], y[y_wall]), axis=1) @ w.turn.T
        degree = self._degree(key)
        made = [
            [[_without_repeats(ring, key, x_wall, y_wall, degree) for ring in part] for part in parts]
            for parts in self.rings
        ]
        if any(len(part[0]) < 3 for parts in made for part in parts):
            return None
        return [
            [Polygon(back[p[0]], tuple(back[hole] for hole in p[1:] if len(hole) > 2)) for p in parts]
            for parts in made
        ]

    def _walls(
        self, values: Points, joined: NDArray[np.bool_], told: NDArray[np.bool_], length: Points
    ) -> tuple[Points, Ints]:
        """The coordinate of each wall, and the wall of each point.

        Args:
            values: (P,) the points' coordinate across such walls.
            joined: (E,) edges whose two points lie on one wall.
            told: (E,) those of them that say where it lies.
            length: (E,) of the edges.
        """
        count = len(values)
        i, j = self.edges[joined].T
        graph = coo_array((np.ones(len(i), np.int8), (i, j)), shape=(count, count))
        walls, wall = connected_components(graph, directed=False)
        middle = values[self.edges].mean(axis=1)[told]
        owner = wall[self.edges[told, 0]]
        weight = np.bincount(owner, length[told], walls)
        total = np.bincount(owner, length[told] * middle, walls)
        plain = np.bincount(wall, values, walls) / np.bincount(wall, minlength=walls)
        place = np.divide(total, weight, out=plain, where=weight > 0)
        return place, wall.astype(np.int64)

    def _degree(self, key: Ints) -> dict[int, int]:
        """To how many other places each place is joined."""
        pairs = np.sort(key[self.edges], axis=1)
        pairs = np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)
        places, counts = np.unique(pairs, return_counts=True)
        return dict(zip(places.tolist(), counts.tolist(), strict=True))


def _without_repeats(ring: Ints, key: Ints, x_wall: Ints, y_wall: Ints, degree: dict[int, int]) -> Ints:
    """The ring's points without those that fell together, and without those in the middle of one wall.

    A point where three outlines meet stays, for its neighbours need it.
    """
    kept = ring[key[ring] != key[np.roll(ring, 1)]]
    while len(kept) > 2:
        before, after = np.roll(kept, 1), np.roll(kept, -1)
        straight = (x_wall[kept] == x_wall[before]) & (x_wall[kept] == x_wall[after])
        straight |= (y_wall[kept] == y_wall[before]) & (y_wall[kept] == y_wall[after])
        straight &= np.array([degree.get(k, 0) < 3 for k in key[kept].tolist()])
        if not straight.any():
            break
        kept = kept[~straight]
        kept = kept[key[kept] != key[np.roll(kept, 1)]] if len(kept) else kept
    result: Ints = kept
    return result
