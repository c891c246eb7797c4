"""Accuracy after each decoder layer: trained query transformers, cut short.

    python benchmarks/layers.py RUNS [--every 3]

RUNS is the folder of `families.py` with finished runs of mask2former, maskdino and dimaskdino. Every layer is
trained to predict by itself (deep supervision), so a network cut after n layers is a smaller network that
needs no training of its own; n = 0 is what the queries say before the first layer. Scored on every third
validation image. A second call does only what is missing.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch

import delineate as dl

METHODS = ("mask2former", "maskdino", "dimaskdino")
MAX_DET = 300


def curve(folder: Path, data: Any) -> list[dict[str, float]]:
    """Scores of a run's network cut after 0, 1, 2, ... layers."""
    count = len(network(folder).segmenter.decoder.layers)
    rows = []
    for layers in range(count + 1):
        model = network(folder)
        model.segmenter.decoder.layers = model.segmenter.decoder.layers[:layers]
        model = dataclasses.replace(model)  # what predicts is a prepared copy, made anew of the cut network
        start = time.process_time()
        report = dl.evaluate(model, data, metrics=["coco"], max_det=MAX_DET, progress=False)
        seconds = time.process_time() - start
        row = {name: report.scores[name] for name in ("mask/AP", "mask/AP50", "box/AP")}
        rows.append({"layers": layers, **row, "seconds_per_image": seconds / len(data)})
    return rows


def network(folder: Path) -> Any:
    """The run's trained network."""
    return dl.load(weights=folder / "train" / "last.safetensors")


def main() -> None:
    """Measure what is missing, then print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("runs", type=Path)
    parser.add_argument("--data", default="dsb2018")
    parser.add_argument("--every", type=int, default=3)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    whole = dl.open_dataset(asked.runs / "data" / asked.data, split="val")
    data = [sample for i, sample in enumerate(whole) if i % asked.every == 0]
    curves: dict[str, list[list[dict[str, float]]]] = defaultdict(list)
    for method in METHODS:
        for folder in sorted(asked.runs.glob(f"{method}-{asked.data}-*")):
            if not (folder / "result.json").exists():
                continue
            path = folder / f"layers-{asked.every}.json"
            if not path.exists():
                path.write_text(json.dumps(curve(folder, data), indent=1) + "\n")
                print(f"{folder.name}: done", flush=True)
            curves[method].append(json.loads(path.read_text()))
    for score in ("mask/AP", "box/AP"):
        print(f"\n| {score} after layers | seeds | {' | '.join(map(str, range(longest(curves))))} |")
        print("|---" * (longest(curves) + 2) + "|")
        for method, runs in curves.items():
            means = [statistics.mean(row[score] for row in rows) for rows in zip(*runs, strict=True)]
            print(f"| {method} | {len(runs)} | {' | '.join(f'{mean:.3f}' for mean in means)} |")


def longest(curves: dict[str, list[list[dict[str, float]]]]) -> int:
    """Points of the longest curve."""
    return max((len(rows) for runs in curves.values() for rows in runs), default=0)


if __name__ == "__main__":
    main()
