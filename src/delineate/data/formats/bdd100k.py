"""BDD100K's tracks as a dataset, in Scalabel's JSON: ``labels/seg_track_20/rles/SPLIT/VIDEO.json``.

Images lie in ``images/seg_track_20/SPLIT/VIDEO/VIDEO-0000001.jpg``. Tracks of boxes (``box_track_20``) and
outlines (``polygons``) are read too. See :mod:`delineate.data.formats.scalabel` for what is in the files.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from delineate.core.instances import Instances
from delineate.core.labels import Labels

from ..losses import Losses
from ..place import Place, safe_name
from ..records import SPLIT_NAMES, Dataset, Record
from ..track_dataset import frame_number, sequences
from ..tracks import TrackSequence
from ..write import atomic
from .coco_check import Findings
from .drawn import json_files, some_files
from .image_search import Images, ImageSearch
from .scalabel import classes_of, is_scalabel, read_videos, sequence

FOLDER = "seg_track_20"


class Frame(NamedTuple):
    """The annotation of one frame."""

    sequence: TrackSequence
    number: int


def recognise(path: Path) -> bool:
    """Whether it is such a file, or a folder that has one among its first JSON files."""
    try:
        files = some_files(path, (".json",), depth=4) if path.is_dir() else [path]
        return any(map(is_scalabel, files))
    except OSError:
        return False


def read(path: str | Path, images: Images = None, skip_invalid: bool = False) -> Dataset:
    """Reads Scalabel's JSON of tracks; shapes are decoded when asked for.

    Columns: ``sequence``, ``frame``, maybe ``split``. ``ids`` are the tracks, crowds the ignore regions.

    Args:
        path: a file, or a folder with such files anywhere inside.
        images: the folder of the images, searched for ``VIDEO/NAME``; False asks for none.
        skip_invalid: leave malformed files and frames without an image out, counted in ``notes``.

    Raises:
        DatasetError: nothing that can be used, or malformed.
    """
    path = Path(path)
    root = path if path.is_dir() else path.parent
    files = [f for f in json_files(root) if is_scalabel(f)] if path.is_dir() else [path]
    findings = Findings(path)
    videos = []
    for file in files:
        try:
            videos += [(file, video) for video in read_videos(file)]
        except ValueError as error:
            findings.problems.append(str(error).split("; ")[0])
    classes = classes_of(video for _, video in videos)
    search = ImageSearch(root, images)
    records: list[Record] = []
    for file, video in videos:
        tracks = sequence(video, classes, file)
        split = next((SPLIT_NAMES[p.lower()] for p in reversed(file.parts) if p.lower() in SPLIT_NAMES), "")
        groups = {"split": split} if split else {}
        for number in tracks.frames:
            name = f"{safe_name(video.name)}/{Path(safe_name(video.frames[number][0])).name}"
            image = search(name, beside=file.parent)
            if image is not None:
                column = groups | {"sequence": video.name, "frame": str(number)}
                at = Frame(tracks, number)
                records.append(Record(name, image, len(records) + 1, video.size, at, column))
    search.settle(findings, skip_invalid)
    notes = findings.settle(skip_invalid)
    return Dataset(tuple(records), classes, decode, "BDD100K", path, notes)


def decode(record: Record, classes: Labels) -> tuple[Instances, tuple[str, ...]]:
    """The objects of one frame."""
    frame: Frame = record.annotation
    return frame.sequence[frame.number].objects.replace(classes=classes), ()


def write(out: Path, data: Dataset, losses: Losses, place: Place) -> None:
    """Writes ``labels/seg_track_20/rles/SPLIT/VIDEO.json`` and ``images/seg_track_20/SPLIT/VIDEO/``.

    Crowd regions have the attribute ``crowd``. Objects with boxes alone get ``box2d`` alone.

    Raises:
        DatasetError: images of no video, or an annotation that cannot be read.
    """
    for (split, name), indices in sequences(data).items():
        video = safe_name(name).replace("/", "_")
        split = split or "train"
        frames = []
        for index in indices:
            record, truth = data.records[index], data.truth(index)
            number = frame_number(record)
            image = f"{video}-{number + 1:07d}{record.path.suffix}"
            place(record, out / "images" / FOLDER / split / video / image)
            frames.append(_frame(image, video, number, truth))
        folder = out / "labels" / FOLDER / "rles" / split
        folder.mkdir(parents=True, exist_ok=True)
        with atomic(folder / f"{video}.json") as temporary:
            temporary.write_text(json.dumps(frames), encoding="utf-8")


def _frame(image: str, video: str, number: int, truth: Instances) -> dict[str, Any]:
    height, width = truth.size
    ids = np.arange(1, len(truth) + 1) if truth.ids is None else truth.ids
    rles = truth.masks.to_rle() if truth.masks is not None else [None] * len(truth)
    boxes = truth.boxes.astype(np.float64).tolist()
    labels = []
    for k, (box, rle) in enumerate(zip(boxes, rles, strict=True)):
        label: dict[str, Any] = {
            "id": str(int(ids[k])), "category": truth.names[k],
            "attributes": {"crowd": bool(truth.crowd[k])},
            "box2d": dict(zip(("x1", "y1", "x2", "y2"), box, strict=True)),
        }  # fmt: skip
        if truth.scores[k] < 1:
            label["score"] = float(truth.scores[k])
        if rle is not None:
            label["rle"] = rle
        labels.append(label)
    size = {"height": height, "width": width}
    return {"name": image, "videoName": video, "frameIndex": number, "size": size, "labels": labels}
