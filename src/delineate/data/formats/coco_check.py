"""The checks of a COCO file: every entry is looked at before any mask is made of it.

Polygon coordinates are COCO's continuous ones, (0, 0) the top left corner of the top left pixel.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np

from delineate.core.errors import DatasetError, MaskError
from delineate.core.labels import Labels
from delineate.core.rle import check_size

from ..heard import report
from .json_file import show

_KINDS = {"images": "the images", "annotations": "the objects", "categories": "the classes"}
_LARGEST_COORDINATE = 2.0**40


@dataclass
class Findings:
    """What the checks found in one file.

    Attributes:
        path: the file, for messages.
        problems: one message per entry that cannot be used, with its JSON path.
        counts: how often something was mended or is in doubt, by phrase.
    """

    path: Path
    problems: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, phrase: str, where: str = "") -> None:
        """Counts one more of ``phrase``; ``where`` is the entry's JSON path."""
        self.counts[phrase] = self.counts.get(phrase, 0) + 1
        report(self.path, phrase, where, lost=False)

    def settle(self, skip_invalid: bool) -> tuple[str, ...]:
        """The notes, or the refusal.

        Raises:
            DatasetError: there are problems and ``skip_invalid`` is False; names the first and how many more.
        """
        for problem in self.problems:
            where, colon, message = problem.partition(": ")
            if colon:
                report(self.path, message, where)
        if self.problems and not skip_invalid:
            more = f" (and {len(self.problems) - 1} more problems)" if len(self.problems) > 1 else ""
            raise DatasetError(
                f"{self.path}: {self.problems[0]}{more}; mend the file, or leave bad entries out with "
                "skip_invalid=True (`--skip-invalid`)"
            )
        notes = [f"{number} × {phrase}" for phrase, number in self.counts.items()]
        if self.problems:
            notes.append(f"{len(self.problems)} invalid entries left out, the first: {self.problems[0]}")
        return tuple(notes)


class Bad(Exception):
    """An entry that cannot be used: ``<JSON path>: expected …, got …``."""


def tables(content: object, path: Path) -> tuple[list[Any], list[Any], list[Any]]:
    """The lists ``images``, ``annotations`` and ``categories`` of a COCO file.

    Raises:
        DatasetError: not a COCO instance file; says what it seems to be.
    """
    if isinstance(content, list) and content and isinstance(content[0], dict) and "image_id" in content[0]:
        raise DatasetError(
            f"{path}: expected ground truth with images, annotations and categories, got a list: this is a "
            "results file; give the ground truth, and this file as predictions"
        )
    if not isinstance(content, dict):
        raise DatasetError(
            f"{path}: expected a COCO object with images, annotations and categories, "
            f"got {show(content)}; check the file"
        )
    for key, meaning in _KINDS.items():
        if key not in content:
            raise DatasetError(f"{path}: expected the key {key!r} ({meaning}), got {show(content)}; add it")
        if not isinstance(content[key], list):
            raise DatasetError(
                f"{path}: {key}: expected a list, got {show(content[key])}; write [] if there are none"
            )
    if any(isinstance(a, dict) and "segments_info" in a for a in content["annotations"][:1]):
        raise DatasetError(f"{path}: expected COCO instances, got COCO panoptic; give the instances file")
    return content["images"], content["annotations"], content["categories"]


def number(entry: dict[str, Any], key: str, where: str) -> int:
    """A whole number >= 0 that fits 64 bits."""
    value = entry.get(key)
    if type(value) is not int or not 0 <= value < 2**63:
        got = "nothing" if key not in entry else show(value)
        raise Bad(f"{where}.{key}: expected a whole number >= 0, got {got}")
    return value


def entries(rows: list[Any], table: str, findings: Findings) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Index, id and row of each object of a table; others, and repeated ids, become problems."""
    seen: dict[int, int] = {}
    for index, row in enumerate(rows):
        where = f"{table}[{index}]"
        if not isinstance(row, dict):
            findings.problems.append(f"{where}: expected an object, got {show(row)}")
            continue
        try:
            identity = number(row, "id", where)
        except Bad as bad:
            findings.problems.append(str(bad))
            continue
        if identity in seen:
            findings.problems.append(
                f"{where}.id: expected every id once, got {identity} again "
                f"(first at {table}[{seen[identity]}])"
            )
            continue
        seen[identity] = index
        yield index, identity, row


def categories(rows: list[Any], findings: Findings) -> Labels:
    """The classes, in the file's order.

    Raises:
        DatasetError: there are none, or one is not well formed (classes are never left out).
    """
    before = len(findings.problems)
    names: list[str] = []
    ids: list[int] = []
    for index, identity, row in entries(rows, "categories", findings):
        name = row.get("name")
        if not isinstance(name, str) or not name.strip():
            findings.problems.append(f"categories[{index}].name: expected a name, got {show(name)}")
        elif re.search("[\ud800-\udfff]", name):
            findings.problems.append(f"categories[{index}].name: expected text, got half a character in it")
        names.append(str(name))
        ids.append(identity)
    if len(findings.problems) > before:
        raise DatasetError(f"{findings.path}: {findings.problems[before]}; name and number every class")
    if not names:
        raise DatasetError(f"{findings.path}: categories: expected at least one class, got none; add it")
    for name in {n for n in names if names.count(n) > 1} if len(set(names)) < len(names) else ():
        findings.count(f"class name {name!r} stands for several ids", "categories")
    return Labels(tuple(names), tuple(ids))


def given_name(row: dict[str, Any]) -> Any:
    """What an entry calls its image's file, unchecked; of LVIS 1.0, which has only an address, its end.

    Example:
        >>> given_name({"coco_url": "http://images.cocodataset.org/val2017/000000397133.jpg"})
        'val2017/000000397133.jpg'
    """
    address = row.get("coco_url")
    if "file_name" in row or not isinstance(address, str):
        return row.get("file_name")
    return "/".join(address.split("/")[-2:])


def file_name(row: dict[str, Any], where: str, findings: Findings) -> str:
    """A relative path inside the image folder, with forward slashes."""
    name = given_name(row)
    label = f"{where}.file_name"
    if not isinstance(name, str) or not name.strip():
        raise Bad(f"{label}: expected a file name, got {show(name) if 'file_name' in row else 'nothing'}")
    if "\0" in name:
        raise Bad(f"{label}: expected a file name, got one with a null byte")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", name):
        raise Bad(f"{label}: expected a file name, got a URL ({show(name)}), which is never fetched")
    if "\\" in name:
        name = name.replace("\\", "/")
        findings.count("file name with Windows backslashes", label)
    parts = PurePosixPath(name).parts
    if name.startswith("/") or re.match(r"[A-Za-z]:", name) or ".." in parts:
        raise Bad(f"{label}: expected a path inside the image folder, got {show(name)}, which leads outside")
    return name


def image_size(row: dict[str, Any], where: str) -> tuple[int, int] | None:
    """(height, width), or None where the row has neither."""
    if row.get("width") is None and row.get("height") is None:
        return None
    for key in ("width", "height"):
        value = row.get(key)
        if type(value) is not int or value <= 0:
            raise Bad(f"{where}.{key}: expected a whole number > 0 of pixels, got {show(value)}")
    try:
        return check_size([row["height"], row["width"]], where)
    except MaskError as error:
        raise Bad(str(error).split(";")[0]) from None


def finite(value: object) -> bool:
    """Whether a JSON value is a finite number."""
    if type(value) not in (int, float):
        return False
    try:
        return math.isfinite(value)  # type: ignore[arg-type]
    except OverflowError:
        return False


def bbox(row: dict[str, Any], where: str) -> tuple[float, float, float, float] | None:
    """xyxy of the row's ``bbox`` (xywh), or None where it has none."""
    value = row.get("bbox")
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 4 or not all(map(finite, value)):
        raise Bad(
            f"{where}.bbox: expected 4 finite numbers x, y, width, height, "
            f"got {value[:5] if isinstance(value, list) else show(value)}"
        )
    x, y, width, height = map(float, value)
    if width <= 0 or height <= 0 or max(map(abs, (x, y, width, height))) > _LARGEST_COORDINATE:
        raise Bad(f"{where}.bbox: expected a width and height above 0, got {value}")
    return x, y, x + width, y + height


def polygons(parts: list[Any], where: str, findings: Findings) -> tuple[float, float, float, float] | None:
    """Checks COCO polygons; the box (xyxy) around them, or None where they enclose nothing."""
    if not parts:
        raise Bad(f"{where}: expected at least one polygon, got an empty list")
    boxes: list[tuple[float, ...]] = []
    signs: list[float] = []
    for index, part in enumerate(parts):
        label = f"{where}[{index}]"
        if not isinstance(part, list):
            raise Bad(
                f"{label}: expected a list of numbers x1, y1, x2, y2, …, got {show(part)} (not nested?)"
            )
        if not set(map(type, part)) <= {int, float}:
            raise Bad(f"{label}: expected a flat list of numbers x1, y1, x2, y2, …, got other things in it")
        if len(part) % 2 or len(part) < 6:
            raise Bad(f"{label}: expected an even number of at least 6 coordinates, got {len(part)}")
        try:
            points = np.array(part, dtype=np.float64).reshape(-1, 2)
        except OverflowError:
            points = np.full((1, 2), np.inf)
        low, high = points.min(axis=0), points.max(axis=0)
        if not (low >= -_LARGEST_COORDINATE).all() or not (high <= _LARGEST_COORDINATE).all():
            raise Bad(f"{label}: expected finite coordinates, got NaN or one beyond 2^40")
        if (low == high).all():
            raise Bad(f"{label}: expected at least 3 different points, got the same one {len(points)} times")
        boxes.append((*low.tolist(), *high.tolist()))
        x, y = (points - low).T
        signs.append(float(x[:-1] @ y[1:] - y[:-1] @ x[1:] + x[-1] * y[0] - y[-1] * x[0]))  # twice the area
    # Zero area is a line only if the points are collinear; a bow tie's halves cancel and it is kept.
    if not any(signs):
        if all(_collinear(part) for part in parts):
            return None
        findings.count("self-intersecting polygon filled by the even-odd rule", where)
    if any(_looks_like_hole(i, parts, boxes, signs) for i in range(1, len(parts))):
        findings.count(
            "polygon that looks like a hole was filled (COCO joins parts; write holes as RLE)", where
        )
    low, high = np.array(boxes)[:, :2].min(axis=0), np.array(boxes)[:, 2:].max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _collinear(part: list[float]) -> bool:
    points = np.array(part, dtype=np.float64).reshape(-1, 2)
    points -= points[0]
    far = points[np.abs(points).sum(axis=1).argmax()]
    return not (points[:, 0] * far[1] - points[:, 1] * far[0]).any()


def _looks_like_hole(
    index: int, parts: list[Any], boxes: list[tuple[float, ...]], signs: list[float]
) -> bool:
    """Whether a polygon lies inside another one that is drawn the other way round."""
    own = boxes[index]
    return any(
        signs[other] * signs[index] < 0
        and all(a <= b for a, b in zip(box[:2], own[:2], strict=True))
        and all(a >= b for a, b in zip(box[2:], own[2:], strict=True))
        and _inside(parts[index], parts[other])
        for other, box in enumerate(boxes)
        if other != index
    )


def _inside(inner: list[float], outer: list[float]) -> bool:
    """Whether every point of a polygon lies in another one or on its edge."""
    ring = np.array(outer, dtype=np.float32).reshape(-1, 1, 2)
    points = np.array(inner, dtype=np.float64).reshape(-1, 2).tolist()
    return all(cv2.pointPolygonTest(ring, point, False) >= 0 for point in points)


def agrees(given: tuple[float, ...], own: tuple[float, ...]) -> bool:
    """Whether an annotated box fits the mask's: IoU of at least 0.5, or all edges within 2 pixels."""
    if max(abs(a - b) for a, b in zip(given, own, strict=True)) <= 2:
        return True
    width = min(given[2], own[2]) - max(given[0], own[0])
    height = min(given[3], own[3]) - max(given[1], own[1])
    shared = max(width, 0.0) * max(height, 0.0)
    areas = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (given, own))
    return shared >= 0.5 * (areas - shared)
