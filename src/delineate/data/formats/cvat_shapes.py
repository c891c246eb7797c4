"""The shapes of CVAT's XML 1.1, which images and video tracks share (docs.cvat.ai, "XML annotation format").

A mask is ``rle``, the lengths of runs of background and of the mask in turn over the rows of a box (``left``,
``top``, ``width``, ``height``), beginning with background. ``rotation`` is in degrees, clockwise, about the
middle of a box or ellipse.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import MaskError
from delineate.core.rle import check_size

from .coco_check import Bad, Findings
from .drawing import ToDraw
from .drawn import Crop, Drawn, Piece, box, ellipse, number, polygon, turned_box
from .xml_file import clean, tag

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

AREAS = ("box", "polygon", "ellipse", "mask")
_NO_AREA = ("polyline", "points", "cuboid", "skeleton")
_NO_AREA_LABELS = ("points", "polyline", "tag", "skeleton", "cuboid")
CROWD = "is_crowd"
"""The attribute that CVAT's own COCO export uses."""


@dataclass(frozen=True, eq=False)
class RowRuns:
    """A mask as run lengths along the rows of a box; ``counts`` sum up to its pixels."""

    counts: NDArray[np.int32]
    corner: tuple[int, int]
    shape: tuple[int, int]

    def crop(self, size: tuple[int, int]) -> Crop:
        """The mask, (h, w) bool, and its corner."""
        del size
        values = np.arange(len(self.counts)) % 2 == 1
        return np.repeat(values, self.counts).reshape(self.shape), self.corner


def label_names(meta: Element) -> list[str]:
    """The declared classes in order, without those of points, lines, tags and skeletons."""
    found = []
    for label in meta.iter("label"):
        name = (label.findtext("name") or "").strip()
        kind = (label.findtext("type") or "").strip()
        if name and label.find("parent") is None and kind not in _NO_AREA_LABELS:
            found.append(name)
    return list(dict.fromkeys(found))


def objects(
    shapes: Iterable[Element], where: str, size: tuple[int, int] | None, findings: Findings
) -> tuple[Drawn, ...]:
    """The objects of an ``<image>``, by ``z_order``; outlines of one class and group are joined."""
    found: list[tuple[int, Drawn]] = []
    groups: dict[tuple[str, str], int] = {}
    for index, element in enumerate(shapes):
        at = f"{where}, {element.tag} {index + 1}"
        try:
            drawn = shape(element, element.get("label", ""), at, size, findings)
            order = z_order(element, at)
        except Bad as bad:
            findings.problems.append(str(bad))
            continue
        if drawn is None:
            continue
        key = (drawn.name, element.get("group_id", ""))
        if key[1] not in ("", "0") and element.tag != "box":
            if key in groups:
                order, first = found[groups[key]]  # the first one's
                joined = Drawn(first.name, (*first.pieces, *drawn.pieces), first.where, crowd=first.crowd)
                found[groups[key]] = order, joined
                findings.count("shape joined to others of its class and group", at)
                continue
            groups[key] = len(found)
        found.append((order, drawn))
    return tuple(drawn for _, drawn in sorted(found, key=lambda pair: pair[0]))


def shape(
    element: Element, name: str, where: str, size: tuple[int, int] | None, findings: Findings
) -> Drawn | None:
    """One object; None for what has no area."""
    if element.tag in _NO_AREA:
        findings.count(f"{element.tag}, which has no area, left out", where)
        return None
    if element.tag not in AREAS:
        return None
    if not name.strip():
        raise Bad(f"{where}: expected a label, got none")
    crowd = any(a.get("name") == CROWD and (a.text or "").strip().lower() == "true" for a in element)
    return Drawn(name.strip(), (_piece(element, where, size),), where, crowd=crowd)


def _piece(element: Element, where: str, size: tuple[int, int] | None) -> Piece:
    if element.tag == "polygon":
        return polygon(_points(element, where), where)
    if element.tag == "mask":
        return _mask(element, where, size)
    turned = _number(element, "rotation", where) if element.get("rotation") else 0.0
    if element.tag == "ellipse":
        cx, cy, rx, ry = (_number(element, key, where) for key in ("cx", "cy", "rx", "ry"))
        return ellipse((cx, cy), (rx, ry), turned, where)
    x1, y1, x2, y2 = (_number(element, key, where) for key in ("xtl", "ytl", "xbr", "ybr"))
    given = box(x1, y1, x2, y2, where)
    return turned_box(given, turned, ((x1 + x2) / 2, (y1 + y2) / 2)) if turned % 360 else given


def _number(element: Element, key: str, where: str) -> float:
    text = element.get(key)
    try:
        return number(float(text), f"{where}, {key}")  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise Bad(f"{where}, {key}: expected a number, got {_short(text)}") from None


def z_order(element: Element, where: str) -> int:
    """A shape's place in the painting order, 0 where it has none."""
    return _integer(element, "z_order", where, 0)


def _integer(element: Element, key: str, where: str, default: int | None = None) -> int:
    text = element.get(key)
    if text is None and default is not None:
        return default
    if text is None or not re.fullmatch(r"-?\d{1,9}", text.strip()):
        raise Bad(f"{where}, {key}: expected a whole number, got {_short(text)}")
    return int(text)


def _short(text: str | None) -> str:
    return "nothing" if text is None else repr(text if len(text) <= 40 else text[:39] + "…")


def _points(element: Element, where: str) -> NDArray[np.float64]:
    text = element.get("points") or ""
    try:
        values = np.array(text.replace(";", ",").split(","), np.float64)
        if text.count(",") != text.count(";") + 1:
            raise ValueError
    except ValueError:
        raise Bad(
            f"{where}, points: expected x,y;x,y;… of numbers, got {_short(element.get('points'))}"
        ) from None
    return values.reshape(-1, 2)


def _mask(element: Element, where: str, size: tuple[int, int] | None) -> RowRuns:
    left, top, width, height = (_integer(element, k, where) for k in ("left", "top", "width", "height"))
    try:
        shape = check_size([height, width], where)
    except MaskError as error:
        raise Bad(str(error).split(";")[0]) from None
    if size is not None and (height > size[0] or width > size[1]):
        raise Bad(f"{where}: expected a mask no larger than its image, got {width} x {height}")
    text = element.get("rle", "")
    if not re.fullmatch(r"\s*\d{1,10}(\s*,\s*\d{1,10})*\s*", text):
        raise Bad(f"{where}, rle: expected run lengths 0, 5, 12, …, got {_short(text)}")
    counts = np.array(text.split(","), np.int64)
    if int(counts.sum()) != height * width:
        raise Bad(f"{where}, rle: expected runs of {height * width} pixels in all, got {int(counts.sum())}")
    return RowRuns(counts.astype(np.int32), (left, top), shape)


# -- writing ---------------------------------------------------------------------------------------------


def text(value: float) -> str:
    """A coordinate: whole numbers without a fraction, others with all their digits."""
    return str(int(value)) if value == int(value) else repr(float(value))


def element(one: ToDraw, **attributes: object) -> str:
    """An object as one XML element: a polygon where that is all of it, else a mask, or a box."""
    if one.crop is None:
        corners = dict(zip(("xtl", "ytl", "xbr", "ybr"), map(text, one.box), strict=True))
        start = tag("box", **attributes, occluded=0, **corners)
    elif one.simple:
        points = ";".join(f"{text(x)},{text(y)}" for x, y in one.parts[0].exterior.tolist())
        start = tag("polygon", **attributes, occluded=0, points=points)
    else:
        mask, (left, top) = one.crop
        height, width = mask.shape
        place = {"left": left, "top": top, "width": width, "height": height}
        start = tag("mask", **attributes, occluded=0, rle=", ".join(map(str, row_runs(mask))), **place)
    inside = f'<attribute name="{CROWD}">true</attribute>' if one.crowd else ""
    return f"<{start}>{inside}</{start.split()[0]}>"


def row_runs(mask: NDArray[np.bool_]) -> list[int]:
    """Run lengths along the rows of (h, w) bool, background first.

    Example:
        >>> row_runs(np.array([[True, False], [False, True]]))
        [0, 1, 2, 1]
    """
    flat = mask.ravel()
    change = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    lengths: list[int] = np.diff(np.concatenate(([0], change, [flat.size]))).tolist()
    return [0, *lengths] if flat[0] else lengths


def labels_xml(names: Sequence[str], colors: Sequence[Sequence[int]], crowd: bool) -> str:
    """The ``<labels>`` of a task."""
    attribute = (
        f"<attribute><name>{CROWD}</name><mutable>False</mutable><input_type>checkbox</input_type>"
        "<default_value>false</default_value><values>false</values></attribute>"
        if crowd
        else ""
    )
    rows = [
        f"<label><name>{escaped(name)}</name><color>#{r:02x}{g:02x}{b:02x}</color>"
        f"<attributes>{attribute}</attributes></label>\n"
        for name, (r, g, b) in zip(names, colors, strict=True)
    ]
    return f"<labels>\n{''.join(rows)}</labels>"


def escaped(value: str) -> str:
    """Text for the inside of an element."""
    from xml.sax.saxutils import escape

    return escape(clean(value))
