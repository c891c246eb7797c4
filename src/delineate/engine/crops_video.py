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
from delineate.data.video import Frame, frames
from delineate.tracking.camera import Camera

from .crops_columns import annotated
from .crops_fruit import FruitSettings, fruit_table, lens_of
from .crops_run import CropsResult, plain, table_of
from .crops_scale import scale_of_photo
from .crops_views import CropsViews, Shown, page_entries
from .objects_page import PageEntry
from .track import track

FEWEST = 3
"""Frames in which a fruit must be seen to be counted; what flickers up once is none."""
LARGER = 1.1
"""A later view replaces the best one where its outline is larger by this factor."""
JUMP = 1.0
"""Fruit do not walk: a track that jumps by so many diameters over the scene has taken up another fruit."""
GAP = 125
"""Frames after which a fruit that comes back is a new one: the camera's path is not known for longer."""


@dataclass(eq=False)
class _Track:
    """What is kept of one track, as long as it stays at one place of the scene."""

    identity: int
    first: int
    last: int
    frames: int = 0
    area: float = 0.0
    whole: bool = False
    best: int = -1
    place: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    latest: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
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
        self.tracks: list[_Track] = []
        self.current: dict[int, _Track] = {}
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
        lens = lens_of(scale, objects.size, self.settings)
        real = sizes(objects, scale, self.settings.edge, lens).diameter(self.settings.diameter)
        flat = sizes(objects)
        height, width = objects.size
        x1, y1, x2, y2 = objects.boxes.T
        whole = (x1 > 0) & (y1 > 0) & (x2 < width) & (y2 < height)
        wide = flat.equivalent_diameter_area * np.sqrt(abs(np.linalg.det(self.to_first[:2, :2])))
        places = self._places(np.stack([flat.x, flat.y], axis=1), wide, objects.ids)
        wanted = False
        for i, identity in enumerate(objects.ids.tolist()):
            if not np.isfinite(flat.area[i]):
                continue
            one = self._of(identity, number, places[i], float(wide[i]))
            one.last, one.frames, one.latest = number, one.frames + 1, places[i]
            if whole[i]:
                one.diameters.append(float(real[i]))
            if (bool(whole[i]), float(flat.area[i])) > (one.whole, one.area * LARGER):
                one.whole, one.area, one.best = bool(whole[i]), float(flat.area[i]), number
                one.place, one.size, wanted = places[i], float(wide[i]), True
        if wanted:
            self.views[number] = (objects, fruit_table(objects, pixels, scale, self.settings, lens))
            used = {one.best for one in self.tracks}
            for gone in [n for n in self.views if n not in used]:
                del self.views[gone]

    def _places(
        self, points: NDArray[np.float64], wide: NDArray[np.float64], ids: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """(N, 2) where the objects lie in the first frame's pixels.

        Where most of them seem to have moved together, the camera's step was missed, and is mended by them.
        """
        places = transformed(self.to_first, np.nan_to_num(points))
        before = [self.current.get(identity) for identity in ids.tolist()]
        known = [k for k, one in enumerate(before) if one is not None and np.isfinite(wide[k])]
        if len(known) >= 3:
            off = np.stack([places[k] - before[k].latest for k in known])  # type: ignore[union-attr]
            step = np.median(off, axis=0)
            alike = np.abs(off - step).max(axis=1) < 0.2 * wide[known]
            if np.hypot(*step) > 0.3 * np.median(wide[known]) and alike.mean() > 0.5:
                self.to_first[:2, 2] -= step
                places = places - step
        return places

    def _of(self, identity: int, number: int, place: NDArray[np.float64], wide: float) -> _Track:
        """The stretch of a track that goes on; a new one where it jumps to another place of the scene."""
        one = self.current.get(identity)
        if one is None or np.hypot(*(place - one.latest)) > JUMP * max(wide, one.size):
            one = _Track(identity, number, number, latest=place)
            self.tracks.append(one)
            self.current[identity] = one
        return one

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
        kept = [one for one in self.tracks if one.best in self.views]
        if not kept:
            return []
        fruit = joined_tracks(
            np.stack([one.place for one in kept]),
            np.array([one.size for one in kept]),
            np.array([one.first for one in kept]),
            np.array([one.last for one in kept]),
            GAP,
        )
        rows: list[dict[str, Any]] = []
        for place in range(int(fruit.max()) + 1):
            mine = [kept[k] for k in np.flatnonzero(fruit == place).tolist()]
            if sum(one.frames for one in mine) >= FEWEST:
                rows.append(self._row(len(rows) + 1, mine))
        return rows

    def _row(self, number: int, all_of_it: list[_Track]) -> dict[str, Any]:
        best = max(all_of_it, key=lambda one: (one.whole, one.area))
        identity = best.identity
        objects, table = self.views[best.best]
        assert objects.ids is not None
        i = int(np.flatnonzero(objects.ids == identity)[0])
        row: dict[str, Any] = {"image": self.name, "number": number, "track": identity, "frame": best.best}
        row["frames"] = sum(one.frames for one in all_of_it)
        row |= {str(k): plain(v) for k, v in table.iloc[i].to_dict().items()}
        over = np.array([d for one in all_of_it for d in one.diameters if np.isfinite(d)])
        spread = float(1.4826 * np.median(np.abs(over - np.median(over)))) if len(over) > 1 else None
        row["diameter_range_mm" if self.settings.scale.kind else "diameter_range"] = spread
        if self.settings.views is not None:
            row |= self.settings.views.head(frame_file(self.name, best.best))
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
    pages: tuple[PageEntry, ...] = ()
    if settings.views is not None and rows:
        pages = _pictures(gathered, rows, settings.views, again())
    objects = table_of(
        [{"objects": rows}], "objects", ("image", "overlay", "link", "number", "track", "frame", "frames")
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
    return CropsResult({"objects": objects, "images": images}, images, (), pages)


def frame_file(name: str, number: int) -> str:
    """What the pictures of a video's frame are called.

    Example:
        >>> frame_file("row.mp4", 7)
        'row-000007'
    """
    return f"{Path(name).stem}-{number:06d}"


def _pictures(
    gathered: VideoFruit, rows: list[dict[str, Any]], views: CropsViews, again: Iterable[Frame]
) -> tuple[PageEntry, ...]:
    """Overlay and page of each frame in which some fruit was measured; gives the rows their links."""
    by_frame: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        by_frame.setdefault(row["frame"], []).append(row)
    records = []
    for frame in again:
        mine = by_frame.get(frame.number)
        if not mine:
            continue
        objects, _ = gathered.views[frame.number]
        assert objects.ids is not None
        places = [int(np.flatnonzero(objects.ids == row["track"])[0]) for row in mine]
        numbers = np.array([row["number"] for row in mine], np.int64)
        table = pd.DataFrame(mine).drop(columns=["image", "overlay", "number"], errors="ignore")
        shown = Shown(table, numbers, np.zeros(len(mine), bool))
        file, title = frame_file(gathered.name, frame.number), f"{gathered.name}, frame {frame.number}"
        links, line = views.write(file, title, objects[places], frame.pixels, shown)
        for row, link in zip(mine, links or (), strict=bool(links)):
            row["link"] = link
        records.append({"image": {"image": title, "count": len(mine), **line}})
    return page_entries(records, views, ("count",))[1]
