"""`--cluster`: what the command line says of runs on many workers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from .messages import say, tell

if TYPE_CHECKING:
    from delineate.engine.cluster.predict import ClusterReport

ClusterOption = Annotated[
    str,
    typer.Option(
        "--cluster",
        help="Share the work out by Ray Data: local, auto or ray://host:10001; --workers says how far.",
    ),
]
ClusterWorkers = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option("--workers", help="With --cluster: so many at once. Default: as many as there is room for."),
]
SAVED = "parquet"
"""What a run on a cluster writes where nothing is said: partitions, which no single file can hold up."""


def predict_on_cluster(
    inputs: Sequence[str],
    out: Path,
    model: str,
    address: str,
    *,
    workers: int | None,
    quiet: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """The objects of many images on many workers; ends the command with its exit code."""
    from delineate.engine.cluster.predict import predict_cluster
    from delineate.engine.cluster.ray_data import Cluster

    cluster = Cluster(address, workers)
    with progress("images", quiet) as (begin, tick):

        def told(part: Mapping[str, Any]) -> None:
            tick(len(part["rows"]))
            for one in part["failed"]:
                say(f"error: {one['file']}: {one['reason']}")

        report = predict_cluster(
            list(inputs), out, model or "nuclei", cluster, tell=told, begin=begin, **settings
        )
    show(report, quiet, as_json)


def show(report: ClusterReport, quiet: bool, as_json: bool) -> None:
    """The last word of a run, and the command's exit code."""
    from delineate import __version__

    if as_json:
        document = {"delineate": __version__, "images": report.images, "objects": report.objects}
        document |= {"failed": list(report.failed), "files": dict(report.files), "known": report.known}
        typer.echo(json.dumps(document, indent=2, allow_nan=False))
    elif not quiet:
        parts = [f"{report.images} image{'s'[: report.images != 1]}"]
        parts += [f"{report.known} of them done before"] if report.known else []
        parts += [f"{report.objects} object{'s'[: report.objects != 1]}"]
        parts += [f"{len(report.failed)} failed"] if report.failed else []
        tell(", ".join(parts) + "; wrote " + ", ".join(report.files.values()))
    raise typer.Exit((1 if report.images else 2) if report.failed else 0)


@contextmanager
def progress(
    what: str, quiet: bool
) -> Iterator[tuple[Callable[[int, int], object], Callable[[int], object]]]:
    """A progress bar on a terminal's stderr; what is given begins it and moves it on."""
    import sys

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, quiet=quiet or not sys.stderr.isatty())
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield (
            lambda total, done: bar.update(task, total=total, completed=done),
            lambda more: bar.advance(task, more),
        )
