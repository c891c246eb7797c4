"""Files that say where pixels lie on the ground: homographies, marked points, cameras of several makes."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import DelineateError, InputError
from delineate.data.npy import load_npy
from delineate.tracking.ground import Calibration, Camera, Ground, calibrate

KITTI_HEIGHT = 1.65
"""Metres of KITTI's cameras above the road (Geiger et al., "Vision meets Robotics", IJRR 2013)."""
LARGEST = 10_000_000  # bytes of a calibration
_KINDS = (
    "3 x 3 numbers, a table `u,v,x,y` of 4 or more points (pixels, metres), or JSON with `homography` or "
    "`pixels` and `metres`"
)


def read_homography(
    path: str | Path, size: tuple[int, int] | None = None
) -> tuple[Ground, Calibration | None]:
    """A ground plane from pixels to metres.

    Args:
        path: 3 x 3 numbers as text, ``.npy`` or JSON (``[[..]]`` or ``{"homography": ..}``);
            or points whose place is known: a table with the columns u, v, x, y (pixels, then metres), with or
            without a line of names, or JSON with ``pixels`` and ``metres``.
        size: (height, width) of the picture, for the side of the horizon where a matrix has ground.

    Returns:
        The plane, and how well points fit where points were given.

    Raises:
        InputError: the file cannot be read, or holds none of these.
    """
    path = Path(path)
    matrix, points = _homography(path)
    try:
        if points is not None:
            fit = calibrate(points[:, :2], points[:, 2:4])
            return fit.ground, fit
        return Ground.of_matrix(matrix, size or (1080, 1920)), None
    except DelineateError as error:
        raise InputError(f"{path}: {error}") from None


def _homography(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """A matrix, or (N, 4) points."""
    nothing = np.zeros((0, 0))
    if path.suffix.lower() == ".npy":
        return _numbers(load_npy(path), path), None
    text = _text(path)
    if text.lstrip()[:1] in ("{", "["):
        record = _json(text, path)
        if isinstance(record, dict) and "pixels" in record and "metres" in record:
            sides = [_numbers(record[side], path) for side in ("pixels", "metres")]
            if sides[0].shape != sides[1].shape or sides[0].ndim != 2 or sides[0].shape[1] != 2:
                raise InputError(
                    f"{path}: expected `pixels` and `metres` as two lists of x, y of one length, got shapes "
                    f"{sides[0].shape} and {sides[1].shape}; correct them"
                )
            return nothing, np.hstack(sides)
        return _numbers(record.get("homography") if isinstance(record, dict) else record, path), None
    rows = [
        row for row in csv.reader(text.replace("\t", ",").splitlines()) if any(cell.strip() for cell in row)
    ]
    rows = [row for row in rows if not row[0].lstrip().startswith("#")]
    if len(rows) and len(rows[0]) == 1:
        rows = [row[0].split() for row in rows]
    if rows and not _is_number(rows[0][0]):
        rows = rows[1:]
    found = _numbers(rows, path)
    if found.ndim == 2 and found.shape[1] == 4:
        return nothing, found
    return found, None


def read_camera(path: str | Path) -> Ground:
    """A ground plane from a camera above flat ground.

    Args:
        path: JSON with ``focal`` [fx, fy], ``center`` [cx, cy], ``height`` (metres), and where they are not
            0 ``pitch``, ``roll``, ``yaw`` (degrees), ``position`` [x, y], ``distortion``; a ``camera.json``
            of Cityscapes; or a calibration of KITTI (``P2: ..``; the camera is 1.65 m above the road there).

    Raises:
        InputError: the file cannot be read, or holds none of these.
    """
    path = Path(path)
    text = _text(path)
    try:
        if text.lstrip()[:1] != "{":
            return Ground.of_camera(_kitti(text, path))
        record = _json(text, path)
        return Ground.of_camera(_cityscapes(record) if "intrinsic" in record else _own(record))
    except KeyError as error:
        raise InputError(
            f"{path}: expected a camera with focal, center and height, got none named {error}; add it"
        ) from None
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        told = error if isinstance(error, DelineateError) else f"expected numbers for a camera, got: {error}"
        raise InputError(f"{path}: {told}") from None


def _own(record: dict[str, Any]) -> Camera:
    known = {"focal", "center", "height", "pitch", "roll", "yaw", "position", "distortion"}
    strange = sorted(set(record) - known - {"size", "name", "note"})
    if strange:
        raise InputError(f"camera: expected {', '.join(sorted(known))}, got {strange[0]!r}; check its name")
    return Camera(
        focal=_pair(record["focal"]),
        center=_pair(record["center"]),
        height=float(record["height"]),
        pitch=float(record.get("pitch", 0)),
        roll=float(record.get("roll", 0)),
        yaw=float(record.get("yaw", 0)),
        position=_pair(record.get("position", (0, 0))),
        distortion=tuple(float(k) for k in record.get("distortion", ())),
    )


def _pair(value: Any) -> tuple[float, float]:
    one, two = value
    return float(one), float(two)


def _cityscapes(record: dict[str, Any]) -> Camera:
    """Extrinsic rotations in radians, the vehicle's axes x forward, y left, z up."""
    inner, outer = record["intrinsic"], record["extrinsic"]
    return Camera(
        focal=(float(inner["fx"]), float(inner["fy"])),
        center=(float(inner["u0"]), float(inner["v0"])),
        height=float(outer["z"]),
        pitch=math.degrees(float(outer["pitch"])),
        roll=math.degrees(float(outer["roll"])),
        yaw=math.degrees(float(outer["yaw"])),
        position=(float(outer["x"]), float(outer["y"])),
    )


def _kitti(text: str, path: Path) -> Camera:
    """The left colour camera's projection, which stands after ``P2``."""
    for line in text.splitlines():
        words = line.replace(":", " ").split()
        if words and words[0] in ("P2", "P_rect_02"):
            numbers = _numbers([words[1:]], path).ravel()
            if len(numbers) == 12:
                p = numbers.reshape(3, 4)
                return Camera((p[0, 0], p[1, 1]), (p[0, 2], p[1, 2]), KITTI_HEIGHT)
    raise InputError("expected JSON, or `P2:` and 12 numbers as KITTI has, got neither; give a camera's file")


def save_ground(ground: Ground) -> dict[str, Any]:
    """What :func:`read_homography` or :func:`read_camera` reads again, as JSON."""
    if ground.camera is None:
        return {"homography": ground.homography.tolist()}
    camera = ground.camera
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name in ("focal", "center", "height", "pitch", "roll", "yaw", "position", "distortion")
        for value in [getattr(camera, name)]
    }


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST:
            raise InputError(
                f"{path}: expected a calibration, got {path.stat().st_size} bytes; is it another?"
            )
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: expected a calibration, got {error.strerror}; check the path") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: expected text or JSON, got other bytes; give a calibration") from None


def _json(text: str, path: Path) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected JSON, got: {error}; correct it") from None


def _numbers(values: Any, path: Path) -> NDArray[np.float64]:
    try:
        return np.array(values, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{path}: expected {_KINDS}, got others; correct the file") from None


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
