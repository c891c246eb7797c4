"""Which of the objects are meant, in words: classes, track ids, all of them, the largest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels


@dataclass(frozen=True)
class Selection:
    """Objects by class, by id, or all; an object that fits any part is chosen.

    Attributes:
        names: class names, lower case.
        ids: track ids.
        everything: all objects.
        largest: the object with the most pixels of each image.

    Example:
        >>> Selection.parse("person,id:3")
        Selection(names=('person',), ids=(3,), everything=False, largest=False)
    """

    names: tuple[str, ...] = ()
    ids: tuple[int, ...] = ()
    everything: bool = False
    largest: bool = False

    @classmethod
    def parse(cls, text: str) -> Selection:
        """A selection as it is typed: ``person``, ``id:3``, ``all``, ``largest``, or several with commas.

        Raises:
            InputError: nothing, or an id that is no number.
        """
        names: list[str] = []
        ids: list[int] = []
        words: set[str] = set()
        for part in (part.strip() for part in text.split(",")):
            kind, colon, rest = part.partition(":")
            if colon and kind.casefold() == "id":
                if not rest.strip().isdecimal():
                    raise InputError(f"{text!r}: expected a track's number after id:, got {rest!r}; as id:3")
                ids.append(int(rest))
            elif part.casefold() in ("all", "largest"):
                words.add(part.casefold())
            elif part:
                names.append(part.casefold())
        if not (names or ids or words):
            raise InputError(f"{text!r}: expected a class, id:NUMBER, all or largest; name one")
        return cls(tuple(names), tuple(ids), "all" in words, "largest" in words)

    def of(self, objects: Instances) -> NDArray[np.bool_]:
        """(N,) which objects are chosen; regions of a crowd are chosen by their class as objects are."""
        if self.everything:
            return np.ones(len(objects), np.bool_)
        named = np.array([name.casefold() in self.names for name in objects.classes.names], np.bool_)
        chosen: NDArray[np.bool_] = named[objects.labels]
        if self.ids and objects.ids is not None:
            chosen = chosen | np.isin(objects.ids, self.ids)
        if self.largest and len(objects):
            chosen = chosen.copy()
            chosen[int(np.argmax(objects.area))] = True
        return chosen

    def check(self, classes: Labels, tracked: bool = True) -> None:
        """Refuse what can never be found.

        Args:
            classes: those that there are.
            tracked: whether the objects have ids.

        Raises:
            InputError: a class that there is not, or an id where there are none.
        """
        known = {name.casefold() for name in classes.names}
        if strange := [name for name in self.names if name not in known]:
            shown = ", ".join(classes.names[:12]) + (", …" if len(classes) > 12 else "")
            raise InputError(
                f"{strange[0]!r}: expected one of the classes {shown}, or all, largest, id:NUMBER; choose one"
            )
        if self.ids and not tracked:
            raise InputError(
                f"id:{self.ids[0]}: expected objects with track ids, got none; give a video, or --tracks FILE"
            )
