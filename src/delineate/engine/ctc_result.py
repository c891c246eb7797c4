"""Tracked frames to a result folder of the Cell Tracking Challenge, with their lineage as a table."""

from __future__ import annotations

import logging
from pathlib import Path

from delineate.core.lineage import Lineage
from delineate.data.formats.ctc_result import ResultWriter
from delineate.tracking.finish import Finish
from delineate.tracking.tracked import Tracked

log = logging.getLogger("delineate")


class CtcFolder:
    """A folder such as ``01_RES`` while it is written; a context manager.

    The frames pass through :class:`delineate.tracking.finish.Finish`: short gaps are filled, pieces of cells
    joined, divisions that were none undone. So files come a few frames late.

    Args:
        folder: where to; it may not hold a result yet.
        frames: how many there will be, where that is known.
        finish: how tracks are mended; default :class:`Finish`'s own settings.

    Raises:
        DatasetError: the folder holds a result already.
    """

    def __init__(self, folder: str | Path, frames: int | None = None, finish: Finish | None = None) -> None:
        self.folder = Path(folder)
        self._writer = ResultWriter(folder, frames)
        self._finish = finish or Finish()
        self._bare = 0  # objects without masks

    def __enter__(self) -> CtcFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def lineage(self) -> Lineage:
        """The tracks written so far."""
        return self._finish.lineage

    def add(self, tracked: Tracked) -> None:
        """The tracker's next frame."""
        self._bare += len(tracked) if tracked.instances.masks is None else 0
        for frame in self._finish.add(tracked):
            self._writer.add(frame.objects, frame.parents)

    def close(self) -> Path:
        """Writes the frames that are still held back and ``res_track.txt``; returns the folder."""
        for frame in self._finish.close():
            self._writer.add(frame.objects, frame.parents)
        self._writer.close()
        if self._bare:
            log.warning(
                "%s: expected masks, got %d boxes alone, left out; use a model with masks",
                self.folder,
                self._bare,
            )
        return self.folder
