"""`delineate doctor`: what is wrong with this dataset?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EPILOG = """Examples:

delineate doctor my-dataset

delineate doctor annotations.json --image-folder photos --all

delineate doctor my-dataset --fix my-dataset-mended

delineate doctor my-dataset --out findings.html

delineate doctor my-dataset --json > findings.json

delineate doctor my-dataset --headers --strict

The dataset itself is only read. Exit codes: 0 no faults; 1 faults found (with --strict, advice counts too;
with --fix, faults that are left); 2 nothing can be used."""


def doctor_command(
    dataset: Annotated[
        str, typer.Argument(help="Dataset: a folder or an annotation file.", show_default=False)
    ],
    images: Annotated[
        Path | None,
        typer.Option(
            "--image-folder",
            "--images",
            help="Folder of the images, where they do not lie beside the labels.",
        ),
    ] = None,
    fix: Annotated[
        Path | None,
        typer.Option(help="Write a mended copy into this new folder, with log.csv of what was changed."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write an HTML page with pictures of the cases.", show_default=False)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show every case, not the first five.")] = False,
    headers: Annotated[
        bool,
        typer.Option(
            "--headers",
            help="Read only the images' headers: fast, but no damaged pixels, no copies or leaks.",
        ),
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Advice counts as a fault.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    workers: Annotated[int, typer.Option(help="Threads; 0: one for each processor.", min=0, max=256)] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only the last line.")] = False,
) -> None:
    """Examine a dataset: labels, images, duplicates, leaks between splits; suggest settings."""
    import json

    from delineate.core.errors import DatasetError
    from delineate.data.check import check, open_parts
    from delineate.engine.doctor import SHOWN, exit_code, lines, verdict
    from delineate.engine.doctor_fix import fix as write_copy
    from delineate.engine.doctor_settings import suggest

    from .bars import bar
    from .messages import once_each, say, tell

    with once_each():
        opened = open_parts(dataset, images)
        with bar("images", sum(map(len, opened.parts)), quiet) as tick:
            checkup = check(opened, pixels=not headers, workers=workers, tick=tick)
    suggestion = suggest(checkup)
    code = exit_code(checkup, strict)
    if as_json:
        from delineate.engine.doctor import as_json as plain

        typer.echo(json.dumps(plain(checkup, suggestion, code), ensure_ascii=True, indent=1))
    elif quiet:
        tell(verdict(checkup))
    else:
        for line in lines(checkup, suggestion, shown=None if everything else SHOWN):
            tell(line)
    if out is not None:
        from delineate.engine.doctor_page import write_page

        write_page(out, checkup)
        say(f"wrote {out}")
    if checkup.failed:
        raise DatasetError(checkup.failed)
    if fix is not None:
        with once_each(), bar("writing", checkup.images, quiet) as tick:
            fixed = write_copy(checkup, fix, tick=tick)
        for line in fixed.written.losses.told():
            say(f"warning: {line}")
        say(str(fixed))
        code = 1 if fixed.left(strict) else 0
    if code:
        raise typer.Exit(code)
