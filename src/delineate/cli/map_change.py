"""`delineate map-change`: what is new, gone, changed or the same between two dates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from .map import make_place
from .options import Quiet

if TYPE_CHECKING:
    from delineate.engine.geo_change import MapChanges

EPILOG = """Examples:

delineate map-change buildings-2019.gpkg buildings-2024.gpkg --out changes.gpkg --picture changes.png

delineate map-change old.shp new.geojson --tolerance 4 --same 0.6 --out changes.geojson

delineate map-change old.gpkg new.gpkg --shift 1.5,-0.8 --out changes.parquet

Both are layers of polygons in any reference system, of `delineate map` or any other tool. The shift that most
objects agree on is found, told and taken out first. An object near the edge of what one date covers may seem
new or gone: cut both layers to what both dates show."""


def map_change_command(
    before: Annotated[Path, typer.Argument(help="The first date: .gpkg, .geojson, .parquet or .shp.")],
    after: Annotated[Path, typer.Argument(help="The second date.")],
    out: Annotated[Path, typer.Option(help="A file ending in .gpkg, .geojson, .parquet or .shp.")] = Path(
        "changes.gpkg"
    ),
    tolerance: Annotated[
        float, typer.Option(help="Metres that one object may lie off on its own, as roofs lean.")
    ] = 2.0,
    same: Annotated[float, typer.Option(help="IoU from which an object is the same, else changed.")] = 0.7,
    shift: Annotated[
        str, typer.Option(help="Metres east,north that the second date lies off. Default: found.")
    ] = "",
    picture: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="A map picture, .png: each finding in the colour of its state."),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Compare two maps of objects: new, gone, changed, the same, whatever shift lies between them."""
    from delineate.core.errors import InputError
    from delineate.data.vectors import check_ending, write_layer
    from delineate.engine.geo_change import map_changes
    from delineate.engine.geo_table import described
    from delineate.engine.measure_tables import write_tables

    from .messages import tell

    check_ending(out)
    if picture is not None and picture.suffix.lower() != ".png":
        raise InputError(f"{picture}: expected a file ending in .png, got another; rename it")
    for path in (out, picture):
        make_place(path)
    result = map_changes(before, after, tolerance=tolerance, same=same, shift=_shift(shift))
    written = write_layer(out, result.layer)
    columns = out.with_name(f"{out.stem}.columns.csv")
    write_tables(columns, {"objects": described(result.layer.table)})
    written.append(columns)
    if picture is not None:
        _draw(result, picture, f"{before.name} to {after.name}")
        written.append(picture)
    if quiet:
        return
    tell(_line(result))
    dx, dy = result.found.shift
    if result.found.agreed:
        tell(f"the second date lies {dx:+.2f} {result.unit} in x, {dy:+.2f} in y: taken out")
    tell("wrote " + ", ".join(map(str, written)))


def _line(result: MapChanges) -> str:
    return ", ".join(f"{count} {state}" for state, count in result.found.counts.items())


def _draw(result: MapChanges, picture: Path, title: str) -> None:
    from delineate.data.write import atomic
    from delineate.engine.geo_change_picture import change_picture

    made = change_picture(result, title, _line(result))
    with atomic(picture) as temporary:
        made.save(temporary, "png")


def _shift(text: str) -> tuple[float, float] | None:
    from delineate.core.errors import InputError

    if not text:
        return None
    try:
        dx, dy = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--shift: expected metres as 1.5,-0.8, got {text!r}; give east and north") from None
    return dx, dy
