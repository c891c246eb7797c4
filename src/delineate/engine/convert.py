"""Writing a dataset in another format: whole or not at all, with an account of what is lost."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from delineate.core.errors import DatasetError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.panoptic import Panoptic
from delineate.data.dataset import Dataset, open_dataset
from delineate.data.kept_ids import keep
from delineate.data.known_formats import FORMATS, Format, named
from delineate.data.losses import Losses
from delineate.data.place import How, Place
from delineate.data.records import Record
from delineate.data.synthetic import SyntheticDataset

OnLoss = Literal["error", "warn"]


@dataclass(frozen=True)
class Conversion:
    """What a conversion did.

    Attributes:
        out: the file or folder that was written.
        format: its format.
        images: how many.
        objects: how many the source has on them.
        losses: what the format could not hold.
        skipped: images left out since their annotation is malformed, with the reason.
    """

    out: Path
    format: Format
    images: int
    objects: int
    losses: Losses
    skipped: tuple[str, ...] = ()

    def __str__(self) -> str:
        return (
            f"wrote {self.out}: {self.format.title}, {self.images} image{'s' if self.images != 1 else ''}, "
            f"{self.objects} object{'s' if self.objects != 1 else ''}"
        )


def convert(
    source: str | Path,
    out: str | Path,
    to: str | None = None,
    *,
    source_format: str | None = None,
    images: How = "copy",
    on_loss: OnLoss = "warn",
) -> Conversion:
    """Reads a dataset of any known format and writes it in another one.

    Args:
        source: as :func:`delineate.data.dataset.open_dataset` takes it.
        out: a folder that is new or empty, or a file with an ending of the format.
        to: a name of :data:`delineate.data.known_formats.FORMATS`; None: by the ending of ``out``.
        source_format: such a name, where the source's format should not be guessed.
        images: ``copy``, ``link`` (hard links) or ``none``.
        on_loss: ``error`` writes nothing where the format cannot hold all; ``warn`` counts it.

    Raises:
        DatasetError: the source is malformed, ``out`` is there already, or there are losses (``error``).

    Example:
        >>> print(convert("annotations.json", "yolo", "yolo"))  # doctest: +SKIP
        wrote yolo: YOLO, 164 images, 1560 objects
    """
    data = open_dataset(source, format=source_format)
    return write_dataset(data, out, to, images=images, on_loss=on_loss)


def write_dataset(
    data: Dataset,
    out: str | Path,
    to: str | None = None,
    *,
    images: How = "copy",
    on_loss: OnLoss = "warn",
    skip_invalid: bool = False,
    tick: Callable[[], object] = lambda: None,
) -> Conversion:
    """Writes a dataset; ``out`` appears when it is whole, or not at all.

    Args:
        data: what to write.
        out: a folder that is new or empty, or a file with an ending of the format.
        to: a name of :data:`delineate.data.known_formats.FORMATS`; None: by the ending of ``out``.
        images: ``copy``, ``link`` (hard links) or ``none``.
        on_loss: ``error`` writes nothing where the format cannot hold all; ``warn`` counts it.
        skip_invalid: leave images out whose annotation cannot be read; every one is read twice then.
        tick: called once for each image.

    Raises:
        DatasetError: the data are malformed, ``out`` is there already, or there are losses (``error``).
    """
    out = Path(out)
    row = check_target(out, to)
    single = out.suffix.lower() in row.files
    if isinstance(data, SyntheticDataset):
        raise DatasetError(
            f"{data.source}: expected a dataset of files, got scenes that are rendered when asked for; write "
            "them with `delineate synthesize` first"
        )
    skipped: tuple[str, ...] = ()
    if skip_invalid:
        data, skipped = _readable(data)
    losses = Losses(row.title)
    counted = _Counted(data, tick, None if "stuff" in row.holds else losses)
    staging = out.parent / f".{out.name}.{secrets.token_hex(4)}.tmp"
    try:
        staging.mkdir(parents=True)
        place = Place("none" if single else images, staging)
        row.write(staging / out.name if single else staging, counted.data, losses, place)
        if on_loss == "error":
            losses.refuse(str(out))
        if not single and "ids" not in row.holds:
            keep(staging, data.classes, place.placed)
        if out.is_dir():
            out.rmdir()
        (staging / out.name if single else staging).rename(out)
    except OSError as error:
        raise DatasetError(
            f"{out}: expected to write here, got {error.strerror or error}; choose another place"
        ) from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return Conversion(out, row, len(data), counted.objects, losses, skipped)


def check_target(out: Path, to: str | None) -> Format:
    """The format to write; ``out`` is free for it.

    Raises:
        DatasetError: as :func:`target_format`; or ``out`` is there already.
    """
    row = target_format(out, to)
    _check_free(out, out.suffix.lower() in row.files)
    return row


def target_format(out: Path, to: str | None) -> Format:
    """The format to write: as named, else the one whose files end as ``out`` does.

    Raises:
        DatasetError: an unknown name, a format that is only read, or an ending of no format or of several.
    """
    if to is not None:
        row = named(to)
    else:
        found = [row for row in FORMATS.values() if out.suffix.lower() in row.files and row.writes]
        plain = [row for row in found if row.name == "coco"] or found
        if len(plain) != 1:
            names = ", ".join(row.name for row in plain or FORMATS.values() if row.writes)
            raise DatasetError(
                f"{out}: expected the name of a format, got {'several that end so' if plain else 'none'}; "
                f"add --to with one of {names}"
            )
        row = plain[0]
    if not row.writes:
        raise DatasetError(
            f"{row.name}: expected a format that can be written, got {row.title}, which is only read; choose "
            f"one of {', '.join(other.name for other in FORMATS.values() if other.writes)}"
        )
    return row


def _check_free(out: Path, single: bool) -> None:
    if out.is_dir() and not single and not any(out.iterdir()):
        return
    if out.exists() or out.is_symlink():
        what = "a new file" if single else "a folder that is new or empty"
        raise DatasetError(f"{out}: expected {what}, got one that is there already; choose another name")


def _readable(data: Dataset) -> tuple[Dataset, tuple[str, ...]]:
    """The images whose annotation can be read, and why others cannot."""
    good, skipped = [], []
    for index, record in enumerate(data.records):
        try:
            data.truth(index)
        except DatasetError as error:
            skipped.append(f"{record.name}: {error}")
        else:
            good.append(index)
    return data.subset(good), tuple(skipped)


class _Counted:
    """A dataset that counts its objects, and ticks, when an image's truth is asked for the first time.

    With ``losses`` it counts the segments of stuff too.
    """

    def __init__(self, data: Dataset, tick: Callable[[], object], losses: Losses | None) -> None:
        self._of = data
        self._losses = losses
        self._tick = tick
        self._seen: set[int] = set()
        self.objects = 0
        self.data = replace(data, decode=self._decode)

    def _decode(self, record: Record, classes: Labels) -> tuple[Instances, tuple[str, ...]]:
        found = self._of.decode(record, classes)
        if id(record) not in self._seen:
            self._seen.add(id(record))
            self.objects += len(found[0])
            if self._losses is not None and self._of.segments is not None:
                segments = self._of.segments(record, classes)
                if isinstance(segments, Panoptic):
                    self._losses.count("stuff", record.name, int((~segments.things).sum()))
            self._tick()
        return found
