"""`delineate benchmark`: how long models take here, stage by stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import Json, Quiet

if TYPE_CHECKING:
    from delineate.engine.benchmark import Timing

EPILOG = """Examples:

delineate benchmark nuclei --images photos/

delineate benchmark nuclei --images photos/ --runtime eager,onnxruntime,openvino --threads 1

delineate benchmark mine.safetensors mine-int8.xml --images photos/ --size 640 --json

Exit codes: 0 all measured; 1 some were not, the others are; 2 nothing was."""

SOME = 16  # images of a folder that are looked at


def benchmark_command(
    models: Annotated[
        list[str], typer.Argument(help="Names of the zoo, weights files, exported files.", metavar="MODEL...")
    ],
    images: Annotated[
        list[str] | None,
        typer.Option(help="Images or folders to look at, the first 16; repeatable. Default: a drawn crowd."),
    ] = None,
    runtime: Annotated[
        str,
        typer.Option(help="Of eager, compiled, onnxruntime, openvino; commas between. Default: eager."),
    ] = "",
    size: Annotated[
        str, typer.Option(help="Resize images first: SIDE, or HEIGHT,WIDTH. Default: as they are.")
    ] = "",
    batch: Annotated[int, typer.Option(help="So many images at once; 1 goes the way of predict.")] = 1,
    threads: Annotated[
        int | None, typer.Option(help="Threads of the processor. Default: all.", show_default=False)
    ] = None,
    repeat: Annotated[int, typer.Option(help="How often each image is seen, after once to warm up.")] = 5,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure how long models take on this machine: reading, preparing, network, results, masks.

    Each model and runtime has a process of its own. Times are wall clock for one image: the median of all
    passes, and between which times 8 of 10 lie.
    """
    import json
    import tempfile

    from delineate.engine.benchmark import benchmark, machine

    from .bars import bar
    from .export_run import frame

    side = frame(size)
    names = [name.strip() for name in runtime.split(",") if name.strip()]
    with tempfile.TemporaryDirectory(prefix="delineate-drawn-") as folder:
        files = _files(images) if images else [_drawn(folder)]
        total = len(models) * max(1, len(names))
        with bar("measuring", total, quiet or as_json) as step:
            found = benchmark(
                models,
                files,
                runtimes=names,
                size=(side, side) if isinstance(side, int) else side,
                batch=batch,
                threads=threads,
                repeat=repeat,
                told=lambda _: step(),
            )
    here = machine()
    if as_json:
        typer.echo(json.dumps({"machine": here, "timings": [t.__dict__ for t in found]}, indent=1))
    elif not quiet:
        _show(found, here)
    failures = [t for t in found if t.failure]
    _tell_failures(failures)
    if failures:
        raise typer.Exit(2 if len(failures) == len(found) else 1)


def _files(given: list[str]) -> list[Any]:
    from delineate.data.find import find

    return find(given)[:SOME]


def _drawn(folder: str) -> str:
    """A picture with objects that touch, 640 x 640."""
    from pathlib import Path

    from delineate.data.synthetic import SceneSettings, crowd_scene
    from delineate.data.write import write_png

    scene = crowd_scene(1, SceneSettings(size=(640, 640), objects=60, crowding=0.5))
    return str(write_png(Path(folder) / "crowd.png", scene.image))


def _show(found: list[Timing], here: dict[str, Any]) -> None:
    """The table, and what it was measured on."""
    from delineate.engine.benchmark import STAGES

    from .messages import tell

    columns = [
        "model",
        "runtime",
        *STAGES,
        "total",
        "80 % lie in",
        "cpu",
        "images/s",
        "objects",
        "MB",
        "file MB",
    ]
    rows = [_row(timing, STAGES) for timing in found if not timing.failure]
    if not rows:
        return
    widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]
    for row in [columns, *rows]:
        cells = [
            text.ljust(width) if i < 2 else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        tell("  ".join(cells).rstrip())
    made = {name: number for t in found for name, number in t.versions.items()}
    tell("milliseconds an image, median; MB: largest memory of the process")
    tell(
        f"{here['processor']}, {here['cores']} cores, {here['memory_gb']} GB, load {here['load']}; "
        + ", ".join(f"{name} {number}" for name, number in made.items())
    )


def _row(timing: Timing, stages: tuple[str, ...]) -> list[str]:
    from pathlib import Path

    total = timing.median["total"]
    return [
        Path(timing.model).name,
        timing.runtime,
        *(f"{timing.median[name]:.1f}" for name in stages),
        f"{total:.1f}",
        f"{timing.low['total']:.1f}-{timing.high['total']:.1f}",
        f"{timing.cpu['total']:.1f}",
        f"{1000 / total:.1f}" if total else "-",
        str(timing.objects),
        f"{timing.memory:.0f}",
        f"{timing.weights / 1e6:.1f}" if timing.weights else "-",
    ]


def _tell_failures(failures: list[Timing]) -> None:
    from .messages import say

    for timing in failures:
        say(f"not measured: {timing.model} in {timing.runtime}: {timing.failure}")
