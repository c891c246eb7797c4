"""`delineate train`: from a recipe, or from a dataset and a model's name, to weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .messages import say
from .options import Device, Quiet

EPILOG = """Examples:

delineate train --data my-dataset --model center_offset --epochs 50

delineate train recipes/nuclei.toml --out runs/nuclei

delineate train recipes/nuclei.toml --out runs/nuclei --resume

delineate train recipes/nuclei.toml --out runs/nuclei --processes 4 --restarts 3"""


def train_command(
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
    processes: Annotated[
        int, typer.Option(help="Processes on this machine that share each batch: one per GPU.", min=1)
    ] = 1,
    restarts: Annotated[
        int, typer.Option(help="With --processes: how often all go on anew after one was killed.", min=0)
    ] = 0,
    device: Device = "",
    quiet: Quiet = False,
) -> None:
    """Train a model.

    On several GPUs: --processes 4, or on several machines: torchrun --no-python --nnodes 2 --nproc-per-node 4
    ... delineate train RECIPE
    """
    from delineate.engine.launch import among_others, launch, leashed, this_program

    folder = out or Path("runs") / (recipe.stem if recipe else model or "train")
    if processes > 1 and not among_others():
        words = [str(recipe)] if recipe else []
        words += ["--out", str(folder)]
        words += ["--data", data] if data else []
        words += ["--model", model] if model else []
        words += ["--epochs", str(epochs)] if epochs else []
        words += [word for setting in settings or [] for word in ("--set", setting)]
        words += ["--device", device] if device else []
        words += ["--resume"] * resume + ["--quiet"] * quiet
        command = [*this_program(), "train", *words]
        if code := launch(command, processes, restarts=restarts, folder=folder, say=say):
            raise typer.Exit(code)
        return
    leashed()
    _train(recipe, data, model, folder, resume, epochs, settings or [], device, quiet)


def _train(
    recipe: Path | None,
    data: str,
    model: str,
    folder: Path,
    resume: bool,
    epochs: int,
    settings: list[str],
    device: str,
    quiet: bool,
) -> None:
    """The training itself, in this process."""
    from delineate.core.errors import InputError
    from delineate.engine.config import read_recipe
    from delineate.engine.family_settings import family_settings
    from delineate.engine.launch import restarted
    from delineate.engine.processes import ProcessLost
    from delineate.engine.train import INTERRUPTED, begun
    from delineate.engine.train import train as run

    resume = resume or (restarted() and begun(folder))
    changes: list[str | tuple[str, Any]] = [] if recipe or resume or not model else [*family_settings(model)]
    changes += settings
    changes += [("data.path", data)] if data else []
    changes += [("model.name", model)] if model else []
    changes += [("train.epochs", epochs), ("train.steps", 0)] if epochs else []
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
    try:
        result = run(chosen, folder, resume=resume, device=device, quiet=quiet)
    except ProcessLost as error:
        say(str(error))
        raise typer.Exit(1) from None
    if result.reason == INTERRUPTED:
        raise typer.Exit(1)  # what was done is kept; --resume goes on
