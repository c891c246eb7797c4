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

from ..records import SPLIT_NAMES, Dataset, Record
from .coco_check import Bad, Findings
from .drawing import without_split
from .drawn import dataset, single_file, some_files
from .embedded_image import embedded
from .image_search import Images, ImageSearch, relative
from .json_file import load_json, show, without_collection
from .via_regions import File, Region, class_attribute, objects, text
from .via_write import write as write


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
            key = f"{record.groups.get('split', '')}/{record.name}"
            if key in seen:
                findings.problems.append(
                    f"{file.where}: expected every image once, got {show(record.name)} again"
                )
                continue
            seen.add(key)
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
    name = without_split(name, groups.get("split", ""))
    return Record(name, found, identity, None, (), groups)


def _json(path: Path) -> tuple[list[File], dict[str, dict[str, str]]]:
    with without_collection():
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
