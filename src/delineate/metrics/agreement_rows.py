"""What each image says of its annotators, and what two annotators share over many images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .chance_corrected import cohen_kappa
from .metric import Cell

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
NAN = float("nan")


@dataclass(frozen=True, eq=False)
class DrawnObjects:
    """The N objects of one annotator in one image.

    Attributes:
        labels: (N,) class indices.
        area: (N,) pixels.
        points: (N,) vertices, -1 where unknown.
        length: (N,) outline in pixels, NaN where unknown.
    """

    labels: Ints
    area: Ints
    points: Ints
    length: Floats


@dataclass(frozen=True, eq=False)
class PairInImage:
    """Two annotators in one image: P objects that both drew, and those that one alone drew.

    Attributes:
        first: index of the one annotator.
        second: index of the other.
        labels: (P, 2) classes that each gave.
        iou: (P,) overlap of the masks.
        distance: (P,) mean distance of the outlines in pixels.
        largest: (P,) Hausdorff distance of the outlines in pixels.
        areas: (P, 2) pixels.
        alone_first: classes of the objects that only the first drew.
        alone_second: classes of the objects that only the second drew.
    """

    first: int
    second: int
    labels: Ints
    iou: Floats
    distance: Floats
    largest: Floats
    areas: Ints
    alone_first: Ints
    alone_second: Ints

    def of_class(self, k: int) -> PairInImage:
        """What concerns one class: matched where both gave it.

        An object to which the other gave another class counts as one that one alone drew.
        """
        both = (self.labels == k).all(axis=1)
        lost = [np.concatenate([alone[alone == k], self.labels[~both & (self.labels[:, side] == k), side]])
                for side, alone in enumerate((self.alone_first, self.alone_second))]  # fmt: skip
        return PairInImage(
            self.first, self.second, self.labels[both], self.iou[both], self.distance[both],
            self.largest[both], self.areas[both], lost[0], lost[1],
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class ImageAgreement:
    """One image.

    Attributes:
        image_id: its number.
        name: its name.
        objects: by annotator what was drawn; None where the image was not seen.
        pairs: each two annotators that saw it.
        units: (R, G) class that each annotator gave each object, -1 where not drawn.
        pixels: (K + 1, K + 1) coincidences of the classes of pixels, 0 background.
    """

    image_id: int
    name: str
    objects: tuple[DrawnObjects | None, ...]
    pairs: tuple[PairInImage, ...]
    units: Ints
    pixels: Floats

    @property
    def quality(self) -> float:
        """Mean panoptic quality of its pairs; NaN where nobody drew anything."""
        return mean([Tally.of([pair]).quality for pair in self.pairs])


@dataclass(frozen=True)
class Tally:
    """What two annotators, or many such pairs, share.

    Attributes:
        matched: objects that both drew.
        alone_first: objects that only the first drew.
        alone_second: objects that only the second drew.
        iou: mean overlap of what both drew.
        distance: median of the outlines' mean distance in pixels.
        largest: 95th percentile of their Hausdorff distance in pixels.
        larger: by how much the second's areas exceed the first's: median ratio less one.
        kappa: Cohen's, of the classes of what both drew.
        count_difference: mean over images of the second's count less the first's.
        count_spread: mean over images of the absolute difference of the counts.
    """

    matched: int
    alone_first: int
    alone_second: int
    iou: float
    distance: float
    largest: float
    larger: float
    kappa: float
    count_difference: float
    count_spread: float

    @property
    def f1(self) -> float:
        """Share of the objects that both drew, 2 m / (2 m + those of one alone); NaN without objects."""
        whole = 2 * self.matched + self.alone_first + self.alone_second
        return 2 * self.matched / whole if whole else NAN

    @property
    def quality(self) -> float:
        """Panoptic quality: F1 times mean IoU; 0 where objects were drawn and none by both."""
        return self.f1 * self.iou if self.matched else self.f1

    @classmethod
    def of(cls, pairs: Sequence[PairInImage], classes: int = 0) -> Tally:
        """Of many images, pooled; ``classes`` is needed for kappa."""

        def pooled(name: str, empty: tuple[int, ...] = (0,)) -> NDArray[Any]:
            return np.concatenate([np.zeros(empty), *(getattr(pair, name) for pair in pairs)])

        labels, areas = pooled("labels", (0, 2)).astype(np.int64), pooled("areas", (0, 2))
        table = np.bincount(labels[:, 0] * classes + labels[:, 1], minlength=classes**2) if classes else None
        counts = np.array([len(p.alone_second) - len(p.alone_first) for p in pairs], dtype=np.float64)
        distance, largest = pooled("distance"), pooled("largest")
        return cls(
            matched=len(labels),
            alone_first=len(pooled("alone_first")),
            alone_second=len(pooled("alone_second")),
            iou=mean(pooled("iou")),
            distance=float(np.median(distance)) if len(distance) else NAN,
            largest=float(np.percentile(largest, 95)) if len(largest) else NAN,
            larger=float(np.median(areas[:, 1] / areas[:, 0]) - 1) if len(areas) else NAN,
            kappa=cohen_kappa(table.reshape(classes, classes)) if table is not None else NAN,
            count_difference=mean(counts),
            count_spread=mean(np.abs(counts)),
        )


def mean(values: Iterable[float] | Floats) -> float:
    """The mean of the numbers that are none of NaN."""
    found = np.asarray(list(values), dtype=np.float64)
    found = found[~np.isnan(found)]
    return float(found.mean()) if len(found) else NAN


def plain(value: Cell) -> Cell:
    """A number for JSON: None in place of NaN."""
    return None if isinstance(value, float) and np.isnan(value) else value
