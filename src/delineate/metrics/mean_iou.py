"""How well each pixel's class is known: IoU and Dice per class and their means, and accuracies.

Everingham et al., "The Pascal Visual Object Classes Challenge", IJCV 2010, section 4.3 (IoU per class over
the pixels of the whole set), and Long, Shelhamer and Darrell, "Fully Convolutional Networks for Semantic
Segmentation", CVPR 2015, section 5 (the four means); Dice, "Measures of the Amount of Ecologic Association
Between Species", Ecology 1945 (twice the pixels in common, divided by the true and the predicted ones).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.labels import Labels
from delineate.core.semantic import Semantic

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class MeanIoUReport:
    """Scores over a set of images, 0..1; 0 where no pixel was judged.

    Attributes:
        images: how many.
        pixels: judged pixels: those with a true class.
        mean_iou: mean over the classes that occur in the truth.
        weighted_iou: likewise, each class weighed by its true pixels.
        pixel_accuracy: pixels whose class is right.
        class_accuracy: mean over the classes in the truth of the part of their pixels that is right.
        mean_dice: mean of the Dice coefficient over the classes in the truth.
        iou: by class name; None where the class has no true pixel.
        accuracy: by class name, likewise.
        dice: by class name, likewise.
    """

    images: int
    pixels: int
    mean_iou: float
    weighted_iou: float
    pixel_accuracy: float
    class_accuracy: float
    mean_dice: float
    iou: dict[str, float | None]
    accuracy: dict[str, float | None]
    dice: dict[str, float | None]

    @property
    def protocol(self) -> dict[str, str]:
        """The choices behind the numbers, in words."""
        return {
            "definition": "IoU and Dice of a class over the pixels of all images",
            "mean": "over the classes that occur in the truth",
            "void": "not judged in the truth, wrong in a prediction",
        }

    def to_dict(self) -> dict[str, Any]:
        """Numbers and names only, for ``json.dumps``."""
        return asdict(self)

    @property
    def scores(self) -> dict[str, float]:
        """The means by name: ``mIoU``, ``fwIoU``, ``pACC``, ``mACC``, ``mDice``."""
        return {
            "mIoU": self.mean_iou,
            "fwIoU": self.weighted_iou,
            "pACC": self.pixel_accuracy,
            "mACC": self.class_accuracy,
            "mDice": self.mean_dice,
        }

    @property
    def per_class(self) -> dict[str, dict[str, float]]:
        """``IoU``, ``Dice`` and ``accuracy`` of each class that occurs in the truth."""
        return {
            name: {"IoU": iou, "Dice": self.dice[name] or 0.0, "accuracy": self.accuracy[name] or 0.0}
            for name, iou in self.iou.items()
            if iou is not None
        }

    def __str__(self) -> str:
        return "  ".join(f"{name} {value:.3f}" for name, value in self.scores.items())


class MeanIoU:
    """Mean IoU over many images.

    Example:
        >>> labels = Labels(("road", "car"))
        >>> metric = MeanIoU()
        >>> metric.update(Semantic([[0, 0, 1, 1]], labels), Semantic([[0, 0, 0, 1]], labels))
        >>> report = metric.compute()
        >>> round(report.mean_iou, 4), report.pixel_accuracy
        (0.5833, 0.75)
    """

    def __init__(self) -> None:
        self._classes: Labels | None = None
        self._seen: set[int] = set()
        self._pairs: Ints | None = None

    def update(self, pred: Semantic, truth: Semantic, image_id: int | None = None) -> None:
        """Add one image.

        Args:
            pred: the predicted classes; void counts as wrong.
            truth: the true classes; void is not judged.
            image_id: its number, needed to merge shards; default: the next free one.

        Raises:
            InputError: other classes or sizes, or an image id given twice.
        """
        if image_id is None:
            image_id = max(self._seen, default=0) + 1
        classes = self._classes or truth.classes
        if not pred.classes == truth.classes == classes or pred.size != truth.size:
            what = "another list of classes" if pred.size == truth.size else f"{pred.size}, {truth.size}"
            raise InputError(
                f"MeanIoU: expected one size in prediction and truth, and one list of classes in all, "
                f"got {what} in image {image_id}; map the labels first, and do not resize silently"
            )
        if image_id in self._seen:
            raise InputError(f"MeanIoU: expected every image once, got image {image_id} twice")
        found = confusion(pred, truth)
        self._pairs = found if self._pairs is None else self._pairs + found
        self._seen.add(image_id)
        self._classes = classes

    def merge(self, other: MeanIoU) -> None:
        """Take over the images of another shard; the result does not depend on how images were shared out.

        Raises:
            InputError: other classes, or an image seen by both.
        """
        both = self._seen & other._seen
        known = [m._classes for m in (self, other) if m._classes is not None]
        if both or any(c != known[0] for c in known):
            what = f"image {min(both)} in both" if both else "another list of classes"
            raise InputError(
                f"MeanIoU.merge: expected other images and the same classes, got {what}; "
                "give update() the dataset's own image_id"
            )
        if other._pairs is not None:
            self._pairs = other._pairs.copy() if self._pairs is None else self._pairs + other._pairs
        self._classes = known[0] if known else None
        self._seen |= other._seen

    def compute(self) -> MeanIoUReport:
        """The scores over all images so far; may be called again after more updates."""
        names = self._classes.names if self._classes is not None else ()
        pairs = self._pairs if self._pairs is not None else np.zeros((0, 1), dtype=np.int64)
        right = np.diagonal(pairs).astype(np.float64)  # (K,)
        true, said = pairs.sum(1), pairs[:, :-1].sum(0)
        there = true > 0
        iou = right / np.maximum(true + said - right, 1)
        accuracy = right / np.maximum(true, 1)
        dice = 2 * right / np.maximum(true + said, 1)
        pixels = int(true.sum())

        def by_name(values: NDArray[np.float64]) -> dict[str, float | None]:
            listed = zip(names, values.tolist(), there.tolist(), strict=True)
            return {name: value if able else None for name, value, able in listed}

        return MeanIoUReport(
            images=len(self._seen),
            pixels=pixels,
            mean_iou=float(iou[there].mean()) if pixels else 0.0,
            weighted_iou=float((iou * true).sum() / pixels) if pixels else 0.0,
            pixel_accuracy=float(right.sum() / pixels) if pixels else 0.0,
            class_accuracy=float(accuracy[there].mean()) if pixels else 0.0,
            mean_dice=float(dice[there].mean()) if pixels else 0.0,
            iou=by_name(iou),
            accuracy=by_name(accuracy),
            dice=by_name(dice),
        )


def confusion(pred: Semantic, truth: Semantic) -> Ints:
    """(K, K + 1) pixels of true class (row) and predicted class (column; the last is void)."""
    count = len(truth.classes)
    result = np.zeros((count + 1) * (count + 1), dtype=np.int64)
    for top in range(0, truth.size[0], 256):
        true = truth.map[top : top + 256].astype(np.int64)
        said = pred.map[top : top + 256].astype(np.int64)
        pair = np.where(true < 0, count, true) * (count + 1) + np.where(said < 0, count, said)
        result += np.bincount(pair.ravel(), minlength=len(result))
    return result.reshape(count + 1, count + 1)[:-1]
