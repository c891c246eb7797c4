"""`delineate fruit`: count, size and grade fruit in photographs and videos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from .options import Confidence, Device, Json, Labelled, Page, Pictures, Quiet, Resume, Split

EPILOG = """Examples:

delineate fruit photos/ --model runs/mushrooms/best.safetensors --scale aruco:4X4_50:30 --out crop

delineate fruit photos/ --model best.safetensors --scale coin:23.25 --grades strawberry

delineate fruit my-dataset --split val --scale 0.12 --diameter feret --out sizes

delineate fruit row.mp4 --model best.safetensors --scale camera:800,1400 --out row

delineate fruit photos/ --model best.safetensors --overlapping --plots plots.geojson --density 0.95

--scale is aruco:DICTIONARY:MM (the side of a printed marker), coin:MM (diameter; coin:MM@X,Y where it lies),
ruler (marks each mm; ruler:MM, ruler:MM@X1,Y1,X2,Y2 along it), camera:HEIGHT_MM[,FOCAL_PX[,TILT]], file (the
image's own pixel size), or MM_PER_PIXEL. Without it all is in pixels. --shape auto takes fruit to be round,
resting on the plane of a marker, coin, ruler or camera, and flat where the scale is a number.

Exit codes: 0 every image done; 1 some failed, the rest is done; 2 wrong usage, or nothing could be done."""


def fruit_command(
    images: Annotated[
        list[str], typer.Argument(help="Photographs, folders, patterns in quotes, a dataset, or one video.")
    ],
    model: Annotated[
        str, typer.Option(help="What finds the fruit: a name of the zoo or a weights file.")
    ] = "",
    labels: Labelled = "",
    scale: Annotated[str, typer.Option(help="Where millimetres come from; see below.")] = "",
    scale_error: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="One standard deviation, in %, of the marker's size or the height."),
    ] = None,
    shape: Annotated[
        str, typer.Option(help="round (as high as wide, on the scale's plane), flat, or auto; see below.")
    ] = "auto",
    focal: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Focal length in pixels, for round fruit. Default: EXIF, a tilt, or assumed."),
    ] = None,
    edge_error: Annotated[
        float, typer.Option(help="Pixels by which outlines may be wrong, all around.")
    ] = 0.5,
    diameter: Annotated[
        str, typer.Option(help="equal_area, feret (largest), feret_min, or ellipse (mean of the axes).")
    ] = "equal_area",
    grades: Annotated[
        str, typer.Option(help="Grade by colour: tomato, strawberry, or a file (see the how-to).")
    ] = "",
    classes: Annotated[str, typer.Option(help="Count these classes alone, as apple,pear.")] = "",
    confidence: Confidence = 0.5,
    overlapping: Annotated[
        bool, typer.Option("--overlapping", help="Photographs overlap: count each fruit once.")
    ] = False,
    frames: Annotated[
        bool, typer.Option("--frames", help="IMAGES is one folder with a video's frames.")
    ] = False,
    plots: Annotated[
        str, typer.Option(help="Yield by plot from EXIF GPS: a GeoJSON of plots, or a grid's metres.")
    ] = "",
    density: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Of the fruit in g/cm3: the table of plots then has masses."),
    ] = None,
    split: Split = "",
    out: Annotated[Path, typer.Option(help="A folder, or a file ending in .csv, .parquet or .xlsx.")] = Path(
        "delineate-fruit"
    ),
    pictures: Pictures = True,
    page: Page = True,
    resume: Resume = False,
    device: Device = "",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Count fruit, measure each in millimetres with its error, grade it by colour."""
    from delineate.engine.crops_fruit import FruitSettings, fruit_items
    from delineate.engine.crops_grades import grades_of
    from delineate.engine.crops_plots import plots_of
    from delineate.engine.crops_scale import parse_scale, with_focal
    from delineate.engine.crops_views import CropsViews
    from delineate.engine.measure_tables import check_ending

    from .crops_run import CropsRun, crops_items, fruit_line, fruit_video, one_video
    from .messages import only_errors

    if quiet:
        only_errors()
    check_ending(out)
    settings = FruitSettings(
        with_focal(parse_scale(scale, None if scale_error is None else scale_error / 100), focal),
        edge_error,
        diameter,
        grades_of(grades),
        tuple(name.strip() for name in classes.split(",") if name.strip()),
        CropsViews(out, pictures, page) if (pictures or page) and not out.suffix else None,
        overlapping,
        plots_of(plots),
        density,
        shape,
    )
    if frames or one_video(images):
        fruit_video(images, model, labels, settings, confidence, CropsRun("fruit", [], out, quiet, as_json))
    items = crops_items(images, model, labels, confidence, split, device)
    what: dict[str, Any] = {"command": "fruit", "images": images, "model": model, "labels": labels}
    what |= {"confidence": confidence, "split": split, "settings": settings.plain()}
    run = CropsRun("fruit", items, out, quiet, as_json)
    run.go(lambda journal, tell: fruit_items(items, settings, journal, tell), fruit_line, what, resume)
