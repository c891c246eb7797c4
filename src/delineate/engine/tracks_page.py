"""An evaluation of tracks as one HTML file: scores by sequence, who was followed when, the worst frames.

No scripts, nothing fetched; every name goes through :mod:`delineate.engine.markup`, which escapes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from delineate import __version__
from delineate.apply.draw_tracks import id_colors
from delineate.metrics.metric import Cell, tables_of

from .markup import Markup, joined, picture, table, tag
from .track_pictures import FOUND, TRUE, WorstFrame
from .track_timeline import Timeline, Way

if TYPE_CHECKING:
    from .tracks_report import TracksReport

SHOWN = 60  # true tracks of a video that are drawn: those with most trouble
WIDTH, LEFT, ROW = 900, 110, 11
MISSED = "rgb(200,30,30)"
TILES = (
    "hota/HOTA",
    "hota/AssA",
    "hota/DetA",
    "clear/MOTA",
    "identity/IDF1",
    "ctc/SEG",
    "ctc/TRA",
    "ctc/DET",
)


def to_html(report: TracksReport) -> str:
    """The report as the text of one HTML file."""
    sections = [
        ("Scores", _tables(report)),
        ("Who was followed when", joined(map(_timeline, report.timelines))),
        ("Worst frames", _worst(report.worst)),
        ("Notes", joined(tag("p", note) for note in (*report.notes, *_failures(report)))),
        ("Protocol", joined(_protocol(report))),
    ]
    shown = [tag("section", tag("h2", title), content) for title, content in sections if content]
    told = f"{len(report.sequences)} sequences, {report.frames} frames scored; delineate {__version__}"
    body = [
        tag("h1", Path(report.results).name or report.results),
        tag("p", report.results, " against ", report.truth, class_="soft"),
        _tiles(report),
        *shown,
        tag("p", told, class_="soft"),
    ]
    style = files(__package__).joinpath("report.css").read_text("utf-8")
    head = joined(
        [
            tag("meta", charset="utf-8"),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("title", f"{report.results}: evaluation of tracks"),
            tag("style", Markup(style)),
        ]
    )
    page = tag("html", tag("head", head), tag("body", joined(body, "\n")), lang="en")
    return f"<!doctype html>\n{page}\n"


def _tiles(report: TracksReport) -> Markup:
    scores = {name.split("/")[1]: report.scores[name] for name in TILES if name in report.scores}
    made = (tag("div", tag("b", _cell(v)), tag("span", name), class_="tile") for name, v in scores.items())
    return tag("div", *made, class_="tiles")


def _tables(report: TracksReport) -> Markup:
    parts: list[Markup] = []
    for part in report.parts.values():
        for given in tables_of(part):
            parts += [tag("h3", given.title), table(given.columns, (map(_cell, row) for row in given.rows))]
            parts += [tag("p", given.caption, class_="soft")] if given.caption else []
    return joined(parts)


def _cell(value: Cell) -> str:
    if value is None or value != value:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _timeline(line: Timeline) -> Markup:
    """A row for each true track: the colour is the predicted id's, red is missed, a stroke is another id."""
    ways = sorted(line.ways, key=lambda way: (-way.switches, -way.missed, way.id))
    shown, frames = ways[:SHOWN], max(len(line.numbers), 1)
    step = (WIDTH - LEFT) / frames
    parts = [_errors(line, step)]
    for k, way in enumerate(shown):
        parts += _way(way, 50 + ROW * k, step)
    whole = sum(way.missed for way in line.ways), sum(way.switches for way in line.ways)
    told = f"{len(line.ways)} true tracks, {len(line.numbers)} frames; {whole[0]} objects missed, "
    told += f"{int(line.false.sum())} false, {whole[1]} changes of id"
    told += f"; the {SHOWN} tracks with most trouble are shown" if len(ways) > SHOWN else ""
    box = f"0 0 {WIDTH} {50 + ROW * max(len(shown), 1)}"
    svg = tag("svg", *parts, viewBox=box, role="img", aria_label=f"tracks of {line.sequence}", width="100%")
    caption = "above: errors of each frame; below: a row for each true track, coloured by the id that it was "
    caption += "found under, red where it was missed; a black stroke where the id changed"
    return tag("figure", tag("h3", line.sequence), tag("p", told), svg, tag("figcaption", caption))


def _errors(line: Timeline, step: float) -> Markup:
    """Columns of the errors of each frame."""
    errors = line.missed + line.false + line.switched
    most = max(int(errors.max(initial=0)), 1)
    bars = []
    for k, n in enumerate(errors.tolist()):
        high, wide = round(36 * n / most, 2), round(max(step, 0.5), 2)
        if n:
            x = round(LEFT + k * step, 2)
            bars.append(tag("rect", x=x, y=round(40 - high, 2), width=wide, height=high, class_="column"))
    return joined([tag("text", f"errors (most: {most})", x=0, y=24), *bars])


def _way(way: Way, top: int, step: float) -> list[Markup]:
    parts = [tag("text", f"{way.name} {way.id}"[:18], x=0, y=top + 8, font_size=9)]
    before = -1
    for first, last, predicted in way.spans:
        x, width = round(LEFT + first * step, 2), round(max((last - first + 1) * step, 0.5), 2)
        if predicted < 0:
            word, high, tint = "missed", 3, MISSED
        else:
            red, green, blue = id_colors(np.array([predicted]))[0].tolist()
            word, high, tint = f"id {predicted}", ROW - 3, f"rgb({red},{green},{blue})"
        place = {"x": x, "y": top + (ROW - 3 - high) / 2, "width": width, "height": high}
        parts.append(tag("rect", tag("title", word), fill=tint, **place))
        if predicted >= 0:
            if before not in (-1, predicted):
                parts.append(tag("rect", x=x - 1, y=top - 1, width=2, height=ROW - 1, fill="currentColor"))
            before = predicted
    return parts


def _worst(frames: Sequence[WorstFrame]) -> Markup:
    if not frames:
        return Markup("")
    keys = [
        tag("span", tag("i", class_="key", style=f"background:rgb{tint}"), " ", word)
        for tint, word in ((TRUE, "truth"), (FOUND, "results"))
    ]
    made = [
        tag("figure", picture(f.jpeg, "jpeg", f"frame {f.number} of {f.sequence}", style="max-width:100%"),
            tag("figcaption", f"{f.sequence}, frame {f.number}: {f.told}"))
        for f in frames
    ]  # fmt: skip
    return joined([tag("p", *keys, class_="keys"), tag("div", *made, class_="row")])


def _protocol(report: TracksReport) -> Iterable[Markup]:
    for part, said in report.protocol.items():
        words = "; ".join(str(v) if key == "definition" else f"{key}: {v}" for key, v in said.items())
        yield tag("p", tag("b", part.upper()), " ", words, class_="soft")


def _failures(report: TracksReport) -> Iterable[str]:
    return (f"not scored: {name}: {reason}" for name, reason in report.failed)
