"""Groups of images that are the same or look the same, so that a split does not tear them apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from delineate.core.errors import InputError

from .check.look import Details, Look, agreement, close_pairs, details_of
from .check.pictures import check_picture
from .images import read
from .records import Dataset

KEPT = 1000
"""Details of so many images are kept meanwhile (80 KB each)."""


def alike_groups(
    data: Dataset, group: Sequence[str] | None = None, tick: Callable[[], object] | None = None
) -> tuple[list[str], int]:
    """A group's name for each image, for :func:`delineate.data.split.split`, and how many were joined.

    Images join where their pixels are the same, or where they look the same however turned, cut or scaled, as
    :mod:`delineate.data.check.look` tells. Groups that are given join too where some of their images do.
    Images that cannot be read stay alone.

    Args:
        data: the dataset, with its images.
        group: groups that hold already, one name an image; None: images of one name.
        tick: called after each image.

    Returns:
        the groups, and how many images are in one with another that looks the same.
    """
    names = list(group) if group is not None else data.names
    leader = list(range(len(data)))

    def lead(index: int) -> int:
        while leader[index] != index:
            leader[index] = leader[leader[index]]
            index = leader[index]
        return index

    def join(one: int, other: int) -> None:
        one, other = sorted((lead(one), lead(other)))
        leader[other] = one

    digests: dict[str, int] = {}
    members: list[int] = []
    looks: list[Look] = []
    joined: set[int] = set()
    for index, record in enumerate(data.records):
        picture, _ = check_picture(record, data.channels, pixels=True)
        if tick is not None:
            tick()
        if picture is None:
            continue
        first = digests.setdefault(picture.digest, index)
        if first != index:
            join(first, index)
            joined |= {first, index}
        elif picture.look is not None:
            members.append(index)
            looks.append(picture.look)
    for one, other in _same(data, members, looks):
        join(one, other)
        joined |= {one, other}
    first_of: dict[str, int] = {}
    for index, name in enumerate(names):
        join(first_of.setdefault(name, index), index)
    return [names[lead(index)] for index in range(len(data))], len(joined)


def _same(data: Dataset, members: Sequence[int], looks: list[Look]) -> list[tuple[int, int]]:
    """Pairs of images that look the same, compared in detail."""

    @lru_cache(maxsize=KEPT)
    def details(index: int) -> Details | None:
        try:
            return details_of(read(data.records[index].path, channels=data.channels).pixels)
        except InputError:  # gone since it was first read
            return None

    pairs = ((members[i], members[j], turn) for i, j, turn in close_pairs(looks))
    return [(i, j) for i, j, turn in pairs if agreement(details(i), details(j), turn).same]
