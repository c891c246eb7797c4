"""SpaceNet's score of footprints as polygons: map layers, or the challenge's own tables."""

from __future__ import annotations

import csv
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from delineate.core.convert.shapely import from_shapely, shapely_package
from delineate.core.errors import DatasetError, InputError
from delineate.data.vectors import read_layer
from delineate.data.vectors.layer import Parts
from delineate.metrics.spacenet import (
    MIN_AREA,
    THRESHOLD,
    FootprintMatch,
    SpaceNetReport,
    match_polygons,
    report_of,
)

from .geo_table import ground_measures

SCORE_KEYS = ("score", "confidence", "conf", "Confidence")
Shapes = list[tuple[Parts, float]]


@dataclass(frozen=True, eq=False)
class VectorScore:
    """SpaceNet's score of polygons.

    Attributes:
        report: counts and ratios over all images.
        images: the match of each image, by name; of map layers one, named by the truth's file.
    """

    report: SpaceNetReport
    images: dict[str, FootprintMatch]


def score_map(
    predicted: str | Path, true: str | Path, *, threshold: float = THRESHOLD, min_area: float | None = None
) -> VectorScore:
    """Scores footprints as polygons.

    Args:
        predicted: a map layer (.gpkg, .geojson, .parquet, .shp), or a SpaceNet table: CSV with ``ImageId``,
            ``PolygonWKT_Pix`` and maybe ``Confidence``.
        true: likewise, of the same kind.
        threshold: IoU from which a prediction hits.
        min_area: true footprints of less area are left out: square pixels for tables (default 20, the
            challenge's), square metres for layers (default 0).

    Raises:
        InputError: a table against a layer, or a file that cannot be used.
        MissingDependencyError: shapely or pyproj is not installed.
    """
    ours, theirs = Path(predicted), Path(true)
    tables = [path.suffix.lower() == ".csv" for path in (ours, theirs)]
    if tables[0] != tables[1]:
        raise InputError(
            f"map-score: expected two map layers or two SpaceNet tables, got {ours.name} and {theirs.name}; "
            "convert one"
        )
    if not 0 < threshold <= 1:
        raise InputError(
            f"map-score, threshold: expected an IoU in (0, 1], got {threshold}; 0.5 is the usual one"
        )
    if tables[0]:
        least = MIN_AREA if min_area is None else min_area
        found, truth = _table(ours), _table(theirs)
        images = {
            name: _matched(found.get(name, []), truth.get(name, []), None, threshold, least)
            for name in sorted({*truth, *found})
        }
    else:
        least = min_area or 0.0
        images = {theirs.name: _layers(ours, theirs, threshold, least)}
    return VectorScore(report_of([m.counts for m in images.values()], threshold, least), images)


def _layers(ours: Path, theirs: Path, threshold: float, least: float) -> FootprintMatch:
    found, truth = read_layer(ours), read_layer(theirs)
    if truth.epsg is not None and found.epsg is not None:
        found = found.to(truth.epsg)
    key = next((k for k in SCORE_KEYS if k in found.table), None)
    scores = np.ones(len(found)) if key is None else found.table[key].to_numpy(np.float64)
    areas = None if truth.epsg is None or not least else ground_measures(truth.shapes, truth.epsg)[0]
    return _matched(
        list(zip(found.shapes, scores.tolist(), strict=True)),
        [(shape, 1.0) for shape in truth.shapes],
        areas,
        threshold,
        least,
    )


def _matched(
    found: Shapes, truth: Shapes, areas: NDArray[np.float64] | None, threshold: float, least: float
) -> FootprintMatch:
    """The match of one image, without empty shapes and small true ones."""
    if areas is None:
        areas = np.array([sum(part.area for part in parts) for parts, _ in truth])
    large = [parts for (parts, _), area in zip(truth, areas.tolist(), strict=True) if parts and area >= least]
    full = [(parts, score) for parts, score in found if parts]
    return match_polygons([p for p, _ in full], large, [s for _, s in full], threshold)


def _table(path: Path) -> dict[str, Shapes]:
    """The polygons of each image of a SpaceNet table, with their confidence; an empty one is no footprint."""
    package = shapely_package()
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    found: dict[str, Shapes] = {}
    where = "file"
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        for line, row in enumerate(rows, 2):
            where = f"line {line}"
            shape = package.force_2d(package.from_wkt(row["PolygonWKT_Pix"]))
            score = float(row.get("Confidence") or 1.0)
            found.setdefault(row["ImageId"], []).append((tuple(from_shapely(shape)), score))
    except KeyError as error:
        raise DatasetError(
            f"{path}: expected the columns ImageId and PolygonWKT_Pix, got none called {error}; see "
            "SpaceNet's tables"
        ) from None
    except (OSError, ValueError, TypeError, package.errors.GEOSException) as error:
        raise DatasetError(
            f"{path}: {where}: expected polygons in well-known text, got "
            f"{str(error).splitlines()[0] if str(error) else error!r}; correct it"
        ) from None
    return found
