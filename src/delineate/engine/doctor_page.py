"""The doctor's findings as one HTML page: style and pictures within, no scripts, nothing fetched."""

from __future__ import annotations

from importlib.resources import files
from itertools import groupby
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from delineate.apply.draw import display
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.data.check import KINDS, Checkup, Finding
from delineate.data.images import read
from delineate.data.records import Dataset, Drawn

from .atomic import write_atomically
from .crowd_pictures import outline
from .doctor import title, verdict
from .illustrations import to_jpeg
from .markup import Markup, joined, picture, table, tag

PICTURES = 8
"""So many cases of a kind have a picture."""
LISTED = 200
"""So many cases of a kind are listed."""
SIDE = 260
_CASE, _BOX, _OTHERS = (255, 60, 200), (255, 150, 30), (90, 220, 90)


def write_page(path: Path, checkup: Checkup) -> None:
    """Writes the page, atomically; images are read again for the cases that are shown.

    Raises:
        OSError: it cannot be written there.
    """
    text = _page(checkup)
    write_atomically(path, lambda file: file.write(text.encode("utf-8")))


def _page(checkup: Checkup) -> str:
    places = _Places(checkup)
    body: list[Markup] = [
        tag("h1", Path(checkup.source).name or checkup.source),
        tag("p", title(checkup), class_="soft"),
        tag("p", tag("b", verdict(checkup))),
    ]
    groups = [(name, list(cases)) for name, cases in groupby(checkup.findings, key=lambda case: case.kind)]
    links = (tag("a", f"{name} ({len(cases)})", href=f"#{name}") for name, cases in groups)
    body.append(tag("nav", *links))
    body += [_section(name, cases, places) for name, cases in groups]
    if checkup.objects:
        body.append(_classes(checkup))
    head = joined(
        [
            tag("meta", charset="utf-8"),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("title", f"{checkup.source}: checked"),
            tag("style", Markup(files(__package__).joinpath("report.css").read_text("utf-8"))),
        ]
    )
    return (
        f"<!doctype html>\n{tag('html', tag('head', head), tag('body', joined(body, chr(10))), lang='en')}\n"
    )


def _section(name: str, cases: list[Finding], places: _Places) -> Markup:
    kind = KINDS[name]
    figures = []
    for case in cases[:PICTURES]:
        shown = places.picture(case)
        if shown is not None:
            pair = shown.width >= 2 * shown.height
            wide = {"style": "aspect-ratio: 2"} if pair else {}
            image = picture(to_jpeg(shown), "jpeg", str(case), **wide)
            span = {"style": "grid-column: span 2"} if pair else {}
            figures.append(tag("figure", image, tag("figcaption", str(case)), **span))
    listed = tag("ul", *(tag("li", str(case)) for case in cases[:LISTED]))
    more = f"; the first {LISTED} of {len(cases)}" if len(cases) > LISTED else ""
    return tag(
        "section",
        tag("h2", f"{name}: {kind.title} ({len(cases)})"),
        tag("p", f"{kind.severity.capitalize()}. Mend: {kind.mend}."),
        tag("div", *figures, class_="crops"),
        tag("details", tag("summary", f"all cases{more}"), listed),
        id=name,
    )


def _classes(checkup: Checkup) -> Markup:
    splits = [split for split in checkup.splits if split]
    rows = [
        [one.name, one.total, *(one.objects.get(split, 0) for split in splits), one.images,
         "-" if one.side != one.side else f"{one.side:.0f}"]
        for one in sorted(checkup.classes, key=lambda one: -one.total)
    ]  # fmt: skip
    shown = table(["class", "objects", *splits, "images", "median side, px"], rows)
    return tag("section", tag("h2", "Classes"), shown, id="classes")


class _Places:
    """Finds the images and objects of findings again, and draws them."""

    def __init__(self, checkup: Checkup) -> None:
        self._of: dict[tuple[str, str], tuple[Dataset, int]] = {}
        for part in checkup.parts:
            for index, record in enumerate(part.records):
                self._of[record.groups.get("split", ""), record.name] = part, index

    def picture(self, case: Finding) -> Image.Image | None:
        """The object with its surroundings, or the images that it is about; None where there is none."""
        keys = [(case.split, case.image), *case.images]
        try:
            if case.images:
                return _beside([self._image(key) for key in keys])
            part, index = self._of[keys[0]]
            pixels = self._image(keys[0])
            truth = part.truth(index)
            drawn = part.drawn(index) if part.outlines is not None else []
        except (InputError, OSError, KeyError):
            return None
        if truth.size != pixels.shape[:2]:
            return _beside([pixels])
        return _crop(case, pixels, truth, drawn)

    def _image(self, key: tuple[str, str]) -> np.ndarray:
        part, index = self._of[key]
        return display(read(part.records[index].path, channels=part.channels).pixels)


def _beside(images: list[np.ndarray]) -> Image.Image:
    """Images side by side, each fitted into a square."""
    whole = Image.new("RGB", (SIDE * len(images), SIDE), (24, 24, 24))
    for k, pixels in enumerate(images):
        shown = Image.fromarray(pixels)
        shown.thumbnail((SIDE - 4, SIDE - 4))
        whole.paste(shown, (SIDE * k + (SIDE - shown.width) // 2, (SIDE - shown.height) // 2))
    return whole


def _crop(case: Finding, pixels: np.ndarray, truth: Instances, drawn: Drawn) -> Image.Image:
    """The case in pink, its box in orange where that is the fault, other objects in green."""
    height, width = truth.size
    at = _object(case, truth)
    left, top, right, bottom = (0, 0, width, height) if at is None else _window(truth, at)
    scale = SIDE / max(right - left, bottom - top)
    shape = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
    shown = Image.fromarray(pixels[top:bottom, left:right]).resize(shape, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(shown)
    corner = np.array([left, top], np.float64)
    for index in range(len(truth)):
        if index != at:
            outline(pen, _moved(truth, index, (left, top, right, bottom)), _OTHERS, scale, 1)
    if at is None:
        return shown
    rings = [ring for part in (drawn[at] if drawn else None) or () for ring in part.rings]
    if rings:
        for ring in rings:
            points = [(float(x), float(y)) for x, y in (ring - corner) * scale]
            pen.line([*points, points[0]], fill=_CASE, width=2, joint="curve")
    else:
        outline(pen, _moved(truth, at, (left, top, right, bottom)), _CASE, scale, 2)
    if case.kind == "box":
        x1, y1, x2, y2 = ((truth.boxes[at].reshape(2, 2) - corner) * scale).ravel().tolist()
        pen.rectangle((x1, y1, x2, y2), outline=_BOX, width=2)
    return shown


def _object(case: Finding, truth: Instances) -> int | None:
    if case.index is not None:
        return case.index
    if case.annotation is None or truth.ids is None:
        return None
    found = np.flatnonzero(truth.ids == case.annotation)
    return int(found[0]) if len(found) else None


def _window(truth: Instances, at: int) -> tuple[int, int, int, int]:
    """An object's surroundings inside the image: twice its longer side, at least 32 pixels."""
    height, width = truth.size
    boxes = [truth.boxes[at], *([truth.masks[at].boxes[0]] if truth.masks is not None else [])]
    x1, y1 = np.min([box[:2] for box in boxes], axis=0).clip(0).tolist()
    x2, y2 = np.max([box[2:] for box in boxes], axis=0).clip(0, [width, height]).tolist()
    half = max(x2 - x1, y2 - y1, 16)
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    left, top = max(0, min(int(x - half), width - 1)), max(0, min(int(y - half), height - 1))
    return (
        left,
        top,
        max(left + 1, min(width, int(x + half) + 1)),
        max(top + 1, min(height, int(y + half) + 1)),
    )


def _moved(truth: Instances, index: int, window: tuple[int, int, int, int]) -> Instances:
    """One object as it shows in a window; none where it does not."""
    left, top, right, bottom = window
    size = (bottom - top, right - left)
    if truth.masks is not None:
        masks = truth.masks[index].window(*window)
        return Instances(size, masks=masks[masks.area > 0])
    return Instances(
        size, boxes=truth.boxes[index : index + 1] - np.array([left, top, left, top], np.float32)
    )
