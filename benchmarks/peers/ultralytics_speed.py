"""The peer's side of ``benchmarks/realtime.py``; run by it, in an environment of its own.

PEER_PYTHON ultralytics_speed.py FOLDER torch|onnx|openvino fast|retina KEPT CANDIDATES

Only its public interface is used: ``YOLO(...)``, ``.export``, ``.predict``, as its users do. Random weights.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from ultralytics import YOLO

MODEL = "yolo11n-seg"
CONFIDENCE = 1e-9  # random weights are sure of nothing


def settle(network: torch.nn.Module) -> None:
    """Statistics of real activations, without which an untrained network says the same everywhere."""
    files = sorted(Path("images").glob("*.jpg"))[:2]
    pixels = np.stack([cv2.imread(str(path))[..., ::-1] for path in files])
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None  # the mean of what is seen
    with torch.no_grad():
        network.train()(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 0.03
    network.eval()


def load(work: Path, runtime: str) -> YOLO:
    """The network in one of its runtimes; exported once."""
    os.chdir(work)
    weights = Path(f"{MODEL}.pt")
    if not weights.is_file():
        torch.manual_seed(0)
        fresh = YOLO(f"{MODEL}.yaml", task="segment")
        settle(fresh.model)
        fresh.save(weights)
    if runtime == "torch":
        return YOLO(weights)
    path = Path(f"{MODEL}.onnx" if runtime == "onnx" else f"{MODEL}_openvino_model")
    if not path.exists():
        settings = {"simplify": False} if runtime == "onnx" else {}
        YOLO(weights).export(format=runtime, imgsz=640, **settings)
    return YOLO(path, task="segment")


def main() -> None:
    work, runtime, masks = Path(sys.argv[1]).resolve(), sys.argv[2], sys.argv[3]
    kept, candidates = int(sys.argv[4]), int(sys.argv[5])
    images = [path.read_bytes() for path in sorted((work / "images").glob("*.jpg"))[:4]]
    model = load(work, runtime)
    fixed = {"iou": 1.0, "retina_masks": masks == "retina", "imgsz": 640, "verbose": False, "device": "cpu"}
    limits = []
    for data in images:  # the confidence that so many candidates pass, and how many to keep for 100 masks
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        scores = model.predict(pixels, conf=CONFIDENCE, max_det=candidates, **fixed)[0].boxes.conf
        limit = {"conf": float(scores.min()), "max_det": kept}
        while limit["max_det"] < candidates:
            masks_found = model.predict(pixels, **limit, **fixed)[0].masks
            short = kept - (0 if masks_found is None else len(masks_found.data))
            if short <= 0:
                break
            limit["max_det"] += short
        limits.append(limit)
    for line in sys.stdin:
        verb, number = line.split()
        begin = time.perf_counter()
        pixels = cv2.imdecode(np.frombuffer(images[int(number)], np.uint8), cv2.IMREAD_COLOR)
        decoded = time.perf_counter()
        found = model.predict(pixels, **limits[int(number)], **fixed)[0]
        end = time.perf_counter()
        count = 0 if found.masks is None else len(found.masks.data)
        assert not count or found.masks.data.shape[1:] == pixels.shape[:2]
        told = {"total": end - begin, "kept": count}
        if verb == "stages":
            boxes = found.boxes.xyxy.numpy()
            sides = np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1))
            told |= {"decode": decoded - begin, "side": float(sides.mean()) if count else 0.0}
            names = {"prepare": "preprocess", "network": "inference", "post": "postprocess"}
            told |= {ours: found.speed[theirs] / 1e3 for ours, theirs in names.items()}
        print("@" + json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
