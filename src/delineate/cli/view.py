"""`delineate view`: a dataset's images with their objects drawn, as pages to look through."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Quiet

EPILOG = """Examples:

delineate view my-dataset

delineate view my-dataset --split val --out val.html --open

delineate view instances.json --image-folder photos --class person --sort objects

delineate view my-dataset --empty

Each page holds its pictures and needs no server. Exit codes: 0 all images drawn; 1 some could not be read
(they stand on the page with the reason); 2 nothing written."""


def view_command(
    dataset: Annotated[str, typer.Argument(help="Folder or file; the format is found out.")],
    out: Annotated[
        Path, typer.Option(help="The first page; further ones are named view-2.html and so on.")
    ] = Path("view.html"),
    split: Annotated[str, typer.Option(help="Only this split: train, val, test.")] = "",
    classes: Annotated[
        list[str] | None,
        typer.Option("--class", help="Only images with this class, and only its objects; may be repeated."),
    ] = None,
    empty: Annotated[bool, typer.Option("--empty", help="Only images without any object.")] = False,
    sort: Annotated[str, typer.Option(help="given, name, objects (most first) or fewest.")] = "given",
    size: Annotated[int, typer.Option(help="Longest side of a thumbnail in pixels.")] = 320,
    per_page: Annotated[int, typer.Option(help="Images on a page.")] = 120,
    images: Annotated[
        Path | None,
        typer.Option(
            "--image-folder",
            "--images",
            help="Folder of the images where they do not lie beside the annotations.",
        ),
    ] = None,
    channels: Annotated[
        str, typer.Option(help="Channels to show, counted from 0: 0 or 0,2,1. Default: grey or RGB.")
    ] = "",
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="Leave malformed entries out instead of refusing.")
    ] = False,
    open_it: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    quiet: Quiet = False,
) -> None:
    """Look through a dataset: thumbnails with outlines, filtered by split and class."""
    from delineate.core.errors import InputError
    from delineate.data.dataset import open_dataset
    from delineate.engine.contact_sheet import SORTS, contact_sheet

    from .bars import bar
    from .messages import say

    if sort not in SORTS:
        raise InputError(f"--sort: expected one of {', '.join(SORTS)}, got {sort!r}; choose one")
    data = open_dataset(
        dataset,
        split=split or None,
        images=images,
        skip_invalid=skip_invalid,
        channels=_channels(channels),
    )
    with bar("images", 2 * len(data), quiet) as tick:
        sheet = contact_sheet(
            data, out, classes=classes or (), empty=empty, sort=sort, side=size, per_page=per_page, tick=tick
        )
    for name, reason in sheet.failed:
        say(f"error: {name}: {reason.removeprefix(f'{name}: ')}")
    if not quiet:
        pages = f", {len(sheet.pages)} pages" if len(sheet.pages) > 1 else ""
        shown = f"{_number(sheet.images, 'image')} with {_number(sheet.objects, 'object')}"
        say(f"wrote {sheet.pages[0]}: {shown}{pages}")
    if open_it:
        typer.launch(sheet.pages[0].resolve().as_uri())
    if sheet.failed:
        raise typer.Exit(1)


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def _channels(text: str) -> tuple[int, ...] | None:
    """``0,2,1`` as numbers; None where nothing is chosen."""
    from delineate.core.errors import InputError

    if not text:
        return None
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdigit() and len(word) < 6 for word in words):
        raise InputError(f"--channels: expected numbers from 0 such as 0,2,1, got {text!r}; correct them")
    return tuple(int(word) for word in words)
