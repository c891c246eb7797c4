"""Writing a result of the Cell Tracking Challenge: ``mask000.tif`` and so on, and ``res_track.txt``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from delineate.core.errors import DatasetError
from delineate.core.instances import Instances

from ..losses import Losses
from ..painted import paint
from ..write import atomic, write_label_tiff
from .ctc_write import Tracks


class ResultWriter:
    """One sequence, frame by frame; memory is that of one frame and a few numbers for each track.

    Ids above 65535 get others, as label images have 16 bits. A track that is not there in a frame goes on as
    its own child, as the challenge demands; so does one that lies wholly under others.

    Args:
        folder: such as ``01_RES``; made where it is missing.
        frames: how many there will be, where that is known, for the number of digits; at least three.

    Attributes:
        losses: what could not be written: pixels under other objects, boxes without masks.
        number: frames written.

    Raises:
        DatasetError: the folder holds a result already.

    Example:
        >>> with ResultWriter("01_RES") as writer:  # doctest: +SKIP
        ...     for frame in finished:
        ...         writer.add(frame.objects, frame.parents)
    """

    def __init__(self, folder: str | Path, frames: int | None = None) -> None:
        self.folder = Path(folder)
        if (self.folder / "res_track.txt").exists() or any(self.folder.glob("mask*.tif")):
            raise DatasetError(
                f"{self.folder}: expected a folder without a result, got one with mask*.tif or "
                "res_track.txt; choose another or empty it"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        self.losses = Losses("Cell Tracking Challenge")
        self.number = 0
        self._tracks = Tracks(None)
        self._digits = max(3, len(str((frames or 1) - 1)))

    def __enter__(self) -> ResultWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, objects: Instances, parents: Mapping[int, int] | None = None) -> Path:
        """Writes the next frame and returns its file. Where objects overlap, the smaller one is on top.

        Args:
            objects: with masks and ``ids``.
            parents: id -> id of the parent, of tracks that begin here; the parents have ended.

        Raises:
            DatasetError: objects without ids, or more than 65535 tracks.
        """
        if objects.ids is None:
            raise DatasetError(f"{self.folder}: expected objects with ids, got none; track them first")
        self._tracks.parents |= parents or {}
        name = f"mask{self.number:0{self._digits}d}.tif"
        painted = paint(objects, self.losses, name)
        shown = np.setdiff1d(painted, [0]) - 1
        ids, changed = self._tracks.ids(objects.ids[shown], self.number)
        self.losses.count("ids", name, changed)
        table = np.zeros(len(objects) + 1, np.int64)
        table[shown + 1] = ids
        path = write_label_tiff(self.folder / name, table[painted])
        self.number += 1
        return path

    def close(self) -> Path:
        """Writes ``res_track.txt`` of the frames so far, and returns it."""
        path = self.folder / "res_track.txt"
        with atomic(path) as temporary:
            temporary.write_text(self._tracks.text(), encoding="ascii")
        return path
