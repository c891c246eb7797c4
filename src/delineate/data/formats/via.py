"""VIA 1 and 2, the VGG Image Annotator (robots.ox.ac.uk/~vgg/software/via): a project, its JSON, or its CSV.

JSON maps a name made of the file's name and size to ``filename``, ``file_attributes`` and ``regions``; a
project keeps that under ``_via_img_metadata``. CSV has a row for each region. Shapes and classes:
:mod:`delineate.data.formats.via_regions`; VIA 3: :mod:`delineate.data.formats.via3`.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from delineate.core.errors import DatasetError

from ..losses import Losses
from ..place import Place, safe_name
from ..records import SPLIT_NAMES, Dataset, Record
from .coco_check import Bad, Findings
from .drawing import ToDraw, count_ids, dumps, text_file, to_draw
from .drawn import Box, dataset, single_file, some_files
from .embedded_image import embedded
from .image_search import Images, ImageSearch, relative
from .json_file import load_json, show
from .via_regions import File, Region, class_attribute, objects, outline, own_attributes, text

_CSV = "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes"


def kind_of(path: Path) -> str:
    """``json``, ``csv``, or ``3`` (a project or CSV of VIA 3), by the first bytes; empty for another file."""
    suffix = path.suffix.lower()
    if suffix not in (".json", ".csv"):
        return ""
    with path.open("rb") as file:
        head = file.read(65536)
    if suffix == ".csv":
        if b"SHAPE_ID" in head[:4096] and b"CSV_HEADER" in head[:4096]:
            return "3"
        return "csv" if b"region_shape_attributes" in head[:4096] else ""
    if b'"data_format_version"' in head and b'"vid_list"' in head:
        return "3"
    project = b'"_via_img_metadata"' in head or b'"_via_settings"' in head
    plain = b'"regions"' in head and (b'"shape_attributes"' in head or b'"file_attributes"' in head)
    if project or plain:
        return "json"
    return ""


def files_of(path: Path, kinds: Sequence[str]) -> list[tuple[Path, str]]:
    """VIA's files, each with its split: the file itself, a folder's, or those of train/, val/, test/."""
    if path.is_file():
        return [(path, "")] if kind_of(path) in kinds else []
    here = [(p, "") for p in some_files(path, (".json", ".csv"), 50, depth=0) if kind_of(p) in kinds]
    if here:
        return _one_of_each(here)
    inside = [p for p in sorted(path.iterdir()) if p.is_dir() and p.name.lower() in SPLIT_NAMES]
    return [
        (file, SPLIT_NAMES[folder.name.lower()]) for folder in inside for file, _ in files_of(folder, kinds)
    ]


def _one_of_each(found: list[tuple[Path, str]]) -> list[tuple[Path, str]]:
    """Without the CSV files that stand beside JSON: they say the same again."""
    has_json = any(path.suffix.lower() == ".json" for path, _ in found)
    return [pair for pair in found if not has_json or pair[0].suffix.lower() == ".json"]


def recognise(path: Path) -> bool:
    """Whether it is a file of VIA 1 or 2, or a folder with one, maybe in train/, val/ and test/."""
    try:
        return bool(files_of(path, ("json", "csv")))
    except OSError:
        return False


def read(path: str | Path, images: Images = None, skip_invalid: bool = False) -> Dataset:
    """Reads VIA 1 or 2; a file of VIA 3 too.

    The text attributes of files become columns; ``split`` among them, or the folder's name, is the split.

    Args:
        path: the JSON or CSV file, a folder with it, or one with train/, val/ and test/ of such folders.
        images: the folder of the images where they lie elsewhere; False asks for none.
        skip_invalid: leave malformed regions and images out, counted in ``notes``, instead of refusing.

    Raises:
        DatasetError: not VIA's file, or something malformed; the message has the image and the region.
    """
    path = Path(path)
    found = files_of(path, ("json", "csv"))
    if not found and files_of(path, ("3",)):
        from .via3 import read as read_three

        return read_three(path, images, skip_invalid)
    findings = Findings(path)
    parts = []
    for file, split in found or [(single_file(path, "VIA's JSON or CSV"), "")]:
        files, options = _csv(file) if file.suffix.lower() == ".csv" else _json(file)
        parts.append((file, split, files, options))
    return assemble(parts, images, "VIA", findings, skip_invalid)


Part = tuple[Path, str, list[File], dict[str, dict[str, str]]]
"""A file, its split, its images, and of each region attribute the options' names by key."""


def assemble(
    parts: Sequence[Part], images: Images, title: str, findings: Findings, skip_invalid: bool
) -> Dataset:
    """The dataset of one or more files of VIA, of any version."""
    declared = [name for *_, options in parts for name in options]
    attribute = class_attribute([f for _, _, files, _ in parts for f in files], declared, findings)
    records: list[Record] = []
    for path, split, files, options in parts:
        search = ImageSearch(path.parent, images, ("images", "img", "imgs"))
        seen: set[str] = set()
        for file in files:
            try:
                record = _record(file, split, search, findings)
            except Bad as bad:
                findings.problems.append(str(bad))
                continue
            if record is None:
                continue
            if record.name in seen:
                findings.problems.append(
                    f"{file.where}: expected every image once, got {show(record.name)} again"
                )
                continue
            seen.add(record.name)
            drawn = objects(file.regions, attribute, options.get(attribute, {}), findings)
            records.append(replace(record, annotation=drawn))
        search.settle(findings, skip_invalid)
    numbers = [record.image_id for record in records]
    if 0 in numbers or len(set(numbers)) < len(numbers):
        records = [replace(record, image_id=i) for i, record in enumerate(records, 1)]
    names = [name for *_, options in parts for name in options.get(attribute, {}).values()]
    return dataset(records, names, title, findings, skip_invalid)


def _record(file: File, split: str, search: ImageSearch, findings: Findings) -> Record | None:
    name = file.name
    if isinstance(name, str) and "://" in name:  # an address is never fetched; the image may lie here
        name = name.rsplit("/", 1)[-1]
    name = relative(name, f"{file.where}.filename", findings)
    groups = {"split": split} | file.groups if split else dict(file.groups)
    if "split" in groups:
        groups["split"] = SPLIT_NAMES.get(groups["split"].lower(), groups["split"])
    number = groups.pop("image_id", "")
    found = search(name) if not (file.embedded and search.images is None) else None
    if found is None and file.embedded and search.images is None:
        found = embedded(file.embedded, PurePosixPath(name).name, f"{file.where}.base64_img_data", findings)
    if found is None:
        return None
    identity = int(number) if number.isdecimal() and len(number) < 18 else 0
    return Record(name, found, identity, None, (), groups)


def _json(path: Path) -> tuple[list[File], dict[str, dict[str, str]]]:
    content = load_json(path)
    options: dict[str, dict[str, str]] = {}
    rows = content
    if isinstance(content, dict) and "_via_img_metadata" in content:
        rows = content["_via_img_metadata"]
        attributes = content.get("_via_attributes")
        region = attributes.get("region") if isinstance(attributes, dict) else None
        for name, row in region.items() if isinstance(region, dict) else ():
            given = row.get("options") if isinstance(row, dict) else None
            options[str(name)] = (
                {str(k): _option(k, v) for k, v in given.items()} if isinstance(given, dict) else {}
            )
    if not isinstance(rows, dict) or not all(
        isinstance(row, dict) and "filename" in row for row in rows.values()
    ):
        raise DatasetError(
            f"{path}: expected VIA's images, each with filename and regions, got {show(rows)}; "
            "export it again"
        )
    return [_file(row, key) for key, row in rows.items()], options


def _option(key: Any, value: Any) -> str:
    """The class's name: the option's key, or what is shown for it where the key is a number."""
    shown = value.strip() if isinstance(value, str) else ""
    return shown if shown and str(key).strip().isdecimal() else str(key).strip()


def _file(row: dict[str, Any], key: str) -> File:
    attributes = row.get("file_attributes")
    groups = (
        {str(k): text(v) for k, v in attributes.items() if text(v)} if isinstance(attributes, dict) else {}
    )
    regions = row.get("regions") or []
    listed = (
        list(regions.items())
        if isinstance(regions, dict)
        else list(enumerate(regions))
        if isinstance(regions, list)
        else []
    )
    inside = row.get("base64_img_data")
    return File(
        row.get("filename"),
        key,
        groups,
        [_region(region, f"{key}.regions[{index}]") for index, region in listed],
        inside if isinstance(inside, str) else "",
    )


def _region(region: Any, where: str) -> Region:
    if not isinstance(region, dict):
        return Region(region, {}, where)
    attributes = region.get("region_attributes")
    return Region(region.get("shape_attributes"), attributes if isinstance(attributes, dict) else {}, where)


def _csv(path: Path) -> tuple[list[File], dict[str, dict[str, str]]]:
    files: dict[str, File] = {}
    before = csv.field_size_limit(2**31 - 1)  # an outline of thousands of points is one cell
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            for row in csv.DictReader(stream):
                line = f"row {len(files) + 1}"
                values = {str(k).lstrip("#").strip(): v for k, v in row.items() if k is not None}
                name, shape = values.get("filename"), _loads(values.get("region_shape_attributes"))
                if name is None:
                    raise DatasetError(
                        f"{path}: expected the column filename, got {list(values)[:4]}; export it again"
                    )
                if name not in files:
                    given = _loads(values.get("file_attributes"))
                    groups = (
                        {k: text(v) for k, v in given.items() if text(v)} if isinstance(given, dict) else {}
                    )
                    files[name] = File(name, name, groups)
                if shape != {} and values.get("region_count", "1").strip() != "0":
                    attributes = _loads(values.get("region_attributes"))
                    where = f"{name}, region {values.get('region_id', line)}"
                    files[name].regions.append(
                        Region(shape, attributes if isinstance(attributes, dict) else {}, where)
                    )
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path}: expected VIA's CSV in UTF-8, got {error}; export it again") from None
    finally:
        csv.field_size_limit(before)
    return list(files.values()), {}


def _loads(value: str | None) -> Any:
    """A JSON cell; None where it is malformed."""
    try:
        return json.loads(value) if value and value.strip() else {}
    except (json.JSONDecodeError, RecursionError):
        return None


# -- writing ---------------------------------------------------------------------------------------------


def write(out: Path, data: Dataset, losses: Losses, place: Place) -> None:
    """Writes a VIA 2 project ``via_project.json`` and ``images/``, or, by the file's ending, JSON or CSV.

    The class is the region attribute ``class``; ``crowd``, ``score`` and ``track`` stand beside it where
    there is something to say. Parts and holes are one polygon, joined by bridges without width. Columns are
    file attributes, and so are the numbers of images where they are not 1, 2, 3, …

    Args:
        out: the folder, which exists, or a file that ends in .json or .csv.
        data: the dataset.
        losses: counts what VIA cannot hold: the numbers of classes.
        place: puts the images there.

    Raises:
        DatasetError: two images of one name, or an annotation that cannot be read.
    """
    count_ids(data, losses, images=False, classes=True)
    single = not out.is_dir() and out.suffix.lower() in (".json", ".csv")
    path = out if single else out / "via_project.json"
    with text_file(path) as file:
        if path.suffix.lower() == ".csv":
            file.write(_CSV + "\n")
            rows = csv.writer(file, lineterminator="\n")
            for name, size, groups, regions in _rows(data, losses):
                cells = [
                    (i, dumps(shape), dumps(attributes)) for i, (shape, attributes) in enumerate(regions)
                ]
                for cell in cells or [(0, "{}", "{}")]:
                    rows.writerow([name, size, dumps(groups), len(regions), *cell])
            return
        file.write('{"_via_settings":' + dumps(_settings(path.stem)) + ',"_via_img_metadata":{')
        keys: list[str] = []
        used: set[str] = set()
        columns: dict[str, None] = {}
        for (name, size, groups, regions), record in zip(_rows(data, losses), data.records, strict=True):
            listed = [{"shape_attributes": s, "region_attributes": a} for s, a in regions]
            used.update(key for _, attributes in regions for key in attributes)
            columns.update(dict.fromkeys(groups))
            row = {"filename": name, "size": size, "regions": listed, "file_attributes": groups}
            file.write(",\n" if keys else "\n")
            keys.append(f"{name}{size}")
            file.write(f"{dumps(keys[-1])}:{dumps(row)}")
            if not single:
                place(record, out / "images" / name)
        attributes = _attributes(data.classes.names, used, list(columns))
        file.write('},"_via_attributes":' + dumps(attributes) + ',"_via_data_format_version":"2.0.10"')
        file.write(',"_via_image_id_list":' + dumps(keys) + "}\n")


Row = tuple[str, int, dict[str, str], list[tuple[dict[str, Any], dict[str, str]]]]


def _rows(data: Dataset, losses: Losses) -> Any:
    """Name, size in bytes, file attributes and regions of each image."""
    numbered = all(record.image_id == place for place, record in enumerate(data.records, 1))
    for index, record in enumerate(data.records):
        truth, drawn = to_draw(data, index, losses)
        groups = {k: v for k, v in record.groups.items() if v}
        if not numbered:
            groups["image_id"] = str(record.image_id)
        tracked = "frame" in record.groups
        regions = [
            (_shape(one, truth.size), {"class": one.name} | own_attributes(one, tracked)) for one in drawn
        ]
        size = record.path.stat().st_size if record.path.is_file() else -1
        yield safe_name(record.name), size, groups, regions


def _shape(one: ToDraw, size: tuple[int, int]) -> dict[str, Any]:
    ring = outline(one, size)
    if isinstance(ring, Box):
        width, height = ring.x2 - ring.x1, ring.y2 - ring.y1
        return {"name": "rect", "x": ring.x1, "y": ring.y1, "width": width, "height": height}
    return {"name": "polygon", "all_points_x": [p[0] for p in ring], "all_points_y": [p[1] for p in ring]}


def _attributes(classes: Sequence[str], used: set[str], columns: Sequence[str]) -> dict[str, Any]:
    plain = {"type": "text", "description": "", "default_value": ""}
    kind = {
        "type": "dropdown",
        "description": "",
        "options": dict.fromkeys(classes, ""),
        "default_options": {},
    }
    return {
        "region": {"class": kind} | {name: plain for name in ("crowd", "score", "track") if name in used},
        "file": dict.fromkeys(columns, plain),
    }


def _settings(name: str) -> dict[str, Any]:
    """The settings that VIA asks for when it loads a project; images are looked for in ``images/``."""
    image = {
        "region_label": "class",
        "region_color": "class",
        "region_label_font": "10px Sans",
        "on_image_annotation_editor_placement": "NEAR_REGION",
    }
    grid = {
        "img_height": 80,
        "rshape_fill": "none",
        "rshape_fill_opacity": 0.3,
        "rshape_stroke": "yellow",
        "rshape_stroke_width": 2,
        "show_region_shape": True,
        "show_image_policy": "all",
    }
    return {
        "ui": {
            "annotation_editor_height": 25,
            "annotation_editor_fontsize": 0.8,
            "leftsidebar_width": 18,
            "image_grid": grid,
            "image": image,
        },
        "core": {"buffer_size": 18, "filepath": {}, "default_filepath": "images/"},
        "project": {"name": name},
    }
