"""Synthetic crowds as a dataset, rendered when asked for, and named in one line."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from delineate.core.errors import DatasetError, InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels

from ..records import SPLIT_NAMES, Dataset, Record, Sample
from .layout import SceneSettings
from .scene import NOWHERE, crowd_scene, crowd_truth

PREFIX = "synthetic:"
FORMAT = "synthetic scenes"
SPLITS = ("train", "val", "test")  # the place of a split in this list is part of its seeds
COUNTS = {"images": 200, "val": 50, "test": 0}  # images of each split where the name does not say
_EXAMPLE = "synthetic:crowds?images=500&crowding=0.7&seed=1"


@dataclass(frozen=True, eq=False, repr=False)
class SyntheticDataset(Dataset):
    """A dataset of crowds. Nothing is kept: each access renders its image anew, the same every time.

    Example:
        >>> data = SyntheticDataset.of(6, SceneSettings(size=(64, 64), objects=5), seed=1)
        >>> len(data), data.classes.names, data[0].image.shape
        (6, ('cell',), (64, 64, 3))
    """

    @classmethod
    def of(
        cls,
        count: int,
        settings: SceneSettings | Sequence[SceneSettings] | None = None,
        seed: int = 0,
        split: str = "train",
    ) -> SyntheticDataset:
        """So many scenes.

        Args:
            count: images.
            settings: what they are like; of several settings image i has number i modulo their number, and
                all need the same shapes.
            seed: another seed gives other images.
            split: "train", "val" or "test"; the images of two splits of one seed differ.

        Returns:
            The dataset, with the columns ``split`` and ``crowding``.

        Raises:
            InputError: no settings, settings of different shapes, an unknown split, a negative count or seed.
        """
        kinds = (settings,) if isinstance(settings, SceneSettings) else tuple(settings or (SceneSettings(),))
        if len({k.shapes for k in kinds}) != 1:
            raise InputError("SyntheticDataset: expected settings with the same shapes, got several; use one")
        if split not in SPLITS or count < 0 or seed < 0:
            raise InputError(
                f"SyntheticDataset: expected a split of {', '.join(SPLITS)}, count >= 0 and seed >= 0, got "
                f"{split!r}, {count}, {seed}; correct them"
            )
        records = tuple(
            Record(
                f"{split}_{i:05d}.png",
                NOWHERE,
                i + 1,
                kinds[i % len(kinds)].size,
                ((seed, SPLITS.index(split), i), kinds[i % len(kinds)]),
                {"split": split, "crowding": f"{kinds[i % len(kinds)].crowding:g}"},
            )
            for i in range(count)
        )
        return cls(records, Labels(kinds[0].shapes), decode, FORMAT, NOWHERE)

    @typing.overload
    def __getitem__(self, index: int) -> Sample: ...
    @typing.overload
    def __getitem__(self, index: slice) -> Dataset: ...
    def __getitem__(self, index: int | slice) -> Sample | Dataset:
        """Renders one scene (a :class:`~delineate.data.synthetic.scene.Scene`), or cuts out a part."""
        if isinstance(index, slice):
            return replace(self, records=self.records[index])
        record = self.records[index]
        return replace(crowd_scene(*record.annotation), name=record.name, image_id=record.image_id)


def decode(record: Record, _: Labels) -> tuple[Instances, tuple[str, ...]]:
    """The truth of a record, without painting its picture."""
    return crowd_truth(*record.annotation), ()


def is_synthetic(name: str | Path) -> bool:
    """Whether ``name`` is one for :func:`open_synthetic` and no path."""
    return str(name).startswith(PREFIX)


def open_synthetic(name: str | Path, split: str | None = None) -> SyntheticDataset:
    """The dataset of a name such as ``synthetic:crowds?images=500&crowding=0.7&seed=1``.

    Args:
        name: ``synthetic:crowds``, then maybe ``?`` and ``key=value`` pairs between ``&``: ``images``,
            ``val`` and ``test`` (how many of each split; default 200, 50, 0), ``seed``, and any of
            :class:`SceneSettings`, pairs and lists with commas (``radius=7,13``, ``shapes=cell,ring``,
            ``size=256`` or ``size=256,320``). Several values of ``crowding`` take turns, and
            ``groups["crowding"]`` tells them apart.
        split: only this one; None takes all.

    Raises:
        DatasetError: another kind than crowds, an unknown key, a value that does not fit, or no such split.
    """
    text = str(name)
    kind, _, query = text.removeprefix(PREFIX).partition("?")
    if kind != "crowds":
        raise DatasetError(f"{text}: expected {PREFIX}crowds, got {kind!r}; write such as {_EXAMPLE}")
    values: dict[str, str] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key in values:
            raise DatasetError(f"{text}: expected every key once, got {key!r} again; leave one out")
        values[key] = value
    counts = {key: _number(text, key, values.pop(key, str(least)), int) for key, least in COUNTS.items()}
    seed = _number(text, "seed", values.pop("seed", "0"), int)
    kinds = scene_settings(values, text)
    try:
        parts = {
            part: SyntheticDataset.of(count, kinds, seed, part)
            for part, count in zip(SPLITS, counts.values(), strict=True)
            if count
        }
    except InputError as error:
        raise DatasetError(f"{text}: {error}") from None
    wanted = None if split is None else SPLIT_NAMES.get(split.lower(), split)
    chosen = [data for part, data in parts.items() if wanted in (None, part)]
    if not chosen:
        raise DatasetError(
            f"{text}: expected a split {split or 'with images'!r}, got {list(parts)}; add such as val=50"
        )
    records = [record for data in chosen for record in data.records]
    if len(chosen) > 1:
        records = [replace(record, image_id=number) for number, record in enumerate(records, 1)]
    return replace(chosen[0], records=tuple(records), source=Path(text))


def scene_settings(values: Mapping[str, str], where: str) -> list[SceneSettings]:
    """Settings as text, as in a name; one for each value of ``crowding``.

    Args:
        values: name of a setting to its value, pairs and lists with commas.
        where: the beginning of error messages.

    Raises:
        DatasetError: an unknown name, or a value that does not fit.
    """
    hints = typing.get_type_hints(SceneSettings)
    built: dict[str, Any] = {}
    for key, text in values.items():
        if key not in hints:
            known = [*COUNTS, "seed", *hints] if is_synthetic(where) else [*hints]
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it may be one of {', '.join(known)}"
            raise DatasetError(f"{where}: unknown key {key!r}; {hint}")
        built[key] = _value(where, key, text, hints[key])
    levels = built.pop("crowding", (SceneSettings.crowding,))
    try:
        return [SceneSettings(**built, crowding=level) for level in levels]
    except InputError as error:
        raise DatasetError(f"{where}: {error}") from None


def _value(name: str, key: str, text: str, hint: Any) -> Any:
    """A setting's value; a tuple for crowding too."""
    items = text.split(",")
    if key == "shapes":
        return tuple(items)
    if key in ("size", "radius"):
        numbers = [_number(name, key, item, int if key == "size" else float) for item in items]
        return tuple(numbers * 2 if len(numbers) == 1 else numbers)
    if key == "crowding":
        return tuple(_number(name, key, item, float) for item in items)
    return _number(name, key, text, hint)


def _number(name: str, key: str, text: str, kind: Any) -> Any:
    try:
        return kind(text)
    except ValueError:
        wanted = "a whole number" if kind is int else "a number"
        raise DatasetError(f"{name}, {key}: expected {wanted}, got {text!r}; correct it") from None
