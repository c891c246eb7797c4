"""SpaceNet's building score: precision, recall and F1 of footprints at IoU 0.5.

Van Etten, Lindenbaum, Bacastow, "SpaceNet: A Remote Sensing Dataset and Challenge Series" (arXiv:1807.01232,
2018), section 4.1: predictions are taken by falling confidence; each goes to the true footprint, of those not
yet taken, that it overlaps most, and is a hit from IoU 0.5 on, which takes that footprint away. As in the
challenge's own counting, true footprints under 20 square pixels are not asked for. Two kinds of input, one
rule: masks (:class:`SpaceNet`, image by image) and polygons in any units (:func:`match_polygons`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from delineate.core.convert.shapely import shapely_package, to_shapely
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.polygons import Polygon

THRESHOLD = 0.5
MIN_AREA = 20.0
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class FootprintMatch:
    """What became of D predictions and G true footprints of one image.

    Attributes:
        partner: (D,) the true footprint that each prediction hit, -1 for none.
        iou: (G,) float64, 0..1: the best IoU of the predictions that chose each true footprint; 0 for none.
            From the threshold on it is the hit's.
    """

    partner: Ints
    iou: NDArray[np.float64]

    @property
    def counts(self) -> tuple[int, int, int]:
        """TP, FP, FN."""
        hits = int(np.count_nonzero(self.partner >= 0))
        return hits, len(self.partner) - hits, len(self.iou) - hits


def match_footprints(
    pairs: tuple[ArrayLike, ArrayLike, ArrayLike],
    counts: tuple[int, int],
    scores: ArrayLike | None = None,
    threshold: float = THRESHOLD,
) -> FootprintMatch:
    """Hits by SpaceNet's rule from the pairs that overlap.

    Args:
        pairs: (P,) prediction, (P,) true footprint, (P,) IoU of each pair with a common area.
        counts: D predictions and G true footprints in all.
        scores: (D,) confidence of any range; None or equal ones: in the order given.
        threshold: IoU from which (``>=``) a prediction hits.

    Example:
        >>> found = match_footprints(([0, 0, 1], [0, 1, 1], [0.6, 0.2, 0.4]), (2, 2))
        >>> found.partner.tolist(), found.iou.tolist(), found.counts
        ([0, -1], [0.6, 0.4], (1, 1, 1))
    """
    i, j, iou = (np.asarray(values) for values in pairs)
    n_predicted, n_true = counts
    order = np.argsort(i, kind="stable")
    i, j, iou = i[order], j[order], iou[order]
    first = np.searchsorted(i, np.arange(n_predicted + 1))
    partner = np.full(n_predicted, -1, np.int64)
    best = np.zeros(n_true)
    free = np.ones(n_true, np.bool_)
    rank = np.zeros(n_predicted) if scores is None else -np.asarray(scores, np.float64)
    for k in np.argsort(rank, kind="stable").tolist():
        mine = np.arange(first[k], first[k + 1])
        mine = mine[free[j[mine]]]
        if not len(mine):
            continue
        at = mine[int(iou[mine].argmax())]
        best[j[at]] = max(best[j[at]], float(iou[at]))
        if iou[at] >= threshold:
            partner[k] = j[at]
            free[j[at]] = False
    return FootprintMatch(partner, best)


def match_polygons(
    predicted: Sequence[Sequence[Polygon]],
    true: Sequence[Sequence[Polygon]],
    scores: ArrayLike | None = None,
    threshold: float = THRESHOLD,
) -> FootprintMatch:
    """Hits among polygons of one image or map, in any units, with exact areas.

    Args:
        predicted: D objects, each a list of parts; outlines that cross themselves are mended first.
        true: G objects likewise, in the same coordinates.
        scores: (D,) confidence of any range.
        threshold: IoU from which a prediction hits.

    Raises:
        MissingDependencyError: shapely is not installed.

    Example:
        >>> square = [Polygon([[0, 0], [4, 0], [4, 4], [0, 4]])]
        >>> moved = [Polygon([[1, 0], [5, 0], [5, 4], [1, 4]])]
        >>> match_polygons([moved], [square]).iou.tolist()
        [0.6]
    """
    package = shapely_package()
    ours, theirs = to_shapely(predicted, mend=True), to_shapely(true, mend=True)
    if not len(ours) or not len(theirs):
        empty = np.zeros(0, np.int64)
        return match_footprints((empty, empty, np.zeros(0)), (len(ours), len(theirs)), scores, threshold)
    i, j = package.STRtree(theirs).query(ours, predicate="intersects")
    shared = package.area(package.intersection(ours[i], theirs[j]))
    whole = package.area(ours[i]) + package.area(theirs[j]) - shared
    iou = np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)
    return match_footprints((i, j, iou), (len(ours), len(theirs)), scores, threshold)


@dataclass(frozen=True)
class SpaceNetReport:
    """SpaceNet's score over images. Ratios are 0..1, and 0 where there is no hit.

    Attributes:
        images: how many.
        threshold: IoU of a hit.
        min_area: true footprints under so many square pixels are left out.
        tp, fp, fn: hits, predictions that hit nothing, true footprints that none hit.
        by_image: mean of the images' F1; an image without buildings and predictions counts 0, as there.
    """

    images: int
    threshold: float
    min_area: float
    tp: int
    fp: int
    fn: int
    by_image: float

    @property
    def precision(self) -> float:
        """TP / (TP + FP)."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """TP / (TP + FN)."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN)."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def scores(self) -> dict[str, float]:
        """``F1``, ``precision``, ``recall`` of the counts summed over images, and ``F1_by_image``."""
        return {
            "F1": self.f1,
            "precision": self.precision,
            "recall": self.recall,
            "F1_by_image": self.by_image,
        }

    @property
    def protocol(self) -> dict[str, Any]:
        """The choices behind the numbers, JSON-able."""
        return {
            "definition": "SpaceNet (arXiv:1807.01232, section 4.1): F1 of footprints, counts summed",
            "match": f"by falling score to the free footprint of most overlap, from IoU {self.threshold:g}",
            "small": f"true footprints under {self.min_area:g} square pixels are left out",
            "crowd": "left out, with the predictions of which more than half lies in a crowd region",
            "classes": "not looked at",
        }

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain values, ready for JSON."""
        return {**asdict(self), **self.scores}


class SpaceNet:
    """SpaceNet's building score over many images, from masks.

    Args:
        threshold: IoU of a hit, in (0, 1].
        min_area: true footprints under so many square pixels are left out.

    Raises:
        InputError: a threshold outside (0, 1].

    Example:
        >>> from delineate.core.masks import Masks
        >>> true = Masks.from_label_image(np.kron([[1, 0, 2]], np.ones((5, 5), int)))
        >>> metric = SpaceNet()
        >>> metric.update(Instances((5, 15), masks=true[0]), Instances((5, 15), masks=true))
        >>> found = metric.compute()
        >>> found.tp, found.fp, found.fn, round(found.f1, 3)
        (1, 0, 1, 0.667)
    """

    def __init__(self, threshold: float = THRESHOLD, min_area: float = MIN_AREA) -> None:
        if not 0 < threshold <= 1:
            raise InputError(
                f"SpaceNet: expected a threshold in (0, 1], got {threshold}; 0.5 is the usual one"
            )
        self.threshold, self.min_area = float(threshold), float(min_area)
        self._images: dict[int, tuple[int, int, int]] = {}

    def update(self, pred: Instances, truth: Instances, image_id: int | None = None) -> None:
        """Add one image.

        Raises:
            InputError: masks missing, image sizes differ, or an image id given twice.
        """
        if pred.masks is None or truth.masks is None or pred.size != truth.size:
            raise InputError(
                f"SpaceNet: expected masks of one size in prediction and truth, got {pred.size} and "
                f"{truth.size}{', boxes only' if pred.masks is None or truth.masks is None else ''}; "
                "predict masks on the original image"
            )
        if image_id is None:
            image_id = max(self._images, default=0) + 1
        if image_id in self._images:
            raise InputError(f"SpaceNet: expected every image once, got image {image_id} twice")
        true, predicted, scores = truth.masks, pred.masks, pred.scores
        if truth.crowd.any():
            from .cell_matching import in_crowd

            kept = ~in_crowd(predicted, true[truth.crowd])
            predicted, scores, true = predicted[kept], scores[kept], true[~truth.crowd]
        true = true[np.asarray(true.area) >= self.min_area]
        i, j, shared = predicted.intersection_pairs(true)
        iou = shared / (predicted.area[i] + true.area[j] - shared)
        found = match_footprints((i, j, iou), (len(predicted), len(true)), scores, self.threshold)
        self._images[image_id] = found.counts

    def merge(self, other: SpaceNet) -> None:
        """Take over the images of another shard.

        Raises:
            InputError: other settings, or an image seen by both.
        """
        both = self._images.keys() & other._images.keys()
        if both or (self.threshold, self.min_area) != (other.threshold, other.min_area):
            raise InputError(
                f"SpaceNet.merge: expected other images and the same settings, got "
                f"{f'image {min(both)} in both' if both else 'other settings'}; give update() the dataset's "
                "own image_id"
            )
        self._images.update(other._images)

    def compute(self) -> SpaceNetReport:
        """The score of all images so far."""
        return report_of([self._images[i] for i in sorted(self._images)], self.threshold, self.min_area)


def report_of(
    counts: Sequence[tuple[int, int, int]], threshold: float = THRESHOLD, min_area: float = MIN_AREA
) -> SpaceNetReport:
    """The report of images with these TP, FP, FN."""
    tp, fp, fn = (int(sum(c[k] for c in counts)) for k in range(3))
    each = [_ratio(2 * t, 2 * t + p + n) for t, p, n in counts]
    return SpaceNetReport(len(counts), threshold, min_area, tp, fp, fn, float(np.mean(each)) if each else 0.0)


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else 0.0
