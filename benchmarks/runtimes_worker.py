"""One process of `runtimes.py`: prepares a model, exports it, checks an export, or runs it when told to.

The task is JSON on the command line. "prepare", "export" and "check" answer with one line of JSON; "run"
answers once it has warmed up, then a line for each number of an image on standard input.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

ENDINGS = {"onnxruntime": ".onnx", "openvino": ".xml"}


def spread(items: Any, most: int) -> list[Any]:
    """At most so many, evenly."""
    return [items[i * len(items) // most] for i in range(most)] if len(items) > most else list(items)


def pictures(folder: Path) -> list[Path]:
    """The images of a prepared model."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in (".png", ".jpg", ".tif"))


def sized(image: Any, side: int) -> Any:
    """An image of that side; 0 leaves it."""
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA) if side else image


def prepare(task: dict[str, Any]) -> dict[str, Any]:
    """Weights and images."""
    from runtimes_models import SEEDED
    from runtimes_models import prepare as prepared

    files = []
    if not task["name"].startswith(SEEDED):
        from delineate.data.dataset import open_dataset

        val = open_dataset(task["data"]).select(split="val")
        files = [r.path for r in spread(val.records, task["images"])]
    prepared(task["name"], task["given"], files, Path(task["folder"]))
    return {}


def export(task: dict[str, Any]) -> dict[str, Any]:
    """A file; how long it took, and how large it is."""
    from delineate.data.dataset import open_dataset
    from delineate.data.images import read
    from delineate.engine.load import load
    from delineate.runtime.export import export as written
    from delineate.runtime.export import takes_any_size

    folder = Path(task["folder"])
    source = load(weights=folder / "model.safetensors")
    images = [sized(read(p).pixels, task["side"]) for p in pictures(folder)]
    calibration: list[Any] = []
    if task["precision"] == "int8" and task["seeded"]:
        calibration = images
    elif task["precision"] == "int8":
        train = open_dataset(task["data"]).select(split="train")
        calibration = [read(r.path).pixels for r in spread(train.records, task["calibrate"])]
    spec = source.network.input
    shapes = [spec.network_size(image.shape[:2]) for image in images]
    high, wide = (-(-max(each) // spec.divisor) * spec.divisor for each in zip(*shapes, strict=True))
    path = folder / f"{task['precision']}{ENDINGS[task['runtime']]}"
    began = time.process_time()
    written(
        source.network, path, size=(high, wide), precision=task["precision"], calibration=calibration,
        dynamic=len(set(shapes)) > 1 and takes_any_size(source.network),
    )  # fmt: skip
    weights = path.with_suffix(".bin") if path.suffix == ".xml" else path
    return {"export_cpu": round(time.process_time() - began, 1), "bytes": weights.stat().st_size}


def check(task: dict[str, Any]) -> dict[str, Any]:
    """How an export differs from its model, and what it scores on part of the val split."""
    import torch

    from delineate.data.dataset import open_dataset
    from delineate.data.images import read
    from delineate.engine.evaluate import evaluate
    from delineate.engine.load import Model, load
    from delineate.runtime.parity import compare
    from delineate.runtime.session import Session

    torch.set_num_threads(2)
    folder, told = Path(task["folder"]), {}
    model: Any = load(weights=folder / "model.safetensors")
    if task["path"]:
        session = Session(task["path"], task["runtime"], 2)
        images = [sized(read(p).pixels, task["side"]) for p in spread(pictures(folder), task["images"])]
        found = compare(model.network, session, images)
        told = {
            "objects": found.objects, "differing": found.differing, "lost": round(found.lost, 4),
            "iou": round(found.masks, 4),
        }  # fmt: skip
        model = Model(session)
    if task["scored"] and not task["seeded"]:
        val = open_dataset(task["data"]).select(split="val")
        fits = [i for i in range(len(val)) if max(val.truth(i).size) <= (task["side"] or 10**6)]
        part = val.subset(spread(fits, task["scored"]))
        if len(part):
            report = evaluate(model, part, metrics=["coco"], progress=False)
            told |= {"AP": round(report.scores["mask/AP"], 4), "scored": len(part)}
    return told


def runner(task: dict[str, Any]) -> Callable[[int], dict[str, float]]:
    """What looks at the image of a number: milliseconds of the network and of all, objects."""
    import torch

    torch.set_num_threads(task["threads"])
    folder = Path(task["folder"])
    files = [str(path) for path in pictures(folder)]
    if task["runtime"] == "torchvision":
        return torchvision(task["name"], folder, files)
    from delineate.engine.benchmark import Task
    from delineate.engine.benchmark_worker import detector, one_pass

    size = (task["side"],) * 2 if task["side"] else None
    path = task["path"] or str(folder / "model.safetensors")
    tasks = [Task(path, task["runtime"], (f,), size, threads=task["threads"]) for f in files]
    model, network = detector(tasks[0])

    def look(index: int) -> dict[str, float]:
        row = one_pass(tasks[index % len(tasks)], model, network)[0]
        told = {kind: round(row["wall", kind], 2) for kind in ("network", "total")}
        return {**told, "cpu": round(row["cpu", "total"], 2), "objects": row["", "objects"]}

    return look


def torchvision(name: str, folder: Path, files: list[str]) -> Callable[[int], dict[str, float]]:
    """torchvision's own, from the file to masks at the image's size."""
    import torch
    from runtimes_models import SEEDED, torchvision_model
    from torchvision_peers import tensor

    first = cv2.imread(files[0])
    model = torchvision_model(name.removeprefix(SEEDED), first, weights=folder / "peer.safetensors")

    def look(index: int) -> dict[str, float]:
        began, used = time.perf_counter(), time.process_time()
        image = np.ascontiguousarray(cv2.imread(files[index % len(files)])[:, :, ::-1])
        with torch.inference_mode():
            found = model([tensor(image)])[0]
        masks = found["masks"][:, 0].numpy() > 0.5
        total = 1000 * (time.perf_counter() - began)
        cpu = 1000 * (time.process_time() - used)
        return {"total": round(total, 2), "cpu": round(cpu, 2), "objects": float(len(masks))}

    return look


def main() -> None:
    """Answers on the real standard output; whatever libraries print goes to the errors."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    logging.getLogger("delineate").setLevel(logging.ERROR)
    task = json.loads(sys.argv[1])
    kinds = {"prepare": prepare, "export": export, "check": check}
    if task["kind"] in kinds:
        answers.write(json.dumps(kinds[task["kind"]](task)) + "\n")
        return
    look = runner(task)
    began = time.perf_counter()
    look(0)
    answers.write(json.dumps({"first": round(time.perf_counter() - began, 2)}) + "\n")
    for line in sys.stdin:
        answers.write(json.dumps(look(int(line))) + "\n")


if __name__ == "__main__":
    main()
