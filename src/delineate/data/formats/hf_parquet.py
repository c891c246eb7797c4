"""Hugging Face's Parquet files: a row an image, with the image's bytes (needs pyarrow).

The class names stand in the schema (``ClassLabel``), the split in the file's name,
``train-00000-of-00002.parquet``. Reading unpacks the images into the cache, once, a few rows at a time.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from delineate.core.errors import DatasetError, InputError
from delineate.core.labels import Labels

from ..limits import MAX_PIXELS, check_size
from ..place import safe_name
from ..records import SPLIT_NAMES, Dataset, Record
from ..sniff import read_header, sniff
from ..write import atomic
from .coco_check import Bad, Findings, image_size
from .drawn import dataset, json_files, some_files, with_split
from .embedded_image import cache_folder
from .hf_parquet_write import ROWS
from .hf_parquet_write import write as write
from .hf_rows import CATEGORIES, classes_of, groups, objects
from .image_search import Images, ImageSearch
from .parquet_file import batches, needed

_IMAGE = ("image", "img", "pixel_values", "picture")
_ENDINGS = {"PNG": ".png", "JPEG": ".jpg", "TIFF": ".tif", "WebP": ".webp", "BMP": ".bmp", "GIF": ".gif"}


def recognise(path: Path) -> bool:
    """Whether it is a Parquet file, or a folder that has one."""
    try:
        return any(map(_is_parquet, some_files(path, (".parquet",)) if path.is_dir() else [path]))
    except OSError:
        return False


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return path.suffix.lower() == ".parquet" and file.read(4) == b"PAR1"


def read(path: str | Path, images: Images = None, skip_invalid: bool = False) -> Dataset:
    """Reads every Parquet file of a folder, or one.

    Args:
        path: the folder or the file.
        images: the folder of images that stand in the table by their path alone; False leaves all where they
            are: only ``truth`` can then be asked for.
        skip_invalid: leave malformed rows out, counted in ``notes``, instead of refusing.

    Raises:
        DatasetError: no image column, nothing annotated, or something malformed; the message has the row.
        MissingDependencyError: pyarrow is not installed.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    files = json_files(folder, "*.parquet") if path.is_dir() else [path]
    findings = Findings(path)
    search = ImageSearch(folder, images)
    records: list[Record] = []
    own = classes_of(folder)
    if isinstance(own, list) and folder.name == "data":
        own = classes_of(folder.parent)
    names: list[str] = list(own.names) if isinstance(own, Labels) else []
    for file in files:
        at = f"{file.relative_to(folder).as_posix()}: " if path.is_dir() else ""
        names += [n for n in _class_names(file) if n not in names]
        unpacked = None if images is False else _cache_of(file)
        for number, row in _rows(file):
            try:
                record = _record(row, _split_of(file, folder), names, unpacked, search, f"{at}row {number}")
            except Bad as bad:
                findings.problems.append(str(bad))
                continue
            if record is not None:
                records.append(record)
    search.settle(findings, skip_invalid)
    cached = sum(record.path.is_relative_to(cache_folder()) for record in records)
    if cached:
        findings.counts["image unpacked from Parquet into the cache"] = cached
    numbers = [record.image_id for record in records]
    if 0 in numbers or len(set(numbers)) < len(numbers):
        records = [
            Record(r.name, r.path, n, r.size, r.annotation, r.groups) for n, r in enumerate(records, 1)
        ]
    classes = own if isinstance(own, Labels) else names
    return dataset(records, classes, "Hugging Face Parquet", findings, skip_invalid)


def _split_of(file: Path, folder: Path) -> str:
    """By the file's name (``validation-00000-of-00001.parquet``), else its folder's."""
    words = [re.split(r"[-_.]", file.name)[0], *(p for p in file.relative_to(folder).parts[:-1])]
    return next((SPLIT_NAMES[w.lower()] for w in words if w.lower() in SPLIT_NAMES), "")


def _class_names(file: Path) -> list[str]:
    """The names of the first ``ClassLabel`` in the schema that may be that of the objects."""
    arrow, parquet = needed()
    try:
        stored = parquet.read_schema(file).metadata or {}
        content = json.loads(stored.get(b"huggingface", b"{}"))
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise DatasetError(
            f"{file}: expected a Parquet file, got {' '.join(str(error).split())}; fetch it again"
        ) from None
    found = list(_labels(content.get("info", {}).get("features") if isinstance(content, dict) else None, ""))
    ranked = sorted(found, key=lambda pair: CATEGORIES.index(pair[0]) if pair[0] in CATEGORIES else 99)
    return ranked[0][1] if ranked else []


def _labels(feature: object, key: str) -> Iterator[tuple[str, list[str]]]:
    """Every ``ClassLabel`` and the column that it stands in."""
    if isinstance(feature, list):
        for one in feature:
            yield from _labels(one, key)
    if isinstance(feature, dict):
        if feature.get("_type") == "ClassLabel":
            names = feature.get("names")
            if isinstance(names, list) and all(isinstance(n, str) for n in names):
                yield key, names
            return
        for inner, value in feature.items():
            yield from _labels(value, key if inner == "feature" else inner)


def _rows(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows as plain objects, some at a time."""
    arrow, _ = needed()
    number = 0
    try:
        for batch in batches(file, ROWS):
            for row in batch.to_pylist():
                number += 1
                yield number, row
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise DatasetError(
            f"{file}: expected a Parquet file, got {' '.join(str(error).split())}; fetch it again"
        ) from None


def _cache_of(file: Path) -> Path:
    """A folder of the cache for this state of a file."""
    state = file.stat()
    key = f"{file.resolve()}\0{state.st_size}\0{state.st_mtime_ns}"
    folder = (
        cache_folder() / "parquet" / hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(
            f"{folder}: expected a cache folder, got {error.strerror}; set DELINEATE_CACHE"
        ) from None
    return folder


def _record(
    row: Mapping[str, Any],
    split: str,
    names: list[str],
    unpacked: Path | None,
    search: ImageSearch,
    where: str,
) -> Record | None:
    key = next((k for k in (*_IMAGE, *row) if _bytes(row.get(k)) is not None), None)
    key = key or next((k for k in (*_IMAGE, *row) if _path(row.get(k))), None)
    if key is None:
        raise Bad(f"{where}: expected a column image with the image's bytes, got {', '.join(row)}")
    data, given, place = (
        _bytes(row[key]),
        _path(row[key]) or row.get("file_name"),
        where.rpartition("row ")[2],
    )
    if data is None:  # the library leaves paths where images were not put into the table
        name = PurePosixPath(str(given).replace("\\", "/")).name
        path = search(name)
    else:
        kind = _checked(data, f"{where}.{key}")
        name = safe_name(given) if isinstance(given, str) and given else f"{int(place):06d}{_ENDINGS[kind]}"
        path = Path(name) if unpacked is None else _unpack(data, unpacked / place / Path(name).name)
    if path is None:
        return None
    number = row.get("image_id", row.get("id"))
    image_id = number if type(number) is int and 0 < number < 2**63 else 0
    size, drawn = image_size(dict(row), where), objects(row, names, where)
    return with_split(Record(name, path, image_id, size, drawn, groups(row)), split)


def _checked(data: bytes, where: str) -> str:
    """The kind of an image whose header was looked at."""
    try:
        kind = sniff(data[:512], where)
        if kind != "TIFF":
            check_size(read_header(kind, data, where).size, where, MAX_PIXELS)
    except InputError as error:
        raise Bad(str(error).split("; ")[0]) from None
    return kind


def _path(value: object) -> str:
    found = value.get("path") if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""


def _bytes(value: object) -> bytes | None:
    found = value.get("bytes") if isinstance(value, dict) else value
    return found if isinstance(found, bytes) else None


def _unpack(data: bytes, path: Path) -> Path:
    if not path.is_file() or path.stat().st_size != len(data):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as temporary:
            temporary.write_bytes(data)
    return path
