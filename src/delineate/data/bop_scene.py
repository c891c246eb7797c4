"""Scenes in the format of BOP, the benchmark for object poses (T. Hodan et al., ECCV 2018).

A scene is a folder named by six digits: ``rgb/`` (or ``gray/``), ``depth/``, ``mask_visib/``, ``mask/``,
``scene_camera.json`` (``cam_K``, ``depth_scale`` to millimetres), ``scene_gt.json`` (``obj_id``,
``cam_R_m2c``, ``cam_t_m2c`` in millimetres) and ``scene_gt_info.json``. Here all lengths are metres.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import DatasetError

from .formats.json_file import load_json, show
from .write import atomic

Floats = NDArray[np.float64]
PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
SPLITS = ("train", "val", "test")
"""What the names of folders of scenes begin with."""
RESULT_COLUMNS = ("scene_id", "im_id", "obj_id", "score", "R", "t", "time")


@dataclass(frozen=True, eq=False)
class BopPose:
    """The pose of one object.

    Attributes:
        obj_id: the dataset's number of its model.
        pose: (4, 4) from the model's frame to the camera's, metres.
        visible: share of its silhouette that shows, 0..1; NaN where ``scene_gt_info.json`` does not say it.
    """

    obj_id: int
    pose: Floats
    visible: float = float("nan")


@dataclass(frozen=True, eq=False)
class BopImage:
    """One image of a scene.

    Attributes:
        scene_id: the folder's number.
        im_id: the image's number.
        color: its picture.
        depth: its depth image, or None.
        camera: (3, 3) intrinsics in pixels.
        depth_scale: metres of one unit of the depth image.
        poses: its objects, in the order of ``mask_visib``; empty where the truth is not public.
        masks: the mask of what shows of each, or empty.
    """

    scene_id: int
    im_id: int
    color: Path
    depth: Path | None
    camera: Floats
    depth_scale: float
    poses: tuple[BopPose, ...]
    masks: tuple[Path, ...]

    @property
    def name(self) -> str:
        """``000001/000003``."""
        return f"{self.scene_id:06d}/{self.im_id:06d}"


def scene_folders(path: str | Path) -> list[Path]:
    """The scenes in a folder: itself, its children, or the children of its splits; sorted."""
    path = Path(path)
    if (path / "scene_camera.json").is_file():
        return [path]
    splits = (p for p in _folders(path) if p.name.startswith(SPLITS))
    places = [path, *splits]
    inside = (p for place in places for p in _folders(place) if _is_number(p.name))
    return sorted(p for p in inside if (p / "scene_camera.json").is_file())


def _folders(path: Path) -> list[Path]:
    return [p for p in path.iterdir() if p.is_dir()] if path.is_dir() else []


def read_scene(folder: str | Path) -> list[BopImage]:
    """The images of a scene, by their numbers; pictures are not opened.

    Raises:
        DatasetError: not a scene, malformed JSON, numbers that are missing or no rotation.
    """
    folder = Path(folder)
    cameras = _entries(folder / "scene_camera.json")
    truth = _entries(folder / "scene_gt.json") if (folder / "scene_gt.json").is_file() else {}
    info = _entries(folder / "scene_gt_info.json") if (folder / "scene_gt_info.json").is_file() else {}
    number = int(folder.name) if _is_number(folder.name) else 0
    found = []
    for key in sorted(cameras, key=int):
        where = f"{folder / 'scene_camera.json'}: image {key}"
        entry = cameras[key]
        camera = numbers(entry, "cam_K", 9, where).reshape(3, 3)
        scale = float(numbers({"depth_scale": [entry.get("depth_scale", 1.0)]}, "depth_scale", 1, where)[0])
        color = _picture(folder, ("rgb", "gray"), int(key))
        if color is None:
            raise DatasetError(
                f"{folder}: expected rgb/{int(key):06d} (or gray/), got none; add the picture, or remove "
                "the image from scene_camera.json"
            )
        poses = _poses(truth.get(key, []), info.get(key, []), f"{folder / 'scene_gt.json'}: image {key}")
        masks = tuple(folder / "mask_visib" / f"{int(key):06d}_{k:06d}.png" for k in range(len(poses)))
        masks = masks if all(m.is_file() for m in masks) else ()
        depth = _picture(folder, ("depth",), int(key))
        found.append(BopImage(number, int(key), color, depth, camera, scale / 1000, poses, masks))
    return found


def _entries(path: Path) -> dict[str, Any]:
    found = load_json(path)
    if not isinstance(found, dict) or not all(_is_number(str(key)) for key in found):
        raise DatasetError(
            f"{path}: expected an entry for each image number, got something else; see BOP's format"
        )
    return found


def _is_number(name: str) -> bool:
    """Whether a name is a number as BOP writes them: up to nine digits."""
    return name.isascii() and name.isdecimal() and len(name) < 10


def numbers(entry: Any, name: str, count: int, where: str) -> Floats:
    """So many finite numbers of an entry.

    Raises:
        DatasetError: others.
    """
    value = entry.get(name) if isinstance(entry, Mapping) else None
    try:
        array = np.array(value, np.float64).reshape(-1)
    except (TypeError, ValueError, OverflowError):
        array = np.zeros(0)
    if array.size != count or not np.isfinite(array).all():
        raise DatasetError(f"{where}: expected {name} as {count} numbers, got {show(value)}; correct it")
    return array


def _poses(rows: Any, info: Any, where: str) -> tuple[BopPose, ...]:
    if not isinstance(rows, list):
        raise DatasetError(f"{where}: expected a list of objects, got {type(rows).__name__}; correct it")
    found = []
    for k, row in enumerate(rows):
        turn = numbers(row, "cam_R_m2c", 9, f"{where}, object {k}").reshape(3, 3)
        if abs(np.linalg.det(turn) - 1) > 0.01 or not np.allclose(turn @ turn.T, np.eye(3), atol=0.01):
            raise DatasetError(
                f"{where}, object {k}: expected cam_R_m2c as a rotation, got another matrix; correct it"
            )
        pose = np.eye(4)
        pose[:3, :3] = turn
        pose[:3, 3] = numbers(row, "cam_t_m2c", 3, f"{where}, object {k}") / 1000
        identity = int(numbers({"obj_id": [row.get("obj_id")]}, "obj_id", 1, f"{where}, object {k}")[0])
        if not 0 <= identity < 2**31:
            raise DatasetError(
                f"{where}, object {k}: expected obj_id in 0..2^31, got {identity:.3g}; correct it"
            )
        told = info[k] if isinstance(info, list) and k < len(info) and isinstance(info[k], Mapping) else {}
        share = told.get("visib_fract")
        seen = float(share) if isinstance(share, (int, float)) and 0 <= share <= 1 else float("nan")
        found.append(BopPose(identity, pose, seen))
    return tuple(found)


def _picture(folder: Path, rooms: Sequence[str], number: int) -> Path | None:
    options = (folder / room / f"{number:06d}{ending}" for room in rooms for ending in PICTURES)
    return next((path for path in options if path.is_file()), None)


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """One line for each image, as BOP's own files have it; atomic."""
    lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in record.items())
    with atomic(path) as temporary:
        temporary.write_text("{\n" + lines + "\n}\n", encoding="utf-8")


@dataclass(frozen=True, eq=False)
class BopResult:
    """One line of a results file: an object's pose as a method estimates it.

    Attributes:
        scene_id: of the scene.
        im_id: of the image.
        obj_id: of the model.
        score: the method's confidence; any number.
        pose: (4, 4) from the model's frame to the camera's, metres.
        time: seconds for the whole image; -1 where unknown.
    """

    scene_id: int
    im_id: int
    obj_id: int
    score: float
    pose: Floats
    time: float = -1.0


def write_results(path: str | Path, results: Iterable[BopResult]) -> Path:
    """Writes BOP's CSV: ``scene_id,im_id,obj_id,score,R,t,time``; R row by row, t in millimetres; atomic."""
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(RESULT_COLUMNS)
        for one in results:
            turn = " ".join(f"{v:.9g}" for v in one.pose[:3, :3].reshape(-1))
            place = " ".join(f"{v * 1000:.9g}" for v in one.pose[:3, 3])
            table.writerow(
                (one.scene_id, one.im_id, one.obj_id, f"{one.score:.9g}", turn, place, f"{one.time:.9g}")
            )
    return Path(path)


def read_results(path: str | Path) -> list[BopResult]:
    """Reads BOP's CSV of results.

    Raises:
        DatasetError: other columns, or a line that is malformed; the message has its number.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path}: expected BOP's CSV of results, got {error}; check it") from None
    if not rows or tuple(name.strip() for name in rows[0]) != RESULT_COLUMNS:
        raise DatasetError(f"{path}: expected the columns {','.join(RESULT_COLUMNS)}, got others; add them")
    return [_result(row, f"{path}: line {line}") for line, row in enumerate(rows[1:], 2) if row]


def _result(row: list[str], where: str) -> BopResult:
    try:
        scene, image, obj, score, turn, place, time = row
        pose = np.eye(4)
        pose[:3, :3] = np.array(turn.split(), np.float64).reshape(3, 3)
        pose[:3, 3] = np.array(place.split(), np.float64).reshape(3) / 1000
        return BopResult(int(scene), int(image), int(obj), float(score), pose, float(time))
    except ValueError:
        raise DatasetError(
            f"{where}: expected scene_id,im_id,obj_id,score,R (9 numbers),t (3),time, got "
            f"{','.join(row)[:60]!r}; correct the line"
        ) from None


__all__ = ["BopImage", "BopPose", "BopResult", "read_results", "read_scene", "scene_folders", "write_results"]
