"""The images of `delineate export`: what to calibrate on and what to compare on."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from delineate.core.errors import DatasetError, InputError

if TYPE_CHECKING:
    from delineate.data.dataset import Dataset


class Pictures(Sequence[Any]):
    """Pixels of files, read when asked for."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: Any) -> Any:
        from delineate.data.images import read

        return read(self.files[index]).pixels


def pictures(given: Sequence[str], split: str, most: int, what: str) -> Pictures:
    """At most so many images of what is given, spread evenly.

    Args:
        given: datasets, folders, files and patterns.
        split: of datasets that have it.
        most: images.
        what: the option that gave them.

    Raises:
        InputError: a place without images.
        DatasetError: a damaged dataset.
    """
    files: list[Path] = []
    for place in given:
        data = dataset(place, split)
        found = _found(place) if data is None else [record.path for record in data.records]
        if not found:
            raise InputError(f"{what} {place}: expected images, got none; name others")
        files += found
    return Pictures(spread(files, most))


def dataset(place: str, split: str) -> Dataset | None:
    """The dataset at a place, its split of that name where it has one; None where there are images alone.

    Raises:
        DatasetError: neither.
    """
    from delineate.data.dataset import open_dataset

    if not Path(place).exists():
        return None
    try:
        data = open_dataset(place)
    except DatasetError:
        with suppress(InputError):
            _found(place)
            return None
        raise
    return data.select(split=split) if split in data.groups.get("split", ()) else data


def spread(items: Sequence[Any], most: int) -> list[Any]:
    """At most so many, evenly from first to last."""
    if len(items) <= most:
        return list(items)
    return [items[i * len(items) // most] for i in range(most)]


def _found(place: str) -> list[Path]:
    from delineate.data.find import find

    return [Path(file) for file in find([place])]
