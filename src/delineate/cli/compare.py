"""`delineate compare`: which family for my data?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Device, Quiet

EPILOG = """Examples:

delineate compare --data my-dataset --models yolo_seg_n,yolact,center_offset --budget 20m

delineate compare --data dsb2018 --models nuclei,yolo_seg_n --budget 5m --metric cells/AP50

delineate compare --data photos --models yolo_seg_n,mask_rcnn --budget 1h --folds 3

delineate compare --data photos --models yolo_seg_n --budget 10m --fractions 0.1,0.25,0.5,1

A second call with the same --out does only what is missing. Exit codes: 0 all models scored; 1 some failed;
2 none could be scored."""

UNITS = {"s": 1 / 60, "m": 1.0, "min": 1.0, "h": 60.0}


def compare_command(
    data: Annotated[str, typer.Option(help="Dataset: a folder or a COCO JSON file.")] = "",
    models: Annotated[
        str,
        typer.Option(
            help="Names of the zoo, with commas between; see `delineate models`. Weights files are scored as "
            "they are."
        ),
    ] = "",
    budget: Annotated[str, typer.Option(help="Time of every training: 90s, 20m, 1h.")] = "20m",
    metric: Annotated[str, typer.Option(help="The score that decides.")] = "mask/AP",
    folds: Annotated[
        int, typer.Option(help="Train so often, each time on all but one part; 0: the split train, val.")
    ] = 0,
    fractions: Annotated[
        str, typer.Option(help="Shares of the training images, for a learning curve: 0.1,0.25,0.5,1.")
    ] = "1",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="One setting of every training, such as augment.crop=256; may be repeated."
        ),
    ] = None,
    max_det: Annotated[int, typer.Option(help="AP scores so many detections per image and class.")] = 100,
    seed: Annotated[int, typer.Option(help="Of weights, order, folds and shares.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder of the trainings and of the result.")] = Path(
        "runs/compare"
    ),
    device: Device = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    quiet: Quiet = False,
) -> None:
    """Train families on your data for the same time, score them alike, and recommend one."""
    from delineate.core.errors import InputError
    from delineate.data.dataset import open_dataset
    from delineate.engine.compare_models import compare, estimate

    names = [name.strip() for name in models.split(",") if name.strip()]
    if not data or not names:
        raise InputError("compare: expected --data and --models; see `delineate compare --help`")
    minutes, shares = _minutes(budget), _shares(fractions)
    dataset = open_dataset(data)
    if not quiet:
        typer.echo(estimate(names, dataset, minutes, folds, len(shares)), err=True)
    result = compare(
        dataset, names, minutes, metric=metric, folds=folds, fractions=shares, settings=settings or (),
        max_det=max_det, seed=seed, out=out, device=device, quiet=quiet,
        say=None if quiet else lambda line: typer.echo(line, err=True),
    )  # fmt: skip
    if as_json:
        typer.echo((out / "comparison.json").read_text().rstrip())
    elif not quiet:
        typer.echo(str(result))
        typer.echo(f"wrote {out / 'comparison.json'}, .csv, .txt, .png", err=True)
    if result.failed:
        raise typer.Exit(1)


def _minutes(text: str) -> float:
    """The minutes of ``90s``, ``20m``, ``1.5h`` or a bare number of minutes."""
    from delineate.core.errors import InputError

    digits = text.strip().rstrip("abcdefghijklmnopqrstuvwxyz")
    try:
        return float(digits) * UNITS[text.strip()[len(digits) :] or "m"]
    except (ValueError, KeyError):
        raise InputError(
            f"--budget: expected a time such as 90s, 20m or 1h, got {text!r}; correct it"
        ) from None


def _shares(text: str) -> list[float]:
    from delineate.core.errors import InputError

    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(
            f"--fractions: expected numbers with commas between, got {text!r}; give for example 0.25,0.5,1"
        ) from None
