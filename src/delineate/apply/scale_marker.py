"""The scale of a photograph from square markers of known side (ArUco, AprilTag) that lie in it.

Each marker is a square of that side somewhere on the plane. One homography for the plane and a place and
turn for each further marker are fitted to all corners at once by least squares, so that several markers
support each other. Markers: Garrido-Jurado et al., "Automatic generation and detection of highly reliable
fiducial markers under occlusion", Pattern Recognition 47(6), 2014; found by OpenCV, and their sides fitted
again here by lines through the places of steepest brightness, to a part of a pixel.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError

from .plane_scale import PlaneScale, transformed

Floats = NDArray[np.float64]
CORNER_ERROR = 0.15
"""Pixels, one standard deviation: no corner is believed to be found better than this."""
FRONTAL = 0.35
"""Pixels (root mean square) by which corners may differ from a square seen straight on, and still be one."""
SAMPLES = 100
UNIT_SQUARE = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float64)


def dictionary_names() -> tuple[str, ...]:
    """The dictionaries of markers that are known, without their ``DICT_``."""
    names = {name.removeprefix("DICT_").upper() for name in dir(cv2.aruco) if name.startswith("DICT_")}
    return tuple(sorted(names))


def find_markers(image: NDArray[Any], dictionary: str) -> tuple[Floats, NDArray[np.int64]]:
    """Square markers in an image.

    Args:
        image: (H, W) or (H, W, 3) uint8.
        dictionary: such as ``4X4_50`` or ``APRILTAG_36H11``, ``DICT_`` before it or not.

    Returns:
        (M, 4, 2) corners, clockwise from the marker's own upper left, in pixels with the image's corner at
        0, 0; and (M,) the markers' numbers.

    Raises:
        InputError: an unknown dictionary.
    """
    wanted = dictionary.upper().removeprefix("DICT_")
    places = {name.upper(): name for name in dir(cv2.aruco) if name.startswith("DICT_")}
    if f"DICT_{wanted}" not in places:
        raise InputError(
            f"aruco: expected a dictionary among {', '.join(dictionary_names()[:6])}, …, got {dictionary!r}; "
            "name the one that the marker was printed from"
        )
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    kind = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, places[f"DICT_{wanted}"]))
    settings = cv2.aruco.DetectorParameters()
    settings.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_SUBPIX
    found, ids, _ = cv2.aruco.ArucoDetector(kind, settings).detectMarkers(grey)
    if ids is None or not len(ids):
        return np.zeros((0, 4, 2)), np.zeros(0, np.int64)
    corners = np.stack([np.asarray(one, np.float64).reshape(4, 2) for one in found]) + 0.5
    return np.stack([refined(grey, one) for one in corners]), np.asarray(ids, np.int64).ravel()


def refined(grey: NDArray[Any], corners: Floats) -> Floats:
    """Corners (4, 2) of a dark square on light ground, from lines through its sides' steepest places.

    Along each side, away from its ends, brightness is looked up across the side, and the weighted middle of
    its fall is one point of the side's line. Where a line cannot be fitted the corners stay as they are.
    """
    lines = []
    reach = float(np.clip(np.hypot(*(corners[1] - corners[0])) / 16, 2.0, 6.0))
    offsets = np.arange(-reach, reach + 0.01, 0.25)
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        along = end - start
        length = float(np.hypot(*along))
        if length < 8:
            return corners
        outward = (
            np.array([along[1], -along[0]]) / length
        )  # clockwise in an image: the outside is to the left
        steps = np.linspace(0.12, 0.88, int(np.clip(length / 2, 8, 200)))
        base = start + steps[:, None] * along
        spots = base[:, None] + offsets[None, :, None] * outward
        seen = cv2.remap(
            grey, (spots[..., 0] - 0.5).astype(np.float32), (spots[..., 1] - 0.5).astype(np.float32),
            cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE,
        ).astype(np.float64)  # fmt: skip
        rise = np.clip(np.diff(seen, axis=1), 0, None)  # from the dark square out to the light ground
        weight = rise.sum(axis=1)
        strong = weight > 0.5 * np.median(weight) if len(weight) else np.zeros(0, bool)
        if strong.sum() < 6 or np.median(weight) < 20:
            return corners
        middle = (rise * (offsets[:-1] + 0.125)).sum(axis=1)[strong] / weight[strong]
        lines.append(_line(base[strong] + middle[:, None] * outward))
    crossed = [_crossing(lines[k - 1], lines[k]) for k in range(4)]
    moved = np.array(crossed)
    limit = reach if np.isfinite(moved).all() else -1.0
    return moved if np.hypot(*(moved - corners).T).max() <= limit else corners


def _line(points: Floats) -> tuple[Floats, Floats]:
    """Point and direction of the line through points, those further off than usual weighed less."""
    weight = np.ones(len(points))
    for _ in range(5):
        middle = (points * weight[:, None]).sum(axis=0) / weight.sum()
        _, _, axes = np.linalg.svd((points - middle) * np.sqrt(weight)[:, None], full_matrices=False)
        off = np.abs((points - middle) @ np.array([-axes[0][1], axes[0][0]]))
        weight = 1 / np.maximum(off, max(float(np.median(off)), 1e-3))
    return middle, axes[0]


def _crossing(one: tuple[Floats, Floats], other: tuple[Floats, Floats]) -> Floats:
    directions = np.stack([one[1], -other[1]], axis=1)
    if abs(np.linalg.det(directions)) < 0.05:
        return np.full(2, np.nan)
    way = np.linalg.solve(directions, other[0] - one[0])[0]
    return np.asarray(one[0] + way * one[1], np.float64)


def marker_scale(corners: Floats, side: float, source: str = "marker", side_error: float = 0.0) -> PlaneScale:
    """The plane of M square markers.

    A picture taken straight on, to within :data:`FRONTAL` of a pixel, gets one scale for all of it: eight
    numbers fitted to four corners would follow their noise. Its error is that of the full homography all the
    same, since a small tilt may hide there.

    Args:
        corners: (M, 4, 2) of markers, M at least 1, clockwise.
        side: of each marker, mm.
        source: for tables.
        side_error: one standard deviation of the side, as a part of it.

    Raises:
        InputError: no marker, or a side that is not positive.
    """
    corners = np.asarray(corners, np.float64).reshape(-1, 4, 2)
    if not (math.isfinite(side) and side > 0) or not len(corners):
        raise InputError(
            f"marker: expected one marker or more with a side above 0 mm, got {len(corners)} of {side:g} mm; "
            "give the printed side"
        )
    order = np.argsort([-cv2.contourArea(one.astype(np.float32)) for one in corners])
    corners = corners[order]
    straight, straight_off = _fitted(corners, side, tilted=False)
    full, full_off = _fitted(corners, side, tilted=True)
    spread = float(np.sqrt(np.mean(straight_off**2)))
    frontal = spread <= FRONTAL
    model = _plane_to_image(straight if frontal else full)
    samples = _samples(full, full_off, corners, side)
    how = "straight on" if frontal else "tilt corrected"
    count = f"{len(corners)} markers" if len(corners) > 1 else "1 marker"
    return PlaneScale(
        _inverse(model), f"{source}: {count} of {side:g} mm, {how}", side_error, samples
    )  # fmt: skip


def _fitted(corners: Floats, side: float, tilted: bool) -> tuple[Floats, Floats]:
    """Parameters and residuals (pixels) of the plane, and of the further markers' places on it."""
    from scipy.optimize import least_squares

    first = corners[0]
    if tilted:
        matrix = cv2.getPerspectiveTransform(
            (UNIT_SQUARE * side).astype(np.float32), first.astype(np.float32)
        ).astype(np.float64)
        start = (matrix / matrix[2, 2]).ravel()[:8]
    else:
        start = _similarity(UNIT_SQUARE * side, first)
    if len(corners) > 1:
        places = [_place(transformed(_inverse(_plane_to_image(start)), one)) for one in corners[1:]]
        start = np.concatenate([start, *places])
    size = 8 if tilted else 4
    units = np.maximum(np.abs(start), 1e-6)
    if tilted:
        units[6:8] = np.maximum(units[6:8], 1e-3 / side)
    units[size:] = np.tile([side, side, 1.0], len(corners) - 1)

    def residuals(values: Floats) -> Floats:
        return _residuals(values * units, corners, side, size)

    done = least_squares(residuals, start / units, method="lm" if 8 * len(corners) >= len(start) else "trf")
    return done.x * units, done.fun


def _plane_to_image(values: Floats) -> Floats:
    """(3, 3) from 8 numbers, or 4 of a similarity (a, b, x, y), at the front of ``values``."""
    if len(values) % 3 == 2:  # 8 and threes
        return np.asarray(np.append(values[:8], 1.0).reshape(3, 3), np.float64)
    a, b, x, y = values[:4]
    return np.array([[a, -b, x], [b, a, y], [0, 0, 1.0]])


def _inverse(matrix: Floats) -> Floats:
    return np.asarray(np.linalg.inv(matrix), np.float64)


def _residuals(values: Floats, corners: Floats, side: float, size: int) -> Floats:
    model = _plane_to_image(values)
    off = [transformed(model, UNIT_SQUARE * side) - corners[0]]
    for k, one in enumerate(corners[1:]):
        x, y, turn = values[size + 3 * k : size + 3 * k + 3]
        c, s = math.cos(turn), math.sin(turn)
        square = UNIT_SQUARE * side @ np.array([[c, s], [-s, c]]) + (x, y)
        off.append(transformed(model, square) - one)
    return np.concatenate(off).ravel()


def _similarity(plane: Floats, image: Floats) -> Floats:
    """a, b, x, y of image = (a -b; b a) plane + (x, y), least squares."""
    one, zero = np.ones(len(plane)), np.zeros(len(plane))
    rows = np.concatenate([
        np.stack([plane[:, 0], -plane[:, 1], one, zero], axis=1),
        np.stack([plane[:, 1], plane[:, 0], zero, one], axis=1),
    ])  # fmt: skip
    return np.asarray(np.linalg.lstsq(rows, np.concatenate([image[:, 0], image[:, 1]]), rcond=None)[0])


def _place(square: Floats) -> Floats:
    """x, y and turn of a square whose corners lie about there on the plane."""
    along = square[1] - square[0] + square[2] - square[3]
    turn = math.atan2(along[1], along[0])
    half = np.hypot(*along) / 4
    c, s = math.cos(turn), math.sin(turn)
    return np.append(square.mean(axis=0) - np.array([c * half - s * half, s * half + c * half]), turn)


def _samples(values: Floats, off: Floats, corners: Floats, side: float) -> Floats:
    """(K, 3, 3) homographies to mm that the corners allow: normal, with the covariance of least squares."""
    count, degrees = len(values), len(off) - len(values)
    noise = max(CORNER_ERROR, float(np.sqrt((off**2).sum() / degrees)) if degrees > 0 else 0.0)
    unit = np.maximum(np.abs(values), 1e-3)
    unit[6:8] = 1e-2 / side
    slope = np.zeros((len(off), count))
    for k in range(count):
        step = np.zeros(count)
        step[k] = 1e-4 * unit[k]
        ahead, back = (_residuals(values + sign * step, corners, side, 8) for sign in (1, -1))
        slope[:, k] = (ahead - back) / 2e-4
    inverse = np.linalg.pinv(slope)
    draws = np.random.default_rng(0).normal(0, noise, (SAMPLES, len(off)))
    drawn = values + (draws @ inverse.T) * unit
    return np.stack([np.linalg.inv(_plane_to_image(one)) for one in drawn])


__all__ = ["dictionary_names", "find_markers", "marker_scale", "refined"]
