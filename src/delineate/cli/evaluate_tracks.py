"""`delineate evaluate-tracks`: tracked objects of any tool against the truth of videos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from .options import Quiet

EPILOG = """Examples:

delineate evaluate-tracks 01_RES 01_GT

delineate evaluate-tracks Fluo-N2DH-SIM+ Fluo-N2DH-SIM+ --metrics ctc,hota,identity --out scores

delineate evaluate-tracks my-tracker/data KITTI-MOTS/instances --metrics hota,clear --json

delineate evaluate-tracks my-tracker/data MOT17/train

delineate evaluate-tracks my-tracker.txt street/gt/gt.txt --out page.html --image-folder street/img1

delineate evaluate-tracks coco-model bdd100k/labels/seg_track_20/rles/val --class-map bdd100k

Cell Tracking Challenge: 01_RES holds mask000.tif, .. and res_track.txt; 01_GT holds TRA/man_track000.tif, ..
and TRA/man_track.txt, maybe SEG/man_seg000.tif, ..; or give a folder of several.

MOTS: SEQUENCE.txt, SEQUENCE/gt/gt.txt, or folders of PNG. MOT Challenge: SEQUENCE.txt, SEQUENCE/gt/gt.txt.
KITTI tracking: label_02/0000.txt. BDD100K: JSON of Scalabel, or folders of bitmasks.

Exit codes: 0 all sequences scored; 1 some failed, the others are scored; 2 nothing could be scored."""


def evaluate_tracks_command(
    results: Annotated[Path, typer.Argument(help="Tracked objects: a file, or a folder of sequences.")],
    truth: Annotated[Path, typer.Argument(help="The truth, in one of the same formats.")],
    metrics: Annotated[
        str,
        typer.Option(
            help="Some of hota, clear (MOTA, MOTSA, sMOTSA), identity (IDF1), ctc (SEG, TRA, DET, LNK). "
            "Default: ctc for Cell Tracking Challenge folders, else the others."
        ),
    ] = "",
    by: Annotated[
        str, typer.Option(help="Compare by IoU of mask or box. Default: masks where both sides have them.")
    ] = "",
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Folder for report.json, report.csv and report.txt, one such file, or page.html."),
    ] = None,
    images: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--image-folder", help="The frames' images, for pictures of the worst on page.html."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    class_map: Annotated[
        str,
        typer.Option(
            help="Bring both sides to the classes of bdd100k, cityscapes, kitti, kitti-mots or mots20, or by "
            "a JSON file of old to new names."
        ),
    ] = "",
    quiet: Quiet = False,
) -> None:
    """Score tracked objects of any tool against the truth of videos."""
    from rich.console import Console

    from delineate.engine.evaluate_tracks import evaluate_tracks

    names = [name.strip() for name in metrics.split(",") if name.strip()] if metrics else None
    sides: list[Any] = [results, truth]
    if class_map:
        from delineate.data.class_maps import ClassMap
        from delineate.data.track_files import open_tracks

        classes = ClassMap.named(class_map)
        sides = [[classes.tracks(s) for s in open_tracks(path, path is truth)] for path in sides]
    report = evaluate_tracks(
        *sides,
        metrics=names,
        by=by or None,  # type: ignore[arg-type]
        images=images,
        progress=not quiet,
    )
    files = report.save(out) if out is not None else []
    if as_json:
        typer.echo(report.to_json())
    elif not quiet:
        console = Console(highlight=False)
        if console.is_terminal and console.width >= 100:
            report.render(console)
        else:
            typer.echo(str(report))
        for file in files:
            typer.echo(f"wrote {file}", err=True)
    if report.failed:
        raise typer.Exit(1)
