"""Thousands of images in one go: does memory stay flat, and what does everything but the model cost?

    DELINEATE_DATA=... python benchmarks/batch.py [--images 2000] [--real 120]

Two runs of `delineate.predict_many`, each in a process of its own, on validation images of the Data Science
Bowl 2018, linked under as many names as are asked for. *Memory*: with a quick stand-in for the model (Otsu's
threshold), so that thousands of images take minutes; the process's memory is noted after every image.
*Overhead*: with the real `nuclei`, against a bare loop that decodes each image and calls the model, in turn.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

WELLS = [f"{r}{c:02d}" for r in "ABCDEFGH" for c in range(1, 13)]


def linked(folder: Path, count: int) -> Path:
    data = Path(os.environ["DELINEATE_DATA"]) / "dsb2018"
    with (data / "split.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = [r["id"] for r in rows if r["split"] == "val" and int(r["height"]) <= 260]
    folder.mkdir(parents=True)
    for k in range(count):
        place = folder / f"{WELLS[k % 96]}_s{k:05d}.png"
        place.symlink_to((data / "images" / f"{names[k % len(names)]}.png").resolve())
    return folder


def resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def otsu(pixels: np.ndarray) -> object:
    import cv2

    from delineate.core.instances import Instances
    from delineate.core.masks import Masks

    grey = pixels if pixels.ndim == 2 else 255 - pixels.min(axis=2)
    _, bright = cv2.threshold(np.ascontiguousarray(grey), 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return Instances(grey.shape, masks=Masks.from_label_image(cv2.connectedComponents(bright)[1]))


def memory(images: Path, out: Path, save: str) -> dict[str, float]:
    from delineate.engine.predict_many import predict_many

    seen: list[float] = []
    begin = time.perf_counter()
    report = predict_many(images, out, otsu, save=save, plate=True, tell=lambda _: seen.append(resident()))
    seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    tenth = len(seen) // 10
    return {
        "images": report.images,
        "objects": report.objects,
        "seconds": seconds,
        "MB after a tenth": seen[tenth],
        "MB at the end": seen[-1],
        "MB peak with the tables": peak,
    }


def loop(images: Path) -> dict[str, float]:
    import delineate as dl
    from delineate.data.images import read

    model = dl.load("nuclei")
    paths = sorted(images.iterdir())
    model.predict(read(paths[0]).pixels, confidence=0.5)
    begin, cpu = time.perf_counter(), time.process_time()
    objects = sum(len(model.predict(read(path).pixels, confidence=0.5)) for path in paths)
    return {"objects": objects, "seconds": time.perf_counter() - begin, "cpu": time.process_time() - cpu}


def engine(images: Path, out: Path, save: str) -> dict[str, float]:
    import delineate as dl
    from delineate.data.images import read
    from delineate.engine.predict_many import predict_many

    model = dl.load("nuclei")
    model.predict(read(next(images.iterdir())).pixels, confidence=0.5)
    begin, cpu = time.perf_counter(), time.process_time()
    report = predict_many(images, out, model, save=save)
    seconds, spent = time.perf_counter() - begin, time.process_time() - cpu
    return {"objects": report.objects, "seconds": seconds, "cpu": spent}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--real", type=int, default=120)
    parser.add_argument("--part", default="", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.part:
        name, *values = chosen.part.split("|")
        run = {"memory": memory, "loop": loop, "engine": engine}[name]
        print(json.dumps(run(*[Path(v) for v in values[:2]], *values[2:])))
        return

    def part(*values: object) -> dict[str, float]:
        text = "|".join(map(str, values))
        done = subprocess.run([sys.executable, __file__, "--part", text], stdout=subprocess.PIPE, check=True)
        return json.loads(done.stdout.splitlines()[-1])

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for count in (chosen.images // 10, chosen.images):
            images = linked(folder / f"in{count}", count)
            told = part("memory", images, folder / f"out{count}", "coco,labels,csv,parquet")
            print({k: round(v, 1) for k, v in told.items()}, flush=True)
            shutil.rmtree(folder / f"out{count}")
        images = linked(folder / "real", chosen.real)
        for save in ("labels,csv", "overlay,coco,labels,csv"):
            for _ in range(2):
                told = {"bare loop": part("loop", images), save: part("engine", images, folder / "out", save)}
                shutil.rmtree(folder / "out")
                for key, value in told.items():
                    print(key, {k: round(v, 1) for k, v in value.items()}, flush=True)


if __name__ == "__main__":
    main()
