"""Stored results of any tool as what was detected in the frames of a video."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from delineate.core.errors import DatasetError, InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.data.find import find
from delineate.data.formats import mot
from delineate.data.formats.json_file import load_json
from delineate.data.formats.label_image import read_ids
from delineate.data.track_dataset import numbered_images
from delineate.data.track_files import open_tracks
from delineate.data.tracks import TrackSequence
from delineate.data.video import Frame

from .result_folders import LABEL_ENDINGS
from .track import Detections

Find = Callable[[Frame], Instances | None]


@dataclass(frozen=True, eq=False)
class StoredDetections:
    """The objects of each frame as a file or folder has them; called with a frame.

    Attributes:
        path: the file or folder.
        classes: of its objects.
        form: what it was read as.
        find: a frame's objects, with the file's ids where it has some; None where it has none.
        masks: whether objects have masks; else boxes alone.
    """

    path: Path
    classes: Labels
    form: str
    find: Find
    masks: bool

    def __call__(self, frame: Frame) -> Detections:
        """The objects of a frame, without identities.

        Raises:
            InputError: they are of an image of another size, or not well formed.
        """
        size = (int(frame.pixels.shape[0]), int(frame.pixels.shape[1]))
        found = self.find(frame)
        if found is None or not len(found):
            empty = Instances.empty(size, self.classes)
            return Detections(empty if self.masks else empty.replace(masks=None))
        if found.masks is None:
            found = found.replace(size=size)
        if found.size != size:
            raise InputError(
                f"{self.path}: frame {frame.number}: expected objects on {size[0]} x {size[1]} pixels, got "
                f"{found.size[0]} x {found.size[1]}; give the results of this very video"
            )
        return Detections(found[~found.crowd].replace(ids=None, areas=None))


def stored_detections(path: str | Path, source: str | Path | None = None) -> StoredDetections:
    """Opens stored results.

    Frames are found by number: COCO files that say the ``frame`` (or ``frame_id``) of an image count from 0,
    as ``delineate predict`` writes them; else the images' names are those of the source's, or end in its
    numbers. MOT and MOTS text count from 1 (from 0 where there is a frame 0); where the source is a folder of
    images whose names end in numbers, by those. Label images are named as the source's, or in their order.

    Args:
        path: a COCO file or list of results, MOT Challenge text (detections with the id -1 too), MOTS text or
            PNG, a folder of the Cell Tracking Challenge, or a folder of label images.
        source: the video or folder that they were found in.

    Raises:
        InputError: nothing there, or none of these.
    """
    path, folder = Path(path), Path(source) if source is not None and Path(source).is_dir() else None
    names = [p.name for p in find([folder])] if folder is not None else []
    numbers = frame_numbers(folder) if folder is not None else None
    if not path.exists():
        raise InputError(f"{path}: expected stored detections, got no such file or folder; check the path")
    if path.suffix.lower() == ".json":
        return _coco(path, names, numbers)
    if path.is_dir():
        try:
            return _tracks(open_tracks(path), path, numbers)
        except DatasetError:
            labels = _label_images(path, names)
            if labels is None:
                raise
            return labels
    return _tracks([_text(path)], path, numbers)


def frame_numbers(folder: str | Path) -> Sequence[int] | None:
    """The numbers that end the names of a folder's images, in their order; None where some have none."""
    numbered = {path: number for number, path in numbered_images(Path(folder)).items()}
    numbers = [numbered.get(path, -1) for path in find([folder])]
    return numbers if numbers and min(numbers) >= 0 else None


def _text(path: Path) -> TrackSequence:
    with path.open("rb") as file:
        head = file.read(4096)
    return mot.read(path, detections=True) if b"," in head.split(b"\n", 1)[0] else open_tracks(path)[0]


def _tracks(sequences: list[TrackSequence], path: Path, numbers: Sequence[int] | None) -> StoredDetections:
    if len(sequences) > 1:
        listed = ", ".join(s.name for s in sequences[:3])
        raise InputError(
            f"{path}: expected one video, got {len(sequences)}: {listed}; name the one to follow"
        )
    sequence = sequences[0]
    first = 0 if sequence.lineage is not None or 0 in sequence else 1

    def objects(frame: Frame) -> Instances | None:
        number = frame.number + first if numbers is None else numbers[frame.number]
        found = sequence.get(number)
        return None if found is None else found.objects

    form = "tracked masks" if sequence.kind == "mask" else "boxes"
    return StoredDetections(path, sequence.classes, form, objects, sequence.kind == "mask")


def _label_images(path: Path, names: Sequence[str]) -> StoredDetections | None:
    """Label images named as the source's images; or as many as there are frames, in their order."""
    try:
        files = find([path])
    except InputError:
        return None
    by_name = {p.stem.lower(): p for p in files}

    def objects(frame: Frame) -> Instances | None:
        if names:
            stem = Path(names[frame.number]).stem.lower()
            found = next((by_name[stem + e] for e in LABEL_ENDINGS if stem + e in by_name), None)
        else:
            found = files[frame.number] if frame.number < len(files) else None
        if found is None:
            return None
        from delineate.core.masks import Masks

        labels = read_ids(found)
        masks, ids = Masks.from_label_image(labels), np.unique(labels[labels > 0]).astype(np.int64)
        return Instances(masks.size, masks=masks, classes=classes, ids=ids)

    classes = Labels(("object",))
    return StoredDetections(path, classes, "label images", objects, True)


def _coco(path: Path, names: Sequence[str], numbers: Sequence[int] | None) -> StoredDetections:
    content = load_json(path)
    rows = content.get("annotations") if isinstance(content, Mapping) else content
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise InputError(f"{path}: expected COCO annotations or results, got another JSON file; choose it")
    grouped: dict[Any, list[Mapping[str, Any]]] = {}
    if not all(
        isinstance(row.get(key), int | str | None) for row in rows for key in ("image_id", "category_id")
    ):
        raise InputError(f"{path}: expected numbers as image_id and category_id, got others; correct them")
    for row in rows:
        grouped.setdefault(row.get("image_id"), []).append(row)
    listed = content.get("images") if isinstance(content, Mapping) else None
    images = [row for row in listed if isinstance(row, Mapping)] if isinstance(listed, list) else []
    if not all(isinstance(image.get("id"), int | str | None) for image in images):
        raise InputError(f"{path}: expected numbers as ids of images, got others; correct them")
    find_image = _image_of(images, list(grouped), names, numbers)
    classes = _categories(content, rows, path)
    masks = any(row.get("segmentation") for row in rows)

    def objects(frame: Frame) -> Instances | None:
        found = grouped.get(find_image(frame.number))
        if not found:
            return None
        from delineate.core.convert.coco import from_coco

        bare = [{k: v for k, v in row.items() if k != "area"} for row in found]
        try:
            return from_coco(bare, (frame.pixels.shape[0], frame.pixels.shape[1]), classes)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None

    return StoredDetections(path, classes, "COCO", objects, masks)


def _image_of(
    images: list[Mapping[str, Any]], seen: list[Any], names: Sequence[str], numbers: Sequence[int] | None
) -> Callable[[int], Any]:
    """The image id of each frame's number."""
    known: dict[Any, Any] = {}
    for key in ("frame", "frame_id", "frame_index"):
        if images and all(type(image.get(key)) is int for image in images):
            known = {image[key]: image.get("id") for image in images}
            return known.get
    if images and names:
        known = {Path(str(image.get("file_name", ""))).name: image.get("id") for image in images}
        if known.keys() & set(names):
            return lambda frame: known.get(names[frame])
    if images:  # in the order of the file
        return dict(enumerate(image.get("id") for image in images)).get
    if numbers is not None and set(seen) <= set(numbers):
        return partial(_at, numbers)
    return (lambda frame: frame) if 0 in seen else (lambda frame: frame + 1)


def _at(numbers: Sequence[int], frame: int) -> int:
    return numbers[frame]


def _categories(content: Any, rows: list[Mapping[str, Any]], path: Path) -> Labels:
    listed = content.get("categories") if isinstance(content, Mapping) else None
    if isinstance(listed, list) and listed and all(isinstance(row, Mapping) for row in listed):
        pairs = [(row.get("id"), str(row.get("name", row.get("id")))) for row in listed]
    else:
        ids = {row.get("category_id") for row in rows}
        pairs = [(i, f"class {i}") for i in sorted(ids, key=str)]
    if not all(type(i) is int for i, _ in pairs):
        raise InputError(f"{path}: expected whole numbers as category ids, got others; correct them")
    pairs.sort()
    if not pairs:
        return Labels(("object",))
    return Labels(tuple(name for _, name in pairs), tuple(int(i) for i, _ in pairs))


__all__ = ["StoredDetections", "frame_numbers", "stored_detections"]
