"""`delineate predict`: from image and video files to outlined, counted, measured objects."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from .messages import only_errors
from .options import Device, Json, Quiet
from .predict_run import PredictRun

SAVED = "overlay,coco,labels,csv"
EPILOG = """Examples:

delineate predict image.tif

delineate predict plates/ --out results --save overlay,labels,csv --pixel-size 0.325

delineate predict '**/*.png' --weights runs/mine/best.safetensors --confidence 0.3

delineate predict clip.mp4 --out results

delineate predict street.jpg --task panoptic --weights panoptic.safetensors

cat image.png | delineate predict - --json

Exit codes: 0 every image done; 1 some failed, the rest is done; 2 wrong usage, or nothing could be done."""


def predict_command(
    inputs: Annotated[
        list[str], typer.Argument(help="Files, folders, patterns in quotes, or - for standard input.")
    ],
    model: Annotated[
        str,
        typer.Option(help="Name of the zoo (see `delineate models`), or your weights file. Default: nuclei."),
    ] = "",
    weights: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Weights that `delineate train` wrote."),
    ] = None,
    task: Annotated[
        str, typer.Option(help="instance: objects; panoptic: things and stuff; semantic: classes of pixels.")
    ] = "instance",
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("delineate-out"),
    save: Annotated[
        str, typer.Option(help="Some of overlay,coco,labels,csv,geojson,crops; or none.")
    ] = SAVED,
    confidence: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Keep objects with a score above it, 0..1. Default: 0.5; panoptic: the model's."),
    ] = None,
    iou: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Suppress objects that overlap a better one more, 0..1. Default: the model's."),
    ] = None,
    max_det: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="At most so many objects per image. Default: the model's."),
    ] = None,
    tile: Annotated[
        str, typer.Option(help="auto: as the model asks; 0: never; N: windows of N pixels.")
    ] = "auto",
    channels: Annotated[str, typer.Option(help="Channels to look at, from 0: one, or three as 0,1,2.")] = "",
    page: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Page of a multi-page TIFF, from 0. Default: all of them."),
    ] = None,
    pixel_size: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Side of a pixel in µm, for the table. Default: what each file says."),
    ] = None,
    device: Device = "",
    max_pixels: Annotated[int, typer.Option(help="Refuse larger images.")] = 200_000_000,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find, outline, count and measure the objects in images."""
    from delineate.core.errors import InputError
    from delineate.measurements.units import check_pixel_size

    from .outputs import Outputs, parse_kinds
    from .segments import SegmentOutputs, kinds_of, parse_task

    if quiet:
        only_errors()
    kinds = parse_kinds(save)
    whole = parse_task(task) != "instance"
    if whole:
        kinds = kinds_of(task, kinds, default=save == SAVED)
    elif confidence is None:
        confidence = 0.5
    check_pixel_size(pixel_size, "µm")
    reading: dict[str, Any] = {"channels": _numbers(channels), "page": page, "max_pixels": max_pixels}
    finding: dict[str, Any] = {"confidence": confidence, "iou": iou, "max_det": max_det, "tile": _tile(tile)}
    run = PredictRun(reading, finding, quiet=quiet, as_json=as_json, task=task)
    sources = run.find(inputs, out)
    if not sources:
        run.finish(None, 2)
    from delineate.engine.load import load
    from delineate.engine.predict import check_settings

    check_settings(**finding)
    run.model = load(model or None, weights=weights, device=device or None)
    known = frozenset(Path(s).resolve() for s in sources if s != "-")
    outputs = (SegmentOutputs if whole else Outputs)(out, kinds, known, pixel_size)
    if isinstance(outputs, SegmentOutputs):
        outputs.task = task
    try:
        run.all(sources, outputs)
    finally:  # an interrupt keeps what is done
        written = outputs.close() if any("frames" not in r for r in run.images) else {}
    if not run.images and not run.failed:
        raise InputError("predict: expected at least one image, got none")
    run.finish(written, (1 if run.images else 2) if run.failed else 0)


def _numbers(text: str) -> tuple[int, ...] | None:
    from delineate.core.errors import InputError

    if not text:
        return None
    with suppress(ValueError):
        numbers = tuple(int(part) for part in text.split(","))
        if len(numbers) in (1, 3) and min(numbers) >= 0:
            return numbers
    raise InputError(f"--channels: expected one or three numbers from 0 as 0,1,2, got {text!r}; count from 0")


def _tile(text: str) -> int | str:
    from delineate.core.errors import InputError

    if text == "auto":
        return text
    with suppress(ValueError):
        return int(text)
    raise InputError(f"--tile: expected auto, 0 or a number of pixels, got {text!r}; give for example 1024")
