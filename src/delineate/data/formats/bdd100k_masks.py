"""BDD100K's bitmasks: a PNG of four channels a frame, ``labels/seg_track_20/bitmasks/SPLIT/VIDEO/*.png``.

Red is the class, 1 to 8; green has the bits truncated (8), occluded (4), crowd (2) and ignored (1); blue and
alpha are the high and low byte of the track. Crowds and ignored objects become crowd regions.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import DatasetError
from delineate.core.instances import Instances
from delineate.core.masks import Masks

from ..find import natural_key
from ..losses import Losses
from ..painted import paint
from ..place import Place, safe_name
from ..png import decode_png
from ..records import SPLIT_NAMES, Dataset, Record
from ..track_dataset import Film, dataset, frame_number, numbered_images, sequences
from ..tracks import TrackedFrame, TrackSequence
from ..write import write_png
from .image_search import Images
from .scalabel import CLASSES, IGNORED, SAME

FOLDER = "seg_track_20"
CROWD, IGNORE = 2, 1
LARGEST = 2**16 - 1
_NAME = re.compile(r"(.+)-(\d{3,})\.png", re.IGNORECASE)


def is_folder(folder: Path) -> bool:
    """Whether a folder holds PNG called ``VIDEO-0000001.png``, with four channels."""
    first = next(iter(_files(folder).values()), None) if folder.is_dir() else None
    if first is None:
        return False
    with first.open("rb") as file:
        head = file.read(26)
    return head[:8] == b"\x89PNG\r\n\x1a\n" and head[24:26] == b"\x08\x06"  # 8 bits, RGBA


def _files(folder: Path) -> dict[int, Path]:
    """Frame number, from 0, to its picture; numbers in names begin at 1."""
    named = ((path, _NAME.fullmatch(path.name)) for path in folder.iterdir())
    found = {int(match[2]) - 1: path for path, match in named if match}
    return {number: found[number] for number in sorted(found)}


def read_tracks(folder: str | Path, name: str | None = None) -> TrackSequence:
    """A folder of one video's pictures; decoded when asked for.

    Raises:
        DatasetError: no such pictures.
    """
    folder = Path(folder)
    files = _files(folder) if folder.is_dir() else {}
    if not files:
        raise DatasetError(f"{folder}: expected PNG such as VIDEO-0000001.png, got none; check the folder")
    decode = partial(_decode, files)
    return TrackSequence(name or folder.name, tuple(files), CLASSES, decode, folder, complete=True)


def _decode(files: dict[int, Path], frame: int) -> TrackedFrame:
    path = files[frame]
    try:
        pixels: NDArray[np.uint8] = decode_png(path.read_bytes())
    except (OSError, RuntimeError, ValueError) as error:
        raise DatasetError(f"{path}: expected a whole PNG, got a damaged one: {error}") from None
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 4:
        raise DatasetError(
            f"{path}: expected a bitmask of four 8-bit channels, got {pixels.shape} {pixels.dtype}; give the "
            "pictures of bitmasks/, not of colormaps/"
        )
    wide = pixels.astype(np.int64)
    code = (wide[..., 0] << 24) | (wide[..., 1] << 16) | (wide[..., 2] << 8) | wide[..., 3]
    values, at = np.unique(np.where(wide[..., 0] > 0, code, 0), return_inverse=True)
    kinds, marks, ids = values >> 24, (values >> 16) & 255, values & 0xFFFF
    if kinds.max() > len(CLASSES):
        raise DatasetError(
            f"{path}: expected classes 1 to {len(CLASSES)} in red, got {kinds.max()}; check the file"
        )
    masks = Masks.from_label_image(at.reshape(pixels.shape[:2]) + (values[0] > 0))
    some = kinds > 0
    objects = Instances(
        masks.size, masks=masks, labels=kinds[some] - 1, ids=ids[some],
        crowd=(marks[some] & (CROWD | IGNORE)) > 0, classes=CLASSES,
    )  # fmt: skip
    return TrackedFrame(frame, objects)


def _videos(path: Path) -> list[tuple[str, Path]]:
    """(split, folder) of each video inside."""
    if not path.is_dir():
        return []
    found = [path] if is_folder(path) else []
    pattern = f"labels/{FOLDER}/bitmasks/*/*"
    for place in ("*", "*/*", pattern, f"*/{pattern}"):
        found = found or [p for p in path.glob(place) if p.is_dir() and p.name[0] != "." and is_folder(p)]
    found.sort(key=lambda p: natural_key(str(p)))
    return [(SPLIT_NAMES.get(folder.parent.name.lower(), ""), folder) for folder in found]


def recognise(path: Path) -> bool:
    """Whether a folder holds such pictures in the folders of videos."""
    try:
        return bool(_videos(path))
    except OSError:
        return False


def read(path: str | Path, images: Images = None, skip_invalid: bool = False) -> Dataset:
    """Reads bitmasks; pictures are decoded when asked for. Columns: ``sequence``, ``frame``, maybe ``split``.

    Args:
        path: BDD100K's folder with ``labels/`` and ``images/``, or a folder of videos, or one.
        images: holds a folder of images for each video; False asks for none.
        skip_invalid: leave frames without an image out, counted in ``notes``, instead of refusing.

    Raises:
        DatasetError: no pictures, or images that are missing.
    """
    path = Path(path)
    films = []
    for split, folder in _videos(path):
        tracks = read_tracks(folder)
        places = [Path(images)] if images else _image_folders(folder)
        pictures: dict[int, Path] = {}
        for place in places:
            inside = place / folder.name if (place / folder.name).is_dir() else place
            pictures = pictures or {k - 1: image for k, image in numbered_images(inside).items()}
        films.append(Film(tracks, None if images is False else pictures, split))
    if not films:
        raise DatasetError(
            f"{path}: expected bitmasks/SPLIT/VIDEO/VIDEO-0000001.png, got none; check the path"
        )
    return dataset(films, CLASSES, "BDD100K bitmasks", path, skip_invalid)


def _image_folders(folder: Path) -> list[Path]:
    """Where BDD100K has the images of a folder of bitmasks: ``images/`` beside ``labels/``."""
    for above in folder.parents:
        if above.name == "labels" and (above.parent / "images").is_dir():
            split = folder.parent.name
            return [above.parent / "images" / FOLDER / split / folder.name]
    return []


def write(out: Path, data: Dataset, losses: Losses, place: Place) -> None:
    """Writes BDD100K's eight classes, matched by name; objects of others are left out and counted.

    Raises:
        DatasetError: none of its classes, images of no video, or an annotation that cannot be read.
    """
    known = {**{name: k + 1 for k, name in enumerate(CLASSES.names)}}
    known |= {old: known[new] for old, new in (SAME | IGNORED).items()}
    numbers = np.array([known.get(name, 0) for name in data.classes.names], np.int64)
    if not numbers.any():
        raise DatasetError(
            f"{data.source}: expected classes of BDD100K such as pedestrian or car, got none of them; rename "
            "the classes, or choose another format"
        )
    for (split, name), indices in sequences(data).items():
        video, split = safe_name(name).replace("/", "_"), split or "train"
        folder = out / "labels" / FOLDER / "bitmasks" / split / video
        folder.mkdir(parents=True)
        given: dict[tuple[int, int], int] = {}
        for index in indices:
            record, truth = data.records[index], data.truth(index)
            stem = f"{video}-{frame_number(record) + 1:07d}"
            place(record, out / "images" / FOLDER / split / video / f"{stem}{record.path.suffix}")
            write_png(folder / f"{stem}.png", _picture(truth, record, numbers, given, losses))


def _picture(
    truth: Instances, record: Record, numbers: NDArray[np.int64], given: dict[tuple[int, int], int],
    losses: Losses,
) -> NDArray[np.uint8]:  # fmt: skip
    """(H, W, 4). A track keeps its number where it fits in two bytes and is free."""
    losses.tally(truth, record.name, "scores")
    kinds = numbers[truth.labels]
    losses.count("classes", record.name, int((kinds == 0).sum()))
    tracks = np.arange(1, len(truth) + 1) if truth.ids is None else truth.ids
    ids, changed = np.zeros(len(truth), np.int64), 0
    taken = set(given.values())
    for k, (label, track) in enumerate(zip(truth.labels.tolist(), tracks.tolist(), strict=True)):
        key = (label, track)
        if key not in given:
            free = 0 < track <= LARGEST and track not in taken
            given[key] = track if free else next(n for n in range(1, LARGEST + 2) if n not in taken)
            changed += not free
            taken.add(given[key])
        ids[k] = given[key]
    if ids.max(initial=0) > LARGEST:
        raise DatasetError(f"{record.name}: expected at most {LARGEST} tracks in a video, got more")
    losses.count("ids", record.name, changed)
    known = kinds > 0
    code = np.zeros((len(truth) + 1, 4), np.uint8)
    code[1:] = np.column_stack([kinds, truth.crowd * CROWD, ids >> 8, ids & 255])
    code[1:][~known] = 0
    found: NDArray[np.uint8] = code[paint(truth, losses, record.name)]
    return found
