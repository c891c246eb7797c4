"""Histograms and scatter plots of a table, by group, as SVG documents that need nothing to be shown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .markup import Markup, joined, tag

# Okabe and Ito's colours, told apart by colour-blind readers: "Color universal design", 2008.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")
WIDTH, HEIGHT = 560, 380
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 40, 52
MOST_POINTS = 4000
"""Of a larger group so many points are drawn, evenly chosen, so that the file stays small."""
MOST_GROUPS = 8
Columns = Mapping[str, ArrayLike]


def histogram(groups: Columns, name: str, unit: str = "", bins: int = 40) -> str:
    """How often which values occur, one line per group, as shares of the group.

    Args:
        groups: values by group, NaN left out; the first eight groups are drawn.
        name: of the measure.
        unit: of the values; empty for plain numbers.
        bins: how many of equal width between the 0.1 and 99.9 percentiles of all.

    Returns:
        An SVG document.
    """
    known = {key: _finite(values) for key, values in list(groups.items())[:MOST_GROUPS]}
    together = np.concatenate([*known.values(), np.zeros(0)])
    low, high = _limits(together)
    edges = np.linspace(low, high, bins + 1)
    shares = {k: np.histogram(v, edges)[0] / max(len(v), 1) for k, v in known.items()}
    top = max((float(s.max()) for s in shares.values()), default=0.0) * 1.05 or 1.0
    across, up = _Axis(low, high, LEFT, WIDTH - RIGHT), _Axis(0, top, HEIGHT - BOTTOM, TOP)
    parts = [_frame(across, up, _named(name, unit), "share of objects")]
    for k, counts in enumerate(shares.values()):
        corners = [(across(edges[0]), up(0))]
        for i, share in enumerate(counts.tolist()):
            corners += [(across(edges[i]), up(share)), (across(edges[i + 1]), up(share))]
        corners.append((across(edges[-1]), up(0)))
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
        ink = COLOURS[k]
        parts.append(tag("polygon", points=points, fill=ink, fill_opacity=0.18, stroke=ink, stroke_width=1.6))
    return _document(parts, known)


def scatter(across: Columns, up: Columns, names: tuple[str, str], units: tuple[str, str] = ("", "")) -> str:
    """One point per object.

    Args:
        across: values to the right by group.
        up: values upwards by the same groups, of the same lengths.
        names: of the two measures.
        units: of the two.

    Returns:
        An SVG document.
    """
    known: dict[str, NDArray[np.float64]] = {}
    for key in list(across)[:MOST_GROUPS]:
        both = np.stack([np.asarray(across[key], np.float64), np.asarray(up[key], np.float64)])
        known[key] = both[:, np.isfinite(both).all(axis=0)]
    together = np.concatenate([*known.values(), np.zeros((2, 0))], axis=1)
    low_x, high_x = _limits(together[0])
    low_y, high_y = _limits(together[1])
    x_of, y_of = _Axis(low_x, high_x, LEFT, WIDTH - RIGHT), _Axis(low_y, high_y, HEIGHT - BOTTOM, TOP)
    parts = [_frame(x_of, y_of, _named(names[0], units[0]), _named(names[1], units[1]))]
    for k, points in enumerate(known.values()):
        some = points[:, :: max(1, -(-points.shape[1] // MOST_POINTS))]
        inside = (some >= [[low_x], [low_y]]).all(axis=0) & (some <= [[high_x], [high_y]]).all(axis=0)
        dots = [
            tag("circle", cx=round(x_of(x), 1), cy=round(y_of(y), 1), r=2)
            for x, y in some[:, inside].T.tolist()
        ]
        parts.append(tag("g", *dots, fill=COLOURS[k], fill_opacity=0.45))
    return _document(parts, {key: points[0] for key, points in known.items()})


class _Axis:
    """From values to places in the picture."""

    def __init__(self, low: float, high: float, begin: float, end: float) -> None:
        self.low, self.high, self.begin, self.end = low, high, begin, end

    def __call__(self, value: float) -> float:
        return self.begin + (float(value) - self.low) / (self.high - self.low) * (self.end - self.begin)

    def ticks(self) -> list[float]:
        rough = (self.high - self.low) / 5
        size = 10 ** math.floor(math.log10(rough))
        step = next(size * m for m in (1, 2, 5, 10) if size * m >= rough)
        first = math.ceil(self.low / step - 1e-9)
        return [k * step for k in range(first, math.floor(self.high / step + 1e-9) + 1)]


def _frame(across: _Axis, up: _Axis, below: str, beside: str) -> Markup:
    parts: list[Markup] = []
    for value in across.ticks():
        x = round(across(value), 1)
        parts.append(tag("line", x1=x, x2=x, y1=TOP, y2=HEIGHT - BOTTOM, stroke="#e4e4e4"))
        parts.append(
            tag("text", f"{value:g}", x=x, y=HEIGHT - BOTTOM + 16, text_anchor="middle", font_size=11)
        )
    for value in up.ticks():
        y = round(up(value), 1)
        parts.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, stroke="#e4e4e4"))
        parts.append(tag("text", f"{value:g}", x=LEFT - 6, y=y + 4, text_anchor="end", font_size=11))
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(tag("text", below, x=middle, y=HEIGHT - 14, text_anchor="middle", font_size=13))
    high = (TOP + HEIGHT - BOTTOM) / 2
    turned = f"rotate(-90 16 {high})"
    parts.append(tag("text", beside, x=16, y=high, text_anchor="middle", font_size=13, transform=turned))
    return joined(parts)


def _document(parts: Sequence[Markup], groups: Mapping[str, NDArray[np.float64]]) -> str:
    legend, x = [], float(LEFT)
    for k, (name, values) in enumerate(groups.items()):
        told = f"{name or 'all'} ({len(values)})"
        legend.append(tag("rect", x=x, y=14, width=11, height=11, fill=COLOURS[k]))
        legend.append(tag("text", told, x=x + 16, y=24, font_size=12))
        x += 34 + 6.6 * len(told)
    drawn = tag(
        "svg",
        tag("rect", width=max(WIDTH, round(x)), height=HEIGHT, fill="#ffffff"),
        *parts,
        *legend,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {max(WIDTH, round(x))} {HEIGHT}",
        width=max(WIDTH, round(x)),
        height=HEIGHT,
        font_family="system-ui, sans-serif",
        fill="#222222",
    )
    return str(drawn)


def _named(name: str, unit: str) -> str:
    plain = name.replace("_", " ")
    return f"{plain} ({unit.replace('^2', '²').replace('^3', '³')})" if unit else plain


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    known = np.asarray(values, dtype=np.float64)
    return known[np.isfinite(known)]


def _limits(values: NDArray[np.float64]) -> tuple[float, float]:
    """Between which values the picture lies: the 0.1 and 99.9 percentiles, never the same."""
    if not len(values):
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(values, [0.1, 99.9]))
    room = max(abs(low), 1.0) * 1e-6
    return (low, high) if high - low > room else (low - 0.5, high + 0.5)
