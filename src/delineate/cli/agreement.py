"""`delineate agreement`: how far several annotators agree, and one annotation out of theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Quiet

EPILOG = """Examples:

delineate agreement ann.json bob.json

delineate agreement ann.json bob.json cleo.json --image-folder photos --out agreement.html

delineate agreement ann bob cleo --consensus consensus.json --method staple

delineate agreement ann.json bob.json --json

Each dataset holds one annotator's labels of the same images, in any format; images are matched by name.
Exit codes: 0 all images compared; 1 some could not be; 2 none could, or wrong usage."""


def agreement_command(
    datasets: Annotated[
        list[str], typer.Argument(help="A dataset for each annotator, two at least.", show_default=False)
    ],
    names: Annotated[str, typer.Option(help="Their names, with commas between. Default: the files'.")] = "",
    images: Annotated[
        Path | None,
        typer.Option(
            "--image-folder",
            "--images",
            help="Folder of the images, where they do not lie beside the labels.",
        ),
    ] = None,
    iou: Annotated[float, typer.Option(help="Overlap from which two outlines show one object.")] = 0.5,
    out: Annotated[
        Path | None, typer.Option(help="Write a page (.html), all numbers (.json), or text.")
    ] = None,
    consensus: Annotated[
        Path | None,
        typer.Option(help="Write one annotation out of all: a COCO JSON file, or what --to names."),
    ] = None,
    to: Annotated[
        str, typer.Option("--to", help="Format of the consensus; see `delineate convert --list`.")
    ] = "",
    method: Annotated[str, typer.Option(help="Of the consensus masks: vote or staple.")] = "vote",
    least: Annotated[
        int, typer.Option(help="Annotators who must have drawn an object of the consensus; 0: most.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
    quiet: Quiet = False,
) -> None:
    """Compare the labels of several annotators; make one out of them."""
    import json

    from delineate.core.errors import InputError
    from delineate.engine.agreement_page import to_html, to_text
    from delineate.engine.annotators import consensus_dataset, measure, open_annotators
    from delineate.engine.convert import target_format

    from .bars import bar
    from .messages import say
    from .written import write_to

    if method not in ("staple", "vote"):
        raise InputError(f"--method: expected staple or vote, got {method!r}; choose one")
    if consensus is not None:
        target_format(consensus, to or None)  # before a long reading
    given = [name.strip() for name in names.split(",")] if names else None
    people = open_annotators(datasets, given, images)
    with bar("images", len(people.images), quiet) as tick:
        report, failed = measure(people, iou, tick)
    numbers = json.dumps({**report.to_dict(), "failed": failed}, indent=1, ensure_ascii=False)
    notes = [*people.notes, *failed]
    if as_json:
        typer.echo(numbers)
    elif not quiet:
        typer.echo(to_text(report, people.notes[: bool(people.alone)]))
    for line in failed:
        say(f"not compared: {line}")
    if out is not None:
        page = out.suffix.lower() in (".html", ".htm")
        plain = numbers if out.suffix.lower() == ".json" else to_text(report, notes)
        _write(out, to_html(report, people, notes) if page else plain, quiet)
    if consensus is not None:
        kept = {image.name for image in report.images}
        skip = [shared.name for shared in people.images if shared.name not in kept]
        data = consensus_dataset(people, method, iou, least or None, skip)  # type: ignore[arg-type]
        write_to(data, consensus, to, quiet)
    if failed:
        raise typer.Exit(1)


def _write(path: Path, text: str, quiet: bool) -> None:
    from delineate.data.write import atomic

    from .messages import say

    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    if not quiet:
        say(f"wrote {path}")
