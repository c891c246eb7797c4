"""Images that are the same, or look the same: leaks between splits, copies within one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from delineate.core.errors import InputError
from delineate.core.instances import Instances

from ..images import read
from ..records import Record
from .finding import Finding, place
from .look import Details, Look, agreement, close_pairs, details_of, turned_words
from .pictures import Picture

MOST_PAIRS = 100_000
"""So many pairs that may show the same are compared in detail, those of two splits first."""
KEPT = 2000
"""Details of so many images are kept meanwhile (80 KB each)."""


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
    """Exact copies first, then images that look the same; of those that were decoded and show something."""
    decoded = [one for one in seen if one.picture.look is not None]
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
        kind, told, alike = "copy", f"the same pixels as {_name(one)}", _same_objects(one, other)
        if _split(one) != _split(other):
            kind = "leak"
        elif alike is None:
            told = f"{told}; the labels of one of them cannot be read"
        elif not alike:
            kind, told = "copy-differs", f"{told}, with other objects"
        exact = kind == "leak" or bool(alike)
        images = ((_split(one), one.record.name),)
        found.append(Finding(kind, told, other.record.name, _split(other), images=images, exact=exact))
    return found


def _same_objects(one: Seen, other: Seen) -> bool | None:
    """Whether two images have the same objects; None where that cannot be known."""
    try:
        a, b = one.truth(), other.truth()
    except InputError:  # told elsewhere
        return None
    return len(a) == len(b) and sorted(a.names) == sorted(b.names) and a.masks == b.masks


def _alike(seen: Sequence[Seen]) -> list[Finding]:
    """Images that look the same: each is told once, with the one that it looks most like."""
    visible = list(seen)
    looks: list[Look] = [one.picture.look for one in visible if one.picture.look is not None]
    best: dict[tuple[str, int], tuple[float, int, str]] = {}
    told: list[tuple[str, int]] = []
    for i, j, agree, words in _pairs(visible, looks):
        kind = "alike" if _split(visible[i]) == _split(visible[j]) else "leak"
        one, other = (j, i) if kind == "leak" and _split(visible[j]) == "train" else (i, j)
        if (kind, other) not in best:
            told.append((kind, other))
        if agree > best.get((kind, other), (0.0, 0, ""))[0]:
            best[kind, other] = agree, one, words
    found = []
    for kind, other in told:
        agree, like, words = best[kind, other]
        record, first = visible[other].record, visible[like]
        message = f"looks like {_name(first)}{words} ({agree:.2f} alike)"
        images = ((_split(first), first.record.name),)
        found.append(Finding(kind, message, record.name, _split(visible[other]), images=images))
    return found


def _pairs(visible: Sequence[Seen], looks: list[Look]) -> Iterator[tuple[int, int, float, str]]:
    """Pairs that look the same, those of two splits first; how far, and how the second is turned."""
    pairs = sorted(close_pairs(looks), key=lambda pair: _split(visible[pair[0]]) == _split(visible[pair[1]]))

    @lru_cache(maxsize=KEPT)
    def details(index: int) -> Details | None:
        try:
            return details_of(read(visible[index].record.path).pixels)
        except InputError:  # more channels than are shown, or gone since it was first read
            return None

    for i, j, turn in [pair for pair in pairs if not _frames(visible[pair[0]], visible[pair[1]])][
        :MOST_PAIRS
    ]:
        found = agreement(details(i), details(j), turn)
        if found.same:
            yield i, j, max(found), turned_words(turn)


def _frames(one: Seen, other: Seen) -> bool:
    """Whether they are frames of one video in one split, which may well look the same."""
    sequence = one.record.groups.get("sequence")
    return bool(sequence) and sequence == other.record.groups.get("sequence") and _split(one) == _split(other)


def _name(one: Seen) -> str:
    return place(_split(one), one.record.name)
