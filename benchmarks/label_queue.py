"""AP against labels spent: the queue's strategies beside random order, on DSB2018.

python benchmarks/label_queue.py [--seeds 3] [--rounds 3] [--batch 8] [--steps 120] [--strategies NAME ...]

Needs DELINEATE_DATA (the folder that holds dsb2018/). Each run starts from ``--batch`` training images drawn
at random, trains a small model of the family of `nuclei` from fresh weights for ``--steps`` steps, scores it
on the validation images, lets a strategy choose as many more from a pool of ``--pool`` images, and so on. All
strategies of a seed share the first images and the first model, so that they differ in nothing but the
choice. The score is AP at IoU 0.5, pooled over the images (Caicedo et al. 2019).
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import delineate as dl
from delineate.engine.config import parse_recipe
from delineate.engine.label_queue import look_at, order, pooled
from delineate.engine.load import Model
from delineate.engine.train import INTERRUPTED, train
from delineate.metrics.cell_matching import CellMatching

LOOKING = 0.05  # confidence of what the queue judges


def recipe(steps: int, seed: int) -> Any:
    return parse_recipe(
        {
            "model": {"name": "center_offset", "settings": {"channels": [16, 24, 32, 48, 64]}},
            "augment": {
                "crop": 128, "scale": [0.6, 1.6], "flip": True, "rotate90": True, "contrast": 0.3,
                "gamma": 0.4, "color": 0.1, "invert": 0.1, "grey": 0.1,
            },
            "train": {
                "steps": steps, "batch_size": 8, "lr": 4e-3, "weight_decay": 0.02, "warmup_steps": 20,
                "clip_norm": 5.0, "ema": 0.97, "threads": 1, "seed": seed, "evaluate_every": 0,
            },
        }
    )  # fmt: skip


def trained(data: Any, steps: int, seed: int) -> Model:
    with tempfile.TemporaryDirectory() as folder:
        done = train(
            recipe(steps, seed), Path(folder) / "run", sources=(data, None), device="cpu", quiet=True
        )
        if done.reason == INTERRUPTED:
            raise SystemExit("interrupted: a training that was cut short is no result")
        return dl.load(weights=Path(folder) / "run" / "last.safetensors", device="cpu")


def accuracy(model: Model, samples: list[Any]) -> float:
    metric = CellMatching()
    for sample in samples:
        metric.update(model.predict(sample.image), sample.truth)
    return float(metric.compute().pooled[0].accuracy)


def seen(image: np.ndarray, model: Model, features: Any) -> Any:
    return look_at(image, lambda a: model.predict(a, confidence=LOOKING), lambda _: features)


def one_run(
    data: Any,
    pool: list[int],
    val: list[Any],
    strategy: str,
    seed: int,
    options: Any,
    features: dict[int, Any],
    first: list[Any],
) -> list[tuple[int, int, float]]:
    """Images, objects and AP after each round; ``first`` keeps the first model for the other strategies."""
    rng = np.random.default_rng(seed)
    known = rng.permutation(pool)[: options.batch].tolist()
    curve = []
    for turn in range(options.rounds):
        if turn == 0 and first:
            model, score = first
        else:
            model = trained(data.subset(known), options.steps, seed)
            score = accuracy(model, val)
        if turn == 0:
            first[:] = [model, score]
        objects = sum(len(data.truth(i)) for i in known)
        curve.append((len(known), objects, score))
        print(json.dumps({"strategy": strategy, "seed": seed, "round": turn, "images": len(known),
                          "objects": objects, "AP50": round(curve[-1][2], 4)}), flush=True)  # fmt: skip
        if turn + 1 < options.rounds:
            left = [i for i in pool if i not in set(known)]
            if strategy == "random":
                chosen = rng.permutation(left)[: options.batch].tolist()
            else:
                scores = [seen(data[i].image, model, features[i]) for i in left]
                ranked = order(scores, [features[i] for i in known], strategy, seed)  # type: ignore[arg-type]
                chosen = [left[i] for i, _ in ranked[: options.batch]]
            known = known + chosen
    return curve


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--pool", type=int, default=100)
    parser.add_argument("--val", type=int, default=35)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--strategies", nargs="+", default=["random", "mixed"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    begin = time.monotonic()
    data = dl.open_dataset(Path(os.environ["DELINEATE_DATA"]) / "dsb2018", split="train")
    small = [i for i in range(len(data)) if data[i].image.shape[0] * data[i].image.shape[1] <= 520 * 700]
    pool = np.random.default_rng(99).permutation(small)[: options.pool].tolist()
    whole = dl.open_dataset(Path(os.environ["DELINEATE_DATA"]) / "dsb2018", split="val")
    val = [whole[int(i)] for i in np.linspace(0, len(whole) - 1, options.val)]
    features = {i: pooled(data[i].image) for i in pool}
    print(f"{datetime.date.today()}, torch {torch.__version__}, pool {len(pool)}, val {len(val)}, "
          f"{time.monotonic() - begin:.0f} s to read", flush=True)  # fmt: skip
    curves: dict[str, list[list[tuple[int, int, float]]]] = {name: [] for name in options.strategies}
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        first: list[Any] = []
        for name in options.strategies:
            curves[name].append(one_run(data, pool, val, name, seed, options, features, first))
    print(
        "\n| strategy | "
        + " | ".join(f"{(k + 1) * options.batch} images" for k in range(options.rounds))
        + " |"
    )
    print("|---" * (options.rounds + 1) + "|")
    for name, runs in curves.items():
        scores = np.array([[ap for _, _, ap in run] for run in runs])
        objects = np.array([[n for _, n, _ in run] for run in runs]).mean(axis=0)
        cells = [f"{m:.3f} ± {s:.3f} ({o:.0f} objects)" for m, s, o in
                 zip(scores.mean(axis=0), scores.std(axis=0), objects, strict=True)]  # fmt: skip
        print(f"| {name} | " + " | ".join(cells) + " |")
    print(f"{time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    main()
