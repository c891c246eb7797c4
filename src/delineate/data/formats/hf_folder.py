"""Hugging Face's ``imagefolder``: images and a ``metadata.jsonl`` beside them, a line for each image.

``file_name`` names the image from the file's folder; sub-folders called train, validation or test are splits
(huggingface.co/docs/datasets, "Create an image dataset").
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from delineate.core.errors import DatasetError

from ..losses import Losses
from ..place import Place, safe_name
from ..records import SPLIT_NAMES, Dataset, Record
from ..write import atomic
from .coco_check import Bad, Findings, image_size
from .drawing import dumps
from .drawn import dataset, json_files, some_files, with_split
from .hf_rows import CARD, classes_of, columns, groups, objects, write_card
from .image_search import Images, ImageSearch, relative
from .json_file import show

FILE = "metadata.jsonl"
FOLDERS = {"val": "validation"}
LONGEST = 1 << 28
"""Most bytes of a line."""


def recognise(path: Path) -> bool:
    """Whether it is a ``metadata.jsonl``, or a folder that has one."""
    try:
        files = some_files(path, (FILE,)) if path.is_dir() else [path]
        return any(_is_metadata(file) for file in files)
    except OSError:
        return False


def _is_metadata(path: Path) -> bool:
    if path.suffix.lower() != ".jsonl":
        return False
    with path.open("rb") as file:
        return b'"file_name"' in file.read(1 << 20)


def read(path: str | Path, images: Images = None, skip_invalid: bool = False) -> Dataset:
    """Reads every ``metadata.jsonl`` of a folder, or one.

    Args:
        path: the folder or the file.
        images: the folder of the images where they do not lie beside the file; False asks for none.
        skip_invalid: leave malformed lines and objects out, counted in ``notes``, instead of refusing.

    Raises:
        DatasetError: nothing annotated, or something malformed; the message has the line and the object.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    files = json_files(folder, "*.jsonl") if path.is_dir() else [path]
    classes = classes_of(folder)
    names = classes.names if not isinstance(classes, list) else classes
    findings = Findings(path)
    search = ImageSearch(folder, images)
    records: list[Record] = []
    for file in files:
        inside = PurePosixPath(file.parent.relative_to(folder).as_posix())
        at = f"{file.relative_to(folder).as_posix()}: " if path.is_dir() else ""
        for number, line in _lines(file):
            try:
                record = _record(line, inside, file.parent, search, list(names), f"{at}line {number}")
            except Bad as bad:
                findings.problems.append(str(bad))
                continue
            if record is not None:
                records.append(record)
    search.settle(findings, skip_invalid)
    numbers = [record.image_id for record in records]
    if 0 in numbers or len(set(numbers)) < len(numbers):
        records = [
            Record(r.name, r.path, n, r.size, r.annotation, r.groups) for n, r in enumerate(records, 1)
        ]
    return dataset(records, classes, "Hugging Face imagefolder", findings, skip_invalid)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that are not empty, one at a time."""
    with path.open("rb") as file:
        number = 0
        while line := file.readline(LONGEST):
            number += 1
            if len(line) == LONGEST:
                raise DatasetError(f"{path}: line {number}: expected at most 256 MiB, got more; split it")
            if line.strip():
                yield number, line


def _record(
    line: bytes, inside: PurePosixPath, beside: Path, search: ImageSearch, names: list[str], where: str
) -> Record | None:
    try:
        row = msgspec.json.decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Bad(f"{where}: expected JSON, got {error}") from None
    if not isinstance(row, dict):
        raise Bad(f"{where}: expected an object, got {show(row)}")
    name = inside / relative(row.get("file_name"), f"{where}.file_name")
    split = SPLIT_NAMES.get(name.parts[0].lower(), "") if len(name.parts) > 1 else ""
    drawn = objects(row, names, where)
    size = image_size(row, where)
    path = search(str(name) if search.images is not None else str(name.relative_to(inside)), beside=beside)
    if path is None:
        return None
    number = row.get("image_id")
    shown = str(PurePosixPath(*name.parts[1:])) if split else str(name)
    image_id = number if type(number) is int and 0 < number < 2**63 else 0
    return with_split(Record(shown, path, image_id, size, drawn, groups(row)), split)


# -- writing ---------------------------------------------------------------------------------------------


def write(out: Path, data: Dataset, losses: Losses, place: Place) -> None:
    """Writes ``metadata.jsonl`` beside the images of each split, and a card with the classes.

    Masks are COCO's run lengths: exact. Categories are names, so that the files need no list.

    Args:
        out: the folder, which exists.
        data: the dataset.
        losses: counts nothing: all is held.
        place: puts the images there.

    Raises:
        DatasetError: two images of one name, or an annotation that cannot be read.
    """
    del losses
    splits = list(dict.fromkeys(record.groups.get("split", "") for record in data.records)) or [""]
    for split in splits:
        folder = out / FOLDERS.get(split, safe_name(split)) if split else out
        folder.mkdir(parents=True, exist_ok=True)
        with (
            atomic(folder / FILE) as temporary,
            temporary.open("w", encoding="utf-8", newline="\n") as file,
        ):
            for index, record in enumerate(data.records):
                if record.groups.get("split", "") != split:
                    continue
                name = safe_name(record.name)
                file.write(dumps({"file_name": name, **_row(data, index)}) + "\n")
                place(record, folder / name)
    write_card(
        out / CARD, data.classes, len(data), 'Written by delineate; `load_dataset("imagefolder")` reads it.'
    )


def _row(data: Dataset, index: int) -> dict[str, Any]:
    truth = data.truth(index)
    height, width = truth.size
    found = columns(truth)
    found["category"] = truth.names
    record = data.records[index]
    more = {key: value for key, value in record.groups.items() if key != "split"}
    own = {"image_id": record.image_id, "width": width, "height": height, "objects": found}
    return {**more, **own}
