"""Which slices of a stack make one image, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError

HOW = ("max", "mean", "focus")


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
        """
        if z in HOW:
            return cls(tuple(range(count)), str(z)) if count > 1 else cls((0,))
        number = 0 if z is None else z
        if isinstance(number, str) or not 0 <= number < count:
            raise InputError(
                f"{where}: expected a slice in 0..{count - 1} or one of {', '.join(HOW)}, got {z!r}; "
                "choose one"
            )
        return cls((int(number),))

    def project(self, slices: list[NDArray[Any]]) -> NDArray[Any]:
        """One image of the slices that were read, of their own type.

        Args:
            slices: in the order of ``numbers``, each (h, w) or (h, w, C).
        """
        if self.how is None:
            return slices[0]
        if self.how == "max":
            return np.asarray(np.maximum.reduce(slices))
        total = np.zeros(slices[0].shape, np.float64)
        for one in slices:
            total += one
        total /= len(slices)
        return (total if slices[0].dtype.kind == "f" else np.rint(total)).astype(slices[0].dtype)
