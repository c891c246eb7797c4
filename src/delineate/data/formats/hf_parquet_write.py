"""Writing Hugging Face's Parquet files; see :mod:`delineate.data.formats.hf_parquet`."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from delineate.core.errors import DatasetError
from delineate.core.labels import Labels

from ..losses import Losses
from ..place import Place
from ..records import Dataset
from ..write import atomic
from .hf_folder import FOLDERS
from .hf_rows import CARD, columns, write_card
from .parquet_file import needed

ROWS = 32
"""So many rows are read, or written, at once."""
_OWN = ("image", "image_id", "width", "height", "objects")


def write(out: Path, data: Dataset, losses: Losses, place: Place) -> None:
    """Writes ``data/SPLIT-00000-of-00001.parquet`` for each split (else ``images.parquet``), and a card.

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
    arrow, parquet = needed()
    more = [key for key in data.groups if key not in ("split", *_OWN)]
    schema = _schema(arrow, data.classes, more)
    splits = list(dict.fromkeys(record.groups.get("split", "") for record in data.records)) or [""]
    (out / "data").mkdir(exist_ok=True)
    for split in splits:
        word = re.sub(r"[^A-Za-z0-9]", "", FOLDERS.get(split, split))
        name = f"{word}-00000-of-00001.parquet" if word else "images.parquet"
        with (
            atomic(out / "data" / name) as temporary,
            parquet.ParquetWriter(temporary, schema, compression="zstd") as file,
        ):
            chosen = [i for i, r in enumerate(data.records) if r.groups.get("split", "") == split]
            for begin in range(0, len(chosen), ROWS):
                rows = [_row(data, index, more) for index in chosen[begin : begin + ROWS]]
                file.write_table(arrow.Table.from_pylist(rows, schema=schema))
    write_card(out / CARD, data.classes, len(data), "Written by delineate; `load_dataset` reads it.")


def _row(data: Dataset, index: int, more: Sequence[str]) -> dict[str, Any]:
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
        **{key: record.groups.get(key, "") for key in more},
        "image": {"bytes": content, "path": record.name},
        "image_id": record.image_id,
        "width": width,
        "height": height,
        "objects": {"segmentation": [None] * len(truth), **columns(truth)},
    }


def _schema(arrow: Any, classes: Labels, more: Sequence[str]) -> Any:
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

    fields += [(key, text) for key in more]

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
        **{key: value("string") for key in more},
    }
    told = json.dumps({"info": {"features": features}})
    return arrow.schema(fields, metadata={"huggingface": told})
