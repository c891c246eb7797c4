"""Evaluation: a model, a callable or stored predictions against a dataset's truth."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from delineate.core.errors import DelineateError, InputError
from delineate.core.instances import Instances
from delineate.metrics.average_precision import MAX_DETS

from .crowd_pictures import WorstPictures
from .evaluation_inputs import Truth, name_of
from .illustrations import Illustrations, Picture
from .metric_registry import DEFAULT, Part, chosen_parts
from .object_scores import ObjectScores
from .predictions import Predictions, read_predictions
from .protocol_choices import Choices
from .remarks import Remarks, remarks_of_one_image
from .report import Report
from .scores import MetricGroup, Scores
from .tally import Tally
from .whole_file import score_at_once
from .whole_image_scores import WHOLE_METRICS, WholeImages

OPERATING_POINT = 0.5
"""Score from which a detection counts in cell and crowd metrics, where no confidence is given."""


def evaluate(
    predictor: Any,
    dataset: Any,
    *,
    split: str | None = None,
    confidence: float | None = None,
    metrics: Sequence[str] = DEFAULT,
    max_det: int | None = None,
    by: str | None = None,
    pictures: str | Path | None = None,
    protocol: str | Choices = "",
    illustrated: bool = False,
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
        metrics: names of :data:`delineate.engine.metric_registry.METRICS`, such as ``"coco"`` (box and mask
            AP and AR), ``"cells"`` (StarDist's matching, counting error) and ``"crowd"`` (objects merged,
            split, missed); ``"panoptic"`` and ``"semantic"`` ask for data with stuff.
        max_det: score at most so many detections of a class in an image in COCO's AP, default 100; a model
            is asked for as many. What lies beyond is counted in the report.
        by: a column of the dataset's groups, such as ``"modality"``: scores for each of its values too.
        pictures: a folder for pictures of the 20 images with the most crowd errors, true objects outlined
            by their fate; needs ``"crowd"`` among the metrics.
        protocol: choices that tools make differently, such as ``"crowd=counted,detection_area=box"``; see
            :class:`delineate.engine.protocol_choices.Choices`.
        illustrated: keep pictures of the worst images and, with ``"label_errors"``, of likely label errors in
            the report, for its HTML page.
        progress: show a progress bar on stderr where that is a terminal.

    Returns:
        A frozen report that prints itself, and saves itself as JSON, CSV and HTML.

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
    evaluation = open_evaluation(
        predictor, dataset, split=split, confidence=confidence, metrics=metrics, max_det=max_det, by=by,
        pictures=pictures, protocol=protocol, illustrated=illustrated,
    )  # fmt: skip
    evaluation.run(range(len(evaluation.truth)), progress=progress)
    return evaluation.report()


def open_evaluation(
    predictor: Any,
    dataset: Any,
    *,
    split: str | None = None,
    confidence: float | None = None,
    metrics: Sequence[str] = DEFAULT,
    max_det: int | None = None,
    by: str | None = None,
    pictures: str | Path | None = None,
    protocol: str | Choices = "",
    illustrated: bool = False,
) -> Evaluation:
    """An evaluation of which no image is scored yet; arguments and errors as for :func:`evaluate`.

    For those who share the images out: each opens its own, runs its share and gives its
    :meth:`Evaluation.tally`; one of them takes all tallies and makes the report.
    """
    choices = Choices.parse(protocol) if isinstance(protocol, str) else protocol
    choices = choices.with_limits(confidence, max_det)
    _check_settings(choices.confidence, metrics, choices.max_det, pictures)
    stored = isinstance(predictor, str | Path | Predictions | list | tuple)
    seen = not stored or pictures is not None or illustrated
    truth = choices.of_truth(Truth.of(dataset, split=split, by=by, with_images=seen))
    if isinstance(predictor, str | Path | list | tuple):
        entries = [truth.entry(index) for index in range(len(truth))]
        predictor = read_predictions(predictor, entries, truth.classes, truth.matchable())
    evaluation = Evaluation(truth, predictor, chosen_parts(metrics), choices, by)
    evaluation.pictures = pictures
    evaluation.worst = None if pictures is None else WorstPictures()
    evaluation.illustrations = Illustrations(truth) if illustrated else None
    return evaluation


def _check_settings(
    confidence: float | None, metrics: Sequence[str], max_det: int | None, pictures: str | Path | None
) -> None:
    chosen_parts(metrics)
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


class Evaluation:
    """Metrics fed image by image, by group, and what went wrong on the way; see :func:`open_evaluation`.

    Attributes:
        truth: the dataset.
        failed: name and reason of images that could not be scored.
    """

    def __init__(
        self, truth: Truth, predictor: Any, parts: Sequence[Part], choices: Choices, by: str | None = None
    ) -> None:
        self.truth, self.predictor, self.parts, self.choices = truth, predictor, parts, choices
        self.by, self.started = by, time.monotonic()
        self.pictures: str | Path | None = None
        self.worst: WorstPictures | None = None
        self.illustrations: Illustrations | None = None
        confidence, max_det = choices.confidence, choices.max_det
        self.operating_point = OPERATING_POINT if confidence is None else confidence
        last = MAX_DETS[-1] if max_det is None else max_det
        self.given = {
            "classes": truth.classes,
            "max_dets": (*(limit for limit in MAX_DETS if limit < last), last),
            "confidence": self.operating_point,
            "detection_area": choices.detection_area or "mask",
            "dataset": truth.samples,
        }
        # What is computed of whole files needs no image of its own.
        whole = not confidence and not choices.changes_truth
        self.done = score_at_once(truth, predictor, parts, self.given) if whole else {}
        self.open_parts = [part for part in parts if part.name not in self.done]
        self.groups: dict[str, MetricGroup] = {}
        self.failed: list[tuple[str, str]] = []
        self.remarks = Remarks()
        self.whole = WholeImages(truth, predictor, {part.needs for part in self.open_parts}, confidence)
        self.objects = ObjectScores(
            truth,
            predictor,
            [part for part in self.open_parts if part.needs not in WHOLE_METRICS],
            confidence=confidence,
            operating_point=self.operating_point,
            max_det=max_det,
            remarks=self.remarks,
        )

    def run(self, images: Sequence[int], *, progress: bool = False) -> None:
        """Predict and score some of the dataset's images, with a progress bar where stderr is a terminal."""
        console = Console(stderr=True, quiet=not (progress and Console(stderr=True).is_terminal))
        chosen = images if self.open_parts else ()
        for index in track(chosen, "evaluating", console=console, transient=True):
            self.image(index)

    def tally(self) -> Tally:
        """What came out so far, to be sent to another process."""
        left = {part.name for part in self.objects.parts}
        foreign = (self.objects.foreign, self.whole.foreign)
        return Tally(self.groups, self.failed, self.remarks, left, foreign)

    def take(self, tallies: Sequence[Tally]) -> None:
        """Go on from the tallies of others, in the order of their images, in place of what came out here."""
        joined = Tally.join(tallies, lambda: MetricGroup(self.parts, self.given))
        self.groups, self.failed, self.remarks = joined.groups, joined.failed, joined.remarks
        self.objects.parts = [part for part in self.objects.parts if part.name in joined.left]
        self.objects.foreign, self.whole.foreign = joined.foreign

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
        if self.objects.asked:
            compared = self.objects.update(lambda: self.group(index), index, entry)
            if compared is not None:
                self.picture(*compared, index)
        for part in self.open_parts:
            if part.needs in WHOLE_METRICS:
                pair = pairs[part.needs]
                self.group(index)[part.name].update(pair.pred, pair.truth, entry.id)

    def picture(self, found: Instances, truth: Instances, index: int) -> None:
        """Draw an image where it is among the worst."""
        if self.illustrations is not None:
            self.illustrations.add(found, truth, index)
        if self.worst is not None and any(part.name == "crowd" for part in self.objects.parts):
            entry = self.truth.entry(index)
            self.worst.add(found, truth, self.truth.image(index), entry.id, entry.name)

    def group(self, index: int) -> MetricGroup:
        """The metrics of an image's group."""
        name = self.truth.groups[index]
        if name not in self.groups:
            self.groups[name] = MetricGroup(self.parts, self.given)
        return self.groups[name]

    def report(self) -> Report:
        """What came out.

        Raises:
            InputError: no image at all could be scored.
        """
        if len(self.failed) == len(self.truth):
            name, reason = self.failed[0]
            raise InputError(f"{self.truth.where}: no image could be scored; the first, {name}: {reason}")
        if self.worst is not None and self.pictures is not None:
            self.worst.save(self.pictures)
        total = MetricGroup(self.parts, self.given)
        for metrics in self.groups.values():
            total.merge(metrics)
        total.metrics.update(self.done)
        scored = {*self.done, *(part.name for part in self.objects.parts)}
        able = [part for part in self.parts if part.needs in WHOLE_METRICS or part.name in scored]
        names = {part.name for part in able}
        kept = {part.name for part in able if part.instead_of not in names}
        named = {name: self.groups[name] for name in sorted(self.groups) if name} if self.by else {}
        scores = total.compute(kept)
        pictures = self.drawn(scores)
        return Report(
            predictor=name_of(self.predictor),
            data=self.truth.describe(),
            images=len(self.truth) - len(self.failed),
            total=scores,
            groups={name: metrics.compute(kept) for name, metrics in named.items()},
            by=self.by,
            confidence=self.choices.confidence,
            cell_confidence=self.operating_point,
            failed=tuple(self.failed),
            notes=tuple(self.notes()),
            seconds=time.monotonic() - self.started,
            choices=self.choices,
            pictures=pictures,
        )

    def drawn(self, scores: Scores) -> tuple[Picture, ...]:
        """The pictures of the report; none where none were asked for."""
        if self.illustrations is None:
            return ()
        found = self.illustrations.pictures(scores.label_errors or scores.box_label_errors)
        if self.illustrations.missing and not found:
            self.remarks.add("there are no pictures: the images could not be read")
        return found

    def notes(self) -> list[str]:
        """What a reader of the numbers must know."""
        notes = [*self.truth.notes]
        notes += self.predictor.told if isinstance(self.predictor, Predictions) else ()
        notes += self.remarks.texts()
        if lost := self.objects.foreign:
            notes.append(f"{lost} detections of classes that the data does not have were not scored")
        if lost := self.whole.foreign:
            notes.append(f"{lost} segments of classes that the data does not have count as void")
        return notes
