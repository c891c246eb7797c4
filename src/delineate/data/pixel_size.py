"""How large a pixel is, where the file says so believably."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

# A scan or screen writes 72 to 600 dots per inch whatever the object; only finer pixels tell of a microscope.
COARSEST_RESOLUTION_UM = 25.0
_UNITS = {
    "nm": 1e-3,
    "µm": 1.0,
    "um": 1.0,
    "μm": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "mm": 1e3,
    "cm": 1e4,
    "inch": 25400.0,
}


def png_pixel_size(per_metre: tuple[int, int] | None) -> float | None:
    """µm per pixel from PNG's pHYs, where it is square and finer than a scan."""
    if per_metre is None or per_metre[0] <= 0 or per_metre[0] != per_metre[1]:
        return None
    size = 1e6 / per_metre[0]
    return size if size < COARSEST_RESOLUTION_UM else None


def tiff_pixel_size(file: Any) -> float | None:
    """µm per pixel from OME-XML, Aperio's or ImageJ's description, or resolution tags fine enough."""
    if file.is_ome and file.ome_metadata:
        return _ome_pixel_size(file.ome_metadata)
    first = file.pages[0]
    if first.is_svs:
        return _aperio_pixel_size(str(first.description))
    tags = first.tags
    resolution = tags.get("XResolution")
    try:
        per_unit = resolution.value[0] / resolution.value[1] if resolution is not None else 0.0
    except (ZeroDivisionError, TypeError, IndexError):
        return None
    if per_unit <= 0:
        return None
    if file.is_imagej:
        unit = str((file.imagej_metadata or {}).get("unit", "")).replace("\\u00B5", "µ").strip()
        return _sensible(_UNITS.get(unit, 0.0) / per_unit)
    unit_tag = tags.get("ResolutionUnit")
    micrometres = {2: 25400.0, 3: 10000.0}.get(int(unit_tag.value) if unit_tag is not None else 2, 0.0)
    size = _sensible(micrometres / per_unit)
    return size if size is not None and size < COARSEST_RESOLUTION_UM else None


def _aperio_pixel_size(description: str) -> float | None:
    """µm per pixel from an Aperio slide's description, ``... |MPP = 0.4990| ...``."""
    value = re.search(r"\|\s*MPP\s*=\s*([0-9.]+)", description)
    try:
        return _sensible(float(value[1])) if value else None
    except ValueError:
        return None


def _ome_pixel_size(xml: str) -> float | None:
    element = re.search(r"<(?:\w+:)?Pixels\b[^>]*>", xml)
    value = re.search(r'\bPhysicalSizeX="([^"]+)"', element[0]) if element else None
    if element is None or value is None:
        return None
    unit = re.search(r'\bPhysicalSizeXUnit="([^"]+)"', element[0])
    name = unit[1].replace("&#181;", "µ").replace("&#xB5;", "µ") if unit else "µm"
    try:
        return _sensible(float(value[1]) * _UNITS.get(name, 0.0))
    except ValueError:
        return None


def _sensible(size: float) -> float | None:
    return float(size) if np.isfinite(size) and 0 < size < 1e6 else None
