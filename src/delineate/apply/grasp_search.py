"""The search for grasps: the candidates of all objects, tried for collisions in rounds, from the top."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError

from .antipodal import Pairs, pairs_of, spread_out
from .grasp_outline import outline_of
from .gripper import Gripper, SuctionCup
from .pick_order import PickOrder
from .planes import find_plane
from .reach import FEW, grid, hidden, near_points, struck
from .scene_cloud import LEAST_POINTS, SceneCloud
from .suction import Seals, seals_of, stem_places

Floats = NDArray[np.float64]
Clock = Callable[[], float]
FINGERS, CUP = "fingers", "suction"
ROUND = 12
"""Candidates of an object that are tried before the next object has its turn."""
MOST = 36
"""Candidates of an object that are tried at all, for fingers and for the cup."""
FLAT = 0.0015
"""Metres from a plane that points of a flat top lie at most."""
SURE, UNSURE = 0.2, 0.4
"""Radians from the direction of an object's sides after which the score has fallen to 1 / e."""
UNSEEN = 0.02
"""A grasp whose gripper is for a larger share inside what others hide is no grasp."""


@dataclass(frozen=True)
class GraspSettings:
    """What to look for.

    Attributes:
        gripper: two fingers; None: none.
        cup: a suction cup; None: none.
        approach: (x, y, z) the way the fingers come, in the camera's frame; None: into the support, along the
            view, and along the object's own shortest side.
        up: (x, y, z) away from what objects stand on, in the camera's frame; None: it faces the camera.
        best: keep so many grasps of each object and kind.
        seed: of the search for planes.
    """

    gripper: Gripper | None = field(default_factory=Gripper)
    cup: SuctionCup | None = field(default_factory=SuctionCup)
    approach: tuple[float, float, float] | None = None
    up: tuple[float, float, float] | None = None
    best: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("approach", "up"):
            way = getattr(self, name)
            if way is not None and not 0.5 < float(np.linalg.norm(way)) < 2:
                raise InputError(
                    f"{name}: expected a unit vector x,y,z in the camera's frame, got {way}; 0,0,1 is "
                    "straight ahead, 0,-1,0 up in the picture"
                )
        if self.best < 1:
            raise InputError(f"best: expected 1 or more grasps of each object, got {self.best}")


@dataclass(frozen=True, eq=False)
class Grasp:
    """One way to take an object.

    Attributes:
        target: index of the object.
        kind: ``"fingers"`` or ``"suction"``.
        pose: (4, 4) from the gripper's frame to the camera's, metres (see :mod:`delineate.apply.gripper`).
        width: distance of the contacts in metres; 0 for a cup.
        opening: how far the fingers open in metres; 0 for a cup.
        score: 0..1; higher is better.
        margin: 1 in the middle of the friction cones, 0 at their rim; of a cup the share of the rim that
            seals.
        unseen: share of the gripper's volume that lies in what other surfaces hide, 0..1.
        contacts: (K, 3) where it touches, in the camera's frame.
    """

    target: int
    kind: str
    pose: Floats
    width: float
    opening: float
    score: float
    margin: float
    unseen: float
    contacts: Floats


class Search:
    """The candidates of all objects, tried in rounds."""

    def __init__(self, scene: SceneCloud, order: PickOrder, settings: GraspSettings) -> None:
        self.scene, self.order, self.settings = scene, order, settings
        count = len(scene.masks)
        self.pairs: list[Pairs | None] = [None] * count
        self.seals: list[Seals | None] = [None] * count
        self.near: dict[int, Floats] = {}
        self.found: list[Grasp] = []
        self.tried = np.zeros(count, np.int64)
        self.seconds = [0.0, 0.0]

    def run(self, end: float, clock: Clock) -> bool:
        """Rounds until nothing is left (True) or time is up (False)."""
        objects = [int(i) for i in self.order.order if len(self.scene.clouds[i]) >= LEAST_POINTS]
        for begin in range(0, MOST, ROUND):
            for i in objects:
                now = clock()
                if now >= end:
                    return False
                if self.pairs[i] is None:
                    self._look(i)
                looked = clock()
                self.seconds[0] += looked - now
                if looked >= end:
                    return False
                self._try_fingers(i, begin)
                self._try_cup(i, begin)
                self.seconds[1] += clock() - looked
        return True

    def _look(self, i: int) -> None:
        """All candidates of an object, without a look at the neighbours."""
        gripper, cup = self.settings.gripper, self.settings.cup
        found: list[Pairs] = []
        outline = outline_of(self.scene, i) if gripper is not None else None
        if gripper is not None and outline is not None:
            found = [
                pairs_of(self.scene, i, outline, way, gripper).weighted(weight)
                for way, weight in self._ways(i)
            ]
        self.pairs[i] = spread_out(_joined(found), MOST)
        self.seals[i] = _thinned(seals_of(self.scene, i, cup)) if cup is not None else Seals.none()

    def _ways(self, i: int) -> list[tuple[Floats, float]]:
        """Directions to come from, no two nearly the same, and how likely the hidden sides run along each.

        The sides of an object run along the normal of its flat top, else along that of the support.
        """
        given = self.settings.approach
        if given is not None:
            return [(np.asarray(given, np.float64) / np.linalg.norm(given), 1.0)]
        cloud = self.scene.clouds[i]
        cloud = cloud[:: max(1, len(cloud) // 600)].astype(np.float64)
        middle, down = cloud.mean(axis=0), self.scene.approach
        top = find_plane(cloud, FLAT, self.settings.seed)
        flat = None if top is None or top.support < 0.5 else -top.normal
        sides = down if flat is None else flat
        ways: list[tuple[Floats, float]] = []
        for way in (sides, down, middle / np.linalg.norm(middle)):
            near = all(float(way @ other) < 0.985 for other, _ in ways)
            if near and float(way @ down) > 0.7:
                lean = float(np.arccos(np.clip(way @ sides, -1, 1)))
                ways.append((way, float(np.exp(-lean / (SURE if flat is not None else UNSURE)))))
        return ways

    def _try_fingers(self, i: int, begin: int) -> None:
        pairs, gripper = self.pairs[i], self.settings.gripper
        assert pairs is not None
        some = pairs.take(np.arange(begin, min(begin + ROUND, len(pairs))))
        if gripper is None or not len(some):
            return
        self.tried[i] += len(some)
        boxes = np.array([gripper.boxes(opening) for opening in some.openings])
        hit = struck(boxes, some.poses, self._points(i))
        local = grid(boxes[:, :, 0], boxes[:, :, 1], (3, 3, 5)).reshape(len(some), -1, 3)
        places = np.einsum("cij,csj->csi", some.poses[:, :3, :3], local) + some.poses[:, None, :3, 3]
        others, own = hidden(self.scene, places, i)
        for k in np.flatnonzero((hit <= FEW) & (others <= UNSEEN)):
            score = float(some.scores[k] * (1 - others[k]) * (1 - 0.3 * own[k]) * self._standing(i))
            self.found.append(
                Grasp(i, FINGERS, some.poses[k], float(some.widths[k]), float(some.openings[k]), score,
                      float(some.margins[k]), float(others[k]), some.contacts[k])
            )  # fmt: skip

    def _try_cup(self, i: int, begin: int) -> None:
        seals, cup = self.seals[i], self.settings.cup
        assert seals is not None
        some = seals.take(np.arange(begin, min(begin + ROUND, len(seals))))
        if cup is None or not len(some):
            return
        self.tried[i] += len(some)
        side = cup.radius
        box = np.array([[[-side, -side, -cup.length], [side, side, -cup.hollow - 0.003]]])
        hit = struck(np.repeat(box[None], len(some), axis=0), some.poses, self._points(i))
        others, _ = hidden(self.scene, stem_places(some.poses, cup), i)
        for k in np.flatnonzero((hit <= FEW) & (others <= UNSEEN)):
            score = float(some.scores[k] * (1 - others[k]) * self._standing(i))
            self.found.append(
                Grasp(i, CUP, some.poses[k], 0.0, 0.0, score, float(some.seals[k]), float(others[k]),
                      some.poses[k][None, :3, 3])
            )  # fmt: skip

    def _points(self, i: int) -> Floats:
        if i not in self.near:
            cloud = self.scene.clouds[i].astype(np.float64)
            middle = cloud.mean(axis=0)
            reach = float(np.abs(cloud - middle).max()) + 0.12
            self.near[i] = near_points(self.scene, middle, reach)
        return self.near[i]

    def _standing(self, i: int) -> float:
        """How free the object lies: objects under others should wait."""
        visible = self.order.visible[i]
        shown = 1.0 if np.isnan(visible) else float(visible)
        return shown * (0.6 if self.order.hidden_by(i) else 1.0)

    def ranked(self) -> tuple[Grasp, ...]:
        """Best first, at most so many of each object and kind as asked."""
        taken: dict[tuple[int, str], int] = {}
        kept = []
        for one in sorted(self.found, key=lambda g: -g.score):
            key = (one.target, one.kind)
            taken[key] = taken.get(key, 0) + 1
            if taken[key] <= self.settings.best:
                kept.append(one)
        return tuple(kept)


def _joined(parts: list[Pairs]) -> Pairs:
    """All candidates, best first."""
    if not parts:
        return Pairs.none()
    names = ("poses", "widths", "openings", "contacts", "margins", "scores")
    whole = Pairs(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))
    return whole.take(np.argsort(-whole.scores, kind="stable")[:400])


def _thinned(seals: Seals, near: float = 0.006) -> Seals:
    """The best of each group of places that are close together."""
    keep: list[int] = []
    at = seals.poses[:, :3, 3]
    for k in range(len(seals)):
        if len(keep) >= MOST:
            break
        if not (np.linalg.norm(at[keep] - at[k], axis=1) < near).any():
            keep.append(k)
    return seals.take(np.array(keep, np.int64))


__all__ = ["CUP", "FINGERS", "Grasp", "GraspSettings", "Search"]
