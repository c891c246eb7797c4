"""Which format tracked results or truth are in, and their sequences."""

from __future__ import annotations

from pathlib import Path

from delineate.core.errors import DatasetError

from .find import natural_key
from .formats import ctc, mot, mots
from .tracks import TrackSequence

_NOT_TRACKS = ("labels.txt", "readme.txt", "seqmap.txt")


def open_tracks(path: str | Path, truth: bool = False) -> list[TrackSequence]:
    """All sequences of a file or folder, sorted by name; frames are decoded when asked for.

    Args:
        path: folders of the Cell Tracking Challenge (``01_RES``, ``01_GT``, or a folder of such); a MOTS or
            MOT Challenge text file, a folder of such named by sequence (or ``data/`` in it), or of
            ``SEQUENCE/gt/gt.txt``; a folder of MOTS PNG, or of such folders.
        truth: whether it is the truth: it decides between ``01_GT`` and ``01_RES`` side by side, and how MOT
            Challenge text is read.

    Raises:
        DatasetError: none of these, or not well formed.
    """
    path = Path(path)
    if not path.exists():
        raise DatasetError(f"{path}: expected tracked objects, got no such file or folder; check the path")
    if path.is_file():
        return [_text(path, truth)]
    if ctc.is_sequence(path) or ctc.is_dataset(path):
        return ctc.read_all(path, truth)
    folders = sorted((p for p in path.iterdir() if p.is_dir()), key=lambda p: natural_key(p.name))
    texts = _texts(path)
    if not texts and (path / "data").is_dir():  # a tracker's folder as TrackEval has it
        return open_tracks(path / "data", truth)
    if texts:
        found = [_text(file, truth, name) for name, file in texts.items()]
    elif mots.is_png_folder(path):
        found = [mots.read_png(path)]
    else:
        found = [
            _text(file, truth, name) for folder in folders for name, file in _texts(folder, deep=True).items()
        ]
        found = found or [mots.read_png(folder) for folder in folders if mots.is_png_folder(folder)]
    if not found:
        raise DatasetError(
            f"{path}: expected folders of the Cell Tracking Challenge, MOTS or MOT Challenge text, or MOTS "
            "PNG, got none of them; `delineate evaluate-tracks --help` shows how they are laid out"
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
    """MOT Challenge where there are commas, else MOTS."""
    try:
        with path.open("rb") as file:
            start = file.read(4096).lstrip()
    except OSError as error:
        raise DatasetError(f"{path}: expected a text file, got {error.strerror}; check it") from None
    line = start.splitlines()[0] if start else b""
    if b"," in line:
        return mot.read(path, truth, name)
    return mots.read_text(path, name)
