"""One line per image: how many objects, how dense, how large, how much of the image they cover."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from delineate.core.errors import InputError

from .units import slug

QUANTILES = (5, 25, 50, 75, 95)
SPREAD = ("area", "volume", "sphericity")
MARKS = ("touches_border", "outlier", "blurred", "degenerate")
NAMES = ("label", "id", "nearest_label", "page")
"""Numbers that name something and measure nothing."""

MEANS = ("area", "equivalent_diameter_area", "circularity", "sphericity", "score")


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Sum a table of :func:`delineate.measurements.table` up to one row.

    Args:
        table: the objects of one image; its ``attrs`` give the image size and the pixel size.

    Returns:
        One row: ``count``; ``density``, objects per million pixels; ``coverage``, share of the image under
        any object, 0..1 (NaN with boxes only); ``area_mean``, ``area_median``, ``area_std`` in pixels; the
        means of equivalent diameter, circularity, sphericity and score. With a pixel size also
        ``area_mean_um2`` (unit's name) and ``density_per_um2``. Means of no objects are NaN.

    Raises:
        InputError: the table does not know its image (for instance several tables joined).

    Example:
        >>> from delineate.core.instances import Instances
        >>> from delineate.measurements import table
        >>> summary(table(Instances.empty((100, 100))))[["count", "coverage"]].values.tolist()
        [[0.0, 0.0]]
    """
    size = table.attrs.get("size")
    if size is None or "area" not in table:
        raise InputError(
            "summary: expected a table as measure.table gives it, with the image size in attrs, got another; "
            "sum up each image's table before joining them"
        )
    count, pixels = len(table), size[0] * size[1]
    coverage = table.attrs.get("coverage")
    area = table["area"]
    row: dict[str, float] = {
        "count": count,
        "density": count / pixels * 1e6 if pixels else np.nan,
        "coverage": np.nan if coverage is None else coverage,
        "area_median": area.median(),
        "area_std": area.std(ddof=0),
    }
    row |= {f"{name}_mean": table[name].mean() for name in MEANS}
    pixel_size = table.attrs.get("pixel_size")
    if pixel_size is not None:
        short = slug(table.attrs["unit"])
        row[f"area_mean_{short}2"] = row["area_mean"] * pixel_size**2
        row[f"density_per_{short}2"] = count / (pixels * pixel_size**2) if pixels else np.nan
    return pd.DataFrame([row])


def spreads(table: pd.DataFrame) -> pd.DataFrame:
    """How each measure of some objects is spread: one row for every column of numbers that measures.

    Args:
        table: of one image, or any part of it.

    Returns:
        ``column``, ``count`` (objects in which it is known), ``mean``, ``std`` (the population's), ``min``,
        ``q05``, ``q25``, ``q50``, ``q75``, ``q95`` (interpolated linearly), ``max``; NaN of no objects.

    Example:
        >>> found = spreads(pd.DataFrame({"label": [1, 2], "area": [1.0, 3]}))
        >>> found[["column", "mean", "std"]].values.tolist()
        [['area', 2.0, 1.0]]
    """
    rows = []
    for name in table.select_dtypes("number").columns:
        if name in NAMES or str(name).startswith(("bbox-", "centroid-")):
            continue
        values = table[name].to_numpy(np.float64)
        values = values[np.isfinite(values)]
        known = values if len(values) else np.array([np.nan])
        row: dict[str, Any] = {"column": name, "count": len(values), "mean": known.mean(), "std": known.std()}
        five = np.percentile(known, QUANTILES)
        row |= {"min": known.min(), **{f"q{q:02d}": v for q, v in zip(QUANTILES, five, strict=True)}}
        rows.append(row | {"max": known.max()})
    names = ("column", "count", "mean", "std", "min", *(f"q{q:02d}" for q in QUANTILES), "max")
    return pd.DataFrame(rows, columns=list(names))


def distributions(table: pd.DataFrame) -> dict[str, Any]:
    """How the measures of some objects are spread, and how many of them are marked.

    Args:
        table: of one image or of many, as :func:`delineate.measurements.measured_table` or
            :func:`delineate.measurements.volume_table` gives it.

    Returns:
        ``count``; ``area_q05``, ``_q25``, ``_q50``, ``_q75``, ``_q95`` (with the twins in physical units;
        ``volume`` of a stack) and the same of ``sphericity``, interpolated linearly, NaN of no objects; the
        number of objects with each mark, ``touches_border``, ``outlier``, ``blurred``, ``degenerate``; the
        mean over the objects of ``intensity_mean`` of each channel, as ``intensity_mean-1_mean``.

    Example:
        >>> found = distributions(pd.DataFrame({"area": [1.0, 2, 3], "outlier": [False, True, False]}))
        >>> found["count"], found["area_q50"], found["outlier"]
        (3, 2.0, 1)
    """
    row: dict[str, Any] = {"count": len(table)}
    for name in table.columns:
        stem = str(name).partition("_")[0]
        if (
            stem in SPREAD
            and name not in ("area_bbox", "area_convex")
            and not str(name).startswith("area_convex")
        ):
            values = table[name].to_numpy(np.float64)
            values = values[np.isfinite(values)]
            for q in QUANTILES:
                row[f"{name}_q{q:02d}"] = float(np.percentile(values, q)) if len(values) else np.nan
    row |= {name: int(table[name].fillna(False).astype(bool).sum()) for name in MARKS if name in table}
    for name in table.columns:
        if str(name).startswith("intensity_mean"):
            row[f"{name}_mean"] = float(table[name].mean()) if len(table) else np.nan
    return row
