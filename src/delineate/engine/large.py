"""`predict_large`: images of any size, window by window, in memory that does not grow with them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.image_model import ImageModel
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.data.rasters import open_raster

from .agreement import Tile
from .large_journal import TileJournal, known_done, note_done
from .large_outputs import LargeOutputs
from .large_plan import Plan, make_plan
from .large_settings import LargeResult, LargeSettings
from .large_tables import Whole
from .large_windows import Read, ahead
from .predict import Progress
from .seams import Seams

if TYPE_CHECKING:
    from .load import Model

Finder = Callable[[NDArray[Any]], Instances]


def predict_large(
    model: Model | ImageModel | Finder,
    source: str | Path,
    out: str | Path,
    *,
    resume: bool = False,
    progress: Progress | None = None,
    **settings: Any,
) -> LargeResult:
    """Find the objects of an image of any size, and write them to files as they are found.

    The image is read by windows and never held whole. A model that sees a bounded surrounding, such as
    ``nuclei``, finds in the windows what it would find in the whole image; see the how-to page for what
    remains. What was found in each window is noted beside the results: a run that was cut off goes on from
    there with ``resume``, and its files are the same.

    Args:
        model: as :func:`delineate.load` gives it, a bare model, or a callable from pixels to
            :class:`Instances` in them.
        source: TIFF, OME-TIFF, SVS, COG, OME-Zarr, or any image that can be read.
        out: folder for the results.
        resume: go on with a run that was cut off.
        progress: called with (windows done, windows in all).
        settings: fields of :class:`LargeSettings`.

    Returns:
        How many objects, which windows were left out or damaged, and the files.

    Raises:
        InputError: not an image, a setting out of range, or a run of other settings to resume.
        MissingDependencyError: a package that a kind of file needs is not installed.

    Example:
        >>> import numpy as np, tempfile, tifffile
        >>> from delineate.core.masks import Masks
        >>> def bright(pixels):
        ...     return Instances(pixels.shape, masks=Masks.from_dense((pixels > 9)[None]))
        >>> picture = np.zeros((300, 400), np.uint8)
        >>> picture[120:140, 180:220] = 200
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     tifffile.imwrite(f"{folder}/a.tif", picture)
        ...     predict_large(bright, f"{folder}/a.tif", folder, tile=200, overlap=50, save=("csv",)).count
        1
    """
    chosen = LargeSettings(**settings)
    began, path = time.monotonic(), Path(source)
    folder = _folder(Path(out))
    place: dict[str, Any] = {"series": chosen.series, "time": chosen.time, "z": chosen.z}
    with open_raster(path, channels=chosen.channels, max_pixels=chosen.max_pixels, **place) as raster:
        plan = make_plan(model, raster, chosen)
        stem = chosen.stem or path.name.split(".")[0] or "image"
        whole = Whole(path.name, raster.size, chosen.pixel_size or raster.pixel_size)
        all_of_it = plan.what | {"save": chosen.save, "pixel_size": whole.pixel_size}
        before = folder / f".{stem}.done.json"
        if resume and (told := known_done(before, all_of_it)) is not None:
            known = LargeResult.of_plain(told, folder)
            if all(file.exists() for file in known.files.values()):
                return known
        before.unlink(missing_ok=True)
        run = _Run(plan, chosen, folder, stem, whole)
        with TileJournal(folder / f".{stem}.tiles.journal", plan.what, resume) as journal:
            try:
                files = run.all(journal, progress)
            except BaseException:
                run.abort()
                raise
            notes = (*raster.notes, *plan.notes)
            done = replace(run.result, files=files, notes=notes, seconds=time.monotonic() - began)
            note_done(before, all_of_it, done.plain())
            journal.finish()
        return done


def _folder(out: Path) -> Path:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"--out {out}: expected a folder to write in, got {error.strerror or error}; choose another"
        ) from None
    return out


class _Run:
    """One run over an image: windows in, objects out."""

    def __init__(self, plan: Plan, chosen: LargeSettings, folder: Path, stem: str, whole: Whole) -> None:
        self.plan, self.chosen = plan, chosen
        self.folder, self.stem, self.whole = folder, stem, whole
        self.outputs: LargeOutputs | None = None
        self.seams = Seams(plan.region.size)
        self.done = self.read = self.blank = self.resumed = 0
        self.damaged: list[tuple[int, int, int, str]] = []

    @property
    def result(self) -> LargeResult:
        """What became of the image."""
        out, plan = self.outputs, self.plan
        assert out is not None
        return LargeResult(
            count=out.count,
            classes={n: int(c) for n, c in zip(out.classes.names, out.found, strict=True) if c},
            size=plan.region.size,
            tiles=plan.total,
            glass=plan.total - len(plan.looked_at),
            blank=self.blank,
            damaged=tuple(self.damaged),
            resumed=self.resumed,
        )

    def all(self, journal: TileJournal, progress: Progress | None) -> dict[str, Path]:
        """Looks at every window; returns the files by kind.

        Raises:
            InputError: nothing of the image can be read.
        """
        rows, height = self.plan.rows, self.plan.region.size[0]
        tiles = self._tiles(journal)
        for row, below in zip(rows, [*(r[0][1] for r in rows[1:]), height], strict=True):
            for window in row:
                if window in self.plan.looked_at:
                    found = next(tiles)
                    self.read += found is not None
                    if found is not None:
                        self.seams.add(Tile(window, found))
                        self._open(found.classes)
                self.done += 1
                if progress is not None:
                    progress(self.done, self.plan.total)
            top, finished = self.seams.finished(below)
            if self.outputs is not None:
                self.outputs.add(top, finished)
                self.outputs.paint(self.seams.final)
        if self.damaged and not self.read:
            raise InputError(self.damaged[0][3])
        outputs = self._open(Labels(("object",)))
        outputs.paint(height)
        return outputs.close()

    def _open(self, classes: Labels) -> LargeOutputs:
        if self.outputs is None:
            kinds, region = self.chosen.save, self.plan.region
            self.outputs = LargeOutputs(self.folder, self.stem, kinds, region, self.whole, classes)
        return self.outputs

    def abort(self) -> None:
        """Leaves nothing behind but the journal."""
        if self.outputs is not None:
            self.outputs.abort()

    def _tiles(self, journal: TileJournal) -> Iterator[Instances | None]:
        """What was found in each window that is looked at, in order: as noted, else by the model."""
        order = self.plan.order
        self.resumed = len(journal)
        for index in range(self.resumed):
            note, found = journal.get(index)
            self._count(note)
            yield found
        for read in ahead(self.plan.region.read, order[self.resumed :], self.chosen.workers):
            note, found = look_at(self.plan, read)
            journal.add(note, found)
            self._count(note)
            yield found

    def _count(self, note: Mapping[str, Any]) -> None:
        self.blank += bool(note["blank"])
        if note["damaged"]:
            x, y, blocks, reason = note["damaged"]
            self.damaged.append((x, y, blocks, reason))


def look_at(plan: Plan, read: Read) -> tuple[dict[str, Any], Instances | None]:
    """What is noted of a window, and its objects; None where it cannot be read."""
    corner = (plan.region.x + read.window[0], plan.region.y + read.window[1])
    note: dict[str, Any] = {"damaged": [*corner, read.damaged, read.reason] if read.reason else None}
    return note | {"blank": read.blank}, _objects(plan, read)


def _objects(plan: Plan, read: Read) -> Instances | None:
    if read.pixels is None:
        return None
    size = (int(read.pixels.shape[0]), int(read.pixels.shape[1]))
    if read.blank and plan.classes is not None:
        return Instances.empty(size, plan.classes)
    found = plan.find(read.pixels)
    if found.size != size:
        raise InputError(
            f"predict_large: expected objects in the window's pixels {size}, got a result for "
            f"{found.size}; do not resize in the predictor"
        )
    return found
