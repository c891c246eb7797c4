"""Non-maximum suppression: of objects that overlap too much, only the best stays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .boxes import overlapping_pairs
from .errors import InputError
from .masks import Masks
from .ranked import Ranked

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
Kind = Literal["box", "soft", "mask", "prototype", "none"]


@dataclass(frozen=True)
class Suppression:
    """How a dense model's candidates become its detections.

    One-stage models propose each object many times. Suppression by box deletes the true neighbour along with
    the copies where two objects share most of a box; the other kinds look closer.

    Attributes:
        kind: "box": the better of two boxes stays (greedy). "soft": nothing goes, but the score falls with
            the overlap (Soft-NMS, Gaussian; Bodla et al. 2017). "mask": copies by box first, then by what
            the masks share, so that two objects whose boxes overlap and whose masks do not both stay.
            "prototype": boxes that overlap are copies only if their mask coefficients agree too, which needs
            no masks. "none": for heads that propose each object once.
        iou: overlap above which the worse one goes, 0..1; of masks for "mask", of boxes otherwise. "soft"
            and "none" do not use it.
        box_iou: "mask" only: box IoU above which two are copies without a look at their masks.
        measure: "mask" only: "iou", intersection over union, or "ios", intersection over the smaller one.
        similarity: "prototype" only: cosine of two coefficient vectors above which they agree, -1..1.
        sigma: "soft" only: scores are multiplied by exp(-IoU ** 2 / sigma).
        candidates: only so many best-scored candidates are looked at.
    """

    kind: Kind = "box"
    iou: float = 0.7
    box_iou: float = 0.9
    measure: Literal["iou", "ios"] = "iou"
    similarity: float = 0.5
    sigma: float = 0.5
    candidates: int = 3000

    def __post_init__(self) -> None:
        for name, choices in (("kind", get_args(Kind)), ("measure", ("iou", "ios"))):
            if getattr(self, name) not in choices:
                raise InputError(
                    f"Suppression.{name}: expected one of {', '.join(choices)}, got {getattr(self, name)!r}; "
                    "choose one"
                )
        ranges = {"iou": (0, 1), "box_iou": (0, 1), "similarity": (-1, 1), "sigma": (1e-6, 1e6)}
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise InputError(
                    f"Suppression.{name}: expected a number in {low:g}..{high:g}, got {value!r}; correct it"
                )
        if type(self.candidates) is not int or self.candidates < 1:
            raise InputError(
                f"Suppression.candidates: expected a whole number from 1 up, got {self.candidates!r}"
            )

    def to_dict(self) -> dict[str, Any]:
        """JSON-able settings, as kept in a checkpoint's header."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Suppression:
        """The inverse of :meth:`to_dict`; what is not named has its default.

        Raises:
            InputError: a name that is none of ours, or a value out of range.
        """
        known = [field.name for field in fields(cls)]
        for name in record:
            if name not in known:
                raise InputError(
                    f"Suppression: expected names among {', '.join(known)}, got {name!r}; correct it"
                )
        return cls(**record)

    @property
    def _all_stay(self) -> bool:
        """No overlap is large enough for anything to go."""
        boxes = self.box_iou if self.kind == "mask" else self.iou
        return self.kind == "none" or (self.kind != "soft" and min(self.iou, boxes) >= 1)

    def above(self, iou: float) -> Suppression:
        """The same with another threshold: objects that overlap less than it all stay; 1: all stay."""
        return replace(self, iou=iou, box_iou=max(self.box_iou, iou))

    def choose(
        self,
        boxes: ArrayLike,
        scores: ArrayLike,
        labels: ArrayLike,
        *,
        limit: int,
        confidence: float = 0.0,
        masks: Callable[[Ints], Masks] | None = None,
        coefficients: ArrayLike | None = None,
    ) -> tuple[Ints, Floats]:
        """Which candidates stay, and their scores.

        Objects of different classes do not suppress each other.

        Args:
            boxes: (N, 4) xyxy, in any one frame.
            scores: (N,), higher is better; ties stay in the given order.
            labels: (N,) classes.
            limit: at most so many stay.
            confidence: those that score this or less go, before and (where scores fall) after.
            masks: gives the masks of chosen candidates, (M,) indices into ``boxes``, ascending by nothing in
                particular; needed by "mask". It is called once, for no more than 4 * limit.
            coefficients: (N, P) weights of the prototypes, needed by "prototype".

        Returns:
            Kept indices (M,) by descending score, int64, and their scores (M,) float32: the given ones, but
            for "soft".

        Raises:
            InputError: lengths that differ, NaN, or masks or coefficients that the kind needs are missing.

        Example:
            >>> two = [[0, 0, 9, 9], [0, 1, 9, 10], [0, 0, 9, 8]]  # two neighbours, and a copy of the first
            >>> weights = [[1.0, 0.1], [0.1, 1.0], [0.9, 0.1]]
            >>> Suppression("box", 0.5).choose(two, [0.9, 0.8, 0.7], [0, 0, 0], limit=9)[0].tolist()
            [0]
            >>> found = Suppression("prototype", 0.5).choose(
            ...     two, [0.9, 0.8, 0.7], [0, 0, 0], limit=9, coefficients=weights
            ... )
            >>> found[0].tolist()
            [0, 1]
        """
        corners = np.asarray(boxes, dtype=np.float32).reshape(-1, 4)
        score, label = _check(len(corners), scores, labels, self.iou)
        order = np.argsort(-score, kind="stable")
        order = order[score[order] > confidence][: self.candidates]
        ranked = Ranked(corners[order], score[order], label[order])
        if self._all_stay:
            kept, final = np.arange(min(limit, len(order))), ranked.scores
        elif self.kind == "soft":
            kept, final = ranked.soft(limit, self.sigma, confidence)
        elif self.kind == "prototype":
            kept = ranked.greedy(
                limit, self.iou, _directions(coefficients, len(corners))[order], self.similarity
            )
            final = ranked.scores
        elif self.kind == "mask":
            if masks is None:
                raise InputError("Suppression 'mask': expected masks, got None; choose another kind")
            kept = ranked.greedy(4 * limit, self.box_iou)
            shapes = masks(order[kept])
            apart = nms_masks(shapes, ranked.scores[kept], self.iou, ranked.labels[kept], self.measure)
            kept, final = kept[apart][:limit], ranked.scores
        else:
            kept, final = ranked.greedy(limit, self.iou), ranked.scores
        return order[kept], final[kept].astype(np.float32)


def nms_boxes(boxes: ArrayLike, scores: ArrayLike, threshold: float, labels: ArrayLike | None = None) -> Ints:
    """Greedy suppression by box IoU, as ``torchvision.ops.nms`` (``batched_nms`` with labels).

    Args:
        boxes: (N, 4) xyxy.
        scores: (N,), higher is better; ties stay in the given order.
        threshold: an object goes when its IoU with a kept, better one is above this, 0..1.
        labels: (N,) classes; objects of different classes do not suppress each other.

    Returns:
        Kept indices by descending score, int64.

    Example:
        >>> nms_boxes([[0, 0, 4, 4], [0, 0, 4, 3], [9, 9, 10, 10]], [0.5, 0.9, 0.1], 0.5).tolist()
        [1, 2]
    """
    corners = np.asarray(boxes, dtype=np.float32).reshape(-1, 4)
    score, label = _check(len(corners), scores, labels, threshold)
    i, j = overlapping_pairs(corners, corners)
    later = (i < j) & (label[i] == label[j])
    i, j = i[later], j[later]
    return _greedy(score, i, j, _pair_iou(corners, i, j).astype(np.float64) > threshold)


def nms_masks(
    masks: Masks,
    scores: ArrayLike,
    threshold: float,
    labels: ArrayLike | None = None,
    measure: Literal["iou", "ios"] = "iou",
) -> Ints:
    """Greedy suppression by what masks share: intersection over union, or over the smaller mask (``ios``).

    Arguments and result as :func:`nms_boxes`. Empty masks suppress nothing and are kept.
    """
    score, label = _check(len(masks), scores, labels, threshold)
    if measure not in ("iou", "ios"):
        raise InputError(f"nms_masks: expected measure 'iou' or 'ios', got {measure!r}; choose one")
    i, j, shared = masks.intersection_pairs(masks)
    later = (i < j) & (label[i] == label[j])
    i, j, shared = i[later], j[later], shared[later]
    area = masks.area
    whole = area[i] + area[j] - shared if measure == "iou" else np.minimum(area[i], area[j])
    return _greedy(score, i, j, shared / whole > threshold)


def _check(
    count: int, scores: ArrayLike, labels: ArrayLike | None, threshold: float
) -> tuple[NDArray[np.float64], Ints]:
    score = np.asarray(scores, dtype=np.float64).reshape(-1)
    label = (
        np.zeros(count, dtype=np.int64) if labels is None else np.asarray(labels, dtype=np.int64).reshape(-1)
    )
    if len(score) != count or len(label) != count:
        raise InputError(
            f"suppress: expected {count} scores and labels, got {len(score)} and {len(label)}; give one each"
        )
    if np.isnan(score).any():
        raise InputError("suppress: expected scores that are numbers, got NaN; check the model's output")
    if not 0 <= threshold <= 1:
        raise InputError(
            f"suppress: expected a threshold in 0..1, got {threshold}; it is an overlap fraction"
        )
    return score, label


def _directions(coefficients: ArrayLike | None, count: int) -> Floats:
    """(N, P) unit vectors; zeros stay zeros and agree with none."""
    if coefficients is None:
        raise InputError("Suppression 'prototype': expected coefficients, got None; choose another kind")
    vectors = np.asarray(coefficients, dtype=np.float32)
    if vectors.ndim != 2 or len(vectors) != count:
        raise InputError(f"Suppression 'prototype': expected coefficients ({count}, P), got {vectors.shape}")
    length = np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)


def _pair_iou(boxes: NDArray[np.float32], i: Ints, j: Ints) -> NDArray[np.float32]:
    """IoU of boxes i with boxes j in float32, in torchvision's order of operations."""
    a, b = boxes[i], boxes[j]
    width = np.maximum(np.minimum(a[:, 2], b[:, 2]) - np.maximum(a[:, 0], b[:, 0]), np.float32(0))
    height = np.maximum(np.minimum(a[:, 3], b[:, 3]) - np.maximum(a[:, 1], b[:, 1]), np.float32(0))
    shared = width * height
    size_a = (a[:, 2] - a[:, 0]) * (a[:, 3] - a[:, 1])
    size_b = (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
    result: NDArray[np.float32] = shared / (size_a + size_b - shared)
    return result


def _greedy(scores: NDArray[np.float64], i: Ints, j: Ints, clash: NDArray[np.bool_]) -> Ints:
    """Kept indices by descending score, given the pairs (i, j) that may not both stay where clash is True."""
    order = np.argsort(-scores, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    p, q = rank[i[clash]], rank[j[clash]]
    better, worse = np.minimum(p, q), np.maximum(p, q)
    by_better = np.argsort(better, kind="stable")
    better, worse = better[by_better], worse[by_better]
    keep = np.ones(len(order), dtype=np.bool_)
    heads, starts = np.unique(better, return_index=True)
    ends = np.append(starts, len(better))[1:].tolist()
    for head, start, end in zip(heads.tolist(), starts.tolist(), ends, strict=True):
        if keep[head]:
            keep[worse[start:end]] = False
    return order[keep]
