"""Results with known faults, made of a dataset's truth: `benchmarks/perturbed.py --data D --out r.json`.

Each object is found or missed, well or badly placed, in its class or another, once or twice, alone or merged
with the next; some detections have nothing under them. Scores tell good from bad with some noise, so that a
report on these results must show what was put in. Two seeds, or two values of `--skill`, give two predictors
to compare. Nothing here is a model: no number made from it says anything about one.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.data.dataset import open_dataset

MISSED, MOVED, CONFUSED, DOUBLED, MERGED = 0.15, 0.25, 0.08, 0.06, 0.05
SPURIOUS = 0.5  # detections an image with nothing under them


def perturbed(truth: Instances, rng: np.random.Generator, skill: float) -> Instances:
    """Detections of one image; ``skill`` in 0..1 takes that part of the faults away."""
    fault = 1 - skill
    true = truth[~truth.crowd]
    if true.masks is None:
        raise SystemExit("expected a dataset with masks")
    kept = np.flatnonzero(rng.random(len(true)) >= MISSED * fault)
    masks, labels, scores = [], [], []
    for k in kept.tolist():
        mask, label, quality = true.masks[k], int(true.labels[k]), 0.9
        if rng.random() < MOVED * fault:
            side = max(2.0, float(np.sqrt(mask.area[0])) / 3)
            mask = mask.shift(*(int(v) for v in rng.normal(0, side, 2).round()))
            quality -= 0.25
        if rng.random() < MERGED * fault and len(true) > 1:
            mask = Masks.concatenate([mask, true.masks[(k + 1) % len(true)]]).union()
            quality -= 0.2
        if rng.random() < CONFUSED * fault:
            label, quality = int(rng.integers(len(true.classes))), quality - 0.2
        for again in range(1 + int(rng.random() < DOUBLED * fault)):
            masks.append(mask if not again else mask.shift(1, 1))
            labels.append(label)
            scores.append(quality - 0.3 * again)
    for _ in range(int(rng.poisson(SPURIOUS * fault))):
        height, width = truth.size
        side = max(2, min(height, width) // 12)
        corner = rng.integers(0, [max(1, width - side), max(1, height - side)])
        masks.append(Masks.from_crops([np.ones((side, side), bool)], corner[None], truth.size))
        labels.append(int(rng.integers(len(true.classes))))
        scores.append(0.45)
    if not masks:
        return Instances.empty(truth.size, truth.classes)
    noisy = np.clip(np.array(scores) + rng.normal(0, 0.12, len(scores)), 0.01, 0.99)
    joined = Masks.concatenate(masks)
    seen = joined.area > 0
    found = Instances(truth.size, masks=joined, labels=np.array(labels), scores=noisy, classes=truth.classes)
    return found[seen]


def main() -> None:
    """Write COCO results for a dataset."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--skill", type=float, default=0.0, help="0..1: the part of the faults left out")
    given = parser.parse_args()
    dataset = open_dataset(given.data, split=given.split or None, images=False)
    rng = np.random.default_rng(given.seed)
    rows = []
    for index, image_id in enumerate(dataset.image_ids):
        rows += perturbed(dataset.truth(index), rng, given.skill).to_coco(image_id)
    keys = ("image_id", "category_id", "bbox", "segmentation", "score")
    given.out.write_text(json.dumps([{key: row[key] for key in keys} for row in rows]))
    print(f"{given.out}: {len(rows)} detections on {len(dataset)} images")


if __name__ == "__main__":
    main()
