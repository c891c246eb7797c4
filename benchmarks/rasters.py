"""Large images by windows: seconds of CPU and peak memory of writing and reading, beside reading whole.

    python benchmarks/rasters.py [--sides 5000,10000,20000] [--folder /tmp/rasters]

The picture is `benchmarks/nuclei_mosaic.py`'s. Every step runs in a process of its own on one thread, whose
peak memory is told less what importing took: ours writes OME-TIFF and OME-Zarr by windows of 256, and reads
windows of 1,024 in rows and an overview of 1,024; tifffile and zarr read the same windows, and the whole.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import nuclei_mosaic
import numpy as np
import tifffile
import zarr

from delineate.data.rasters import open_raster

SIDE = 1024


def boxes(side: int) -> list[tuple[int, int, int, int]]:
    """Windows that cover a picture, row after row."""
    return [
        (x, y, min(x + SIDE, side), min(y + SIDE, side))
        for y in range(0, side, SIDE)
        for x in range(0, side, SIDE)
    ]


def ours(path: Path) -> int:
    with open_raster(path) as raster:
        return sum(int(raster.window(*box)[::7].sum()) for box in boxes(raster.size[0]))


def ours_overview(path: Path) -> int:
    with open_raster(path) as raster:
        return int(raster.overview(1024).sum())


def zarrs(path: Path) -> int:
    array: Any = zarr.open_group(str(path), mode="r")["0"]
    return sum(int(array[y0:y1, x0:x1][::7].sum()) for x0, y0, x1, y1 in boxes(array.shape[0]))


def tifffiles(path: Path) -> int:
    """tifffile's view of a TIFF as zarr, its way to read parts."""
    with tifffile.imread(path, aszarr=True, level=0) as store:
        array: Any = zarr.open(store, mode="r")
        return sum(int(array[y0:y1, x0:x1][::7].sum()) for x0, y0, x1, y1 in boxes(array.shape[0]))


def whole(path: Path) -> int:
    pixels = tifffile.imread(path)
    return sum(int(pixels[y0:y1, x0:x1][::7].sum()) for x0, y0, x1, y1 in boxes(pixels.shape[0]))


def write(path: Path, side: int) -> int:
    data = Path(os.environ.get("DELINEATE_DATA", ".")) / "dsb2018"
    nuclei_mosaic.write(path, None, side, data)
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return sum(p.stat().st_size for p in files)


def draw(path: Path, side: int) -> int:
    """Only makes the windows: what writing is to be compared with."""
    data = Path(os.environ.get("DELINEATE_DATA", ".")) / "dsb2018"
    return sum(int(pixels[0, 0]) for _, _, pixels, _ in nuclei_mosaic.windows(side, data))


STEPS: dict[str, tuple[str, Callable[..., int]]] = {
    "make the windows only": ("", draw),
    "write OME-TIFF": ("a.ome.tif", write),
    "write OME-Zarr": ("a.zarr", write),
    "read OME-TIFF by windows": ("a.ome.tif", ours),
    "  tifffile's zarr view": ("a.ome.tif", tifffiles),
    "  tifffile, whole": ("a.ome.tif", whole),
    "read OME-Zarr by windows": ("a.zarr", ours),
    "  zarr itself": ("a.zarr", zarrs),
    "overview of OME-TIFF": ("a.ome.tif", ours_overview),
}


def step(name: str, folder: Path, side: int) -> None:
    """Does one step and prints its figures."""
    file, work = STEPS[name]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cpu, clock = time.process_time(), time.perf_counter()
    result = work(folder / file, side) if work in (write, draw) else work(folder / file)
    cpu, clock = time.process_time() - cpu, time.perf_counter() - clock
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"{side:6} {name:26} {cpu:8.1f} s CPU {clock:8.1f} s {peak / 1024:8.0f} MiB   {result}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sides", default="5000,10000,20000")
    parser.add_argument("--folder", type=Path, default=Path("/tmp/rasters"))
    parser.add_argument("--step", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    np.seterr(all="ignore")
    for side in map(int, asked.sides.split(",")):
        folder = asked.folder / str(side)
        if asked.step:
            step(asked.step, folder, side)
            continue
        folder.mkdir(parents=True, exist_ok=True)
        for name in STEPS:
            command = [sys.executable, __file__, "--sides", str(side), "--folder", str(asked.folder)]
            subprocess.run([*command, "--step", name], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
