"""Objects of each image, predicted and true, to the metrics that compare objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.panoptic import Panoptic

from .evaluation_inputs import Truth, caller, in_classes
from .metric_registry import Part, metric_of
from .predictions import ImageEntry, Predictions
from .remarks import Remarks
from .scores import MetricGroup


class ObjectScores:
    """Who predicts objects, what is true, and which metrics compare the two.

    Args:
        truth: the dataset.
        predictor: a model, a callable to :class:`Instances`, or stored predictions.
        parts: the metrics that compare objects.
        confidence: score from which detections are taken in every metric; None: all where scores rank.
        operating_point: score from which a detection counts as an object.
        max_det: passed on to a model.
        remarks: takes what a reader must know.
    """

    def __init__(
        self,
        truth: Truth,
        predictor: Any,
        parts: Sequence[Part],
        *,
        confidence: float | None,
        operating_point: float,
        max_det: int | None,
        remarks: Remarks,
    ) -> None:
        self.truth, self.predictor, self.remarks = truth, predictor, remarks
        self.floor, self.operating_point = confidence or 0.0, operating_point
        self.asked = ", ".join(sorted({metric_of(part.name) for part in parts}))
        self.parts = list(parts)
        self.call: Callable[[Any], Instances] | None = None
        if parts and not isinstance(predictor, Predictions):
            self.call = caller(predictor, confidence, max_det, truth.classes)
        self.foreign = 0

    def update(
        self, metrics: Callable[[], MetricGroup], index: int, entry: ImageEntry
    ) -> tuple[Instances, Instances] | None:
        """Feed one image's objects to its group's metrics; nothing is counted where the two sides do not fit.

        Returns:
            The predicted objects at the operating point and the true ones; None where they were not needed.
        """
        truth = self.truth.truth(index)
        # Masks of stored results are decoded only where they are matched: COCO's AP takes the run lengths.
        takers = self.record_takers()
        exact = self.predictor.results(entry) if takers and isinstance(self.predictor, Predictions) else None
        found = None if exact is not None and takers == self.parts else self.found(index, entry)
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
        group = metrics()
        confident = None if found is None else found[found.scores >= self.operating_point]
        for part in self.parts:
            metric: Any = group[part.name]
            if hasattr(metric, "update_coco"):
                self.score_records(metric, index, entry, truth, found if exact is None else exact)
            elif found is not None and confident is not None:
                taken = confident if part.takes == "confident" else found[found.scores >= self.floor]
                metric.update(taken, self.true_side(part, index, truth), entry.id)
        return None if confident is None else (confident, truth)

    def true_side(self, part: Part, index: int, truth: Instances) -> Instances | Panoptic:
        """What a metric takes as the truth: objects, or all segments if it asks and the data has them."""
        if part.truth == "objects":
            return truth
        if getattr(self.truth.samples, "segments", None) is None:
            self.remarks.add(f"{part.name}: the data has objects alone, no pixel is taken for void")
            return truth
        return self.truth.panoptic(index)

    def record_takers(self) -> list[Part]:
        """The metrics that take COCO's records as they are stored."""
        ending = (":AveragePrecision", ":lvis_of_dataset")
        return [part for part in self.parts if part.factory.endswith(ending)]

    def least_score(self) -> float:
        """The score from which detections are of use to any metric."""
        all_confident = all(part.takes == "confident" for part in self.parts)
        return self.operating_point if all_confident else self.floor

    def score_records(
        self,
        metric: Any,
        index: int,
        entry: ImageEntry,
        truth: Instances,
        found: Instances | list[dict[str, Any]] | None,
    ) -> None:
        """One image's records to COCO's AP, boxes and scores in the precision of their files."""
        true = metric.to_coco(truth, entry.id, scored=False)
        if metric.kind == "box":
            for record, box in zip(true, self.truth.exact_boxes(index), strict=False):
                record["bbox"] = record["bbox"] if box is None else box
        results = (
            metric.to_coco(found, entry.id, scored=True) if isinstance(found, Instances) else found or []
        )
        image = {"id": entry.id, "height": truth.size[0], "width": truth.size[1]}
        metric.update_coco([image], true, [r for r in results if r["score"] >= self.floor])

    def found(self, index: int, entry: ImageEntry) -> Instances:
        """The predicted objects in the dataset's classes."""
        if self.call is None:
            found: Instances = self.predictor.surest(entry, self.least_score())
        else:
            found, foreign = in_classes(self.call(self.truth.image(index)), self.truth.classes)
            self.foreign += foreign
        nothing = not len(found) and found.masks is None
        return Instances.empty(found.size, self.truth.classes) if nothing else found

    def give_up_masks(self, side: str, boxes_only: bool) -> None:
        """Boxes only on one side: mask scores are given up for the whole set, and the report says so."""
        lost = [part for part in self.parts if part.needs == "masks"] if boxes_only else []
        if lost:
            self.parts = [part for part in self.parts if part.needs != "masks"]
            left = {metric_of(part.name) for part in self.parts}
            metrics = sorted({metric_of(part.name) for part in lost} - left)
            names = ["masks", *(name for name in metrics if name != "coco")]
            told = f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
            self.remarks.add(f"the {side} have boxes only: {told} are not scored")
        if not self.parts:
            raise InputError(
                f"{self.asked}: expected masks in truth and predictions, got boxes only; "
                "choose metrics=['coco']"
            )
