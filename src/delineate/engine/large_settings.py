"""How a large image is looked at, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from delineate.core.errors import InputError
from delineate.data.limits import MAX_PIXELS
from delineate.data.stain import Normaliser

from .large_outputs import SAVED, check_kinds
from .predict import check_settings


@dataclass(frozen=True)
class LargeSettings:
    """How a large image is looked at.

    Attributes:
        tile: side of the windows in pixels; None: the model's, for ``nuclei`` 1536.
        overlap: pixels that neighbouring windows share; None: as many as the model needs for results like
            those of the whole image, for ``nuclei`` 384.
        region: x, y, width, height of the part to look at; None: all of it.
        tissue: skip windows of glass; None: where the image is in colour and has glass.
        workers: threads that read ahead of the model.
        confidence: keep scores above it, 0..1; None is the model's default.
        iou: suppression threshold, 0..1; None is the model's default.
        max_det: at most so many objects in each window; None is the model's default.
        save: the files to write, see :data:`delineate.engine.large_outputs.KINDS`.
        pixel_size: side of a pixel in µm; None: what the file says.
        channels: one or three, from 0; None: grey or RGB.
        series: which image of the file.
        time: which time point.
        z: which slice, or "max", "mean" or "focus".
        stem: what the files are called, without ending; None: as the image.
        stain: brings the slide's colours to a reference before the model sees them; None leaves them.
        max_pixels: refuse larger images of kinds that are read whole.
    """

    tile: int | None = None
    overlap: int | None = None
    region: tuple[int, int, int, int] | None = None
    tissue: bool | None = None
    workers: int = 2
    confidence: float | None = None
    iou: float | None = None
    max_det: int | None = None
    save: tuple[str, ...] = SAVED
    pixel_size: float | None = None
    channels: Any = None
    series: int = 0
    time: int = 0
    z: int | str | None = None
    stem: str | None = None
    stain: Normaliser | None = None
    max_pixels: int = MAX_PIXELS

    def __post_init__(self) -> None:
        check_kinds(self.save)
        check_settings(self.confidence, self.iou, self.max_det, "auto" if self.tile is None else self.tile)
        if self.tile == 0:
            raise InputError("predict_large, tile: expected 32 or more pixels, got 0; leave it out")
        if self.workers < 1:
            raise InputError(f"predict_large, workers: expected 1 or more, got {self.workers}; try 2")

    @property
    def found_with(self) -> dict[str, Any]:
        """What the windows' results depend on; a run may be resumed with other outputs and workers."""
        chosen = {f.name: getattr(self, f.name) for f in fields(self)}
        for name in ("workers", "save", "pixel_size", "stem", "stain", "max_pixels"):
            del chosen[name]
        if self.stain is not None:  # notes of runs from before it have no such entry
            reference = self.stain.reference
            numbers = (reference.vectors, reference.most, reference.mean, reference.spread)
            chosen["stain"] = [self.stain.method, *(part.tolist() for part in numbers)]
        return chosen


@dataclass(frozen=True)
class LargeResult:
    """What became of a large image.

    Attributes:
        count: how many objects were found.
        classes: how many of each class.
        size: (height, width) of the part that was looked at.
        tiles: how many windows there are.
        glass: windows left out as glass.
        blank: windows of one value, or of no measurement, which need no model.
        damaged: (x, y, blocks, reason) of each window that cannot be read, wholly or in part.
        resumed: windows taken from an earlier run.
        files: path by kind.
        notes: what was chosen, one phrase each.
        seconds: time taken.
    """

    count: int
    classes: dict[str, int]
    size: tuple[int, int]
    tiles: int
    glass: int
    blank: int
    damaged: tuple[tuple[int, int, int, str], ...]
    resumed: int
    files: dict[str, Path] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    def plain(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {**asdict(self), "files": {kind: path.name for kind, path in self.files.items()}}

    @classmethod
    def of_plain(cls, told: Mapping[str, Any], folder: Path) -> LargeResult:
        """The inverse of :meth:`plain`, of files in ``folder``; every window is known."""
        known: dict[str, Any] = {**told, "size": tuple(told["size"]), "notes": tuple(told["notes"])}
        known["damaged"] = tuple(tuple(one) for one in told["damaged"])
        known["files"] = {kind: folder / name for kind, name in told["files"].items()}
        return cls(**(known | {"resumed": told["tiles"] - told["glass"]}))
