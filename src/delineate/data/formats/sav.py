"""SA-V's masklets (Ravi et al. 2024, "SAM 2", appendix D): a JSON file of tracks for each video.

``masklet`` has an entry for each annotated frame, every fourth of the video (6 of 24 a second), and in it
COCO's run lengths for each object of ``masklet_id``. Frames are images in a folder called as the video or as
``JPEGImages_24fps/VIDEO``; else those annotated are taken out of ``VIDEO.mp4``, once, into the cache. Each
file is a sequence. Objects have no class: all are ``object``.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np

from delineate.core.errors import DatasetError, MaskError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks

from ..find import natural_order
from ..records import Dataset, Record
from ..sniff import SUFFIXES
from ..video import frames
from ..write import write_png
from .coco_check import Findings
from .drawn import json_files, some_files
from .embedded_image import cache_folder
from .image_search import Images
from .json_file import load_json

STEP = 4
"""Frames of the video from one that is annotated to the next."""
_FOLDERS = ("", "JPEGImages_24fps", "JPEGImages", "frames", "images")


class _Masklets(msgspec.Struct):
    """What is read of a file."""

    video_id: str
    video_height: float
    video_width: float
    masklet: list[list[dict[str, Any]]]
    masklet_id: list[Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]]


class Place(NamedTuple):
    """Where an image's masks stand: the file, and the entry of ``masklet``."""

    file: Path
    entry: int


def recognise(path: Path) -> bool:
    """Whether it is a file of masklets, or a folder that has one among its first JSON files."""
    try:
        files = some_files(path, (".json",)) if path.is_dir() else [path]
        return any(map(_is_sav, files))
    except OSError:
        return False


def _is_sav(path: Path) -> bool:
    if path.suffix.lower() != ".json":
        return False
    with path.open("rb") as file:
        head = file.read(4096)
    return b'"masklet"' in head and b'"video_id"' in head


def read(path: str | Path, images: Images = None, skip_invalid: bool = False) -> Dataset:
    """Reads a folder of SA-V's JSON files, or one; masks are decoded when asked for.

    Columns: ``sequence``, the file's name without its ending, and ``frame``, the number in the video. The
    ``ids`` of the objects are their masklets.

    Args:
        path: the folder or the file.
        images: the folder that holds the folders of frames, or the videos; False asks for none.
        skip_invalid: leave malformed files out, counted in ``notes``, instead of refusing.

    Raises:
        DatasetError: nothing annotated, a malformed file, or no frames.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    files = [f for f in json_files(folder) if _is_sav(f)] if path.is_dir() else [path]
    findings = Findings(path)
    records: list[Record] = []
    for file in files:
        try:
            content = _content(file)
            pictures = _pictures(content, file, images)
        except DatasetError as error:
            findings.problems.append(str(error).split("; ")[0])
            continue
        size = (int(content.video_height), int(content.video_width))
        for index, picture in enumerate(pictures):
            groups = {"sequence": file.stem, "frame": str(STEP * index)}
            name = f"{file.stem}/{STEP * index:05d}{picture.suffix}"
            records.append(Record(name, picture, len(records) + 1, size, Place(file, index), groups))
    notes = findings.settle(skip_invalid)
    if not records:
        raise DatasetError(f"{path}: expected SA-V files with masklets, got none that can be used")
    return Dataset(tuple(records), Labels(("object",)), decode, "SA-V", path, notes)


@lru_cache(maxsize=4)
def _content(file: Path) -> _Masklets:
    try:
        found = msgspec.convert(load_json(file), _Masklets)
    except msgspec.ValidationError as error:
        raise DatasetError(
            f"{file}: expected masklets as SA-V has them, got {error}; fetch it again"
        ) from None
    wrong = [i for i, row in enumerate(found.masklet) if len(row) != len(found.masklet_id)]
    if wrong or found.video_height < 1 or found.video_width < 1:
        raise DatasetError(
            f"{file}: expected {len(found.masklet_id)} masks in each entry of masklet and a size above 0, "
            f"got others (entry {wrong[0] if wrong else '-'}); fetch it again"
        )
    return found


def _pictures(content: _Masklets, file: Path, images: Images) -> list[Path]:
    """The picture of each annotated frame."""
    count = len(content.masklet)
    if images is False:
        return [Path(f"{STEP * index:05d}.jpg") for index in range(count)]
    name = Path(content.video_id).name
    if len(name) > 200 or "\0" in name:
        raise DatasetError(f"{file}: expected the name of a video as video_id, got none; fetch it again")
    roots = [Path(images)] if images is not None else [file.parent, file.parent.parent]
    for root in roots:
        for inside in _FOLDERS:
            folder = root / inside / name
            if not folder.is_dir():
                continue
            found = natural_order(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
            for step in (STEP, 1):
                if len(found) > step * (count - 1):
                    return found[::step][:count]
            raise DatasetError(
                f"{folder}: expected the video's frames, {STEP * (count - 1) + 1} or {count}, got "
                f"{len(found)}; take them out of the video again"
            )
        video = root / f"{name}.mp4"
        if video.is_file():
            return _taken_out(video, count)
    raise DatasetError(
        f"{file}: expected {name}.mp4 or a folder {name} with its frames beside it, got neither; name the "
        "folder that has them (`--image-folder`)"
    )


def _taken_out(video: Path, count: int) -> list[Path]:
    """The annotated frames of a video as PNG in the cache."""
    state = video.stat()
    folder = cache_folder() / "sav" / f"{video.stem}-{state.st_size}-{state.st_mtime_ns}"
    wanted = [folder / f"{STEP * index:05d}.png" for index in range(count)]
    if all(path.is_file() for path in wanted):
        return wanted
    folder.mkdir(parents=True, exist_ok=True)
    for frame in frames(video):
        if frame.number % STEP == 0 and frame.number // STEP < count:
            write_png(folder / f"{frame.number:05d}.png", frame.pixels)
    missing = [path for path in wanted if not path.is_file()]
    if missing:
        raise DatasetError(
            f"{video}: expected {STEP * (count - 1) + 1} frames, got fewer (no {missing[0].stem}); "
            "fetch it again"
        )
    return wanted


def decode(record: Record, classes: Labels) -> tuple[Instances, tuple[str, ...]]:
    """The objects that are seen in one frame.

    Raises:
        DatasetError: run lengths that are damaged or of another size.
    """
    place: Place = record.annotation
    content = _content(place.file)
    assert record.size is not None
    names = [f"masklet[{place.entry}][{k}]" for k in range(len(content.masklet_id))]
    try:
        masks = Masks.from_rle(content.masklet[place.entry], record.size, names)
    except MaskError as error:
        raise DatasetError(f"{place.file}: {error}") from None
    seen = np.flatnonzero(masks.area)
    ids = np.array(content.masklet_id, np.int64)[seen]
    return Instances(record.size, masks=masks[seen], ids=ids, classes=classes), ()
