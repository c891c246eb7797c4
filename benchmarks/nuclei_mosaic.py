"""A picture of nuclei of any size, with the truth: small real images laid side by side, turned and mirrored.

    python benchmarks/nuclei_mosaic.py OUT.ome.tif [--side 20000] [--labels IDS.ome.tif] [--data FOLDER]

The images are the grey fluorescence ones of 256 x 256 pixels of dsb2018's val split (CC0); each cell of a
grid takes one of them by chance, in one of eight positions. It is written window by window: memory stays
flat. An ending .zarr writes OME-Zarr instead. Nuclei that a cell's edge cuts stay cut, in the picture and in
the truth.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

CELL = 256


def cells(data: Path, split: str = "val") -> list[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    """Images (256, 256) and their ids, 1 .. n, of the fluorescence images of that size."""
    from delineate.data.images import read, read_labels

    found = []
    if not (data / "split.csv").is_file():
        raise SystemExit(f"{data}: no dsb2018 there; name its folder (--data or DELINEATE_DATA)")
    with (data / "split.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    for row in sorted(rows, key=lambda r: r["id"]):
        if row["modality"] == "grey_fluorescence" and row["height"] == row["width"] == str(CELL):
            pixels = read(data / "images" / f"{row['id']}.png").pixels
            ids = np.unique(read_labels(data / "labels" / f"{row['id']}.png"), return_inverse=True)[1]
            grey = pixels if pixels.ndim == 2 else pixels[:, :, 0]
            found.append((np.ascontiguousarray(grey), ids.reshape(CELL, CELL)))
    if not found:
        raise SystemExit(f"{data}: no grey images of 256 x 256; name the folder of dsb2018 (--data)")
    return found


def windows(
    side: int, data: Path, seed: int = 0
) -> Iterator[tuple[int, int, NDArray[np.uint8], NDArray[np.uint32]]]:
    """x, y, pixels and ids of every cell, row after row; ids run on through the whole picture."""
    small = cells(data)
    random, last = np.random.default_rng(seed), 0
    for y in range(0, side, CELL):
        for x in range(0, side, CELL):
            pixels, ids = small[random.integers(len(small))]
            turns, mirrored = int(random.integers(4)), bool(random.integers(2))
            height, width = min(CELL, side - y), min(CELL, side - x)
            pixels, ids = (_turned(one, turns, mirrored)[:height, :width] for one in (pixels, ids))
            numbered = np.where(ids > 0, ids + last, 0).astype(np.uint32)
            last += int(ids.max(initial=0))
            yield x, y, pixels, numbered


def _turned(pixels: NDArray[Any], turns: int, mirrored: bool) -> NDArray[Any]:
    turned = np.rot90(pixels, turns)
    return np.ascontiguousarray(turned[:, ::-1] if mirrored else turned)


def write(path: Path, labels: Path | None, side: int, data: Path, seed: int = 0) -> None:
    """Writes the picture, and the ids where ``labels`` names a file; 0.5 µm a pixel."""
    from delineate.data.rasters import OmeTiffWriter, OmeZarrWriter

    size = (side, side)
    if path.suffix == ".zarr":
        picture: Any = OmeZarrWriter(path, size, pixel_size=0.5, overwrite=True)
    else:
        picture = OmeTiffWriter(path, size, pixel_size=0.5)
    truth = OmeTiffWriter(labels, size, dtype=np.uint32, labels=True, pixel_size=0.5) if labels else None
    with picture:
        for x, y, pixels, ids in windows(side, data, seed):
            picture.write(x, y, pixels)
            if truth is not None:
                truth.write(x, y, ids)
    if truth is not None:
        truth.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("DELINEATE_DATA", ".")) / "dsb2018")
    asked = parser.parse_args()
    write(asked.out, asked.labels, asked.side, asked.data, asked.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
