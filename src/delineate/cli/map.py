"""`delineate map`: from a map image to outlines with areas in square metres."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from .options import Device, Quiet

if TYPE_CHECKING:
    from delineate.engine.geo_map import MapResult, MapSettings

EPILOG = """Examples:

delineate map scene.tif --model buildings.safetensors --regularise --out buildings.gpkg --picture map.png

delineate map scene.tif --model w.safetensors --channels 3,2,1 --min-area 12 --out roofs.parquet

delineate map labels.tif --labels labels.tif --simplify 0.5 --out fields.geojson

delineate map scene.tif --labels roofs.gpkg --dsm surface.tif --dtm terrain.tif --out heights.gpkg

IMAGE is a GeoTIFF or COG of any size (read by windows), or any image with or without a world file; --labels
is a label image, results, or a map layer. Areas are those on the earth's ellipsoid, in m²; without a place on
the map all is told in pixels. Each column's unit and source lie beside the file as NAME.columns.csv.

Exit codes: 0 done; 2 wrong usage, or nothing could be done."""


def map_command(
    image: Annotated[Path, typer.Argument(help="The image: GeoTIFF, COG, or any other.")],
    model: Annotated[str, typer.Option(help="Finds the objects: a name or a weights file.")] = "",
    labels: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Instead of a model: a label image, or labels or results of any tool."),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="A file ending in .gpkg, .geojson (WGS 84), .parquet (GeoParquet) or .shp.")
    ] = Path("map.gpkg"),
    stretch: Annotated[
        str, typer.Option(help="Percentiles of the whole image that become black and white, such as 2,98.")
    ] = "",
    channels: Annotated[str, typer.Option(help="Bands for the model, from 0: one or three, as 3,2,1.")] = "",
    confidence: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="With --model: keep objects with a score above it, 0..1."),
    ] = None,
    regularise: Annotated[
        bool, typer.Option("--regularise", "--regularize", help="Right angles, for buildings.")
    ] = False,
    simplify: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(
            help="Simplify outlines by so many metres. Default: two pixels with --regularise, else 0."
        ),
    ] = None,
    min_area: Annotated[float, typer.Option(help="Leave out objects under so many square metres.")] = 0.0,
    dsm: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Surface model in metres (GeoTIFF): heights of the objects."),
    ] = None,
    dtm: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Terrain model with it; else the ground around each object counts."),
    ] = None,
    picture: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="A map picture, .png: numbered outlines, grid, scale bar, north."),
    ] = None,
    page: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="A page, .html, that ties each row to its object."),
    ] = None,
    layer: Annotated[str, typer.Option(help="Name of the layer.")] = "objects",
    device: Device = "",
    quiet: Quiet = False,
) -> None:
    """Map the objects of an aerial or satellite image: outlines with areas, as a vector file."""
    from delineate.core.errors import InputError
    from delineate.data.vectors import check_ending
    from delineate.engine.geo_map import MapSettings, map_image

    from .messages import say

    check_ending(out)
    if (labels is None) == (not model):
        raise InputError("map: expected --model or --labels, got both or none; give one of them")
    for path, ending in ((picture, ".png"), (page, ".html")):
        if path is not None and path.suffix.lower() != ending:
            raise InputError(f"{path}: expected a file ending in {ending}, got another; rename it")
    for path in (out, picture, page):
        make_place(path)
    settings = MapSettings(
        _pair(stretch), confidence, regularise, simplify, min_area, _numbers(channels), layer
    )
    net = _loaded(model, device) if model else None
    progress = _Windows(quiet)
    with progress:
        result = map_image(
            image, model=net, labels=labels, settings=settings, surface=dsm, terrain=dtm, progress=progress
        )
    written = result.save(out)
    written.append(_columns(result, out))
    written += _views(result, image, settings, picture, page)
    for note in result.notes:
        say(f"note: {note}")
    if not quiet:
        _tell(result, written)


def make_place(path: Path | None) -> None:
    """The folder of a file that will be written, made before the work begins.

    Raises:
        InputError: it cannot be made.
    """
    from delineate.core.errors import InputError

    try:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{path}: expected a place to write, got {error.strerror or error}; choose another"
        ) from None


def _loaded(name: str, device: str) -> Any:
    from delineate.engine.load import load

    path = Path(name)
    return load(weights=path, device=device or None) if path.is_file() else load(name, device=device or None)


class _Windows:
    """A progress bar that learns how many windows there are with the first."""

    def __init__(self, quiet: bool) -> None:
        from rich.console import Console
        from rich.progress import Progress

        self.progress = Progress(console=Console(stderr=True, quiet=quiet), transient=True, disable=quiet)
        self.task: Any = None

    def __enter__(self) -> None:
        self.progress.__enter__()

    def __exit__(self, *error: Any) -> None:
        self.progress.__exit__(*error)

    def __call__(self, done: int, total: int) -> None:
        if self.task is None:
            self.task = self.progress.add_task("windows", total=total)
        self.progress.update(self.task, completed=done)


def _columns(result: MapResult, out: Path) -> Path:
    """What each column means, beside the file."""
    from delineate.engine.geo_table import described
    from delineate.engine.measure_tables import write_tables

    path = out.with_name(f"{out.stem}.columns.csv")
    write_tables(path, {"objects": described(result.table)})
    return path


def _views(
    result: MapResult, image: Path, settings: MapSettings, picture: Path | None, page: Path | None
) -> list[Path]:
    """The picture and the page that were asked for."""
    if picture is None and page is None:
        return []
    from delineate.data.write import atomic
    from delineate.engine.geo_picture import map_picture, sheet_of
    from delineate.engine.geo_views import overview_of, write_map_page

    written = []
    if picture is not None:
        made = map_picture(sheet_of(result, image.name), overview_of(image, settings))
        with atomic(picture) as temporary:
            made.save(temporary, "png")
        written.append(picture)
    if page is not None:
        written.append(write_map_page(page, result, image, settings))
    return written


def _tell(result: MapResult, written: list[Path]) -> None:
    from .messages import tell

    count, table = len(result.layer), result.table
    area = f", {table['area_m2'].sum():.1f} m² in all" if "area_m2" in table else ""
    crs = f", EPSG:{result.layer.epsg}" if result.layer.epsg is not None else ", in pixels"
    tell(f"{count} object{'s'[: count != 1]}{area}{crs}")
    tell("wrote " + ", ".join(map(str, written)))


def _pair(text: str) -> tuple[float, float] | None:
    from delineate.core.errors import InputError

    if not text:
        return None
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--stretch: expected two percentiles as 2,98, got {text!r}; give both") from None
    return low, high


def _numbers(text: str) -> tuple[int, ...] | None:
    from .measure import _numbers as numbers

    return numbers(text)
