"""`delineate leaves`: which part of each leaf is diseased."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .options import Confidence, Device, Json, Labelled, Page, Pictures, Quiet, Resume, Split

EPILOG = """Examples:

delineate leaves photos/ --model runs/rice_leaf/last.safetensors --out disease

delineate leaves my-dataset --split val --leaves leaf --severity horsfall-barratt

delineate leaves photos/ --labels annotations.json --scale aruco:4X4_50:20 --out disease.parquet

A lesion belongs to the leaf with most of its pixels. With --leaves the objects of those classes are leaves
and all others lesions; without it every object is a lesion and leaves are found by colour, on a plain
ground, which the tables state. --severity is brown-spot, bacterial-blight (both IRRI 2013) or
horsfall-barratt.

Exit codes: 0 every image done; 1 some failed, the rest is done; 2 wrong usage, or nothing could be done."""


def leaves_command(
    images: Annotated[
        list[str], typer.Argument(help="Photographs, folders, patterns in quotes, or a dataset.")
    ],
    model: Annotated[
        str, typer.Option(help="What finds lesions (and leaves): a name of the zoo or a weights file.")
    ] = "",
    labels: Labelled = "",
    leaves: Annotated[
        str, typer.Option(help="Classes that are leaves, as leaf,stem. Default: found by colour.")
    ] = "",
    severity: Annotated[str, typer.Option(help="Scale of the scores; see below.")] = "brown-spot",
    scale: Annotated[str, typer.Option(help="Where millimetres come from; see `fruit --help`.")] = "",
    confidence: Confidence = 0.5,
    split: Split = "",
    out: Annotated[Path, typer.Option(help="A folder, or a file ending in .csv, .parquet or .xlsx.")] = Path(
        "delineate-leaves"
    ),
    pictures: Pictures = True,
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="Leave malformed entries of a dataset out.")
    ] = False,
    page: Page = True,
    resume: Resume = False,
    device: Device = "",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Join lesions to leaves: the diseased part of each leaf, by class, with a severity score."""
    from delineate.apply.lesions import SCALES
    from delineate.core.errors import InputError
    from delineate.engine.crops_leaves import LeafSettings, leaf_items
    from delineate.engine.crops_scale import parse_scale
    from delineate.engine.crops_views import CropsViews
    from delineate.engine.measure_tables import check_ending

    from .crops_run import CropsRun, crops_items, leaf_line
    from .messages import only_errors

    if quiet:
        only_errors()
    check_ending(out)
    if severity not in SCALES:
        raise InputError(f"--severity: expected one of {', '.join(SCALES)}, got {severity!r}; choose one")
    settings = LeafSettings(
        tuple(name.strip() for name in leaves.split(",") if name.strip()),
        SCALES[severity],
        parse_scale(scale),
        CropsViews(out, pictures, page) if (pictures or page) and not out.suffix else None,
    )
    items = crops_items(images, model, labels, confidence, split, device, skip_invalid)
    what: dict[str, Any] = {"command": "leaves", "images": images, "model": model, "labels": labels}
    what |= {"confidence": confidence, "split": split, "settings": settings.plain()}
    run = CropsRun("leaves", items, out, quiet, as_json)
    run.go(lambda journal, tell: leaf_items(items, settings, journal, tell), leaf_line, what, resume)
