"""The peer's side of `families.py`, run by the peer's own Python: `ultralytics_train.py JOB.json`.

The job says what to train and on which images to predict; results are COCO's (masks at original size as plain
run lengths) and times. It never asks the network: no checks, downloads, plots or reports.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

os.environ.update(YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false", YOLO_VERBOSE="false")

import cv2
import numpy as np
import torch
from ultralytics import YOLO
from ultralytics import __version__ as version

MAX_DET = 300


def train(job: dict, folder: Path) -> dict:
    """From random weights for ``minutes``, timed between its own first and last training batch."""
    told = {"batches": 0, "curve": []}
    model = YOLO(job["model"])

    def start(trainer) -> None:
        told["start"], told["cpu_start"] = time.monotonic(), time.process_time()
        told["batch_size"] = trainer.batch_size
        told["images"] = len(trainer.train_loader.dataset)

    def batch(trainer) -> None:
        told["end"], told["cpu_end"] = time.monotonic(), time.process_time()
        told["batches"] += 1

    def epoch(trainer) -> None:
        told["epochs"] = trainer.epoch + 1
        row = [round(told["end"] - told["start"], 1), trainer.epoch + 1, told["batches"], trainer.epochs]
        losses = trainer.tloss.values() if isinstance(trainer.tloss, dict) else trainer.tloss
        told["curve"].append(row + [round(float(v), 3) for v in losses])
        told["optimizer"] = (
            f"{type(trainer.optimizer).__name__} {trainer.optimizer.param_groups[0]['lr']:.2g}"
        )

    for event, call in (
        ("on_train_start", start),
        ("on_train_batch_end", batch),
        ("on_train_epoch_end", epoch),
    ):
        model.add_callback(event, call)
    settings = {
        "data": job["data"], "imgsz": job["imgsz"], "time": job["minutes"] / 60, "seed": job["seed"],
        "device": "cpu", "workers": 0, "cache": "ram", "pretrained": False, "amp": False,
        "val": False, "plots": False, "single_cls": True, "project": str(folder), "name": "train",
        "exist_ok": True, "verbose": False,
    }  # fmt: skip
    model.train(**(settings | job.get("settings", {})))
    told["minutes"] = (told.pop("end") - told.pop("start")) / 60
    told["cpu_minutes"] = (told.pop("cpu_end") - told.pop("cpu_start")) / 60
    return told | {"threads": torch.get_num_threads()}


def counts(mask: np.ndarray) -> list[int]:
    """COCO's plain run lengths of an (H, W) mask, column by column, zeros first."""
    flat = np.concatenate(([0], mask.astype(np.uint8).ravel(order="F"), [0]))
    edges = np.flatnonzero(np.diff(flat))
    return np.diff(np.concatenate(([0], edges, [mask.size]))).tolist()


def detect(model: YOLO, image: np.ndarray, imgsz: list[int], confidence: float):
    """One image (BGR) to boxes, scores and masks at original size."""
    return model.predict(
        image, imgsz=imgsz, conf=confidence, max_det=MAX_DET, retina_masks=True, device="cpu", verbose=False
    )[0]


def predict(model: YOLO, job: dict) -> tuple[list[dict], float]:
    """COCO results of all images, and the mean milliseconds of an image at the operating confidence."""
    results, seconds = [], 0.0
    for image in job["images"]:
        pixels = cv2.imread(image["path"])
        found = detect(model, pixels, image["imgsz"], job["confidence"])
        start = time.perf_counter()
        detect(model, pixels, image["imgsz"], job["timed_confidence"])
        seconds += time.perf_counter() - start
        if found.masks is None:
            continue
        masks, scores = found.masks.data.cpu().numpy() > 0.5, found.boxes.conf.cpu().numpy()
        for mask, score in zip(masks, scores, strict=True):
            if mask.any():
                rle = {"size": list(mask.shape), "counts": counts(mask)}
                results.append(
                    {
                        "image_id": image["id"],
                        "category_id": job["category"],
                        "score": float(score),
                        "segmentation": rle,
                    }
                )
    return results, 1000 * seconds / len(job["images"])


def main() -> None:
    torch.set_num_threads(1)
    job = json.loads(Path(sys.argv[1]).read_text())
    folder = Path(sys.argv[1]).parent
    told = train(job, folder)
    model = YOLO(folder / "train" / "weights" / "last.pt")
    told["parameters"] = sum(p.numel() for p in model.model.parameters())
    results, told["ms"] = predict(model, job)
    told["versions"] = {"ultralytics": version, "torch": torch.__version__}
    (folder / "predictions.json").write_text(json.dumps(results))
    (folder / "told.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main()
