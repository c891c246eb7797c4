"""Thousands of images from Python, with the files, tables and notes of `delineate predict`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.data.find import find
from delineate.data.stain import Normaliser

from .batch import Batch, BatchReport, open_journal, reason_of, sources_of
from .batch_outputs import Outputs, parse_kinds
from .batch_sources import Reading
from .load import Model, load

DEFAULT_READING = Reading()


def predict_many(
    inputs: str | Path | Sequence[str | Path],
    out: str | Path,
    model: str | Path | Model | Callable[[NDArray[Any]], Instances] = "nuclei",
    *,
    save: str = "coco,labels,csv",
    reading: Reading = DEFAULT_READING,
    stain: Normaliser | None = None,
    pixel_size: float | None = None,
    plate: bool = False,
    resume: bool = False,
    tell: Callable[[dict[str, Any]], object] | None = None,
    **finding: Any,
) -> BatchReport:
    """Find the objects of many images, one bad file never stopping the rest.

    The next image is decoded while the present one is looked at, and the last one written. Memory does not
    grow with the number of images but by some hundred bytes each. Every image is noted on disk when it is
    done: after a kill the same call with ``resume=True`` does what is left and gives the same files.

    Args:
        inputs: files, folders and patterns; images alone, no videos.
        out: folder of the results.
        model: a name of the zoo, a file of weights, a model, or any callable from pixels to objects (then
            resuming takes it for granted that it is the same one).
        save: kinds of files, as ``delineate predict --save`` takes them.
        reading: channels, projections of stacks, limits.
        stain: brings stained slides to like colours before they are looked at.
        pixel_size: side of a pixel in µm; None takes what each file says.
        plate: tell wells from file names: a table of them and a heat map.
        resume: go on with a run that was cut off.
        tell: called with what is told of each image: ``file``, ``count``, ``files`` and so on; of a failed
            one ``file``, ``page`` and ``reason``.
        **finding: settings of :meth:`Model.predict`: ``confidence`` (0.5 unless given), ``tile``, ...

    Raises:
        InputError: nothing there, unknown kinds, an unfinished run without ``resume``.

    Example:
        >>> import numpy as np, tempfile
        >>> from delineate.data.images import write_png
        >>> def bright(pixels):
        ...     from delineate.core.masks import Masks
        ...     return Instances(pixels.shape, masks=Masks.from_dense((pixels > 9)[None]))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = write_png(Path(folder) / "a.png", np.eye(8, dtype=np.uint8) * 99)
        ...     report = predict_many(folder, Path(folder) / "out", bright)
        >>> report.images, report.objects, sorted(report.files)
        (1, 1, ['coco', 'columns', 'csv', 'images', 'totals'])
    """
    paths = [str(path) for path in find([inputs] if isinstance(inputs, str | Path) else list(inputs))]
    kinds = parse_kinds(save)
    outputs = Outputs(Path(out), kinds, frozenset(Path(p).resolve() for p in paths), pixel_size, plate)
    sources = sources_of(paths, outputs)
    named = model if isinstance(model, str | Path) else getattr(model, "name", type(model).__name__)
    told = {"model": str(named), "weights": "", **finding, **asdict(reading)}
    told["stain"] = "" if stain is None else stain.method
    journal = open_journal(outputs.folder, outputs, told, resume)
    look = _look(model, {"confidence": 0.5, **finding} if not _is_function(model) else finding)
    failed: list[dict[str, Any]] = []
    images = objects = 0
    files: dict[str, str] = {}
    try:
        for step in Batch(look, outputs, reading, journal, stain).run(sources):
            if step.record is not None:
                images, objects = images + 1, objects + step.record["count"]
                record = step.record
            else:
                error = step.error or InputError("expected an image, got a video; use delineate.track for it")
                reason = reason_of(error, step.source.path)
                record = {"file": step.source.path, "page": step.page, "reason": reason}
                failed.append(record)
            if tell is not None:
                tell(record)
    finally:  # an interrupt keeps what is done
        if journal is not None:
            stamps = {source.path: source.stamp for source in sources}
            files = outputs.close(journal, stamps, failed) if len(journal) else {}
            journal.close()
    if journal is not None:
        journal.end(whole=not failed)
    return BatchReport(images, objects, tuple(failed), files)


def _is_function(model: Any) -> bool:
    """Whether it is a bare function, which takes no settings."""
    return not isinstance(model, str | Path) and not hasattr(model, "predict")


def _look(model: Any, finding: dict[str, Any]) -> Callable[[NDArray[Any]], Instances]:
    if _is_function(model):
        if finding:
            raise InputError(
                f"predict_many: expected no settings with a function, got {', '.join(finding)}; set them "
                "in it"
            )
        return model  # type: ignore[no-any-return]
    net = load(model) if isinstance(model, str | Path) else model
    return lambda pixels: net.predict(pixels, **finding)
