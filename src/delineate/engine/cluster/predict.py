"""`predict_cluster`: the objects of any number of images, on any number of machines, each counted once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from delineate.core.errors import InputError

from ..batch_outputs import parse_kinds
from ..batch_sources import Reading
from ..large_places import LARGE
from .chunks import Chunk, Work, chunks_of, run_here, size_for
from .commits import CommitLog
from .finish import check_once, finish
from .places import Place, as_written
from .predict_work import PredictWork
from .ray_data import Cluster, connected, ray_package, run_on_ray
from .slide_run import slides
from .sources import digest, rows_of

CHUNK = 32
"""Most images of a chunk: some seconds of work, so that handing it out costs nothing beside it."""
DEFAULT_READING = Reading()
Tell = Callable[[Mapping[str, Any]], object]


@dataclass(frozen=True)
class ClusterReport:
    """What became of a run.

    Attributes:
        images: how many images are done (pages count each).
        objects: how many were found in them.
        failed: ``file``, ``reason`` and ``lost`` (whether workers died of it) of each that is not done.
        files: where the tables lie, by kind.
        known: how many of the rows were done in an earlier run.
    """

    images: int
    objects: int
    failed: tuple[Mapping[str, Any], ...]
    files: Mapping[str, str]
    known: int = 0


def predict_cluster(
    inputs: str | Path | Sequence[str | Path],
    out: str | Path,
    model: Any = "nuclei",
    cluster: Cluster | None = None,
    *,
    save: str = "parquet",
    reading: Reading = DEFAULT_READING,
    chunk: int | None = None,
    resume: bool = False,
    tell: Tell | None = None,
    begin: Callable[[int, int], object] | None = None,
    device: str = "",
    stain: Any = None,
    pixel_size: float | None = None,
    plate: bool = False,
    large: int = LARGE,
    windows: Mapping[str, Any] | None = None,
    **finding: Any,
) -> ClusterReport:
    """Find the objects of many images on many machines; every image counts exactly once.

    Args:
        inputs: files, folders, patterns, URIs of them (``s3://bucket/images``), WebDataset shards
            (``shard-{0000..0099}.tar``).
        out: a folder that every machine sees, or a URI.
        model: a name of the zoo, a file of weights that every machine can read, or a callable that pickles.
        cluster: which machines; None does everything in this process, with the same files.
        save: kinds of files, as ``delineate predict --save`` takes them. ``parquet`` are partitions:
            folders ``measurements.parquet`` and ``images.parquet``.
        reading: channels, projections of stacks, limits.
        chunk: images that a worker does in one go; None: 1 to 32, by how many there are.
        resume: go on with a run whose driver died.
        tell: called with what is told of each chunk when it is done.
        begin: called with the number of rows, and of those that are done already.
        device: where to compute; empty: a GPU where the worker has one.
        stain: brings stained slides to like colours.
        pixel_size: side of a pixel in µm; None takes what each file says.
        plate: tell wells from file names.
        large: images of more pixels are looked at by windows, which are shared out too.
        windows: ``region``, ``tissue`` and ``overlap`` of :class:`LargeSettings`; with one of them every
            image is looked at by windows.
        **finding: settings of :meth:`Model.predict`: ``confidence`` (0.5 unless given), ``tile``, ...

    Raises:
        InputError: nothing there, an unfinished run without ``resume``, no cluster.
        MissingDependencyError: Ray, or the package of a protocol, is not installed.

    Example:
        >>> import numpy as np
        >>> from delineate.core.instances import Instances
        >>> from delineate.core.masks import Masks
        >>> from delineate.data.images import write_png
        >>> class Bright:
        ...     def predict(self, pixels, **_):
        ...         return Instances(pixels.shape, masks=Masks.from_dense((pixels > 9)[None]))
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = write_png(Path(folder) / "a.png", np.eye(8, dtype=np.uint8) * 99)
        ...     report = predict_cluster(folder, Path(folder) / "out", Bright())
        >>> report.images, report.objects
        (1, 1)
    """
    from ..predict import check_settings

    if cluster is not None:
        ray_package()  # what is missing first: its extra brings the rest
    texts = [as_written(one) for one in ([inputs] if isinstance(inputs, str | Path) else inputs)]
    kinds = parse_kinds(save)
    if not kinds:
        raise InputError("--save: expected some kind of file with --cluster, got none; give --save parquet")
    windows = windows or {}
    finding = {"confidence": 0.5, **finding}
    check_settings(**finding)
    place = Place(as_written(out))
    rows = rows_of(texts, place.local)
    chunk = size_for(len(rows), CHUNK) if chunk is None else chunk
    named = str(model) if isinstance(model, str | Path) else getattr(model, "name", type(model).__name__)
    what = {"model": named, "save": list(kinds), "pixel_size": pixel_size, "plate": plate, "chunk": chunk}
    what |= {**finding, **asdict(reading), "stain": "" if stain is None else stain.method, **windows}
    what |= {"rows": len(rows), "images": digest(rows), "large": large}
    log = CommitLog(place, what, resume)
    least = -1 if any(value is not None for value in windows.values()) else large
    work = PredictWork(model, finding, reading, place, kinds, device, stain, pixel_size, plate, least)
    chunks = chunks_of(rows, chunk)
    known = sum(len(c.rows) for c in chunks if c.number in log.done)
    with ExitStack() as held:
        if cluster is not None:
            held.enter_context(connected(cluster))
        if begin is not None:
            begin(len(rows), known)
        do = partial(commit, log=log, cluster=cluster, tell=tell)
        do(work, chunks)
        check_once(log, rows, range(len(chunks)))
        by_windows = [row for c in chunks for row in log.done[c.number]["large"]]
        large_rows = [rows[row] for row in by_windows]
        after = (len(chunks), len(rows))
        whole = slides(large_rows, work, log, do, windows, after) if large_rows else []
    files = finish(place, log, rows, work)
    for image in whole:
        files |= {f"{image['file']} {kind}": place.uri(name) for kind, name in image["files"].items()}
    return report_of(log, files, known)


def commit(
    work: Work, chunks: Sequence[Chunk], log: CommitLog, cluster: Cluster | None, tell: Tell | None = None
) -> None:
    """Does every chunk that the log does not have, and notes it there; an interrupt keeps what is done."""
    left = [one for one in chunks if one.number not in log.done]
    run = run_here if cluster is None else partial(run_on_ray, cluster=cluster)
    with closing(run(work, left)) as answers:  # type: ignore[type-var]
        try:
            for one, told in answers:
                if log.add(one.number, told) and tell is not None:
                    tell(told)
        finally:
            log.commit()


def report_of(log: CommitLog, files: Mapping[str, str], known: int = 0) -> ClusterReport:
    """What the log tells of a run."""
    told = [log.done[number] for number in sorted(log.done)]
    failed = tuple(one for part in told for one in part["failed"])
    images, objects = (sum(part[key] for part in told) for key in ("images", "objects"))
    return ClusterReport(images, objects, failed, files, known)
