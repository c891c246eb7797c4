"""Scalabel's JSON, as BDD100K has its tracks (Yu et al., "BDD100K", CVPR 2020): a list of frames a video.

A frame has ``name``, ``videoName``, ``frameIndex`` and ``labels``; a label has an ``id`` (its track), a
``category``, ``attributes``, and a shape: ``rle`` as COCO's, ``poly2d`` or ``box2d``. What is marked as a
crowd or ignored becomes a crowd region, and so do BDD100K's "other person", "other vehicle" and "trailer",
which its evaluation leaves out. See :mod:`delineate.data.formats.bdd100k` for the layout of folders.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import DatasetError, InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.core.polygons import Polygon

from ..tracks import TrackedFrame, TrackSequence
from .json_file import load_json, show

CLASSES = Labels(("pedestrian", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle"))
"""BDD100K's classes, 1 to 8 in its pictures."""
IGNORED = {"other person": "pedestrian", "other vehicle": "car", "trailer": "truck"}
"""Categories that BDD100K's evaluation ignores, and the class that each would be."""
SAME = {"person": "pedestrian", "motor": "motorcycle", "bike": "bicycle"}
"""Older names of BDD100K's classes."""
SIZE = (720, 1280)
"""(height, width) of BDD100K's frames, where a file does not say it."""
CURVE = 8  # points for each Bezier curve of an outline


@dataclass(frozen=True)
class Video:
    """The frames of one video.

    Attributes:
        name: of the video.
        frames: number to (name of the image, labels as they stand in the file).
        size: (height, width).
        boxes: whether its labels have boxes alone.
    """

    name: str
    frames: dict[int, tuple[str, list[dict[str, Any]]]]
    size: tuple[int, int]
    boxes: bool


def is_scalabel(path: Path) -> bool:
    """Whether a file begins as such JSON does."""
    if path.suffix.lower() != ".json" or not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(4096)
    return any(key in head for key in (b'"videoName"', b'"frameIndex"', b'"video_name"')) and (
        b'"labels"' in head or b'"name"' in head
    )


def read_videos(path: Path) -> list[Video]:
    """The videos of a file, by name.

    Raises:
        DatasetError: not such JSON.
    """
    content = load_json(path)
    size = None
    if isinstance(content, dict):
        size = _size((content.get("config") or {}).get("imageSize"))
        content = content.get("frames")
    if not isinstance(content, list) or not all(isinstance(frame, dict) for frame in content):
        raise DatasetError(
            f"{path}: expected a list of frames as Scalabel has, got {show(content)}; check it"
        )
    found: dict[str, dict[int, tuple[str, list[dict[str, Any]]]]] = {}
    for place, frame in enumerate(content):
        where = f"{path}: frame {place}"
        name = frame.get("name")
        video = frame.get("videoName") or frame.get("video_name") or path.stem
        labels = frame.get("labels") or []
        if not isinstance(name, str) or not isinstance(video, str) or not isinstance(labels, list):
            raise DatasetError(
                f"{where}: expected name, videoName and a list of labels, got others; correct it"
            )
        frames = found.setdefault(video, {})
        number = frame.get("frameIndex", len(frames))
        if not isinstance(number, int) or number < 0 or number in frames:
            raise DatasetError(
                f"{where}: expected a frameIndex >= 0, each once in a video, got {show(number)}; correct it"
            )
        size = size or _size(frame.get("size"))
        frames[number] = (name, [label for label in labels if _has_shape(label, where)])
    return [
        Video(video, found[video], size or _measured(found[video]), _boxes(found[video])) for video in found
    ]


def _size(value: Any) -> tuple[int, int] | None:
    if isinstance(value, dict) and {"height", "width"} <= set(value):
        height, width = value["height"], value["width"]
        if isinstance(height, int) and isinstance(width, int) and min(height, width) > 0:
            return height, width
    return None


def _measured(frames: dict[int, tuple[str, list[dict[str, Any]]]]) -> tuple[int, int]:
    """The size that a run-length encoding tells, else BDD100K's."""
    for _, labels in frames.values():
        for label in labels:
            if isinstance(label.get("rle"), dict) and isinstance(label["rle"].get("size"), list):
                found = _size(dict(zip(("height", "width"), label["rle"]["size"], strict=False)))
                if found is not None:
                    return found
    return SIZE


def _has_shape(label: Any, where: str) -> bool:
    if not isinstance(label, dict) or not isinstance(label.get("category"), str):
        raise DatasetError(f"{where}: expected labels with a category, got {show(label)}; correct it")
    return any(label.get(key) for key in ("rle", "poly2d", "box2d"))


def _boxes(frames: dict[int, tuple[str, list[dict[str, Any]]]]) -> bool:
    labels = [label for _, labels in frames.values() for label in labels]
    return bool(labels) and not any(label.get("rle") or label.get("poly2d") for label in labels)


def classes_of(videos: Iterable[Video]) -> Labels:
    """BDD100K's classes where there are no others, else those that are used, by name."""
    names = {label["category"] for video in videos for _, labels in video.frames.values() for label in labels}
    if names <= {*CLASSES.names, *IGNORED, *SAME}:
        return CLASSES
    return Labels(tuple(sorted(names)))


def read(path: str | Path) -> list[TrackSequence]:
    """The videos of a file as tracks; shapes are decoded when asked for.

    Raises:
        DatasetError: not such JSON.
    """
    path = Path(path)
    videos = read_videos(path)
    classes = classes_of(videos)
    return [sequence(video, classes, path) for video in videos]


def sequence(video: Video, classes: Labels, path: Path) -> TrackSequence:
    """The tracks of one video."""
    tracks = _tracks(video)
    decode = partial(_decode, video, classes, tracks, path)
    frames, kind = tuple(sorted(video.frames)), "box" if video.boxes else "mask"
    return TrackSequence(video.name, frames, classes, decode, path, kind, video.size, complete=True)


def _tracks(video: Video) -> dict[str, int]:
    """A number for each track: its own where all are numbers, else 1, 2, .. as they come."""
    names = dict.fromkeys(str(label.get("id")) for _, labels in video.frames.values() for label in labels)
    own = {name: int(name) for name in names if name.isdecimal() and len(name) < 19}
    if len(set(own.values())) == len(names):
        return own
    return {name: k for k, name in enumerate(names, 1)}


def _decode(video: Video, classes: Labels, tracks: dict[str, int], path: Path, frame: int) -> TrackedFrame:
    labels = video.frames[frame][1]
    where = f"{path}: frame {frame} of {video.name}"
    numbers = np.array([_class(label["category"], classes, where) for label in labels], np.int64)
    ids = np.array([tracks[str(label.get("id"))] for label in labels], np.int64)
    boxes = None
    try:
        crowd = np.array([_ignored(label, classes) for label in labels], np.bool_)
        scores = np.array(
            [label.get("score", 1.0) if label.get("score") is not None else 1.0 for label in labels]
        )
        if video.boxes:
            boxes = np.array([_box(label["box2d"]) for label in labels], np.float64).reshape(-1, 4)
            shapes: dict[str, Any] = {"boxes": boxes}
        else:
            shapes = {"masks": _masks(labels, video.size, where)}
        objects = Instances(
            video.size, labels=numbers, ids=ids, crowd=crowd, scores=scores, classes=classes, **shapes
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, IndexError) as error:
        told = (
            error
            if isinstance(error, InputError)
            else f"expected numbers for shapes, got: {repr(error)[:200]}"
        )
        raise DatasetError(f"{where}: {told}") from None
    return TrackedFrame(frame, objects, boxes)


def _class(category: str, classes: Labels, where: str) -> int:
    for name in (category, SAME.get(category), IGNORED.get(category)):
        if name in classes.names:
            return classes.names.index(name)
    raise DatasetError(f"{where}: expected one of {', '.join(classes.names)}, got {category!r}; correct it")


def _ignored(label: dict[str, Any], classes: Labels) -> bool:
    marks = label.get("attributes") or {}
    marked = any(bool(marks.get(key)) for key in ("crowd", "ignored", "Crowd", "ignore"))
    return marked or (label["category"] in IGNORED and label["category"] not in classes.names)


def _box(record: dict[str, Any]) -> tuple[float, float, float, float]:
    return tuple(float(record[key]) for key in ("x1", "y1", "x2", "y2"))  # type: ignore[return-value]


def _masks(labels: list[dict[str, Any]], size: tuple[int, int], where: str) -> Masks:
    """Masks of run lengths, of outlines, or of boxes, label by label."""
    parts = []
    for label in labels:
        if label.get("rle"):
            rle = {"size": list(label["rle"].get("size") or size), "counts": label["rle"]["counts"]}
            parts.append(Masks.from_rle([rle], size, [where]))
        elif label.get("poly2d"):
            rings = [outline(part) for part in label["poly2d"]]
            parts.append(Masks.from_polygons([[Polygon(ring) for ring in rings]], size))
        else:
            x1, y1, x2, y2 = _box(label["box2d"])
            parts.append(
                Masks.from_polygons([[Polygon(np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]]))]], size)
            )
    return Masks.concatenate(parts) if parts else Masks.empty(size)


def outline(part: dict[str, Any]) -> NDArray[np.float64]:
    """(K, 2) points of one part of ``poly2d``; two ``C`` are the controls of a curve to the next point.

    Example:
        >>> outline({"vertices": [[0, 0], [4, 0], [4, 4]], "types": "LLL", "closed": True}).shape
        (3, 2)
    """
    points = np.array(part["vertices"], np.float64)
    kinds = str(part.get("types") or "L" * len(points))
    if points.ndim != 2 or points.shape[1] != 2 or len(kinds) != len(points):
        raise InputError(f"poly2d: expected a type for each vertex x, y, got {len(kinds)} for {points.shape}")
    found: list[NDArray[np.float64]] = []
    k = 0
    while k < len(points):
        if kinds[k] == "C" and k + 1 < len(points) and kinds[k + 1] == "C" and found:
            end = points[(k + 2) % len(points)]
            t = np.linspace(0, 1, CURVE + 1)[1:, None]
            curve = (1 - t) ** 3 * found[-1] + 3 * t * (1 - t) ** 2 * points[k]
            found += list(curve + 3 * t**2 * (1 - t) * points[k + 1] + t**3 * end)
            k += 3
        else:
            found.append(points[k])
            k += 1
    return np.array(found)
