"""Would a grasp succeed? Judged on the true bodies of a synthetic bin, by geometry alone.

Nothing here knows how the grasp was found: it takes a pose and the gripper's sizes. Two fingers hold a body
when the open gripper is inside nothing, each pad meets the body before it meets anything else, and the line
between the two contacts lies in both friction cones (V.-D. Nguyen, 1988). A cup holds when every ray of its
rim, sent along its axis, meets the body first, at distances that differ by no more than the rim can bend, at
no more than 25 degrees from its axis, and cup and stem are inside nothing. Weight and inertia are not part of
it; a box that lies askew between the pads counts as slipping, though a real one may turn and settle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .bins_solids import Solid

Floats = NDArray[np.float64]
TOUCH = 0.001
"""Metres that a pad gives way: what it meets within this of its first contact is the contact."""
STEP = 0.003
"""Metres between the places of a gripper that are tried."""
RIM_RAYS = 48
LEAN = np.cos(np.radians(25.0))


@dataclass(frozen=True)
class Verdict:
    """Whether a grasp holds.

    Attributes:
        held: it does.
        reason: why not: ``collision``, ``missed``, ``other first``, ``slips``, ``no seal``; else empty.
        angle: for fingers the larger angle between contact line and surface normal in radians; NaN if missed.
    """

    held: bool
    reason: str = ""
    angle: float = float("nan")


def check_fingers(
    solids: Sequence[Solid], target: int, walls: Sequence[Solid], pose: Floats, boxes: Floats, friction: float
) -> Verdict:
    """Judges a grasp of two fingers.

    Args:
        solids: the true bodies, in the frame of ``pose``.
        target: which of them is meant.
        walls: what else is there.
        pose: (4, 4) from the gripper's frame (x closing, z approach, origin between the tips).
        boxes: (3, 2, 3) low and high corners of left finger, right finger and palm, opened, in that frame.
        friction: coefficient, whose arctangent is half the cone's opening.
    """
    everything = [*solids, *walls]
    for low, high in boxes:
        places = _to(pose, _filled(low, high))
        if min(float(body.distance(places).min()) for body in everything) < 0:
            return Verdict(False, "collision")
    contacts = []
    for (low, high), way in ((boxes[0], 1.0), (boxes[1], -1.0)):
        face = high[0] if way > 0 else low[0]
        pad = _filled(np.array([face, low[1], low[2]]), np.array([face, high[1], high[2]]))
        origins, along = _to(pose, pad), np.tile(pose[:3, 0] * way, (len(pad), 1))
        met = [body.meet(origins, along) for body in everything]
        first = np.array([float(t.min()) for t, _ in met])
        if first[target] > abs(face):
            return Verdict(False, "missed")
        if first.argmin() != target:
            return Verdict(False, "other first")
        t, normal = met[target]
        on = t <= t.min() + TOUCH
        contacts.append((_middle(origins[on] + t[on, None] * along[on]), normal[on].mean(axis=0)))
    line = contacts[1][0] - contacts[0][0]
    line /= max(float(np.linalg.norm(line)), 1e-12)
    angles = [_angle(contacts[0][1], -line), _angle(contacts[1][1], line)]
    worst = max(angles)
    held = worst <= float(np.arctan(friction))
    return Verdict(held, "" if held else "slips", worst)


def check_cup(
    solids: Sequence[Solid], target: int, walls: Sequence[Solid], pose: Floats, radius: float,
    compliance: float, hollow: float, length: float,
) -> Verdict:  # fmt: skip
    """Judges a grasp of a suction cup.

    Args:
        solids: the true bodies, in the frame of ``pose``.
        target: which of them is meant.
        walls: what else is there.
        pose: (4, 4) from the cup's frame (z into the body, origin in the middle of the rim).
        radius: of the rim, metres.
        compliance: how far from flat the rim still seals, metres.
        hollow: how far the body may bulge into the cup, metres.
        length: of cup and stem.
    """
    everything = [*solids, *walls]
    turn = np.linspace(0, 2 * np.pi, RIM_RAYS, endpoint=False)
    rim = radius * np.column_stack([np.cos(turn), np.sin(turn), np.zeros(RIM_RAYS)])
    back = 0.03
    origins = _to(pose, rim - (0, 0, back))
    along = np.tile(pose[:3, 2], (RIM_RAYS, 1))
    met = np.array([body.meet(origins, along)[0] for body in everything])
    mine = met[target]
    if not np.isfinite(mine).all() or (met.argmin(axis=0) != target).any():
        return Verdict(False, "no seal")
    normals = solids[target].meet(origins, along)[1]
    lean = -float(normals.mean(axis=0) @ pose[:3, 2]) / max(
        float(np.linalg.norm(normals.mean(axis=0))), 1e-12
    )
    far = float(np.abs(mine - np.median(mine)).max())
    if far > compliance or lean < LEAN or abs(float(np.median(mine)) - back) > radius:
        return Verdict(False, "no seal")
    up = np.median(mine) - back - hollow
    stem = np.array(
        [(x, y, z) for z in np.arange(up, -length, -STEP) for x, y, _ in np.vstack([rim, rim * 0.5])]
    )
    if min(float(body.distance(_to(pose, stem)).min()) for body in everything) < 0:
        return Verdict(False, "collision")
    return Verdict(True)


def _to(pose: Floats, points: Floats) -> Floats:
    found: Floats = points @ pose[:3, :3].T + pose[:3, 3]
    return found


def _filled(low: Floats, high: Floats) -> Floats:
    """Places all over a box, its faces too, no farther apart than STEP."""
    counts = np.ceil((high - low) / STEP).astype(int) + 1
    axes = [np.linspace(low[k], high[k], counts[k]) for k in range(3)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)


def _middle(points: Floats) -> Floats:
    found: Floats = (points.min(axis=0) + points.max(axis=0)) / 2
    return found


def _angle(normal: Floats, way: Floats) -> float:
    return float(np.arccos(np.clip(normal @ way / max(float(np.linalg.norm(normal)), 1e-12), -1, 1)))


__all__ = ["Verdict", "check_cup", "check_fingers"]
