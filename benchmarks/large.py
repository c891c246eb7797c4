"""Memory and time of `predict_large` by the size of the image, and the seams against the untiled result.

Pictures of 5,000, 10,000 and 20,000 pixels a side are laid out of dsb2018's fluorescence images in many
turns, written by windows as tiled TIFF. Each run is a process of its own; its peak of resident memory is
what the system tells of it at its end. ``threshold`` stands in for a quick model, so that what is measured
is the engine: it takes what is brighter than the background, by a fixed value. ``nuclei`` is the model.

    python benchmarks/large.py --data DATA --sides 5000 10000 20000
    python benchmarks/large.py --data DATA --model nuclei --sides 5000 10000
    python benchmarks/large.py --data DATA --seams
    python benchmarks/large.py --chart docs/images/large.svg
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


def chart(log: Path, out: Path) -> None:
    """Time and memory against the pixels, both scales logarithmic, as SVG; the grey line is linear."""
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    panels = (("cpu", "seconds of CPU", 0, 3), ("peak", "peak of resident memory, MiB", 2, 4))
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 330" width="760" height="330" '
        'font-family="system-ui, sans-serif" font-size="12" fill="#222222">'
        '<rect width="760" height="330" fill="#ffffff"/>'
    ]
    colours = {"threshold": "#1f77b4", "nuclei": "#d62728"}
    for number, (key, title, low, high) in enumerate(panels):
        left, top, wide, tall = 60 + 380 * number, 40, 290, 230

        def place(side: float, value: float, box: Any = (left, top, wide, tall, low, high)) -> str:
            x, y, w, h, a, b = box
            across = (np.log10(side**2 / 1e6) - 0.3) / 2.6
            return f"{x + w * across:.1f},{y + h * (1 - (np.log10(value) - a) / (b - a)):.1f}"

        parts.append(f'<text x="{left}" y="24" font-size="14">{title}</text>')
        for power in range(low, high + 1):
            y = top + tall * (1 - (power - low) / (high - low))
            parts.append(f'<path d="M{left},{y:.1f}h{wide}" stroke="#e4e4e4"/>')
            parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{10**power:,}</text>')
        last = -100.0
        for side in sorted({row["side"] for row in rows}):
            x = place(side, 10**low).split(",")[0]
            if float(x) - last < 34:
                continue
            last, label = float(x), f"{side / 1000:g}k²"
            parts.append(f'<text x="{x}" y="{top + tall + 18}" text-anchor="middle">{label}</text>')
        for k, model in enumerate(m for m in colours if any(r["model"] == m for r in rows)):
            mine = sorted((r for r in rows if r["model"] == model), key=lambda r: r["side"])
            tint = colours[model]
            line = " ".join(place(r["side"], r[key]) for r in mine)
            parts.append(f'<polyline points="{line}" fill="none" stroke="{tint}" stroke-width="2"/>')
            for r in mine:
                x, y = place(r["side"], r[key]).split(",")
                parts.append(f'<circle cx="{x}" cy="{y}" r="4" fill="{tint}"/>')
                value = f"{r[key]:,.0f}"
                parts.append(f'<text x="{x}" y="{float(y) - 8:.1f}" text-anchor="middle">{value}</text>')
            parts.append(f'<text x="{left + 130 * k}" y="318" fill="{tint}">{model}</text>')
            if key == "cpu":
                a, b = mine[-1], mine[-1]["cpu"] * (mine[0]["side"] / mine[-1]["side"]) ** 2
                ends = f"{place(mine[0]['side'], b)} {place(a['side'], a['cpu'])}"
                parts.append(
                    f'<polyline points="{ends}" fill="none" stroke="#999999" stroke-dasharray="4 4"/>'
                )
    out.write_text("\n".join([*parts, "</svg>"]) + "\n")


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
    parser.add_argument("--log", type=Path, default=Path("large.jsonl"), help="results are added here")
    parser.add_argument("--chart", type=Path, help="draw what the log has, and nothing else")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        one(given.one, given.model, given.out)
        return
    if given.chart:
        chart(given.log, given.chart)
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
            with given.log.open("a") as file:
                file.write(json.dumps({"model": given.model, "side": side, **found}) + "\n")
            per = found["cpu"] / side**2 * 1e6
            print(
                f"{given.model:10} {side} x {side}: {found['count']:.0f} objects in "
                f"{found['tiles']:.0f} windows, peak {found['peak']:.0f} MiB, {found['cpu']:.0f} s CPU, "
                f"{found['clock']:.0f} s clock, {per:.2f} s CPU per megapixel",
                flush=True,
            )


if __name__ == "__main__":
    main()
