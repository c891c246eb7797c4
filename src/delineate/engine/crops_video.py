"""Fruit of a video: followed from frame to frame, counted once each, and measured where it is seen best."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from delineate.apply.crops import sizes
from delineate.apply.plane_scale import PlaneScale, transformed
from delineate.apply.same_fruit import joined_tracks
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.data.images import write_png
from delineate.data.video import Frame, frames
from delineate.tracking.camera import Camera

from .crops_columns import annotated
from .crops_fruit import FruitSettings, fruit_table
from .crops_run import CropsResult, plain, table_of
from .crops_scale import scale_of_photo
from .measure_overlay import numbered_overlay
from .track import track

FEWEST = 3
"""Frames in which a fruit must be seen to be counted; what flickers up once is none."""
LARGER = 1.1
"""A later view replaces the best one where its outline is larger by this factor."""
GAP = 125
"""Frames after which a fruit that comes back is a new one: the camera's path is not known for longer."""


@dataclass(eq=False)
class _Track:
    """What is kept of one track."""

    first: int
    last: int
    frames: int = 0
    area: float = 0.0
    whole: bool = False
    best: int = -1
    place: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    size: float = 0.0
    diameters: list[float] = field(default_factory=list)


class VideoFruit:
    """Gathers the fruit of a video, frame by frame; memory holds the best view of each, no frames.

    Args:
        settings: how fruit are measured.
        name: of the video, for tables.
    """

    def __init__(self, settings: FruitSettings, name: str) -> None:
        self.settings, self.name = settings, name
        self.tracks: dict[int, _Track] = {}
        self.views: dict[int, tuple[Instances, pd.DataFrame]] = {}
        self.to_first = np.eye(3)
        self.frames, self.warning = 0, ""
        self._camera = Camera()

    def add(self, number: int, pixels: NDArray[Any], objects: Instances) -> None:
        """The tracked fruit of the next frame; ``objects.ids`` are set."""
        self._follow_camera(pixels)
        self.frames += 1
        if objects.ids is None or not len(objects):
            return
        scale = self._scale(pixels, objects)
        real = sizes(objects, scale, self.settings.edge).diameter(self.settings.diameter)
        flat = sizes(objects)
        height, width = objects.size
        x1, y1, x2, y2 = objects.boxes.T
        whole = (x1 > 0) & (y1 > 0) & (x2 < width) & (y2 < height)
        wanted = False
        for i, identity in enumerate(objects.ids.tolist()):
            one = self.tracks.setdefault(identity, _Track(number, number))
            one.last, one.frames = number, one.frames + 1
            if whole[i]:
                one.diameters.append(float(real[i]))
            if (bool(whole[i]), float(flat.area[i])) > (one.whole, one.area * LARGER) and np.isfinite(
                flat.area[i]
            ):
                one.whole, one.area, one.best = bool(whole[i]), float(flat.area[i]), number
                one.place = transformed(self.to_first, [[flat.x[i], flat.y[i]]])[0]
                one.size = float(flat.equivalent_diameter_area[i]) * float(
                    np.sqrt(abs(np.linalg.det(self.to_first[:2, :2])))
                )
                wanted = True
        if wanted:
            table = fruit_table(objects, pixels, scale, self.settings)
            self.views[number] = (objects, table)
            used = {one.best for one in self.tracks.values()}
            for gone in [n for n in self.views if n not in used]:
                del self.views[gone]

    def _follow_camera(self, pixels: NDArray[Any]) -> None:
        step = np.eye(3)
        step[:2] = self._camera.step(pixels, Instances.empty((pixels.shape[0], pixels.shape[1])))
        self.to_first = self.to_first @ np.linalg.inv(step)

    def _scale(self, pixels: NDArray[Any], objects: Instances) -> PlaneScale | None:
        """The frame's own scale; without one the fruit is counted all the same."""
        try:
            return scale_of_photo(self.settings.scale, pixels, objects.size, None, None, objects)
        except InputError as error:
            self.warning = f"some frames have no size in mm: {error}"
            return None

    def rows(self) -> list[dict[str, Any]]:
        """One row per fruit, numbered from 1 in the order of their first frames."""
        known = {k: one for k, one in self.tracks.items() if one.frames >= FEWEST and one.best in self.views}
        if not known:
            return []
        ids, kept = list(known), list(known.values())
        fruit = joined_tracks(
            np.stack([one.place for one in kept]),
            np.array([one.size for one in kept]),
            np.array([one.first for one in kept]),
            np.array([one.last for one in kept]),
            GAP,
        )
        rows = []
        for number in range(int(fruit.max()) + 1):
            mine = np.flatnonzero(fruit == number).tolist()
            best = max(mine, key=lambda k: (kept[k].whole, kept[k].area))
            rows.append(self._row(number + 1, ids[best], kept[best], [kept[k] for k in mine]))
        return rows

    def _row(self, number: int, identity: int, best: _Track, all_of_it: list[_Track]) -> dict[str, Any]:
        objects, table = self.views[best.best]
        assert objects.ids is not None
        i = int(np.flatnonzero(objects.ids == identity)[0])
        row: dict[str, Any] = {"image": self.name, "number": number, "track": identity, "frame": best.best}
        row["frames"] = sum(one.frames for one in all_of_it)
        row |= {str(k): plain(v) for k, v in table.iloc[i].to_dict().items()}
        over = np.array([d for one in all_of_it for d in one.diameters if np.isfinite(d)])
        spread = float(1.4826 * np.median(np.abs(over - np.median(over)))) if len(over) > 1 else None
        row["diameter_range_mm" if self.settings.scale.kind else "diameter_range"] = spread
        if self.settings.pictures is not None:
            row["overlay"] = f"overlays/{Path(self.name).stem}-{best.best:06d}.png"
        return row


def fruit_of_video(
    source: str | Path,
    model: Any,
    settings: FruitSettings,
    confidence: float = 0.5,
    tell: Callable[[], object] | None = None,
) -> CropsResult:
    """Counts and measures the fruit of a video, each once.

    Args:
        source: a video file, or a folder of frames.
        model: a loaded model, its name, or any callable from image to :class:`Instances`.
        settings: how.
        confidence: a track begins with a score of at least this, 0..1.
        tell: called after each frame.

    Raises:
        InputError: no video.
        MissingDependencyError: PyAV is not installed.
    """
    from delineate.tracking.choose import tracker

    gathered = VideoFruit(settings, Path(source).name)
    follow = tracker("masks", high=min(confidence, 0.4), begin=confidence)
    for found in track(source, model, tracker=follow, classes=settings.classes):
        gathered.add(found.number, found.frame, found.instances)
        if tell is not None:
            tell()
    return finished(gathered, settings, lambda: frames(source))


def finished(
    gathered: VideoFruit, settings: FruitSettings, again: Callable[[], Iterable[Frame]]
) -> CropsResult:
    """The tables of a video, and its pictures, for which the frames are read once more."""
    rows = gathered.rows()
    objects = table_of(
        [{"objects": rows}], "objects", ("image", "overlay", "number", "track", "frame", "frames")
    )
    line: dict[str, Any] = {
        "image": gathered.name,
        "status": "done",
        "reason": "",
        "warning": gathered.warning,
    }
    line |= {"frames": gathered.frames, "count": len(rows)}
    for name in ("diameter", "diameter_mm"):
        if name in objects and objects[name].notna().any():
            line[f"median_{name}"] = float(objects[name].median())
    if settings.grades is not None and "grade" in objects:
        for name, _ in settings.grades.steps:
            line[f"grade_{name.replace(' ', '_')}"] = int((objects["grade"] == name).sum())
    images = pd.DataFrame([line])
    annotated(objects, [images], settings.told())
    if settings.pictures is not None and rows:
        _pictures(gathered, rows, settings.pictures, again())
    return CropsResult({"objects": objects, "images": images}, images, ())


def _pictures(gathered: VideoFruit, rows: list[dict[str, Any]], folder: Path, again: Iterable[Frame]) -> None:
    """An overlay of each frame in which some fruit was measured, with their numbers in the table."""
    by_frame: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        by_frame.setdefault(row["frame"], []).append(row)
    for frame in again:
        mine = by_frame.get(frame.number)
        if not mine:
            continue
        objects, _ = gathered.views[frame.number]
        assert objects.ids is not None
        places = [int(np.flatnonzero(objects.ids == row["track"])[0]) for row in mine]
        numbers = np.array([row["number"] for row in mine], np.int64)
        picture = numbered_overlay(objects[places], frame.pixels, numbers, np.zeros(len(mine), bool))
        path = folder / mine[0]["overlay"]
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(path, np.asarray(picture))
