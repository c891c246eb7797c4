"""`delineate misses`: who is missed in dense traffic, and where."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from .options import Quiet

EPILOG = """Examples:

delineate misses my-tracker/data KITTI-MOTS/instances --out missed

delineate misses results.txt gt.txt --camera camera.json --images img1 --out missed

delineate misses coco-model.txt bdd100k/labels/seg_track_20/rles/val --class-map bdd100k

Each true object is found, of the wrong class, shared (two under one prediction), inexact or missed; they are
counted by class, height in the picture, crowding, how far they stand behind others, and with --camera by
distance. --images draws the worst frames: found green, not found orange.

--class-map is bdd100k, cityscapes, kitti, kitti-mots, mots20, or a JSON file {"old name": "new name"}.

Exit codes: 0 all sequences judged; 1 some failed, which are named; 2 nothing could be judged."""


def misses_command(
    results: Annotated[
        Path, typer.Argument(help="Tracked or detected objects, as evaluate-tracks reads them.")
    ],
    truth: Annotated[Path, typer.Argument(help="The truth, in one of the same formats.")],
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Folder for the tables, the report and the pictures."),
    ] = None,
    by: Annotated[str, typer.Option(help="mask or box. Default: masks where both sides have them.")] = "",
    iou: Annotated[float, typer.Option(help="IoU from which an object is found, 0.5 to 1.")] = 0.5,
    class_map: Annotated[
        str, typer.Option(help="Classes of a benchmark, or a JSON file, for both sides.")
    ] = "",
    camera: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="A camera above flat ground, for distances; see `delineate trajectories`."),
    ] = None,
    images: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Images of the frames, in a folder for each sequence; the worst are drawn."),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Who is missed: true objects of videos by size, crowding, occlusion and distance."""
    from delineate.core.errors import InputError
    from delineate.data.class_maps import ClassMap
    from delineate.data.track_files import open_tracks
    from delineate.engine.calibration_files import read_camera
    from delineate.engine.misses import missed_detections, save_misses, worst_frames

    from .bars import bar
    from .messages import say

    if by not in ("", "mask", "box"):
        raise InputError(f"--by: expected mask or box, got {by!r}; choose one")
    if images is not None and (out is None or not images.is_dir()):
        raise InputError(f"--images: expected a folder of images and --out, got {images}; give both")
    classes = ClassMap.named(class_map) if class_map else None
    found, true = open_tracks(results), open_tracks(truth, truth=True)
    ground = None if camera is None else read_camera(camera)
    with bar("judging", sum(map(len, true)), quiet) as tick:
        report, failed = missed_detections(
            found,
            true,
            by=by or None,  # type: ignore[arg-type]
            iou=iou,
            classes=classes,
            ground=ground,
            tick=tick,
        )
    for name, reason in failed:
        say(f"{name}: {reason}")
    if not quiet:
        typer.echo(str(report))
    if out is not None:
        files = save_misses(report, out, failed)
        if images is not None:
            files += worst_frames(report, found, true, images, out, classes)
        if not quiet:
            for file in files:
                typer.echo(f"wrote {file}", err=True)
    if failed:
        raise typer.Exit(1)
