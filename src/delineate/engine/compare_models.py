"""Which family for my data? Models trained under one budget, scored alike, and a recommendation."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any

from delineate.core.errors import DelineateError, InputError
from delineate.data.dataset import open_dataset
from delineate.data.records import Dataset
from delineate.metrics.paired_test import Difference, paired_test

from .atomic import write_atomically
from .compare_result import Candidate, ModelComparison
from .compare_runs import Change, Run, Split, carry_out, ready_made, splits_of
from .evaluate import evaluate
from .report import Report

METRICS = ("coco", "cells", "intervals")
DRAWS = 300
"""Of the paired tests: enough to tell p = 0.05, in a third of the time of the report's thousand."""
RANKED = ("mask", "box", "cells")
"""Of these scores the larger is the better one."""

Say = Callable[[str], None]


def compare(
    data: str | Path | Dataset,
    models: Sequence[str],
    budget: float = 20.0,
    *,
    metric: str = "mask/AP",
    folds: int = 0,
    fractions: Sequence[float] = (1.0,),
    settings: Sequence[Change] = (),
    max_det: int = 100,
    seed: int = 0,
    out: str | Path = "runs/compare",
    device: str = "",
    quiet: bool = False,
    say: Say | None = None,
) -> ModelComparison:
    """Train and score models on the same images for the same time.

    Every training is a folder of ``out`` and done once: a second call does what is missing, and an
    interrupted training goes on. A model that fails is listed, and the others go on.

    Args:
        data: a dataset or a path to one.
        models: names of the zoo, which are trained; a name whose weights already know the dataset's classes
            and a weights file are scored as they are.
        budget: minutes of every training.
        metric: the score that decides, one that has an interval: ``mask/AP``, ``mask/AP50``, ``box/AP``,
            ``cells/AP50``, ..
        folds: 0 trains on the dataset's split ``train`` and scores ``val``; K from 2 on cuts all images in K
            parts, each scored by a model that saw the others, which takes K trainings a model.
        fractions: shares of the training images, 0..1: a learning curve where there are several.
        settings: changes of every recipe, as ``delineate train --set`` takes them.
        max_det: detections of a class in an image that AP takes.
        seed: of weights, order, folds and shares.
        out: folder of the runs and of the result.
        device: "cpu", "cuda", ...; empty: CUDA where there is one.
        quiet: print nothing.
        say: told each line of progress.

    Raises:
        InputError: unknown models, a setting out of range, a dataset without splits, or no model at all that
            could be scored.
    """
    data = data if isinstance(data, Dataset) else open_dataset(data)
    models, fractions = list(dict.fromkeys(models)), sorted(set(fractions))
    _check(models, budget, fractions)
    splits = splits_of(data, folds, seed)
    scored = _scored(data, splits)
    out, say = Path(out), say or (lambda line: None)
    _same_settings(
        out, {"budget": budget, "folds": folds, "settings": [list(s) if isinstance(s, tuple) else s
              for s in settings], "seed": seed, "max_det": max_det, "data": str(data.source)},
    )  # fmt: skip
    plan = [
        (model, fraction)
        for model in models
        for fraction in (fractions if not ready_made(model, data) else [1.0])
    ]
    candidates: list[Candidate] = []
    reports: dict[str, Report] = {}
    failed: list[tuple[str, str]] = []
    for number, (model, fraction) in enumerate(plan, 1):
        name = _name(model, fraction)
        say(f"{name}: {number} of {len(plan)}")
        runs = [Run(model, split, fraction, out / _folder(name) / split.name) for split in splits]
        try:
            told = [
                run.done or carry_out(run, budget, settings, seed, max_det, device, quiet) for run in runs
            ]
            reports[name] = _score(runs, out / _folder(name), scored, metric, max_det)
        except DelineateError as error:
            failed.append((name, str(error)))
            say(f"{name}: {error}")
            continue
        candidates.append(_candidate(name, model, fraction, told, reports[name], metric))
        say(candidates[-1].line(metric))
    if not candidates:
        raise InputError(f"compare: no model could be scored; the first, {failed[0][0]}: {failed[0][1]}")
    differences = _differences(candidates, reports, metric)
    result = ModelComparison(
        data=data.describe(), metric=metric, budget=budget, folds=folds, scored=len(scored),
        candidates=tuple(candidates), differences=differences, failed=tuple(failed),
    )  # fmt: skip
    result.save(out)
    return result


def _check(models: Sequence[str], budget: float, fractions: Sequence[float]) -> None:
    if not models:
        raise InputError("compare, models: expected one name at least, got none; see `delineate models`")
    if not 0 < budget <= 60 * 24 * 365:
        raise InputError(f"compare, budget: expected minutes above 0, got {budget:g}; give for example 20")
    if not fractions or not all(0 < fraction <= 1 for fraction in fractions):
        raise InputError(
            f"compare, fractions: expected numbers above 0, at most 1, got {list(fractions)}; "
            "give for example 0.25,0.5,1"
        )


def _scored(data: Dataset, splits: Sequence[Split]) -> Dataset:
    """All images that are scored, in the dataset's order."""
    wanted = {image for split in splits for image in split.scored.image_ids}
    return data.subset([i for i, image in enumerate(data.image_ids) if image in wanted])


def _same_settings(out: Path, settings: dict[str, Any]) -> None:
    """Refuse a folder whose runs were made otherwise; note what these are made with."""
    path = out / "settings.json"
    text = json.dumps(settings, indent=1)
    if path.exists():
        before = json.loads(path.read_text())
        now = json.loads(text)
        apart = [name for name in now if before.get(name) != now[name]]
        if apart:
            raise InputError(
                f"{out}: expected runs with {apart[0]} = {now[apart[0]]!r}, got some with "
                f"{before.get(apart[0])!r}; choose another --out"
            )
        return
    write_atomically(path, partial(_write, text.encode()))


def _name(model: str, fraction: float) -> str:
    """What a candidate is called."""
    stem = Path(model).name if Path(model).suffix else model
    return stem if fraction == 1 else f"{stem} ({100 * fraction:g} %)"


def _folder(name: str) -> str:
    return name.replace(" (", "-").replace(" %)", "pc").replace("/", "_")


def _score(runs: Sequence[Run], folder: Path, scored: Dataset, metric: str, max_det: int) -> Report:
    """All folds' predictions together."""
    path = runs[0].predictions
    if len(runs) > 1:
        path = folder / "predictions.json"
        rows = [row for run in runs for row in json.loads(run.predictions.read_text())]
        write_atomically(path, partial(_write, json.dumps(rows).encode()))
    report = evaluate(path, scored, metrics=METRICS, max_det=max_det, progress=False)
    intervals = report.total.intervals
    names = [name for name in intervals.intervals if name.partition("/")[0] in RANKED] if intervals else []
    if intervals is None or metric not in names:
        known = ", ".join(names) or "none, for want of masks"
        raise InputError(f"compare, metric: expected one of {known}, got {metric!r}; choose another")
    return report


def _candidate(
    name: str, model: str, fraction: float, told: Sequence[dict[str, Any]], report: Report, metric: str
) -> Candidate:
    assert report.total.intervals is not None
    around = report.total.intervals.intervals[metric]
    return Candidate(
        name=name, model=model, fraction=fraction, trained=bool(told[0]["trained"]),
        images=round(sum(t["images"] for t in told) / len(told)), minutes=sum(t["minutes"] for t in told),
        steps=sum(t["steps"] for t in told), parameters=told[0]["parameters"],
        ms=sum(t["ms"] for t in told) / len(told),
        score=around.value, low=around.low, high=around.high, scores=dict(report.scores),
    )  # fmt: skip


def _differences(
    candidates: Sequence[Candidate], reports: dict[str, Report], metric: str
) -> dict[str, Difference]:
    """The best candidate that saw all images, against each other one."""
    whole = [c for c in candidates if c.fraction == 1]
    if not whole:
        return {}
    best = max(whole, key=lambda c: c.score)
    ours = reports[best.name].total.intervals
    found = {}
    for other in whole:
        theirs = reports[other.name].total.intervals
        if other is not best and ours is not None and theirs is not None:
            found[other.name] = paired_test(theirs, ours, draws=DRAWS)[metric]
    return found


def _write(content: bytes, file: IO[bytes]) -> None:
    file.write(content)


def estimate(models: Sequence[str], data: Dataset, budget: float, folds: int, fractions: int) -> str:
    """How long all trainings take together, in words."""
    count = sum(not ready_made(model, data) for model in models) * max(1, folds) * fractions
    minutes = count * budget
    told = f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
    return f"{count} trainings of {budget:.3g} min: about {told}, and the time to predict"
