"""How far the number of predicted objects is from the true number, image by image."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from delineate.core.errors import InputError
from delineate.core.instances import Instances


@dataclass(frozen=True)
class CountingReport:
    """Counting error over images, in objects an image.

    Attributes:
        images: number of images.
        true: true objects in all.
        predicted: predicted objects in all.
        bias: mean of predicted minus true; positive means too many.
        mean_absolute_error: mean of its absolute value.
        root_mean_square_error: root of the mean of its square.
        exact: share of the images with the right number, 0..1.
        worst: ``(image_id, predicted minus true)`` of the five largest errors.
    """

    images: int
    true: int
    predicted: int
    bias: float
    mean_absolute_error: float
    root_mean_square_error: float
    exact: float
    worst: tuple[tuple[int, int], ...]

    @property
    def scores(self) -> dict[str, float]:
        """``bias`` and ``MAE``, in objects an image."""
        return {"bias": self.bias, "MAE": self.mean_absolute_error}

    @property
    def protocol(self) -> dict[str, str]:
        """The choices behind the numbers, in words."""
        return {
            "definition": "predicted minus true number of objects, image by image",
            "crowd": "crowd regions of the truth are not counted",
            "classes": "not looked at",
        }

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain values, ready for JSON."""
        return asdict(self)


class CountingError:
    """Predicted minus true number of objects per image; crowd regions of the truth are not counted.

    Example:
        >>> metric = CountingError()
        >>> metric.update(Instances((4, 4), boxes=[[0, 0, 2, 2]]), Instances.empty((4, 4)))
        >>> metric.compute().bias
        1.0
    """

    def __init__(self) -> None:
        self._counts: dict[int, tuple[int, int]] = {}

    def update(self, pred: Instances, truth: Instances, image_id: int | None = None) -> None:
        """Add one image.

        Raises:
            InputError: an image id given twice.
        """
        if image_id is None:
            image_id = max(self._counts, default=0) + 1
        if image_id in self._counts:
            raise InputError(f"CountingError: expected every image once, got image {image_id} twice")
        self._counts[image_id] = (len(pred), int(np.count_nonzero(~truth.crowd)))

    def merge(self, other: CountingError) -> None:
        """Take over the images of another shard.

        Raises:
            InputError: an image seen by both.
        """
        both = self._counts.keys() & other._counts.keys()
        if both:
            raise InputError(
                f"CountingError.merge: expected other images, got image {min(both)} in both; "
                "give update() the dataset's own image_id"
            )
        self._counts.update(other._counts)

    def compute(self) -> CountingReport:
        """The errors of all images so far."""
        ids = sorted(self._counts)
        table = np.array([self._counts[i] for i in ids], dtype=np.int64).reshape(-1, 2)
        error = table[:, 0] - table[:, 1]
        worst = [k for k in np.argsort(-np.abs(error), kind="stable")[:5] if error[k]]
        some = max(len(ids), 1)
        return CountingReport(
            images=len(ids),
            true=int(table[:, 1].sum()),
            predicted=int(table[:, 0].sum()),
            bias=float(error.sum() / some),
            mean_absolute_error=float(np.abs(error).sum() / some),
            root_mean_square_error=float(np.sqrt((error**2).sum() / some)),
            exact=float((error == 0).sum() / some),
            worst=tuple((ids[k], int(error[k])) for k in worst),
        )
