"""Which slices of a stack make one image, and how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.data.projection import PROJECTIONS, margin, project

Box = tuple[int, int, int, int]
"""x0, y0, x1, y1 in the pixels of a level."""


@dataclass(frozen=True)
class Slices:
    """The slices that are read.

    Attributes:
        numbers: which, from 0.
        how: how several become one: ``max``, ``mean`` or ``focus``; None for a single one.
    """

    numbers: tuple[int, ...]
    how: str | None = None

    @classmethod
    def choose(cls, z: int | str | None, count: int, where: str) -> Slices:
        """One slice (the first for None), or all of ``count``.

        Raises:
            InputError: no such slice, or another word.

        Example:
            >>> Slices.choose(None, 5, "a.tif").numbers, Slices.choose("max", 3, "a.tif").numbers
            ((0,), (0, 1, 2))
        """
        if z in PROJECTIONS:
            return cls(tuple(range(count)), str(z)) if count > 1 else cls((0,))
        number = 0 if z is None else z
        if isinstance(number, str) or not 0 <= number < count:
            raise InputError(
                f"{where}: expected a slice in 0..{count - 1} or one of {', '.join(PROJECTIONS)}, got {z!r}; "
                "choose one"
            )
        return cls((int(number),))

    def read(self, one: Callable[[Box, int], NDArray[Any]], box: Box, size: tuple[int, int]) -> NDArray[Any]:
        """One window of one slice, or of the slices' projection as if the whole had been projected.

        Args:
            one: gives a box of a slice.
            box: the window.
            size: (height, width) of the level.
        """
        if self.how is None:
            return one(box, self.numbers[0])
        reach = margin(self.how)
        x0, y0, x1, y1 = box
        left, top = max(0, x0 - reach), max(0, y0 - reach)
        wide = (left, top, min(size[1], x1 + reach), min(size[0], y1 + reach))
        pixels = project((one(wide, k) for k in self.numbers), self.how)
        return pixels[y0 - top : y1 - top, x0 - left : x1 - left]
