"""`delineate convert`: a dataset in another format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from delineate.data.dataset import Dataset

EPILOG = """Examples:

delineate convert annotations.json yolo-dataset --to yolo

delineate convert yolo-dataset coco.json

delineate convert VOC2012 coco-dataset --to coco --split val --images link

delineate convert annotations.json voc --to voc --on-loss error

delineate convert --list

OUT must be new, or an empty folder. Exit codes: 0 done; 1 done, some images left out (--skip-invalid);
2 nothing was written."""


def convert_command(
    source: Annotated[
        str, typer.Argument(metavar="IN", help="The dataset: a file or folder.", show_default=False)
    ] = "",
    out: Annotated[
        Path | None, typer.Argument(metavar="OUT", help="File or folder to write.", show_default=False)
    ] = None,
    to: Annotated[str, typer.Option("--to", help="Format to write. Default: by the ending of OUT.")] = "",
    source_format: Annotated[
        str, typer.Option("--from", help="Format of IN. Default: it is guessed, and told.")
    ] = "",
    split: Annotated[str, typer.Option(help="Only this split of IN, such as val.")] = "",
    images: Annotated[
        Literal["copy", "link", "none"],
        typer.Option(help="Copy the images into OUT, hard-link them, or leave them where they are."),
    ] = "copy",
    image_folder: Annotated[
        Path | None,
        typer.Option(help="Folder of IN's images, where they do not lie beside it.", show_default=False),
    ] = None,
    on_loss: Annotated[
        Literal["error", "warn"],
        typer.Option(help="What the format cannot hold: refuse to write, or count and tell it."),
    ] = "warn",
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="Leave malformed entries out instead of refusing.")
    ] = False,
    list_formats: Annotated[bool, typer.Option("--list", help="List the formats and stop.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors and losses.")] = False,
) -> None:
    """Write a dataset in another format; what that cannot hold is counted and told."""
    from delineate.core.errors import DatasetError, InputError
    from delineate.data.dataset import open_dataset
    from delineate.engine.convert import check_target, write_dataset

    from .bars import bar
    from .messages import say

    if list_formats:
        _list()
        return
    if not source or out is None:
        raise InputError("convert: expected IN and OUT, got one or none; see `delineate convert --help`")
    check_target(out, to or None)  # before a long reading
    given: Path | Literal[False] | None = image_folder or (False if images == "none" else None)
    try:
        data = open_dataset(
            source, split=split or None, images=given, skip_invalid=skip_invalid, format=source_format or None
        )
    except DatasetError as error:  # readers name the option as other commands have it
        raise DatasetError(str(error).replace("`--image-folder`", "`--image-folder`")) from None
    _found(data, quiet)
    with bar("images", len(data), quiet) as tick:
        done = write_dataset(
            data, out, to or None, images=images, on_loss=on_loss, skip_invalid=skip_invalid, tick=tick
        )
    for line in done.skipped:
        say(f"left out: {line}")
    for line in done.losses.told():
        say(f"warning: {line}")
    if not quiet:
        say(str(done))
    if done.skipped:
        raise typer.Exit(1)


def _found(data: Dataset, quiet: bool) -> None:
    """Says what IN was taken for."""
    from .messages import say

    if not quiet:
        say(f"read {data.describe()}")
        for note in data.notes:
            say(f"note: {note}")


def _list() -> None:
    """A line for each format: its name, whether it is written, what it holds."""
    from delineate.data.known_formats import FORMATS

    from .messages import tell

    tell(f"{'name':<16} {'read, written':<14} what it holds beside masks and classes")
    for row in FORMATS.values():
        way = "read, written" if row.writes else "read"
        tell(f"{row.name:<16} {way:<14} {', '.join(sorted(row.holds - {'classes', 'too thin'})) or '-'}")
