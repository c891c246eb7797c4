"""Writing the Cell Tracking Challenge: frames from 0 on, tracks without gaps, ``man_track.txt``."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import DatasetError
from delineate.core.lineage import Lineage

from ..losses import Losses
from ..painted import paint
from ..place import Place
from ..records import Dataset
from ..track_dataset import Frame, sequences
from ..write import atomic, write_label_tiff
from .label_write import count

LARGEST = 2**16 - 1


class Tracks:
    """The tracks of one video while it is written: each id with its first and last frame, and its parent.

    A track with a gap goes on as a new one whose parent is the old one, as the challenge demands.
    """

    def __init__(self, known: Lineage | None) -> None:
        """No tracks yet; ``known`` tells the parents of tracks of the source."""
        self.parents = {} if known is None else {row[0]: row[3] for row in known.rows()}
        self._now: dict[int, int] = {}  # id of the source -> id written last
        self._span: dict[int, tuple[int, int, int]] = {}
        self._free = LARGEST

    def ids(self, tracks: NDArray[np.int64], frame: int) -> tuple[NDArray[np.int64], int]:
        """The ids to write in a frame, and how many are new ones.

        Raises:
            DatasetError: more than 65535 tracks.
        """
        found, changed = [], 0
        for track in tracks.tolist():
            own = self._now.get(track)
            if own is not None and self._span[own][1] == frame - 1:
                self._span[own] = (self._span[own][0], frame, self._span[own][2])
            else:
                wanted = track if own is None and 0 < track <= LARGEST and track not in self._span else None
                parent = own if own is not None else self._now.get(self.parents.get(track, 0), 0)
                own = wanted if wanted is not None else self._next()
                changed += wanted is None
                self._now[track] = own
                self._span[own] = (frame, frame, parent)
            found.append(own)
        return np.array(found, np.int64), changed

    def _next(self) -> int:
        while self._free in self._span:
            self._free -= 1
        if self._free < 1:
            raise DatasetError(f"Cell Tracking Challenge: expected at most {LARGEST} tracks, got more")
        return self._free

    def text(self) -> str:
        """``man_track.txt``: id, first frame, last frame, parent."""
        rows = sorted((own, *span) for own, span in self._span.items())
        return "".join(f"{own} {begin} {end} {parent}\n" for own, begin, end, parent in rows)


def write_all(out: Path, data: Dataset, losses: Losses, place: Place) -> None:
    """Writes ``01/t000.tif``; in ``01_GT`` ``SEG/man_seg000.tif``, ``TRA/man_track000.tif``, its text file.

    Frames are numbered from 0 in their order. Parents are kept where the source is of the same format.

    Raises:
        DatasetError: images of no video, or an annotation that cannot be read.
    """
    taken: set[str] = set()
    for (_, name), indices in sequences(data).items():
        video = video_name(name, taken)
        taken.add(video)
        masks, markers = out / f"{video}_GT" / "SEG", out / f"{video}_GT" / "TRA"
        masks.mkdir(parents=True)
        markers.mkdir()
        first = data.records[indices[0]].annotation
        tracks = Tracks(first.sequence.lineage if isinstance(first, Frame) else None)
        digits = max(3, len(str(len(indices) - 1)))
        for frame, index in enumerate(indices):
            record = data.records[index]
            truth = count(losses, data.truth(index), record)
            place(record, out / video / f"t{frame:0{digits}d}{record.path.suffix}")
            painted = paint(truth, losses, record.name)
            shown = np.setdiff1d(painted, [0]) - 1
            own = np.arange(1, len(truth) + 1) if truth.ids is None else truth.ids
            ids, changed = tracks.ids(own[shown], frame)
            losses.count("ids", record.name, changed)
            table = np.zeros(len(truth) + 1, np.int64)
            table[shown + 1] = ids
            write_label_tiff(masks / f"man_seg{frame:0{digits}d}.tif", table[painted])
            write_label_tiff(markers / f"man_track{frame:0{digits}d}.tif", table[painted])
        with atomic(markers / "man_track.txt") as temporary:
            temporary.write_text(tracks.text(), encoding="ascii")


def video_name(name: str, taken: set[str]) -> str:
    """Two digits or more, as the challenge calls its videos: those of the name, or the next free ones.

    Example:
        >>> video_name("01", set()), video_name("street", {"01"}), video_name("01", {"01"})
        ('01', '02', '02')
    """
    if re.fullmatch(r"\d{2,}", name) and name not in taken:
        return name
    return next(text for k in range(1, 10**6) if (text := f"{k:02d}") not in taken)
