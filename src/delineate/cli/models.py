"""`delineate models`: what there is to predict with, or to train."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from delineate.models.zoo import Entry

EPILOG = """Examples:

delineate models

delineate models --json"""


def models_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """List the models: what they find, where their weights come from, how large, under which licence."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from delineate.models.zoo import ZOO

    rows = [_row(name, entry) for name, entry in ZOO.items()]
    if as_json:
        typer.echo(json.dumps({"models": rows}, indent=2))
        return
    console = Console(highlight=False)
    if not console.is_terminal:
        for row in rows:
            typer.echo("\t".join([row["name"], _weights(row), row["licence"], row["summary"]]))
        return
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("name", "weights", "licence", "what"):
        grid.add_column(title, no_wrap=title != "what", overflow="fold")
    for row in rows:
        grid.add_row(*(escape(t) for t in (row["name"], _weights(row), row["licence"], row["summary"])))
    console.print(grid)


def _row(name: str, entry: Entry) -> dict[str, Any]:
    from pathlib import Path

    megabytes = entry.megabytes
    if entry.file:
        file = Path(__file__).parents[1] / "weights" / entry.file
        megabytes = round(file.stat().st_size / 1e6, 1) if file.is_file() else 0.0
    return {
        "name": name,
        "weights": entry.source,
        "megabytes": megabytes,
        "licence": entry.licence,
        "classes": list(entry.classes.names) if entry.classes is not None else None,
        "summary": entry.summary,
    }


def _weights(row: dict[str, Any]) -> str:
    """Where the weights come from and how large they are."""
    if row["weights"] == "none":
        return "to be trained"
    return f"{row['weights']}, {row['megabytes']:.1f} MB"
