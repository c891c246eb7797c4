"""`delineate train`: from a recipe, or from a dataset and a model's name, to weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .options import Device, Quiet


def train(
    recipe: Annotated[Path | None, typer.Argument(help="Recipe, a TOML file.", show_default=False)] = None,
    data: Annotated[str, typer.Option(help="Dataset: a folder or a COCO JSON file.")] = "",
    model: Annotated[str, typer.Option(help="Name of the zoo; see `delineate models`.")] = "",
    out: Annotated[
        Path | None, typer.Option(help="Folder for checkpoints and logs. Default: runs/NAME.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the folder's last checkpoint.")
    ] = False,
    epochs: Annotated[int, typer.Option(help="Passes over the training images.")] = 0,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="One setting, such as train.lr=1e-3; may be repeated."),
    ] = None,
    device: Device = "",
    quiet: Quiet = False,
) -> None:
    """Train a model.

    The same recipe runs on several processes: torchrun --no-python --nproc-per-node 2 delineate train RECIPE
    """
    from delineate.core.errors import InputError
    from delineate.engine.config import read_recipe
    from delineate.engine.family_settings import family_settings
    from delineate.engine.train import INTERRUPTED
    from delineate.engine.train import train as run

    changes: list[str | tuple[str, Any]] = [] if recipe or resume or not model else [*family_settings(model)]
    changes += settings or []
    changes += [("data.path", data)] if data else []
    changes += [("model.name", model)] if model else []
    changes += [("train.epochs", epochs), ("train.steps", 0)] if epochs else []
    folder = out or Path("runs") / (recipe.stem if recipe else model or "train")
    if resume and recipe is None and not data:
        chosen = read_recipe(folder / "recipe.json", changes)
    elif recipe is None and not (data and model):
        raise InputError("train: expected a recipe, or --data and --model; see `delineate train --help`")
    else:
        chosen = read_recipe(recipe, changes)
    if not chosen.data.path:
        raise InputError(
            f"{recipe}: data.path: expected a dataset, got none; give it in the recipe or by --data"
        )
    result = run(chosen, folder, resume=resume, device=device, quiet=quiet)
    if result.reason == INTERRUPTED:
        raise typer.Exit(1)  # what was done is kept; --resume goes on
