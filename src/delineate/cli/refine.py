"""`delineate refine`: rough polygons become masks that follow the edges."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

EPILOG = """Examples:

delineate refine annotations.json --by edges --out refined.json

delineate refine annotations.json --by edges --trust 1 --out refined.json --pictures pictures

delineate refine annotations.json --by model --model nuclei --out refined.json

--trust 0 is for outlines drawn quickly, a pixel or more off; 1 for few points that lie well. Look at
--pictures before you train on the result. Exit codes: 0 done; 1 done, some images left out (--skip-invalid);
2 nothing was written."""


def refine_command(
    data: Annotated[str, typer.Argument(help="The dataset with its images.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(help="File or folder to write, in any format that is written.")
    ] = None,
    by: Annotated[
        Literal["edges", "model"], typer.Option(help="What moves the outlines: the image's edges or a model.")
    ] = "edges",
    model: Annotated[str, typer.Option(help="With --by model: a name or a weights file.")] = "nuclei",
    reach: Annotated[
        float,
        typer.Option(help="How far edges may move an outline, in square roots of the object's area."),
    ] = 0.08,
    trust: Annotated[
        float, typer.Option(help="How far to trust the polygons' points against the edges, 0 to 1.")
    ] = 0.0,
    pictures: Annotated[
        Path | None, typer.Option(help="Folder for pictures of the images that changed most.")
    ] = None,
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
        bool, typer.Option("--skip-invalid", help="Leave images out that cannot be read.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors and losses.")] = False,
) -> None:
    """Move rough outlines to the edges of the image, and write them as masks."""
    import json

    from delineate.apply.refine import RefineSettings
    from delineate.core.errors import InputError
    from delineate.engine.convert import target_format
    from delineate.engine.refine import Refined

    from .messages import say
    from .written import open_labels, own_format, write_to

    settings = RefineSettings(reach, trust)
    if out is None:
        raise InputError("refine: expected --out, got none; see `delineate refine --help`")
    if to or out.suffix:
        target_format(out, to or None)  # before a long reading
    found = open_labels(data, split, image_folder, skip_invalid)
    segment = None
    if by == "model":
        from delineate.engine.load import load

        segment = load(model).predict
    made = Refined(found, settings, segment)
    skipped = write_to(made.data, out, to or own_format(found, out), quiet, skip_invalid=skip_invalid)
    if pictures is not None:
        from delineate.engine.refine_pictures import save_pictures

        files = save_pictures(found, made, pictures)
        if not quiet:
            say(f"wrote {len(files)} pictures to {pictures}")
    report = made.report()
    if as_json:
        typer.echo(json.dumps(report.to_dict(), indent=1))
    elif not quiet:
        typer.echo(str(report))
    if skipped:
        raise typer.Exit(1)
