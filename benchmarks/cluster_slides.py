"""A whole slide shared out by windows: is it what one process makes of it, and what if a worker dies?

    DELINEATE_DATA=... python benchmarks/cluster_slides.py [--side 6000] [--workers 1 2] [--kills 1]

A tiled OME-TIFF with its pyramid, laid out of dsb2018's fluorescence images as `benchmarks/large.py` does
it, goes through `delineate predict` with `nuclei`, through `--cluster local` with each number of workers, and
once more with the last one while workers are killed by signal 9. All files must be the same to the byte.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

import psutil
from cluster import measured, workers_of
from large import lay_out, pictures

SAVE = "labels,csv,parquet,geojson,zarr"


def command(slide: Path, out: Path, *more: str) -> list[str]:
    """`--overlap`, at what it is anyway, has images of less than 50 megapixels looked at by windows too."""
    words = ["predict", str(slide), "--out", str(out), "--overlap", "384", "--save", SAVE, "--quiet"]
    return [sys.executable, "-m", "delineate", *words, *more]


def content(folder: Path) -> dict[str, str]:
    """Each result's digest by its name, without what runs note for themselves."""
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and not str(p.relative_to(folder)).startswith(("_cluster", "."))
    }


def with_kills(command: list[str], out: Path, kills: int, seed: int = 0) -> dict[str, object]:
    """The run while its workers are killed in the middle of windows."""
    chance, killed = random.Random(seed), []
    began = time.monotonic()
    run = psutil.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})
    tiles = out / "_cluster" / "tiles"
    while run.poll() is None:
        time.sleep(chance.uniform(0.1, 1))
        noted = len(list(tiles.glob("*"))) if tiles.is_dir() else 0
        if len(killed) < kills and noted > 2 * len(killed) + 1 and (alive := workers_of(run)):
            chance.choice(alive).kill()
            killed.append(noted)
    return {"exit": run.wait(), "wall": time.monotonic() - began, "killed_after_chunks": killed}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", type=int, default=6000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--kills", type=int, default=1)
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="delineate-slides-"))
    try:
        slide = folder / "slide.ome.tif"
        data = Path(os.environ["DELINEATE_DATA"])
        lay_out(slide, chosen.side, pictures(data, "val", "grey_fluorescence"))
        print(json.dumps({"side": chosen.side, "mb": slide.stat().st_size / 2**20}), flush=True)
        runs = {"plain": ()} | {
            f"workers {n}": ("--cluster", "local", "--workers", str(n)) for n in chosen.workers
        }
        for name, words in runs.items():
            told = measured(command(slide, folder / name, *words))
            same = content(folder / name) == content(folder / "plain")
            files = len(content(folder / name))
            row = {"run": name, "load": os.getloadavg()[0], **told, "files": files, "same": same}
            print(json.dumps(row), flush=True)
        out = folder / "killed"
        told = with_kills(command(slide, out, *words), out, chosen.kills)
        print(json.dumps({"run": "killed", **told, "same": content(out) == content(folder / "plain")}))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
