"""The Cell Tracking Challenge as datasets: ``01/t000.tif``, ``01_GT/SEG/``, ``01_GT/TRA/`` for each video.

The masks are those of ``SEG``; an object's id is that of the marker in ``TRA`` that lies in it most. Frames
without a picture in ``SEG`` are left out. Where there is no ``SEG`` the markers are the masks.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from delineate.core.errors import DatasetError

from ..losses import Losses
from ..place import Place
from ..records import Dataset
from ..track_dataset import Film, dataset, numbered_images
from ..tracks import TrackedFrame, TrackSequence
from . import ctc
from .ctc_write import write_all


def recognise(path: Path) -> bool:
    """Whether a folder holds videos such as ``01_GT``, or is one such."""
    return path.is_dir() and (ctc.is_sequence(path) or ctc.is_dataset(path))


def read(
    path: str | Path, images: str | Path | Literal[False] | None = None, skip_invalid: bool = False
) -> Dataset:
    """Reads truth, or results; pictures are decoded when asked for. Columns: ``sequence`` and ``frame``.

    Args:
        path: a folder of ``01``, ``01_GT`` and so on, or ``01_GT`` itself.
        images: holds ``01`` and so on; default beside ``01_GT``. False asks for no images.
        skip_invalid: leave frames without an image out, counted in ``notes``, instead of refusing.

    Raises:
        DatasetError: no videos, or images that are missing.
    """
    path = Path(path)
    beside = path.parent if ctc.is_sequence(path) else path
    films = []
    for tracks in ctc.read_all(path, truth=True):
        pictures = (Path(images) if images else beside) / tracks.name
        films.append(Film(_matched(tracks), None if images is False else numbered_images(pictures)))
    return dataset(films, ctc.CELL, "Cell Tracking Challenge", path, skip_invalid)


def _matched(tracks: TrackSequence) -> TrackSequence:
    """The masks of ``SEG`` with the ids of the markers; the markers where there are no others."""
    masks = tracks.segmentation
    if masks is None:
        return tracks
    return replace(masks, name=tracks.name, lineage=tracks.lineage, decode=partial(_decode, masks, tracks))


def _decode(masks: TrackSequence, markers: TrackSequence, number: int) -> TrackedFrame:
    frame = masks[number]
    marked = markers.get(number)
    if (
        marked is None
        or frame.objects.masks is None
        or marked.objects.masks is None
        or not len(frame.objects)
    ):
        return frame
    if frame.objects.size != marked.objects.size:
        raise DatasetError(
            f"{masks.where}: expected frame {number} of the size of its markers {marked.objects.size}, got "
            f"{frame.objects.size}; make it anew"
        )
    i, j, shared = frame.objects.masks.intersection_pairs(marked.objects.masks)
    own, known = frame.objects.ids, marked.objects.ids
    assert own is not None and known is not None
    ids, used = np.full(len(own), -1, np.int64), set()
    for k in np.argsort(-shared, kind="stable").tolist():
        if ids[i[k]] < 0 and int(known[j[k]]) not in used:
            ids[i[k]] = known[j[k]]
            used.add(int(known[j[k]]))
    top = int(max(known.max(initial=0), own.max(initial=0)))
    unmarked = np.flatnonzero(ids < 0)
    ids[unmarked] = top + 1 + np.arange(len(unmarked))
    return replace(frame, objects=frame.objects.replace(ids=ids))


def write(out: Path, data: Dataset, losses: Losses, place: Place) -> None:
    """Writes the Cell Tracking Challenge; see :func:`delineate.data.formats.ctc_write.write_all`."""
    write_all(out, data, losses, place)
