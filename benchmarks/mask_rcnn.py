"""Mask R-CNN end to end, file -> results in memory, against torchvision with the same weights.

    python benchmarks/mask_rcnn.py [--variant v1|v2] [--threads 1] [--pairs 3] [--profile]

Nobody needs to download anything: the weights are random, scaled layer by layer on the benchmark's own
picture until they find well over 100 objects of many classes on it. Times are CPU seconds of the process
(``process_time``), medians over alternated pairs, so that a shared machine disturbs both alike. Run it pinned
to as many cores as threads:

    taskset -c 0 env OMP_NUM_THREADS=1 python benchmarks/mask_rcnn.py --threads 1
"""

from __future__ import annotations

import argparse
import functools
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torchvision.models import resnet50
from torchvision.models.detection import maskrcnn_resnet50_fpn_v2 as their_v2
from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor
from torchvision.models.detection.mask_rcnn import MaskRCNN
from torchvision.ops import box_iou
from torchvision.ops.misc import FrozenBatchNorm2d

from delineate.core.batch import InputSpec, collate
from delineate.core.instances import Instances
from delineate.models.mask_rcnn import (
    load_torchvision_state_dict,
    maskrcnn_resnet50_fpn,
    maskrcnn_resnet50_fpn_v2,
)

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "models"))
from torchvision_peers import calibrate, picture, tensor

SIZE = (800, 1333)


def theirs(variant: str) -> Any:
    """torchvision's model with weights that find objects on the benchmark's picture."""
    if variant == "v2":
        model: Any = their_v2(weights=None, weights_backbone=None)
    else:
        body = resnet50(weights=None, norm_layer=FrozenBatchNorm2d)
        model = MaskRCNN(_resnet_fpn_extractor(body, 5), 91)
    return calibrate(model, background=4.0, image=picture(*SIZE, seed=1)).eval()


def ours(variant: str, peer: Any) -> Any:
    from delineate.core.labels import Labels

    build = maskrcnn_resnet50_fpn_v2 if variant == "v2" else maskrcnn_resnet50_fpn
    classes = Labels(tuple(f"class {i}" for i in range(1, 91)))
    model = load_torchvision_state_dict(build(classes=classes, input=InputSpec()), peer.state_dict())
    return model.prepared()


def run_theirs(model: Any, path: Path) -> dict[str, np.ndarray]:
    image = np.ascontiguousarray(cv2.imread(str(path))[:, :, ::-1])
    with torch.inference_mode():
        result = model([tensor(image)])[0]
    return {
        "boxes": result["boxes"].numpy(),
        "labels": result["labels"].numpy() - 1,
        "scores": result["scores"].numpy(),
        "masks": result["masks"][:, 0].numpy() > 0.5,
    }


def run_ours(model: Any, path: Path, autocast: bool = False) -> Instances:
    image = np.ascontiguousarray(cv2.imread(str(path))[:, :, ::-1])
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        return model.detect(collate([image], model.input))[0]


def held(found: Instances, truth: dict[str, np.ndarray]) -> tuple[int, float]:
    """How many of the peer's detections we have (IoU > 0.9, same label), and the mean IoU of their masks."""
    iou = box_iou(torch.from_numpy(truth["boxes"]), torch.from_numpy(found.boxes.copy())).numpy()
    iou *= truth["labels"][:, None] == found.labels[None]
    best = iou.argmax(1)
    good = np.flatnonzero(iou.max(1) > 0.9)
    if found.masks is None or not len(good):
        return len(good), 0.0
    dense = found.masks[best[good]].dense()
    expected = truth["masks"][good]
    overlap = (dense & expected).sum((1, 2)) / np.maximum((dense | expected).sum((1, 2)), 1)
    empty = ~(dense | expected).any((1, 2))
    return len(good), float(np.where(empty, 1.0, overlap).mean())


def clock(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    value = call()
    return time.process_time() - start, value


def stages(model: Any, path: Path) -> list[tuple[str, float]]:
    """CPU seconds of each step of ours, in order."""
    times: list[tuple[str, float]] = []

    def step(name: str, call: Callable[[], Any]) -> Any:
        seconds, value = clock(call)
        times.append((name, seconds))
        return value

    with torch.inference_mode():
        image = step("read file", lambda: np.ascontiguousarray(cv2.imread(str(path))[:, :, ::-1]))
        batch = step("normalise, resize, pad", lambda: collate([image], model.input))
        body = step("backbone", lambda: model.backbone.body(batch.images))
        features = step("pyramid", lambda: model.backbone.fpn(body))
        step("proposal head alone", lambda: model.proposals.head(features))
        padded = (batch.images.shape[2], batch.images.shape[3])
        boxes = step("proposals", lambda: model.proposals(features, padded, batch.sizes))
        from delineate.nn.roi import stack_rois

        pooled = step("RoIAlign 7 x 7 alone", lambda: model.boxes.pool(features, stack_rois(boxes)))
        step("box head alone", lambda: model.boxes.head(pooled))
        found = step("boxes", lambda: model.boxes.detect(features, boxes, batch.sizes, model.limits))
        labels = found[0].labels
        step("masks", lambda: model.masks.probabilities(features, [found[0].boxes], labels))
        outputs = model(batch.images, batch.sizes)
        step("instances (paste)", lambda: model.instances(outputs, batch))
    return times


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--variant", choices=["v1", "v2"], default="v1")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    logging.getLogger("delineate").setLevel(logging.ERROR)
    peer = theirs(arguments.variant)
    model = ours(arguments.variant, peer)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.png"
        cv2.imwrite(str(path), picture(*SIZE, seed=1)[:, :, ::-1])
        calls = {
            "torchvision": functools.partial(run_theirs, peer, path),
            "delineate": functools.partial(run_ours, model, path),
            "delineate bf16": functools.partial(run_ours, model, path, True),
        }
        seconds: dict[str, list[float]] = {name: [] for name in calls}
        results: dict[str, Any] = {name: call() for name, call in calls.items()}  # also warms up
        for _ in range(arguments.pairs):
            for name, call in calls.items():
                seconds[name].append(clock(call)[0])
        base = statistics.median(seconds["torchvision"])
        print(
            f"{arguments.variant}, {SIZE[0]} x {SIZE[1]}, {arguments.threads} thread(s), "
            f"median of {arguments.pairs}"
        )
        for name, values in seconds.items():
            middle = statistics.median(values)
            line = f"{name:16s} {middle:6.2f} s CPU  {base / middle:5.2f}x"
            if name != "torchvision":
                count, overlap = held(results[name], results["torchvision"])
                total = len(results["torchvision"]["boxes"])
                line += f"  {count} of {total} detections hold, mean mask IoU {overlap:.4f}"
            print(line)
        if arguments.profile:
            stages(model, path)
            for name, value in stages(model, path):
                print(f"  {name:28s} {value * 1000:7.0f} ms")


if __name__ == "__main__":
    main()
