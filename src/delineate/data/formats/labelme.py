"""labelme (github.com/wkentaro/labelme): one JSON file an image, beside it.

A shape is a polygon, a rectangle (two corners), a circle (centre and a point on it) or a mask (a PNG inside
the JSON, its corner at the first point); points and lines have no area and are left out. Shapes of one class
with the same ``group_id`` are the parts of one object. ``labels.txt`` beside the files lists the classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from delineate.core.errors import DatasetError

from ..losses import Losses
from ..place import Place
from ..records import SPLIT_NAMES, Dataset, Record
from .coco_check import Bad, Findings, image_size
from .drawing import (
    ToDraw,
    count_ids,
    count_tracks,
    dumps,
    own_path,
    plain,
    text_file,
    to_draw,
    without_split,
)
from .drawn import Drawn, Piece, box, dataset, ellipse, json_files, number, polygon, some_files, with_split
from .embedded_image import embedded
from .image_search import Images, ImageSearch, relative, same_stem
from .json_file import load_json, show
from .png_mask import PngMask, from_base64, to_base64, to_png

_NO_AREA = ("point", "points", "line", "linestrip", "lines")
_VERSION = "5.5.0"


def recognise(path: Path) -> bool:
    """Whether it is a labelme file, or a folder that has one among its first JSON files."""
    try:
        if path.is_dir():
            return any(map(_is_labelme, some_files(path, (".json",))))
        return path.suffix.lower() == ".json" and _is_labelme(path)
    except OSError:
        return False


def _is_labelme(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(65536)
        file.seek(max(0, path.stat().st_size - 4096))
        ends = head + file.read()
    return b'"shapes"' in ends and (b'"imagePath"' in ends or b'"imageData"' in ends)


def read(path: str | Path, images: Images = None, skip_invalid: bool = False) -> Dataset:
    """Reads a folder of labelme files, with its sub-folders, or one file.

    An image that is missing but stands inside the JSON (``imageData``) is put into the cache and read there.
    Sub-folders called train, val or test are splits.

    Args:
        path: the folder or the JSON file.
        images: the folder of the images where they do not lie beside the files; False asks for none.
        skip_invalid: leave malformed shapes and files out, counted in ``notes``, instead of refusing.

    Raises:
        DatasetError: nothing annotated, or something malformed; the message has the file and the shape.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    files = json_files(folder) if path.is_dir() else [path]
    findings = Findings(path)
    search = ImageSearch(folder, images, ("images", "imgs", "JPEGImages"))
    records: dict[str, Record] = {}
    for file in files:
        at = str(file.relative_to(folder)) if path.is_dir() else ""
        try:
            content = load_json(file)
            if path.is_dir() and isinstance(content, dict) and not content.keys() & {"shapes", "imagePath"}:
                findings.count("JSON file that is not labelme's left alone", at)
                continue
            record = _record(content, file, folder, path.is_dir(), search, findings)
        except (Bad, DatasetError) as error:
            text = str(error).removeprefix(f"{file}: ").split("; mend")[0]
            findings.problems.append(f"{at}: {text}" if at else text)
            continue
        if record is None:
            continue
        key = f"{record.groups.get('split', '')}/{record.name}"
        if key in records:
            findings.problems.append(f"{at}: expected every image once, got {show(record.name)} again")
            continue
        records[key] = replace(record, image_id=len(records) + 1)
    search.settle(findings, skip_invalid)
    return dataset(list(records.values()), _class_list(folder), "labelme", findings, skip_invalid)


def _class_list(folder: Path) -> list[str]:
    """The names of ``labels.txt``, without labelme's own ``__ignore__`` and ``_background_``."""
    path = folder / "labels.txt"
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    return [
        line.strip() for line in lines if line.strip() and line.strip() not in ("__ignore__", "_background_")
    ]


def _record(
    content: object, file: Path, folder: Path, several: bool, search: ImageSearch, findings: Findings
) -> Record | None:
    if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
        got = show(content.get("shapes") if isinstance(content, dict) and "shapes" in content else content)
        raise Bad(f"shapes: expected a list, got {got}")
    inside = PurePosixPath(file.parent.relative_to(folder).as_posix())
    split = SPLIT_NAMES.get(inside.parts[0].lower(), "") if inside.parts else ""
    image, name = _image(content, file, inside, search, findings)
    size = image_size({"width": content.get("imageWidth"), "height": content.get("imageHeight")}, "image")
    objects = _objects(content["shapes"], findings, f"{inside / file.name}: " if several else "")
    if image is None:
        return None
    name = without_split(name, split)
    return with_split(Record(name, image, 0, size, objects), split)


def _image(
    content: dict[str, Any], file: Path, inside: PurePosixPath, search: ImageSearch, findings: Findings
) -> tuple[Path | None, str]:
    """Where the image is and what it is called inside the dataset."""
    given = content.get("imagePath")
    if search.images is not None and isinstance(given, str):
        given = PurePosixPath(given.replace("\\", "/")).name
    name = relative(given, "imagePath", findings)
    full = str(inside / name)
    if search.images is None and not (file.parent / name).is_file():
        others = same_stem(file.parent, file.stem)
        if not others and content.get("imageData"):
            return embedded(content["imageData"], PurePosixPath(name).name, "imageData", findings), full
        if others:
            findings.count("image under another name than imagePath says", "imagePath")
            return file.parent / others[0], str(inside / others[0])
    return search(full if search.images is False else name, beside=file.parent), full


def _objects(shapes: list[Any], findings: Findings, at: str) -> tuple[Drawn, ...]:
    """The objects of one file: shapes of a group joined."""
    found: list[Drawn] = []
    groups: dict[tuple[str, int], int] = {}
    for index, shape in enumerate(shapes):
        where = f"{at}shapes[{index}]"
        try:
            drawn, group = _shape(shape, where, findings)
        except Bad as bad:
            findings.problems.append(str(bad))
            continue
        if drawn is None:
            continue
        key = (drawn.name, group) if group is not None else None
        if key is not None and key in groups:
            first = found[groups[key]]
            found[groups[key]] = replace(first, pieces=(*first.pieces, *drawn.pieces))
            continue
        if key is not None:
            groups[key] = len(found)
        found.append(drawn)
    return tuple(found)


def _shape(shape: Any, where: str, findings: Findings) -> tuple[Drawn | None, int | None]:
    if not isinstance(shape, dict):
        raise Bad(f"{where}: expected an object, got {show(shape)}")
    kind = shape.get("shape_type") or "polygon"
    if kind in _NO_AREA:
        findings.count("point or line, which has no area, left out", where)
        return None, None
    name = shape.get("label")
    if not isinstance(name, str) or not name.strip():
        raise Bad(f"{where}.label: expected the name of a class, got {show(name)}")
    flags = shape.get("flags")
    crowd = isinstance(flags, dict) and flags.get("crowd") is True
    group = shape.get("group_id")
    piece = _piece(kind, shape, where)
    return Drawn(name.strip(), (piece,), where, crowd=crowd), group if type(group) is int else None


def _piece(kind: object, shape: dict[str, Any], where: str) -> Piece:
    points = shape.get("points")
    if kind == "mask":
        (x, y), *_ = _points(points, 1, f"{where}.points")
        if "mask" not in shape:
            raise Bad(f"{where}.mask: expected a PNG as base64, got nothing")
        return PngMask(from_base64(shape["mask"], f"{where}.mask"), (math.floor(x), math.floor(y)), where)
    if kind == "circle":
        (x, y), (x2, y2) = _points(points, 2, f"{where}.points")[:2]
        radius = math.hypot(x2 - x, y2 - y)
        return ellipse((x, y), (radius, radius), 0, where)
    if kind == "rectangle" and isinstance(points, list) and len(points) == 2:
        (x, y), (x2, y2) = _points(points, 2, f"{where}.points")
        return box(x, y, x2, y2, where)
    if kind in ("polygon", "rectangle", "rotation", "oriented_rectangle"):
        return polygon(points, f"{where}.points")
    raise Bad(f"{where}.shape_type: expected polygon, rectangle, circle or mask, got {show(kind)}")


def _points(points: object, least: int, where: str) -> list[tuple[float, float]]:
    if not isinstance(points, list) or len(points) < least:
        got = f"{len(points)} points" if isinstance(points, list) else show(points)
        raise Bad(f"{where}: expected at least {least} points x, y, got {got}")
    found = []
    for point in points:
        if not isinstance(point, list) or len(point) != 2:
            raise Bad(f"{where}: expected points as two numbers, got {show(point)}")
        found.append((number(point[0], where), number(point[1], where)))
    return found


# -- writing ---------------------------------------------------------------------------------------------


def write(out: Path, data: Dataset, losses: Losses, place: Place) -> None:
    """Writes one JSON file beside each image, and ``labels.txt`` with the classes.

    An object of one part without holes is a polygon; parts without holes are polygons of one ``group_id``; an
    object with a hole is a mask. A crowd has the flag ``crowd``. Splits are sub-folders.

    Args:
        out: the folder, which exists.
        data: the dataset.
        losses: counts what labelme cannot hold: scores, tracks, numbers of images and classes.
        place: puts the images there.

    Raises:
        DatasetError: two images of one name, or an annotation that cannot be read.
    """
    count_ids(data, losses, images=True, classes=True)
    with text_file(out / "labels.txt") as file:
        file.writelines(f"{' '.join(name.split())}\n" for name in data.classes.names)
    taken: set[Path] = set()
    for index, record in enumerate(data.records):
        truth, objects = to_draw(data, index, losses)
        losses.tally(truth, record.name, "scores")
        count_tracks(record, truth, losses)
        target = out / own_path(record)
        path = target.with_suffix(".json")
        if path in taken:
            path = target.with_name(target.name + ".json")
        taken.add(path)
        content: dict[str, Any] = {
            "version": _VERSION,
            "flags": {},
            "shapes": _shapes(objects),
            "imagePath": target.name,
            "imageData": None,
            "imageHeight": truth.size[0],
            "imageWidth": truth.size[1],
        }
        with text_file(path) as file:
            file.write(msgspec.json.format(dumps(content), indent=2))
        place(record, target)


def _shapes(objects: Sequence[ToDraw]) -> list[dict[str, Any]]:
    shapes = []
    group = 0
    for one in objects:
        flags = {"crowd": True} if one.crowd else {}
        common: dict[str, Any] = {
            "label": one.name,
            "group_id": None,
            "description": "",
            "flags": flags,
            "mask": None,
        }
        if one.crop is None:
            x1, y1, x2, y2 = one.box
            shapes.append({**common, "points": plain([[x1, y1], [x2, y2]]), "shape_type": "rectangle"})
        elif any(part.holes for part in one.parts):
            crop, (x, y) = one.crop
            corners = [[x, y], [x + crop.shape[1] - 1, y + crop.shape[0] - 1]]
            mask = to_base64(to_png(crop))
            shapes.append({**common, "points": corners, "shape_type": "mask", "mask": mask})
        else:
            if len(one.parts) > 1:
                group += 1
                common["group_id"] = group
            shapes += [
                {**common, "points": plain(part.exterior), "shape_type": "polygon"} for part in one.parts
            ]
    return shapes
