"""A process of its own that decodes one image into a plain file: ``python -m delineate.server.flatten``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from delineate.core.errors import DelineateError

from .pyramid import read_all


def flatten(path: Path, folder: Path, channels: tuple[int, ...] | None) -> None:
    """Writes ``0.raw`` and ``0.json`` into a folder.

    Raises:
        InputError: the image cannot be read.
    """
    pixels = read_all(path, channels)
    with (folder / "0.raw").open("wb") as file:
        file.write(np.ascontiguousarray(pixels).data)
    told = {
        "size": pixels.shape[:2],
        "channels": pixels.shape[2],
        "dtype": pixels.dtype.name,
        "colour": pixels.shape[2] == 3,
    }
    (folder / "0.json").write_text(json.dumps(told))


def main(arguments: list[str]) -> int:
    """Paths of image and folder, and channels with commas between (empty: all)."""
    path, folder, channels = arguments
    try:
        flatten(Path(path), Path(folder), tuple(map(int, channels.split(","))) if channels else None)
    except DelineateError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
