"""Scores as functions of how often each image counts, so that images can be drawn, left out or exchanged.

Each image is kept as a few numbers: what COCO's matching says of each detection at ten thresholds, and what
one-to-one matching at the operating point finds. From these every score here follows for any weights of the
images, many weightings at once. An image of weight 2 counts as if it were in the set twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from delineate.core.instances import Instances

from .cell_matching import THRESHOLDS as CELL_THRESHOLDS
from .cell_matching import OverlapPairs, in_crowd, match_pairs
from .interpolated_precision import average_precision
from .ranked_matches import THRESHOLDS, RankedMatches

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BUDGET = 4_000_000
"""Numbers worked on at once: weightings times detections."""


@dataclass(frozen=True, eq=False)
class ImageRecord:
    """One image.

    Attributes:
        ranked: its matches by ``"mask"`` and ``"box"``; no masks where one side has boxes only.
        counts: (2 + T,) true objects, predicted objects, and matched pairs at each of the T thresholds of
            :mod:`delineate.metrics.cell_matching`; pairs are -1 without masks.
    """

    ranked: Mapping[str, RankedMatches]
    counts: Ints

    @classmethod
    def of(cls, pred: Instances, truth: Instances, *, confidence: float, max_det: int) -> ImageRecord:
        """Of all detections of an image; those from ``confidence`` on are the predicted objects."""
        masks = (pred.masks is not None or not len(pred)) and (truth.masks is not None or not len(truth))
        kinds = ("mask", "box") if masks else ("box",)
        ranked = {kind: RankedMatches.of(pred, truth, kind, max_det=max_det) for kind in kinds}  # type: ignore[arg-type]
        sure = pred[pred.scores >= confidence]
        counts = np.full(2 + len(CELL_THRESHOLDS), -1, np.int64)
        counts[:2] = np.count_nonzero(~truth.crowd), len(sure)
        if masks and sure.masks is not None and truth.masks is not None:
            found, true = sure.masks, truth.masks
            if truth.crowd.any():
                found, true = found[~in_crowd(found, true[truth.crowd])], true[~truth.crowd]
            pairs = OverlapPairs.of(true, found)
            counts[:2] = pairs.n_true, pairs.n_predicted
            counts[2:] = [len(match_pairs(pairs, t)[0]) for t in CELL_THRESHOLDS]
        elif masks:
            counts[2:] = 0
        return cls(ranked, counts)


class ImageSample:
    """A set of images, laid out once to be scored under many weightings.

    Args:
        records: one per image.
        classes: number of classes.
    """

    def __init__(self, records: Sequence[ImageRecord], classes: int) -> None:
        self.size, self.classes = len(records), classes
        shape = (len(records), 2 + len(CELL_THRESHOLDS))
        self.counts = np.array([r.counts for r in records], np.int64).reshape(shape)
        kinds = [k for k in ("mask", "box") if all(k in r.ranked for r in records)] if records else []
        self.ranked = {kind: _Detections([r.ranked[kind] for r in records], classes) for kind in kinds}

    def scores(self, weights: Floats) -> dict[str, Floats]:
        """``mask/AP``, ``mask/AP50``, .., ``cells/AP``, ``cells/F1_50``, .., ``count/bias``, ``count/MAE``.

        Args:
            weights: (B, I) how often each image counts.

        Returns:
            By name (B,) scores, NaN where undefined.
        """
        found: dict[str, Floats] = {}
        for kind, detections in self.ranked.items():
            values = detections.average_precisions(weights)  # (B, T)
            found |= {f"{kind}/AP": _mean(values), f"{kind}/AP50": values[:, 0], f"{kind}/AP75": values[:, 5]}
        return found | self._cells(weights)

    def _cells(self, weights: Floats) -> dict[str, Floats]:
        if not self.size:
            return {}
        true, predicted, *matched = (weights @ self.counts.astype(np.float64)).T
        found: dict[str, Floats] = {}
        if (self.counts >= 0).all():
            accuracy = [_ratio(tp, true + predicted - tp) for tp in matched]
            found["cells/AP"] = np.mean(accuracy, axis=0)
            found["cells/AP50"] = accuracy[0]
            found["cells/F1_50"] = _ratio(2 * matched[0], true + predicted)
            found["cells/precision_50"] = _ratio(matched[0], predicted)
            found["cells/recall_50"] = _ratio(matched[0], true)
        error = (self.counts[:, 1] - self.counts[:, 0]).astype(np.float64)
        number = weights.sum(axis=1)
        found["count/bias"] = _ratio(weights @ error, number)
        found["count/MAE"] = _ratio(weights @ np.abs(error), number)
        return found


class _Detections:
    """The detections of all images, class by class, highest score first."""

    def __init__(self, images: Sequence[RankedMatches], classes: int) -> None:
        image = np.repeat(np.arange(len(images)), [len(r.scores) for r in images])
        scores = np.concatenate([r.scores for r in images])
        labels = np.concatenate([r.labels for r in images])
        order = np.lexsort((image, -scores, labels))  # within an image the ranks stand already
        self.image = image[order]
        self.right = np.concatenate([r.right for r in images], axis=1)[:, order]
        self.ignored = np.concatenate([r.ignored for r in images], axis=1)[:, order]
        bounds = np.searchsorted(labels[order], np.arange(classes + 1))
        self.spans = [slice(*span) for span in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)]
        self.objects = np.zeros((len(images), classes))
        for k, r in enumerate(images):
            self.objects[k] = np.bincount(r.objects, minlength=classes)

    def average_precisions(self, weights: Floats) -> Floats:
        """(B, T) AP at each threshold, averaged over the classes with an object, NaN where none has one."""
        objects = weights @ self.objects  # (B, K)
        values = np.full((len(weights), len(THRESHOLDS), len(self.spans)), np.nan)
        for k, span in enumerate(self.spans):
            if self.objects[:, k].any():
                values[:, :, k] = self._of_class(span, weights, objects[:, k])
        return _mean(values)

    def _of_class(self, span: slice, weights: Floats, objects: Floats) -> Floats:
        step = max(1, BUDGET // max(span.stop - span.start, 1))
        values = np.empty((len(weights), len(THRESHOLDS)))
        for begin in range(0, len(weights), step):
            part = slice(begin, begin + step)
            own = weights[part][:, self.image[span]]
            for t in range(len(THRESHOLDS)):
                ignored = self.ignored[t, span]
                weight = np.where(ignored, 0.0, own) if ignored.any() else own
                values[part, t] = average_precision(self.right[t, span], objects[part], weight)
        return values


def _mean(values: Floats) -> Floats:
    """Mean over the last axis of what is defined, NaN where nothing is."""
    defined = ~np.isnan(values)
    number = defined.sum(axis=-1)
    total = np.where(defined, values, 0).sum(axis=-1)
    return np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0)


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros(np.shape(part)), where=whole > 0)
