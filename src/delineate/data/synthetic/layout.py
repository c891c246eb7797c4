"""Where the objects of a synthetic scene stand, and which lies in front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError

from .shapes import FORM, SHAPES

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
DIRECTIONS = 32  # in which an object's reach is tabulated
WAYS = np.stack([f(np.arange(DIRECTIONS) * (2 * np.pi / DIRECTIONS)) for f in (np.cos, np.sin)], axis=1)
LOOK = 8  # random numbers that decide how an object is painted
WANDER = 0.05  # the spacing of a neighbour varies by this part
TRIES = 8  # places that are tried for each object beside its clump, and as many elsewhere


@dataclass(frozen=True)
class SceneSettings:
    """What a synthetic scene is like.

    Attributes:
        size: (height, width) in pixels.
        objects: how many are set down; fewer where there is no room for more at that crowding.
        radius: least and greatest radius in pixels (half the height of a person).
        crowding: 0..1. Objects stand in clumps, each beside a neighbour at a centre distance of
            (1.5 - crowding) x (the sum of how far the two reach along the line between their centres),
            +- 5 %, and no closer to any other. At 0 the gap is half that sum, at 0.5 the two just touch, at
            1 the one lies over the other's half.
        clump: objects in a clump, on average.
        shapes: which of "cell", "ellipse", "polygon", "ring", "person"; each is a class.
        likeness: 0..1, how alike the objects of a scene look; at 1 only texture and outline tell them apart.
        contrast: 0..1, how much objects differ from the background.
        blur: sigma of the lens in pixels; 0 for none.
        noise: sigma of the sensor, where 1 is white.
        min_visible: an object of which a smaller part would show, or under 8 pixels, is left out.

    Raises:
        InputError: a value out of range, or an unknown shape.
    """

    size: tuple[int, int] = (256, 256)
    objects: int = 40
    radius: tuple[float, float] = (7.0, 13.0)
    crowding: float = 0.5
    clump: float = 8.0
    shapes: tuple[str, ...] = ("cell",)
    likeness: float = 0.8
    contrast: float = 0.5
    blur: float = 0.7
    noise: float = 0.03
    min_visible: float = 0.1

    def __post_init__(self) -> None:
        ranges = {
            "objects": (0, 100_000), "crowding": (0, 1), "clump": (1, 100_000), "likeness": (0, 1),
            "contrast": (0, 1), "blur": (0, 20), "noise": (0, 1), "min_visible": (0, 1),
        }  # fmt: skip
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(
                    f"synthetic scene, {name}: expected {low} to {high}, got {value}; correct it"
                )
        if len(self.size) != 2 or not all(8 <= side <= 16384 for side in self.size):
            raise InputError(
                f"synthetic scene, size: expected height and width of 8 to 16384 pixels, got {self.size}; "
                "give both, such as (256, 256)"
            )
        if len(self.radius) != 2 or not 2 <= self.radius[0] <= self.radius[1] <= 4096:
            raise InputError(
                f"synthetic scene, radius: expected least and greatest, 2 to 4096 pixels, got {self.radius}; "
                "give both, such as (7, 13)"
            )
        unknown = [name for name in self.shapes if name not in SHAPES]
        if unknown or not self.shapes or len(set(self.shapes)) < len(self.shapes):
            raise InputError(
                f"synthetic scene, shapes: expected some of {', '.join(SHAPES)}, each once, got "
                f"{', '.join(self.shapes) or 'none'}; choose of these"
            )


@dataclass(frozen=True)
class Layout:
    """N objects to draw, front to back.

    Attributes:
        shapes: names of the families.
        kinds: (N,) which of them.
        centers: (N, 2) xy in pixels, corner coordinates.
        radii: (N,) pixels.
        angles: (N,) radians, clockwise in the picture.
        forms: (N, FORM) in 0..1, the outline's random numbers.
        looks: (N, LOOK) in 0..1, the painter's random numbers.
    """

    shapes: tuple[str, ...]
    kinds: Ints
    centers: Floats
    radii: Floats
    angles: Floats
    forms: Floats
    looks: Floats

    def __len__(self) -> int:
        return len(self.kinds)

    def take(self, index: Any) -> Layout:
        """Chosen objects; ``index`` is a slice, boolean mask or index array."""
        names = ("kinds", "centers", "radii", "angles", "forms", "looks")
        return replace(self, **{name: getattr(self, name)[index] for name in names})


def joined(parts: Sequence[Layout]) -> Layout:
    """The objects of several layouts of the same shapes, one after the other."""
    return Layout(
        parts[0].shapes,
        np.concatenate([p.kinds for p in parts]),
        np.concatenate([p.centers for p in parts]),
        np.concatenate([p.radii for p in parts]),
        np.concatenate([p.angles for p in parts]),
        np.concatenate([p.forms for p in parts]),
        np.concatenate([p.looks for p in parts]),
    )


def reaches(layout: Layout) -> Floats:
    """(N, DIRECTIONS) pixels from the centre to the outline, for directions of 0, 1/32 .. 31/32 turns."""
    result = np.zeros((len(layout), DIRECTIONS))
    for kind, name in enumerate(layout.shapes):
        members = np.flatnonzero(layout.kinds == kind)
        if not len(members):
            continue
        family = SHAPES[name]
        k = family.coefficients(layout.forms[members])[:, :, None]
        turn = np.arange(DIRECTIONS) * (2 * np.pi / DIRECTIONS) - layout.angles[members, None]
        result[members] = family.reach(k, np.cos(turn), np.sin(turn)) * layout.radii[members, None]
    return result


def spacings(centers: Floats, reach: Floats, others: Floats, other_reach: Floats) -> Floats:
    """Centre distances over the sum of how far both reach along the line between them, (K, N): 1 touches.

    Args:
        centers: (K, 2) xy.
        reach: (K, DIRECTIONS) or (1, DIRECTIONS), as :func:`reaches` gives.
        others: (N, 2) xy.
        other_reach: (N, DIRECTIONS).
    """
    dx = others[:, 0] - centers[:, :1]  # (K, N)
    dy = others[:, 1] - centers[:, 1:]
    towards = np.rint(np.arctan2(dy, dx) * (DIRECTIONS / (2 * np.pi))).astype(np.int64)
    mine = reach.ravel().take(towards % DIRECTIONS + DIRECTIONS * np.arange(len(reach))[:, None])
    facing = (towards + DIRECTIONS // 2) % DIRECTIONS
    theirs = other_reach.ravel().take(facing + DIRECTIONS * np.arange(len(others)))
    result: Floats = np.sqrt(dx * dx + dy * dy) / (mine + theirs)
    return result


def arrange(settings: SceneSettings, rng: np.random.Generator) -> Layout:
    """A random crowd; see :attr:`SceneSettings.crowding` for how close it stands."""
    drawn = draw(settings, rng)
    reach = reaches(drawn)
    centers = drawn.centers.copy()
    limit = np.array(settings.size[::-1])
    target = 1.5 - settings.crowding
    least = target * (1 - 1.5 * WANDER)
    starts = rng.random(len(drawn)) * settings.clump < 1
    placed = np.zeros(len(drawn), dtype=np.int64)
    count = first = 0  # objects placed, and the first of this clump
    for i in range(len(drawn)):
        others = placed[:count]
        spot = None
        if count > first and not starts[i]:
            spots = _beside(
                others[first + rng.integers(0, count - first, TRIES)], i, centers, reach, target, rng
            )
            spots = spots[((spots > 0) & (spots < limit)).all(axis=1)]
            spot = _free(spots, i, others, centers, reach, least)
        if spot is None:
            first = count  # it stands apart, where a new clump may grow
            spot = _free(rng.random((TRIES, 2)) * limit, i, others, centers, reach, least)
        if spot is not None:
            centers[i] = spot
            placed[count] = i
            count += 1
    kept = placed[:count]
    done = replace(drawn, centers=centers).take(kept)
    return done.take(np.argsort(nearness(done, settings.size[0]), kind="stable"))


def draw(settings: SceneSettings, rng: np.random.Generator) -> Layout:
    """Objects without a place yet: all at (0, 0)."""
    count = settings.objects
    low, high = settings.radius
    kinds = rng.integers(0, len(settings.shapes), count)
    upright = np.array([SHAPES[name].upright for name in settings.shapes])[kinds]
    angles = rng.random(count) * (2 * np.pi)
    return Layout(
        settings.shapes,
        kinds,
        np.zeros((count, 2)),
        low + (high - low) * rng.random(count),
        np.where(upright, (angles - np.pi) * 0.03, angles),
        rng.random((count, FORM)),
        rng.random((count, LOOK)),
    )


def nearness(layout: Layout, height: int) -> Floats:
    """(N,) 0 nearest: chance, but of those that stand on the ground the lower one is nearer."""
    upright = np.array([SHAPES[name].upright for name in layout.shapes])[layout.kinds]
    feet = layout.centers[:, 1] + layout.radii
    return np.where(upright, 1 - feet / height, layout.looks[:, 0])


def _beside(
    neighbours: Ints, i: int, centers: Floats, reach: Floats, target: float, rng: np.random.Generator
) -> Floats:
    """Places (K, 2) for object i beside each of ``neighbours`` (K,), at the crowding's spacing."""
    way = rng.integers(0, DIRECTIONS, len(neighbours))
    spacing = target * (1 + WANDER * (2 * rng.random(len(neighbours)) - 1))
    apart = spacing * (reach[neighbours, way] + reach[i, way - DIRECTIONS // 2])
    return centers[neighbours] + apart[:, None] * WAYS[way]


def _free(spots: Floats, i: int, placed: Ints, centers: Floats, reach: Floats, least: float) -> Floats | None:
    """The first of the spots (K, 2) where object i keeps ``least`` spacing from all that are placed."""
    gaps = spacings(spots, reach[i : i + 1], centers[placed], reach[placed])  # (K, placed)
    fits = np.flatnonzero((gaps >= least).all(axis=1))
    return spots[fits[0]] if len(fits) else None
