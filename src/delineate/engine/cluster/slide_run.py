"""The large images of a run: how each is cut, its windows, its files; every step is in the commit log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from .chunks import Row, chunks_of, size_for
from .commits import CommitLog
from .finish import check_once
from .predict_work import PredictWork, loaded
from .slides import WINDOWS, SlideWork, join_rows, kinds_for, plan_rows, window_rows

log_of = logging.getLogger("delineate")
Commit = Callable[[Any, Any], None]


def slides(
    rows: Sequence[Row],
    work: PredictWork,
    log: CommitLog,
    commit: Commit,
    settings: Mapping[str, Any],
    after: tuple[int, int],
) -> list[dict[str, Any]]:
    """Looks at large images by windows.

    Args:
        rows: of the files, numbered as in the manifest.
        work: what is done with smaller images; slides are done alike.
        log: the commit log.
        commit: does chunks that the log does not have.
        settings: ``region``, ``tissue`` and ``overlap``, where they are given.
        after: how many chunks and rows the smaller images have; those of slides are numbered on from there.

    Returns:
        what is told of each image, in order.
    """
    kinds, left = kinds_for(work.kinds)
    if left:
        log_of.warning("large images have no %s; left out for them", ", ".join(left))
    tile = work.finding.get("tile")
    chosen: dict[str, Any] = {**settings, "tile": tile if isinstance(tile, int) and tile else None}
    chosen |= {name: work.finding.get(name) for name in ("confidence", "iou", "max_det")}
    chosen |= {"save": kinds, "pixel_size": work.pixel_size, "stain": work.stain}
    chosen |= {"max_pixels": work.reading.max_pixels, "workers": 1}
    one = SlideWork(partial(loaded, work.model, work.device), chosen, work.reading, work.place)
    step = _Step(one, log, commit, *after)
    plans = plan_rows(rows, step.row)
    found = [slide for told in step(plans, 1, "file") for slide in told["slides"]]
    windows = window_rows(plans, found, step.row)
    tiles: list[list[str]] = [[] for _ in found]
    for told in step(windows, size_for(len(windows), WINDOWS), "slide"):
        tiles[windows[told["rows"][0] - windows[0]["row"]]["slide"]].append(told["parts"]["tiles"])
    joined = step(join_rows(plans, found, tiles, step.row), 1, "file")
    return [image for told in joined for image in told["done"]]


class _Step:
    """Rows to chunks that go on from those of the log, done and checked."""

    def __init__(self, work: SlideWork, log: CommitLog, commit: Commit, chunk: int, row: int) -> None:
        self.work, self.log, self.commit, self.chunk, self.row = work, log, commit, chunk, row

    def __call__(self, rows: Sequence[Row], size: int, apart: str) -> list[dict[str, Any]]:
        """Does the rows; what is told of their chunks, in order."""
        chunks = chunks_of(rows, size, apart, self.chunk)
        self.commit(self.work, chunks)
        self.chunk, self.row = self.chunk + len(chunks), self.row + len(rows)
        numbers = [one.number for one in chunks]
        check_once(self.log, rows, numbers)
        return [self.log.done[number] for number in numbers]
