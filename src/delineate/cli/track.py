"""`delineate track`: objects of a video with identities over time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from .options import Device, Quiet

EPILOG = """Examples:

delineate track clip.mp4 --out tracks

delineate track frames/ --model maskrcnn_resnet50_fpn --classes person,car --save overlay,mots,table

delineate track clip.mp4 --detections clip.frames.json --tracker bytetrack

delineate track long.mp4 --out tracks --resume

delineate track crossing.mp4 --homography points.csv --save overlay,trajectories

delineate track cells/ --tracker cells --save ctc,overlay --rate 0.1

Exit codes: 0 every frame done; 1 some frames were damaged, the rest is done; 2 wrong usage, or nothing could
be done; 130 interrupted: the files hold what was done, and --resume goes on."""


def track_command(
    source: Annotated[
        str, typer.Argument(help="A video, a folder of images, a camera or a stream's address.")
    ],
    model: Annotated[
        str,
        typer.Option(help="Name of the zoo (see `delineate models`), or your weights file. Default: nuclei."),
    ] = "",
    detections: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Stored results instead of a model: COCO, MOT or MOTS text, label images."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("delineate-out"),
    save: Annotated[
        str, typer.Option(help="Some of overlay,coco,mots,mot,ctc,table,trajectories; or none.")
    ] = "overlay,coco,mots",
    tracker: Annotated[
        str, typer.Option(help="How objects are followed: masks, sort, bytetrack, ..")
    ] = "masks",
    confidence: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="A track begins with a score of at least this, 0..1. Default: the tracker's."),
    ] = None,
    classes: Annotated[str, typer.Option(help="Follow these classes alone, as person,car.")] = "",
    appearance: Annotated[
        bool, typer.Option("--appearance", help="Know objects by their looks, too.")
    ] = False,
    every: Annotated[int, typer.Option(help="Look at every so many frames.")] = 1,
    begin: Annotated[str, typer.Option("--from", help="Begin at seconds, or M:SS.")] = "",
    end: Annotated[str, typer.Option("--to", help="End at seconds, or M:SS.")] = "",
    rate: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Frames per second of a folder. Default: 25."),
    ] = None,
    homography: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Trajectories on the ground: numbers or points, see `trajectories --help`."),
    ] = None,
    camera: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Trajectories on the ground: the camera's file, see `trajectories --help`."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was cut off.")] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting of the tracker, such as patience=60; may be repeated."),
    ] = None,
    device: Device = "",
    quiet: Quiet = False,
) -> None:
    """Follow the objects of a video: who is who, from frame to frame."""
    from .messages import once_each, only_errors
    from .track_run import TrackRun

    if quiet:
        only_errors()
    run = TrackRun(source, out, save, quiet=quiet)
    run.choose_part(begin, end, every, rate)
    run.choose_ground(homography, camera)
    run.choose_tracker(tracker, settings or [], confidence)
    run.choose_detector(model, detections, classes, device, appearance)
    with once_each():
        run.go(resume)
    if run.damaged:
        raise typer.Exit(1)
