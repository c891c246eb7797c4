"""An evaluation report as one HTML file: style, charts and pictures within, no scripts, nothing fetched.

What stands on it is what was computed: a metric that has no section of its own is shown by its scores and
tables. Every name goes through :mod:`delineate.engine.markup`, which escapes it.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from delineate import __version__

from .markup import Markup, joined, tag
from .report_faults import calibration, confusion, crowd, errors, label_errors, worst_images
from .report_sections import (
    classes,
    comparison,
    difference,
    headline,
    more,
    overview,
    precision_recall,
    protocol,
    remarks,
    thresholds,
)

if TYPE_CHECKING:
    from .report import Report

SECTIONS = (
    ("Against the other", comparison),
    ("Where two protocols part", difference),
    ("Scores", overview),
    ("Classes", classes),
    ("Precision and recall", precision_recall),
    ("Thresholds", thresholds),
    ("Confusion", confusion),
    ("Kinds of errors", errors),
    ("Crowds", crowd),
    ("Calibration", calibration),
    ("Worst images", worst_images),
    ("Likely label errors", label_errors),
    ("More scores", more),
    ("Notes", remarks),
    ("Protocol", protocol),
)
"""The parts of the page in order; one that has nothing to show is left out."""


def to_html(report: Report) -> str:
    """The report as the text of one HTML file."""
    made = [(title, section(report)) for title, section in SECTIONS]
    shown = [(title, content) for title, content in made if content]
    body: list[Markup] = [
        tag("h1", Path(report.predictor).name or report.predictor),
        tag("p", report.predictor, " on ", report.data, class_="soft"),
        headline(report),
        tag("nav", *(tag("a", title, href=f"#{_anchor(title)}") for title, _ in shown)),
    ]
    for title, content in shown:
        body.append(tag("section", tag("h2", title), content, id=_anchor(title)))
    failed = len(report.failed)
    told = f"{report.images} images scored" + (f", {failed} not" if failed else "")
    body.append(tag("p", f"{told}; delineate {__version__}", class_="soft"))
    head = joined(
        [
            tag("meta", charset="utf-8"),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("title", f"{report.predictor}: evaluation"),
            tag("style", Markup(files(__package__).joinpath("report.css").read_text("utf-8"))),
        ]
    )
    page = tag("html", tag("head", head), tag("body", joined(body, "\n")), lang="en")
    return f"<!doctype html>\n{page}\n"


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")
