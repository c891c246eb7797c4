"""The agreement of annotators as text and as one HTML page with the images on which they agree least."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.resources import files

import numpy as np
from PIL import Image, ImageDraw

from delineate import __version__
from delineate.apply.draw import display
from delineate.core.errors import DelineateError
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.data.images import read
from delineate.metrics.agreement_report import AgreementReport
from delineate.metrics.agreement_rows import ImageAgreement
from delineate.metrics.annotator_groups import group_objects
from delineate.metrics.metric import Cell, ScoreTable

from .annotators import Annotators
from .crowd_pictures import Color, outline
from .illustrations import to_jpeg
from .markup import Markup, joined, picture, table, tag

WORST = 8
SIDE = 620  # pixels of a panel
TINTS: tuple[Color, ...] = (
    (255, 170, 40), (60, 190, 255), (230, 90, 220), (120, 230, 90), (255, 90, 90), (240, 240, 110),
)  # fmt: skip
"""Of the annotators' outlines, in their order."""

DIGITS = {"%": 1, "p5": 0, "px": 2, "median": 0, "p95": 0, "difference": 2}
"""Digits after the point by what a column's name has in it; 3 elsewhere."""
TOLD = {
    "PQ": ("panoptic quality", "F1 x IoU, mean over pairs"),
    "F1": ("found by both", "share of the objects of two annotators"),
    "IoU": ("overlap", "of outlines of one object"),
    "boundary_distance": ("px apart", "median distance of outlines"),
    "count_difference": ("objects an image", "mean difference of counts"),
    "kappa": ("Cohen's kappa", "classes, of objects that both drew"),
    "alpha_classes": ("alpha of classes", "Krippendorff's, beyond chance"),
    "alpha_pixels": ("alpha of pixels", "Krippendorff's, beyond chance"),
}


def to_text(report: AgreementReport, notes: Sequence[str] = ()) -> str:
    """The report for a terminal."""
    lines = [f"{len(report.images)} images, {len(report.annotators)} annotators"]
    for name, value in report.scores.items():
        if not math.isnan(value):
            lines.append(
                f"  {TOLD[name][0]:<18} {_cell(value, name.replace('boundary', 'px')):>8}   {TOLD[name][1]}"
            )
    for part in report.tables:
        lines += ["", part.title, *_aligned(part)]
    worst = report.worst[:5]
    if worst and worst[0].quality < 1:
        lines += ["", "Least agreement: " + ", ".join(f"{i.name} ({i.quality:.2f})" for i in worst)]
    lines += [f"note: {note}" for note in (*report.notes, *notes)]
    return "\n".join(lines)


def _aligned(part: ScoreTable) -> list[str]:
    rows = [part.columns, *_cells(part)]
    wide = [max(len(row[k]) for row in rows) for k in range(len(part.columns))]
    return [
        "  "
        + "  ".join(
            v.ljust(w) if k == 0 else v.rjust(w) for k, (v, w) in enumerate(zip(row, wide, strict=True))
        )
        for row in rows
    ]


def _cell(value: Cell, column: str = "") -> str:
    """A value for reading; shares have three digits, percent and pixels one or two."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, float):
        text = f"{value:.{next((n for unit, n in DIGITS.items() if unit in column), 3)}f}"
        return text.lstrip("-") if not float(text) else text
    return str(value)


def to_html(report: AgreementReport, annotators: Annotators, notes: Sequence[str] = ()) -> str:
    """The report as the text of one HTML file; images are read again for the pictures."""
    tiles = [
        tag(
            "div",
            tag("b", _cell(value, name.replace("boundary", "px"))),
            tag("span", TOLD[name][0]),
            tag("span", TOLD[name][1]),
            class_="tile",
        )
        for name, value in report.scores.items()
        if not math.isnan(value)
    ]
    body: list[Markup] = [
        tag("h1", "Agreement of annotators"),
        tag("p", f"{', '.join(report.annotators)}: {len(report.images)} images", class_="soft"),
        tag("div", *tiles, class_="tiles"),
    ]
    for part in report.tables:
        body += [tag("h2", part.title), tag("p", part.caption, class_="soft"), _table(part)]
    shown = [made for image in report.worst[:WORST] if (made := _shown(image, annotators)) is not None]
    if shown:
        keys = [
            tag("span", tag("i", class_="key", style=f"background:rgb{_tint(k)}"), f" {name} ")
            for k, name in enumerate(report.annotators)
        ]
        told = (
            "Least agreement first; beside it the object on which the annotators differ most. Thick "
            "outlines: not everybody drew the object."
        )
        body += [tag("h2", "Images"), tag("p", told, class_="soft"), tag("p", *keys, class_="keys"), *shown]
    said = [tag("p", note, class_="note") for note in (*report.notes, *notes)]
    if said:
        body += [tag("h2", "Notes"), *said]
    rows = [joined([tag("dt", key), tag("dd", value)]) for key, value in report.protocol.items()]
    body += [tag("h2", "Protocol"), tag("dl", *rows), tag("p", f"delineate {__version__}", class_="soft")]
    head = joined(
        [
            tag("meta", charset="utf-8"),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("title", "Agreement of annotators"),
            tag("style", Markup(files(__package__).joinpath("report.css").read_text("utf-8"))),
        ]
    )
    page = tag("html", tag("head", head), tag("body", joined(body, "\n")), lang="en")
    return f"<!doctype html>\n{page}\n"


def _cells(part: ScoreTable) -> list[list[str]]:
    return [[_cell(v, c) for v, c in zip(row, part.columns, strict=True)] for row in part.rows]


def _table(part: ScoreTable) -> Markup:
    return table(part.columns, _cells(part))


def _tint(k: int) -> Color:
    return TINTS[k % len(TINTS)]


def _shown(image: ImageAgreement, annotators: Annotators) -> Markup | None:
    """A figure of one image; None where it cannot be read."""
    shared = next(shared for shared in annotators.images if shared.name == image.name)
    path = annotators.image(shared)
    if path is None:
        return None
    try:
        drawn = draw_annotators(annotators.annotations(shared), display(read(path).pixels))
    except DelineateError:
        return None
    counts = ", ".join(
        f"{name} {len(own.labels)}"
        for name, own in zip(annotators.names, image.objects, strict=True)
        if own is not None
    )
    told = f"{image.name}: panoptic quality {image.quality:.2f}; objects: {counts}"
    shot = picture(to_jpeg(drawn), "jpeg", image.name)
    return tag("figure", shot, tag("figcaption", told), class_="worst")


def draw_annotators(annotations: Sequence[Instances | None], image: np.ndarray) -> Image.Image:
    """Each annotator's outlines in a colour, thick where not everybody drew the object; beside it a closer
    look.

    The closer look is at the object on whose pixels the annotators differ most.

    Args:
        annotations: by annotator the objects, with masks; None who did not see the image.
        image: (H, W, 3) uint8.
    """
    height, width = image.shape[:2]
    seen = [(k, own.masks) for k, own in enumerate(annotations) if own is not None and own.masks is not None]
    groups = group_objects([masks for _, masks in seen])
    common = (groups >= 0).all(axis=1)
    window = _disputed([masks for _, masks in seen], groups, (height, width))
    panels = []
    for x0, y0, x1, y1 in ((0, 0, width, height), window):
        scale = SIDE / max(y1 - y0, x1 - x0)
        size = (round((x1 - x0) * scale), round((y1 - y0) * scale))
        shown = Image.fromarray(image[y0:y1, x0:x1]).resize(size, Image.Resampling.BICUBIC)
        pen = ImageDraw.Draw(shown)
        for column, (k, masks) in enumerate(seen):
            for rows, line in ((groups[~common, column], 4), (groups[common, column], 2)):
                cut = masks[rows[rows >= 0]].window(x0, y0, x1, y1)
                outline(pen, Instances(cut.size, masks=cut), _tint(k), scale, line)
        panels.append(shown)
    both = Image.new("RGB", (sum(p.width for p in panels) + 4, max(p.height for p in panels)))
    both.paste(panels[0], (0, 0))
    both.paste(panels[1], (panels[0].width + 4, 0))
    return both


def _disputed(masks: Sequence[Masks], groups: np.ndarray, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The window (x0, y0, x1, y1) around the object on whose pixels the annotators differ most."""
    worst, where = -1.0, (0.0, 0.0, float(size[1]), float(size[0]))
    for row in groups:
        drawn = [m[int(k)] for m, k in zip(masks, row, strict=True) if k >= 0]
        together = Masks.concatenate(drawn).union()
        shared = 0.0
        if len(drawn) == len(masks):
            first = drawn[0]
            for other in drawn[1:]:
                first = _common(first, other)
            shared = float(first.area[0])
        apart = float(together.area[0]) - shared
        if apart > worst:
            x1, y1, x2, y2 = together.boxes[0].tolist()
            worst, where = apart, (x1, y1, x2, y2)
    x1, y1, x2, y2 = where
    half = max(x2 - x1, y2 - y1, 24)
    middle_x, middle_y = (x1 + x2) / 2, (y1 + y2) / 2
    return (
        max(0, int(middle_x - half)), max(0, int(middle_y - half)),
        min(size[1], int(middle_x + half) + 1), min(size[0], int(middle_y + half) + 1),
    )  # fmt: skip


def _common(first: Masks, second: Masks) -> Masks:
    """What two masks share."""
    crop, (x, y) = first.crop(0)
    if not crop.size:
        return first
    other = second.window(x, y, x + crop.shape[1], y + crop.shape[0]).dense()[0]
    return Masks.from_crops([crop & other], np.array([[x, y]]), first.size)
