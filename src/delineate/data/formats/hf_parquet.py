"""Hugging Face's Parquet files: a row an image, with the image's bytes (needs pyarrow).

The class names stand in the schema (``ClassLabel``), the split in the file's name,
``train-00000-of-00002.parquet``. Reading unpacks the images into the cache, once, a few rows at a time.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from delineate.core.errors import DatasetError, InputError, MissingDependencyError
from delineate.core.labels import Labels

from ..limits import MAX_PIXELS, check_size
from ..losses import Losses
from ..place import Place, safe_name
from ..records import SPLIT_NAMES, Dataset, Record
from ..sniff import read_header, sniff
from ..write import atomic
from .coco_check import Bad, Findings, image_size
from .drawn import dataset, json_files, some_files, with_split
from .embedded_image import cache_folder
from .hf_folder import FOLDERS
from .hf_rows import CARD, CATEGORIES, classes_of, columns, objects, write_card
from .image_search import Images

ROWS = 32
"""So many rows are read, or written, at once."""
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


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingDependencyError(
            "Parquet: expected pyarrow, got none; pip install 'delineate[tables]'"
        ) from None
    return pyarrow, pyarrow.parquet


def read(path: str | Path, images: Images = None, skip_invalid: bool = False) -> Dataset:
    """Reads every Parquet file of a folder, or one.

    Args:
        path: the folder or the file.
        images: False leaves the images where they are: only ``truth`` can then be asked for.
        skip_invalid: leave malformed rows out, counted in ``notes``, instead of refusing.

    Raises:
        DatasetError: no image column, nothing annotated, or something malformed; the message has the row.
        MissingDependencyError: pyarrow is not installed.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    files = json_files(folder, "*.parquet") if path.is_dir() else [path]
    findings = Findings(path)
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
                record = _record(row, _split_of(file, folder), names, unpacked, f"{at}row {number}")
            except Bad as bad:
                findings.problems.append(str(bad))
                continue
            records.append(record)
    if images is not False and records:
        findings.counts["image unpacked from Parquet into the cache"] = len(records)
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
    arrow, parquet = _pyarrow()
    try:
        stored = parquet.read_schema(file).metadata or {}
        content = json.loads(stored.get(b"huggingface", b"{}"))
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise DatasetError(f"{file}: expected a Parquet file, got {error}; fetch it again") from None
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
    arrow, parquet = _pyarrow()
    number = 0
    try:
        with parquet.ParquetFile(file) as table:
            for batch in table.iter_batches(batch_size=ROWS):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (arrow.ArrowException, OSError) as error:
        raise DatasetError(f"{file}: expected a Parquet file, got {error}; fetch it again") from None


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
    row: Mapping[str, Any], split: str, names: list[str], unpacked: Path | None, where: str
) -> Record:
    key = next((k for k in (*_IMAGE, *row) if _bytes(row.get(k)) is not None), None)
    if key is None:
        raise Bad(f"{where}: expected a column image with the image's bytes, got {', '.join(row)}")
    data = _bytes(row[key])
    assert data is not None
    try:
        kind = sniff(data[:512], f"{where}.{key}")
        if kind != "TIFF":
            check_size(read_header(kind, data, f"{where}.{key}").size, f"{where}.{key}", MAX_PIXELS)
    except InputError as error:
        raise Bad(str(error).split("; ")[0]) from None
    given = row[key].get("path") if isinstance(row[key], dict) else None
    given = given or row.get("file_name")
    place = where.rpartition("row ")[2]
    name = safe_name(given) if isinstance(given, str) and given else f"{int(place):06d}{_ENDINGS[kind]}"
    path = Path(name) if unpacked is None else _unpack(data, unpacked / place / Path(name).name)
    number = row.get("image_id", row.get("id"))
    image_id = number if type(number) is int and 0 < number < 2**63 else 0
    record = Record(name, path, image_id, image_size(dict(row), where), objects(row, names, where))
    return with_split(record, split)


def _bytes(value: object) -> bytes | None:
    found = value.get("bytes") if isinstance(value, dict) else value
    return found if isinstance(found, bytes) else None


def _unpack(data: bytes, path: Path) -> Path:
    if not path.is_file() or path.stat().st_size != len(data):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as temporary:
            temporary.write_bytes(data)
    return path


# -- writing ---------------------------------------------------------------------------------------------


def write(out: Path, data: Dataset, losses: Losses, place: Place) -> None:
    """Writes ``data/SPLIT-00000-of-00001.parquet`` for each split, and a card with the classes.

    The images' own bytes stand in the rows, a few rows written at a time. ``datasets.load_dataset`` reads it,
    categories as ``ClassLabel``.

    Args:
        out: the folder, which exists.
        data: the dataset.
        losses: counts nothing: all is held.
        place: not asked: images are part of the files.

    Raises:
        DatasetError: an image that is missing, or an annotation that cannot be read.
        MissingDependencyError: pyarrow is not installed.
    """
    del losses, place
    arrow, parquet = _pyarrow()
    schema = _schema(arrow, data.classes)
    splits = list(dict.fromkeys(record.groups.get("split", "") for record in data.records)) or [""]
    (out / "data").mkdir(exist_ok=True)
    for split in splits:
        name = re.sub(r"[^A-Za-z0-9]", "", FOLDERS.get(split, split)) or "train"
        with (
            atomic(out / "data" / f"{name}-00000-of-00001.parquet") as temporary,
            parquet.ParquetWriter(temporary, schema, compression="zstd") as file,
        ):
            chosen = [i for i, r in enumerate(data.records) if r.groups.get("split", "") == split]
            for begin in range(0, len(chosen), ROWS):
                rows = [_row(data, index) for index in chosen[begin : begin + ROWS]]
                file.write_table(arrow.Table.from_pylist(rows, schema=schema))
    write_card(out / CARD, data.classes, len(data), "Written by delineate; `load_dataset` reads it.")


def _row(data: Dataset, index: int) -> dict[str, Any]:
    record = data.records[index]
    try:
        content = record.path.read_bytes()
    except OSError:
        raise DatasetError(
            f"{record.path}: expected an image file to put into the table, got none; name its folder "
            "(--image-folder)"
        ) from None
    truth = data.truth(index)
    height, width = truth.size
    return {
        "image": {"bytes": content, "path": record.name},
        "image_id": record.image_id,
        "width": width,
        "height": height,
        "objects": {"segmentation": [None] * len(truth), **columns(truth)},
    }


def _schema(arrow: Any, classes: Labels) -> Any:
    """Arrow's types, and the same in the words of ``datasets``."""
    whole, real, text = arrow.int64(), arrow.float64(), arrow.string()
    rle = arrow.struct([("size", arrow.list_(whole)), ("counts", text)])
    each = {
        "id": whole, "bbox": arrow.list_(real), "area": real, "category": whole, "category_id": whole,
        "iscrowd": whole, "score": real, "segmentation": rle,
    }  # fmt: skip
    fields = [
        ("image", arrow.struct([("bytes", arrow.binary()), ("path", text)])),
        ("image_id", whole),
        ("width", whole),
        ("height", whole),
        ("objects", arrow.struct([(key, arrow.list_(kind)) for key, kind in each.items()])),
    ]

    def value(kind: str) -> dict[str, Any]:
        return {"dtype": kind, "_type": "Value"}

    def listed(feature: Any) -> dict[str, Any]:
        return {"feature": feature, "_type": "Sequence"}

    features = {
        "image": {"_type": "Image"},
        "image_id": value("int64"),
        "width": value("int64"),
        "height": value("int64"),
        "objects": {
            **{key: listed(value("float64" if kind == real else "int64")) for key, kind in each.items()},
            "bbox": listed(listed(value("float64"))),
            "category": listed({"names": list(classes.names), "_type": "ClassLabel"}),
            "segmentation": [{"size": listed(value("int64")), "counts": value("string")}],
        },
    }
    told = json.dumps({"info": {"features": features}})
    return arrow.schema(fields, metadata={"huggingface": told})
