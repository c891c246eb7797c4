"""`delineate polygons`: outlines of one density, whoever drew them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EPILOG = """Examples:

delineate polygons annotations.json --tolerance 1.0 --out uniform.json

delineate polygons masks-folder --tolerance 0.5 --out yolo --to yolo

delineate polygons annotations.json --tolerance 1 --spacing 8 --out uniform.json

Each new outline lies within --tolerance pixels of the old one and the old one of it; the largest distance is
told. Exit codes: 0 done; 1 done, some images left out (--skip-invalid); 2 nothing was written."""


def polygons_command(
    data: Annotated[str, typer.Argument(help="The dataset: a file or folder.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(help="File or folder to write, in any format that is written.")
    ] = None,
    tolerance: Annotated[
        float, typer.Option(help="Pixels that an outline may lie from the one it replaces.")
    ] = 1.0,
    spacing: Annotated[
        float, typer.Option(help="Set points evenly, so that no edge is longer (pixels); 0: as few as do.")
    ] = 0.0,
    min_iou: Annotated[
        float, typer.Option(help="Objects whose masks would overlap less are simplified less.")
    ] = 0.9,
    to: Annotated[
        str,
        typer.Option("--to", help="Format. Default: by the ending of --out; of a folder, the data's own."),
    ] = "",
    split: Annotated[str, typer.Option(help="Only this split, such as val.")] = "",
    image_folder: Annotated[
        Path | None,
        typer.Option(
            "--image-folder",
            "--images",
            help="Folder of the images, where they do not lie beside the labels.",
        ),
    ] = None,
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="Leave malformed entries out instead of refusing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors and losses.")] = False,
) -> None:
    """Give all outlines the points they need and no more, within a distance that is told."""
    import json

    from delineate.core.errors import InputError
    from delineate.engine.convert import target_format
    from delineate.engine.uniform_polygons import UniformPolygons, UniformSettings

    from .written import open_labels, own_format, write_to

    settings = UniformSettings(tolerance, spacing, min_iou)
    if out is None:
        raise InputError("polygons: expected --out, got none; see `delineate polygons --help`")
    single = bool(to or out.suffix) and out.suffix.lower() in target_format(out, to or None).files
    found = open_labels(data, split, image_folder, skip_invalid, need_images=not single)
    made = UniformPolygons(found, settings)
    skipped = write_to(made.data, out, to or own_format(found, out), quiet, skip_invalid=skip_invalid)
    report = made.report()
    if as_json:
        typer.echo(json.dumps(report.to_dict(), indent=1))
    elif not quiet:
        typer.echo(str(report))
    if skipped:
        raise typer.Exit(1)
