"""A dataset that a command has made, written in any format, with an account of what was lost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from delineate.data.dataset import Dataset


def write_to(
    data: Dataset,
    out: Path,
    to: str = "",
    quiet: bool = False,
    images: Literal["copy", "link", "none"] = "copy",
) -> None:
    """Writes the dataset, with a progress bar; tells what the format could not hold.

    Args:
        data: what to write.
        out: a file or a folder that is not there yet.
        to: the format's name; empty: by the ending of ``out``.
        quiet: tell losses alone.
        images: what becomes of the images where a folder is written.

    Raises:
        DatasetError: an unknown format, or nothing can be written there.
    """
    from delineate.engine.convert import write_dataset

    from .bars import bar
    from .messages import say

    with bar("images", len(data), quiet) as tick:
        done = write_dataset(data, out, to or None, images=images, tick=tick)
    for line in done.losses.told():
        say(f"warning: {line}")
    if not quiet:
        say(str(done))
