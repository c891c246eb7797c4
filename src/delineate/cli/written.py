"""A dataset whose labels a command reads, and one that it has made, with an account of what was lost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from delineate.data.dataset import Dataset


def open_labels(
    path: str, split: str, images: Path | None, skip_invalid: bool, need_images: bool = True
) -> Dataset:
    """Opens a dataset.

    Args:
        path: as :func:`delineate.data.dataset.open_dataset` takes it.
        split: only this one; empty: all.
        images: folder of the images, where they do not lie beside the labels.
        skip_invalid: leave malformed entries out.
        need_images: else a COCO file whose images are not found is opened without them.

    Raises:
        DatasetError: nothing there, or malformed.
    """
    from delineate.core.errors import DatasetError
    from delineate.data.dataset import open_dataset

    try:
        return open_dataset(path, split=split or None, images=images, skip_invalid=skip_invalid)
    except DatasetError as error:
        if need_images or images is not None:
            raise
        try:
            return open_dataset(path, split=split or None, images=False, skip_invalid=skip_invalid)
        except DatasetError:
            raise error from None


def own_format(data: Dataset, out: Path) -> str:
    """The format of a folder that nobody named: the data's own; empty for a file, whose ending tells."""
    from delineate.data.known_formats import written_as

    return "" if out.suffix else written_as(data.format)


def write_to(
    data: Dataset,
    out: Path,
    to: str = "",
    quiet: bool = False,
    images: Literal["copy", "link", "none"] = "copy",
    skip_invalid: bool = False,
) -> tuple[str, ...]:
    """Writes the dataset, with a progress bar; tells what the format could not hold.

    Args:
        data: what to write.
        out: a file or a folder that is not there yet.
        to: the format's name; empty: by the ending of ``out``.
        quiet: tell losses alone.
        images: what becomes of the images where a folder is written.
        skip_invalid: leave images out whose annotation cannot be read.

    Returns:
        The images that were left out, with the reason.

    Raises:
        DatasetError: an unknown format, or nothing can be written there.
    """
    from delineate.engine.convert import write_dataset

    from .bars import bar
    from .messages import say

    with bar("images", len(data), quiet) as tick:
        done = write_dataset(data, out, to or None, images=images, skip_invalid=skip_invalid, tick=tick)
    for line in done.skipped:
        say(f"left out: {line}")
    for line in done.losses.told():
        say(f"warning: {line}")
    if not quiet:
        say(str(done))
    return done.skipped


def journal_place(out: Path, command: str) -> Path:
    """Makes the folder of ``--out``, a folder or a file; where the notes of a run lie in it.

    Raises:
        InputError: no place to write.
    """
    from delineate.core.errors import InputError

    folder = out.parent if out.suffix else out
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"--out {out}: expected a place to write, got {error.strerror or error}; choose another"
        ) from None
    return folder / f".{out.name if out.suffix else command}.journal"
