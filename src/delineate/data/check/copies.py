"""Images that are the same, or look the same: leaks between splits, copies within one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from delineate.core.errors import InputError
from delineate.core.instances import Instances

from ..images import read
from ..records import Record
from .finding import Finding
from .look import SAME_SCENE, Look, close_pairs, same_scene, turned_words
from .pictures import Picture

MOST_READ = 400
"""So many pairs are looked at again in detail; of more, thumbnails decide."""
SURE = 0.985
"""Thumbnails that correlate so far need no second look where there are too many pairs."""


@dataclass(frozen=True)
class Seen:
    """An image that was looked at.

    Attributes:
        record: which.
        picture: what it is.
        truth: gives its objects.
    """

    record: Record
    picture: Picture
    truth: Callable[[], Instances]


def check_copies(seen: Sequence[Seen]) -> list[Finding]:
    """Exact copies first, then images that look the same, of those that were decoded."""
    decoded = [one for one in seen if one.picture.digest]
    same: dict[str, list[Seen]] = {}
    for one in decoded:
        same.setdefault(one.picture.digest, []).append(one)
    found = [finding for group in same.values() if len(group) > 1 for finding in _exact(group)]
    first = [group[0] for group in same.values()]
    return found + _alike(first)


def _split(one: Seen) -> str:
    return one.record.groups.get("split", "")


def _exact(group: Sequence[Seen]) -> list[Finding]:
    """One finding for each further copy of an image."""
    found = []
    one = group[0]
    for other in group[1:]:
        kind, told = "copy", f"the same pixels as {_name(one)}"
        if _split(one) != _split(other):
            kind = "leak"
        elif not _same_objects(one, other):
            kind, told = "copy-differs", f"{told}, with other objects"
        found.append(Finding(kind, told, other.record.name, _split(other), images=(_name(one),)))
    return found


def _same_objects(one: Seen, other: Seen) -> bool:
    try:
        a, b = one.truth(), other.truth()
    except InputError:
        return True  # told elsewhere
    return len(a) == len(b) and sorted(a.names) == sorted(b.names) and a.masks == b.masks


def _alike(seen: Sequence[Seen]) -> list[Finding]:
    visible = [one for one in seen if one.picture.look is not None]
    looks: list[Look] = [one.picture.look for one in visible if one.picture.look is not None]
    pairs = sorted(close_pairs(looks), key=lambda pair: _split(visible[pair[0]]) == _split(visible[pair[1]]))
    found = []
    for number, (i, j, turn, alike) in enumerate(pairs):
        one, other = visible[i], visible[j]
        if number < MOST_READ:
            agree = _agree(one, other, turn)
            if agree < SAME_SCENE:
                continue
            told = f"{agree:.2f} alike"
        elif alike < SURE:
            continue
        else:
            told = f"{alike:.2f} alike as thumbnails"
        leak = _split(one) != _split(other)
        message = f"looks like {_name(one)}{turned_words(turn)} ({told})"
        found.append(
            Finding("leak" if leak else "alike", message, other.record.name, _split(other),
                    images=(_name(one),))
        )  # fmt: skip
    return found


def _agree(one: Seen, other: Seen, turn: int) -> float:
    try:
        return same_scene(read(one.record.path).pixels, read(other.record.path).pixels, turn)
    except InputError:  # more channels than are shown, or gone since it was first read
        return 0.0


def _name(one: Seen) -> str:
    return f"{_split(one)}/{one.record.name}" if _split(one) else one.record.name
