"""Evaluation of tracks against TrackEval and py-ctcmetrics, files to scores: `benchmarks/evaluate_tracks.py`.

Two synthetic workloads are generated with a fixed seed, results being the truth with misses, switched ids,
shifted masks and strays:

- `mots`: MOTS text, 200 frames of 1280 x 720, 30 moving discs, two of them cars: HOTA, CLEAR MOT, identity;
- `ctc`: a folder of the Cell Tracking Challenge, 20 frames of 700 x 700, 100 cells: SEG, TRA, DET, LNK.

Every tool runs in a process of its own and prints CPU seconds (`process_time`, imports left out) and peak
memory; the scores must be equal to the last digit. Run it pinned, on one thread:
`taskset -c 0 env OMP_NUM_THREADS=1 python benchmarks/evaluate_tracks.py`.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import subprocess
import sys
import tempfile
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from delineate.core.masks import Masks

NAME = "MOTS20-01"


def scene(rng: np.random.Generator, size: tuple[int, int], objects: int, frames: int) -> list[np.ndarray]:
    """Label images of discs that move; later ones cover earlier ones."""
    height, width = size
    at, speed = rng.uniform(0, 1, (objects, 2)) * (height, width), rng.normal(0, 2, (objects, 2))
    radius = rng.uniform(0.02, 0.05, objects) * width
    yy, xx = np.mgrid[:height, :width]
    result = []
    for t in range(frames):
        labels = np.zeros(size, np.int32)
        for k, (y, x) in enumerate((at + speed * t) % (height, width)):
            r = int(radius[k]) + 1
            window = np.s_[max(int(y) - r, 0) : int(y) + r, max(int(x) - r, 0) : int(x) + r]
            inside = (yy[window] - y) ** 2 + (xx[window] - x) ** 2 < radius[k] ** 2
            labels[window][inside] = k + 1
        result.append(labels)
    return result


def disturbed(rng: np.random.Generator, frames: list[np.ndarray]) -> list[np.ndarray]:
    """What a tracker might make of it; every id is that of one unbroken track."""
    top = int(max(f.max() for f in frames)) + 1
    name, last, fresh = np.arange(top), np.full(top, -1), top
    result = []
    for t, labels in enumerate(frames):
        there = np.unique(labels)[1:]
        new = np.zeros(top, np.int32)
        for k in there[rng.random(len(there)) < 0.9]:
            if last[k] not in (-1, t - 1) or rng.random() < 0.02:  # a gap or a switch: another id
                name[k], fresh = fresh, fresh + 1
            new[k], last[k] = name[k], t
        found = np.roll(new[labels], rng.integers(-2, 3, 2), axis=(0, 1))
        found[:12, :12] = fresh
        fresh += 1
        result.append(found)
    return result


def write_mots(path: Path, frames: list[np.ndarray]) -> None:
    path.parent.mkdir(parents=True)
    with path.open("w") as file:
        for t, labels in enumerate(frames, 1):
            ids = np.unique(labels)[1:]
            for i, rle in zip(ids.tolist(), Masks.from_label_image(labels).to_rle(), strict=True):
                label = 1 if i < 3 else 2
                file.write(f"{t} {i} {label} {rle['size'][0]} {rle['size'][1]} {rle['counts']}\n")


def write_ctc(folder: Path, prefix: str, text: str, frames: list[np.ndarray]) -> None:
    folder.mkdir(parents=True)
    seen: dict[int, list[int]] = {}
    for t, labels in enumerate(frames):
        tifffile.imwrite(folder / f"{prefix}{t:03d}.tif", labels.astype(np.uint16), compression="zlib")
        for i in np.unique(labels)[1:].tolist():
            seen.setdefault(i, []).append(t)
    (folder / text).write_text("".join(f"{i} {ts[0]} {ts[-1]} 0\n" for i, ts in sorted(seen.items())))


def generate(root: Path) -> None:
    rng = np.random.default_rng(0)
    true = scene(rng, (720, 1280), 30, 200)
    write_mots(root / "gt" / NAME / "gt" / "gt.txt", true)
    write_mots(root / "found" / "data" / f"{NAME}.txt", disturbed(rng, true))
    cells = disturbed(rng, scene(rng, (700, 700), 100, 20))  # unbroken tracks, as the challenge asks for
    write_ctc(root / "01_GT" / "TRA", "man_track", "man_track.txt", cells)
    write_ctc(root / "01_GT" / "SEG", "man_seg", "unused.txt", cells)
    write_ctc(root / "01_RES", "mask", "res_track.txt", disturbed(rng, cells))


def delineate_mots(root: Path) -> dict[str, float]:
    import delineate as dl

    report = dl.evaluate_tracks(root / "found" / "data", root / "gt", progress=False)
    parts: dict[str, Any] = {name: report.parts[name] for name in report.parts}
    numbers = {**parts["clear"].classes["pedestrian"].scores, **parts["hota"].classes["pedestrian"].scores}
    numbers |= parts["identity"].classes["pedestrian"].scores
    return {name: float(numbers[name]) for name in ("HOTA", "AssA", "LocA", "MOTA", "sMOTA", "IDSW", "IDF1")}


def trackeval_mots(root: Path) -> dict[str, float]:
    import trackeval

    quiet = {"PRINT_CONFIG": False}
    given = {"GT_FOLDER": str(root / "gt"), "TRACKERS_FOLDER": str(root), "TRACKERS_TO_EVAL": ["found"]}
    dataset = trackeval.datasets.MOTSChallenge(
        {**given, **quiet, "SEQ_INFO": {NAME: 200}, "SKIP_SPLIT_FOL": True}
    )
    data = dataset.get_preprocessed_seq_data(dataset.get_raw_seq_data("found", NAME), "pedestrian")
    metrics = trackeval.metrics
    found: dict[str, Any] = {}
    for judge in (metrics.HOTA(), metrics.CLEAR(dict(quiet)), metrics.Identity(dict(quiet))):
        found |= judge.combine_sequences({NAME: judge.eval_sequence(data)})
    names = ("HOTA", "AssA", "LocA", "MOTA", "sMOTA", "IDSW", "IDF1")
    return {name: float(np.mean(found[name])) for name in names}


def delineate_ctc(root: Path) -> dict[str, float]:
    import delineate as dl

    scores = dl.evaluate_tracks(root / "01_RES", root / "01_GT", progress=False).scores
    return {name: float(scores[f"ctc/{name}"]) for name in ("SEG", "TRA", "DET", "LNK", "AOGM")}


def py_ctcmetrics(root: Path) -> dict[str, float]:
    import ctc_metrics

    warnings.simplefilter("ignore")
    names = ["SEG", "TRA", "DET", "LNK"]
    found = ctc_metrics.evaluate_sequence(str(root / "01_RES"), str(root / "01_GT"), names, threads=1)
    return {name: float(found[name]) for name in (*names, "AOGM")}


TOOLS = {
    "mots": {"delineate": delineate_mots, "trackeval": trackeval_mots},
    "ctc": {"delineate": delineate_ctc, "py-ctcmetrics": py_ctcmetrics},
}


def measure(workload: str, tool: str, root: Path) -> None:
    """Runs one tool and prints what it found; imports come first."""
    if tool == "delineate":
        import delineate.engine.evaluate_tracks  # noqa: F401
    elif tool == "trackeval":
        import pycocotools.mask  # noqa: F401
        import trackeval  # noqa: F401
    else:
        import ctc_metrics  # noqa: F401
    with contextlib.redirect_stdout(io.StringIO()):
        started = time.process_time()
        scores = TOOLS[workload][tool](root)
        seconds = time.process_time() - started
    status = Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
    print(json.dumps({"scores": scores, "seconds": seconds, "peak": peak}))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--run", nargs=3, metavar=("WORKLOAD", "TOOL", "FOLDER"), help="one tool, for this script"
    )
    given = parser.parse_args()
    if given.run:
        measure(given.run[0], given.run[1], Path(given.run[2]))
        return
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        for workload, tools in TOOLS.items():
            scores = []
            for tool in tools:
                run = [sys.executable, __file__, "--run", workload, tool, folder]
                done = subprocess.run(run, capture_output=True, text=True, check=True)
                record = json.loads(done.stdout.splitlines()[-1])
                scores.append(record["scores"])
                spent = f"{record['seconds']:8.2f} s{record['peak']:8.0f} MB"
                print(f"{workload:6}{tool:15}{version(tool):10}{spent}")
            print(f"{'':6}equal: {scores[0] == scores[1]}", {k: round(v, 4) for k, v in scores[0].items()})


if __name__ == "__main__":
    main()
