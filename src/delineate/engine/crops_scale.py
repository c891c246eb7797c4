"""What `--scale` says: a marker, a coin, a ruler, a camera's height, or millimetres per pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.apply.draw import display
from delineate.apply.plane_scale import PlaneScale
from delineate.apply.round_fruit import Lens, likely_lens
from delineate.core.errors import InputError
from delineate.core.instances import Instances

from .crops_tags import photo_tags
from .measure_scale import Scale

FORMS = (
    "aruco:DICTIONARY:MM, coin:MM, coin:MM@X,Y, ruler, ruler:MM, ruler:MM@X1,Y1,X2,Y2, "
    "camera:HEIGHT_MM, camera:HEIGHT_MM,FOCAL_PX or camera:HEIGHT_MM,FOCAL_PX,TILT, file, or MM_PER_PIXEL"
)
MILLIMETRES = {"µm": 1e-3, "mm": 1.0, "cm": 10.0, "m": 1000.0}
CAMERA_ERROR = 0.02
"""One standard deviation of a camera's height, as a part of it, where nothing else is given."""
EXIF_ERROR = 0.03
"""The same of a focal length in EXIF, which is told in whole millimetres."""
SHAPES = ("auto", "round", "flat")
"""``round``: as high as wide, resting on the plane of the scale; ``auto``: round where the scale is one of a
plane, flat where it is a number (the caller's or the file's), which is taken to hold for the outline."""


@dataclass(frozen=True)
class ScaleChoice:
    """How the scale of each image is found.

    Attributes:
        kind: ``aruco``, ``coin``, ``ruler``, ``camera``, ``file``, ``number``, or empty: pixels alone.
        numbers: a length in mm, and further numbers by kind.
        dictionary: of ArUco markers.
        error: one standard deviation of what was given, as a part of it; None: the kind's own.
        focal: the camera's focal length in pixels; None: by EXIF, by a marker's tilt, or assumed.
    """

    kind: str = ""
    numbers: tuple[float, ...] = ()
    dictionary: str = ""
    error: float | None = None
    focal: float | None = None

    def is_round(self, shape: str) -> bool:
        """What one of :data:`SHAPES` comes to with this scale."""
        return shape == "round" or (shape == "auto" and self.kind in ("aruco", "coin", "ruler", "camera"))


def check_shape(shape: str) -> None:
    """Refuse a shape that is none of :data:`SHAPES`.

    Raises:
        InputError: it is not.
    """
    if shape not in SHAPES:
        raise InputError(f"--shape: expected one of {', '.join(SHAPES)}, got {shape!r}; choose one")


def with_focal(choice: ScaleChoice, focal: float | None) -> ScaleChoice:
    """The same scale with the camera's focal length in pixels.

    Raises:
        InputError: one that is not positive, or told twice.
    """
    if focal is None:
        return choice
    if not (math.isfinite(focal) and focal > 0):
        raise InputError(f"--focal: expected pixels above 0, got {focal:g}; a phone's is near 3000")
    if choice.kind == "camera" and len(choice.numbers) > 1:
        raise InputError("--focal: expected no second focal length beside --scale camera, got one; leave one")
    return replace(choice, focal=focal)


def parse_scale(text: str, error: float | None = None) -> ScaleChoice:
    """Reads the option.

    Args:
        text: one of :data:`FORMS`; empty: pixels alone.
        error: as :class:`ScaleChoice` has it.

    Raises:
        InputError: none of the forms, or a length that is not positive.

    Example:
        >>> parse_scale("aruco:4X4_50:30").numbers, parse_scale("camera:1200,3400").kind
        ((30.0,), 'camera')
    """
    if error is not None and not (math.isfinite(error) and 0 <= error < 1):
        raise InputError(f"--scale-error: expected 0 to 100 %, got {100 * error:g}; give the likely error")
    kind, _, rest = text.strip().partition(":")
    kind = kind.lower()
    if not kind:
        return ScaleChoice()
    if kind in ("file", "ruler") and not rest:
        return ScaleChoice(kind, (1.0,) if kind == "ruler" else (), error=error)
    if kind == "aruco":
        dictionary, _, side = rest.rpartition(":")
        numbers, counts = _numbers(side, text), range(1, 2)
    elif kind in ("coin", "ruler"):
        length, at, place = rest.partition("@")
        numbers = _numbers(length, text) + (_numbers(place, text) if at else ())
        dictionary, counts = "", range(1, 4, 2) if kind == "coin" else range(1, 6, 4)
    elif kind == "camera":
        numbers, dictionary, counts = _numbers(rest, text), "", range(1, 4)
    else:
        kind, numbers, dictionary, counts = "number", _numbers(text, text), "", range(1, 2)
    if len(numbers) not in counts or numbers[0] <= 0 or (kind == "aruco" and not dictionary):
        raise InputError(f"--scale: expected {FORMS}, got {text!r}; lengths are above 0")
    if kind == "aruco":
        _check_dictionary(dictionary)
    return ScaleChoice(kind, numbers, dictionary, error)


def _numbers(text: str, whole: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = (math.nan,)
    if not all(math.isfinite(number) for number in numbers):
        raise InputError(f"--scale: expected {FORMS}, got {whole!r}")
    return numbers


def _check_dictionary(name: str) -> None:
    from delineate.apply.scale_marker import find_markers

    find_markers(np.zeros((32, 32), np.uint8), name)


def scale_of_photo(
    choice: ScaleChoice,
    image: NDArray[Any] | None,
    size: tuple[int, int],
    path: Path | None = None,
    told: Scale | None = None,
    objects: Instances | None = None,
) -> PlaneScale | None:
    """The scale of one photograph; None: pixels alone.

    Args:
        choice: how.
        image: its pixels; None where they are not there.
        size: (height, width).
        path: its file, whose EXIF may tell the focal length.
        told: what the file says of its pixel size.
        objects: fruit, which no coin is looked for under.

    Raises:
        InputError: no marker, coin or ruler is found, or the file does not tell.
    """
    error = choice.error
    if choice.kind == "":
        return None
    if choice.kind == "number":
        return PlaneScale.of_pixel(choice.numbers[0], "given", error or 0.0)
    if choice.kind == "file":
        return _of_file(told, error or 0.0)
    if choice.kind == "camera":
        return _of_camera(choice, size, path, CAMERA_ERROR if error is None else error)
    if image is None:
        raise InputError("--scale: expected the image itself, got labels alone; give --images")
    focal = choice.focal or photo_tags(path).focal_px or float(max(size))
    scale = _of_marker(choice, display(image), objects, error or 0.0, focal)
    scale.check_view(size)
    return scale


def lens_of_photo(
    choice: ScaleChoice, scale: PlaneScale, size: tuple[int, int], path: Path | None = None
) -> Lens:
    """The camera's focal length: given, by EXIF, or the likeliest.

    Args:
        choice: how the scale was found.
        scale: of the photograph.
        size: (height, width).
        path: its file, whose EXIF may tell.
    """
    given = choice.numbers[1] if choice.kind == "camera" and len(choice.numbers) > 1 else choice.focal
    if given is not None:
        return Lens(given)
    told = photo_tags(path).focal_px
    if told is not None:
        return Lens(told, 0.0 if choice.kind == "camera" else EXIF_ERROR, "EXIF")
    return likely_lens(scale, size)


def _of_file(told: Scale | None, error: float) -> PlaneScale:
    if told is None or not isinstance(told.size, float | int) or told.unit not in MILLIMETRES:
        raise InputError("--scale file: expected a pixel size in the file, got none; give MM_PER_PIXEL")
    return PlaneScale.of_pixel(float(told.size) * MILLIMETRES[told.unit], told.source, error)


def _of_camera(choice: ScaleChoice, size: tuple[int, int], path: Path | None, error: float) -> PlaneScale:
    height, *more = choice.numbers
    focal = more[0] if more else choice.focal
    if focal is None:
        focal = photo_tags(path).focal_px
        error = math.hypot(error, EXIF_ERROR)
    if focal is None:
        raise InputError(
            "--scale camera: expected a focal length in the photograph's EXIF, got none; give it in pixels: "
            "camera:HEIGHT_MM,FOCAL_PX"
        )
    return PlaneScale.of_camera(size, height, focal, more[1] if len(more) > 1 else 0.0, error)


def _of_marker(
    choice: ScaleChoice, image: NDArray[Any], objects: Instances | None, error: float, focal: float
) -> PlaneScale:
    if choice.kind == "aruco":
        from delineate.apply.scale_marker import find_markers, marker_scale

        corners, _ = find_markers(image, choice.dictionary)
        if not len(corners):
            raise InputError(
                f"--scale aruco: expected a marker of {choice.dictionary} in the picture, got none; is "
                "all of its white margin to be seen?"
            )
        return marker_scale(corners, choice.numbers[0], f"ArUco {choice.dictionary}", error)
    if choice.kind == "coin":
        from delineate.apply.scale_coin import coin_scale, find_coin

        near = choice.numbers[1:3] or None
        return coin_scale(find_coin(image, near, objects), choice.numbers[0], error, focal)
    from delineate.apply.scale_ruler import find_ruler, ruler_scale

    line = choice.numbers[1:5] or None
    return ruler_scale(find_ruler(image, line), choice.numbers[0], error, focal)
