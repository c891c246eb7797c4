"""Sharing images out to train, val and test: alike in classes and sizes, whole groups, repeatable.

Rare things are placed first, each where it is most wanted, as in iterative stratification (Sechidis,
Tsoumakas and Vlahavas 2011, "On the Stratification of Multi-Label Data", section 3.2), here for whole groups
of images and by a cost; then pairs of groups change places while that brings the parts closer to their
shares. Ties fall by a hash of seed and name, so the order in which files are listed does not matter.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError

from .records import SPLIT_NAMES, Dataset
from .share_out import share_out
from .write import atomic

SIZES = ("small", "medium", "large")
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Split:
    """Which image goes where.

    Attributes:
        names: the images' names, in the dataset's order.
        parts: share of each part by name, the shares summing to 1.
        assigned: the part of each image.
        group: the group of each image; its own name where it stands alone.
        images: what each image holds: (N, F) counts of what ``columns`` names.
        columns: names of what was balanced: ``images``, ``objects``, ``class: ...``, ``size: ...`` and so on.
        notes: what is in doubt.
    """

    names: tuple[str, ...]
    parts: Mapping[str, float]
    assigned: tuple[str, ...]
    group: tuple[str, ...]
    images: Floats
    columns: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def totals(self) -> dict[str, dict[str, int]]:
        """What each part got: part -> column -> number; parts that were kept as they are come last."""
        names = [*self.parts, *sorted(set(self.assigned) - set(self.parts))]
        where = np.array(self.assigned)
        return {
            name: dict(
                zip(self.columns, self.images[where == name].sum(axis=0).astype(int).tolist(), strict=True)
            )
            for name in names
        }

    @property
    def deviation(self) -> tuple[str, str, float]:
        """Where a part's share of a column is furthest from the one wanted: part, column, difference.

        Columns are left out of which the smallest part would get less than one.
        """
        rows = self.totals()
        worst = ("", "", 0.0)
        for index, column in enumerate(self.columns):
            total = sum(rows[name][column] for name in self.parts)
            if total * min(self.parts.values()) < 1:
                continue
            for name, share in self.parts.items():
                off = rows[name][column] / total - share
                if abs(off) > abs(worst[2]):
                    worst = (name, self.columns[index], off)
        return worst

    def apply(self, data: Dataset, column: str = "split") -> Dataset:
        """The dataset with the parts in a column of its groups."""
        records = [
            replace(record, groups={**record.groups, column: part})
            for record, part in zip(data.records, self.assigned, strict=True)
        ]
        return replace(data, records=tuple(records))


def split(
    data: Dataset,
    parts: Mapping[str, float],
    *,
    seed: int = 0,
    group: Sequence[str] | None = None,
    balance: Sequence[str] = (),
    keep: Sequence[str] = (),
    tick: Callable[[], object] | None = None,
) -> Split:
    """Shares the images out so that each part has its share of images, objects, classes and sizes.

    Args:
        data: the dataset; its truth is decoded once, its images are not.
        parts: the share of each part by name, any positive numbers: 8 and 2 are 0.8 and 0.2.
        seed: another one gives another split.
        group: a name for each image; images of one name stay together. See :func:`groups_of`.
        balance: columns of ``data.groups`` whose values are shared out evenly too, such as ``modality``.
        keep: splits of the dataset whose images stay in them; those that are not in ``parts`` are set aside.
        tick: called after each image.

    Raises:
        InputError: no images, shares that are not above 0, no such column, fewer groups than parts.

    Example:
        >>> found = split(data, {"train": 0.8, "val": 0.2}, seed=1)  # doctest: +SKIP
        >>> found.totals()["val"]["images"], found.apply(data).select(split="val")  # doctest: +SKIP
    """
    shares = _shares(parts)
    if not len(data):
        raise InputError(f"{data.source}: expected images to share out, got none; give another dataset")
    names = list(group) if group is not None else data.names
    if len(names) != len(data):
        raise InputError(f"split: expected {len(data)} group names, one an image, got {len(names)}")
    images, columns = _counted(data, balance, tick or (lambda: None))
    kept = _kept(data, keep, shares)
    free = [i for i in range(len(data)) if i not in kept or kept[i] in shares]
    keys = sorted({names[i] for i in free}, key=lambda name: (_hash(seed, name), name))
    place = {name: k for k, name in enumerate(keys)}
    member = np.array([place[names[i]] for i in free], dtype=np.int64)
    fixed = _fixed(member, free, kept, list(shares), keys)
    loose = int((fixed < 0).sum())
    if loose and len(keys) < len(shares):
        raise InputError(
            f"{data.source}: expected at least {len(shares)} groups of images for {len(shares)} parts, got "
            f"{len(keys)}; group by something else or ask for fewer parts"
        )
    bundles = np.zeros((len(keys), len(columns)))
    np.add.at(bundles, member, images[free])
    chosen = share_out(bundles, np.array(list(shares.values())), fixed, seed)
    order = list(shares)
    assigned = [kept.get(i, "") for i in range(len(data))]
    for i, k in zip(free, member.tolist(), strict=True):
        assigned[i] = order[int(chosen[k])]
    found = Split(tuple(data.names), shares, tuple(assigned), tuple(names), images, columns)
    return replace(found, notes=_notes(found))


def groups_of(data: Dataset, column: str = "", pattern: str = "") -> tuple[list[str], int]:
    """A group's name for each image, for :func:`split`, and how many images have none and stand alone.

    Args:
        data: the dataset.
        column: a column of ``data.groups``, such as ``patient``.
        pattern: a regular expression that is searched in each image's name; what its brackets match is the
            group, or all that it matches where it has none: ``^(.*)_\\\\d+`` takes ``slide7`` of
            ``slide7_03.png``.

    Raises:
        InputError: no such column, or not a regular expression.
    """
    if column:
        have = data.groups
        if column not in have:
            raise InputError(
                f"{data.source}: expected a column {column!r} to group by, got "
                f"{sorted(have) or 'no columns'}; choose one of them or group by a pattern of the names"
            )
        values = have[column]
        return [v or name for v, name in zip(values, data.names, strict=True)], values.count("")
    try:
        search = re.compile(pattern).search
    except re.error as error:
        raise InputError(
            f"group pattern {pattern!r}: expected a regular expression, got an error: {error}; correct it"
        ) from None
    found: list[str] = []
    alone = 0
    for name in data.names:
        match = search(name)
        words = [w for w in (match.groups() or (match[0],)) if w] if match else []
        alone += not words
        found.append("\0".join(words) if words else name)
    return found, alone


def write_csv(path: str | Path, data: Dataset, group: Sequence[str] = ()) -> Path:
    """Writes the dataset's columns as a table, atomically: ``id`` and one column for each of its groups.

    Args:
        path: the CSV file; beside a dataset's ``images/`` and ``labels/`` it is named ``split.csv``.
        data: the dataset, with its split as a column; see :meth:`Split.apply`.
        group: the group of each image, for a column ``group``.

    Raises:
        InputError: the file cannot be written.
    """
    stems = data.format == "label images"  # they are known by name without ending
    columns = dict(data.groups)
    if group:
        columns["group"] = [name.replace("\0", " ") for name in group]
    with (
        atomic(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        rows = csv.writer(file)
        rows.writerow(["id", *columns])
        ids = [Path(name).stem if stems else name for name in data.names]
        rows.writerows(zip(ids, *columns.values(), strict=True))
    return Path(path)


def _shares(parts: Mapping[str, float]) -> dict[str, float]:
    named = {SPLIT_NAMES.get(name.lower(), name): float(share) for name, share in parts.items()}
    if not parts or len(named) < len(parts) or not all(0 < s < np.inf for s in named.values()):
        raise InputError(
            f"split: expected a share above 0 for each part and every part once, got {dict(parts)}; give for "
            "example train=0.8,val=0.2"
        )
    total = sum(named.values())
    return {name: share / total for name, share in named.items()}


def _counted(
    data: Dataset, balance: Sequence[str], tick: Callable[[], object]
) -> tuple[Floats, tuple[str, ...]]:
    """(N, F) what each image holds, and the names of the F columns."""
    have = data.groups
    for column in balance:
        if column not in have:
            raise InputError(
                f"{data.source}: expected a column {column!r} to balance, got "
                f"{sorted(have) or 'no columns'}; choose one of them"
            )
    count = len(data.classes)
    labels: list[NDArray[np.int64]] = []
    areas: list[Floats] = []
    for index in range(len(data)):
        truth = data.truth(index)
        labels.append(truth.labels)
        areas.append(truth.area)
        tick()
    every = np.concatenate([*areas, np.zeros(0)])
    bounds = np.quantile(every, (1 / 3, 2 / 3)) if len(every) else np.zeros(2)
    rows = []
    for own, area in zip(labels, areas, strict=True):
        by_class = np.bincount(own, minlength=count)
        by_size = np.bincount(np.searchsorted(bounds, area), minlength=len(SIZES))
        rows.append([1, len(own), len(own) == 0, *by_class, *(by_class > 0), *by_size])
    columns = ["images", "objects", "empty images"]
    columns += [f"class: {name}" for name in data.classes.names]
    columns += [f"images with {name}" for name in data.classes.names]
    columns += [f"size: {name}" for name in SIZES]
    table = np.array(rows, dtype=np.float64)
    for column in balance:
        for value in sorted(set(have[column])):
            table = np.column_stack([table, [v == value for v in have[column]]])
            columns.append(f"{column}: {value or '(none)'}")
    return table, tuple(columns)


def _kept(data: Dataset, keep: Sequence[str], shares: Mapping[str, float]) -> dict[int, str]:
    """The part of each image that stays where it is."""
    if not keep:
        return {}
    wanted = {SPLIT_NAMES.get(name.lower(), name) for name in keep}
    own = data.groups.get("split", [""] * len(data))
    missing = sorted(wanted - set(own))
    if missing:
        raise InputError(
            f"{data.source}: expected images of the split {missing[0]!r} to keep, got "
            f"{sorted(set(own) - {''}) or 'no splits'}; choose one of them"
        )
    return {i: name for i, name in enumerate(own) if name in wanted}


def _fixed(
    member: NDArray[np.int64], free: Sequence[int], kept: Mapping[int, str], order: Sequence[str],
    keys: Sequence[str],
) -> NDArray[np.int64]:  # fmt: skip
    """The part of each group that has an image which stays, else -1."""
    fixed = np.full(len(keys), -1, dtype=np.int64)
    for i, k in zip(free, member.tolist(), strict=True):
        if i in kept:
            part = order.index(kept[i])
            if fixed[k] not in (-1, part):
                raise InputError(
                    f"group {keys[k]!r}: expected its images in one split, got some to keep in "
                    f"{order[int(fixed[k])]} and some in {kept[i]}; keep one of the two or group otherwise"
                )
            fixed[k] = part
    return fixed


def _notes(found: Split) -> tuple[str, ...]:
    """What is in doubt: classes that a part lacks."""
    rows = found.totals()
    told = []
    for name in found.parts:
        absent = [
            column.removeprefix("class: ")
            for column in found.columns
            if column.startswith("class: ")
            and not rows[name][column]
            and any(rows[other][column] for other in found.parts)
        ]
        if absent:
            listed = ", ".join(absent[:5]) + (", …" if len(absent) > 5 else "")
            told.append(f"{name} has no object of {len(absent)} class{'es' * (len(absent) > 1)}: {listed}")
    empty = [name for name in found.parts if not rows[name]["images"]]
    if empty:
        told.append(f"no images in {', '.join(empty)}: too few images or groups for such a share")
    return tuple(told)


def _hash(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{name}".encode("utf-8", "surrogatepass")).digest()
