"""Grasps for two parallel fingers: pairs of outline points that face each other within the friction cones.

Two contacts hold an object when the line between them lies in both friction cones (V.-D. Nguyen: Constructing
force-closure grasps, International Journal of Robotics Research 7, 1988). As in A. ten Pas et al.: Grasp pose
detection in point clouds, IJRR 36, 2017, a candidate needs such a pair, and room for the open fingers.
Normals come from the depth where a side of the object is seen, else from the outline, whose hidden side is
taken to run along the gripper's approach.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .grasp_outline import Outline
from .gripper import Gripper
from .point_cloud import perpendicular
from .scene_cloud import SceneCloud

Floats = NDArray[np.float64]
INSERTION = 0.012
"""Metres that fingertips go below the edge of the object, where there is room."""
CHOSEN = 300
"""At most so many pairs of one approach are looked at closely."""
WIDEST = 0.01
"""Metres below the tips down to which an outline tells how wide the object is beside the fingers."""
FLOOR = 0.005
"""Metres that fingertips keep off the support."""
SIDE = 0.5
"""A surface whose normal is so far (cosine) from the approach or less is a side, whose own normal is used."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """C candidate grasps, best first by what is known before collisions.

    Attributes:
        poses: (C, 4, 4) from the gripper's frame to the camera's, metres.
        widths: (C,) distance of the contacts, metres.
        openings: (C,) how far the fingers open, metres.
        contacts: (C, 2, 3) where the pads meet the object.
        margins: (C,) 1 along the cones' axis, 0 at their rim.
        scores: (C,) 0..1.
    """

    poses: Floats
    widths: Floats
    openings: Floats
    contacts: Floats
    margins: Floats
    scores: Floats

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, index: NDArray[np.int64]) -> Pairs:
        """Chosen ones."""
        return Pairs(
            *(
                a[index]
                for a in (self.poses, self.widths, self.openings, self.contacts, self.margins, self.scores)
            )
        )

    def weighted(self, weight: float) -> Pairs:
        """The same with their scores times ``weight``, 0..1."""
        return replace(self, scores=self.scores * weight)

    @classmethod
    def none(cls) -> Pairs:
        """No candidates."""
        return cls(np.zeros((0, 4, 4)), *(np.zeros(0),) * 2, np.zeros((0, 2, 3)), *(np.zeros(0),) * 2)


def pairs_of(scene: SceneCloud, i: int, outline: Outline, approach: Floats, gripper: Gripper) -> Pairs:
    """Candidates that come along ``approach``.

    Args:
        scene: the frame.
        i: the object.
        outline: its outline.
        approach: (3,) unit vector from palm to fingertips.
        gripper: its sizes.
    """
    first, second = perpendicular(approach)
    basis = np.stack([first, second])
    flat, along = outline.points @ basis.T, outline.points @ approach
    normals = _flat_normals(outline, basis, approach, flat)
    ok = outline.free & np.isfinite(normals).all(axis=1)
    a, b = np.triu_indices(len(flat), 1)
    use = ok[a] & ok[b]
    a, b = a[use], b[use]
    span = flat[b] - flat[a]
    width = np.linalg.norm(span, axis=1)
    fits = (width > 0.004) & (width + 2 * gripper.clearance <= gripper.width)
    a, b, span, width = a[fits], b[fits], span[fits], width[fits]
    if not len(a):
        return Pairs.none()
    line = span / width[:, None]
    angle = np.maximum(_angle(-normals[a], line), _angle(normals[b], line))
    held = angle <= gripper.friction_angle
    a, b, span = a[held], b[held], span[held]
    if not len(a):
        return Pairs.none()
    line, width, angle = _squared(normals[a], normals[b], span)
    margin = 1 - angle / gripper.friction_angle
    return _posed(scene, i, (basis, approach), (flat, along), (a, b, line, width, margin), gripper)


def _flat_normals(outline: Outline, basis: Floats, approach: Floats, flat: Floats) -> Floats:
    """(M, 2) unit normals out of the object, seen along the approach."""
    step = max(1, len(flat) // 36)
    tangent = np.roll(flat, -step, axis=0) - np.roll(flat, step, axis=0)
    normal = np.stack([tangent[:, 1], -tangent[:, 0]], axis=1)
    outward = outline.outward @ basis.T
    normal *= np.where((normal * outward).sum(axis=1) < 0, -1, 1)[:, None]
    with np.errstate(invalid="ignore"):
        side = np.abs(outline.normals @ approach) < SIDE
    seen = outline.normals @ basis.T
    with np.errstate(invalid="ignore"):
        agrees = (seen * normal).sum(axis=1) > 0
    normal = np.where((side & agrees)[:, None], seen, normal)
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    unit: Floats = np.where(length > 1e-9, normal / np.maximum(length, 1e-9), np.nan)
    return unit


def _squared(one: Floats, two: Floats, span: Floats) -> tuple[Floats, Floats, Floats]:
    """Closing directions square to both faces, so that pads lie flat on them, not on an edge.

    Args:
        one: (C, 2) normals at the first contacts.
        two: (C, 2) normals at the second.
        span: (C, 2) from the first to the second.

    Returns:
        (C, 2) directions, (C,) distances of the contacts along them, (C,) larger angles to the normals.
    """
    line = two - one
    line = line / np.maximum(np.linalg.norm(line, axis=1, keepdims=True), 1e-9)
    return line, (span * line).sum(axis=1), np.maximum(_angle(-one, line), _angle(two, line))


def _angle(normal: Floats, line: Floats) -> Floats:
    angle: Floats = np.arccos(np.clip((normal * line).sum(axis=1), -1, 1))
    return angle


def _posed(
    scene: SceneCloud, i: int, frame: tuple[Floats, Floats], places: tuple[Floats, Floats],
    pairs: tuple[NDArray[np.int64], NDArray[np.int64], Floats, Floats, Floats], gripper: Gripper,
) -> Pairs:  # fmt: skip
    """How deep the fingers go, and the poses."""
    (basis, approach), (flat, along), (a, b, line, width, margin) = frame, places, pairs
    cloud = scene.clouds[i].astype(np.float64)
    cloud = cloud[:: max(1, len(cloud) // 500)]
    heights, spots = cloud @ approach, cloud @ basis.T
    middle = (flat[a] + flat[b]) / 2
    apart = np.linalg.norm(middle - spots.mean(axis=0), axis=1)
    first = np.argsort(apart / 0.03 - margin, kind="stable")[:CHOSEN]
    a, b, line, width = a[first], b[first], line[first], width[first]
    margin, middle, apart = margin[first], middle[first], apart[first]
    away = np.stack([-line[:, 1], line[:, 0]], axis=1)
    across = np.abs(away @ spots.T - (away * middle).sum(axis=1)[:, None])
    between = np.abs(line @ spots.T - (line * middle).sum(axis=1)[:, None])
    under = (across < gripper.breadth / 2) & (between < width[:, None] / 2)
    top = np.where(under, heights[None], np.inf).min(axis=1)
    edge = np.maximum(along[a], along[b])
    top = np.where(np.isfinite(top), top, edge)
    tip = np.minimum(np.maximum(edge, top) + INSERTION, top + gripper.depth - 0.002)
    if scene.support is not None:
        lean = float(-(approach @ scene.support.normal))
        if lean > 0.3:  # the support lies ahead: keep off it
            floor = scene.support.height(_spatial(middle, np.zeros(len(middle)), basis, approach)) / lean
            tip = np.minimum(tip, floor - FLOOR)
    reached = tip - edge
    keep = (tip - top > 0.004) & (reached > -0.001)
    keep &= ~_inside_fingers(flat, along, (line, away, middle, width / 2 + gripper.clearance, tip), gripper)
    score = (0.3 + 0.7 * margin) * np.exp(-apart / 0.03) * np.clip(0.4 + reached / INSERTION * 0.6, 0.1, 1)
    order = np.flatnonzero(keep)[np.argsort(-score[keep], kind="stable")]
    a, b, line, width, tip, middle = a[order], b[order], line[order], width[order], tip[order], middle[order]
    x = line @ basis
    poses = np.tile(np.eye(4), (len(order), 1, 1))
    poses[:, :3, 0], poses[:, :3, 1], poses[:, :3, 2] = x, np.cross(approach, x), approach
    poses[:, :3, 3] = _spatial(middle, tip, basis, approach)
    ends = [middle + sign * width[:, None] / 2 * line for sign in (-1, 1)]
    contacts = np.stack([_spatial(end, edge[order], basis, approach) for end in ends], axis=1)
    openings = np.minimum(width + 2 * gripper.clearance, gripper.width)
    return Pairs(poses, width, openings, contacts, margin[order], score[order])


def _inside_fingers(
    flat: Floats, along: Floats, places: tuple[Floats, Floats, Floats, Floats, Floats], gripper: Gripper
) -> NDArray[np.bool_]:
    """(C,) whether a finger would come down on the object itself: on a part of its outline above the tips."""
    line, away, middle, half, tip = places
    x = np.abs(line @ flat.T - (line * middle).sum(axis=1)[:, None])
    y = np.abs(away @ flat.T - (away * middle).sum(axis=1)[:, None])
    met = (x > half[:, None] - 0.002) & (x < half[:, None] + gripper.thickness) & (y < gripper.breadth / 2)
    inside: NDArray[np.bool_] = (met & (along[None] < tip[:, None] + WIDEST)).any(axis=1)
    return inside


def _spatial(flat: Floats, along: Floats, basis: Floats, approach: Floats) -> Floats:
    return flat @ basis + along[:, None] * approach


def spread_out(pairs: Pairs, most: int, near: float = 0.008, turn: float = 0.26) -> Pairs:
    """The best of each group of candidates that are nearly the same.

    Args:
        pairs: best first.
        most: at most so many.
        near: metres between tips, below which they are alike.
        turn: radians between closing directions, likewise.
    """
    place, x = pairs.poses[:, :3, 3], pairs.poses[:, :3, 0]
    square = (place**2).sum(axis=1)
    apart = square[:, None] + square - 2 * place @ place.T
    alike = (apart < near**2) & (np.abs(x @ x.T) > np.cos(turn))
    taken = np.zeros(len(pairs), np.bool_)
    keep: list[int] = []
    for k in range(len(pairs)):
        if len(keep) >= most:
            break
        if not taken[k]:
            keep.append(k)
            taken |= alike[k]
    return pairs.take(np.array(keep, np.int64))


__all__ = ["Pairs", "pairs_of", "spread_out"]
