"""Wells of microplates: which one an image shows, a table of them, and a heat map of the plate."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import pandas as pd

from .markup import Markup, joined, tag

ROWS = "ABCDEFGHIJKLMNOP"
SHAPES = {96: (8, 12), 384: (16, 24)}
_NAMES = (
    re.compile(r"(?<![A-Za-z0-9])([A-Pa-p])[ ]?-?[ ]?(\d{1,2})(?![A-Za-z0-9])"),
    re.compile(r"(?<![A-Za-z0-9])r(\d{1,2})c(\d{1,2})(?![0-9])", re.IGNORECASE),
)
# The colour map viridis at 9 places (Smith and van der Walt, matplotlib, CC0).
_COLOURS = (
    "#440154", "#472c7a", "#3b518b", "#2c718e", "#21908d", "#27ad81", "#5cc863", "#aadc32", "#fde725",
)  # fmt: skip


def well_of(name: str) -> str:
    """The well that a file name tells, A01 to P24; empty where it tells none.

    Read are a letter and a number that stand apart (``plate1_B07_s2.tif``, ``B - 7(fld 1).tif``) and the form
    of Opera and Operetta (``r02c07f01.tiff``); the first of several counts.

    Example:
        >>> well_of("run3_b7_site1.tif"), well_of("r02c07f01p01-ch1.tiff"), well_of("cell_12.png")
        ('B07', 'B07', '')
    """
    for match in _NAMES[0].finditer(name):
        if 1 <= int(match[2]) <= 24:
            return f"{match[1].upper()}{int(match[2]):02d}"
    for match in _NAMES[1].finditer(name):
        if 1 <= int(match[1]) <= 16 and 1 <= int(match[2]) <= 24:
            return f"{ROWS[int(match[1]) - 1]}{int(match[2]):02d}"
    return ""


def plate_shape(wells: Sequence[str]) -> tuple[int, int]:
    """Rows and columns of the smaller plate, 96 or 384, that has all these wells."""
    rows = max((ROWS.index(well[0]) for well in wells), default=0)
    columns = max((int(well[1:]) for well in wells), default=1)
    return SHAPES[96] if rows < 8 and columns <= 12 else SHAPES[384]


def well_table(images: pd.DataFrame, objects: pd.DataFrame) -> pd.DataFrame:
    """One row per well: images, objects, and the means over them.

    Args:
        images: one row per image with columns ``well`` and ``count``, and numbers; failed ones left out.
        objects: one row per object with a column ``well``.

    Returns:
        ``well``, ``row``, ``column``, ``images``, ``count`` (objects of all its images), ``count_per_image``;
        the mean over its images of ``coverage`` and ``density``; of its objects the median area, and the mean
        of every other measure, as ``<measure>_mean``.
    """
    told = images[images["well"].astype(str) != ""]
    if not len(told):
        return pd.DataFrame(columns=["well", "row", "column", "images", "count", "count_per_image"])
    grouped = told.groupby("well", sort=True)
    table = pd.DataFrame({"images": grouped.size(), "count": grouped["count"].sum()})
    table["count_per_image"] = table["count"] / table["images"]
    for name in ("coverage", "density"):
        if name in told:
            table[name] = grouped[name].mean()
    mine = objects[objects["well"].astype(str) != ""]
    if "area" in mine:
        table["area_median"] = mine.groupby("well")["area"].median()
    left_out = ("label", "id", "nearest_label", "page")
    numbers = [
        name
        for name in mine.select_dtypes("number").columns
        if name not in left_out and not name.startswith(("bbox-", "centroid-", "orientation"))
    ]
    means = mine.groupby("well")[numbers].mean().add_suffix("_mean")
    table = table.join(means).reset_index()
    table.insert(1, "row", table["well"].str[0])
    table.insert(2, "column", table["well"].str[1:].astype(int))
    return table


def plate_picture(values: Mapping[str, float], title: str) -> str:
    """A heat map of a plate as an SVG document.

    Args:
        values: by well; wells that are not there, or whose value is NaN, are drawn empty.
        title: what the values are.
    """
    rows, columns = plate_shape(list(values))
    step = 44 if rows == 8 else 26
    left, top = 34, 52
    width, height = left + columns * step + 104, top + rows * step + 16
    known = [v for v in values.values() if math.isfinite(v)]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    parts: list[Markup] = [tag("text", title, x=left, y=20, font_size=15, font_weight="bold")]
    for c in range(columns):
        x = left + (c + 0.5) * step
        parts.append(tag("text", c + 1, x=x, y=top - 8, text_anchor="middle", font_size=11))
    for r in range(rows):
        y = top + (r + 0.5) * step
        parts.append(tag("text", ROWS[r], x=left - 12, y=y + 4, text_anchor="middle", font_size=11))
        for c in range(columns):
            value = values.get(f"{ROWS[r]}{c + 1:02d}", math.nan)
            parts.append(_well(left + (c + 0.5) * step, y, step, f"{ROWS[r]}{c + 1:02d}", value, low, high))
    parts.append(_scale(left + columns * step + 24, top, rows * step - 8, low, high))
    drawn = tag(
        "svg",
        tag("rect", width=width, height=height, fill="#ffffff"),
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        font_family="system-ui, sans-serif",
        fill="#222222",
    )
    return str(drawn)


def _well(x: float, y: float, step: int, name: str, value: float, low: float, high: float) -> Markup:
    radius = step * 0.44
    if not math.isfinite(value):  # or not there
        empty = tag("circle", cx=x, cy=y, r=radius, fill="none", stroke="#c4c4c4")
        return tag("g", tag("title", f"{name}: no value"), empty)
    share = (value - low) / (high - low) if high > low else 0.5
    parts = [tag("title", f"{name}: {value:.6g}"), tag("circle", cx=x, cy=y, r=radius, fill=colour(share))]
    if step > 40:
        dark = share < 0.6
        ink = "#ffffff" if dark else "#222222"
        parts.append(tag("text", _short(value), x=x, y=y + 4, text_anchor="middle", font_size=11, fill=ink))
    return tag("g", *parts)


def _scale(x: float, top: float, height: float, low: float, high: float) -> Markup:
    steps = 64
    tall = round(height / steps + 0.5, 2)
    parts = []
    for k in range(steps):
        y = round(top + height * k / steps, 2)
        parts.append(tag("rect", x=x, y=y, width=16, height=tall, fill=colour(1 - k / (steps - 1))))
    for share, value in ((0.0, high), (0.5, (low + high) / 2), (1.0, low)):
        parts.append(tag("text", _short(value), x=x + 22, y=top + height * share + 4, font_size=11))
    return joined(parts)


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def colour(share: float) -> str:
    """The colour of a share 0..1 on the scale from dark blue to yellow, as #rrggbb."""
    place = min(max(share, 0.0), 1.0) * (len(_COLOURS) - 1)
    k = min(int(place), len(_COLOURS) - 2)
    ends = [[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in _COLOURS[k : k + 2]]
    return "#" + "".join(f"{round(a + (b - a) * (place - k)):02x}" for a, b in zip(*ends, strict=True))
