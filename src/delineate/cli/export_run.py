"""What `delineate export` does around the export: names, images to calibrate on, the comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from delineate.core.errors import DatasetError, InputError

from .bars import bar
from .messages import say, tell

if TYPE_CHECKING:
    from delineate.data.dataset import Dataset
    from delineate.engine.load import Model

SOME = 16  # images that a comparison looks at one by one
MANY = 100  # images that are scored
ENOUGH = 64  # images to calibrate on


def file_name(model: str, out: Path | None, to: str, precision: str) -> Path:
    """The file to write; where none is given, the model's name, here."""
    from delineate.runtime.targets import ENDINGS

    if out is not None:
        return out
    if to not in ENDINGS:
        raise InputError(
            f"export: expected a file to write, or one of --to {', '.join(ENDINGS)}, "
            f"got {repr(to) if to else 'neither'}; name a file"
        )
    suffix = {"fp32": "", "fp16": "-half", "int8": "-int8"}[precision]
    return Path(f"{Path(model).stem}{suffix}{ENDINGS[to]}")


def frame(text: str) -> int | tuple[int, int] | None:
    """What ``--size`` says."""
    if not text:
        return None
    with suppress(ValueError):
        sides = [int(part) for part in text.split(",")]
        if len(sides) == 1:
            return sides[0]
        if len(sides) == 2:
            return sides[0], sides[1]
    raise InputError(
        f"--size: expected a number of pixels or HEIGHT,WIDTH, got {text!r}; give for example 640"
    )


@contextmanager
def calibration_images(
    given: Sequence[str], quiet: bool
) -> Iterator[tuple[Sequence[Any], Callable[[], object] | None]]:
    """Images to calibrate on, spread over what is given, read when they are used; and what tells progress."""
    if not given:
        yield (), None
        return
    images = _Read(_spread(_files(given, "train"), ENOUGH))
    with bar("calibrating", len(images), quiet) as step:
        yield images, step


class _Read(Sequence[Any]):
    """Pixels of files, read when asked for."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: Any) -> Any:
        from delineate.data.images import read

        return read(self.files[index]).pixels


def _files(given: Sequence[str], split: str) -> list[Path]:
    """The images of datasets, folders and patterns."""
    files: list[Path] = []
    for place in given:
        data = _dataset(place, split)
        files += _found(place) if data is None else [record.path for record in data.records]
    return files


def check_places(given: Sequence[str]) -> None:
    """Refuse, before a minute of exporting, what is no image, folder or dataset.

    Raises:
        InputError: one of them is none.
    """
    for place in given:
        if not _files([place], "val"):
            raise InputError(f"{place}: expected images to compare on, got none; name others")


def _dataset(place: str, split: str) -> Dataset | None:
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


def _found(place: str) -> list[Path]:
    from delineate.data.find import find

    return [Path(file) for file in find([place])]


def _spread(items: Sequence[Any], most: int) -> list[Any]:
    """At most so many, evenly from first to last."""
    if len(items) <= most:
        return list(items)
    return [items[i * len(items) // most] for i in range(most)]


def verify_export(
    source: Model,
    path: Path,
    given: Sequence[str],
    precision: str,
    confidence: float | None,
    tolerance: float | None,
    quiet: bool,
) -> None:
    """Compare model and export, show the table; what differs too much is removed.

    Raises:
        InputError: it differs too much.
    """
    from delineate.runtime.beside import files_of

    try:
        _verify(source, path, given, precision, confidence, tolerance, quiet)
    except InputError:
        for file in files_of(path):
            file.unlink(missing_ok=True)
        raise


def _verify(
    source: Model,
    path: Path,
    given: Sequence[str],
    precision: str,
    confidence: float | None,
    tolerance: float | None,
    quiet: bool,
) -> None:
    from delineate.engine import export_check
    from delineate.runtime import parity
    from delineate.runtime.padded import Padded
    from delineate.runtime.session import Session

    session = Session(path, runtime="torch.export" if path.suffix.lower() == ".pt2" else None)
    images = _Read(_spread(_files(given, "val"), SOME))
    with bar("comparing", len(images), quiet) as step:
        found = parity.compare(source.network, session, images, confidence, step)
    rows = found.rows()
    padded = Padded(source.network, session)
    truth = [data for place in given if (data := _dataset(place, "val")) is not None]
    scored = []
    for data in truth:
        part = data.subset(_spread(range(len(data)), MANY))
        scored.append(export_check.score_both(padded, session, part, not quiet))
        rows.append(("images scored", str(scored[-1].images)))
        rows += [
            (f"{name}: model, export, difference", f"{ours:.4f}, {theirs:.4f}, {theirs - ours:+.4f}")
            for name, ours, theirs in scored[-1].rows()
        ]
    if not quiet:
        width = max(len(name) for name, _ in rows)
        for name, value in rows:
            tell(f"{name:<{width}}  {value}")
    for scores in scored:
        scores.check(str(path), export_check.LOST[precision] if tolerance is None else tolerance)
    if precision == "fp32":
        found.check(str(path))
    elif not scored:
        found.check(str(path), parity.LOST[precision] if tolerance is None else tolerance, precision)
    if not quiet:
        say(f"verified {path}: {found}")
