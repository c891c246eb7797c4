"""Which plots a table is given: the distributions of what matters most, and how two measures go together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .measure_plots import histogram, scatter

SIZES = ("area", "volume")
OTHERS = ("sphericity", "eccentricity", "intensity_mean", "intensity_mean-0", "nearest_distance")


def charts(objects: pd.DataFrame, by: str = "") -> dict[str, str]:
    """SVG documents by name: histograms, and scatter plots of size against shape and brightness.

    Args:
        objects: rows of objects; ``attrs["units"]`` tells units.
        by: a column whose values are drawn in colours of their own, the most frequent first.
    """
    units = objects.attrs.get("units", {})
    size = _size(objects)
    names = [n for n in (size, *OTHERS) if n is not None and n in objects]
    groups = _groups(objects, by)
    made = {
        f"histogram_{name}": histogram(_by(objects, name, groups), name, units.get(name, ""))
        for name in names
    }
    if size is not None:
        for other in names[1:4:2] if len(names) > 3 else names[1:2]:
            pair = _by(objects, size, groups), _by(objects, other, groups)
            told = units.get(size, ""), units.get(other, "")
            made[f"scatter_{size}_{other}"] = scatter(*pair, (size, other), told)
    return made


def _size(objects: pd.DataFrame) -> str | None:
    """Area or volume, in physical units where all objects have one."""
    found = [
        str(n)
        for n in objects.columns
        if str(n).split("_")[0] in SIZES and not str(n).startswith(("area_bbox", "area_convex"))
    ]
    whole = [n for n in found if objects[n].notna().any()]
    physical = [
        n for n in whole if n not in SIZES and objects[n].notna().sum() == objects[whole[0]].notna().sum()
    ]
    return physical[0] if physical else whole[0] if whole else None


def _groups(objects: pd.DataFrame, by: str) -> dict[str, NDArray[np.bool_]]:
    if not by:
        return {"": np.ones(len(objects), dtype=bool)}
    texts = objects[by].astype(str)
    order: Sequence[str] = list(texts.value_counts().index)
    return {value or "(none)": (texts == value).to_numpy() for value in order}


def _by(
    objects: pd.DataFrame, name: str, groups: dict[str, NDArray[np.bool_]]
) -> dict[str, NDArray[np.float64]]:
    values = objects[name].to_numpy(np.float64)
    return {group: values[which] for group, which in groups.items()}
