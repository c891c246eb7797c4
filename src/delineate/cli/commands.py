"""The commands by name. `delineate --help` reads this table; a command's module is imported when it runs."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup


class Command(NamedTuple):
    """One command: ``NAME_command`` with its ``EPILOG`` in the module NAME of this package.

    Attributes:
        name: as people type it; hyphens are underscores in the module's name.
        group: the heading in ``delineate --help``.
        summary: the first paragraph of the function's docstring, word for word; a test compares them.
        alone: does something useful without arguments; the others show their help.
    """

    name: str
    group: str
    summary: str
    alone: bool = False


FIND, ANSWERS, VIDEOS, DATA = "Find objects", "Get answers", "Videos", "Training data"
MODELS, JUDGE, USE = "Models", "Judge", "Put to use"

COMMANDS = (
    Command("predict", FIND, "Find, outline, count and measure the objects in images."),
    Command(
        "measure",
        ANSWERS,
        "Measure every object: size, shape, brightness, texture, neighbours; in pixels and physical units.",
    ),
    Command("fruit", ANSWERS, "Count fruit, measure each in millimetres with its error, grade it by colour."),
    Command(
        "leaves",
        ANSWERS,
        "Join lesions to leaves: the diseased part of each leaf, by class, with a severity score.",
    ),
    Command(
        "map",
        ANSWERS,
        "Map the objects of an aerial or satellite image: outlines with areas, as a vector file.",
    ),
    Command(
        "map-change",
        ANSWERS,
        "Compare two maps of objects: new, gone, changed, the same, whatever shift lies between them.",
    ),
    Command(
        "map-score",
        ANSWERS,
        "Score mapped footprints against true ones: SpaceNet's precision, recall and F1 at IoU 0.5.",
    ),
    Command(
        "grasp",
        ANSWERS,
        "Where and how to take each object: poses for two fingers or a suction cup, from RGB and depth.",
    ),
    Command("track", VIDEOS, "Follow the objects of a video: who is who, from frame to frame."),
    Command(
        "lineage",
        VIDEOS,
        "Who descends from whom: the tree of tracked cells, and tables of tracks and of areas over time.",
    ),
    Command(
        "trajectories",
        VIDEOS,
        "Where tracked participants go: places, speeds, headings, collisions, forecasts, as tables.",
    ),
    Command(
        "composite",
        VIDEOS,
        "Change what is behind objects, or the objects: blur, replace, cut out, outline, pixelate, remove.",
    ),
    Command("preview", VIDEOS, "Show a camera, a stream or a file live, with its objects."),
    Command("studio", DATA, "Draw, correct and review masks in the browser; a model draws first."),
    Command("convert", DATA, "Write a dataset in another format; what that cannot hold is counted and told."),
    Command(
        "doctor",
        DATA,
        "Examine a dataset: labels, images, duplicates, leaks between splits; suggest settings.",
    ),
    Command("view", DATA, "Look through a dataset: thumbnails with outlines, filtered by split and class."),
    Command(
        "split",
        DATA,
        "Share images out to parts: alike in classes and object sizes, groups kept whole, repeatable.",
    ),
    Command("agreement", DATA, "Compare the labels of several annotators; make one out of them."),
    Command(
        "polygons",
        DATA,
        "Give all outlines the points they need and no more, within a distance that is told.",
    ),
    Command("refine", DATA, "Move rough outlines to the edges of the image, and write them as masks."),
    Command("synthesize", DATA, "Make images, or a video, of crowds whose masks are known exactly."),
    Command("train", MODELS, "Train a model."),
    Command(
        "compare",
        MODELS,
        "Train families on your data for the same time, score them alike, and recommend one.",
    ),
    Command(
        "models",
        MODELS,
        "List the models: what they find, where their weights come from, how large, under which licence.",
        alone=True,
    ),
    Command("evaluate", JUDGE, "Score a model, or predictions of any tool, against a dataset's truth."),
    Command("evaluate-tracks", JUDGE, "Score tracked objects of any tool against the truth of videos."),
    Command(
        "misses", JUDGE, "Who is missed: true objects of videos by size, crowding, occlusion and distance."
    ),
    Command(
        "export",
        USE,
        "Write a model as a graph that runs without PyTorch's network, class names and settings included.",
    ),
    Command(
        "benchmark",
        USE,
        "Measure how long models take on this machine: reading, preparing, network, results, masks.",
    ),
    Command(
        "serve", USE, "Answer predictions over HTTP: at once, or as jobs; KServe's protocol too.", alone=True
    ),
)


@cache
def load(name: str) -> Any:
    """The command as typer has it, with all its options; imports its module."""
    row = next(command for command in COMMANDS if command.name == name)
    stem = name.replace("-", "_")
    module = import_module(f".{stem}", __package__)
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    made = alone.command(name, epilog=module.EPILOG, no_args_is_help=not row.alone)
    made(getattr(module, f"{stem}_command"))
    return typer.main.get_command(alone)


class Commands(TyperGroup):
    """Lists the commands from the table; imports one when it is asked for."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the arguments name, with all its options."""
        name, found, rest = super().resolve_command(ctx, args)
        return name, found and load(name), rest


def add_commands(app: typer.Typer) -> None:
    """Let the app know the names, headings and summaries."""
    for command in COMMANDS:
        app.command(command.name, help=command.summary, rich_help_panel=command.group)(_nothing)


def _nothing() -> None:
    """Stands in the listing; `Commands` runs the command itself."""
