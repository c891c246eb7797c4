"""Synthetic datasets and videos as files that :func:`delineate.data.dataset.open_dataset` reads back."""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError

from ..formats import coco_write
from ..records import Sample
from ..video import VideoWriter
from ..write import atomic, write_label_tiff, write_png
from .dataset import SyntheticDataset
from .scene import Scene
from .video import Video

TRUTH, WHOLE = "annotations.json", "whole.json"
COLUMNS = ("frame", "id", "order", "visible", "whole")


def empty_folder(folder: str | Path) -> Path:
    """``folder``, made where it is missing.

    Raises:
        InputError: there is something in it, or it cannot be made.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise InputError(f"{folder}: expected an empty folder or a new one, got files; choose another")
    except OSError as error:
        raise InputError(
            f"{folder}: expected a folder to write, got {error.strerror or error}; choose another place"
        ) from None
    return folder


def write_dataset(
    folder: str | Path,
    data: SyntheticDataset,
    *,
    whole: bool = False,
    tick: Callable[[], object] = lambda: None,
) -> Path:
    """Writes ``images/*.png`` and COCO annotations of the visible masks; of several splits, each in a folder.

    Args:
        folder: a new or empty folder.
        data: what to render.
        whole: write ``whole.json`` too, the same objects with their whole (amodal) masks.
        tick: called after each image.

    Raises:
        InputError: the folder is not empty or may not be written.
    """
    folder = empty_folder(folder)
    splits = list(dict.fromkeys(data.groups["split"])) if len(data) else []
    for split in splits:
        part = data.select(split=split)
        place = folder / split if len(splits) > 1 else folder
        (place / "images").mkdir(parents=True)
        hidden: list[Sample] = []
        coco_write.write(place / TRUTH, _rendered(part, place, hidden, tick), classes=data.classes)
        if whole:
            coco_write.write(place / WHOLE, hidden, classes=data.classes)
    return folder


def _rendered(
    scenes: Iterable[Sample], folder: Path, hidden: list[Sample], tick: Callable[[], object]
) -> Iterator[Sample]:
    """Samples whose images have been written; their whole masks are added to ``hidden``."""
    for scene in scenes:
        assert isinstance(scene, Scene)
        write_png(folder / "images" / scene.name, scene.image)
        light = replace(scene, image=scene.image[:0])
        truth = scene.truth.replace(masks=scene.full, boxes=scene.full.boxes)
        hidden.append(replace(light, truth=truth))
        tick()
        yield light


def write_video(
    folder: str | Path, video: Video, *, rate: float = 25.0, tick: Callable[[], object] = lambda: None
) -> Path:
    """Writes a video as frames, identities and a table, and as MP4 where ``av`` is installed.

    ``images/000001.png`` and so on; ``labels/000001.tif``, whose values are the identities of what shows;
    ``objects.csv`` with a row for each object in each frame, hidden ones too: frame, id, order (0 in front),
    visible and whole pixels.

    Args:
        folder: a new or empty folder.
        video: what to render.
        rate: frames per second of the MP4.
        tick: called after each frame.

    Raises:
        InputError: the folder is not empty or may not be written.
    """
    folder = empty_folder(folder)
    for name in ("images", "labels"):
        (folder / name).mkdir()
    with (
        atomic(folder / "objects.csv") as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        table = csv.writer(file)
        table.writerow(COLUMNS)
        frames = _written(folder, video, table, tick)
        if importlib.util.find_spec("av") is None:
            for _ in frames:
                pass
        else:
            with atomic(folder / "video.mp4") as movie, VideoWriter(movie, rate) as writer:
                for number, frame in enumerate(frames):
                    writer.add(frame, number / rate)
    return folder


def _written(
    folder: Path, video: Video, table: Any, tick: Callable[[], object]
) -> Iterator[NDArray[np.uint8]]:
    """The frames' pictures, once their files and rows are written."""
    for t, scene in enumerate(video):
        stem = Path(scene.name).stem
        assert scene.truth.masks is not None and scene.truth.ids is not None
        names = np.concatenate([[0], scene.truth.ids])
        write_png(folder / "images" / scene.name, scene.image)
        write_label_tiff(folder / "labels" / f"{stem}.tif", names[scene.truth.masks.to_label_image()])
        rows = zip(*(column.tolist() for column in video.states(t)), strict=True)
        table.writerows((t + 1, i, order, seen, whole) for order, (i, seen, whole) in enumerate(rows))
        tick()
        yield scene.image
