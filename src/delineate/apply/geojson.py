"""Outlines as GeoJSON in pixels, as QuPath and napari read them."""

from __future__ import annotations

from typing import Any

from delineate.core.convert.geojson import geometry
from delineate.core.errors import InputError
from delineate.core.instances import Instances


def to_geojson(instances: Instances, tolerance: float = 0.0) -> dict[str, Any]:
    """A FeatureCollection with one feature per object.

    Coordinates are pixel corners, x to the right and y down: the pixel in row 0, column 0 covers
    [0, 1] x [0, 1], as QuPath has it. An object of several parts is a MultiPolygon; holes are kept. Rings are
    closed; exteriors run counter-clockwise in (x, y) as RFC 7946 asks, holes clockwise.

    Args:
        instances: N objects with masks; those without a pixel are left out.
        tolerance: 0 for exact outlines along pixel edges, above 0 simplified to within so many pixels.

    Returns:
        JSON-able. Properties: ``objectType`` (``detection``), ``classification`` (``name``, ``color``),
        ``class``, ``score``, ``area`` (pixels), ``label`` (1..N as in label image and table).

    Raises:
        InputError: boxes only.
    """
    if instances.masks is None:
        raise InputError("geojson: expected masks, got boxes only; use a model that predicts masks")
    tints = instances.classes.colors
    outlines = instances.masks.to_polygons(tolerance)
    features = []
    for i, (name, area, parts) in enumerate(
        zip(instances.names, instances.masks.area.tolist(), outlines, strict=True)
    ):
        if not parts:
            continue
        properties = {
            "objectType": "detection",
            "classification": {"name": name, "color": tints[int(instances.labels[i])].tolist()},
            "class": name,
            "score": round(float(instances.scores[i]), 6),
            "area": area,
            "label": i + 1,
        }
        features.append({"type": "Feature", "geometry": geometry(parts), "properties": properties})
    return {"type": "FeatureCollection", "features": features}
