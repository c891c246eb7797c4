"""Classes and splits: how many objects of each, what is rare, absent or named twice."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from delineate.core.labels import Labels

from .finding import Finding

RARE = 20
"""A class of fewer training objects is rare."""
UNEVEN = 50
"""Classes are uneven where the commonest has so many times the objects of the rarest that has enough."""
FEW = 20
"""A validation split of fewer objects tells little."""


@dataclass(frozen=True)
class Counted:
    """The objects of one class.

    Attributes:
        name: of the class.
        objects: in each split; the key is empty where there are no splits.
        images: how many images have any.
        side: median side of the objects, the square root of their area, in pixels; NaN where there are none.
    """

    name: str
    objects: dict[str, int]
    images: int
    side: float

    @property
    def total(self) -> int:
        """Objects in all splits."""
        return sum(self.objects.values())


def check_classes(counted: Sequence[Counted], splits: dict[str, int]) -> list[Finding]:
    """What the numbers of objects and images say.

    Args:
        counted: the classes.
        splits: images of each split; the key is empty where there are none.
    """
    found = [*_names([one.name for one in counted])]
    total = sum(one.total for one in counted)
    if not total:
        return [*found, Finding("no-labels", "no image has any object")]
    trained = "train" if "train" in splits else ""
    scored = next((name for name in ("val", "test") if name in splits), "")
    if set(splits) <= {"", "train"}:
        found.append(Finding("no-split", f"all {sum(splits.values())} images are for training"))
    if scored:
        found += _scored(counted, splits, scored)
    unused = [one.name for one in counted if not one.total]
    if unused:
        names = ", ".join(unused[:5]) + (", …" if len(unused) > 5 else "")
        found.append(Finding("unused", f"{len(unused)} of {len(counted)} classes: {names}"))
    rare = [one for one in counted if one.total and one.objects.get(trained, one.total) < RARE]
    for one in rare:
        if not (trained and scored and one.objects.get(scored) and not one.objects.get(trained)):
            number = _objects(one.objects.get(trained, one.total))
            found.append(Finding("rare", f"{one.name}: {number}{' in train' if trained else ''}"))
    enough = [one for one in counted if one.total >= RARE]
    if len(enough) > 1:
        most, least = max(enough, key=lambda one: one.total), min(enough, key=lambda one: one.total)
        if most.total > UNEVEN * least.total:
            found.append(
                Finding("imbalance", f"{most.name} {most.total} objects, {least.name} {least.total}")
            )
    return found


def _scored(counted: Sequence[Counted], splits: dict[str, int], scored: str) -> list[Finding]:
    found = []
    for one in counted:
        there, trained = one.objects.get(scored, 0), one.objects.get("train", 0)
        if "train" in splits and there and not trained:
            found.append(Finding("untrained", f"{one.name}: {_objects(there)} in {scored}, none in train"))
        elif trained >= RARE and not there:
            found.append(Finding("unscored", f"{one.name}: {trained} objects in train, none in {scored}"))
    total = sum(one.objects.get(scored, 0) for one in counted)
    if total < FEW:
        images = f"{splits[scored]} image{'s' if splits[scored] > 1 else ''}"
        found.append(Finding("small-split", f"{scored} has {_objects(total)} in {images}"))
    return found


def _objects(number: int) -> str:
    return f"{number} object{'s' if number != 1 else ''}"


def _names(names: Sequence[str]) -> list[Finding]:
    """Names that differ in case, spaces and punctuation alone."""
    plain: dict[str, list[str]] = {}
    for name in names:
        plain.setdefault(re.sub(r"[\W_]+", "", name.casefold()) or name, []).append(name)
    return [
        Finding("class-names", f"{', '.join(repr(name) for name in same)} differ in case or signs alone")
        for same in plain.values()
        if len(set(same)) > 1
    ]


def count_classes(
    classes: Labels,
    splits: Sequence[str],
    labels: Sequence[NDArray[np.int64]],
    areas: Sequence[NDArray[np.float64]],
) -> list[Counted]:
    """The objects of each class.

    Args:
        classes: K names.
        splits: of each image, empty where it has none.
        labels: of each image's objects, 0..K-1.
        areas: of each image's objects, in pixels.
    """
    kinds = dict.fromkeys(splits)
    per = {split: np.zeros(len(classes), np.int64) for split in kinds}
    images = np.zeros(len(classes), np.int64)
    for split, own in zip(splits, labels, strict=True):
        counts = np.bincount(own, minlength=len(classes))
        per[split] += counts
        images += counts > 0
    every = np.concatenate([*labels, np.zeros(0, np.int64)])
    sides = np.sqrt(np.concatenate([*areas, np.zeros(0)]))
    order = np.argsort(every, kind="stable")
    ends = np.searchsorted(every[order], np.arange(len(classes) + 1))
    middle = [
        float(np.median(sides[order[a:b]])) if b > a else float("nan")
        for a, b in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)
    ]
    return [
        Counted(name, {split: int(per[split][k]) for split in kinds}, int(images[k]), middle[k])
        for k, name in enumerate(classes.names)
    ]
