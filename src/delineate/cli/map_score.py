"""`delineate map-score`: SpaceNet's F1 of footprints as polygons."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Optional

import typer

from .options import Json

EPILOG = """Examples:

delineate map-score buildings.gpkg truth.geojson

delineate map-score predictions.csv truth.csv --json

PREDICTED and TRUE are map layers (.gpkg, .geojson, .parquet, .shp) in any reference systems, or two tables of
SpaceNet with the columns ImageId, PolygonWKT_Pix and Confidence. For masks: `delineate evaluate --metrics
spacenet`."""


def map_score_command(
    predicted: Annotated[Path, typer.Argument(help="Predicted footprints.")],
    true: Annotated[Path, typer.Argument(help="True footprints.")],
    threshold: Annotated[float, typer.Option(help="IoU from which a prediction hits.")] = 0.5,
    min_area: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(
            help="Leave out true footprints of less area. Default: tables 20 square pixels, as the "
            "challenge; layers 0 m²."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Score mapped footprints against true ones: SpaceNet's precision, recall and F1 at IoU 0.5."""
    from delineate.engine.geo_score import score_map

    from .messages import tell

    found = score_map(predicted, true, threshold=threshold, min_area=min_area)
    if as_json:
        images = {
            name: dict(zip(("tp", "fp", "fn"), match.counts, strict=True))
            for name, match in found.images.items()
        }
        typer.echo(json.dumps({**found.report.to_dict(), "by_name": images}, indent=1))
        return
    if len(found.images) > 1:
        for name, match in found.images.items():
            tp, fp, fn = match.counts
            tell(f"{name}: {tp} hits, {fp} false, {fn} missed")
    report = found.report
    tell(
        f"F1 {report.f1:.4f}, precision {report.precision:.4f}, recall {report.recall:.4f} at IoU "
        f"{threshold:g}: {report.tp} hits, {report.fp} false, {report.fn} missed"
    )
