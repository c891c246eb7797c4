"""What annotators agree on, in numbers: all together, pair by pair, one by one, class by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from delineate.core.labels import Labels

from .agreement_rows import NAN, Floats, ImageAgreement, PairInImage, Tally, mean
from .chance_corrected import coincidences, krippendorff_alpha
from .metric import ScoreTable


@dataclass(frozen=True)
class Person:
    """One annotator.

    Attributes:
        name: of the annotator.
        images: seen.
        objects: drawn.
        quality: mean panoptic quality with each of the others.
        iou: mean overlap with the others' outlines.
        distance: median distance to the others' outlines in pixels.
        larger: by how much the annotator's areas exceed the others' of the same objects: median ratio less
            one.
        alone: share of the annotator's objects that no other annotator of the image drew.
        missed: share of the objects that more than half of the other annotators of the image drew, and this
            one did not.
        points: 5th, 50th and 95th percentile of the vertices of an object; NaN where unknown.
        density: the same of the vertices per 100 pixels of outline.
    """

    name: str
    images: int
    objects: int
    quality: float
    iou: float
    distance: float
    larger: float
    alone: float
    missed: float
    points: tuple[float, float, float]
    density: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class AgreementReport:
    """What annotators agree on.

    Attributes:
        annotators: their names.
        classes: the classes.
        threshold: IoU from which two outlines show one object.
        pairs: by the indices of two annotators what they share; pairs without a common image are left out.
        people: each annotator.
        by_class: by class name what the pairs share of it, pooled.
        drawn_by: how many objects one annotator drew, two did, and so on.
        alpha_classes: Krippendorff's alpha of the classes of objects that several drew.
        alpha_pixels: Krippendorff's alpha of the classes of all pixels, background being one.
        images: every image.
    """

    annotators: tuple[str, ...]
    classes: Labels
    threshold: float
    pairs: dict[tuple[int, int], Tally]
    people: tuple[Person, ...]
    by_class: dict[str, Tally]
    drawn_by: tuple[int, ...]
    alpha_classes: float
    alpha_pixels: float
    images: tuple[ImageAgreement, ...] = field(repr=False)

    @cached_property
    def scores(self) -> dict[str, float]:
        """The main numbers, means over the pairs of annotators."""
        pairs = list(self.pairs.values())
        return {
            "PQ": mean([pair.quality for pair in pairs]),
            "F1": mean([pair.f1 for pair in pairs]),
            "IoU": mean([pair.iou for pair in pairs]),
            "boundary_distance": mean([pair.distance for pair in pairs]),
            "count_difference": mean([pair.count_spread for pair in pairs]),
            "kappa": mean([pair.kappa for pair in pairs]),
            "alpha_classes": self.alpha_classes,
            "alpha_pixels": self.alpha_pixels,
        }

    @property
    def protocol(self) -> dict[str, Any]:
        """The choices behind the numbers."""
        return {
            "matching": f"one to one by masks alone, IoU >= {self.threshold:g}, the most pairs",
            "crowd": "left out, and what lies mostly in anybody's crowd region",
            "boundary distance": "average symmetric distance of outline pixels, pixels of the image",
            "PQ": "F1 x mean IoU of two annotators",
            "alpha": "Krippendorff's, nominal",
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know."""
        found = []
        if np.isnan(self.alpha_classes):
            found.append("one class alone is used, so agreement on classes beyond chance is undefined")
        if any(np.isnan(person.points[1]) for person in self.people):
            names = ", ".join(p.name for p in self.people if np.isnan(p.points[1]))
            found.append(f"not drawn as polygons, so without vertices: {names}")
        return tuple(found)

    @property
    def worst(self) -> tuple[ImageAgreement, ...]:
        """The images, the least agreement first."""
        told = [image for image in self.images if not np.isnan(image.quality)]
        return tuple(sorted(told, key=lambda image: (image.quality, image.image_id)))

    @cached_property
    def tables(self) -> tuple[ScoreTable, ...]:
        """Annotators, pairs, classes, and objects by the number of those who drew them."""
        from .agreement_tables import tables

        return tables(self)

    @property
    def per_class(self) -> dict[str, dict[str, float]]:
        """By class name its F1, IoU, PQ and boundary distance."""
        return {
            name: {"F1": t.f1, "IoU": t.iou, "PQ": t.quality, "boundary_distance": t.distance}
            for name, t in self.by_class.items()
        }

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain values, None where undefined."""
        from .agreement_tables import to_dict

        return to_dict(self)


def report(
    annotators: tuple[str, ...], classes: Labels, threshold: float, images: tuple[ImageAgreement, ...]
) -> AgreementReport:
    """The report of images."""
    known = {
        (a, b): [pair for image in images for pair in image.pairs if (pair.first, pair.second) == (a, b)]
        for a, b in combinations(range(len(annotators)), 2)
    }
    every = [pair for image in images for pair in image.pairs]
    units = np.concatenate([np.zeros((len(annotators), 0), np.int64), *(i.units for i in images)], axis=1)
    drawn = np.bincount((units >= 0).sum(axis=0), minlength=len(annotators) + 1)[1:]
    pixels = sum((image.pixels for image in images), np.zeros((len(classes) + 1,) * 2))
    used = sorted({int(k) for image in images for own in image.objects if own for k in np.unique(own.labels)})
    return AgreementReport(
        annotators=annotators,
        classes=classes,
        threshold=threshold,
        pairs={key: Tally.of(found, len(classes)) for key, found in known.items() if found},
        people=tuple(_person(k, name, images, known) for k, name in enumerate(annotators)),
        by_class={classes.name(k): Tally.of([pair.of_class(k) for pair in every]) for k in used},
        drawn_by=tuple(drawn.tolist()),
        alpha_classes=krippendorff_alpha(coincidences(units, len(classes))),
        alpha_pixels=krippendorff_alpha(pixels),
        images=images,
    )


def _person(
    k: int,
    name: str,
    images: Sequence[ImageAgreement],
    known: dict[tuple[int, int], list[PairInImage]],
) -> Person:
    own = [found for image in images if (found := image.objects[k]) is not None]
    pairs = [pair for key, found in known.items() if k in key for pair in found]
    tallies = [Tally.of(found) for key, found in known.items() if k in key and found]
    ratios = [
        pair.areas[:, side] / pair.areas[:, 1 - side] for pair in pairs for side in [int(pair.second == k)]
    ]
    distance = np.concatenate([np.zeros(0), *(pair.distance for pair in pairs)])
    points = np.concatenate([np.zeros(0), *(found.points for found in own)])
    length = np.concatenate([np.zeros(0), *(found.length for found in own)])
    drawn = points >= 0
    alone, missed = _alone_and_missed(k, images)
    ratio = np.concatenate([np.zeros(0), *ratios])
    return Person(
        name=name,
        images=len(own),
        objects=sum(len(found.labels) for found in own),
        quality=mean([t.quality for t in tallies]),
        iou=mean(np.concatenate([np.zeros(0), *(pair.iou for pair in pairs)])),
        distance=float(np.median(distance)) if len(distance) else NAN,
        larger=float(np.median(ratio) - 1) if len(ratio) else NAN,
        alone=alone,
        missed=missed,
        points=_spread(points[drawn]),
        density=_spread(100 * points[drawn] / np.maximum(length[drawn], 1e-9)),
    )


def _alone_and_missed(k: int, images: Sequence[ImageAgreement]) -> tuple[float, float]:
    """The shares of :class:`Person` of those names."""
    alone, objects, missed, expected = 0, 0, 0, 0
    for image in images:
        if image.objects[k] is None:
            continue
        mine, others = image.units[k] >= 0, np.delete(image.units, k, axis=0)
        seen = sum(found is not None for found in image.objects) - 1
        by_others = (others >= 0).sum(axis=0)
        objects, alone = objects + int(mine.sum()), alone + int((mine & (by_others == 0)).sum())
        most = 2 * by_others > seen
        expected, missed = expected + int(most.sum()), missed + int((most & ~mine).sum())
    return alone / objects if objects else NAN, missed / expected if expected else NAN


def _spread(values: Floats) -> tuple[float, float, float]:
    """5th, 50th and 95th percentile."""
    if not len(values):
        return NAN, NAN, NAN
    low, middle, high = np.percentile(values, [5, 50, 95]).tolist()
    return low, middle, high
