"""Grasps for a suction cup: places of an object's surface where the whole rim of the cup would lie on it.

As in J. Mahler et al.: Dex-Net 3.0, ICRA 2018, a cup seals where its rim need bend little, and holds better
near the object's middle; as in H. Cao et al.: SuctionNet-1Billion, RA-L 2021, seal and wrench are scored
apart and multiplied. The rim is compared with the depth itself: no model of the object is fitted.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .gripper import SuctionCup
from .point_cloud import local_planes, perpendicular, project
from .scene_cloud import SceneCloud

Floats = NDArray[np.float64]
RIM = 32
"""Places tried around the rim, on each ring."""
RINGS = (0.7, 1.0, 1.1)
"""Rings in radii of the cup: the lip, the rim, and a little beyond it, as no robot comes exactly."""
SEALED = 0.96
"""Least share of each ring that lies on the object."""
PLACES = 120
"""At most so many places of an object are tried."""
LEVER = 0.04
"""Metres between cup and middle of the object after which the score has fallen to 1 / e."""
STEEP = np.cos(np.radians(60.0))
"""Surfaces that lean farther from the view are measured too badly, and hardly reached."""


@dataclass(frozen=True, eq=False)
class Seals:
    """C candidate places for the cup, best first by what is known before collisions.

    Attributes:
        poses: (C, 4, 4) from the cup's frame to the camera's, metres; z goes into the object.
        seals: (C,) share of the rim that lies on the object, 0..1.
        bends: (C,) how far the rim is from flat, root mean square in metres.
        scores: (C,) 0..1.
    """

    poses: Floats
    seals: Floats
    bends: Floats
    scores: Floats

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, index: NDArray[np.int64]) -> Seals:
        """Chosen ones."""
        return Seals(self.poses[index], self.seals[index], self.bends[index], self.scores[index])

    @classmethod
    def none(cls) -> Seals:
        """No candidates."""
        return cls(np.zeros((0, 4, 4)), *(np.zeros(0),) * 3)


def seals_of(scene: SceneCloud, i: int, cup: SuctionCup) -> Seals:
    """Where on object ``i`` the cup would seal."""
    places = _places(scene, i, cup)
    if not len(places):
        return Seals.none()
    normals, means, _ = local_planes(scene.clouds[i], places, cup.radius)
    centers = places - ((places - means) * normals).sum(axis=1, keepdims=True) * normals
    known = np.isfinite(normals).all(axis=1)
    normals, centers = normals[known], centers[known]
    ray = centers / np.maximum(np.linalg.norm(centers, axis=1, keepdims=True), 1e-9)
    facing = -(normals * ray).sum(axis=1) > STEEP
    normals, centers = normals[facing], centers[facing]
    if not len(normals):
        return Seals.none()
    seal, bend = rim(scene, i, centers, normals, cup)
    middle = np.median(scene.clouds[i], axis=0).astype(np.float64)
    lever = centers - middle
    lever -= normals * (lever * normals).sum(axis=1, keepdims=True)
    score = np.clip((seal - SEALED) / (1 - SEALED), 0, 1) * 0.6 + 0.4
    score *= np.exp(-((bend / cup.compliance) ** 2) / 2) * np.exp(-np.linalg.norm(lever, axis=1) / LEVER)
    order = np.flatnonzero(seal >= SEALED)
    order = order[np.argsort(-score[order], kind="stable")]
    return Seals(_poses(centers[order], normals[order]), seal[order], bend[order], score[order])


def _places(scene: SceneCloud, i: int, cup: SuctionCup) -> Floats:
    """(P, 3) places of the object at least most of a cup's radius from its outline, evenly spread."""
    x1, y1, x2, y2 = (int(v) for v in scene.masks.boxes[i])
    own = scene.owner[y1:y2, x1:x2] == i + 1
    if not own.any() or not len(scene.clouds[i]):
        return np.zeros((0, 3))
    closed = cv2.morphologyEx(np.pad(own.astype(np.uint8), 1), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    inner = cv2.distanceTransform(np.asarray(closed, np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    depth = float(np.median(scene.clouds[i][:, 2]))
    radius = 0.6 * cup.radius * float(scene.camera[0, 0]) / depth
    rows, columns = np.nonzero(own & (inner >= min(radius, float(inner.max()))))
    every = max(1, int(np.sqrt(len(rows) / PLACES)))
    even = (rows % every == 0) & (columns % every == 0) if every > 1 else np.ones(len(rows), np.bool_)
    found: Floats = scene.points[rows[even] + y1, columns[even] + x1].astype(np.float64)[: 2 * PLACES]
    return found


def rim(
    scene: SceneCloud, i: int, centers: Floats, normals: Floats, cup: SuctionCup
) -> tuple[Floats, Floats]:
    """The share of the rim on the object, and how far from flat the surface is under it.

    Args:
        scene: the frame.
        i: the object.
        centers: (C, 3) middles of the rim.
        normals: (C, 3) out of the surface.
        cup: its sizes.

    Returns:
        (C,) 0..1, and (C,) root mean square in metres of the rim's distance from its own mean (infinite where
        nothing of it lies on the object). A ball seals where the cup's hollow holds what bulges into it.
    """
    turn = np.linspace(0, 2 * np.pi, RIM, endpoint=False)
    u, v = perpendicular(-normals)
    ring = np.cos(turn)[None, :, None] * u[:, None] + np.sin(turn)[None, :, None] * v[:, None]
    shares, bends = [], []
    height, width = scene.depth.shape
    for part in RINGS:
        places = centers[:, None] + part * cup.radius * ring
        at = np.rint(np.nan_to_num(project(places, scene.camera), nan=-1)).astype(np.int64)
        inside = ((at >= 0) & (at < (width, height))).all(axis=-1)
        x, y = np.where(inside, at[..., 0], 0), np.where(inside, at[..., 1], 0)
        met = scene.points[y, x].astype(np.float64)
        above = ((met - centers[:, None]) * normals[:, None]).sum(axis=-1)
        on = inside & (scene.owner[y, x] == i + 1) & np.isfinite(above)
        mean = np.where(on, np.nan_to_num(above), 0).sum(axis=1) / np.maximum(on.sum(axis=1), 1)
        apart = np.where(on, np.nan_to_num(above) - mean[:, None], 0)
        sealed = on & (np.abs(apart) <= cup.compliance) & (np.abs(mean) < cup.hollow)[:, None]
        shares.append(sealed.mean(axis=1))
        square = (apart**2).sum(axis=1) / np.maximum(on.sum(axis=1), 1)
        bends.append(np.where(on.any(axis=1), square, np.inf))
    return np.min(shares, axis=0), np.sqrt(np.max(bends, axis=0))


def _poses(centers: Floats, normals: Floats) -> Floats:
    poses = np.tile(np.eye(4), (len(centers), 1, 1))
    poses[:, :3, :3] = np.stack([*perpendicular(-normals), -normals], axis=2)
    poses[:, :3, 3] = centers
    return poses


def stem_places(poses: Floats, cup: SuctionCup) -> Floats:
    """(C, S, 3) places in the volume of cup and stem, from just above its hollow up."""
    turn = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    ring = np.concatenate([[(0, 0)], cup.radius * np.column_stack([np.cos(turn), np.sin(turn)])])
    up = -np.linspace(cup.hollow + 0.002, cup.length, 8)
    local = np.array([(x, y, z) for z in up for x, y in ring])
    found: Floats = np.einsum("cij,sj->csi", poses[:, :3, :3], local) + poses[:, None, :3, 3]
    return found


__all__ = ["Seals", "rim", "seals_of", "stem_places"]
