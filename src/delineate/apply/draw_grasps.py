"""Grasps drawn on a photograph, as the camera would see the gripper, and depth in colours with a scale."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

from delineate.core.instances import Instances

from .draw import display, draw_masks
from .grasp import FINGERS, Grasp
from .gripper import Gripper, SuctionCup
from .point_cloud import project

Floats = NDArray[np.float64]
FINGER_TINT, CUP_TINT = (255, 235, 60), (90, 220, 255)
SHADOW = (0, 0, 0)
LEAST_SIDE = 900
"""Smaller pictures are enlarged by a whole factor to about this length."""


def draw_grasps(
    image: ArrayLike | None, objects: Instances, numbers: NDArray[np.int64], order: NDArray[np.int64],
    grasps: Sequence[Grasp], camera: Floats, tools: tuple[Gripper | None, SuctionCup | None],
) -> Image.Image:  # fmt: skip
    """The photograph with outlines, each object's number and place in the order, and the grasps on it.

    Args:
        image: (H, W) or (H, W, C), or None for black.
        objects: N objects.
        numbers: (N,) what they are called.
        order: (N,) objects in the order of picking.
        grasps: which to draw.
        camera: (3, 3) intrinsics.
        tools: fingers and cup, for their sizes.
    """
    canvas = np.zeros((*objects.size, 3), np.uint8) if image is None else display(image)
    factor = max(1, -(-LEAST_SIDE // max(objects.size)))
    masks = objects.masks
    if masks is not None and len(objects):
        tints = np.asarray(
            objects.classes.colors[objects.labels] if len(objects.classes) > 1 else _tints(len(objects))
        )
        draw_masks(canvas, masks, tints, 1)
    picture = Image.fromarray(canvas).resize(
        (canvas.shape[1] * factor, canvas.shape[0] * factor), Image.Resampling.NEAREST
    )
    pen = ImageDraw.Draw(picture)
    scaled = np.diag([factor, factor, 1.0]) @ (camera + np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]))
    for one in reversed(grasps):
        lines = _finger_lines(one, tools[0]) if one.kind == FINGERS else _cup_lines(one, tools[1])
        _strokes(pen, lines, scaled, FINGER_TINT if one.kind == FINGERS else CUP_TINT)
    place = {int(i): k for k, i in enumerate(order, 1)}
    font = ImageFont.load_default(size=15)
    for i in range(len(objects)):
        if masks is None or not masks.area[i]:
            continue
        crop, (x0, y0) = masks.crop(i)
        y, x = np.nonzero(crop)
        at = ((x0 + float(x.mean())) * factor, (y0 + float(y.min())) * factor - 10)
        _write(pen, at, f"{numbers[i]} · pick {place[i]}", font)
    return picture


def _tints(count: int) -> NDArray[np.uint8]:
    from delineate.core.labels import distinct_colors

    return distinct_colors(count)


def _write(
    pen: ImageDraw.ImageDraw,
    at: tuple[float, float],
    text: str,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
) -> None:
    for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        pen.text((at[0] + dx, at[1] + dy), text, SHADOW, font, anchor="mm")
    pen.text(at, text, (255, 255, 255), font, anchor="mm")


def _finger_lines(one: Grasp, gripper: Gripper | None) -> list[Floats]:
    """Strokes in the camera's frame: the two fingers, the palm's bar and its stem."""
    sizes = gripper or Gripper()
    half, back = one.opening / 2, -sizes.depth
    strokes: list[list[list[float]]] = [
        [[-half, 0, 0], [-half, 0, back], [half, 0, back], [half, 0, 0]],
        [[0, 0, back], [0, 0, back - 0.03]],
    ]
    strokes += [[[s * half, -sizes.breadth / 2, 0], [s * half, sizes.breadth / 2, 0]] for s in (-1, 1)]
    return [_placed(one.pose, stroke) for stroke in strokes]


def _cup_lines(one: Grasp, cup: SuctionCup | None) -> list[Floats]:
    sizes = cup or SuctionCup()
    turn = np.linspace(0, 2 * np.pi, 33)
    ring = sizes.radius * np.column_stack([np.cos(turn), np.sin(turn), np.zeros(33)])
    return [_placed(one.pose, ring), _placed(one.pose, np.array([[0.0, 0, 0], [0, 0, -0.04]]))]


def _placed(pose: Floats, points: ArrayLike) -> Floats:
    placed: Floats = np.asarray(points, np.float64) @ pose[:3, :3].T + pose[:3, 3]
    return placed


def _strokes(
    pen: ImageDraw.ImageDraw, lines: Sequence[Floats], camera: Floats, tint: tuple[int, int, int]
) -> None:
    for line in lines:
        at = project(line, camera)
        if np.isfinite(at).all():
            points = [tuple(p) for p in at.tolist()]
            pen.line(points, fill=SHADOW, width=5, joint="curve")
            pen.line(points, fill=tint, width=3, joint="curve")


def depth_picture(
    depth: NDArray[np.float32], low: float | None = None, high: float | None = None
) -> Image.Image:
    """Depth in colours, near ones warm, pixels without depth black; a bar with metres at the right.

    Args:
        depth: (H, W) metres, NaN for none.
        low: the nearest shown; default the 1st percentile.
        high: the farthest shown; default the 99th.
    """
    valid = np.isfinite(depth)
    some = depth[valid] if valid.any() else np.array([0.0, 1.0])
    near = float(np.percentile(some, 1)) if low is None else low
    far = float(np.percentile(some, 99)) if high is None else high
    far = max(far, near + 1e-3)
    share = np.clip((far - np.where(valid, depth, far)) / (far - near), 0, 1)
    colors = np.asarray(cv2.applyColorMap((share * 255).astype(np.uint8), cv2.COLORMAP_TURBO), np.uint8)[
        ..., ::-1
    ].copy()
    colors[~valid] = 0
    height = depth.shape[0]
    ramp = np.linspace(255, 0, height).astype(np.uint8)[:, None].repeat(14, axis=1)
    bar = np.asarray(cv2.applyColorMap(ramp, cv2.COLORMAP_TURBO), np.uint8)[..., ::-1]
    side = np.full((height, 74, 3), 255, np.uint8)
    side[:, 8:22] = bar
    picture = Image.fromarray(np.hstack([colors, side]))
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=12)
    for k in range(5):
        y = round(k / 4 * (height - 14)) + 7
        pen.text(
            (depth.shape[1] + 26, y),
            f"{near + (far - near) * k / 4:.3f} m"[:8],
            (40, 40, 40),
            font,
            anchor="lm",
        )
    return picture


__all__ = ["depth_picture", "draw_grasps"]
