"""Cell Tracking Challenge folders: a label image a frame, ids are tracks, a text file tells parents.

A result is a folder such as ``01_RES`` with ``mask000.tif``, .. and ``res_track.txt``; the truth is a folder
such as ``01_GT`` with ``TRA/man_track000.tif``, .. and ``TRA/man_track.txt``, and maybe with
``SEG/man_seg000.tif`` for some or all frames. A text file has a line for each track: id, first frame, last
frame (from 0), id of the parent or 0 (celltrackingchallenge.net, "Naming and file content conventions").
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from delineate.core.errors import DatasetError, InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.lineage import Lineage
from delineate.core.masks import Masks

from ..limits import MAX_PIXELS
from ..tiff import read_tiff
from ..tracks import TrackedFrame, TrackSequence
from .label_image import read_ids

CELL = Labels(("cell",))
_TIFF = (".tif", ".tiff")
_RESULT, _MARKERS, _SEGMENTATION = "mask", "man_track", "man_seg"


def is_sequence(path: Path) -> bool:
    """Whether a folder is one sequence, result or truth, by its text file."""
    return any((path / name).is_file() for name in ("res_track.txt", "man_track.txt", "TRA/man_track.txt"))


def is_dataset(path: Path) -> bool:
    """Whether a folder holds sequences such as ``01_GT`` or ``01_RES``."""
    return path.is_dir() and bool(_sequences(path))


def _sequences(path: Path) -> list[Path]:
    ending = re.compile(r"\d+_(GT|RES)", re.IGNORECASE)
    return sorted(p for p in path.iterdir() if p.is_dir() and ending.fullmatch(p.name) and is_sequence(p))


def read_all(path: str | Path, truth: bool = False) -> list[TrackSequence]:
    """One sequence, or all of a folder of sequences.

    Args:
        path: the folder.
        truth: of ``01_RES`` and ``01_GT`` side by side take the truth; else the result.

    Raises:
        DatasetError: no sequence, or one that is not well formed.
    """
    path = Path(path)
    if is_sequence(path):
        return [read(path)]
    found = _sequences(path) if path.is_dir() else []
    if not found:
        raise DatasetError(
            f"{path}: expected a folder of the Cell Tracking Challenge with res_track.txt or "
            "TRA/man_track.txt, or a folder of such (01_RES, 01_GT), got none; check the path"
        )
    chosen: dict[str, Path] = {}
    for folder in found[::-1] if truth else found:  # GT sorts before RES; the later one takes the place
        chosen[folder.name.split("_")[0]] = folder
    return [read(chosen[name]) for name in sorted(chosen)]


def read(folder: str | Path) -> TrackSequence:
    """One sequence; frames are decoded one at a time, when they are asked for.

    Args:
        folder: with ``res_track.txt`` (a result), or with ``TRA/man_track.txt`` or ``man_track.txt`` (truth).
            Truth with ``SEG/`` has it as ``segmentation``.

    Raises:
        DatasetError: files missing or twice, a text file that is not well formed.
    """
    folder = Path(folder)
    if (folder / "res_track.txt").is_file():
        return _label_images(folder, _RESULT, "res_track.txt", None)
    markers = folder / "TRA" if (folder / "TRA" / "man_track.txt").is_file() else folder
    if not (markers / "man_track.txt").is_file():
        raise DatasetError(
            f"{folder}: expected res_track.txt, or TRA/man_track.txt, got neither; give a folder of the Cell "
            "Tracking Challenge such as 01_RES or 01_GT"
        )
    outlines = (folder if markers != folder else folder.parent) / "SEG"
    segmentation = _label_images(outlines, _SEGMENTATION, None, None) if outlines.is_dir() else None
    return _label_images(markers, _MARKERS, "man_track.txt", segmentation)


def _label_images(
    folder: Path, prefix: str, text: str | None, segmentation: TrackSequence | None
) -> TrackSequence:
    files = _numbered(folder, prefix)
    frames = tuple(sorted(files))
    if text is not None and frames != tuple(range(len(frames))):
        lost = min(set(range(len(frames))) - set(frames))
        raise DatasetError(
            f"{folder}: expected a label image of every frame from 0 on, got none of frame {lost}; "
            f"add {prefix}{lost:03d}.tif (all 0 for an empty frame)"
        )
    lineage = read_lineage(folder / text) if text is not None else None
    decode: Callable[[int], TrackedFrame] = partial(_decode, files)
    name = folder.parent.name if folder.name in ("TRA", "SEG") else folder.name
    name = re.sub(r"_(GT|RES)$", "", name, flags=re.IGNORECASE)
    return TrackSequence(
        name, frames, CELL, decode, folder, complete=True, lineage=lineage, segmentation=segmentation
    )


def _numbered(folder: Path, prefix: str) -> dict[int, Path]:
    """The label images of a folder by frame number."""
    found: dict[int, Path] = {}
    pattern = re.compile(rf"{prefix}_?(\d+)((?:_\d+)?)")
    for path in sorted(folder.iterdir()):
        name = pattern.fullmatch(path.stem) if path.suffix.lower() in _TIFF else None
        if name is None:
            continue
        if name[2]:
            raise DatasetError(
                f"{path}: expected label images of whole frames, got a slice of a volume; "
                "volumes are not read, choose a sequence in 2-D"
            )
        if int(name[1]) in found:
            raise DatasetError(
                f"{path}: expected one file for each frame, got also {found[int(name[1])].name}"
            )
        found[int(name[1])] = path
    if not found:
        raise DatasetError(
            f"{folder}: expected label images {prefix}000.tif and so on, got none; check the folder"
        )
    return found


def _decode(files: dict[int, Path], frame: int) -> TrackedFrame:
    path = files[frame]
    _refuse_volume(path)
    labels = read_ids(path)
    masks = Masks.from_label_image(labels)
    first = masks.runs.offsets[:-1]
    ids = labels[masks.runs.y[first], masks.runs.x[first]]
    height, width = labels.shape
    return TrackedFrame(frame, Instances((height, width), masks=masks, ids=ids, classes=CELL))


def _refuse_volume(path: Path) -> None:
    try:
        with path.open("rb") as file:
            header = read_tiff(
                file, str(path), page=None, channels=(0,), max_pixels=MAX_PIXELS, raw=True, header_only=True
            )
    except InputError as error:
        raise DatasetError(str(error)) from None
    if header.pages > 1:
        raise DatasetError(
            f"{path}: expected a label image in 2-D, got {header.pages} planes; volumes are not read, "
            "choose a sequence in 2-D"
        )


def read_lineage(path: str | Path) -> Lineage:
    """The tracks of ``res_track.txt`` or ``man_track.txt``.

    Raises:
        DatasetError: not four whole numbers in each line, or they do not fit together.
    """
    path = Path(path)
    rows: list[list[int]] = []
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: expected a text file of tracks, got {error}; save it again") from None
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words:
            continue
        if len(words) != 4 or not all(re.fullmatch(r"\d{1,10}", word) for word in words):
            raise DatasetError(
                f"{path}: line {number}: expected four whole numbers (track, first frame, last frame, "
                f"parent), got {line.strip()[:60]!r}; correct the line"
            )
        rows.append([int(word) for word in words])
    table = np.array(rows, dtype=np.int64).reshape(-1, 4)
    try:
        return Lineage(table[:, 0], table[:, 1], table[:, 2], table[:, 3], str(path))
    except InputError as error:
        raise DatasetError(str(error)) from None
