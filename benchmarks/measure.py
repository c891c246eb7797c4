"""Measuring 20,000 nuclei on 4096 x 4096 pixels: delineate.measure beside scikit-image's regionprops_table.

    python benchmarks/measure.py [--side 4096] [--repeats 3]

Both give the same columns (delineate more besides), each in a process of its own, in turn, on one thread.
Printed: seconds of CPU and of the clock (medians), the ratio of the pairs, and the memory that measuring took
on top of the two images, from the process's peak.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

COLUMNS = (
    "label", "area", "area_bbox", "area_convex", "axis_major_length", "axis_minor_length", "bbox", "centroid",
    "eccentricity", "equivalent_diameter_area", "euler_number", "extent", "feret_diameter_max", "orientation",
    "perimeter", "solidity", "intensity_mean", "intensity_median", "intensity_min", "intensity_max",
    "intensity_std",
)  # fmt: skip
GROUPS = {
    "background": {"background": 5},
    "neighbours": {"neighbours": True, "radius": 60},
    "texture": {"texture": True},
}


def nuclei(side: int, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """A label image (side, side) int32 of wavy ellipses on a jittered grid, and a noisy uint16 image."""
    import cv2

    random = np.random.default_rng(seed)
    grid = side * 142 // 4096
    count = min(grid * grid, round(20_000 * (side / 4096) ** 2))
    step = side / grid
    labels = np.zeros((side, side), np.int32)
    turn = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    found = 0
    for place in random.permutation(grid * grid)[:count]:
        centre = (np.array([place % grid, place // grid]) + 0.5) * step + random.normal(0, 2.5, 2)
        radius = np.clip(random.normal(10.5, 2), 5, 15)
        waves = [
            random.normal(0, 0.12) / k * np.cos((k + 1) * turn + random.uniform(0, 7)) for k in range(1, 6)
        ]
        wide = np.exp(random.normal(0, 0.12))
        away = radius * np.clip(1 + sum(waves), 0.25, 2.5)
        points = centre + np.stack([away * np.cos(turn) * wide, away * np.sin(turn) / wide], axis=1)
        low = np.maximum(np.floor(points.min(axis=0)).astype(int), 0)
        high = np.minimum(np.ceil(points.max(axis=0)).astype(int) + 1, side)
        mask = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
        cv2.fillPoly(mask, [np.round((points - low) * 16).astype(np.int32)], 1, shift=4)
        window = labels[low[1] : high[1], low[0] : high[0]]
        free = (mask > 0) & (window == 0)
        if free.sum() > 20:
            found += 1
            window[free] = found
    image = (
        200 + 1800 * (labels > 0) * random.gamma(4, 0.25, labels.shape) + random.normal(0, 40, labels.shape)
    )
    return labels, image.clip(0, 65535).astype(np.uint16)


def resident() -> float:
    """MiB that the process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def peak() -> float:
    """The most MiB that the process held so far (its own: ru_maxrss begins with what its parent held)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def one(who: str, folder: Path) -> None:
    """Measures once, in this process, and prints the numbers."""
    labels, image = np.load(folder / "labels.npy"), np.load(folder / "image.npy")
    if who == "scikit-image":
        from skimage.measure import regionprops_table

        regionprops_table(labels[:64, :64], image[:64, :64], properties=COLUMNS)
    else:
        import cv2

        import delineate

        cv2.setNumThreads(1)
        delineate.measure(labels[:64, :64], image[:64, :64])
    before, cpu, clock = resident(), time.process_time(), time.perf_counter()
    if who == "scikit-image":
        rows = len(regionprops_table(labels, image, properties=COLUMNS)["label"])
    else:
        rows = len(delineate.measure(labels, image, **GROUPS.get(who, {})))
    used = {"cpu": time.process_time() - cpu, "clock": time.perf_counter() - clock}
    print(json.dumps({"rows": rows, **used, "memory": max(0.0, peak() - before)}))


def run(who: str, folder: Path) -> dict[str, float]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--one", who, "--folder", str(folder)]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    done = subprocess.run(command, env=os.environ | threads, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        one(given.one, given.folder)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        labels, image = nuclei(given.side)
        np.save(folder / "labels.npy", labels)
        np.save(folder / "image.npy", image)
        size = f"{labels.nbytes / 2**20:.0f} MiB of labels, {image.nbytes / 2**20:.0f} MiB of image"
        print(f"{labels.max()} nuclei on {given.side} x {given.side}, {size}", flush=True)
        del labels, image
        names = ("delineate", "scikit-image")
        pairs = [{who: run(who, folder) for who in names} for _ in range(given.repeats)]
        for who in names:
            numbers = {k: statistics.median(p[who][k] for p in pairs) for k in ("cpu", "clock", "memory")}
            print(
                f"{who:14} {numbers['cpu']:8.2f} s CPU {numbers['clock']:8.2f} s clock "
                f"{numbers['memory']:7.0f} MiB on top"
            )
        for key in ("cpu", "clock"):
            ratios = sorted(p["scikit-image"][key] / p["delineate"][key] for p in pairs)
            print(f"ratio, {key}: {statistics.median(ratios):.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f})")
        for who in GROUPS:
            found = run(who, folder)
            print(f"with {who:9} {found['cpu']:8.2f} s CPU {found['memory']:7.0f} MiB on top", flush=True)


if __name__ == "__main__":
    main()
