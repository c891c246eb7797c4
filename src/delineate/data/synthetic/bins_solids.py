"""Boxes, cylinders and balls with exact surfaces: where a ray meets one, and how far a place is from one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Kind = Literal["box", "cylinder", "ball"]


@dataclass(frozen=True, eq=False)
class Solid:
    """One body. Metres.

    Attributes:
        kind: ``box``, ``cylinder`` (its axis is z) or ``ball``.
        half: (3,) half the lengths along its own axes; a cylinder has (radius, radius, half height), a ball
            its radius three times.
        pose: (4, 4) from its own frame, whose origin is its middle, to the one it stands in.
    """

    kind: Kind
    half: Floats
    pose: Floats

    def moved(self, transform: Floats) -> Solid:
        """The same body in another frame: ``transform`` (4, 4) is applied to its pose."""
        return replace(self, pose=transform @ self.pose)

    @property
    def reach(self) -> float:
        """Radius of the ball around its middle that holds all of it."""
        if self.kind == "ball":
            return float(self.half[0])
        if self.kind == "cylinder":
            return float(np.hypot(self.half[0], self.half[2]))
        return float(np.linalg.norm(self.half))

    def distance(self, points: Floats) -> Floats:
        """(N,) signed distance of points (N, 3) from the surface, below 0 inside. Exact.

        Example:
            >>> ball = Solid("ball", np.full(3, 0.5), np.eye(4))
            >>> ball.distance(np.array([[0, 0, 2.0], [0, 0, 0]])).tolist()
            [1.5, -0.5]
        """
        local = (points - self.pose[:3, 3]) @ self.pose[:3, :3]
        if self.kind == "ball":
            return np.linalg.norm(local, axis=1) - self.half[0]
        if self.kind == "cylinder":
            radial = np.hypot(local[:, 0], local[:, 1]) - self.half[0]
            over = np.column_stack([radial, np.abs(local[:, 2]) - self.half[2]])
        else:
            over = np.abs(local) - self.half
        outside = np.linalg.norm(np.maximum(over, 0), axis=1)
        return outside + np.minimum(over.max(axis=1), 0)

    def meet(self, origins: Floats, directions: Floats) -> tuple[Floats, Floats]:
        """Where rays first enter the body.

        Args:
            origins: (N, 3) or (1, 3), outside the body.
            directions: (N, 3), of any length.

        Returns:
            (N,) multiples of the direction, infinite for a miss, and (N, 3) unit normals there, 0 for a miss.

        Example:
            >>> ball = Solid("ball", np.full(3, 0.5), np.eye(4))
            >>> ball.meet(np.array([[0, 0, -2.0]]), np.array([[0, 0, 1.0]]))[0].tolist()
            [1.5]
        """
        turn = self.pose[:3, :3]
        begin = (origins - self.pose[:3, 3]) @ turn
        along = directions @ turn
        begin = np.broadcast_to(begin, along.shape)
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.kind == "ball":
                t, normal = _ball(begin, along, float(self.half[0]))
            elif self.kind == "box":
                t, normal = _box(begin, along, self.half)
            else:
                t, normal = _cylinder(begin, along, float(self.half[0]), float(self.half[2]))
        miss = ~np.isfinite(t) | (t <= 0)
        t, normal = np.where(miss, np.inf, t), np.where(miss[:, None], 0, normal)
        return t, normal @ turn.T


def _ball(begin: Floats, along: Floats, radius: float) -> tuple[Floats, Floats]:
    a = (along**2).sum(axis=1)
    b = (begin * along).sum(axis=1)
    c = (begin**2).sum(axis=1) - radius**2
    root = np.sqrt(np.where(b**2 - a * c >= 0, b**2 - a * c, np.nan))
    t = (-b - root) / a
    return t, (begin + t[:, None] * along) / radius


def _box(begin: Floats, along: Floats, half: Floats) -> tuple[Floats, Floats]:
    one, two = (-half - begin) / along, (half - begin) / along
    low, high = np.fmin(one, two), np.fmax(one, two)
    flat = along == 0  # parallel to a pair of faces: between them or never
    between = np.abs(begin) <= half
    low = np.where(flat, np.where(between, -np.inf, np.inf), low)
    high = np.where(flat, np.where(between, np.inf, -np.inf), high)
    axis = low.argmax(axis=1)
    enter, leave = low.max(axis=1), high.min(axis=1)
    normal = np.zeros_like(begin)
    rows = np.arange(len(begin))
    normal[rows, axis] = -np.sign(along[rows, axis])
    return np.where(enter <= leave, enter, np.inf), normal


def _cylinder(begin: Floats, along: Floats, radius: float, half: float) -> tuple[Floats, Floats]:
    a = (along[:, :2] ** 2).sum(axis=1)
    b = (begin[:, :2] * along[:, :2]).sum(axis=1)
    c = (begin[:, :2] ** 2).sum(axis=1) - radius**2
    root = np.sqrt(np.where(b**2 - a * c >= 0, b**2 - a * c, np.nan))
    side = (-b - root) / a
    at = begin + side[:, None] * along
    side = np.where((np.abs(at[:, 2]) <= half) & (side > 0), side, np.inf)
    cap = (-np.sign(along[:, 2]) * half - begin[:, 2]) / along[:, 2]
    on = begin + cap[:, None] * along
    cap = np.where((np.hypot(on[:, 0], on[:, 1]) <= radius) & (cap > 0), cap, np.inf)
    t = np.fmin(side, cap)
    first = side <= cap
    wall = np.column_stack([at[:, :2] / radius, np.zeros(len(at))])
    lid = np.column_stack([np.zeros((len(at), 2)), -np.sign(along[:, 2])])
    return t, np.where(first[:, None], np.nan_to_num(wall), lid)


def surface_points(solid: Solid, spacing: float = 0.004) -> Floats:
    """(N, 3) places on the surface, about ``spacing`` metres apart, in the frame that it stands in."""
    counts = np.maximum(2, np.ceil(2 * solid.half / spacing).astype(int) + 1)
    if solid.kind == "box":
        axes = [np.linspace(-h, h, n) for h, n in zip(solid.half, counts, strict=True)]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        local = grid[(np.abs(np.abs(grid) - solid.half) < 1e-9).any(axis=1)]
    elif solid.kind == "ball":
        number = max(50, int(4 * np.pi * (solid.half[0] / spacing) ** 2))
        z = 1 - 2 * (np.arange(number) + 0.5) / number
        turn = np.pi * (1 + 5**0.5) * np.arange(number)
        flat = np.sqrt(1 - z**2)
        local = solid.half[0] * np.column_stack([flat * np.cos(turn), flat * np.sin(turn), z])
    else:
        round_ = max(12, int(2 * np.pi * solid.half[0] / spacing))
        turn = np.linspace(0, 2 * np.pi, round_, endpoint=False)
        ring = np.column_stack([np.cos(turn), np.sin(turn)])
        parts = [
            np.column_stack([solid.half[0] * ring, np.full(round_, z)])
            for z in np.linspace(-solid.half[2], solid.half[2], counts[2])
        ]
        for radius in np.linspace(0, solid.half[0], counts[0] // 2 + 1)[:-1]:
            parts += [
                np.column_stack([radius * ring, np.full(round_, z)]) for z in (-solid.half[2], solid.half[2])
            ]
        local = np.concatenate(parts)
    found: Floats = local @ solid.pose[:3, :3].T + solid.pose[:3, 3]
    return found


__all__ = ["Solid", "surface_points"]
