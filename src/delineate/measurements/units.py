"""From pixels to micrometres: which column is a length, which an area, and how its twin is named."""

from __future__ import annotations

import math

import pandas as pd

from delineate.core.errors import InputError

LENGTHS = (
    "centroid-0",
    "centroid-1",
    "perimeter",
    "equivalent_diameter_area",
    "axis_major_length",
    "axis_minor_length",
    "feret_diameter_max",
    "feret_diameter_min",
    "nearest_distance",
)
AREAS = ("area", "area_convex")


def check_pixel_size(pixel_size: float | None, unit: str) -> None:
    """Refuse a pixel size that measures nothing.

    Raises:
        InputError: not a positive finite number, or a unit without a name.
    """
    if pixel_size is None:
        return
    if not isinstance(pixel_size, (int, float)) or not math.isfinite(pixel_size) or pixel_size <= 0:
        raise InputError(
            f"pixel_size: expected a positive number of {unit} per pixel, got {pixel_size!r}; "
            "look it up in the microscope's metadata, or leave it out"
        )
    if not slug(unit):
        raise InputError(f"unit: expected a name such as 'µm' or 'mm', got {unit!r}")


def slug(unit: str) -> str:
    """The unit in plain letters, as column names carry it.

    Example:
        >>> slug("µm"), slug("mm")
        ('um', 'mm')
    """
    return "".join(c for c in unit.replace("µ", "u").replace("μ", "u") if c.isascii() and c.isalnum())


def add_physical(frame: pd.DataFrame, pixel_size: float, unit: str) -> pd.DataFrame:
    """The table with a twin in ``unit`` for each length and area, and the pixel size in its ``attrs``.

    Every twin is the pixel value times the pixel size (squared for areas), centroids too.
    """
    short = slug(unit)
    twins = {f"{name}_{short}": frame[name] * pixel_size for name in LENGTHS if name in frame}
    twins |= {f"{name}_{short}2": frame[name] * pixel_size**2 for name in AREAS if name in frame}
    wide = frame.assign(**twins)
    wide.attrs = {**frame.attrs, "pixel_size": pixel_size, "unit": unit}
    return wide
