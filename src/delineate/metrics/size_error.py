"""How far the areas of found objects are off: of each matched object, and of the mean size in an image.

The pairs are those of StarDist's matching (:mod:`.cell_matching`) at one IoU. An object found with IoU t has
an area between t and 1 / t times its true one, so the error of matched objects says how outlines are drawn,
not what is missed; the error of the mean size takes in everything that is found or missed.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances

from .cell_matching import OverlapPairs, in_crowd, match_pairs

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SizeErrorReport:
    """Relative errors of area: 0.1 is 10 % too large; NaN where there is nothing to compare.

    Attributes:
        images: number of images.
        matched: matched objects.
        bias: mean over matched objects of (predicted - true) / true area.
        mean_absolute_error: mean of its absolute value.
        median: its median.
        image_bias: mean over images of (mean predicted - mean true) / mean true area, all objects taken.
        image_mean_absolute_error: mean of its absolute value.
        compared_images: images that have both true and predicted objects.
        threshold: IoU from which objects are matched.
    """

    images: int
    matched: int
    bias: float
    mean_absolute_error: float
    median: float
    image_bias: float
    image_mean_absolute_error: float
    compared_images: int
    threshold: float

    @property
    def scores(self) -> dict[str, float]:
        """``bias``, ``MAE``, ``median`` of matched objects; ``image_bias``, ``image_MAE`` of mean sizes."""
        return {
            "bias": self.bias,
            "MAE": self.mean_absolute_error,
            "median": self.median,
            "image_bias": self.image_bias,
            "image_MAE": self.image_mean_absolute_error,
            "matched": self.matched,
        }

    @property
    def protocol(self) -> dict[str, str]:
        """The choices behind the numbers, in words."""
        return {
            "definition": "relative error of the area: (predicted - true) / true",
            "objects": f"matched one to one by mask at IoU {self.threshold:g} as StarDist does",
            "images": "mean area of all predicted against that of all true objects, where both are there",
            "crowd": "crowd regions of the truth, and predictions more than half inside, are left out",
            "classes": "not looked at",
        }

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain values, None where undefined, ready for JSON."""
        return {name: None if value != value else value for name, value in asdict(self).items()}


@dataclass(frozen=True)
class _Image:
    errors: Floats  # (M,) of the matched objects
    mean: float  # of the mean size; NaN where a side has no object


class SizeError:
    """Relative errors of area over many images; memory grows by 8 bytes a matched object.

    Args:
        threshold: IoU from which objects are matched, in (0, 1].

    Raises:
        InputError: a threshold outside (0, 1].

    Example:
        >>> from delineate.core.masks import Masks
        >>> true = Masks.from_label_image(np.array([[1, 1, 1, 1, 0]] * 4))
        >>> found = Masks.from_label_image(np.array([[1, 1, 1, 0, 0]] * 4))
        >>> metric = SizeError()
        >>> metric.update(Instances((4, 5), masks=found), Instances((4, 5), masks=true))
        >>> metric.compute().bias
        -0.25
    """

    def __init__(self, threshold: float = 0.5) -> None:
        if not 0 < threshold <= 1:
            raise InputError(f"SizeError: expected an IoU in (0, 1], got {threshold}; give for example 0.5")
        self.threshold = float(threshold)
        self._images: dict[int, _Image] = {}

    def update(self, pred: Instances, truth: Instances, image_id: int | None = None) -> None:
        """Add one image.

        Args:
            pred: the predicted objects, with masks; scores are not looked at.
            truth: the true objects, with masks.
            image_id: its number, needed to merge shards; default: the next free one.

        Raises:
            InputError: masks missing, image sizes differ, or an image id given twice.
        """
        if pred.masks is None or truth.masks is None:
            raise InputError("SizeError: expected masks in prediction and truth, got boxes only; give masks")
        if pred.size != truth.size:
            raise InputError(
                f"SizeError: expected a prediction of the image's size {truth.size} (height, width), "
                f"got {pred.size}; predict on the original image"
            )
        if image_id is None:
            image_id = max(self._images, default=0) + 1
        if image_id in self._images:
            raise InputError(f"SizeError: expected every image once, got image {image_id} twice")
        true, found = truth.masks, pred.masks
        if truth.crowd.any():
            found = found[~in_crowd(found, true[truth.crowd])]
            true = true[~truth.crowd]
        true_area, area = np.asarray(true.area, np.float64), np.asarray(found.area, np.float64)
        i, j = match_pairs(OverlapPairs.of(true, found), self.threshold)
        true_sizes, sizes = true_area[true_area > 0], area[area > 0]
        mean = float("nan")
        if len(true_sizes) and len(sizes):
            mean = float(sizes.mean() / true_sizes.mean() - 1)
        self._images[image_id] = _Image((area[j] - true_area[i]) / true_area[i], mean)

    def merge(self, other: SizeError) -> None:
        """Take over the images of another shard; the result does not depend on how images were shared out.

        Raises:
            InputError: another threshold, or an image seen by both.
        """
        both = self._images.keys() & other._images.keys()
        if other.threshold != self.threshold or both:
            what = f"image {min(both)} in both" if both else f"threshold {other.threshold}"
            raise InputError(
                f"SizeError.merge: expected other images and the same threshold, got {what}; "
                "give update() the dataset's own image_id"
            )
        self._images.update(other._images)

    def compute(self) -> SizeErrorReport:
        """The errors of all images so far; may be called again after more updates."""
        images = [self._images[i] for i in sorted(self._images)]
        errors = np.concatenate((np.zeros(0), *(image.errors for image in images)))
        means = np.array([image.mean for image in images if image.mean == image.mean])
        return SizeErrorReport(
            images=len(images),
            matched=len(errors),
            bias=_mean(errors),
            mean_absolute_error=_mean(np.abs(errors)),
            median=float(np.median(errors)) if len(errors) else float("nan"),
            image_bias=_mean(means),
            image_mean_absolute_error=_mean(np.abs(means)),
            compared_images=len(means),
            threshold=self.threshold,
        )


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else float("nan")
