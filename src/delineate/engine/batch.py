"""Thousands of images in one go: read ahead, looked at one by one, written behind, noted against a kill.

The images' order decides names and numbers, not the order in which anything finishes: a run that was killed
and taken up again leaves the same files, byte by byte, as one that was not.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from delineate.core.errors import DelineateError
from delineate.data.images import ImageFile
from delineate.data.video import is_video

from .batch_ahead import ahead
from .batch_journal import BatchJournal
from .batch_outputs import Outputs
from .batch_sources import Reading, Unit, images_of

if TYPE_CHECKING:
    from delineate.data.stain import Normaliser

WAITING = 2
"""So many images may wait to be written while the next is looked at."""


class Writes(Protocol):
    """What takes up an image's objects: :class:`~delineate.engine.batch_outputs.Outputs` or the like."""

    def add(self, image: ImageFile, stem: str, name: str, found: Any) -> dict[str, Any]: ...  # noqa: D102

    def stem(self, base: str) -> str: ...  # noqa: D102


@dataclass(frozen=True)
class Source:
    """One input of a run.

    Attributes:
        path: the file, or ``-``.
        name: what it is called in the run's files.
        stem: what its own files are called, without ending.
        stamp: size and time of the file; empty where it may change unseen.
    """

    path: str
    name: str
    stem: str
    stamp: str


@dataclass(frozen=True, eq=False)
class Step:
    """What became of one image.

    Attributes:
        source: the input it is of.
        record: what is told of it: ``file``, ``page``, ``width``, ``height``, ``count``, ``classes``,
            ``files``, ``summary``, ``notes``, ``seconds``; None where it failed, or is a video.
        error: why it failed.
        page: which page failed, where it is one of several.
        known: it was done in an earlier run.
        last: nothing more comes of this source.
    """

    source: Source
    record: dict[str, Any] | None = None
    error: Exception | None = None
    page: int | None = None
    known: bool = False
    last: bool = False


def sources_of(paths: Sequence[str], outputs: Writes) -> list[Source]:
    """The inputs of a run with a name and a stem of their own each."""
    names = names_of(paths)
    return [Source(p, names[p], outputs.stem(Path(names[p]).stem), stamp_of(p)) for p in paths]


def names_of(paths: Sequence[str]) -> dict[str, str]:
    """What each input is called in the run's files: its name alone where that tells it from the rest."""
    names = {p: "stdin" if p == "-" else Path(p).name for p in paths}
    often = Counter(names.values())
    return {p: name if often[name] == 1 else p for p, name in names.items()}


def stamp_of(path: str) -> str:
    """Size and time of a file; of a folder, of what describes it. Empty for standard input."""
    if path == "-":
        return ""
    place = Path(path)
    files = [place / name for name in ("zarr.json", ".zattrs")] if place.is_dir() else [place]
    stats = [file.stat() for file in files if file.exists()]
    return " ".join(f"{s.st_size}-{s.st_mtime_ns}" for s in stats)


class Batch:
    """One run over many images.

    Args:
        look: from an image's pixels to its objects.
        outputs: what writes them.
        reading: how files are read.
        journal: what is done already is taken from it; what is done is noted in it. None keeps no notes.
        stain: how stained images are made alike before they are looked at; None leaves them.
    """

    def __init__(
        self,
        look: Callable[[NDArray[Any]], Any],
        outputs: Writes,
        reading: Reading,
        journal: BatchJournal | None = None,
        stain: Normaliser | None = None,
    ) -> None:
        self.look, self.outputs, self.reading, self.journal, self.stain = (
            look,
            outputs,
            reading,
            journal,
            stain,
        )

    def run(self, sources: Sequence[Source]) -> Iterator[Step]:
        """Every image of every source, in order; a video comes out as a step without record or error.

        When the caller stops, what was found is still written and noted.
        """
        behind: deque[Step | Future[Step]] = deque()
        jobs = ahead(self._jobs(sources))
        with ThreadPoolExecutor(1, "writing behind") as writer:
            try:
                for job in jobs:
                    if isinstance(job, Step):
                        behind.append(job)
                    else:
                        behind.append(self._looked(job, writer))
                    video = isinstance(job, Step) and job.record is None and job.error is None
                    while behind and (len(behind) > WAITING or video):
                        yield _settled(behind.popleft())
                while behind:
                    yield _settled(behind.popleft())
            finally:
                jobs.close()  # type: ignore[attr-defined]

    def _jobs(self, sources: Sequence[Source]) -> Iterator[Step | tuple[Source, Unit, NDArray[Any]]]:
        """What is to be done, decoded; what is done already, and what cannot be read, as steps."""
        for source in sources:
            page: int | None = None
            try:
                if source.path != "-" and is_video(source.path):
                    yield Step(source, last=True)
                    continue
                known = self._known(source)
                count = self.journal.units(source.path, source.stamp) if self.journal is not None else None
                for number in sorted(known):
                    yield Step(source, known[number], known=True, last=len(known) == count)
                if count is not None and len(known) == count:
                    continue
                for unit in images_of(source.path, self.reading, known.__contains__, count):
                    page = unit.number if unit.count > 1 else None
                    pixels, note = unit.image.pixels, ""
                    if self.stain is not None:
                        pixels, note = self.stain(pixels)
                    if note:
                        image = replace(unit.image, notes=(*unit.image.notes, note))
                        unit = replace(unit, image=image)
                    yield source, unit, pixels
            except Exception as error:
                yield Step(source, error=error, page=page, last=True)

    def _known(self, source: Source) -> dict[int, dict[str, Any]]:
        """What is told of the source's images that are done, by number."""
        if self.journal is None or not source.stamp:
            return {}
        count = self.journal.units(source.path, source.stamp)
        known: dict[int, dict[str, Any]] = {}
        for number in range(count or 0):
            entry = self.journal.get(source.path, number, source.stamp)
            if entry is None or entry["stem"] != source.stem or entry["name"] != source.name:
                continue
            if all(Path(p).exists() for p in entry["told"]["files"].values()):
                known[number] = {**entry["told"], "seconds": 0.0}
        return known

    def _looked(
        self, job: tuple[Source, Unit, NDArray[Any]], writer: ThreadPoolExecutor
    ) -> Step | Future[Step]:
        source, unit, pixels = job
        begin = time.monotonic()
        try:
            found = self.look(pixels)
        except Exception as error:
            return Step(source, error=error, page=_page(unit), last=unit.number == unit.count - 1)
        return writer.submit(self._write, source, unit, found, time.monotonic() - begin)

    def _write(self, source: Source, unit: Unit, found: Any, looked: float) -> Step:
        begin = time.monotonic()
        last = unit.number == unit.count - 1
        try:
            entry = entry_of(source, unit, found, self.outputs)
            told = entry["told"]
            if self.journal is not None:
                self.journal.add(source.path, unit.number, unit.count, source.stamp, entry)
        except Exception as error:
            return Step(source, error=error, page=_page(unit), last=last)
        seconds = round(looked + time.monotonic() - begin, 3)
        return Step(source, told | {"seconds": seconds}, last=last)


def entry_of(source: Source, unit: Unit, found: Any, outputs: Writes) -> dict[str, Any]:
    """Writes an image's own files; what the notes of the run keep of it."""
    stem = source.stem + unit.suffix
    entry = outputs.add(unit.image, stem, source.name, found)
    head: dict[str, Any] = {
        "file": "stdin" if source.path == "-" else source.path,
        "page": _page(unit),
        "width": found.size[1],
        "height": found.size[0],
    }
    told = head | entry["told"] | {"notes": list(unit.image.notes)}
    return entry | {"told": told, "stem": source.stem, "name": source.name}


def _settled(step: Step | Future[Step]) -> Step:
    return step if isinstance(step, Step) else step.result()


def _page(unit: Unit) -> int | None:
    return unit.number if unit.count > 1 else None


def reason_of(error: Exception, name: str) -> str:
    """Why an image failed, in one line."""
    if isinstance(error, DelineateError):
        text = str(error)
    elif isinstance(error, OSError):
        text = f"{error.strerror or error}; choose another place"
    elif isinstance(error, MemoryError):
        text = "not enough memory; try --tile 512, or a smaller image"
    else:
        text = f"a fault of delineate, please report it: {type(error).__name__}: {error}"
    return " ".join(text.split()).removeprefix(f"{name}: ")


@dataclass(frozen=True)
class BatchReport:
    """What a run did.

    Attributes:
        images: how many are done.
        objects: how many were found in them.
        failed: ``file``, ``page`` and ``reason`` of each that could not be done.
        files: path by kind of the run's tables.
    """

    images: int
    objects: int
    failed: tuple[Mapping[str, Any], ...]
    files: Mapping[str, str]


def open_journal(
    folder: Path, outputs: Outputs, what: Mapping[str, Any], resume: bool
) -> BatchJournal | None:
    """The notes of a run; None where nothing is written, or nothing could be noted."""
    from .batch_outputs import JOURNAL_FILE

    if not outputs.kinds and not outputs.plate:
        return None
    settings = {"save": list(outputs.kinds), "pixel_size": outputs.pixel_size, "plate": outputs.plate}
    return BatchJournal(folder / JOURNAL_FILE, {**settings, **what}, resume)
