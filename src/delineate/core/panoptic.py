"""One segment per pixel: things apart from each other, and stuff (Kirillov et al. 2019, section 3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InputError
from .instances import Instances
from .labels import Labels
from .masks import Masks
from .semantic import VOID, Semantic, positions

if TYPE_CHECKING:
    from PIL import Image

LARGEST_ID = 2**24 - 1


@dataclass(frozen=True, eq=False)
class Panoptic:
    """S segments of one image that do not overlap; frozen, checked at birth.

    A segment is one thing or all stuff of one class; which, ``classes.things`` says.

    Attributes:
        map: (H, W) int32: 0 void, s + 1 where segment s is.
        labels: (S,) int64 class indices 0..K-1.
        scores: (S,) float32 in 0..1. Default ones (truth).
        crowd: (S,) bool, segments that stand for a group (COCO ``iscrowd``). Default all False.
        ids: (S,) int64, distinct, in 1..2**24-1 as COCO's PNG can hold. Default 1..S.
        classes: the class names; default ``class 0`` .. as many as the labels need, all things.

    Raises:
        InputError: fields of different length, a segment without a pixel, a pixel without its segment,
            labels outside the classes, scores outside 0..1, ids that repeat or cannot be written.

    Example:
        >>> labels = Labels(("person", "grass"), things=(True, False))
        >>> p = Panoptic(np.array([[1, 2, 3], [0, 3, 3]]), labels=[0, 0, 1], classes=labels)
        >>> len(p), p.area.tolist(), p.things.tolist(), len(p.to_instances())
        (3, [1, 1, 3], [True, True, False], 2)
    """

    map: NDArray[np.int32]
    labels: NDArray[np.int64]
    scores: NDArray[np.float32] = None  # type: ignore[assignment]
    crowd: NDArray[np.bool_] = None  # type: ignore[assignment]
    ids: NDArray[np.int64] = None  # type: ignore[assignment]
    classes: Labels = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        image = np.asarray(self.map)
        if image.ndim != 2 or image.dtype.kind not in "iub" or not image.size:
            raise InputError(
                f"Panoptic: expected segment numbers as integers (H, W), got {image.dtype} {image.shape}; "
                "give 0 for void and s + 1 for segment s"
            )
        count = np.asarray(self.labels).size
        columns: dict[str, Any] = {
            "map": image.astype(np.int32, copy=image.dtype != np.int32),
            "labels": np.asarray(self.labels, dtype=np.int64).reshape(-1),
            "scores": _column(self.scores, np.float32, np.ones(count)),
            "crowd": _column(self.crowd, np.bool_, np.zeros(count)),
            "ids": _column(self.ids, np.int64, np.arange(1, count + 1)),
        }
        for name, value in columns.items():
            value = value.view()
            value.flags.writeable = False
            object.__setattr__(self, name, value)
        if self.classes is None:
            top = int(self.labels.max(initial=0)) + 1
            object.__setattr__(self, "classes", Labels(tuple(f"class {i}" for i in range(top))))
        self._check(image, count)

    def _check(self, image: NDArray[Any], count: int) -> None:
        for name in ("scores", "crowd", "ids"):
            if len(getattr(self, name)) != count:
                raise InputError(
                    f"Panoptic: expected {count} {name} (one per label), got {len(getattr(self, name))}; "
                    "give every field the same length"
                )
        low, high = int(image.min()), int(image.max())
        if low < 0 or high > count:
            raise InputError(
                f"Panoptic: expected 0 or a segment's number 1..{count} in every pixel, got {low}..{high}; "
                "list every segment, or set the pixels to 0"
            )
        if not self.area.all():
            empty = int(self.ids[int(np.argmin(self.area))])
            raise InputError(
                f"Panoptic: expected a pixel for each of {count} segments, got none for segment {empty}; "
                "leave out segments without pixels"
            )
        if count and not (self.labels.min() >= 0 and self.labels.max() < len(self.classes)):
            raise InputError(
                f"Panoptic: expected labels in 0..{len(self.classes) - 1}, "
                f"got {self.labels.min()}..{self.labels.max()}; map them through Labels.index"
            )
        if not ((self.scores >= 0) & (self.scores <= 1)).all():
            raise InputError("Panoptic: expected scores in 0..1, got others; apply sigmoid or softmax first")
        distinct = len(np.unique(self.ids)) == count
        if not distinct or (count and not 1 <= self.ids.min() <= self.ids.max() <= LARGEST_ID):
            raise InputError(
                f"Panoptic: expected distinct ids in 1..{LARGEST_ID}, got others; "
                "leave them out to number anew"
            )

    # -- what it is ----------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return int(self.map.shape[0]), int(self.map.shape[1])

    @property
    def area(self) -> NDArray[np.int64]:
        """(S,) pixels of each segment."""
        return np.bincount(self.map.ravel(), minlength=len(self) + 1)[1:]

    @property
    def void(self) -> int:
        """Pixels of no segment."""
        return self.map.size - int(np.count_nonzero(self.map))

    @property
    def things(self) -> NDArray[np.bool_]:
        """(S,) True where the segment is one thing, False for stuff."""
        return np.array(self.classes.things, dtype=np.bool_)[self.labels]

    @property
    def names(self) -> list[str]:
        """S class names."""
        return [self.classes.name(int(i)) for i in self.labels]

    # -- to other forms and back ---------------------------------------------------------------------

    def masks(self, chosen: ArrayLike | None = None) -> Masks:
        """One mask per segment, or of the ``chosen`` ones (bool (S,) or indices)."""
        at = np.arange(len(self)) if chosen is None else np.arange(len(self))[np.asarray(chosen)]
        return Masks.from_label_image(self.map, at + 1)

    def to_instances(self) -> Instances:
        """The things alone, with their scores, crowd flags and ids."""
        at = np.flatnonzero(self.things)
        return Instances(
            self.size,
            labels=self.labels[at],
            scores=self.scores[at],
            masks=self.masks(at),
            ids=self.ids[at],
            crowd=self.crowd[at],
            classes=self.classes,
        )

    def to_semantic(self) -> Semantic:
        """The class of every pixel."""
        table = np.concatenate([[VOID], self.labels]).astype(np.int16)
        return Semantic(table[self.map], self.classes)

    def to_coco(self) -> tuple[NDArray[np.uint8], list[dict[str, Any]]]:
        """COCO's panoptic form: an (H, W, 3) picture of id = R + 256 G + 65536 B, and ``segments_info``.

        Category ids are the dataset's own (``classes.ids``). ``score`` stands where it is not 1 for all.
        """
        known = np.concatenate([[0], self.ids])
        colors = np.stack([known & 255, known >> 8 & 255, known >> 16], 1).astype(np.uint8)
        scored = not (self.scores == 1).all()
        rows = []
        for i, (box, area) in enumerate(zip(self.masks().boxes.tolist(), self.area.tolist(), strict=True)):
            x1, y1, x2, y2 = (int(v) for v in box)
            row: dict[str, Any] = {
                "id": int(self.ids[i]),
                "category_id": self.classes.id(int(self.labels[i])),
                "area": area,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "iscrowd": int(self.crowd[i]),
            }
            rows.append(row | ({"score": round(float(self.scores[i]), 6)} if scored else {}))
        return colors[self.map], rows

    @classmethod
    def from_coco(cls, picture: ArrayLike, segments: Sequence[dict[str, Any]], classes: Labels) -> Panoptic:
        """The inverse of :meth:`to_coco`.

        Args:
            picture: (H, W, 3) uint8.
            segments: ``id`` and ``category_id`` of each, maybe ``iscrowd`` and ``score``.
            classes: whose ``ids`` are the category ids.

        Raises:
            InputError: another picture, a colour that is no segment's, a segment that is not in the picture.
        """
        pixels = np.asarray(picture)
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
            raise InputError(
                f"panoptic picture: expected RGB of 8 bits (H, W, 3), got {pixels.dtype} {pixels.shape}; "
                "give the PNG that holds the segments' ids"
            )
        wide = pixels.astype(np.int32)
        code = wide[..., 0] + 256 * wide[..., 1] + 65536 * wide[..., 2]  # (H, W)
        ids = [int(s["id"]) for s in segments]
        at = positions(code, [0, *ids])
        if at.min() < 0:
            stray = int(code[at < 0][0])
            raise InputError(
                f"panoptic picture: expected the ids of {len(ids)} segments or 0, got {stray}; "
                "list it in segments_info, or set its pixels to 0"
            )
        return cls(
            at.astype(np.int32),
            labels=np.array([classes.index(int(s["category_id"])) for s in segments], dtype=np.int64),
            scores=np.array([s.get("score", 1) for s in segments], dtype=np.float32),
            crowd=np.array([bool(s.get("iscrowd", 0)) for s in segments], dtype=np.bool_),
            ids=np.array(ids, dtype=np.int64),
            classes=classes,
        )

    def plot(self, image: ArrayLike | None = None) -> Image.Image:
        """Things outlined, stuff as a wash, drawn on ``image`` (or on black), as a PIL image."""
        from delineate.apply.draw_segments import panoptic_overlay

        return panoptic_overlay(self, image)

    def __eq__(self, other: object) -> bool:
        """The same segments in the same order, with the same pixels, scores and ids."""
        if not isinstance(other, Panoptic):
            return NotImplemented
        same = all(np.array_equal(getattr(self, n), getattr(other, n)) for n in ("map", "labels", "scores"))
        return (
            same
            and all(np.array_equal(getattr(self, n), getattr(other, n)) for n in ("crowd", "ids"))
            and self.classes == other.classes
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        counts = ", ".join(f"{n} {name}" for name, n in Counter(self.names).most_common(5))
        return f"Panoptic({len(self)} on {self.size[0]} x {self.size[1]}: {counts or 'void'})"


def _column(values: Any, dtype: Any, default: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(default if values is None else values, dtype=dtype).reshape(-1)
