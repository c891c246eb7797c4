"""Why detections and objects were not matched, and what each kind of error costs.

Bolya, Foley, Hays, Hoffman, "TIDE: A General Toolbox for Identifying Object Detection Errors", ECCV 2020,
section 2: a detection without a match at IoU 0.5 is, the first that fits,

- ``location``: IoU 0.1 to 0.5 with an object of its class;
- ``class``: IoU >= 0.5 with an object of another class;
- ``duplicate``: IoU >= 0.5 with an object of its class that a better one has;
- ``background``: IoU <= 0.1 with everything;
- ``both``: the rest, wrong in class and place;

and an object that was not matched and that no ``location`` or ``class`` error could be mended to match is
``missed``. The cost of a kind (``dAP``) is how much AP50 rises if an oracle mends all errors of that kind and
no other; costs do not add up to 1 - AP50.

Three choices differ from the published package: classes without a true object are left out, as COCO does
(the package scores them 0); ``max_det`` counts per class, as COCO does (the package counts all classes
together); detections ignored for lying in a crowd region are not counted as errors (the package counts
them, but mends them the same way).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from delineate.core.instances import Instances
from delineate.core.labels import Labels

from .error_report import DETECTION_ERRORS, ErrorReport
from .interpolated_precision import average_precision
from .overlap_table import Kind, OverlapTable
from .per_image import PerImage
from .ranked_matches import RankedMatches

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LOCATION, CLASS, DUPLICATE, BACKGROUND, BOTH = range(len(DETECTION_ERRORS))
FINE = -1
MATCH, FAR = 0.5, 0.1


@dataclass(frozen=True, eq=False)
class ImageErrors:
    """One image's detections, best first, with what is wrong with each; a few numbers a detection.

    Attributes:
        labels: (D,) classes.
        scores: (D,) float32.
        kind: (D,) index into :data:`DETECTION_ERRORS`, -1 for right ones.
        ignored: (D,) in a crowd region, neither right nor wrong; such a one may be mended all the same.
        mended: (D,) the class in which it becomes right when its error is mended, -1: it goes.
        objects: (G,) classes of the true objects.
        missed: (G,) not matched, and nothing that could be mended.
        unmatched: (G,) not matched.
        beyond: detections beyond ``max_det``, not looked at.
    """

    labels: Ints
    scores: NDArray[np.float32]
    kind: Ints
    ignored: Bools
    mended: Ints
    objects: Ints
    missed: Bools
    unmatched: Bools
    beyond: int = 0


class ErrorKinds(PerImage[ImageErrors]):
    """Kinds of errors over many images, by masks or by boxes.

    Args:
        kind: ``"mask"`` or ``"box"``: what overlaps are taken of.
        classes: the classes that are scored.
        max_dets: the last one limits the detections of a class in an image.

    Example:
        >>> truth = Instances((9, 9), boxes=[[0, 0, 4, 4], [5, 5, 9, 9]])
        >>> pred = Instances((9, 9), boxes=[[0, 0, 4, 4], [6, 6, 9, 9], [0, 5, 3, 8]], scores=[0.9, 0.8, 0.7])
        >>> metric = ErrorKinds("box", truth.classes)
        >>> metric.update(pred, truth)
        >>> metric.compute().counts["background"], round(metric.compute().costs["background"], 2)
        (1, 0.0)
    """

    def __init__(self, kind: Kind, classes: Labels, max_dets: tuple[int, ...] = (100,)) -> None:
        super().__init__()
        self.kind: Kind = kind
        self.classes, self.max_det = classes, int(max_dets[-1])

    def settings(self) -> tuple[object, ...]:
        """What two shards must have in common."""
        return self.kind, self.classes, self.max_det

    def of_image(self, pred: Instances, truth: Instances) -> ImageErrors:
        """Each detection's and each object's error."""
        matches = RankedMatches.of(pred, truth, self.kind, max_det=self.max_det, thresholds=(MATCH,))
        true = truth[~truth.crowd]
        table = OverlapTable.of(pred[matches.index], true, self.kind)
        own = np.cumsum(~truth.crowd) - 1  # from all objects to those without crowd regions
        used = np.zeros(len(true), np.bool_)
        used[own[matches.taken[0][matches.right[0]]]] = True
        judged = judge_errors(table, matches, true.labels, used)
        return replace(judged, beyond=len(pred) - len(matches.scores))

    def compute(self) -> ErrorReport:
        """The errors of all images so far."""
        records = self.records
        pool = Pool.of(records)
        names = self.classes.names
        counts = np.zeros((len(names), len(DETECTION_ERRORS) + 1), np.int64)
        wrong = (pool.kind >= 0) & ~pool.ignored
        np.add.at(counts, (pool.labels[wrong], pool.kind[wrong]), 1)
        np.add.at(counts[:, -1], pool.objects[pool.missed], 1)
        base, costs = oracle_costs(pool, len(names))
        return ErrorReport.of(
            kind=self.kind,
            images=len(records),
            names=names,
            counts=counts,
            objects=np.bincount(pool.objects, minlength=len(names)),
            base=base,
            costs=costs,
            max_det=self.max_det,
            beyond=sum(record.beyond for record in records),
        )


def judge_errors(table: OverlapTable, matches: RankedMatches, objects: Ints, used: Bools) -> ImageErrors:
    """Name the error of each detection of one image.

    Args:
        table: overlaps of the D ranked detections with the G true objects, crowd regions left out.
        matches: the detections, matched at one threshold.
        objects: (G,) classes.
        used: (G,) matched.
    """
    same = matches.labels[table.predicted] == objects[table.true]
    near, near_object = _highest(table, same, len(matches.labels))
    other, other_object = _highest(table, ~same, len(matches.labels))
    taken, _ = _highest(table, same & used[table.true], len(matches.labels))
    kind = np.full(len(matches.labels), BOTH)
    rules: tuple[tuple[int, Bools], ...] = (
        (BACKGROUND, np.maximum(near, other) <= FAR),
        (DUPLICATE, taken >= MATCH),
        (CLASS, other >= MATCH),
        (LOCATION, (near >= FAR) & (near <= MATCH)),
    )
    for name, holds in rules:  # the last that holds is the first of the definition
        kind[holds] = name
    kind[matches.right[0]] = FINE
    target = np.where(kind == LOCATION, near_object, np.where(kind == CLASS, other_object, -1))
    mended, mendable = np.full(len(kind), -1), np.zeros(len(objects), np.bool_)
    for k in np.flatnonzero(target >= 0).tolist():  # best first: the first one to reach an object gets it
        one = target[k]
        if not used[one] and not mendable[one]:
            mendable[one], mended[k] = True, objects[one]
    unmatched = ~used
    ignored = matches.ignored[0]
    return ImageErrors(
        matches.labels, matches.scores, kind, ignored, mended, objects, unmatched & ~mendable, unmatched
    )


def _highest(table: OverlapTable, keep: Bools, count: int) -> tuple[Floats, Ints]:
    """(D,) highest IoU of each detection among some pairs, 0 without any, and with which object, else -1."""
    iou, chosen = np.zeros(count), np.full(count, -1)
    part = table.take(keep)
    order = np.lexsort((-part.true, part.iou))  # of equal overlaps the first object, written last
    iou[part.predicted[order]], chosen[part.predicted[order]] = part.iou[order], part.true[order]
    return iou, chosen


@dataclass(frozen=True, eq=False)
class Pool:
    """The detections of all images, highest score first, and all objects; fields as :class:`ImageErrors`."""

    labels: Ints
    kind: Ints
    ignored: Bools
    mended: Ints
    objects: Ints
    missed: Bools
    unmatched: Bools
    scores: NDArray[np.float32] = field(repr=False)

    @classmethod
    def of(cls, records: list[ImageErrors]) -> Pool:
        """Of the images in order."""

        def joined(name: str, dtype: type) -> NDArray[np.generic]:
            parts = [getattr(record, name) for record in records]
            return np.concatenate(parts) if parts else np.zeros(0, dtype)

        order = np.argsort(-np.asarray(joined("scores", np.float32), np.float32), kind="stable")
        ranked = {
            name: joined(name, kind)[order]
            for name, kind in (
                ("labels", int),
                ("kind", int),
                ("ignored", bool),
                ("mended", int),
                ("scores", float),
            )
        }
        plain = {
            name: joined(name, kind)
            for name, kind in (("objects", int), ("missed", bool), ("unmatched", bool))
        }
        return cls(**ranked, **plain)  # type: ignore[arg-type]


def oracle_costs(pool: Pool, classes: int) -> tuple[float, dict[str, float]]:
    """AP50, and by how much each oracle raises it."""
    number = np.bincount(pool.objects, minlength=classes).astype(np.float64)
    missed = np.bincount(pool.objects[pool.missed], minlength=classes)
    unmatched = np.bincount(pool.objects[pool.unmatched], minlength=classes)
    right, counted = pool.kind == FINE, ~pool.ignored
    base = _mean_ap(pool.labels, right, counted, number, number)
    costs = {}
    for k, name in enumerate(DETECTION_ERRORS):
        hit = pool.kind == k
        mend = hit & (pool.mended >= 0)
        labels = np.where(mend, pool.mended, pool.labels)
        costs[name] = _mean_ap(labels, right | mend, (counted & ~hit) | mend, number, number) - base
    costs["missed"] = _mean_ap(pool.labels, right, counted, number - missed, number) - base
    costs["all false positives"] = _mean_ap(pool.labels, right, right, number, number) - base
    costs["all false negatives"] = _mean_ap(pool.labels, right, counted, number - unmatched, number) - base
    return base, {name: max(cost, 0.0) for name, cost in costs.items()}


def _mean_ap(labels: Ints, right: Bools, counted: Bools, number: Floats, before: Floats) -> float:
    """AP averaged over the classes that had an object ``before`` and that have an object or a detection."""
    values = []
    for k in np.flatnonzero(before > 0).tolist():
        own = counted & (labels == k)
        if number[k] > 0:
            values.append(float(average_precision(right[own], number[[k]])[0]))
        elif own.any():
            values.append(0.0)
    return float(np.mean(values)) if values else float("nan")
