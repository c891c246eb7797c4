"""A table of yield by plot: photographs are put into plots by where their EXIF says they were taken."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from delineate.core.errors import InputError

RADIUS = 6371008.8
"""Mean radius of the earth in metres (IUGG)."""
Ring = NDArray[np.float64]
LARGEST = 50_000_000  # bytes of GeoJSON


@dataclass(frozen=True, eq=False)
class Plots:
    """Where the plots are.

    Attributes:
        outlines: (name, rings) of each plot in degrees longitude, latitude; the rings after the first of each
            polygon are holes. Empty for a grid.
        grid: side of a square cell in metres, rows to the north, columns to the east; 0 where there are
            outlines.
    """

    outlines: tuple[tuple[str, tuple[Ring, ...]], ...] = ()
    grid: float = 0.0

    def assign(self, latitude: Sequence[float], longitude: Sequence[float]) -> list[str]:
        """The plot of each place; empty where it is in none, or the place is not known (NaN)."""
        if not self.grid:
            return [self._inside(x, y) for y, x in zip(latitude, longitude, strict=True)]
        north, east = np.asarray(latitude, np.float64), np.asarray(longitude, np.float64)
        known = np.isfinite(north) & np.isfinite(east)
        if not known.any():
            return [""] * len(north)
        south, west = north[known].min(), east[known].min()
        up = np.radians(north - south) * RADIUS
        right = np.radians(east - west) * RADIUS * math.cos(math.radians(south))
        return [
            f"r{int(u // self.grid)}c{int(r // self.grid)}" if good else ""
            for u, r, good in zip(np.nan_to_num(up), np.nan_to_num(right), known, strict=True)
        ]

    def _inside(self, x: float, y: float) -> str:
        if not (math.isfinite(x) and math.isfinite(y)):
            return ""
        for name, rings in self.outlines:
            if sum(_crossings(ring, x, y) for ring in rings) % 2:
                return name
        return ""

    def area(self, name: str) -> float:
        """Square metres of a plot; NaN for one that is none of ours."""
        if self.grid:
            return self.grid**2 if name else float("nan")
        for known, rings in self.outlines:
            if known == name:
                sizes = [_ring_area(ring) for ring in rings]
                return abs(2 * max(sizes) - sum(sizes)) if len(sizes) > 1 else sizes[0]
        return float("nan")


def _crossings(ring: Ring, x: float, y: float) -> int:
    """How often a ray to the east crosses a ring."""
    x0, y0 = ring.T
    x1, y1 = np.roll(x0, -1), np.roll(y0, -1)
    over = (y0 > y) != (y1 > y)
    with np.errstate(divide="ignore", invalid="ignore"):
        where = x0 + (y - y0) / (y1 - y0) * (x1 - x0)
    return int((over & (where > x)).sum())


def _ring_area(ring: Ring) -> float:
    """Square metres on a sphere (Chamberlain and Duquette, "Some algorithms for polygons", 2007)."""
    east, north = np.radians(ring).T
    ahead = np.roll(east, -1) - east
    return float(abs((ahead * (2 + np.sin(north) + np.sin(np.roll(north, -1)))).sum()) * RADIUS**2 / 2)


def plots_of(choice: str) -> Plots | None:
    """What `--plots` names.

    Args:
        choice: a GeoJSON file of polygons in WGS 84, named by ``plot``, ``name`` or ``id``; or the side of a
            grid's cells in metres; or empty for none.

    Raises:
        InputError: neither, or a file with other contents.
    """
    if not choice:
        return None
    try:
        side = float(choice)
    except ValueError:
        return Plots(_outlines(Path(choice)))
    if not (math.isfinite(side) and side > 0):
        raise InputError(f"--plots: expected a GeoJSON file or metres above 0, got {choice}; correct it")
    return Plots(grid=side)


def _outlines(path: Path) -> tuple[tuple[str, tuple[Ring, ...]], ...]:
    try:
        if path.stat().st_size > LARGEST:
            raise InputError(f"{path}: expected plots, got {path.stat().st_size} bytes; is it another file?")
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path}: expected GeoJSON of plots, got {error.strerror}; check the path") from None
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{path}: expected GeoJSON of plots, got: {error}; correct it") from None
    features = content.get("features") if isinstance(content, Mapping) else None
    if not isinstance(features, list) or not features:
        raise InputError(
            f"{path}: expected a FeatureCollection of polygons, got none; export the plots as one"
        )
    plots = []
    for number, feature in enumerate(features, 1):
        geometry = feature.get("geometry") if isinstance(feature, Mapping) else None
        if not isinstance(geometry, Mapping) or geometry.get("type") not in ("Polygon", "MultiPolygon"):
            raise InputError(f"{path}: feature {number}: expected a polygon, got another; leave it out")
        parts = geometry.get("coordinates")
        parts = [parts] if geometry["type"] == "Polygon" else parts or []
        try:
            rings = tuple(np.array(ring, np.float64)[:, :2] for part in parts for ring in part)
        except (TypeError, ValueError, IndexError):
            rings = ()
        if not rings or not all(len(r) >= 4 and np.isfinite(r).all() and _on_earth(r) for r in rings):
            raise InputError(
                f"{path}: feature {number}: expected rings of longitude, latitude in degrees (WGS 84), got "
                "others; reproject the plots"
            )
        own = feature.get("properties") or {}
        name = next((own[k] for k in ("plot", "name", "id") if own.get(k) not in (None, "")), number)
        plots.append((str(name), rings))
    return tuple(plots)


def _on_earth(ring: Ring) -> bool:
    return bool((np.abs(ring) <= (180.0, 90.0)).all())


def put_into_plots(images: pd.DataFrame, objects: pd.DataFrame, plots: Plots) -> None:
    """Adds a column ``plot`` to both tables, in place; empty where a photograph lies in none."""
    places = [
        pd.to_numeric(images[name] if name in images else pd.Series([np.nan] * len(images))).to_numpy(
            np.float64
        )
        for name in ("latitude", "longitude")
    ]
    images["plot"] = plots.assign(*places)  # type: ignore[arg-type]
    objects["plot"] = objects["image"].map(dict(zip(images["image"], images["plot"], strict=True)))


def yield_table(
    images: pd.DataFrame, objects: pd.DataFrame, plots: Plots, density: float | None = None
) -> pd.DataFrame:
    """One row per plot: photographs, fruit, sizes, and what the volumes come to.

    Args:
        images: with ``plot`` and ``status``.
        objects: with ``plot``; where there is ``counted``, only rows that count.
        plots: where they are.
        density: g/cm3 of the fruit, for an estimate of its mass.
    """
    fruit = objects[objects["counted"].astype(bool)] if "counted" in objects else objects
    rows = []
    done = images[images["status"] == "done"]
    for name, photos in done.groupby("plot", sort=True):
        mine = fruit[fruit["plot"] == name]
        row: dict[str, Any] = {"plot": name, "photos": len(photos), "count": len(mine)}
        row["count_per_photo"] = len(mine) / len(photos)
        row["plot_area_m2"] = plots.area(str(name))
        if "photographed_m2" in photos and "counted" not in objects:  # else it is not known how much overlaps
            shown = float(pd.to_numeric(photos["photographed_m2"]).sum())
            row["photographed_m2"] = shown
            row["count_per_m2"] = len(mine) / shown if shown > 0 else np.nan
        if "diameter_mm" in mine:
            across = pd.to_numeric(mine["diameter_mm"]).dropna()
            row["mean_diameter_mm"] = across.mean() if len(across) else np.nan
            row["sd_diameter_mm"] = across.std() if len(across) > 1 else np.nan
            row["volume_cm3"] = float(pd.to_numeric(mine["volume_cm3"]).sum())
            if density is not None:
                row["mass_kg"] = row["volume_cm3"] * density / 1000
        rows.append(row)
    columns = ["plot", "photos", "count", "count_per_photo", "plot_area_m2"]
    return pd.DataFrame(rows, columns=None if rows else columns)
