"""The pages of a contact sheet: thumbnails as JPEG, outlines as SVG over them, all within the file.

Outlines are drawn by the browser, so they stay sharp when a picture is enlarged and can be hidden by class.
The page works without its script, which adds the filters and the enlarged view.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from delineate import __version__
from delineate.apply.draw import colors, display
from delineate.core.instances import Instances

from .markup import Markup, joined, picture, tag
from .outline_paths import hex_color, outline_paths

if TYPE_CHECKING:
    from delineate.data.records import Dataset

    from .contact_sheet import Entry

SMOOTH = 0.75  # pixels of the thumbnail by which an outline may be off
TITLED = 300  # with more objects than this none has a tooltip
LISTED = 60  # classes that have a button


@dataclass(frozen=True)
class Card:
    """One image on the page.

    Attributes:
        name: the image's name.
        link: where the image lies, as a URL; None where it does not.
        groups: split and other columns.
        size: (height, width) of the image in pixels.
        counts: objects by class name.
        jpeg: the thumbnail.
        paths: the outlines, SVG in pixels of the image.
        fault: why it could not be drawn.
    """

    name: str
    link: str | None
    groups: Mapping[str, str]
    size: tuple[int, int] = (0, 0)
    counts: Mapping[str, int] = field(default_factory=dict)
    jpeg: bytes = field(default=b"", repr=False)
    paths: Markup = field(default=Markup(""), repr=False)
    fault: str = ""


@dataclass(frozen=True)
class Head:
    """What stands above the thumbnails.

    Attributes:
        title: the dataset's name.
        told: sentences about it.
        classes: name, colour and number of objects of each class that is shown, the most frequent first.
        pages: the names of all pages.
        number: which of them this is, from 1.
    """

    title: str
    told: tuple[str, ...]
    classes: tuple[tuple[str, str, int], ...]
    pages: tuple[str, ...]
    number: int

    @classmethod
    def of(
        cls, data: Dataset, chosen: Sequence[Entry], wanted: frozenset[int], pages: Sequence[str], number: int
    ) -> Head:
        """The head of page ``number``."""
        counts: Counter[int] = Counter()
        for entry in chosen:
            counts.update({i: n for i, n in entry.counts.items() if not wanted or i in wanted})
        shown = [
            (data.classes.name(i), hex_color(data.classes.colors[i]) if len(data.classes) > 1 else "", n)
            for i, n in counts.most_common()
        ]
        without = sum(not entry.counts and not entry.fault for entry in chosen)
        told = (
            data.describe(),
            f"{len(chosen)} images with {counts.total()} objects shown"
            + (f", {without} of them without objects" if without else ""),
        )
        return cls(data.source.name or str(data.source), told, tuple(shown), tuple(pages), number)


def thumbnail(card: Card, image: NDArray[Any], truth: Instances, side: int) -> Card:
    """The card with its picture and outlines.

    Args:
        card: name, link and groups.
        image: (H, W) or (H, W, C) of any number type.
        truth: the objects to draw.
        side: longest side of the thumbnail in pixels; smaller images keep their size.
    """
    height, width = truth.size
    scale = min(1.0, side / max(height, width))
    shape = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(display(image), shape, interpolation=cv2.INTER_AREA) if scale < 1 else display(image)
    buffer = io.BytesIO()
    Image.fromarray(small).save(buffer, "JPEG", quality=82)
    return replace(
        card,
        size=truth.size,
        counts=dict(Counter(truth.names).most_common()),
        jpeg=buffer.getvalue(),
        paths=_paths(truth, scale),
    )


def _paths(truth: Instances, scale: float) -> Markup:
    """One SVG path an object, the stairs of the pixels smoothed away; small ones on top."""
    tints = colors(truth)
    outlines = outline_paths(truth, SMOOTH / scale)
    made = []
    for i in np.argsort(-truth.area, kind="stable").tolist():
        if not outlines[i]:
            continue
        name = truth.names[i]
        title = tag("title", name + (" (group)" if truth.crowd[i] else "")) if len(truth) <= TITLED else ""
        made.append(
            tag(
                "path",
                title,
                d=outlines[i],
                stroke=hex_color(tints[i]),
                fill=hex_color(tints[i]),
                data_class=name,
                class_="crowd" if truth.crowd[i] else None,
            )
        )
    return joined(made)


def figure(card: Card) -> str:
    """One image as markup."""
    name = (
        tag("a", card.name, href=card.link, title=card.name)
        if card.link
        else tag("span", card.name, title=card.name)
    )
    tags = joined(tag("i", word, title=key) for key, word in card.groups.items() if not word.isdigit())
    if card.fault:
        body = tag("div", "cannot be shown: ", card.fault, class_="fault")
        return tag("figure", body, tag("figcaption", name, tags), data_name=card.name) + "\n"
    height, width = card.size
    total = sum(card.counts.values())
    drawing = tag(
        "svg", card.paths, viewBox=f"0 0 {width} {height}", preserveAspectRatio="none", aria_hidden="true"
    )
    shot = tag(
        "div",
        picture(card.jpeg, "jpeg", f"{card.name}: {total} objects", loading="lazy"),
        drawing,
        class_="shot",
        style=f"--ratio:{width}/{height}",
        tabindex="0",
    )
    by_class = ", ".join(f"{n} {label}" for label, n in card.counts.items())
    told = tag("b", f"{total} object{'s' * (total != 1)}", title=by_class)
    caption = tag("figcaption", name, told, tag("small", f"{width} × {height}"), tags)
    given = {"data_name": card.name, "data_classes": "\n".join(card.counts)}
    return tag("figure", shot, caption, **given) + "\n"


def page_top(head: Head) -> str:
    """The page up to its first thumbnail."""
    style = Markup(files(__package__).joinpath("contact_sheet.css").read_text("utf-8"))
    top = joined(
        [
            tag("meta", charset="utf-8"),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("title", f"{head.title}: contact sheet"),
            tag("style", style),
        ]
    )
    buttons = [
        tag(
            "button",
            tag("i", style=f"background:{tint}") if tint else "",
            name,
            " ",
            tag("small", number),
            type="button",
            data_class=name,
            aria_pressed="false",
        )
        for name, tint, number in head.classes[:LISTED]
    ]
    tools = tag(
        "div",
        tag("label", "name ", tag("input", type="search", id="search")),
        tag("label", tag("input", type="checkbox", id="outlines", checked=""), " outlines"),
        tag("label", tag("input", type="checkbox", id="wash", checked=""), " wash"),
        tag("label", "size ", tag("input", type="range", id="size", min="90", max="640", value="220")),
        tag("span", id="shown", class_="soft"),
        tag("div", *buttons, class_="classes") if len(buttons) > 1 else "",
        class_="tools",
        hidden="",
    )
    body = joined(
        [
            tag("h1", head.title),
            *(tag("p", line, class_="soft") for line in head.told),
            _pages(head),
            tools,
        ],
        "\n",
    )
    return f'<!doctype html>\n<html lang="en"><head>{top}</head><body>{body}\n<main>\n'


def _pages(head: Head) -> Markup:
    """Links to all pages; the current one is plain."""
    if len(head.pages) == 1:
        return Markup("")
    links = [
        tag("b", number) if number == head.number else tag("a", number, href=page)
        for number, page in enumerate(head.pages, 1)
    ]
    return tag("nav", "pages ", joined(links, " "))


def page_end(head: Head) -> str:
    """The rest of the page."""
    script = Markup(files(__package__).joinpath("contact_sheet.js").read_text("utf-8"))
    return (
        f"</main>{_pages(head)}{tag('p', f'delineate {__version__}', class_='soft')}"
        f"{tag('dialog', id='large')}{tag('script', script)}</body></html>\n"
    )
