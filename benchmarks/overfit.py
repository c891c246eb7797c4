"""Can a query transformer learn eight images by heart? Small networks from random weights, on one core.

    DELINEATE_DATA=... taskset -c 1 env OMP_NUM_THREADS=1 python benchmarks/overfit.py OUT --minutes 12

Of `coco_subset` the eight images are taken whose smallest object is largest (two objects at least, no crowd
regions): what is asked is whether the network, its matching and its losses can reach the truth, not whether
stride-4 masks of a 256-pixel image can draw what is ten pixels large at 640. Trained without augmentation,
scored at original size on the same images.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from pathlib import Path

import torch

import delineate as dl
from delineate.engine.config import read_recipe
from delineate.engine.train import train

SIDE = 256
SMALL = {  # the same for all three
    "backbone": "test_resnet", "queries": 30, "encoder_layers": 1, "decoder_layers": 3, "channels": 64,
    "encoder_hidden": 256, "decoder_hidden": 256, "points": 1024, "frozen_norms": False,
}  # fmt: skip
INPUT = {
    "shortest_edge": None, "longest_edge": SIDE, "divisor": SIDE, "mean": [0.45] * 3, "std": [0.25] * 3,
    "scaling": "range",
}  # fmt: skip


def choose(count: int, out: Path) -> Path:
    """Write the images and their annotations as a dataset; the images are those with no small object."""
    source = Path(os.environ["DELINEATE_DATA"]) / "coco_subset"
    data = dl.open_dataset(source, split="train")
    rows = []
    for i, record in enumerate(data.records):
        truth = data.truth(i)
        if len(truth) >= 2 and not truth.crowd.any():
            rows.append((float(truth.area.min()) / (truth.size[0] * truth.size[1]), record.image_id))
    wanted = {int(image) for _, image in sorted(rows, reverse=True)[:count]}
    path = source / "annotations" / "instances_train2017.json"
    content = json.loads(path.read_text())
    content["images"] = [image for image in content["images"] if image["id"] in wanted]
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] in wanted]
    shutil.rmtree(out, ignore_errors=True)
    (out / "images").mkdir(parents=True)
    for image in content["images"]:
        shutil.copy(source / "images" / "train2017" / image["file_name"], out / "images")
    (out / "instances.json").write_text(json.dumps(content))
    return out / "instances.json"


def main() -> None:
    """Train, score, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", choices=("mask2former", "maskdino", "dimaskdino"), default="maskdino")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=12.0)
    parser.add_argument("--set", action="append", default=[], help="change a setting, to try it")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    data = choose(asked.images, asked.out / "data")
    settings = SMALL | {"input": INPUT}
    if asked.model != "mask2former":
        settings["boxes_from_masks"] = False
    changes: dict[str, object] = {
        "data.path": str(data), "data.train_split": "", "data.val_split": "", "data.cache": True,
        "model.name": asked.model, "model.settings": settings,
        "augment.crop": SIDE, "augment.scale": [1.0, 1.0], "augment.flip": False, "augment.rotate90": False,
        "augment.brightness": 0.0, "augment.contrast": 0.0, "augment.gamma": 0.0, "augment.color": 0.0,
        "augment.invert": 0.0, "augment.grey": 0.0, "augment.blur": 0.0, "augment.noise": 0.0,
        "train.max_minutes": asked.minutes, "train.epochs": 10**6, "train.samples_per_epoch": 4000,
        "train.batch_size": 4, "train.optimizer": "muon", "train.lr": 5e-3, "train.weight_decay": 0.0,
        "train.warmup_steps": 50, "train.ema": 0.99, "train.threads": 1, "train.evaluate_every": 0,
    }  # fmt: skip
    recipe = read_recipe(None, [*changes.items(), *asked.set])
    start, busy = time.monotonic(), time.process_time()
    result = train(recipe, asked.out / asked.model, quiet=True)
    lost = (time.monotonic() - start) - (time.process_time() - busy)
    model = dl.load(weights=asked.out / asked.model / "last.safetensors")
    report = dl.evaluate(model, dl.open_dataset(data), metrics=["coco"], progress=False)
    told = {name: round(report.scores[name], 4) for name in ("mask/AP", "mask/AP50", "box/AP", "box/AP50")}
    print(json.dumps({"model": asked.model, "steps": result.step, "lost_seconds": round(lost)} | told))


if __name__ == "__main__":
    main()
