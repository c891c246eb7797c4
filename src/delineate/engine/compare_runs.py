"""One training of a comparison: what it is trained and scored on, and its folder, done once."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from delineate.core.errors import InputError
from delineate.data.records import Dataset
from delineate.models.coco import COCO
from delineate.models.zoo import find

from .atomic import write_atomically
from .config import read_recipe
from .evaluation_inputs import caller, in_classes
from .family_settings import family_settings
from .load import Model, load
from .remarks import Remarks, remarks_of_one_image
from .train import INTERRUPTED, train

TIMED = 20  # images, for the milliseconds of an image
CONFIDENCE = 0.001
"""From which on predictions are kept: AP ranks them all, cells and crowds take the sure ones."""

Change = str | tuple[str, Any]


@dataclass(frozen=True)
class Split:
    """What one training sees, and what it is scored on.

    Attributes:
        name: empty, or the fold.
        training: images to learn from.
        scored: images that it never saw.
    """

    name: str
    training: Dataset
    scored: Dataset


def splits_of(data: Dataset, folds: int, seed: int) -> list[Split]:
    """The dataset's own splits, or ``folds`` parts of it, each scored once by a model that saw the others.

    Args:
        data: all images.
        folds: 0 takes the dataset's ``train`` and ``val``; else 2 and more.
        seed: of the parts.

    Raises:
        InputError: no such splits, or too few images.
    """
    if not folds:
        names = set(data.groups.get("split", ()))
        if not {"train", "val"} <= names:
            told = f"{sorted(names)}" if names - {""} else "no splits"
            raise InputError(
                f"{data.source}: expected splits 'train' and 'val', got {told}; "
                "give --folds 3, or add a split.csv"
            )
        return [Split("", data.select(split="train"), data.select(split="val"))]
    if folds < 2 or folds > len(data):
        raise InputError(
            f"compare, folds: expected 0 or 2 to {len(data)} (the images), got {folds}; give for example 3"
        )
    order = np.random.default_rng(seed).permutation(len(data))
    parts = [sorted(order[fold::folds].tolist()) for fold in range(folds)]
    return [
        Split(
            f"fold{fold + 1}",
            data.subset([i for part in parts if part is not parts[fold] for i in part]),
            data.subset(parts[fold]),
        )
        for fold in range(folds)
    ]


def share_of(data: Dataset, fraction: float, seed: int) -> Dataset:
    """So much of the images, at least one; a smaller share is a part of a larger one."""
    if fraction == 1:
        return data
    order = np.random.default_rng(seed + 1).permutation(len(data))
    count = max(1, round(fraction * len(data)))
    return data.subset(sorted(order[:count].tolist()))


@dataclass(frozen=True)
class Run:
    """One model, one split, one share of its training images.

    Attributes:
        model: a name of the zoo, or a weights file, which is taken as it is.
        split: what it sees and what it is scored on.
        fraction: of the training images, 0..1.
        folder: its files.
    """

    model: str
    split: Split
    fraction: float
    folder: Path

    @property
    def done(self) -> dict[str, Any] | None:
        """What an earlier call measured, or None."""
        path = self.folder / "result.json"
        return json.loads(path.read_text()) if path.exists() else None

    @property
    def predictions(self) -> Path:
        """COCO results of the images that it is scored on."""
        return self.folder / "predictions.json"


def ready_made(name: str, data: Dataset) -> bool:
    """The model needs no training: a weights file, or a name with weights for classes of the dataset.

    Where each side has one class the names need not agree, as in :func:`.evaluation_inputs.in_classes`.

    Raises:
        InputError: neither a name of the zoo nor a file.
    """
    if Path(name).suffix and Path(name).exists():
        return True
    entry = find(name)
    if entry.source == "none":
        return False
    known = (entry.classes or COCO).names
    return set(known) <= set(data.classes.names) or len(known) == len(data.classes) == 1


def carry_out(
    run: Run, minutes: float, changes: Sequence[Change], seed: int, max_det: int, device: str, quiet: bool
) -> dict[str, Any]:
    """Train, predict, measure; an interrupted training goes on where it stopped.

    Returns:
        ``minutes``, ``steps``, ``images`` trained on, ``parameters``, ``ms`` an image.

    Raises:
        KeyboardInterrupt: the training was interrupted; what was done is kept.
        InputError: settings or data that cannot be used.
    """
    told: dict[str, Any] = {"minutes": 0.0, "steps": 0, "images": 0, "trained": False}
    if ready_made(run.model, run.split.training):
        model = load(run.model, device=device or None)
    else:
        training = share_of(run.split.training, run.fraction, seed)
        begin = run.model if find(run.model).source != "none" else ""
        recipe = read_recipe(
            None,
            [
                *family_settings(run.model), ("model.weights", begin), *changes,
                ("data.path", str(training.source)), ("data.val_split", ""), ("model.name", run.model),
                ("train.max_minutes", minutes), ("train.epochs", 10**6), ("train.steps", 0),
                ("train.samples_per_epoch", 4000), ("train.evaluate_every", 0), ("train.seed", seed),
            ],
        )  # fmt: skip
        folder = run.folder / "train"
        resume = (folder / "last.state.pt").exists()
        ended = train(recipe, folder, resume=resume, device=device, sources=(training, None), quiet=quiet)
        if ended.reason == INTERRUPTED:
            raise KeyboardInterrupt
        told |= {
            "minutes": ended.seconds / 60, "steps": ended.step, "images": len(training), "trained": True,
        }  # fmt: skip
        model = load(weights=folder / "last.safetensors", device=device or None)
    told["parameters"] = sum(p.numel() for p in getattr(model.segmenter, "parameters", list)())
    _predict(run, model, max_det)
    told["ms"] = _milliseconds(model, run.split.scored)
    text = json.dumps(told, indent=1) + "\n"
    write_atomically(run.folder / "result.json", partial(_write, text.encode()))
    return told


def _predict(run: Run, model: Model, max_det: int) -> None:
    """COCO results of all images that the run is scored on."""
    text = json.dumps(list(_rows(run.split.scored, model, max_det))).encode()
    write_atomically(run.predictions, partial(_write, text))


def _rows(data: Dataset, model: Model, max_det: int) -> Iterator[dict[str, Any]]:
    call = caller(model, CONFIDENCE, max_det)
    for sample in data:
        with remarks_of_one_image(Remarks()):  # that more was found than max_det asks for is no news here
            found, _ = in_classes(call(sample.image), data.classes)
        encoded = found.masks.to_rle() if found.masks is not None else [None] * len(found)
        for box, label, score, mask in zip(
            found.boxes.tolist(), found.labels.tolist(), found.scores.tolist(), encoded, strict=True
        ):
            left, top, right, bottom = box
            row = {
                "image_id": sample.image_id, "category_id": int(data.classes.ids[label]), "score": score,
                "bbox": [left, top, right - left, bottom - top],
            }  # fmt: skip
            yield row if mask is None else {**row, "segmentation": mask}


def _milliseconds(model: Model, data: Dataset) -> float:
    """Median over some images, at the model's own settings, after one to warm up."""
    images = [data[i].image for i in range(min(TIMED, len(data)))]
    taken = []
    with remarks_of_one_image(Remarks()):
        for image in (images[0], *images):
            start = time.perf_counter()
            model.predict(image)
            taken.append(time.perf_counter() - start)
    return 1000 * statistics.median(taken[1:])


def _write(content: bytes, file: IO[bytes]) -> None:
    file.write(content)
