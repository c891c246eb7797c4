"""Traffic before a known camera, with exact places and speeds: cars, lorries, cycles and people on the flat.

Cars follow lanes, brake, change lanes or turn off; cycles ride along the kerb; people cross. Each is a solid
box that a projection brings into the picture; nearer ones hide those behind. What is true of each is known
exactly: its place, speed and heading on the ground, its visible and its whole mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import ConvexHull

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.core.polygons import Polygon

from .scene import Seed, numbers

Floats = NDArray[np.float64]
CLASSES = Labels(("pedestrian", "rider", "car", "truck"))
BODIES = {
    "pedestrian": (0.5, 0.5, 1.7),
    "rider": (1.8, 0.6, 1.7),
    "car": (4.4, 1.8, 1.5),
    "truck": (9.0, 2.5, 3.2),
}
"""Length, width and height in metres; each participant's differ by up to a tenth."""
SPEEDS = {"pedestrian": (0.9, 1.9), "rider": (3.0, 7.0), "car": (6.0, 16.0), "truck": (5.0, 11.0)}
LANE = 3.5
STEPS = 10  # of the integration in a frame
CORNERS = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (0.0, 1.0)])
NEAR = 1.0  # metres before the camera at which things are cut off
LEAST = 12  # pixels of a visible mask, below which it does not count as seen


@dataclass(frozen=True)
class TrafficSettings:
    """What a street is like.

    Attributes:
        size: (height, width) of the pictures in pixels.
        frames: how many.
        rate: frames per second.
        participants: how many there are in all.
        reach: metres of road ahead of the camera.
        lanes: in each direction.
        pedestrians: share of the participants that walk.
        riders: share that ride.
        trucks: share that are lorries.
        manoeuvres: seconds between two of a vehicle's manoeuvres, on average.
    """

    size: tuple[int, int] = (720, 1280)
    frames: int = 150
    rate: float = 25.0
    participants: int = 16
    reach: float = 70.0
    lanes: int = 1
    pedestrians: float = 0.35
    riders: float = 0.15
    trucks: float = 0.1
    manoeuvres: float = 3.0

    def __post_init__(self) -> None:
        counts = (self.frames, self.participants + 1, self.lanes, *self.size)
        lengths = (self.rate, self.reach, self.manoeuvres)
        shares = (self.pedestrians, self.riders, self.trucks)
        if min(counts) < 1 or min(lengths) <= 0 or min(shares) < 0 or sum(shares) > 1:
            raise InputError(f"synthetic traffic: expected sizes above 0 and shares up to 1, got {self}")


@dataclass(frozen=True, eq=False)
class TrafficFrame:
    """One moment.

    Attributes:
        number: of the frame, from 0.
        time: seconds.
        truth: the objects of which enough shows, with visible masks and ``ids``.
        states: (M, 6) x, y, heading (radians), speed (m/s), acceleration along it, turn rate (rad/s).
        bodies: (M, 3) length, width, height in metres.
        whole: (M,) pixels of the whole masks in the picture, hidden parts too.
        distance: (M,) metres from the camera to the middle of the footprint, on the ground.
    """

    number: int
    time: float
    truth: Instances
    states: Floats
    bodies: Floats
    whole: NDArray[np.int64]
    distance: Floats

    @property
    def visible(self) -> Floats:
        """(M,) share of each object that is not hidden by another, 0..1."""
        masks = self.truth.masks
        area = np.zeros(0) if masks is None else masks.area
        return np.asarray(area / np.maximum(self.whole, 1), np.float64)


@dataclass(frozen=True, eq=False)
class Traffic(Sequence[TrafficFrame]):
    """T frames, each projected when asked for; participant k has the identity k + 1.

    Attributes:
        settings: of the street.
        projection: (3, 4), from metres (x, y, z, 1) to pixels.
        labels: (N,) class of each participant.
        bodies: (N, 3) length, width, height.
        states: (T, N, 6), see :class:`TrafficFrame`.
    """

    settings: TrafficSettings
    projection: Floats
    labels: NDArray[np.int64]
    bodies: Floats
    states: Floats

    def __len__(self) -> int:
        return len(self.states)

    @overload
    def __getitem__(self, index: int) -> TrafficFrame: ...
    @overload
    def __getitem__(self, index: slice) -> list[TrafficFrame]: ...
    def __getitem__(self, index: int | slice) -> TrafficFrame | list[TrafficFrame]:
        """Projects a frame, or several."""
        if isinstance(index, slice):
            return [self[k] for k in range(len(self))[index]]
        t = range(len(self))[index]
        states = self.states[t]
        eye = np.linalg.solve(self.projection[:, :3], -self.projection[:, 3])
        distance = np.hypot(states[:, 0] - eye[0], states[:, 1] - eye[1])
        outlines = [self._outline(states[n], self.bodies[n]) for n in range(len(states))]
        there = np.array([n for n in np.argsort(-distance) if outlines[n] is not None], np.int64)
        masks = Masks.from_polygons([[outlines[n]] for n in there.tolist()], self.settings.size)
        whole = masks.area
        visible = Masks.from_label_image(masks.to_label_image(), np.arange(1, len(there) + 1))
        shown = np.flatnonzero(visible.area >= LEAST)
        who = there[shown]
        truth = Instances(
            self.settings.size, masks=visible[shown], labels=self.labels[who], ids=who + 1, classes=CLASSES
        )
        return TrafficFrame(
            t, t / self.settings.rate, truth, states[who], self.bodies[who], whole[shown], distance[who]
        )

    def _outline(self, state: Floats, body: Floats) -> Polygon | None:
        """The outline of a box in the picture; None where it is behind the camera or outside."""
        c, s = np.cos(state[2]), np.sin(state[2])
        corners = CORNERS * body @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]) + (state[0], state[1], 0)
        seen = np.column_stack([corners, np.ones(8)]) @ self.projection.T
        if seen[:, 2].min() < NEAR:
            return None
        points = seen[:, :2] / seen[:, 2:]
        low, high = points.min(axis=0), points.max(axis=0)
        height, width = self.settings.size
        if high.min() <= 0 or low[0] >= width or low[1] >= height:
            return None
        return Polygon(points[ConvexHull(points).vertices])


def traffic(projection: ArrayLike, seed: Seed = 0, settings: TrafficSettings | None = None) -> Traffic:
    """A street before a camera that does not move.

    Args:
        projection: (3, 4), from metres (x ahead along the road, y to the left, z up, 1) to pixels, the third
            number being metres ahead of the camera.
        seed: an integer >= 0, or several.
        settings: of the street.

    Raises:
        InputError: another shape.

    Example:
        >>> from delineate.tracking.ground import Camera
        >>> street = traffic(Camera((900, 900), (640, 360), height=6, pitch=12).projection, seed=3)
        >>> len(street), street[0].truth.size, bool((street[40].visible <= 1).all())
        (150, (720, 1280), True)
    """
    settings = settings or TrafficSettings()
    matrix = np.asarray(projection, np.float64)
    if matrix.shape != (3, 4) or not np.isfinite(matrix).all():
        raise InputError(f"traffic: expected a projection of shape (3, 4), got {matrix.shape}")
    rng = np.random.default_rng([*numbers(seed), 7])
    names = _kinds(settings, rng)
    labels = np.array([CLASSES.names.index(name) for name in names], np.int64)
    bodies = np.array([BODIES[name] for name in names]).reshape(-1, 3) * rng.uniform(
        0.9, 1.1, (len(names), 1)
    )
    states = np.stack([_life(name, settings, rng) for name in names], axis=1) if names else None
    if states is None:
        states = np.zeros((settings.frames, 0, 6))
    return Traffic(settings, matrix, labels, bodies, states)


def _kinds(settings: TrafficSettings, rng: np.random.Generator) -> list[str]:
    cars = 1 - settings.pedestrians - settings.riders - settings.trucks
    shares = (settings.pedestrians, settings.riders, cars, settings.trucks)
    return [CLASSES.names[k] for k in rng.choice(4, settings.participants, p=shares).tolist()]


def _life(name: str, settings: TrafficSettings, rng: np.random.Generator) -> Floats:
    """(T, 6) states of one participant."""
    low, high = SPEEDS[name]
    cruise = rng.uniform(low, high)
    x, y, heading = _start(name, cruise, settings, rng)
    step = 1 / (settings.rate * STEPS)
    count = settings.frames * STEPS
    target, turn = _will(name, cruise, count, step, settings, rng)
    speed = np.empty(count)
    now = cruise
    strength = 0.8 if name == "pedestrian" else 2.5
    for k in range(count):
        speed[k] = now
        now = max(now + float(np.clip((target[k] - now) / 0.4, -strength, strength)) * step, 0.0)
    push = np.diff(speed, append=now) / step
    turn = np.where(speed > 0.2, turn, 0.0)
    way = heading + np.concatenate([[0], np.cumsum(turn[:-1] * step)])
    path = np.cumsum(speed[:, None] * step * np.column_stack([np.cos(way), np.sin(way)]), axis=0)
    path = np.concatenate([np.zeros((1, 2)), path[:-1]]) + np.array([x, y])
    whole = np.column_stack([path, (way + np.pi) % (2 * np.pi) - np.pi, speed, push, turn])
    found: Floats = whole[::STEPS]
    return found


def _start(
    name: str, cruise: float, settings: TrafficSettings, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Where and in which direction it begins; those that come later begin farther out."""
    seconds = settings.frames / settings.rate
    side = 1 if rng.random() < 0.5 else -1  # the left side comes towards the camera
    if name == "pedestrian":
        late = rng.uniform(-0.6, 0.4) * seconds * cruise
        edge = (settings.lanes + 0.6) * LANE
        return rng.uniform(0.15, 0.8) * settings.reach, side * (edge + late), -side * np.pi / 2
    lane = settings.lanes * LANE + 0.8 if name == "rider" else (rng.integers(settings.lanes) + 0.5) * LANE
    travelled = rng.uniform(-0.3, 1.0) * settings.reach
    ahead = settings.reach * 0.9 - travelled if side > 0 else travelled
    return float(ahead), float(side * lane), np.pi if side > 0 else 0.0


def _will(
    name: str, cruise: float, count: int, step: float, settings: TrafficSettings, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """(K,) the speed wanted and the turn rate at each small step."""
    target, turn = np.full(count, cruise), np.zeros(count)
    at = rng.exponential(settings.manoeuvres)
    while at < count * step:
        first, length = int(at / step), rng.uniform(1.0, 2.5)
        last = min(first + int(length / step), count)
        kind = rng.choice(("slower", "faster", "stop", "weave", "turn"), p=(0.3, 0.2, 0.1, 0.25, 0.15))
        if kind in ("slower", "faster", "stop"):
            target[first:] = cruise * {"slower": 0.5, "faster": 1.25, "stop": 0.0}[str(kind)]
        elif kind == "weave":  # to one side and straight again
            rate = rng.choice((-1, 1)) * rng.uniform(0.05, 0.15)
            middle = (first + last) // 2
            turn[first:middle], turn[middle:last] = rate, -rate
        else:
            turn[first:last] = rng.choice((-1, 1)) * rng.uniform(0.3, 0.7)
        at += length + rng.exponential(settings.manoeuvres)
    return target, turn


def crowded(settings: TrafficSettings, crowding: float) -> TrafficSettings:
    """The same street with more participants: ``crowding`` 0 as it is, 1 with four times as many."""
    if not 0 <= crowding <= 1:
        raise InputError(f"synthetic traffic, crowding: expected 0 to 1, got {crowding}")
    return replace(settings, participants=round(settings.participants * (1 + 3 * crowding)))
