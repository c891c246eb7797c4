"""One class per pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InputError
from .labels import Labels

VOID = -1
MOST_CLASSES = 2**15


@dataclass(frozen=True, eq=False)
class Semantic:
    """The class of every pixel of one image; frozen, checked at birth.

    Attributes:
        map: (H, W) int16 class indices 0..K-1; -1 is void: unlabelled, or nothing said.
        classes: the K class names, things and stuff.

    Raises:
        InputError: not (H, W) integers, or a class that does not exist.

    Example:
        >>> s = Semantic(np.array([[0, 0, -1], [1, 1, 1]]), Labels(("road", "car")))
        >>> s.size, s.area.tolist(), s.void
        ((2, 3), [2, 3], 1)
    """

    map: NDArray[np.int16]
    classes: Labels

    def __post_init__(self) -> None:
        image = np.asarray(self.map)
        if image.ndim != 2 or image.dtype.kind not in "iub" or not image.size:
            raise InputError(
                f"Semantic: expected class indices as integers (H, W), got {image.dtype} {image.shape}; "
                "take the argmax of scores first"
            )
        count = len(self.classes)
        low, high = int(image.min()), int(image.max())
        if low < VOID or high >= count or count > MOST_CLASSES:
            raise InputError(
                f"Semantic: expected classes in 0..{count - 1} or {VOID} for void, got {low}..{high}; "
                "map the dataset's ids through Semantic.from_ids"
            )
        kept = image.astype(np.int16, copy=image.dtype != np.int16).view()
        kept.flags.writeable = False
        object.__setattr__(self, "map", kept)

    @classmethod
    def from_ids(cls, image: ArrayLike, classes: Labels) -> Semantic:
        """The dataset's own class ids (H, W) as classes; ids that are none of ``classes.ids`` become void.

        Example:
            >>> Semantic.from_ids([[7, 255, 8]], Labels(("road", "path"), ids=(7, 8))).map.tolist()
            [[0, -1, 1]]
        """
        ids = np.asarray(image)
        if ids.dtype.kind not in "iub":
            raise InputError(f"Semantic.from_ids: expected integers, got {ids.dtype}; read the ids unscaled")
        return cls(positions(ids, classes.ids).astype(np.int16), classes)

    def to_ids(self, void: int = 255) -> NDArray[np.int32]:
        """(H, W) int32 of the dataset's own class ids, with ``void`` where there is none.

        Raises:
            InputError: ``void`` is the id of a class.
        """
        if void in self.classes.ids:
            raise InputError(f"to_ids: expected a void value that is no class, got {void}; choose another")
        table = np.array([*self.classes.ids, void], dtype=np.int32)  # index -1 is the last
        chosen: NDArray[np.int32] = table[self.map]
        return chosen

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return int(self.map.shape[0]), int(self.map.shape[1])

    @property
    def area(self) -> NDArray[np.int64]:
        """(K,) pixels of each class."""
        return np.bincount(self.map.ravel().astype(np.int32) + 1, minlength=len(self.classes) + 1)[1:]

    @property
    def void(self) -> int:
        """Pixels without a class."""
        return self.map.size - int(self.area.sum())

    def __eq__(self, other: object) -> bool:
        """The same class in every pixel, by the same list of classes."""
        if not isinstance(other, Semantic):
            return NotImplemented
        return self.classes == other.classes and np.array_equal(self.map, other.map)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        area = self.area
        first = [i for i in np.argsort(-area, kind="stable")[:5].tolist() if area[i]]
        shown = ", ".join(f"{self.classes.name(i)} {area[i] / self.map.size:.0%}" for i in first)
        return f"Semantic({self.size[0]} x {self.size[1]}: {shown or 'void'})"


def positions(values: NDArray[Any], known: ArrayLike) -> NDArray[np.int64]:
    """Where in ``known`` (N,) each of ``values`` (any shape) stands; -1 for those that are not there."""
    listed = np.asarray(known, dtype=np.int64)
    if not len(listed):
        return np.full(values.shape, -1, dtype=np.int64)
    order = np.argsort(listed, kind="stable")
    ordered = listed[order]
    at = np.minimum(np.searchsorted(ordered, values), len(listed) - 1)
    return np.where(ordered[at] == values, order[at], -1)
