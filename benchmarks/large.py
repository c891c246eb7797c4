"""Memory and time of `predict_large` by the size of the image, and the seams against the untiled result.

Pictures of 5,000, 10,000 and 20,000 pixels a side are laid out of dsb2018's fluorescence images in many
turns, written by windows as tiled TIFF. Each run is a process of its own; its peak of resident memory is
what the system tells of it at its end. ``threshold`` stands in for a quick model, so that what is measured
is the engine: it takes what is brighter than the background, by a fixed value. ``nuclei`` is the model.

    python benchmarks/large.py --data ../shared/data --sides 5000 10000 20000
    python benchmarks/large.py --data ../shared/data --model nuclei --sides 5000 10000
    python benchmarks/large.py --data ../shared/data --seams
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SAVED = ("labels", "csv", "geojson", "overlay")
SIDE = 256


def pictures(data: Path, split: str, modality: str, side: int = SIDE) -> list[NDArray[Any]]:
    """Images of one kind, cut to squares."""
    import delineate as dl

    with (data / "dsb2018" / "split.csv").open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["split"] == split and r["modality"] == modality]
    chosen = [r["id"] for r in rows if min(int(r["height"]), int(r["width"])) >= side]
    return [dl.read(data / "dsb2018" / "images" / f"{i}.png").pixels[:side, :side] for i in chosen]


def lay_out(path: Path, side: int, images: list[NDArray[Any]]) -> None:
    """A large picture of small ones, each in one of eight turns, row by row."""
    from delineate.data.rasters import OmeTiffWriter

    random = np.random.default_rng(0)
    with OmeTiffWriter(path, (side, side), dtype=np.uint8, pixel_size=0.5) as writer:
        for y in range(0, side, SIDE):
            for x in range(0, side, SIDE):
                image = images[random.integers(len(images))]
                image = np.rot90(image if random.random() < 0.5 else image[::-1], random.integers(4))
                writer.write(x, y, np.ascontiguousarray(image[: side - y, : side - x]))


def threshold(window: NDArray[Any]) -> Any:
    """What is brighter than 40, in one piece, of 20 pixels and more."""
    import cv2

    from delineate.core.instances import Instances
    from delineate.core.labels import Labels
    from delineate.core.masks import Masks

    bright = (window > 40).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(bright, connectivity=4)
    kept = stats[:, cv2.CC_STAT_AREA] >= 20
    kept[0] = False
    numbers = np.zeros(count, np.int32)
    numbers[kept] = np.arange(1, kept.sum() + 1)
    masks = Masks.from_label_image(numbers[labels])
    return Instances(window.shape, masks=masks, classes=Labels(("nucleus",)))


def one(path: Path, model: str, out: Path) -> None:
    """One run, measured, as JSON on standard output."""
    import delineate as dl

    began, cpu = time.perf_counter(), time.process_time()
    options: dict[str, Any] = {"save": SAVED, "workers": 1}
    if model == "threshold":
        done = dl.predict_large(threshold, path, out, tile=1536, overlap=384, **options)
    else:
        import torch

        torch.set_num_threads(1)
        done = dl.predict_large(dl.load(model), path, out, **options)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    told = {"count": done.count, "tiles": done.tiles, "peak": peak}
    print(json.dumps(told | {"clock": time.perf_counter() - began, "cpu": time.process_time() - cpu}))


def measured(path: Path, model: str, out: Path) -> dict[str, float]:
    """A run in a process of its own."""
    command = [sys.executable, __file__, "--one", str(path), "--model", model, "--out", str(out)]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    done = subprocess.run(command, env=os.environ | threads, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def seams(data: Path) -> None:
    """Objects of mosaics in windows of several sizes, against the whole image at once."""
    import delineate as dl

    model = dl.load("nuclei")
    for modality, side in (
        ("grey_fluorescence", 360),
        ("purple_on_purple", 256),
        ("purple_on_white", 256),
        ("grey_brightfield", 1024),
    ):
        images = pictures(data, "val", modality, side)
        across = -(-1024 // side)
        grid = [[images[(across * r + c) % len(images)] for c in range(across)] for r in range(across)]
        mosaic = np.concatenate([np.concatenate(row, axis=1) for row in grid])
        whole = model.predict(mosaic, tile=0)
        for tile in (512, 640, 800):
            found = model.predict(mosaic, tile=tile)
            i, j, shared = whole.masks.intersection_pairs(found.masks)
            union = whole.masks.area[i] + found.masks.area[j] - shared
            print(
                f"{modality:18} {mosaic.shape[0]} tile {tile}: {len(whole)} whole, {len(found)} in windows, "
                f"{int((shared == union).sum())} the same to the pixel, "
                f"{int((shared > 0.5 * union).sum())} with IoU above 0.5",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=os.environ.get("DELINEATE_DATA"))
    parser.add_argument("--sides", type=int, nargs="+", default=[5000, 10000, 20000])
    parser.add_argument("--model", default="threshold")
    parser.add_argument("--seams", action="store_true")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        one(given.one, given.model, given.out)
        return
    if given.seams:
        seams(given.data)
        return
    images = pictures(given.data, "train", "grey_fluorescence")
    for side in given.sides:
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / "picture.ome.tif"
            lay_out(path, side, images)
            found = measured(path, given.model, Path(name) / "out")
            per = found["cpu"] / side**2 * 1e6
            print(
                f"{given.model:10} {side} x {side}: {found['count']:.0f} objects in "
                f"{found['tiles']:.0f} windows, peak {found['peak']:.0f} MiB, {found['cpu']:.0f} s CPU, "
                f"{found['clock']:.0f} s clock, {per:.2f} s CPU per megapixel",
                flush=True,
            )


if __name__ == "__main__":
    main()
