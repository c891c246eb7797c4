"""Bins of boxes, cylinders and balls before a depth camera: depth, masks, poses and shapes are known.

The bodies are put down one after another where each first touches what lies there; nothing is simulated, so
a body on top of others may lie where a real one would slide off. Depth, normals and masks are exact: each
pixel's ray is met with each body's formula.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks

from .bins_render import Canvas, lit
from .bins_solids import Kind, Solid, surface_points

Floats = NDArray[np.float64]
KINDS: tuple[Kind, ...] = ("box", "cylinder", "ball")
CLASSES = Labels(KINDS)


@dataclass(frozen=True)
class BinSettings:
    """What a bin is like. Lengths in metres.

    Attributes:
        objects: how many are put in, as far as there is room.
        size: (height, width) of the picture in pixels.
        focal: of the camera, in pixels.
        distance: of the camera from the middle of the bin's floor.
        tilt: greatest angle between the camera's view and straight down, degrees.
        inside: (length, breadth) of the bin's floor; walls are 8 cm high.
        least: half the least length of a body.
        most: half the greatest length of a body.
        pile: share of the bodies that may lie on others, 0..1; the rest stands on the floor.

    Raises:
        InputError: a setting out of range.
    """

    objects: int = 10
    size: tuple[int, int] = (480, 640)
    focal: float = 600.0
    distance: float = 0.7
    tilt: float = 15.0
    inside: tuple[float, float] = (0.42, 0.32)
    least: float = 0.015
    most: float = 0.045
    pile: float = 0.4

    def __post_init__(self) -> None:
        good = 0 <= self.objects <= 200 and min(self.size) >= 16 and self.focal > 0 and 0 <= self.tilt < 60
        good = good and 0 < self.least <= self.most < min(self.inside) / 2 and 0 <= self.pile <= 1
        if not good or self.distance <= 0.2:
            raise InputError(
                "bins: expected 0 to 200 objects, at least 16 x 16 pixels, a focal length above 0, tilt 0 to "
                "60, 0 < least <= most < half the bin, pile 0 to 1 and a distance above 0.2 m, got "
                f"{self}; correct it"
            )


@dataclass(frozen=True, eq=False)
class BinScene:
    """One bin. The frame is the camera's: x right, y down, z forward, metres.

    Attributes:
        color: (H, W, 3) uint8.
        depth: (H, W) float32 metres along z; exact, without holes.
        normals: (H, W, 3) float32 of the surface, towards the camera.
        camera: (3, 3) intrinsics in pixels.
        truth: N objects: visible masks, classes box, cylinder, ball; ids 1..N.
        whole: their masks with the hidden parts.
        solids: their N bodies.
        walls: the floor (first) and the bin's walls.
        world: (4, 4) from the bin's frame (z up, origin in the floor's middle) to the camera's.
    """

    color: NDArray[np.uint8]
    depth: NDArray[np.float32]
    normals: NDArray[np.float32]
    camera: Floats
    truth: Instances
    whole: Masks
    solids: tuple[Solid, ...]
    walls: tuple[Solid, ...]
    world: Floats

    @property
    def visible(self) -> Floats:
        """(N,) share of each whole silhouette that shows; 0 for one that is hidden wholly."""
        assert self.truth.masks is not None
        return self.truth.masks.area / np.maximum(self.whole.area, 1)


def bin_scene(seed: int, settings: BinSettings | None = None) -> BinScene:
    """A bin; the same seed and settings give the same one.

    Example:
        >>> scene = bin_scene(1, BinSettings(objects=2, size=(60, 80), focal=75))
        >>> len(scene.truth), scene.depth.shape, bool(np.isfinite(scene.depth).all())
        (2, (60, 80), True)
    """
    settings = settings or BinSettings()
    rng = np.random.default_rng(seed)
    walls = _walls(settings)
    solids: list[Solid] = []
    for _ in range(settings.objects):
        body = _put(rng, solids, settings)
        if body is not None:
            solids.append(body)
    world = _camera_pose(rng, settings)
    height, width = settings.size
    camera = np.array(
        [[settings.focal, 0, (width - 1) / 2], [0, settings.focal, (height - 1) / 2], [0, 0, 1.0]]
    )
    seen = tuple(s.moved(world) for s in solids)
    around = tuple(s.moved(world) for s in walls)
    return _rendered(rng, seen, around, camera, world, settings)


def _walls(settings: BinSettings) -> list[Solid]:
    """A floor that is larger than the bin (its top at z = 0), and four walls."""
    x, y = settings.inside[0] / 2, settings.inside[1] / 2
    thick, high = 0.005, 0.08

    def slab(cx: float, cy: float, cz: float, *half: float) -> Solid:
        pose = np.eye(4)
        pose[:3, 3] = cx, cy, cz
        return Solid("box", np.array(half), pose)

    return [
        slab(0, 0, -0.5, 3, 3, 0.5),
        slab(x + thick, 0, high / 2, thick, y + 2 * thick, high / 2),
        slab(-x - thick, 0, high / 2, thick, y + 2 * thick, high / 2),
        slab(0, y + thick, high / 2, x, thick, high / 2),
        slab(0, -y - thick, high / 2, x, thick, high / 2),
    ]


def _put(rng: np.random.Generator, there: list[Solid], settings: BinSettings) -> Solid | None:
    """A random body where it first touches floor or others; None where forty tries found no room."""
    kind: Kind = KINDS[int(rng.integers(3))]
    low, high = settings.least, settings.most
    half = rng.uniform(low, high, 3)
    if kind == "ball":
        half[:] = half[0]
    elif kind == "cylinder":
        half[1] = half[0]
    piled = rng.random() < settings.pile
    for _ in range(40):
        turn = _resting(rng, kind, piled)
        body = Solid(kind, half, np.eye(4))
        body.pose[:3, :3] = turn
        rim = surface_points(body, 0.006)
        lowest = float(rim[:, 2].min())
        reach = np.abs(rim[:, :2]).max(axis=0) + 0.004
        room = np.array(settings.inside) / 2 - reach
        if (room <= 0).any():
            continue
        x, y = rng.uniform(-room, room)
        level = _level(rim + np.array([x, y, 0]), lowest, there) if piled else -lowest + 1e-4
        body.pose[:3, 3] = x, y, level
        free = all(other.distance(rim + body.pose[:3, 3]).min() > 0.001 for other in there)
        free = free and all(body.distance(surface_points(other, 0.006)).min() > 0.001 for other in there)
        if free and level < 0.16:
            return body
    return None


def _resting(rng: np.random.Generator, kind: Kind, piled: bool) -> Floats:
    """A rotation: on one of its sides, turned at will about the vertical, leaning a little on a pile."""
    side = int(rng.integers(3))
    flip = np.eye(3)
    if kind != "ball" and side:
        flip = np.array(
            [[[1, 0, 0], [0, 0, -1], [0, 1, 0]], [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]][side - 1], float
        )
    yaw = rng.uniform(0, 2 * np.pi)
    upright = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    lean = np.radians(rng.uniform(0, 20)) if piled else 0.0
    leaning = np.array([[1, 0, 0], [0, np.cos(lean), -np.sin(lean)], [0, np.sin(lean), np.cos(lean)]])
    found: Floats = upright @ leaning @ flip
    return found


def _level(rim: Floats, lowest: float, there: list[Solid]) -> float:
    """Height at which a body that comes down from above first touches something."""
    level = -lowest + 1e-4
    for _ in range(200):
        gap = min(
            (float(other.distance(rim + np.array([0, 0, level])).min()) for other in there), default=1.0
        )
        if gap > 0.0015:
            return level
        level += 0.002
    return level


def _camera_pose(rng: np.random.Generator, settings: BinSettings) -> Floats:
    """From the bin's frame to the camera's: above its middle, tilted, looking at it."""
    tilt, around = np.radians(rng.uniform(0, settings.tilt)), rng.uniform(0, 2 * np.pi)
    away = np.array([np.sin(tilt) * np.cos(around), np.sin(tilt) * np.sin(around), np.cos(tilt)])
    z = -away
    x = np.cross([0, 1.0, 0], z)
    x /= np.linalg.norm(x)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([x, np.cross(z, x), z])
    pose[:3, 3] = -pose[:3, :3] @ (away * settings.distance)
    return pose


def _rendered(
    rng: np.random.Generator, solids: tuple[Solid, ...], walls: tuple[Solid, ...], camera: Floats,
    world: Floats, settings: BinSettings,
) -> BinScene:  # fmt: skip
    height, width = settings.size
    v, u = np.mgrid[:height, :width]
    rays = np.dstack([(u - camera[0, 2]) / camera[0, 0], (v - camera[1, 2]) / camera[1, 1], np.ones_like(u)])
    canvas = Canvas(settings.size, rays)
    for wall in walls:
        canvas.add(wall, 0, camera)
    shown = [canvas.add(solid, k, camera) for k, solid in enumerate(solids, 1)]
    whole = Masks.from_dense(np.array(shown)) if shown else Masks.empty(settings.size)
    numbers = np.arange(1, len(solids) + 1)
    masks = Masks.from_label_image(canvas.label, numbers)
    labels = np.array([KINDS.index(s.kind) for s in solids], np.int64)
    truth = Instances(settings.size, masks=masks, labels=labels, ids=numbers, classes=CLASSES)
    color = lit(rng, canvas, world, len(solids))
    return BinScene(
        color, canvas.depth.astype(np.float32), canvas.normals.astype(np.float32), camera, truth, whole,
        solids, walls, world,
    )  # fmt: skip


def noisy_depth(scene: BinScene, noise: float, seed: int, holes: float = 0.02) -> NDArray[np.float32]:
    """The depth as a sensor would give it.

    Args:
        scene: whose depth.
        noise: standard deviation in metres at one metre; it grows with the square of the depth, as for
            structured light and stereo (K. Khoshelham, S. O. Elberink: Sensors 12, 2012).
        seed: of the noise.
        holes: share of pixels without depth; at steps of more than 2 cm half of the pixels are holes too.

    Returns:
        (H, W) float32 metres in steps of 0.1 mm, 0 for none.
    """
    if noise == 0 and holes == 0:
        return scene.depth.copy()
    rng = np.random.default_rng(seed)
    depth = scene.depth + rng.normal(0, 1, scene.depth.shape) * noise * scene.depth.astype(np.float64) ** 2
    step = np.zeros(depth.shape, np.bool_)
    for axis in (0, 1):
        jump = np.abs(np.diff(scene.depth, axis=axis)) > 0.02
        one = [slice(None)] * 2
        two = [slice(None)] * 2
        one[axis], two[axis] = slice(1, None), slice(None, -1)
        step[tuple(one)] |= jump
        step[tuple(two)] |= jump
    lost = (rng.random(depth.shape) < holes) | (step & (rng.random(depth.shape) < 0.5))
    return np.where(lost, 0, np.rint(depth * 1e4) / 1e4).astype(np.float32)


__all__ = ["CLASSES", "BinScene", "BinSettings", "bin_scene", "noisy_depth"]
