"""Supervisely projects: ``meta.json``, and for each dataset a folder with ``ann/`` and ``img/``.

After docs.supervisely.com, "Supervisely JSON annotation format". A JSON file an image. A bitmap is a PNG,
packed by zlib, with its corner (``origin``). Points in whole numbers name pixels: a rectangle has its last
row and column, and a polygon is filled with its outline, as Supervisely draws it; points with fractions are
places between pixel edges. A dataset called train, val or test is a split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np

from delineate.core.errors import DatasetError
from delineate.core.labels import Labels

from ..records import SPLIT_NAMES, Dataset, Record
from .coco_check import Bad, Findings, finite, image_size
from .drawn import Box, Crop, Drawn, Piece, box, dataset, json_files, number, polygon, some_files
from .image_search import Images, ImageSearch, relative, same_stem
from .json_file import load_json, show
from .png_mask import PngMask, from_base64
from .supervisely_write import write as write

_NO_AREA = ("point", "line", "graph", "cuboid", "cuboid_2d", "polyline", "keypoints")
CONFIDENCE = ("confidence", "conf", "score")
"""Tags of objects that are their score."""
_FARTHEST = 10**6


@dataclass(frozen=True, eq=False)
class FilledRings:
    """A polygon whose points are pixels: filled with its outline, its holes cut out with theirs."""

    rings: tuple[Any, ...]

    def crop(self, size: tuple[int, int]) -> Crop:
        """The mask, (h, w) bool, and its corner."""
        low = np.maximum(self.rings[0].min(axis=0), 0)
        high = np.minimum(self.rings[0].max(axis=0) + 1, [size[1], size[0]])
        if (high <= low).any():
            return np.zeros((0, 0), np.bool_), (0, 0)
        width, height = (high - low).tolist()
        drawn = np.zeros((height, width), np.uint8)
        for place, ring in enumerate(self.rings):
            cv2.fillPoly(drawn, [(ring - low).astype(np.int32)], (1 if place == 0 else 0,))
        return drawn > 0, (int(low[0]), int(low[1]))


def _folders(path: Path) -> list[Path]:
    """The datasets of a project: folders with ``ann/``, itself among them."""
    found = [path] if (path / "ann").is_dir() else []
    return found or sorted(p.parent for p in path.rglob("ann") if p.is_dir() and ".git" not in p.parts)


def recognise(path: Path) -> bool:
    """Whether it is a project, or one of its datasets, by the keys of its first file."""
    try:
        if not path.is_dir():
            return False
        inside = [p for p in (path, *sorted(path.iterdir())[:50]) if (p / "ann").is_dir()]
        if not inside and not (path / "meta.json").is_file():
            return False
        files = some_files((inside or [path])[0], (".json",), 3, depth=2)
        return any(_is_annotation(p) for p in files if p.name != "meta.json")
    except OSError:
        return False


def _is_annotation(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(65536)
    return "ann" in path.parts and b'"objects"' in head and b'"size"' in head


def read(path: str | Path, images: Images = None, skip_invalid: bool = False) -> Dataset:
    """Reads a project, or one dataset of it.

    Tags of images that have a text are columns.

    Args:
        path: the folder.
        images: the folder of the images where they lie elsewhere; False asks for none.
        skip_invalid: leave malformed objects and files out, counted in ``notes``, instead of refusing.

    Raises:
        DatasetError: no such project, or something malformed; the message has the file and the object.
    """
    path = Path(path)
    findings = Findings(path)
    folders = _folders(path) if path.is_dir() else []
    if not folders:
        raise DatasetError(
            f"{path}: expected a Supervisely project with ann/ and img/, got none; check the folder"
        )
    meta = next((p / "meta.json" for p in (path, path.parent) if (p / "meta.json").is_file()), None)
    records: list[Record] = []
    for folder in folders:
        split = SPLIT_NAMES.get(folder.name.lower(), "") if folder != path or len(folders) == 1 else ""
        search = ImageSearch(folder, images, ("img", "images"))
        for file in json_files(folder / "ann"):
            at = f"{folder.name}/{file.name}"
            try:
                record = _record(load_json(file), file, folder, at, search, findings)
            except (Bad, DatasetError) as error:
                findings.problems.append(str(error).removeprefix(f"{file}: ").split("; mend")[0])
                continue
            if record is not None:
                own = {"split": split} if split else {}
                records.append(replace(record, groups={**own, **record.groups}))
        search.settle(findings, skip_invalid)
    numbers = {record.image_id for record in records}
    if 0 in numbers or len(numbers) < len(records):
        records = [replace(record, image_id=i) for i, record in enumerate(records, 1)]
    return dataset(records, _classes(meta), "Supervisely", findings, skip_invalid)


def _classes(meta: Path | None) -> Labels | Sequence[str]:
    """The classes of ``meta.json``, with their ids where all have one."""
    content = load_json(meta) if meta is not None else {}
    rows = content.get("classes") if isinstance(content, dict) else None
    if meta is not None and not isinstance(rows, list):
        raise DatasetError(f"{meta}: expected classes, got {show(content)}; export the project again")
    given = [row for row in rows or () if isinstance(row, dict) and isinstance(row.get("title"), str)]
    names = [row["title"].strip() for row in given]
    numbers = [i for i in (row.get("id") for row in given) if type(i) is int and 0 <= i < 2**63]
    if names and len(set(names)) == len(names) == len(set(numbers)):
        return Labels(tuple(names), tuple(numbers))
    return names


def _record(
    content: Any, file: Path, folder: Path, where: str, search: ImageSearch, findings: Findings
) -> Record | None:
    if not isinstance(content, dict) or not isinstance(content.get("objects"), list):
        raise Bad(f"{where}: expected size and objects, got {show(content)}")
    given = content.get("size")
    size = image_size(given if isinstance(given, dict) else {}, f"{where}, size")
    inside = file.relative_to(folder / "ann")
    name = relative(str(PurePosixPath(inside.as_posix()).with_suffix("")), where)
    found = search(name, same_stem(folder / "img" / inside.parent, PurePosixPath(name).stem))
    groups = {}
    for key, value in _tags(content).items():
        if isinstance(value, str) and value.strip():
            groups[key] = value.strip()
    if "split" in groups:
        groups["split"] = SPLIT_NAMES.get(groups["split"].lower(), groups["split"])
    number_text = groups.pop("image_id", "")
    identity = int(number_text) if number_text.isdecimal() and len(number_text) < 19 else 0
    objects = tuple(_objects(content["objects"], where, findings))
    return None if found is None else Record(name, found, identity, size, objects, groups)


def _tags(row: dict[str, Any]) -> dict[str, Any]:
    tags = row.get("tags")
    return {
        tag["name"]: tag.get("value")
        for tag in (tags if isinstance(tags, list) else ())
        if isinstance(tag, dict) and isinstance(tag.get("name"), str)
    }


def _objects(rows: list[Any], where: str, findings: Findings) -> list[Drawn]:
    found = []
    for index, row in enumerate(rows):
        at = f"{where}, objects[{index}]"
        try:
            drawn = _object(row, at, findings)
        except Bad as bad:
            findings.problems.append(str(bad))
            continue
        if drawn is not None:
            found.append(drawn)
    return found


def _object(row: Any, where: str, findings: Findings) -> Drawn | None:
    if not isinstance(row, dict):
        raise Bad(f"{where}: expected an object, got {show(row)}")
    kind = row.get("geometryType") or row.get("shape") or ("bitmap" if row.get("bitmap") else "polygon")
    if kind in _NO_AREA:
        findings.count(f"{kind}, which has no area, left out", where)
        return None
    name = row.get("classTitle")
    if not isinstance(name, str) or not name.strip():
        raise Bad(f"{where}.classTitle: expected the name of a class, got {show(name)}")
    tags = _tags(row)
    score = next((tags[key] for key in CONFIDENCE if finite(tags.get(key)) and 0 <= tags[key] <= 1), 1.0)
    track = tags.get("track")
    return Drawn(
        name.strip(),
        tuple(_pieces(row, str(kind), where)),
        where,
        id=track if type(track) is int and track >= 0 else None,
        score=float(score),
        crowd="crowd" in tags,
    )


def _pieces(row: dict[str, Any], kind: str, where: str) -> list[Piece]:
    if kind in ("bitmap", "alpha_mask"):
        return [_bitmap(row.get("bitmap"), f"{where}.bitmap")]
    if kind == "multipolygon":
        parts = row.get("parts")
        if not isinstance(parts, list) or not parts:
            raise Bad(f"{where}.parts: expected at least one part, got {show(parts)}")
        return [_polygon(part, f"{where}.parts[{i}]") for i, part in enumerate(parts)]
    if kind == "rectangle":
        return [_rectangle(row.get("points"), f"{where}.points")]
    if kind == "polygon":
        return [_polygon(row.get("points"), f"{where}.points")]
    raise Bad(f"{where}.geometryType: expected bitmap, polygon or rectangle, got {show(kind)}")


def _bitmap(given: Any, where: str) -> PngMask:
    origin = given.get("origin") if isinstance(given, dict) else None
    if not isinstance(origin, list) or len(origin) != 2:
        raise Bad(f"{where}: expected data and origin [x, y], got {show(given)}")
    x, y = (round(number(value, f"{where}.origin")) for value in origin)
    return PngMask(from_base64(given.get("data"), f"{where}.data", packed=True), (x, y), where)


def _rectangle(given: Any, where: str) -> Box:
    corners = given.get("exterior") if isinstance(given, dict) else None
    if (
        not isinstance(corners, list)
        or len(corners) != 2
        or not all(isinstance(c, list) and len(c) == 2 for c in corners)
    ):
        raise Bad(f"{where}.exterior: expected two points, got {show(corners)}")
    (x1, y1), (x2, y2) = ([number(v, f"{where}.exterior") for v in c] for c in corners)
    if all(v == int(v) for v in (x1, y1, x2, y2)):
        return Box(min(x1, x2), min(y1, y2), max(x1, x2) + 1, max(y1, y2) + 1)
    return box(x1, y1, x2, y2, where)


def _polygon(given: Any, where: str) -> Piece:
    holes = given.get("interior", []) if isinstance(given, dict) else None
    if not isinstance(given, dict) or not isinstance(holes, list):
        raise Bad(f"{where}: expected exterior and interior, got {show(given)}")
    found = polygon(given.get("exterior"), f"{where}.exterior", holes)
    whole = all((ring == np.round(ring)).all() and np.abs(ring).max() < _FARTHEST for ring in found.rings)
    return FilledRings(tuple(ring.astype(np.int64) for ring in found.rings)) if whole else found
