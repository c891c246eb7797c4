"""MOTS: tracked masks as a text file or a folder of PNG (Voigtlaender et al., CVPR 2019: KITTI-MOTS, MOTS20).

A line of the text is ``frame id class height width rle``, the last as COCO writes it; a 16-bit PNG a frame
has 1000 times the class plus the object's number in each pixel, 0 for background. Class 1 is car, 2 is
pedestrian; 10 is an ignore region, which becomes a crowd. A ``labels.txt`` beside the PNG names the classes
from 1 on.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import DatasetError, MaskError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks

from ..tracks import TrackedFrame, TrackSequence
from .label_image import read_ids

CLASSES = Labels(("car", "pedestrian"), (1, 2))
IGNORE = 10
_PER_CLASS = 1000
_LARGEST = 2**31 - 1


def read_text(path: str | Path, name: str | None = None, classes: Labels = CLASSES) -> TrackSequence:
    """A text file of one sequence; lines are decoded when their frame is asked for, only their place is kept.

    Args:
        path: the file; its lines may be in any order.
        name: of the sequence; default the file's.
        classes: whose ids the lines have.

    Raises:
        DatasetError: the file cannot be read, or a line does not begin with a frame number.
    """
    path = Path(path)
    numbers, places, lines = array("q"), array("q"), array("q")
    place = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                words = line.split(None, 1)
                if words:
                    numbers.append(_number(words[0], path, number, "a frame"))
                    places.append(place)
                    lines.append(number)
                place += len(line)
    except OSError as error:
        raise DatasetError(f"{path}: expected a text file of masks, got {error.strerror}; check it") from None
    found = np.asarray(numbers, np.int64)
    order = np.argsort(found, kind="stable")
    frames = np.unique(found)
    index = _Index(
        path, found[order], np.asarray(places, np.int64)[order], np.asarray(lines, np.int64)[order], classes
    )
    size = index.size() if len(found) else None
    return TrackSequence(
        path.stem if name is None else name, tuple(frames.tolist()), classes, index.decode, path, size=size
    )


def _number(word: bytes, path: Path, line: int, what: str) -> int:
    if not word.isdigit() or len(word) > 19 or int(word) > _LARGEST:
        raise DatasetError(
            f"{path}: line {line}: expected {what} as a whole number, got "
            f"{word[:20].decode(errors='replace')!r}; lines are `frame id class height width rle`"
        )
    return int(word)


@dataclass(frozen=True)
class _Index:
    """Where the lines of each frame stand in a file, sorted by frame; (N,) each."""

    path: Path
    frame: NDArray[np.int64]
    place: NDArray[np.int64]
    line: NDArray[np.int64]
    classes: Labels = CLASSES

    def decode(self, frame: int) -> TrackedFrame:
        """The objects of one frame, in the order of the file."""
        first, last = np.searchsorted(self.frame, (frame, frame + 1)).tolist()
        ids, labels, rles, sizes, names = [], [], [], [], []
        with self.path.open("rb") as file:
            for place, line in zip(
                self.place[first:last].tolist(), self.line[first:last].tolist(), strict=True
            ):
                file.seek(place)
                track, label, height, width, text = self._fields(file.readline(), line)
                ids.append(track)
                labels.append(label)
                sizes.append((height, width))
                rles.append({"size": [height, width], "counts": text})
                names.append(f"{self.path}: line {line}")
        if len(set(sizes)) > 1:
            raise DatasetError(
                f"{names[-1]}: expected one size of frame {frame}, got {sorted(set(sizes))}; correct it"
            )
        try:
            masks = Masks.from_rle(rles, names=names)
        except MaskError as error:
            raise DatasetError(str(error)) from None
        return _frame(frame, masks, np.array(ids), np.array(labels), self.classes, str(self.path))

    def size(self) -> tuple[int, int]:
        """(height, width) as the first line says."""
        with self.path.open("rb") as file:
            file.seek(int(self.place[0]))
            _, _, height, width, _ = self._fields(file.readline(), int(self.line[0]))
        return height, width

    def _fields(self, line: bytes, number: int) -> tuple[int, int, int, int, str]:
        words = line.split()
        if len(words) != 6 or not words[5].isascii():
            raise DatasetError(
                f"{self.path}: line {number}: expected `frame id class height width rle`, got {len(words)} "
                f"words: {line[:40].decode(errors='replace').strip()!r}; correct the line"
            )
        names = ("an id", "a class", "a height", "a width")
        track, label, height, width = (
            _number(word, self.path, number, name) for word, name in zip(words[1:5], names, strict=True)
        )
        return track, label, height, width, words[5].decode()


def _frame(
    number: int, masks: Masks, ids: NDArray[np.int64], classes: NDArray[np.int64], labels: Labels, where: str
) -> TrackedFrame:
    ignored = (classes == IGNORE) if IGNORE not in labels.ids else np.zeros(len(classes), np.bool_)
    unknown = np.setdiff1d(classes[~ignored], labels.ids)
    if len(unknown):
        raise DatasetError(
            f"{where}: frame {number}: expected classes {', '.join(map(str, labels.ids))} or {IGNORE} "
            f"(an ignore region), got {unknown[0]}; map the classes first"
        )
    index = {dataset_id: k for k, dataset_id in enumerate(labels.ids)} | {IGNORE: 0}
    return TrackedFrame(
        number,
        Instances(
            masks.size,
            masks=masks,
            ids=ids,
            labels=[
                index[c] if not hidden else 0 for c, hidden in zip(classes.tolist(), ignored, strict=True)
            ],  # type: ignore[arg-type]
            crowd=ignored,
            classes=labels,
        ),
    )


def is_png_folder(folder: Path) -> bool:
    """Whether a folder holds PNG named by frame numbers, itself or in ``instances/``."""
    return bool(_png_files(folder))


def _png_files(folder: Path) -> dict[int, Path]:
    inside = folder / "instances" if (folder / "instances").is_dir() else folder
    named = [p for p in inside.iterdir() if p.suffix.lower() == ".png" and p.stem.isdigit()]
    return {int(path.stem): path for path in sorted(named, reverse=True)}


def read_png(folder: str | Path, name: str | None = None) -> TrackSequence:
    """A folder of 16-bit PNG, one a frame, named by its number; decoded when asked for.

    Raises:
        DatasetError: no PNG named by numbers.
    """
    folder = Path(folder)
    files = _png_files(folder) if folder.is_dir() else {}
    if not files:
        raise DatasetError(
            f"{folder}: expected PNG files named by frame numbers, such as 000000.png, got none; "
            "check the folder"
        )
    frames = tuple(sorted(files))
    labels = read_labels(files[frames[0]].with_name("labels.txt"))
    decode = partial(_decode_png, files, labels)
    return TrackSequence(folder.name if name is None else name, frames, labels, decode, folder, complete=True)


def read_labels(path: Path) -> Labels:
    """The classes that a ``labels.txt`` names from 1 on; without the file car and pedestrian.

    A tenth one called ``ignore`` is the ignore region and no class.
    """
    if not path.is_file():
        return CLASSES
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    listed = list(enumerate((line.strip() for line in lines if line.strip()), 1))
    names = [(number, name) for number, name in listed if (number, name) != (IGNORE, "ignore")]
    return Labels(tuple(n for _, n in names), tuple(k for k, _ in names)) if names else CLASSES


def _decode_png(files: dict[int, Path], labels: Labels, frame: int) -> TrackedFrame:
    path = files[frame]
    pixels = read_ids(path)
    masks = Masks.from_label_image(pixels)
    first = masks.runs.offsets[:-1]
    ids = pixels[masks.runs.y[first], masks.runs.x[first]]
    return _frame(frame, masks, ids, ids // _PER_CLASS, labels, str(path))
