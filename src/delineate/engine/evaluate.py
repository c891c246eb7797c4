"""Evaluation: a model, a callable or stored predictions against a dataset's truth."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.progress import track

from delineate.core.errors import DelineateError, InputError
from delineate.core.instances import Instances
from delineate.metrics.average_precision import MAX_DETS, AveragePrecision
from delineate.metrics.cell_matching import CellMatching
from delineate.metrics.counting import CountingError
from delineate.metrics.crowd import CrowdErrors

from .crowd_pictures import WorstPictures
from .evaluation_inputs import Truth, caller, in_classes, name_of
from .predictions import ImageEntry, Predictions, read_predictions
from .remarks import Remarks, remarks_of_one_image
from .report import Report, Scores
from .whole_image_scores import WHOLE_METRICS, WholeImages, WholeImageScores

METRICS = ("coco", "cells")
"""Those computed unasked."""
ALL_METRICS = (*METRICS, "crowd", *WHOLE_METRICS)
OPERATING_POINT = 0.5
"""Score from which a detection counts in cell and crowd metrics, where no confidence is given."""

Kind = Literal["mask", "box"]


def evaluate(
    predictor: Any,
    dataset: Any,
    *,
    split: str | None = None,
    confidence: float | None = None,
    metrics: Sequence[str] = METRICS,
    max_det: int | None = None,
    by: str | None = None,
    pictures: str | Path | None = None,
    progress: bool = True,
) -> Report:
    """Score predictions against truth, image by image.

    One image that cannot be read or predicted does not stop the rest: it is left out of the scores and listed
    in ``report.failed``.

    Args:
        predictor: a model, a callable from image (H x W or H x W x C array as read) to :class:`Instances`,
            stored :class:`Predictions`, or a path to such: COCO results JSON, COCO dataset JSON with scores,
            a folder of label images, or COCO panoptic. Classes are matched to the dataset's by name.
        dataset: a :class:`Dataset`, a path to one, or a sequence of samples with ``image`` and ``truth``.
        split: only this split of the dataset.
        confidence: score only detections with a score from it on, 0..1, in every metric; a model gets it as
            its own threshold. Default: COCO's AP takes all that the predictor gives (it ranks by score),
            cells, counts and crowd errors take the detections from 0.5 on.
        metrics: ``"coco"`` (box and mask AP and AR), ``"cells"`` (StarDist's matching, counting error),
            ``"crowd"`` (objects merged, split, missed, by their neighbours), ``"panoptic"`` (panoptic
            quality) and ``"semantic"`` (mean IoU); these two ask for data with stuff.
        max_det: score at most so many detections of a class in an image in COCO's AP, default 100; a model
            is asked for as many. What lies beyond is counted in the report.
        by: a column of the dataset's groups, such as ``"modality"``: scores for each of its values too.
        pictures: a folder for pictures of the 20 images with the most crowd errors, true objects outlined
            by their fate; needs ``"crowd"`` among the metrics.
        progress: show a progress bar on stderr where that is a terminal.

    Returns:
        A frozen report that prints itself, and saves itself as JSON and CSV.

    Raises:
        InputError: predictions and dataset do not belong together, a setting is wrong, or no image at all
            could be scored.

    Example:
        >>> import numpy as np
        >>> from delineate.data.records import Sample
        >>> truth = Instances((8, 8), boxes=[[0, 0, 4, 4]])
        >>> sample = Sample(np.zeros((8, 8), np.uint8), truth, "a.png", Path("a.png"), 1)
        >>> report = evaluate(lambda image: truth, [sample], metrics=["coco"])
        >>> round(report.scores["box/AP"], 3)
        1.0
    """
    started = time.monotonic()
    _check_settings(confidence, metrics, max_det, pictures)
    stored = isinstance(predictor, str | Path | Predictions)
    truth = Truth.of(dataset, split=split, by=by, with_images=not stored or pictures is not None)
    if isinstance(predictor, str | Path):
        entries = [truth.entry(index) for index in range(len(truth))]
        predictor = read_predictions(predictor, entries, truth.classes)
    run = _Run(truth, predictor, confidence, metrics, max_det, None if pictures is None else WorstPictures())
    console = Console(stderr=True, quiet=not (progress and Console(stderr=True).is_terminal))
    for index in track(range(len(truth)), "evaluating", console=console, transient=True):
        run.image(index)
    if len(run.failed) == len(truth):
        name, reason = run.failed[0]
        raise InputError(f"{truth.where}: no image could be scored; the first, {name}: {reason}")
    if run.pictures is not None and pictures is not None:
        run.pictures.save(pictures)
    return run.report(time.monotonic() - started, by)


def _check_settings(
    confidence: float | None, metrics: Sequence[str], max_det: int | None, pictures: str | Path | None
) -> None:
    if isinstance(metrics, str) or not metrics or not set(metrics) <= set(ALL_METRICS):
        raise InputError(
            f"evaluate, metrics: expected some of {list(ALL_METRICS)}, got {metrics!r}; choose from these"
        )
    if confidence is not None and not 0 <= confidence <= 1:
        raise InputError(
            f"evaluate, confidence: expected a number in 0..1, got {confidence}; give for example 0.5"
        )
    if pictures is not None and "crowd" not in metrics:
        raise InputError(
            f"evaluate, pictures: expected 'crowd' among the metrics, got {list(metrics)}; "
            "pictures show crowd errors"
        )
    if max_det is not None and max_det < 1:
        raise InputError(
            f"evaluate, max_det: expected a number from 1 up, got {max_det}; give for example 100"
        )


class _Metrics:
    """The metrics of one group of images."""

    def __init__(self, truth: Truth, max_dets: tuple[int, ...], metrics: Sequence[str]) -> None:
        self.mask = AveragePrecision("mask", truth.classes, max_dets=max_dets)
        self.box = AveragePrecision("box", truth.classes, max_dets=max_dets)
        self.cells, self.counting, self.crowd = CellMatching(), CountingError(), CrowdErrors()
        self.whole = WholeImageScores(metrics)

    def merge(self, other: _Metrics) -> None:
        self.mask.merge(other.mask)
        self.box.merge(other.box)
        self.cells.merge(other.cells)
        self.counting.merge(other.counting)
        self.crowd.merge(other.crowd)
        self.whole.merge(other.whole)

    def scores(self, kinds: set[Kind], matched: set[str]) -> Scores:
        return Scores(
            mask=self.mask.compute() if "mask" in kinds else None,
            box=self.box.compute() if "box" in kinds else None,
            cells=self.cells.compute() if "cells" in matched else None,
            counting=self.counting.compute() if "cells" in matched else None,
            crowd=self.crowd.compute() if "crowd" in matched else None,
            panoptic=self.whole.panoptic,
            semantic=self.whole.semantic,
        )


class _Run:
    """Metrics fed image by image, by group, and what went wrong on the way."""

    def __init__(
        self,
        truth: Truth,
        predictor: Any,
        confidence: float | None,
        metrics: Sequence[str],
        max_det: int | None,
        pictures: WorstPictures | None,
    ) -> None:
        self.truth, self.predictor, self.confidence = truth, predictor, confidence
        self.metrics, self.pictures = metrics, pictures
        self.whole = WholeImages(truth, predictor, metrics, confidence)
        self.call: Callable[[Any], Instances] | None = None
        if not isinstance(predictor, Predictions) and set(metrics) - set(WHOLE_METRICS):
            self.call = caller(predictor, confidence, max_det)
        last = MAX_DETS[-1] if max_det is None else max_det
        self.max_dets = (*(limit for limit in MAX_DETS if limit < last), last)
        self.kinds: set[Kind] = {"mask", "box"} if "coco" in metrics else set()
        self.matched = set(metrics) & {"cells", "crowd"}  # those that match masks at the operating point
        self.groups: dict[str, _Metrics] = {}
        self.failed: list[tuple[str, str]] = []
        self.foreign = 0
        self.remarks = Remarks()

    def image(self, index: int) -> None:
        """Predict and score one image; a failure is kept, not raised."""
        try:
            with remarks_of_one_image(self.remarks):
                self.score(index)
        except Exception as error:  # whatever one image makes a model raise: the others still count
            reason = str(error) if isinstance(error, DelineateError) else f"{type(error).__name__}: {error}"
            self.failed.append((self.truth.name(index), " ".join(reason.split())))

    def score(self, index: int) -> None:
        """Feed one image to the metrics; all is checked before the first one counts it."""
        entry = self.truth.entry(index)
        pairs = self.whole.pairs(index, entry)
        if set(self.metrics) - set(WHOLE_METRICS):
            self.score_objects(index, entry)
        self.of_group(index).whole.update(pairs, entry.id)

    def of_group(self, index: int) -> _Metrics:
        """The metrics of an image's group."""
        new = _Metrics(self.truth, self.max_dets, self.metrics)
        return self.groups.setdefault(self.truth.groups[index], new)

    def score_objects(self, index: int, entry: ImageEntry) -> None:
        """Feed one image's objects to their metrics."""
        truth = self.truth.truth(index)
        exact = self.predictor.results(entry) if isinstance(self.predictor, Predictions) else None
        # Masks of stored results are decoded only where they are matched: COCO's AP takes the run lengths.
        found = self.found(index, entry) if exact is None or self.matched else None
        if found is not None and found.size != truth.size:
            raise InputError(
                f"expected a prediction of {truth.size} pixels (height, width), got {found.size}; "
                "predict on the original image"
            )
        self.give_up_masks("truth", len(truth) > 0 and truth.masks is None)
        if exact is not None:
            self.give_up_masks("predictions", any("segmentation" not in r for r in exact))
        elif found is not None:
            self.give_up_masks("predictions", len(found) > 0 and found.masks is None)
        metrics = self.of_group(index)
        for kind in self.kinds:
            self.score_coco(metrics.mask if kind == "mask" else metrics.box, index, truth, exact or found)
        if self.matched and found is not None:
            floor = OPERATING_POINT if self.confidence is None else self.confidence
            objects = found[found.scores >= floor]
            if "cells" in self.matched:
                metrics.cells.update(objects, truth, entry.id)
                metrics.counting.update(objects, truth, entry.id)
            if "crowd" in self.matched:
                metrics.crowd.update(objects, truth, entry.id)
                if self.pictures is not None:
                    self.pictures.add(objects, truth, self.truth.samples[index].image, entry.id, entry.name)

    def score_coco(
        self,
        metric: AveragePrecision,
        index: int,
        truth: Instances,
        found: Instances | list[dict[str, Any]] | None,
    ) -> None:
        """One image's records to COCO's AP, boxes and scores in the precision of their files."""
        entry = self.truth.entry(index)
        true = metric.to_coco(truth, entry.id, scored=False)
        if metric.kind == "box":
            for record, box in zip(true, self.truth.exact_boxes(index), strict=False):
                record["bbox"] = record["bbox"] if box is None else box
        results = (
            metric.to_coco(found, entry.id, scored=True) if isinstance(found, Instances) else found or []
        )
        floor = self.confidence or 0.0
        image = {"id": entry.id, "height": truth.size[0], "width": truth.size[1]}
        metric.update_coco([image], true, [r for r in results if r["score"] >= floor])

    def found(self, index: int, entry: ImageEntry) -> Instances:
        """The predicted objects in the dataset's classes."""
        if self.call is None:
            found = self.predictor.instances(entry)
        else:
            found, foreign = in_classes(self.call(self.truth.samples[index].image), self.truth.classes)
            self.foreign += foreign
        nothing = not len(found) and found.masks is None
        return Instances.empty(found.size, self.truth.classes) if nothing else found

    def give_up_masks(self, side: str, boxes_only: bool) -> None:
        """Boxes only on one side: mask scores are given up for the whole set, and the report says so."""
        if boxes_only and ("mask" in self.kinds or self.matched):
            self.kinds.discard("mask")
            names = ["masks", *sorted(self.matched)]
            told = f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
            self.matched = set()
            self.remarks.add(f"the {side} have boxes only: {told} are not scored")
        if not self.kinds and not self.matched:
            raise InputError(
                "cells, crowd: expected masks in truth and predictions, got boxes only; "
                "choose metrics=['coco']"
            )

    def report(self, seconds: float, by: str | None) -> Report:
        """What came out."""
        total = _Metrics(self.truth, self.max_dets, self.metrics)
        for metrics in self.groups.values():
            total.merge(metrics)
        named = {name: self.groups[name] for name in sorted(self.groups) if name} if by else {}
        notes = [
            *self.truth.notes,
            *(self.predictor.notes if isinstance(self.predictor, Predictions) else ()),
        ]
        notes += self.remarks.texts()
        if self.foreign:
            notes.append(f"{self.foreign} detections of classes that the data does not have were not scored")
        if self.whole.foreign:
            notes.append(
                f"{self.whole.foreign} segments of classes that the data does not have count as void"
            )
        return Report(
            predictor=name_of(self.predictor),
            data=self.truth.describe(),
            images=len(self.truth) - len(self.failed),
            total=total.scores(self.kinds, self.matched),
            groups={name: metrics.scores(self.kinds, self.matched) for name, metrics in named.items()},
            by=by,
            confidence=self.confidence,
            cell_confidence=OPERATING_POINT if self.confidence is None else self.confidence,
            failed=tuple(self.failed),
            notes=tuple(notes),
            seconds=seconds,
        )
