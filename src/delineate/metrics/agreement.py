"""How far annotators agree: the objects they find, the outlines they draw, the classes they give.

Each two annotators' objects of an image are matched one to one by masks alone (as :mod:`.cell_matching`), so
that classes can be compared. Whether the same objects are drawn is told as F1, the outlines' overlap as IoU,
both at once as panoptic quality (Kirillov, He, Girshick, Rother, Dollár, "Panoptic Segmentation", CVPR 2019,
section 4.1), which is symmetric in the two; how far outlines lie apart in pixels; and what is left when
chance is taken out, of classes and of pixels (:mod:`.chance_corrected`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels

from .agreement_report import AgreementReport, report
from .agreement_rows import DrawnObjects, ImageAgreement, PairInImage
from .annotator_groups import THRESHOLD, group_objects
from .cell_matching import OverlapPairs, in_crowd, match_pairs
from .outline_distance import outline_distances

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
BAND = 1 << 22
"""Pixels whose classes are compared at once."""


@dataclass(frozen=True)
class Strokes:
    """How the N objects of one annotator in one image were drawn.

    Attributes:
        points: (N,) vertices of each object, -1 where it was not drawn as a polygon.
        length: (N,) length of its outline in pixels.
    """

    points: Ints
    length: Floats

    def __getitem__(self, index: NDArray[np.bool_]) -> Strokes:
        return Strokes(self.points[index], self.length[index])


class Agreement:
    """Agreement of two annotators or more, fed image by image.

    Memory grows by a few numbers an object; masks are not kept.

    Args:
        annotators: their names, two at least.
        classes: the classes of all annotations.
        threshold: IoU from which two outlines show one object, in (0, 1].

    Raises:
        InputError: fewer than two annotators, a name twice, or a threshold outside (0, 1].

    Example:
        >>> from delineate.core.masks import Masks
        >>> a = Instances((2, 6), masks=Masks.from_label_image(np.array([[1, 1, 1, 0, 2, 2]] * 2)))
        >>> b = Instances((2, 6), masks=Masks.from_label_image(np.array([[1, 1, 1, 0, 0, 0]] * 2)))
        >>> metric = Agreement(["ann", "bob"], a.classes)
        >>> metric.update([a, b])
        >>> {name: round(value, 3) for name, value in metric.compute().scores.items()}["F1"]
        0.667
    """

    def __init__(self, annotators: Sequence[str], classes: Labels, threshold: float = THRESHOLD) -> None:
        if len(annotators) < 2 or len(set(annotators)) < len(annotators) or not 0 < threshold <= 1:
            raise InputError(
                f"Agreement: expected two annotators or more of different names and a threshold in (0, 1], "
                f"got {list(annotators)} and {threshold}; name each once"
            )
        self.annotators, self.classes, self.threshold = tuple(annotators), classes, threshold
        self._images: dict[int, ImageAgreement] = {}

    def update(
        self,
        annotations: Sequence[Instances | None],
        image_id: int | None = None,
        name: str = "",
        strokes: Sequence[Strokes | None] | None = None,
    ) -> None:
        """Add one image.

        Args:
            annotations: by annotator the objects with masks, or None where the annotator did not see the
                image. Crowd regions are left out, and what lies mostly in anybody's crowd region.
            image_id: its number, needed to merge shards; default the next free one.
            name: what the report calls it.
            strokes: by annotator how the objects were drawn, where that is known.

        Raises:
            InputError: fewer than two annotators saw it, masks missing, sizes or classes that differ, or an
                image given twice.
        """
        image_id = max(self._images, default=0) + 1 if image_id is None else image_id
        self._check(annotations, image_id)
        drawn: list[Strokes | None] = list(strokes or [None] * len(annotations))
        kept: list[Instances | None] = []
        for k, own in enumerate(annotations):
            counted = None if own is None else _counted(own, annotations)
            kept.append(own if own is None or counted is None else own[counted])
            stroke = drawn[k]
            if stroke is not None and counted is not None:
                drawn[k] = stroke[counted]
        seen = [k for k, own in enumerate(kept) if own is not None]
        pairs = [self._pair(kept, a, b) for a, b in combinations(seen, 2)]
        pixels, units = self._chance(kept)
        self._images[image_id] = ImageAgreement(
            image_id=image_id,
            name=name or str(image_id),
            objects=tuple(None if own is None else _objects(own, drawn[k]) for k, own in enumerate(kept)),
            pairs=tuple(pairs),
            units=units,
            pixels=pixels,
        )

    def merge(self, other: Agreement) -> None:
        """Take over the images of another shard; the result does not depend on how they were shared out.

        Raises:
            InputError: other annotators, classes or threshold, or an image seen by both.
        """
        mine, theirs = ((m.annotators, m.classes, m.threshold) for m in (self, other))
        both = self._images.keys() & other._images.keys()
        if mine != theirs or both:
            raise InputError(
                "Agreement.merge: expected the same annotators, classes and threshold and other images, "
                f"got {f'image {min(both)} in both' if both else theirs}; give update() the image's own id"
            )
        self._images.update(other._images)

    def compute(self) -> AgreementReport:
        """The report of all images so far; may be called again after more updates."""
        images = tuple(self._images[k] for k in sorted(self._images))
        return report(self.annotators, self.classes, self.threshold, images)

    def _check(self, annotations: Sequence[Instances | None], image_id: int) -> None:
        seen = [own for own in annotations if own is not None]
        if len(annotations) != len(self.annotators) or len(seen) < 2:
            raise InputError(
                f"Agreement: expected annotations of two or more of {len(self.annotators)} annotators, got "
                f"{len(seen)} of {len(annotations)}; leave out images that one alone annotated"
            )
        if any(own.masks is None or own.size != seen[0].size for own in seen):
            raise InputError(
                f"Agreement: expected masks on one image size, got {[own.size for own in seen]}, "
                f"{sum(own.masks is None for own in seen)} without masks; annotate the same image"
            )
        if any(own.classes != self.classes for own in seen):
            raise InputError(
                "Agreement: expected the classes given at first, got others; map the labels first"
            )
        if image_id in self._images:
            raise InputError(f"Agreement: expected every image once, got image {image_id} twice")

    def _pair(self, kept: Sequence[Instances | None], a: int, b: int) -> PairInImage:
        one, other = kept[a], kept[b]
        assert one is not None and other is not None and one.masks is not None and other.masks is not None
        overlaps = OverlapPairs.of(one.masks, other.masks)
        i, j = match_pairs(overlaps, self.threshold)
        columns = max(1, len(other))
        at = np.searchsorted(overlaps.true * columns + overlaps.predicted, i * columns + j)
        apart = outline_distances(one.masks, other.masks, i, j)
        return PairInImage(
            first=a,
            second=b,
            labels=np.stack([one.labels[i], other.labels[j]], axis=1),
            iou=overlaps.iou[at].astype(np.float64),
            distance=apart.mean,
            largest=apart.largest,
            areas=np.stack([one.masks.area[i], other.masks.area[j]], axis=1),
            alone_first=np.delete(one.labels, i),
            alone_second=np.delete(other.labels, j),
        )

    def _chance(self, kept: Sequence[Instances | None]) -> tuple[Floats, Ints]:
        """Coincidences of the classes of all pixels, and the class each annotator gave each object."""
        seen = [(k, own) for k, own in enumerate(kept) if own is not None]
        groups = group_objects([own.masks for _, own in seen if own.masks is not None], self.threshold)
        units = np.full((len(self.annotators), len(groups)), -1, dtype=np.int64)
        for column, (k, own) in enumerate(seen):
            there = groups[:, column] >= 0
            units[k, there] = own.labels[groups[there, column]]
        size = len(self.classes) + 1
        pixels = np.zeros((size, size))
        height, width = seen[0][1].size
        rows = max(1, BAND // width)
        for top in range(0, height, rows):
            painted = [_painted(own, top, min(height, top + rows)) for _, own in seen]
            for one, other in combinations(painted, 2):
                both = np.bincount(one * size + other, minlength=size**2).reshape(size, size)
                pixels += (both + both.T) / (len(seen) - 1)
        return pixels, units


def _counted(own: Instances, annotations: Sequence[Instances | None]) -> NDArray[np.bool_]:
    """(N,) objects that take part: with a pixel, no crowd regions, and not mostly in one."""
    assert own.masks is not None
    counted = ~own.crowd & (np.asarray(own.masks.area) > 0)
    for other in annotations:
        if other is not None and other.masks is not None and other.crowd.any():
            counted &= ~in_crowd(own.masks, other.masks[other.crowd])
    return counted


def _objects(own: Instances, strokes: Strokes | None) -> DrawnObjects:
    assert own.masks is not None
    unknown = np.full(len(own), -1, dtype=np.int64)
    return DrawnObjects(
        labels=own.labels,
        area=np.asarray(own.masks.area),
        points=unknown if strokes is None else strokes.points,
        length=np.full(len(own), np.nan) if strokes is None else strokes.length,
    )


def _painted(own: Instances, top: int, bottom: int) -> Ints:
    """The class of every pixel of some rows plus one, 0 for none; smaller objects lie above larger ones."""
    assert own.masks is not None
    band = own.masks.window(0, top, own.size[1], bottom)
    painted = band.to_label_image(order=np.argsort(-np.asarray(own.masks.area), kind="stable"))
    return np.concatenate([[0], own.labels + 1])[painted].ravel()
