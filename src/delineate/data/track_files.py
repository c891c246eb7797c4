"""Which format tracked results or truth are in, and their sequences."""

from __future__ import annotations

from pathlib import Path

from delineate.core.errors import DatasetError

from .find import natural_key
from .formats import bdd100k_masks, ctc, kitti_tracking, mot, mots, scalabel
from .tracks import TrackSequence

_NOT_TRACKS = ("labels.txt", "readme.txt", "seqmap.txt")


def open_tracks(path: str | Path, truth: bool = False) -> list[TrackSequence]:
    """All sequences of a file or folder, sorted by name; frames are decoded when asked for.

    Args:
        path: folders of the Cell Tracking Challenge (``01_RES``, ``01_GT``, or a folder of such); a MOTS or
            MOT Challenge text file, a folder of such named by sequence (or ``data/`` in it), or of
            ``SEQUENCE/gt/gt.txt``; a folder of MOTS PNG, or of such folders; BDD100K's JSON or bitmasks;
            KITTI's text, or a folder with ``label_02/``.
        truth: whether it is the truth: it decides between ``01_GT`` and ``01_RES`` side by side, and how MOT
            Challenge text is read.

    Raises:
        DatasetError: none of these, or not well formed.
    """
    path = Path(path)
    if not path.exists():
        raise DatasetError(f"{path}: expected tracked objects, got no such file or folder; check the path")
    if path.is_file():
        return scalabel.read(path) if path.suffix.lower() == ".json" else [_text(path, truth)]
    if ctc.is_sequence(path) or ctc.is_dataset(path):
        return ctc.read_all(path, truth)
    folders = sorted((p for p in path.iterdir() if p.is_dir()), key=lambda p: natural_key(p.name))
    texts = _texts(path)
    for inside in ("data", kitti_tracking.LABELS):  # a tracker's folder as TrackEval has it; KITTI's
        if not texts and (path / inside).is_dir():
            return open_tracks(path / inside, truth)
    if texts:
        found = [_text(file, truth, name) for name, file in texts.items()]
    elif mots.is_png_folder(path):
        found = [mots.read_png(path)]
    elif files := [p for p in path.glob("*.json") if p.name[0] != "." and scalabel.is_scalabel(p)]:
        found = [
            video for p in sorted(files, key=lambda p: natural_key(p.name)) for video in scalabel.read(p)
        ]
    elif bdd100k_masks.is_folder(path):
        found = [bdd100k_masks.read_tracks(path)]
    else:
        found = [
            _text(file, truth, name) for folder in folders for name, file in _texts(folder, deep=True).items()
        ]
        found = found or [mots.read_png(folder) for folder in folders if mots.is_png_folder(folder)]
        found = found or [bdd100k_masks.read_tracks(p) for p in folders if bdd100k_masks.is_folder(p)]
    if not found:
        raise DatasetError(
            f"{path}: expected folders of the Cell Tracking Challenge, text of MOTS, MOT Challenge or KITTI, "
            "MOTS PNG, or BDD100K's JSON or bitmasks, got none of them; `delineate evaluate-tracks --help` "
            "shows how they are laid out"
        )
    return found


def _texts(folder: Path, deep: bool = False) -> dict[str, Path]:
    """Text files by the name of their sequence: ``gt/gt.txt`` of the folder, else all (not ``deep``)."""
    for file, name in ((folder / "gt" / "gt.txt", folder.name), (folder / "gt.txt", folder.parent.name)):
        if file.is_file():
            return {name: file}
    if deep:
        return {}
    files = [p for p in folder.iterdir() if p.suffix.lower() == ".txt" and p.is_file()]
    files = [p for p in files if p.name[0] != "." and p.name.lower() not in _NOT_TRACKS]
    return {p.stem: p for p in sorted(files, key=lambda p: natural_key(p.name))}


def _text(path: Path, truth: bool, name: str | None = None) -> TrackSequence:
    """MOT Challenge where there are commas, KITTI where there are words, else MOTS."""
    try:
        with path.open("rb") as file:
            start = file.read(4096).lstrip()
    except OSError as error:
        raise DatasetError(f"{path}: expected a text file, got {error.strerror}; check it") from None
    line = start.splitlines()[0] if start else b""
    if b"," in line:
        return mot.read(path, truth, name)
    if kitti_tracking.is_text(line):
        return kitti_tracking.read_tracks(path, name)
    return mots.read_text(path, name)
