"""Synthetic bins as scenes of BOP: pictures, depth, masks, poses, cameras and the bodies as models."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bop_scene import write_json
from ..ply import write_ply
from ..write import atomic, write_png
from .bins import BinScene, BinSettings, bin_scene, noisy_depth
from .bins_solids import Solid, surface_points
from .files import empty_folder

SCALE = 0.1
"""Millimetres of one unit of the written depth."""


def write_bins(
    folder: str | Path,
    count: int,
    settings: BinSettings | None = None,
    seed: int = 0,
    noise: float = 0.0,
    tick: Callable[[], object] = lambda: None,
) -> Path:
    """Writes ``count`` bins as ``test/000001`` and so on, one image each, with a model for each body.

    Args:
        folder: a new or empty folder.
        count: how many.
        settings: what they are like.
        seed: of the first; the next has the next number.
        noise: of the depth, as for :func:`delineate.data.synthetic.bins.noisy_depth`; 0: exact, no holes.
        tick: called after each.

    Raises:
        InputError: the folder is not empty or may not be written.
    """
    folder = empty_folder(folder)
    (folder / "models").mkdir()
    models: dict[str, Any] = {}
    camera: NDArray[np.float64] | None = None
    for number in range(1, count + 1):
        scene = bin_scene(seed + number - 1, settings)
        camera = scene.camera
        depth = noisy_depth(scene, noise, seed + number) if noise else scene.depth
        first = len(models) + 1
        for k, solid in enumerate(scene.solids):
            models[str(first + k)] = _model(folder / "models" / f"obj_{first + k:06d}.ply", solid)
        _scene(folder / "test" / f"{number:06d}", scene, depth, first)
        tick()
    with atomic(folder / "models" / "models_info.json") as temporary:
        temporary.write_text(json.dumps(models, indent=1), encoding="utf-8")
    if camera is not None:
        _camera_file(folder / "camera.json", camera, (settings or BinSettings()).size)
    return folder


def _camera_file(path: Path, camera: NDArray[np.float64], size: tuple[int, int]) -> None:
    record = {"fx": camera[0, 0], "fy": camera[1, 1], "cx": camera[0, 2], "cy": camera[1, 2]}
    record |= {"height": size[0], "width": size[1], "depth_scale": SCALE}
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(record), encoding="utf-8")


def _model(path: Path, solid: Solid) -> dict[str, Any]:
    """Writes a body's surface in its own frame, in millimetres as BOP has it; its line of models_info."""
    own = Solid(solid.kind, solid.half, np.eye(4))
    write_ply(path, surface_points(own) * 1000, note=f"{solid.kind}, millimetres")
    low, size = -solid.half * 1000, 2 * solid.half * 1000
    across = 2 * solid.reach * 1000
    names = ("min_x", "min_y", "min_z", "size_x", "size_y", "size_z")
    return {
        "diameter": across,
        **dict(zip(names, [*low.tolist(), *size.tolist()], strict=True)),
        "shape": solid.kind,
    }


def _scene(folder: Path, scene: BinScene, depth: NDArray[np.float32], first: int) -> None:
    for name in ("rgb", "depth", "mask", "mask_visib"):
        (folder / name).mkdir(parents=True)
    write_png(folder / "rgb" / "000000.png", scene.color)
    units = np.clip(np.rint(depth * 1000 / SCALE), 0, 65535).astype(np.uint16)
    write_png(folder / "depth" / "000000.png", units)
    assert scene.truth.masks is not None
    for k, (seen, whole) in enumerate(zip(scene.truth.masks.dense(), scene.whole.dense(), strict=True)):
        write_png(folder / "mask_visib" / f"000000_{k:06d}.png", seen)
        write_png(folder / "mask" / f"000000_{k:06d}.png", whole)
    write_json(
        folder / "scene_camera.json",
        {"0": {"cam_K": scene.camera.reshape(-1).tolist(), "depth_scale": SCALE}},
    )
    poses = [
        {
            "cam_R_m2c": solid.pose[:3, :3].reshape(-1).tolist(),
            "cam_t_m2c": (solid.pose[:3, 3] * 1000).tolist(),
            "obj_id": first + k,
        }
        for k, solid in enumerate(scene.solids)
    ]
    write_json(folder / "scene_gt.json", {"0": poses})
    write_json(folder / "scene_gt_info.json", {"0": _info(scene, depth)})


def _info(scene: BinScene, depth: NDArray[np.float32]) -> list[dict[str, Any]]:
    assert scene.truth.masks is not None
    valid = depth > 0
    rows = []
    for k, whole in enumerate(scene.whole.dense()):
        boxes = [m.boxes[k].tolist() for m in (scene.whole, scene.truth.masks)]
        corners = [[int(v) for v in (b[0], b[1], b[2] - b[0], b[3] - b[1])] for b in boxes]
        seen = int(scene.truth.masks.area[k])
        rows.append(
            {
                "bbox_obj": corners[0],
                "bbox_visib": corners[1] if seen else [-1, -1, -1, -1],
                "px_count_all": int(whole.sum()),
                "px_count_valid": int((whole & valid).sum()),
                "px_count_visib": seen,
                "visib_fract": float(scene.visible[k]),
            }
        )
    return rows


__all__ = ["write_bins"]
