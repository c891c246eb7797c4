"""KITTI's tracks of boxes (Geiger et al., "Are we ready for autonomous driving?", CVPR 2012): a text a video.

A line of ``label_02/0000.txt`` is ``frame track type truncated occluded alpha left top right bottom``, then
height, width, length, the place in the camera's axes and the turn about its upright one, and in results a
score. Boxes are xyxy from 0. ``DontCare`` is an ignore region, which becomes a crowd. Images lie in
``image_02/0000/000000.png``.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import DatasetError
from delineate.core.instances import Instances
from delineate.core.labels import Labels

from ..find import natural_key
from ..images import read_size
from ..losses import Losses
from ..place import Place
from ..records import SPLIT_NAMES, Dataset
from ..track_dataset import Film, dataset, frame_number, numbered_images, sequences
from ..tracks import TrackedFrame, TrackSequence
from ..write import atomic
from .image_search import Images

CLASSES = Labels(
    ("Car", "Van", "Truck", "Pedestrian", "Person_sitting", "Cyclist", "Tram", "Misc"), tuple(range(1, 9))
)
IGNORE = "DontCare"
LABELS, IMAGES = "label_02", "image_02"
SIZE = (375, 1242)
"""(height, width) of most of KITTI's images; a box that reaches further tells another."""
_LINE = re.compile(rb"\s*\d+\s+-?\d+\s+[A-Za-z_]+(\s+[-+.eE\d]+){7,15}\s*")
_UNKNOWN = "-1 -1 -10"
_NO_PLACE = "-1 -1 -1 -1000 -1000 -1000 -10"


def is_text(start: bytes) -> bool:
    """Whether a text begins with such a line."""
    line = start.lstrip().splitlines()[:1]
    return bool(line) and _LINE.fullmatch(line[0]) is not None


def read_tracks(
    path: str | Path, name: str | None = None, size: tuple[int, int] | None = None
) -> TrackSequence:
    """A text of one sequence.

    Args:
        path: the file; its lines may be in any order.
        name: of the sequence; default the file's.
        size: (height, width) of its images; default KITTI's usual one, or as far as the boxes reach.

    Raises:
        DatasetError: it cannot be read, or a line is not well formed.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: expected a text file of boxes, got {error}; check it") from None
    rows = [_row(line.split(), f"{path}: line {k}") for k, line in enumerate(lines, 1) if line.strip()]
    table = np.array(rows, np.float64).reshape(-1, 8)
    table = table[np.argsort(table[:, 0], kind="stable")]
    frames = np.unique(table[:, 0]).astype(np.int64)
    far = np.ceil(table[:, 5:7].max(axis=0, initial=1.0)).astype(int).tolist()
    reach = (max(SIZE[0], min(far[1], 2**15)), max(SIZE[1], min(far[0], 2**15)))
    size = reach if size is None else size
    decode = partial(_decode, table, size)
    return TrackSequence(
        path.stem if name is None else name, tuple(frames.tolist()), CLASSES, decode, path, "box", size
    )


def _row(words: list[str], where: str) -> tuple[float, ...]:
    """Frame, track, class (-1: ignored), box, score."""
    if len(words) not in (10, 17, 18):
        raise DatasetError(
            f"{where}: expected 17 words, or 18 with a score, got {len(words)}; lines are `frame track type "
            "truncated occluded alpha left top right bottom ..`"
        )
    if words[2] != IGNORE and words[2] not in CLASSES.names:
        raise DatasetError(
            f"{where}: expected one of {', '.join(CLASSES.names)} or {IGNORE}, got {words[2][:20]!r}"
        )
    kind = -1 if words[2] == IGNORE else CLASSES.names.index(words[2])
    try:
        frame, track = int(words[0]), int(words[1])
        box = [float(word) for word in words[6:10]]
        score = float(words[17]) if len(words) == 18 else 1.0
    except ValueError as error:
        raise DatasetError(f"{where}: expected numbers, got: {error}; correct the line") from None
    if frame < 0 or not np.isfinite([*box, score]).all() or box[2] < box[0] or box[3] < box[1]:
        raise DatasetError(
            f"{where}: expected a frame >= 0 and left <= right, top <= bottom; correct the line"
        )
    if track < 0 and kind >= 0:
        raise DatasetError(f"{where}: expected the id of a track, >= 0, got {track}; correct the line")
    return frame, track, kind, *box, score


def _decode(table: NDArray[np.float64], size: tuple[int, int], frame: int) -> TrackedFrame:
    first, last = np.searchsorted(table[:, 0], (frame, frame + 1))
    here = table[first:last]
    boxes = here[:, 3:7]
    objects = Instances(
        size, boxes=boxes.astype(np.float32), labels=np.maximum(here[:, 2], 0).astype(np.int64),
        scores=_probability(here[:, 7]), ids=here[:, 1].astype(np.int64), crowd=here[:, 2] < 0,
        classes=CLASSES,
    )  # fmt: skip
    return TrackedFrame(frame, objects, boxes)


def _probability(scores: NDArray[np.float64]) -> NDArray[np.float32]:
    """Scores in 0..1; those of tools that write others are cut."""
    return np.clip(scores, 0, 1).astype(np.float32)


def _texts(path: Path) -> list[tuple[str, Path, Path]]:
    """(split, text, folder of its images) of each sequence."""
    found = []
    for root in [path, *sorted(p for p in path.iterdir() if p.is_dir() and p.name.lower() in SPLIT_NAMES)]:
        split = SPLIT_NAMES.get(root.name.lower(), "")
        inside = root / LABELS if (root / LABELS).is_dir() else None
        files = sorted(inside.glob("*.txt"), key=lambda p: natural_key(p.name)) if inside else []
        found += [(split, file, root / IMAGES / file.stem) for file in files]
    return found


def recognise(path: Path) -> bool:
    """Whether a folder has ``label_02/`` with such texts, itself or in its splits."""
    try:
        first = next(iter(_texts(path)), None) if path.is_dir() else None
        return first is not None and is_text(first[1].read_bytes()[:4096])
    except OSError:
        return False


def read(path: str | Path, images: Images = None, skip_invalid: bool = False) -> Dataset:
    """Reads KITTI's tracks. Columns: ``sequence``, ``frame``, maybe ``split``.

    Args:
        path: the folder with ``label_02/`` and ``image_02/``, or of splits of such.
        images: holds a folder of images for each sequence, in place of ``image_02/``; False asks for none.
        skip_invalid: leave frames without an image out, counted in ``notes``, instead of refusing.

    Raises:
        DatasetError: no texts, malformed, or images that are missing.
    """
    path = Path(path)
    films = []
    for split, file, folder in _texts(path) if path.is_dir() else ():
        found = numbered_images(Path(images) / file.stem if images else folder)
        size = read_size(next(iter(found.values()))) if found and images is not False else None
        tracks = read_tracks(file, size=size)
        films.append(Film(tracks, None if images is False else found, split))
    if not films:
        raise DatasetError(f"{path}: expected {LABELS}/0000.txt, got none; check the path")
    return dataset(films, CLASSES, "KITTI tracking", path, skip_invalid)


def write(out: Path, data: Dataset, losses: Losses, place: Place) -> None:
    """Writes ``[SPLIT/]label_02/NAME.txt`` and ``image_02/NAME/``: boxes; what KITTI calls unknown is so.

    Classes are matched by name (person and pedestrian, rider and cyclist); others are ``Misc``, counted.

    Raises:
        DatasetError: images of no video, or an annotation that cannot be read.
    """
    names = [_named(name) for name in data.classes.names]
    for (split, name), indices in sequences(data).items():
        stem = re.sub(r"[^A-Za-z0-9._-]", "_", name) or "0000"
        folder = out / split / LABELS
        folder.mkdir(parents=True, exist_ok=True)
        with atomic(folder / f"{stem}.txt") as temporary, temporary.open("w", encoding="ascii") as file:
            for index in indices:
                record, truth = data.records[index], data.truth(index)
                number = frame_number(record)
                place(record, out / split / IMAGES / stem / f"{number:06d}{record.path.suffix}")
                losses.count("masks", record.name, len(truth) if truth.masks is not None else 0)
                losses.count("classes", record.name, sum(names[k] is None for k in truth.labels.tolist()))
                file.writelines(_lines(truth, number, names))


def _named(name: str) -> str | None:
    """KITTI's name of a class, or None."""
    known = {own.lower(): own for own in CLASSES.names}
    known |= {
        "person": "Pedestrian",
        "rider": "Cyclist",
        "bicycle": "Cyclist",
        "bus": "Truck",
        "train": "Tram",
    }
    return known.get(name.lower())


def _lines(truth: Instances, number: int, names: list[str | None]) -> list[str]:
    ids = np.arange(1, len(truth) + 1) if truth.ids is None else truth.ids
    scored = bool((truth.scores < 1).any())
    found = []
    for k in range(len(truth)):
        kind = IGNORE if truth.crowd[k] else names[int(truth.labels[k])] or "Misc"
        track = -1 if truth.crowd[k] else int(ids[k])
        box = " ".join(f"{value:.6f}" for value in truth.boxes[k].tolist())
        score = f" {float(truth.scores[k]):.6f}" if scored else ""
        found.append(f"{number} {track} {kind} {_UNKNOWN} {box} {_NO_PLACE}{score}\n")
    return found
