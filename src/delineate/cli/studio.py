"""`delineate studio`: draw, correct and review in the browser."""

from __future__ import annotations

from typing import Annotated

import typer

EPILOG = """Examples:

delineate studio my-dataset

delineate studio photos/ --class cell --class debris --model nuclei

delineate studio scan.tif --no-browser --port 9000

delineate studio my-dataset --host 0.0.0.0 --user ada:admin --user ben:annotator

delineate studio my-dataset --db postgresql://studio@db.example/labels --user ada:admin

Every stroke is saved as it is drawn. The dataset itself is never written to; Export in the page, or
POST /api/export, writes what was drawn in any format."""


def studio_command(
    dataset: Annotated[
        str, typer.Argument(help="A dataset of any format, a folder of images, or one image.")
    ],
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = 8765,
    db: Annotated[
        str,
        typer.Option(
            help="Database: a path, or a URL of PostgreSQL. Default: .delineate/studio.sqlite beside it."
        ),
    ] = "",
    model: Annotated[str, typer.Option(help="The model that draws first; see `delineate models`.")] = "",
    classes: Annotated[
        list[str] | None, typer.Option("--class", help="A class to draw; may be repeated.")
    ] = None,
    users: Annotated[
        list[str] | None,
        typer.Option(
            "--user",
            help="NAME:ROLE, may be repeated; viewer, annotator, reviewer or admin. Asks for tokens.",
        ),
    ] = None,
    new_tokens: Annotated[
        bool, typer.Option("--new-tokens", help="New tokens for the users named; old ones end.")
    ] = False,
    hosts: Annotated[
        list[str] | None, typer.Option("--allow-host", help="A host name it answers to; may be repeated.")
    ] = None,
    split: Annotated[str, typer.Option(help="Only this split of the dataset.")] = "",
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page.")] = True,
) -> None:
    """Draw, correct and review masks in the browser; a model draws first."""
    from .extras import needing

    with needing("serve", "studio"):
        from delineate.server.launch import Settings, serve
    settings = Settings(
        dataset=dataset, host=host, port=port, db=db, model=model, classes=tuple(classes or ()),
        users=tuple(users or ()), new_tokens=new_tokens, hosts=tuple(hosts or ()), split=split,
    )  # fmt: skip
    from .messages import say

    serve(settings, say=say, browser=browser)
