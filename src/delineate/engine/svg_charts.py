"""Small charts as SVG for a page that has no scripts; the page's style gives the colours (light or dark)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .markup import Markup, joined, tag, text

WIDTH, HEIGHT = 420, 300
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 10, 40

Point = tuple[float, float]


def _x(value: float) -> float:
    return round(LEFT + value * (WIDTH - LEFT - RIGHT), 2)


def _y(value: float) -> float:
    return round(HEIGHT - BOTTOM - value * (HEIGHT - TOP - BOTTOM), 2)


def unit_chart(
    lines: Mapping[str, Sequence[Point]],
    *,
    across: str,
    up: str,
    title: str,
    diagonal: bool = False,
    marks: Sequence[tuple[float, float, str]] = (),
) -> Markup:
    """Lines over the unit square.

    Args:
        lines: by name the points, 0..1 both ways; the name stands in the legend.
        across: what goes to the right.
        up: what goes up.
        title: for those who cannot see it.
        diagonal: draw where both are equal.
        marks: points with a word each.
    """
    parts = [_frame(across, up)]
    if diagonal:
        parts.append(tag("line", x1=_x(0), y1=_y(0), x2=_x(1), y2=_y(1), class_="diagonal"))
    for k, points in enumerate(lines.values()):
        where = " ".join(f"{_x(x)},{_y(y)}" for x, y in points)
        parts.append(tag("polyline", points=where, class_=f"line s{k % 6}"))
    for x, y, word in marks:
        anchor = "end" if x > 0.6 else "start"
        parts.append(tag("circle", cx=_x(x), cy=_y(y), r=4, class_="mark"))
        shift = -8 if anchor == "end" else 8
        parts.append(tag("text", word, x=_x(x) + shift, y=_y(y) - 9, text_anchor=anchor, class_="word"))
    legend = tag(
        "figcaption",
        *(tag("span", tag("i", class_=f"key s{k % 6}"), " ", name) for k, name in enumerate(lines)),
    )
    drawn = tag("svg", *parts, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=title)
    return tag("figure", drawn, legend, class_="chart")


def _frame(across: str, up: str) -> Markup:
    parts = []
    for k in range(6):
        at = k / 5
        parts.append(tag("line", x1=_x(at), y1=_y(0), x2=_x(at), y2=_y(1), class_="grid"))
        parts.append(tag("line", x1=_x(0), y1=_y(at), x2=_x(1), y2=_y(at), class_="grid"))
        parts.append(tag("text", f"{at:.1f}", x=_x(at), y=_y(0) + 16, text_anchor="middle"))
        parts.append(tag("text", f"{at:.1f}", x=_x(0) - 6, y=_y(at) + 4, text_anchor="end"))
    parts.append(tag("text", across, x=_x(0.5), y=HEIGHT - 6, text_anchor="middle"))
    turned = f"rotate(-90 12 {_y(0.5)})"
    parts.append(tag("text", up, x=12, y=_y(0.5), text_anchor="middle", transform=turned))
    return joined(parts)


def reliability_chart(bins: Sequence[tuple[float, float, float, float, int]], title: str) -> Markup:
    """Score against share of right detections, with how many there are.

    Args:
        bins: (low, high, mean score, share that is right, detections) of each bin with detections.
        title: for those who cannot see it.
    """
    most = max((number for *_, number in bins), default=1)
    parts = [_frame("mean score", "share that is right")]
    for low, high, _, share, number in bins:
        wide, tall = _x(high) - _x(low) - 2, _y(0) - _y(share)
        told = f"{number} detections with a score of {low:.1f} to {high:.1f}: {share:.3f} right"
        column = tag("rect", x=_x(low) + 1, y=_y(share), width=wide, height=round(tall, 2), class_="column")
        parts.append(tag("g", tag("title", told), column, opacity=round(0.35 + 0.65 * number / most, 3)))
    parts.append(tag("line", x1=_x(0), y1=_y(0), x2=_x(1), y2=_y(1), class_="diagonal"))
    parts += [tag("circle", cx=_x(mean), cy=_y(share), r=3.5, class_="mark") for _, _, mean, share, _ in bins]
    drawn = tag("svg", *parts, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=title)
    caption = tag(
        "figcaption", "On the line a score says what it means; the darker a column, the more detections."
    )
    return tag("figure", drawn, caption, class_="chart")


def bar(share: float, word: object, class_: str = "") -> Markup:
    """A table cell with a bar behind its word; ``share`` is 0..1."""
    wide = 0.0 if share != share else round(100 * min(max(share, 0.0), 1.0), 1)
    return tag(
        "td",
        tag("span", class_="bar", style=f"width:{wide}%"),
        tag("b", word),
        class_=f"bars {class_}".strip(),
    )


def stacked(parts: Sequence[tuple[str, int]], title: str) -> Markup:
    """One bar cut into parts, with a legend of their numbers."""
    whole = sum(number for _, number in parts) or 1
    pieces = [
        tag("span", class_=f"s{k % 8}", style=f"width:{100 * n / whole:.3f}%", title=f"{name}: {n}")
        for k, (name, n) in enumerate(parts)
    ]
    keys = [
        tag("span", tag("i", class_=f"key s{k % 8}"), f" {name} {n} ({100 * n / whole:.1f} %)")
        for k, (name, n) in enumerate(parts)
        if n
    ]
    return tag(
        "div", tag("p", text(title)), tag("div", *pieces, class_="stack"), tag("p", *keys, class_="keys")
    )
