"""Measuring a label image of 20,000 x 20,000 pixels by windows: time and the process's peak memory.

    python benchmarks/measure_large.py [--side 20000] [--format tiff|zarr] [--neighbours]

The labels are 5,000 x 5,000 nuclei (as `benchmarks/measure.py` makes them) repeated with new numbers, written
tile by tile as uint32 with their uint16 image; then `delineate measure` is run in a process of its own.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from measure import nuclei

from delineate.data.rasters import OmeTiffWriter, OmeZarrWriter


def write(folder: Path, side: int, form: str) -> tuple[Path, Path, int]:
    """Writes the label image and its image; how many objects there are."""
    part = min(5000, side)
    labels, image = nuclei(part)
    count = int(labels.max())
    blocks = [(y, x) for y in range(0, side, part) for x in range(0, side, part)]
    paths = folder / ("labels.ome.zarr" if form == "zarr" else "labels.ome.tif"), folder / "image.ome.tif"
    if form == "zarr":
        first = OmeZarrWriter(paths[0], (side, side), dtype=np.uint32, labels="cells", pixel_size=0.5)
    else:
        first = OmeTiffWriter(paths[0], (side, side), dtype=np.uint32, labels=True, pixel_size=0.5)
    with first as writer:
        for k, (y, x) in enumerate(blocks):
            here = np.where(labels > 0, labels + k * count, 0).astype(np.uint32)
            writer.write(x, y, here[: side - y, : side - x])
    with OmeTiffWriter(paths[1], (side, side), dtype=np.uint16, pixel_size=0.5) as writer:
        for y, x in blocks:
            writer.write(x, y, image[: side - y, : side - x])
    return *paths, count * len(blocks)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--format", choices=("tiff", "zarr"), default="tiff")
    parser.add_argument("--neighbours", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        labels, image, count = write(folder, given.side, given.format)
        print(
            f"{given.side} x {given.side}, {count} nuclei or fewer at the edges, {given.format}", flush=True
        )
        command = [sys.executable, "-m", "delineate", "measure", str(labels), "--images", str(image)]
        command += ["--out", str(folder / "cells.csv"), "--quiet"] + ["--neighbours"] * given.neighbours
        began = time.perf_counter()
        subprocess.run(command, check=True)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        with (folder / "cells.csv").open("rb") as file:
            rows = sum(1 for _ in file) - 1
        print(
            f"{rows} rows: {used.ru_utime + used.ru_stime:.0f} s CPU, {time.perf_counter() - began:.0f} s, "
            f"peak {used.ru_maxrss / 1024:.0f} MiB"
        )


if __name__ == "__main__":
    main()
