"""The regions of the VGG Image Annotator (VIA): what its versions share.

Shapes are rect, circle, ellipse (``theta`` in radians, clockwise as seen), polygon, polyline and point; the
last two have no area. Which region attribute is the class is found out: the only one that is used, else the
first of the usual names, else the one that most regions have.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..rings import apart, single_ring
from .coco_check import Bad, Findings
from .drawing import ToDraw, plain
from .drawn import Box, Drawn, Piece, box, ellipse, number, polygon
from .json_file import show

USUAL = (
    "class",
    "class_name",
    "classname",
    "class_id",
    "label",
    "category",
    "type",
    "object",
    "species",
    "name",
)
OWN = ("crowd", "score", "track")
"""Region attributes that are no class: what this program writes beside it."""
_NO_AREA = ("point", "polyline", "line")


@dataclass
class Region:
    """One region: its shape, its attributes, and its place in the file."""

    shape: Any
    attributes: dict[str, Any]
    where: str


@dataclass
class File:
    """One image: its name, its attributes that are text, and its regions."""

    name: Any
    where: str
    groups: dict[str, str] = field(default_factory=dict)
    regions: list[Region] = field(default_factory=list)
    embedded: str = ""


def class_attribute(files: Sequence[File], declared: Sequence[str], findings: Findings) -> str:
    """The name of the region attribute that is the class; empty where no region has any.

    Where nothing is drawn yet it is the declared one with a usual name, so that the classes are known.

    Args:
        files: all images.
        declared: the region attributes that the project declares.
        findings: told, where there is a choice.
    """
    counts = Counter(
        name
        for file in files
        for region in file.regions
        for name, value in region.attributes.items()
        if text(value)
    )
    names = [name for name in dict.fromkeys([*declared, *counts]) if name.lower() not in OWN and counts[name]]
    if not any(file.regions for file in files):
        names = [name for name in declared if name.lower() in USUAL]
    if len(names) <= 1:
        return names[0] if names else ""
    usual = {name.lower(): name for name in reversed(names)}
    chosen = next((usual[word] for word in USUAL if word in usual), max(names, key=lambda name: counts[name]))
    others = ", ".join(name for name in names if name != chosen)
    findings.counts[f"class taken from the region attribute {chosen!r} (there are also {others})"] = 1
    return chosen


def text(value: Any) -> str:
    """An attribute's value: text, a number, or the one that is ticked of a checkbox."""
    if isinstance(value, dict):
        ticked = [str(key) for key, on in value.items() if on]
        return ticked[0].strip() if len(ticked) == 1 else ""
    if isinstance(value, bool) or value is None or isinstance(value, list):
        return ""
    return str(value).strip()


def objects(
    regions: Sequence[Region], attribute: str, options: Mapping[str, str], findings: Findings
) -> tuple[Drawn, ...]:
    """The objects of one image.

    Args:
        regions: its regions.
        attribute: the class's; empty: there is one class, ``object``.
        options: the class's name by its option's key.
        findings: problems and counts.
    """
    found = []
    for region in regions:
        try:
            drawn = _object(region, attribute, options, findings)
        except Bad as bad:
            findings.problems.append(str(bad))
            continue
        if drawn is not None:
            found.append(drawn)
    return tuple(found)


def _object(region: Region, attribute: str, options: Mapping[str, str], findings: Findings) -> Drawn | None:
    shape, where = region.shape, f"{region.where}.shape_attributes"
    if not isinstance(shape, dict):
        raise Bad(f"{where}: expected an object, got {show(shape)}")
    if shape.get("name") in _NO_AREA:
        findings.count("point or line, which has no area, left out", region.where)
        return None
    name = text(region.attributes.get(attribute)) if attribute else "object"
    if not name:
        got = show(region.attributes[attribute]) if region.attributes.get(attribute) else "nothing"
        raise Bad(f"{region.where}.region_attributes.{attribute}: expected the name of a class, got {got}")
    score, track = text(region.attributes.get("score")), text(region.attributes.get("track"))
    try:
        confidence = float(score) if score else 1.0
    except ValueError:
        confidence = 1.0
    return Drawn(
        options.get(name, name),
        (_piece(shape, where),),
        region.where,
        id=int(track) if track.isdecimal() and len(track) < 18 else None,
        score=confidence if 0 <= confidence <= 1 else 1.0,
        crowd=text(region.attributes.get("crowd")).lower() in ("true", "1", "yes"),
    )


def _piece(shape: dict[str, Any], where: str) -> Piece:
    def numbers(*keys: str) -> list[float]:
        return [number(shape.get(key), f"{where}.{key}") for key in keys]

    kind = shape.get("name")
    if kind == "rect":
        x, y, width, height = numbers("x", "y", "width", "height")
        return box(x, y, x + width, y + height, where)
    if kind == "circle":
        x, y, radius = numbers("cx", "cy", "r")
        return ellipse((x, y), (radius, radius), 0, where)
    if kind == "ellipse":
        x, y, rx, ry = numbers("cx", "cy", "rx", "ry")
        theta = number(shape.get("theta", 0), f"{where}.theta")
        return ellipse((x, y), (rx, ry), math.degrees(theta), where)
    if kind == "polygon":
        xs, ys = shape.get("all_points_x"), shape.get("all_points_y")
        if not isinstance(xs, list) or not isinstance(ys, list) or len(xs) != len(ys):
            raise Bad(f"{where}: expected all_points_x and all_points_y of one length, got others")
        try:
            return polygon(np.array([xs, ys]).T, where)
        except ValueError:  # lists inside
            raise Bad(f"{where}: expected numbers in all_points_x and all_points_y, got others") from None
    raise Bad(f"{where}.name: expected rect, circle, ellipse, polygon, polyline or point, got {show(kind)}")


# -- writing ---------------------------------------------------------------------------------------------


def outline(one: ToDraw, size: tuple[int, int]) -> Box | list[list[float]]:
    """An object as a box, or as one ring: parts and holes are joined by bridges without width."""
    if one.crop is None:
        return Box(*one.box)
    parts = one.parts
    if not one.simple and not apart(parts, size):
        from delineate.core.lean_outlines import lean_outlines
        from delineate.core.masks import Masks

        parts = tuple(lean_outlines(Masks.from_crops([one.crop[0]], np.array([one.crop[1]]), size))[0])
    return plain(parts[0].exterior if len(parts) == 1 and not parts[0].holes else single_ring(parts))


def own_attributes(one: ToDraw, tracked: bool) -> dict[str, str]:
    """What stands beside the class: ``crowd``, ``score``, ``track``, where there is something to say."""
    found = {}
    if one.crowd:
        found["crowd"] = "true"
    if one.score < 1:
        found["score"] = repr(round(one.score, 6))
    if tracked and one.id is not None and one.id >= 0:
        found["track"] = str(one.id)
    return found
