"""Random images with detections for the tests of metrics, and the same for hotcoco."""

from __future__ import annotations

from typing import Any

import hotcoco
import numpy as np

from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks

CLASSES = Labels(("a", "b", "c"), ids=(1, 2, 3))
SIDE = 90


def rectangles(boxes: np.ndarray) -> Masks:
    dense = np.zeros((len(boxes), SIDE, SIDE), bool)
    for k, (x0, y0, x1, y1) in enumerate(boxes.astype(int).tolist()):
        dense[k, y0:y1, x0:x1] = True
    return Masks.from_dense(dense)


def image(seed: int, crowd: bool = False) -> tuple[Instances, Instances]:
    """Detections that are moved, resized, relabelled, doubled, or without truth; and the truth."""
    rng = np.random.default_rng(seed)
    n, m = int(rng.integers(3, 12)), int(rng.integers(0, 25))
    corner, side = rng.integers(0, 60, (n, 2)), rng.integers(4, 20, (n, 2))
    boxes = np.hstack([corner, corner + side])
    crowds = (rng.random(n) < 0.2) if crowd else None
    truth = Instances(
        (SIDE, SIDE),
        boxes=boxes,
        labels=rng.integers(0, 3, n),
        masks=rectangles(boxes),
        crowd=crowds,  # type: ignore[arg-type]
        classes=CLASSES,
    )
    source = rng.integers(0, n, m)
    corner = np.clip(corner[source] + rng.integers(-4, 5, (m, 2)), 0, 69)
    side = np.clip(side[source] + rng.integers(-3, 4, (m, 2)), 1, 20)
    labels = np.where(rng.random(m) < 0.7, truth.labels[source], rng.integers(0, 3, m))
    found = np.hstack([corner, corner + side])
    scores = rng.random(m)
    pred = Instances(
        (SIDE, SIDE), boxes=found, labels=labels, scores=scores, masks=rectangles(found), classes=CLASSES
    )
    return pred, truth


def images(seed: int, count: int = 6, crowd: bool = False) -> list[tuple[Instances, Instances]]:
    return [image(100 * seed + k, crowd) for k in range(count)]


def hotcoco_of(pairs: list[tuple[Instances, Instances]], kind: str) -> Any:
    """The images as hotcoco evaluates them."""
    truth: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for number, (pred, true) in enumerate(pairs, 1):
        truth += true.to_coco(number, first_id=len(truth) + 1)
        results += pred.to_coco(number)
    for row in truth:
        width, height = row["bbox"][2:]
        row["area"] = width * height
    categories = [{"id": i, "name": name} for i, name in zip(CLASSES.ids, CLASSES.names, strict=True)]
    listed = [{"id": k, "height": SIDE, "width": SIDE} for k in range(1, len(pairs) + 1)]
    data = hotcoco.COCO({"images": listed, "annotations": truth, "categories": categories})
    done = hotcoco.COCOeval(data, data.load_res(results), "segm" if kind == "mask" else "bbox")
    done.evaluate()
    return done
