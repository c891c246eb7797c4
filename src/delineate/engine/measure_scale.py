"""How large a pixel of a file is, in which unit, and who says so."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from delineate.core.errors import DatasetError
from delineate.data.georeference import read_georeference
from delineate.data.pixel_size import tiff_pixel_size
from delineate.data.tiff_file import opened_tiff

METRE = 9001
"""EPSG's code of the metre, as ProjLinearUnitsGeoKey has it."""
_TIFF = (".tif", ".tiff", ".btf")
_UM = {"nm": 1e-3, "µm": 1.0, "μm": 1.0, "um": 1.0, "micron": 1.0, "microns": 1.0, "mm": 1e3, "cm": 1e4}


@dataclass(frozen=True)
class Scale:
    """What a pixel measures.

    Attributes:
        size: side of a pixel, or the distances of slices, rows and columns; None: not known.
        unit: of ``size``.
        source: who says so: ``given``, ``OME-XML``, ``GeoTIFF`` and so on; empty where nobody does.
    """

    size: float | tuple[float, float, float] | None = None
    unit: str = "µm"
    source: str = ""


def scale_of(path: Path | None, pixel_size: float | None = None) -> Scale:
    """The scale that a file tells.

    Args:
        path: of an image or a label image; None: there is no file.
        pixel_size: in µm, where the image's reader has found it already.
    """
    if path is not None and path.suffix.lower() in (*_TIFF, ".png", ".jpg", ".jpeg"):
        on_map = _map_scale(path)
        if on_map is not None:
            return on_map
    if pixel_size is not None:
        return Scale(pixel_size, "µm", _source(path))
    if path is None or path.suffix.lower() not in _TIFF:
        return Scale()
    found = _from_tiff(path, tiff_pixel_size)
    return Scale() if found is None else Scale(found, "µm", _source(path))


def voxel_scale(path: Path) -> Scale:
    """The distances of slices, rows and columns of a TIFF stack, where it tells all of them."""
    side = _from_tiff(path, tiff_pixel_size)
    across = _from_tiff(path, _slice_distance)
    if side is None or across is None:
        return Scale()
    return Scale((across, side, side), "µm", _source(path))


def _source(path: Path | None) -> str:
    if path is None:
        return "the image's file"
    kind = _from_tiff(path, lambda f: "OME-XML" if f.is_ome else "ImageJ" if f.is_imagej else "TIFF tags")
    return f"{kind or 'the file'} of {path.name}"


def _from_tiff(path: Path, ask: Any) -> Any:
    """What ``ask`` finds in a TIFF file; None for a damaged one, whose reader tells what is wrong."""
    if path.suffix.lower() not in _TIFF:
        return None
    try:
        with opened_tiff(path) as file:
            return ask(file)
    except Exception:  # tifffile raises whatever it likes on damaged files
        return None


def _slice_distance(file: Any) -> float | None:
    """µm between slices, of OME-XML or ImageJ's description."""
    distance = 0.0
    if file.is_ome and file.ome_metadata:
        element = re.search(r"<(?:\w+:)?Pixels\b[^>]*>", file.ome_metadata)
        value = re.search(r'\bPhysicalSizeZ="([^"]+)"', element[0]) if element else None
        unit = re.search(r'\bPhysicalSizeZUnit="([^"]+)"', element[0]) if element else None
        name = unit[1].replace("&#181;", "µ").replace("&#xB5;", "µ") if unit else "µm"
        distance = float(value[1]) * _UM.get(name, 0.0) if value else 0.0
    elif file.is_imagej:
        metadata = file.imagej_metadata or {}
        written = str(metadata.get("unit", "")).replace("\\u00B5", "µ").strip()
        distance = float(metadata.get("spacing", 0.0)) * _UM.get(written, 0.0)
    return distance if np.isfinite(distance) and distance > 0 else None


def _map_scale(path: Path) -> Scale | None:
    """Metres a pixel, of an image that lies on a map in metres with square pixels."""
    try:
        place = read_georeference(path)
    except DatasetError:
        return None
    if place is None:
        return None
    a, b, _, d, e, _ = place.transform
    across, down = float(np.hypot(a, d)), float(np.hypot(b, e))
    if abs(across - down) > 1e-6 * across or abs(a * b + d * e) > 1e-9 * across * down:
        return None
    return Scale(across, "m", f"georeference of {path.name}") if _in_metres(path, place.epsg) else None


def _in_metres(path: Path, epsg: int | None) -> bool:
    """UTM zones are; others where the file says so."""
    if epsg is not None and (32601 <= epsg <= 32660 or 32701 <= epsg <= 32760):
        return True
    tags = _from_tiff(path, lambda file: file.pages[0].geotiff_tags) or {}
    return int(tags.get("GTModelTypeGeoKey", 0)) == 1 and int(tags.get("ProjLinearUnitsGeoKey", 0)) == METRE
