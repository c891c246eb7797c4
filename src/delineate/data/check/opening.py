"""Opening what is to be checked: as much of it as can be opened, with all that its readers found."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from delineate.core.errors import DatasetError, InputError

from ..dataset import Images, open_dataset
from ..formats.json_file import load_json
from ..heard import Heard, listen
from ..records import SPLIT_NAMES, Dataset
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
_PATH = re.compile(r"^(annotations|images)\[(\d+)\]")


@dataclass
class Opened:
    """What could be opened.

    Attributes:
        source: as it was given.
        parts: one dataset, or one per split where the splits do not fit together.
        findings: what opening it has shown.
        pictures: whether its images are there to be looked at.
    """

    source: str
    parts: list[Dataset]
    findings: list[Finding] = field(default_factory=list)
    pictures: bool = True


def open_parts(path: str | Path, images: Images = None) -> Opened:
    """Opens a dataset as far as it goes: bad entries left out, splits one by one, without images.

    Raises:
        DatasetError: nothing of it can be opened.
    """
    with listen() as heard:
        try:
            opened = Opened(str(path), [open_dataset(path, images=images, skip_invalid=True)])
        except DatasetError as error:
            heard.clear()
            opened = _without_images(path, images, error) or _by_split(path, images, error)
        opened.findings += _told(heard, opened)
    return opened


def _without_images(path: str | Path, images: Images, error: DatasetError) -> Opened | None:
    """The annotations alone, where opening failed for want of images."""
    if images is not None or "usable image" not in str(error):
        return None
    try:
        data = open_dataset(path, images=False, skip_invalid=True)
    except DatasetError:
        return None
    names = data.names
    told = f"none of {len(names)} images found ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})"
    return Opened(str(path), [data], [Finding("missing-image", told)], pictures=False)


def _by_split(path: str | Path, images: Images, error: DatasetError) -> Opened:
    parts = []
    for split in dict.fromkeys(SPLIT_NAMES.values()):
        try:
            parts.append(open_dataset(path, split=split, images=images, skip_invalid=True))
        except InputError:  # there is no such split, or it is what cannot be opened
            continue
    if not parts:
        raise error
    message = str(error).removeprefix(f"{path}: ")
    return Opened(str(path), parts, [Finding("splits-differ", message)])


def _told(heard: Sequence[Heard], opened: Opened) -> list[Finding]:
    rows = _Rows()
    findings = [
        finding for one in dict.fromkeys(heard) if (finding := _finding(one, rows, opened.parts)) is not None
    ]
    spoken = " ".join(one.message for one in heard)
    for part in opened.parts:
        for note in part.notes:
            known = re.sub(r"^\d+ × ", "", note)
            # A reader that reports single entries also counts them in its notes.
            if part.format != "COCO" and known not in spoken and not (heard and "left out" in note):
                findings.append(Finding("note", note))
    return findings


def _finding(one: Heard, rows: _Rows, parts: Sequence[Dataset]) -> Finding | None:
    if any(phrase in one.message for phrase in _CHECKED_HERE):
        return None
    kind = "invalid" if one.lost else "note"
    if one.lost and "image file" in one.message:
        kind = "missing-image"
    elif not one.lost:
        kind = next((name for phrase, name in _DONE if phrase in one.message), "note")
    image, identity = rows.of(one)
    split = _split_of(one.source, parts)
    return Finding(kind, one.message, one.image or image, split, identity, one.where)


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

    def of(self, one: Heard) -> tuple[str, int | None]:
        """The image's name and the object's id, as far as the file says them."""
        found = _PATH.match(one.where)
        if found is None:
            return "", None
        if one.source not in self._files:
            content = load_json(one.source)
            self._files[one.source] = content | {
                "names": {
                    row.get("id"): row.get("file_name")
                    for row in content["images"]
                    if isinstance(row, dict) and isinstance(row.get("id"), int | str)
                }
            }
        content = self._files[one.source]
        row = content[found[1]][int(found[2])]
        if not isinstance(row, dict):
            return "", None
        if found[1] == "images":
            return _text(row.get("file_name")), None
        identity, image = row.get("id"), row.get("image_id")
        name = content["names"].get(image) if isinstance(image, int | str) else None
        return _text(name), identity if type(identity) is int else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
