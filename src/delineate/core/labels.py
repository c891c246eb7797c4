"""Class names, their colours, whether they are things or stuff, and the dataset's own ids."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import InputError


@dataclass(frozen=True)
class Labels:
    """K classes, indexed 0..K-1 inside the program, and the way back to the dataset's own ids.

    Attributes:
        names: K class names, in index order.
        ids: K ids as the dataset writes them (COCO's run 1..90 with gaps). Default 1..K.
        things: K booleans: True for countable things, False for stuff. Default all things.

    Raises:
        InputError: lengths differ, or an id stands twice.

    Example:
        >>> labels = Labels(("person", "bicycle"), ids=(1, 2))
        >>> labels.index(2), labels.id(0), len(labels)
        (1, 1, 2)
    """

    names: tuple[str, ...]
    ids: tuple[int, ...] = ()
    things: tuple[bool, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.names)
        object.__setattr__(self, "names", tuple(str(name) for name in self.names))
        object.__setattr__(self, "ids", tuple(int(i) for i in self.ids) or tuple(range(1, count + 1)))
        object.__setattr__(self, "things", tuple(bool(t) for t in self.things) or (True,) * count)
        if not len(self.ids) == len(self.things) == count:
            raise InputError(
                f"Labels: expected one id and one thing flag per name, got {count} names, "
                f"{len(self.ids)} ids, {len(self.things)} flags; give the three the same length"
            )
        if len(set(self.ids)) != count:
            raise InputError("Labels: expected every id once, got repeated ids; renumber the classes")

    def __len__(self) -> int:
        return len(self.names)

    def index(self, dataset_id: int) -> int:
        """Index 0..K-1 of a dataset's own id.

        Raises:
            InputError: the id is unknown.
        """
        try:
            return self.ids.index(dataset_id)
        except ValueError:
            raise InputError(
                f"class id {dataset_id}: expected one of {_shorten(self.ids)}; "
                "add the class to the categories or correct the annotation"
            ) from None

    def id(self, index: int) -> int:
        """The dataset's own id of class ``index``."""
        return self.ids[index]

    def name(self, index: int) -> str:
        """The name of class ``index``."""
        return self.names[index]

    @property
    def colors(self) -> NDArray[np.uint8]:
        """Display colours, (K, 3) uint8 RGB, well apart for neighbouring indices (golden-angle hues)."""
        return distinct_colors(len(self))

    def to_dict(self) -> dict[str, list[str] | list[int] | list[bool]]:
        """Plain lists, as kept in a checkpoint's header."""
        return {"names": list(self.names), "ids": list(self.ids), "things": list(self.things)}

    @classmethod
    def from_dict(cls, record: dict[str, Sequence[str] | Sequence[int] | Sequence[bool]]) -> Labels:
        """The inverse of :meth:`to_dict`."""
        return cls(
            tuple(str(n) for n in record["names"]),
            tuple(int(i) for i in record["ids"]),
            tuple(bool(t) for t in record["things"]),
        )


def distinct_colors(count: int) -> NDArray[np.uint8]:
    """``count`` colours, (count, 3) uint8 RGB: hues a golden angle apart, so that neighbours differ."""
    hues = (0.07 + np.arange(count) * 0.61803398875) % 1.0
    values = 1.0 - 0.25 * (np.arange(count) % 3 == 2)
    rgb = [colorsys.hsv_to_rgb(h, 0.75, v) for h, v in zip(hues, values, strict=True)]
    return (np.array(rgb, dtype=np.float64).reshape(-1, 3) * 255).round().astype(np.uint8)


def _shorten(ids: Iterable[int]) -> str:
    listed = [str(i) for i in ids]
    return ", ".join(listed) if len(listed) <= 8 else f"{', '.join(listed[:8])}, … ({len(listed)} in all)"
