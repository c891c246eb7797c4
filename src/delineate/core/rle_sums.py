"""What run-length strings cover, without decoding them: a quick look at many encodings.

A string holds d_0, d_1, d_2 and then each count's difference to the count two before (:mod:`.rle`). Count j
is thus part of every later one of its parity, and of n counts the sum is

    sum over j of d_j * (floor((n - 1 - j) / 2) + 1),   with d_0 taken once,

which needs no running sums; that of the odd ones alone is the mask's area. Most counts are one character, so
all is done on characters, and those of several are mended. The sums tell a cut or damaged string; they do not
tell a negative count among the others.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LONGEST = 7
"""Characters of one count at most, as :mod:`.rle` has it."""


class Sums(NamedTuple):
    """Of N strings, modulo 2**31: ``covered`` (N,) pixels of all counts, ``area`` (N,) of the foreground."""

    covered: NDArray[np.int64]
    area: NDArray[np.int64]


def sums(texts: bytes, lengths: NDArray[np.int64]) -> Sums | None:
    """The sums of N strings that lie end to end; None where one is empty, cut, or no such string.

    Example:
        >>> sums(b"2204", np.array([2, 2]))
        Sums(covered=array([4, 4]), area=array([2, 4]))
    """
    raw = np.frombuffer(texts, np.uint8)
    if not len(lengths):
        return Sums(np.zeros(0, np.int64), np.zeros(0, np.int64))
    ends = np.cumsum(lengths)
    starts = ends - lengths
    if lengths.min() == 0 or raw.min() < 48 or raw.max() > 111 or raw[ends - 1].max() >= 80:
        return None
    more = np.flatnonzero(raw >= 80)  # characters that another of the same count follows
    groups = raw - np.uint8(48)
    values = ((groups ^ np.uint8(16)) - np.uint8(16)).view(np.int8).astype(np.int32)  # five bits, signed
    values[more] = groups[more] - np.uint8(32)
    order = np.arange(len(more))
    begins = np.diff(more, prepend=-2) > 1
    place = order - np.maximum.accumulate(np.where(begins, order, 0)) + 1  # of the character after
    if place.max(initial=0) >= LONGEST:
        return None
    values[more + 1] <<= (5 * place).astype(np.int32)
    # The number of each character's count: the character's own, less those before that did not end one.
    gaps = np.diff(more, prepend=-1, append=len(raw) - 1)
    number = np.arange(len(raw), dtype=np.int32)
    number -= np.repeat(np.arange(len(gaps), dtype=np.int32), gaps)
    begin, last = number[starts], number[ends - 1]
    odd = values * (number & 1)
    plain, weighed, odd, odd_weighed = (
        np.add.reduceat(part, starts, dtype=np.int32) for part in (values, values * number, odd, odd * number)
    )
    unpaired = np.where(last & 1, plain - odd, odd)  # those an odd way from the last
    covered = last * plain - weighed - unpaired + 2 * plain
    covered -= 2 * _first(values, raw, starts) * ((last - begin) >> 1)
    own = np.where(begin & 1, plain - odd, odd)  # the foreground: odd within its string
    own_weighed = np.where(begin & 1, weighed - odd_weighed, odd_weighed)
    area = last * own - own_weighed - np.where((last - begin) & 1, 0, own) + 2 * own
    return Sums(_halved(covered), _halved(area))


def _halved(values: NDArray[np.int32]) -> NDArray[np.int64]:
    return (values.view(np.uint32) >> np.uint32(1)).astype(np.int64)


def _first(values: NDArray[np.int32], raw: NDArray[np.uint8], starts: NDArray[np.int64]) -> NDArray[np.int32]:
    """The first count of each string."""
    first = values[starts]
    owner = np.flatnonzero(raw[starts] >= 80)
    at = starts[owner] + 1
    while len(at):
        first[owner] += values[at]
        on = raw[at] >= 80
        owner, at = owner[on], at[on] + 1
    return first
