"""AP against labels spent: the queue's strategies beside random order, on DSB2018.

python benchmarks/label_queue.py [--seeds 3] [--rounds 4] [--batch 4] [--steps 250] [--strategies NAME ...]
python benchmarks/label_queue.py --report LINES.jsonl ... [--picture CURVES.png]

Needs DELINEATE_DATA (the folder that holds dsb2018/). Each run starts from ``--batch`` training images drawn
at random, trains a small model of the family of `nuclei` for twice ``--steps`` steps, scores it on the
validation images, lets a strategy choose as many more from a pool of ``--pool`` images, trains ``--steps``
more steps from the weights it has, as the studio does, and so on. All strategies of a seed share the first
images and the first model, so that they differ in nothing but the choice.

AP at IoU 0.5 (Caicedo et al. 2019) is given pooled over all objects, as the mean over images, and as the mean
over the four kinds of microscopy: images of a rare kind count for little in the first two and for all their
worth in the last. Each round prints a line of JSON; ``--report`` makes the table of such lines, of several
runs together.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
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
from delineate.engine.label_queue import STRATEGIES, look_at, order, pooled
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


def trained(data: Any, steps: int, seed: int, weights: Path | None, out: Path) -> Model:
    """A model trained on ``data``, from fresh weights or gently from those of the round before."""
    plan = recipe(steps, seed)
    if weights is not None:
        plan = dataclasses.replace(
            plan,
            model=dataclasses.replace(plan.model, weights=str(weights)),
            train=dataclasses.replace(plan.train, lr=plan.train.lr / 2, seed=seed + 1000 * len(data)),
        )
    if train(plan, out, sources=(data, None), device="cpu", quiet=True).reason == INTERRUPTED:
        raise SystemExit("interrupted: a training that was cut short is no result")
    return dl.load(weights=out / "last.safetensors", device="cpu")


def accuracy(model: Model, samples: list[tuple[str, Any]]) -> dict[str, float]:
    """AP50 pooled, as the mean over images, and as the mean over the kinds of image."""
    whole, kinds = CellMatching(), {kind: CellMatching() for kind, _ in samples}
    images = []
    for kind, sample in samples:
        found, alone = model.predict(sample.image), CellMatching()
        for metric in (whole, kinds[kind], alone):
            metric.update(found, sample.truth)
        images.append(alone.compute().pooled[0].accuracy)
    by_kind = {kind: float(metric.compute().pooled[0].accuracy) for kind, metric in kinds.items()}
    return {
        "pooled": float(whole.compute().pooled[0].accuracy),
        "per image": float(np.nanmean(images)),
        "kinds": float(np.mean(list(by_kind.values()))),
        **by_kind,
    }


def one_run(strategy: str, seed: int, bench: Bench, folder: Path) -> None:
    """All rounds of a strategy, a line each; the first model is shared by the strategies of a seed."""
    options, features, pool = bench.options, bench.features, bench.pool
    rng = np.random.default_rng(seed)
    known = rng.permutation(pool)[: options.batch].tolist()
    out = folder / f"first{seed}"
    for turn in range(options.rounds):
        if turn == 0 and seed in bench.first:
            model, scores = bench.first[seed]
        else:
            weights = out / "last.safetensors" if turn else None
            out = folder / f"{strategy}{seed}-{turn}" if turn else out
            model = trained(bench.data.subset(known), options.steps * (1 if turn else 2), seed, weights, out)
            scores = accuracy(model, bench.val)
            bench.first.setdefault(seed, (model, scores))
        line = {
            "strategy": strategy, "seed": seed, "round": turn, "images": len(known),
            "objects": sum(len(bench.data.truth(i)) for i in known),
            "rare": sum(bench.kinds[i] != "grey_fluorescence" for i in known),
        }  # fmt: skip
        print(json.dumps(line | {name: round(value, 4) for name, value in scores.items()}), flush=True)
        if turn + 1 == options.rounds:
            return
        left = [i for i in pool if i not in set(known)]
        if strategy == "random":
            chosen = rng.permutation(left)[: options.batch].tolist()
        else:
            seen = [
                look_at(
                    bench.data[i].image,
                    lambda a, model=model: model.predict(a, confidence=LOOKING),
                    lambda _, i=i: features[i],
                )
                for i in left
            ]
            ranked = order(seen, [features[i] for i in known], strategy, seed)  # type: ignore[arg-type]
            chosen = [left[i] for i, _ in ranked[: options.batch]]
        known = known + chosen


@dataclasses.dataclass
class Bench:
    """What all runs share."""

    options: argparse.Namespace
    data: Any
    kinds: list[str]
    pool: list[int]
    val: list[tuple[str, Any]]
    features: dict[int, Any]
    first: dict[int, tuple[Model, dict[str, float]]]


def prepare(options: argparse.Namespace) -> Bench:
    root = Path(os.environ["DELINEATE_DATA"]) / "dsb2018"
    with (root / "split.csv").open() as file:
        modality = {row["id"]: row["modality"] for row in csv.DictReader(file)}
    data, whole = dl.open_dataset(root, split="train"), dl.open_dataset(root, split="val")
    kinds = [modality[Path(record.name).stem] for record in data.records]
    small = [i for i, record in enumerate(data.records) if Path(record.name).stem in modality]
    small = [i for i in small if np.prod(data[i].image.shape[:2]) <= 520 * 700]
    pool = np.random.default_rng(99).permutation(small)[: options.pool].tolist()
    val = [
        (modality[Path(whole.records[int(i)].name).stem], whole[int(i)])
        for i in np.linspace(0, len(whole) - 1, options.val)
    ]
    val = [(kind, sample) for kind, sample in val if np.prod(sample.image.shape[:2]) <= 520 * 700]
    features = {i: pooled(data[i].image) for i in pool}
    return Bench(options, data, kinds, pool, val, features, {})


def table(lines: list[dict[str, Any]]) -> str:
    """Mean over seeds, and the mean difference to random order with its standard error."""
    sizes = sorted({line["images"] for line in lines})
    names = list(dict.fromkeys(line["strategy"] for line in lines))
    text = []
    for score in ("pooled", "per image", "kinds"):
        text += [f"\nAP50, {score}", "| strategy | " + " | ".join(f"{n} images" for n in sizes) + " |"]
        text.append("|---" * (len(sizes) + 1) + "|")
        for name in names:
            cells = []
            for size in sizes:
                at = {k["seed"]: k for k in lines if k["strategy"] == name and k["images"] == size}
                base = {k["seed"]: k for k in lines if k["strategy"] == "random" and k["images"] == size}
                both = sorted(set(at) & set(base))
                cell = f"{np.mean([at[seed][score] for seed in at]):.3f}"
                if name != "random" and size > sizes[0] and len(both) > 1:
                    gain = np.array([at[seed][score] - base[seed][score] for seed in both])
                    cell += f" ({gain.mean():+.3f} ± {gain.std(ddof=1) / len(gain) ** 0.5:.3f}, {len(gain)})"
                cells.append(cell)
            text.append(f"| {name} | " + " | ".join(cells) + " |")
    text += ["\nobjects, and images of a rare kind among those labelled"]
    for name in names:
        cells = []
        for size in sizes:
            at = [k for k in lines if k["strategy"] == name and k["images"] == size]
            cells.append(f"{np.mean([k['objects'] for k in at]):.0f}, {np.mean([k['rare'] for k in at]):.1f}")
        text.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(text)


def draw(lines: list[dict[str, Any]], path: Path) -> None:
    """AP against objects labelled, mean over the seeds that every strategy has."""
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys(line["strategy"] for line in lines))
    sizes = sorted({line["images"] for line in lines})
    figure, panels = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")
    for panel, score in zip(panels, ("pooled", "per image", "kinds"), strict=True):
        for name in names:
            rows = [[k for k in lines if k["strategy"] == name and k["images"] == n] for n in sizes]
            x = [np.mean([k["objects"] for k in row]) for row in rows]
            y = np.array([np.mean([k[score] for k in row]) for row in rows])
            error = np.array([np.std([k[score] for k in row], ddof=1) / len(row) ** 0.5 for row in rows])
            (drawn,) = panel.plot(x, y, "o-", label=name)
            panel.fill_between(x, y - error, y + error, alpha=0.15, color=drawn.get_color())
        panel.set(xlabel="objects labelled", ylabel=f"AP50, {score}")
    panels[0].legend()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--pool", type=int, default=150)
    parser.add_argument("--val", type=int, default=69)
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument(
        "--strategies", nargs="+", default=["random", *(s for s in STRATEGIES if s != "random")]
    )
    parser.add_argument("--report", nargs="+", type=Path, metavar="LINES.jsonl")
    parser.add_argument("--picture", type=Path, metavar="CURVES.png", help="with --report")
    options = parser.parse_args()
    if options.report:
        texts = "\n".join(path.read_text() for path in options.report).splitlines()
        lines = [json.loads(text) for text in texts if text.startswith("{")]
        first = {k["seed"]: k for k in lines if k["round"] == 0}
        lines += [  # the first round belongs to every strategy of its seed
            first[seed] | {"strategy": name}
            for name, seed in dict.fromkeys((k["strategy"], k["seed"]) for k in lines)
            if not any(k["strategy"] == name and k["seed"] == seed and k["round"] == 0 for k in lines)
        ]
        print(table(lines))
        if options.picture:
            draw(lines, options.picture)
        return
    torch.set_num_threads(1)
    begin = time.monotonic()
    bench = prepare(options)
    print(f"{datetime.date.today()}, torch {torch.__version__}, pool {len(bench.pool)}, "
          f"val {len(bench.val)}, {time.monotonic() - begin:.0f} s to read", flush=True)  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            for name in options.strategies:
                one_run(name, seed, bench, Path(folder))
    print(f"{time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    main()
