"""What a camera noted in a photograph: where it stood, and its focal length (EXIF 3.0, GPS and Exif IFDs)."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

FULL_FRAME = math.hypot(36, 24)
"""Diagonal, in mm, of the frame that 35-mm focal lengths are told for."""


@dataclass(frozen=True)
class PhotoTags:
    """EXIF of one photograph; None where it is not told.

    Attributes:
        latitude: degrees north, WGS 84.
        longitude: degrees east.
        altitude: metres.
        focal_px: focal length in pixels, from the 35-mm equivalent.
    """

    latitude: float | None = None
    longitude: float | None = None
    altitude: float | None = None
    focal_px: float | None = None


def photo_tags(path: Path | None) -> PhotoTags:
    """The tags of an image file; empty ones for a file without EXIF, or with damaged EXIF."""
    if path is None or not path.is_file():
        return PhotoTags()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged tags
            with Image.open(path) as image:
                exif = image.getexif()
                gps, camera = exif.get_ifd(0x8825), exif.get_ifd(0x8769)
                diagonal = math.hypot(*image.size)
    except Exception:  # Pillow raises whatever it likes on damaged files, which the reader tells of
        return PhotoTags()
    latitude = _degrees(gps.get(2), gps.get(1), "S", 90)
    longitude = _degrees(gps.get(4), gps.get(3), "W", 180)
    if latitude is None or longitude is None or (latitude == 0 and longitude == 0):
        latitude = longitude = None  # cameras without a fix write 0, 0
    altitude = _number(gps.get(6))
    if altitude is not None and gps.get(5) in (1, b"\x01"):
        altitude = -altitude
    short = _number(camera.get(0xA405))
    focal = short * diagonal / FULL_FRAME if short else None
    return PhotoTags(latitude, longitude, altitude, focal)


def photograph(files: Sequence[Path]) -> Path | None:
    """The first of an item's files whose EXIF tells something: beside it lie labels, which tell nothing."""
    images = [path for path in files if path.suffix.lower() not in (".json", ".csv", ".txt", ".xml")]
    return next((path for path in images if photo_tags(path) != PhotoTags()), None)


def _degrees(value: Any, side: Any, negative: str, most: float) -> float | None:
    """Degrees, minutes and seconds as one number; None for anything else."""
    try:
        parts = [float(part) for part in value]
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    if len(parts) != 3 or not all(math.isfinite(part) for part in parts):
        return None
    degrees = parts[0] + parts[1] / 60 + parts[2] / 3600
    letter = side.decode("ascii", "replace") if isinstance(side, bytes) else str(side)
    degrees = -degrees if letter.strip("\0 ").upper() == negative else degrees
    return degrees if abs(degrees) <= most else None


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) else None
