"""MOT Challenge: tracked boxes as text (Milan et al., "MOT16: A Benchmark for Multi-Object Tracking", 2016).

A line is ``frame,id,left,top,width,height,confidence,..``, frames and pixels counted from 1. In the truth,
``SEQUENCE/gt/gt.txt``, the confidence is 0 for objects that are not judged, and a class follows; results have
-1 there or nothing. ``SEQUENCE/seqinfo.ini`` tells the length and the frames' size.
"""

from __future__ import annotations

import configparser
import warnings
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import DatasetError
from delineate.core.instances import Instances
from delineate.core.labels import Labels

from ..tracks import TrackedFrame, TrackSequence

CLASSES = Labels(
    (
        "pedestrian", "person on vehicle", "car", "bicycle", "motorbike", "non-motorized vehicle",
        "static person", "distractor", "occluder", "occluder on the ground", "occluder full", "reflection",
        "crowd",
    )
)  # fmt: skip
"""The classes of the truth, 1 to 13; pedestrians are judged."""
_LARGEST = 2**31 - 1


def read(
    path: str | Path,
    truth: bool = False,
    name: str | None = None,
    info: str | Path | None = None,
    detections: bool = False,
) -> TrackSequence:
    """A text file of one sequence.

    Args:
        path: the file; its lines may be in any order.
        truth: whether it is the truth, where the seventh number says what is judged and the eighth the class.
        name: of the sequence; default the file's, or the folder's above ``gt/gt.txt``.
        info: ``seqinfo.ini``; default two folders up, where it is there.
        detections: whether the id -1, of boxes without a track, is taken too.

    Raises:
        DatasetError: the file cannot be read, or is not well formed.
    """
    path = Path(path)
    rows = _table(path)
    if truth and rows.shape[1] < 8 and len(rows):
        raise DatasetError(
            f"{path}: expected at least 8 numbers in a line of the truth, got {rows.shape[1]}; "
            "is this a file of results?"
        )
    _check(rows, path, truth, -1 if detections else 0)
    info = Path(info) if info is not None else path.parent.parent / "seqinfo.ini"
    length, size = _seqinfo(info) if info.is_file() else (None, None)
    rows = rows[np.argsort(rows[:, 0], kind="stable")]  # the order of the file stays within a frame
    used = np.unique(rows[:, 0]).astype(np.int64)
    if length is not None and len(used) and not 1 <= used[0] <= used[-1] <= length:
        raise DatasetError(
            f"{path}: expected frames 1 to {length} as {info.name} says, got {used[0]} to {used[-1]}; "
            "correct one of them"
        )
    if size is None:
        far = np.ceil((rows[:, 2:4] + rows[:, 4:6]).max(axis=0, initial=1.0))
        width, height = np.clip(far, 1, 2**15).astype(int).tolist()
        size = (height, width)
    frames = tuple(range(1, length + 1)) if length is not None else tuple(used.tolist())
    if name is None:
        name = path.parent.parent.name if path.name == "gt.txt" else path.stem
    decode = partial(_decode, rows, size, truth)
    return TrackSequence(
        name, frames, CLASSES, decode, path, kind="box", size=size, complete=length is not None
    )


def _table(path: Path) -> NDArray[np.float64]:
    """(N, C) numbers of the file; C at least 7."""
    try:
        if not path.read_bytes().strip():
            return np.zeros((0, 10))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # empty lines
            rows = np.loadtxt(path, delimiter=",", ndmin=2, dtype=np.float64, comments=None)
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: expected a text file of boxes, got {error}; check it") from None
    except ValueError as error:
        raise DatasetError(
            f"{path}: expected lines `frame,id,left,top,width,height,confidence,..` of numbers, "
            f"got: {str(error).splitlines()[0][:100]}; correct the line"
        ) from None
    if rows.shape[1] < 7:
        raise DatasetError(
            f"{path}: expected lines `frame,id,left,top,width,height,confidence,..`, got {rows.shape[1]} "
            "numbers in a line; correct it"
        )
    return rows


def _check(rows: NDArray[np.float64], path: Path, truth: bool, least: int) -> None:
    """Whole frame numbers and ids, finite boxes, known classes."""
    classes = rows[:, 7] if rows.shape[1] > 7 else np.full(len(rows), -1.0)
    known = np.isin(classes, (*CLASSES.ids, -1)) if truth else np.isin(classes, (1, -1))
    checks = (
        (np.isfinite(rows[:, :7]).all(axis=1), "finite numbers"),
        (_whole(rows[:, 0], 0), "a whole frame number >= 0"),
        (_whole(rows[:, 1], least), "the id of a track, a whole number >= 0 (-1 is for detections)"),
        ((rows[:, 4:6] >= 0).all(axis=1), "a width and height >= 0"),
        (known, "a class 1 to 13" if truth else "class 1 or -1: only pedestrians are judged"),
    )
    for good, expected in checks:
        if not good.all():
            k = int(np.argmin(good))
            raise DatasetError(
                f"{path}: box {k + 1}: expected {expected}, got {','.join(f'{v:g}' for v in rows[k])[:60]}; "
                "correct the line"
            )


def _whole(values: NDArray[np.float64], least: int) -> NDArray[np.bool_]:
    return (values == np.floor(values)) & (values >= least) & (values <= _LARGEST)


def _seqinfo(path: Path) -> tuple[int | None, tuple[int, int] | None]:
    """The number of frames and their (height, width), where the file says them."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text(encoding="utf-8-sig"))
        part = parser["Sequence"]
        length = part.getint("seqLength")
        height, width = part.getint("imHeight"), part.getint("imWidth")
    except (OSError, UnicodeDecodeError, configparser.Error, KeyError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DatasetError(
            f"{path}: expected a [Sequence] with seqLength, got: {reason}; correct it"
        ) from None
    return length, (height, width) if height and width else None


def _decode(rows: NDArray[np.float64], size: tuple[int, int], truth: bool, frame: int) -> TrackedFrame:
    first, last = np.searchsorted(rows[:, 0], (frame, frame + 1))
    here = rows[first:last]
    boxes = np.concatenate((here[:, 2:4], here[:, 2:4] + here[:, 4:6]), axis=1)  # as the file counts, from 1
    classes = here[:, 7].astype(np.int64) if truth else np.full(len(here), -1)
    objects = Instances(
        size,
        boxes=(boxes - 1).astype(np.float32),
        labels=np.where(classes < 1, 0, classes - 1),
        scores=np.ones(len(here), np.float32) if truth else np.clip(here[:, 6], 0, 1).astype(np.float32),
        ids=here[:, 1].astype(np.int64),
        classes=CLASSES,
    )
    return TrackedFrame(frame, objects, boxes, here[:, 6] != 0 if truth else None)
