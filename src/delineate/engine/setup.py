"""The parts of a training, from its recipe."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from delineate.core.errors import InputError
from delineate.data.loader import Source
from delineate.data.records import Dataset
from delineate.models.base import Segmenter
from delineate.models.zoo import build

from .checkpoint import fill, load
from .config import Recipe, Train
from .processes import Processes

log = logging.getLogger("delineate")

ENDLESS = 10**7
"""A training of so many steps is one that the clock ends."""

MAIN = (
    "mask/AP",
    "mask/AP50",
    "box/AP",
    "box/AP50",
    "cells/AP50",
    "cells/AP",
    "cells/F1_50",
    "cells/PQ_50",
    "count/MAE",
    "panoptic/PQ",
    "panoptic/PQ_things",
    "panoptic/PQ_stuff",
    "semantic/mIoU",
    "semantic/pACC",
)


def sources(recipe: Recipe) -> tuple[Source, Source | None]:
    """Training and validation samples of the recipe's dataset.

    Raises:
        InputError: no dataset named, or one that cannot be read.
    """
    from delineate.data.dataset import open_dataset

    if not recipe.data.path:
        raise InputError("data.path: expected a dataset, got none; give it in the recipe or by --data")
    training = open_dataset(recipe.data.path, split=recipe.data.train_split or None)
    validation = None
    if recipe.data.val_split and recipe.train.evaluate_every:
        validation = open_dataset(recipe.data.path, split=recipe.data.val_split)
    return training, validation


def model(recipe: Recipe, training: Source) -> Segmenter:
    """The recipe's model for the dataset's classes, with fresh or given weights.

    Raises:
        InputError: unknown model, settings that its builder refuses, weights that do not fit.
    """
    settings = dict(recipe.model.settings)
    classes = getattr(training, "classes", None)
    if classes is not None:
        settings.setdefault("classes", classes)
    try:
        built = build(recipe.model.name, **settings)
    except TypeError as error:
        raise InputError(
            f"model.settings: expected settings of {recipe.model.name!r}, got others ({error})"
        ) from None
    if recipe.model.weights:
        path = Path(recipe.model.weights)
        if not path.exists() and not path.suffix:
            from .download import weights_path

            path = weights_path(recipe.model.weights)
        fill(built, load(path), partial=True)
    return built


def with_stuff(training: Source, model: Segmenter) -> Source:
    """The training samples with stuff among their objects, where they have it and the model learns it."""
    if model.tasks == ("instance",) or not isinstance(training, Dataset) or training.segments is None:
        return training
    return training.whole()


def groups(training: Source, column: str) -> Sequence[str] | None:
    """One group name per image, or None where the recipe balances nothing.

    Raises:
        InputError: the dataset has no such column.
    """
    if not column:
        return None
    columns: Mapping[str, Sequence[str]] = getattr(training, "groups", {})
    if column not in columns:
        known = ", ".join(columns) or "none"
        raise InputError(f"train.balance: expected a column of the dataset, got {column!r}; it has {known}")
    return columns[column]


def prepare_process(settings: Train, processes: Processes) -> None:
    """Threads of this process, and the seed of the fresh weights.

    Raises:
        InputError: a precision that the device does not train in.
    """
    if settings.amp == "fp16" and processes.device.type != "cuda":
        device = "the CPU" if processes.device.type == "cpu" else str(processes.device)
        raise InputError(f"train.amp: expected 'off' or 'bf16' on {device}, got 'fp16'; fp16 needs CUDA")
    if settings.threads:
        torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)


def scorer(
    recipe: Recipe, processes: Processes
) -> Callable[[Segmenter, Source, torch.device], dict[str, float]]:
    """What scores a model on the validation samples: the same :func:`evaluate` that a user calls.

    Each process scores a share of the images and must call it; the first gets the scores, as of one process
    that saw all images in their order, the others nothing.

    Only the family of the recipe's metric is computed, such as ``cells`` or ``panoptic``. Where it names
    none, it is ``cells`` and COCO's AP, or for a model of more than objects what it says of every pixel. With
    ``balance`` the groups' main scores follow, as in ``cells/AP50 grey_fluorescence``.
    """
    family = recipe.train.metric.partition("/")[0]
    known = {
        "cells": ["cells"], "count": ["cells"], "mask": ["coco"], "box": ["coco"],
        "panoptic": ["panoptic"], "semantic": ["semantic"],
    }  # fmt: skip

    def score(model: Segmenter, samples: Source, device: torch.device) -> dict[str, float]:
        from .evaluate import open_evaluation
        from .metric_registry import DEFAULT

        column = recipe.train.balance
        by = column if column in getattr(samples, "groups", {}) else None
        metrics: Sequence[str] = known.get(family, DEFAULT)
        if family not in known and getattr(samples, "segments", None) is not None:
            metrics = [task for task in ("panoptic", "semantic") if task in model.tasks] or DEFAULT
        evaluation = open_evaluation(model, samples, metrics=metrics, by=by)
        evaluation.run(processes.share(len(evaluation.truth)))
        if processes.world > 1:
            tallies = processes.bring(evaluation.tally())
            if not processes.first:
                return {}
            evaluation.take(tallies)
        report = evaluation.report()
        for name, reason in report.failed:
            log.warning("validation image %s could not be scored: %s", name, reason)
        scores = {name: value for name, value in report.scores.items() if name in MAIN}
        scores |= {name: value for name, value in report.scores.items() if name == recipe.train.metric}
        chosen = metric(scores, recipe.train.metric)
        return scores | {f"{chosen} {name}": part.flat()[chosen] for name, part in report.groups.items()}

    return score


def metric(scores: Mapping[str, float], name: str) -> str:
    """The name of the score that chooses the best checkpoint.

    Raises:
        InputError: no such score.
    """
    chosen = name or next(iter(scores), "")
    if chosen not in scores:
        raise InputError(f"train.metric: expected one of {', '.join(scores) or 'no scores'}, got {name!r}")
    return chosen


def describe(recipe: Recipe, model: Segmenter, images: int, steps: int, world: int) -> str:
    """One line on what is about to happen."""
    millions = sum(p.numel() for p in model.parameters()) / 1e6
    limit = f", at most {recipe.train.max_minutes:.3g} min" if recipe.train.max_minutes else ""
    many = f"{steps} steps of" if steps < ENDLESS else "batches of"
    shared = f" on {world} processes" if world > 1 else ""
    return (
        f"{recipe.model.name}: {millions:.2f} M parameters, {len(model.classes)} classes, {images} images, "
        f"{many} {recipe.train.batch_size}{shared}{limit}"
    )
