"""`delineate split`: a dataset's images shared out to train, val and test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .options import Quiet

if TYPE_CHECKING:
    from delineate.data.split import Split

EPILOG = r"""Examples:

delineate split my-dataset

delineate split my-dataset --parts train=0.7,val=0.2,test=0.1 --out split.csv

delineate split my-dataset --group-alike --group-pattern "^(slide\d+)" --out my-split

delineate split instances.json --image-folder photos --keep test --out my-split

delineate split my-dataset --group patient --balance modality --folds 5 --out folds.csv

Without --out the table is shown and nothing written. A folder gets the dataset in its own format (or --to),
its images linked. The same seed gives the same split, in whatever order the files are listed."""

CLASSES_SHOWN = 20


def split_command(
    dataset: Annotated[str, typer.Argument(help="Folder or file; the format is found out.")],
    parts: Annotated[str, typer.Option(help="Name and share of each part.")] = "train=0.8,val=0.2",
    folds: Annotated[int, typer.Option(help="Instead of parts: so many equal ones, in a column 'fold'.")] = 0,
    seed: Annotated[int, typer.Option(help="Another seed gives another split.")] = 0,
    group: Annotated[
        str, typer.Option(help="Column whose equal values stay in one part, such as patient.")
    ] = "",
    group_pattern: Annotated[
        str,
        typer.Option(help="Regular expression on names: images of which its brackets match the same stay."),
    ] = "",
    group_alike: Annotated[
        bool, typer.Option("--group-alike", help="Images that look the same stay in one part.")
    ] = False,
    balance: Annotated[
        list[str] | None,
        typer.Option(help="Column whose values are shared out evenly, such as modality; may be repeated."),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(help="Split whose images stay where they are, such as test; may be repeated."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="A .csv file, or a new folder for the dataset with its splits.")
    ] = None,
    to: Annotated[str, typer.Option(help="Format of the folder; default the dataset's own.")] = "",
    images: Annotated[
        Literal["copy", "link", "none"],
        typer.Option(help="Hard-link the images into the folder, copy them, or leave them where they are."),
    ] = "link",
    image_folder: Annotated[
        Path | None, typer.Option(help="Folder of the images where they do not lie beside the annotations.")
    ] = None,
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="Leave malformed entries out instead of refusing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what each part got as JSON.")] = False,
    quiet: Quiet = False,
) -> None:
    """Share images out to parts: alike in classes and object sizes, groups kept whole, repeatable."""
    from delineate.core.errors import InputError
    from delineate.data.dataset import open_dataset
    from delineate.data.known_formats import written_as
    from delineate.data.split import groups_of, split, write_csv

    from .bars import bar
    from .messages import say
    from .written import write_to

    if group and group_pattern:
        raise InputError("split: expected --group or --group-pattern, got both; choose one")
    if folds == 1 or folds < 0:
        raise InputError(f"--folds: expected 2 or more, got {folds}; correct it")
    folder = out is not None and out.suffix.lower() != ".csv"
    wanted = {f"fold{k}": 1.0 for k in range(1, folds + 1)} if folds else _parts(parts)
    column = "fold" if folds else "split"
    pixels = group_alike or (folder and images != "none")
    data = open_dataset(
        dataset,
        images=image_folder or (None if pixels else False),
        skip_invalid=skip_invalid,
    )
    together, alone = groups_of(data, group, group_pattern) if group or group_pattern else (None, 0)
    joined = 0
    if group_alike:
        from delineate.data.alike import alike_groups

        with bar("images looked at", len(data), quiet) as tick:
            together, joined = alike_groups(data, together, tick)
    with bar("images", len(data), quiet) as tick:
        found = split(
            data, wanted, seed=seed, group=together, balance=balance or (), keep=keep or (), tick=tick
        )
    if as_json:
        typer.echo(json.dumps(_document(found, seed), indent=2, ensure_ascii=False))
    elif not quiet:
        _show(found, together is not None, alone, joined)
    if out is None:
        return
    done = found.apply(data, column)
    if folder:
        write_to(done, out, to or written_as(done.format), quiet, images)
    else:
        write_csv(out, done, found.group if together is not None else ())
        if not quiet:
            say(f"wrote {out}")


def _parts(text: str) -> dict[str, float]:
    """``train=0.8,val=0.2`` as a table."""
    from delineate.core.errors import InputError

    found: dict[str, float] = {}
    for pair in text.split(","):
        name, equals, share = pair.partition("=")
        try:
            if not equals or not name.strip() or name.strip() in found:
                raise ValueError
            found[name.strip()] = float(share)
        except ValueError:
            raise InputError(
                f"--parts: expected names and shares such as train=0.8,val=0.2, got {text!r}; correct it"
            ) from None
    return found


def _document(found: Split, seed: int) -> dict[str, object]:
    part, column, off = found.deviation
    return {
        "seed": seed,
        "parts": {
            name: {"share": round(found.parts.get(name, 0.0), 6), **{k: v for k, v in row.items() if v}}
            for name, row in found.totals().items()
        },
        "largest_deviation": {"part": part, "of": column, "share": round(off, 6)},
        "notes": list(found.notes),
        "images": dict(zip(found.names, found.assigned, strict=True)),
    }


def _show(found: Split, grouped: bool, alone: int, joined: int) -> None:
    """A table: for each part how many images, groups, objects of each size and class, and what share."""
    from rich.console import Console
    from rich.markup import escape

    from delineate.engine.text_tables import new_table

    console = Console(highlight=False)
    rows = found.totals()
    table = new_table("", "", *(escape(name) for name in rows), *(f"{escape(n)} %" for n in found.parts))
    classes = [c for c in found.columns if c.startswith("class: ") and any(r[c] for r in rows.values())]
    classes.sort(key=lambda c: -sum(row[c] for row in rows.values()))
    many = len(classes) > 1
    own = [c for c in found.columns if not c.startswith(("class: ", "images with "))]
    for column in [*own, *(classes[:CLASSES_SHOWN] if many else [])]:
        total = sum(rows[name][column] for name in found.parts)
        if not any(row[column] for row in rows.values()):
            continue
        shares = [f"{100 * rows[name][column] / total:.1f}" if total else "-" for name in found.parts]
        table.add_row(escape(column), *(str(row[column]) for row in rows.values()), *shares)
    if grouped:
        groups = [{g for g, a in zip(found.group, found.assigned, strict=True) if a == name} for name in rows]
        table.add_row("groups", *(str(len(g)) for g in groups), *[""] * len(found.parts))
    if len(classes) > CLASSES_SHOWN:
        table.caption = f"{len(classes) - CLASSES_SHOWN} more classes with --json"
    console.print(table)
    part, column, off = found.deviation
    told = [f"furthest from its share: {column} in {part}, by {100 * off:+.1f} points"] if column else []
    told += list(found.notes)
    if alone:
        told.append(f"{alone} images belong to no group and stand alone")
    if joined:
        told.append(f"{joined} images look like another one and were kept together")
    for line in told:
        console.print(f"note: {escape(line)}", soft_wrap=True)
