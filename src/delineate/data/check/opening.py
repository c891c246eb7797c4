"""Opening what is to be checked: as much of it as can be opened, with all that its readers found."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from delineate.core.errors import DatasetError, InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels

from ..dataset import Images, open_dataset
from ..find import natural_order
from ..formats.coco_check import agrees
from ..formats.json_file import load_json
from ..heard import Heard, listen
from ..images import read_size
from ..records import SPLIT_NAMES, Dataset, Record
from ..sniff import SUFFIXES
from ..synthetic.dataset import is_synthetic
from .finding import Finding

# What a reader says it did -> the kind of finding. In order; the first that is found in the phrase counts.
_DONE = (
    ("disagrees with its mask", "box"),
    ("without any pixel", "no-pixels"),
    ("image that was left out", "orphan"),
    ("stands for several ids", "class-names"),
    ("because it is missing", "filled-in"),
    ("annotation lacks it", "filled-in"),
    ("with id 0", "id-zero"),
)
# Every outline is looked at by the doctor itself.
_CHECKED_HERE = ("self-intersecting", "looks like a hole")
MOST_PICTURES = 100_000
"""So many images of a folder without annotations are looked at."""
_PATH = re.compile(r"^(annotations|images)\[(\d+)\]")


@dataclass
class Opened:
    """What could be opened.

    Attributes:
        source: as it was given.
        parts: one dataset, or one per split where the splits do not fit together; none where nothing of it
            can be used.
        findings: what opening it has shown.
        pictures: whether its images are there to be looked at.
        failed: why it cannot be used, in one line; empty where it can. There may be parts all the same: the
            images of a folder without annotations.
    """

    source: str
    parts: list[Dataset]
    findings: list[Finding] = field(default_factory=list)
    pictures: bool = True
    failed: str = ""


def open_parts(path: str | Path, images: Images = None) -> Opened:
    """Opens a dataset as far as it goes: bad entries left out, splits one by one, without images.

    Raises:
        DatasetError: nothing of it can be opened, and there is nothing more to tell than why.
    """
    with listen() as heard:
        try:
            opened = Opened(str(path), [open_dataset(path, images=images, skip_invalid=True)])
            if not len(opened.parts[0]) and images is None:  # all of them are missing
                opened = Opened(str(path), [open_dataset(path, images=False, skip_invalid=True)])
                opened.pictures = False
        except DatasetError as error:
            before = list(heard)
            heard.clear()
            found = _without_images(path, images, error) or _by_split(path, images, error)
            if found is None:
                heard[:] = before
                found = _failed(path, error, bool(heard))
            opened = found
        opened.findings += _told(heard, opened)
        opened.pictures &= not is_synthetic(path)  # they are drawn when they are asked for
    return opened


def _failed(path: str | Path, error: DatasetError, told: bool) -> Opened:
    """What there is to look at where no annotation can be used."""
    folder = Path(path)
    pictures: list[Path] = []
    if folder.is_dir() and not told:
        files = (p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.name[0] != ".")
        pictures = natural_order(islice(files, MOST_PICTURES))
    if not pictures and not told:
        raise error
    records = tuple(
        Record(file.relative_to(folder).as_posix(), file, number, None, None)
        for number, file in enumerate(pictures, 1)
    )
    alone = Dataset(records, Labels(("object",)), _nothing, "images without annotations", folder)
    return Opened(str(path), [alone] if records else [], failed=str(error))


def _nothing(record: Record, classes: Labels) -> tuple[Instances, tuple[str, ...]]:
    return Instances.empty(read_size(record.path), classes), ()


def _without_images(path: str | Path, images: Images, error: DatasetError) -> Opened | None:
    """The annotations alone, where opening failed for want of images."""
    wanting = ("image files are missing", "the folder of the images")
    if images is not None or not any(words in str(error) for words in wanting):
        return None
    try:
        data = open_dataset(path, images=False, skip_invalid=True)
    except DatasetError:
        return None
    names = data.names
    told = f"none of {len(names)} images found ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})"
    return Opened(str(path), [data], [Finding("missing-image", told)], pictures=False)


def _by_split(path: str | Path, images: Images, error: DatasetError) -> Opened | None:
    parts = []
    for split in dict.fromkeys(SPLIT_NAMES.values()):
        try:
            parts.append(open_dataset(path, split=split, images=images, skip_invalid=True))
        except InputError:  # there is no such split, or it is what cannot be opened
            continue
    if not parts:
        return None
    message = str(error).removeprefix(f"{path}: ")
    return Opened(str(path), parts, [Finding("splits-differ", message)])


def _told(heard: Sequence[Heard], opened: Opened) -> list[Finding]:
    rows = _Rows()
    findings = [
        finding for one in dict.fromkeys(heard) if (finding := _finding(one, rows, opened.parts)) is not None
    ]
    findings = _joined(findings)
    spoken = {one.message for one in heard}
    for part in opened.parts:
        for note in part.notes:
            # A reader that reports single entries also counts them in its notes.
            counted = re.sub(r"^\d+ × ", "", note) in spoken or (heard and "left out" in note)
            if not counted and "every image counts as background" not in note:
                findings.append(Finding("note", note))
    return findings


def _joined(findings: Sequence[Finding]) -> list[Finding]:
    """The same, the labels of an image that is not there told together."""
    lost = Counter((one.split, one.image) for one in findings if one.kind == "orphan")
    found = [one for one in findings if one.kind != "orphan"]
    for (split, image), number in lost.items():
        told = f"{number} label{'s' if number > 1 else ''} left out with it"
        found.append(Finding("orphan", told, image, split))
    return found


def _finding(one: Heard, rows: _Rows, parts: Sequence[Dataset]) -> Finding | None:
    if any(phrase in one.message for phrase in _CHECKED_HERE):
        return None
    kind = "invalid" if one.lost else "note"
    if one.lost and "image file" in one.message:
        kind = "missing-image"
    elif not one.lost:
        kind = next((name for phrase, name in _DONE if phrase in one.message), "note")
    image, identity = rows.of(one)
    message = rows.told(kind, one)
    split = _split_of(one.source, parts)
    return Finding(kind, message, one.image or image, split, identity, one.where)


def _split_of(source: Path, parts: Sequence[Dataset]) -> str:
    """The split that a file belongs to, by its folder or name."""
    for name in (source.parent.name, *source.stem.replace("-", "_").split("_")):
        split = SPLIT_NAMES.get(name.lower().rstrip("0123456789"), "")
        if split and any("split" in part.groups for part in parts):
            return split
    return ""


class _Rows:
    """The rows of COCO files, to tell of an entry which image and object it is."""

    def __init__(self) -> None:
        self._files: dict[Path, dict[str, Any]] = {}

    def told(self, kind: str, one: Heard) -> str:
        """The message, with the row's own numbers where they say more."""
        if kind == "id-zero":
            return "id 0"
        if kind == "no-pixels":
            return "covers no pixel: a line, or outside the image"
        row = self._row(one)
        if kind != "box" or row is None or not isinstance(row.get("bbox"), list):
            return one.message
        told = f"bbox {row['bbox']} (x, y, width, height) does not fit the mask"
        return f"{told}; as x1, y1, x2, y2 it would" if _fits_as_corners(row) else told

    def of(self, one: Heard) -> tuple[str, int | None]:
        """The image's name and the object's id, as far as the file says them."""
        row = self._row(one)
        if row is None:
            return "", None
        if one.where.startswith("images"):
            return _text(row.get("file_name")), None
        identity, image = row.get("id"), row.get("image_id")
        names = self._files[one.source]["names"]
        name = names.get(image) if isinstance(image, int | str) else None
        return _text(name), identity if type(identity) is int else None

    def _row(self, one: Heard) -> dict[str, Any] | None:
        """The row that a finding is about, of a COCO file."""
        found = _PATH.match(one.where)
        if found is None or not one.source.is_file():
            return None
        if one.source not in self._files:
            content = load_json(one.source)
            rows = content.get("images") if isinstance(content, dict) else None
            pictures = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
            names = {row.get("id"): row.get("file_name") for row in pictures if _is_id(row.get("id"))}
            self._files[one.source] = {**content, "names": names} if pictures else {"names": {}}
        table = self._files[one.source].get(found[1])
        row = table[int(found[2])] if isinstance(table, list) and int(found[2]) < len(table) else None
        return row if isinstance(row, dict) else None


def _is_id(value: object) -> bool:
    return isinstance(value, int | str)


def _fits_as_corners(row: dict[str, Any]) -> bool:
    """Whether the numbers of a box are its corners instead of corner, width and height."""
    try:
        points = np.concatenate([np.reshape(part, (-1, 2)) for part in row["segmentation"]])
        own = (*points.min(axis=0).tolist(), *points.max(axis=0).tolist())
        x1, y1, x2, y2 = map(float, row["bbox"])
        return x1 < x2 and y1 < y2 and agrees((x1, y1, x2, y2), own)
    except (KeyError, ValueError, TypeError):  # an RLE, or no polygons at all
        return False


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
