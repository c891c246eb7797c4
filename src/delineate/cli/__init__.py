"""The command line: one short function per command. Heavy imports wait until a command runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from delineate import __version__

from .agreement import EPILOG as AGREEMENT_EPILOG
from .agreement import agreement_command
from .compare import EPILOG as COMPARE_EPILOG
from .compare import compare_command
from .composite import EPILOG as COMPOSITE_EPILOG
from .composite import composite_command
from .convert import EPILOG as CONVERT_EPILOG
from .convert import convert_command
from .doctor import EPILOG as DOCTOR_EPILOG
from .doctor import doctor_command
from .evaluate import EPILOG as EVALUATE_EPILOG
from .evaluate import evaluate_command
from .evaluate_tracks import EPILOG as EVALUATE_TRACKS_EPILOG
from .evaluate_tracks import evaluate_tracks_command
from .export import EPILOG as EXPORT_EPILOG
from .export import export_command
from .fruit import EPILOG as FRUIT_EPILOG
from .fruit import fruit_command
from .grasp import EPILOG as GRASP_EPILOG
from .grasp import grasp_command
from .leaves import EPILOG as LEAVES_EPILOG
from .leaves import leaves_command
from .lineage import EPILOG as LINEAGE_EPILOG
from .lineage import lineage_command
from .map import EPILOG as MAP_EPILOG
from .map import map_command
from .map_change import EPILOG as MAP_CHANGE_EPILOG
from .map_change import map_change_command
from .map_score import EPILOG as MAP_SCORE_EPILOG
from .map_score import map_score_command
from .measure import EPILOG as MEASURE_EPILOG
from .measure import measure_command
from .messages import one_line_messages, say
from .misses import EPILOG as MISSES_EPILOG
from .misses import misses_command
from .models import EPILOG as MODELS_EPILOG
from .models import models_command
from .polygons import EPILOG as POLYGONS_EPILOG
from .polygons import polygons_command
from .predict import EPILOG as PREDICT_EPILOG
from .predict import predict_command
from .preview import EPILOG as PREVIEW_EPILOG
from .preview import preview_command
from .refine import EPILOG as REFINE_EPILOG
from .refine import refine_command
from .serve import EPILOG as SERVE_EPILOG
from .serve import serve_command
from .split import EPILOG as SPLIT_EPILOG
from .split import split_command
from .studio import EPILOG as STUDIO_EPILOG
from .studio import studio_command
from .synthesize import EPILOG as SYNTHESIZE_EPILOG
from .synthesize import synthesize_command
from .track import EPILOG as TRACK_EPILOG
from .track import track_command
from .train import train
from .trajectories import EPILOG as TRAJECTORIES_EPILOG
from .trajectories import trajectories_command
from .view import EPILOG as VIEW_EPILOG
from .view import view_command

EPILOG = """Examples:

delineate predict image.png

delineate models

delineate train --data my-dataset --model center_offset

delineate evaluate --model nuclei --data my-dataset

Each command has its own --help."""

TRAIN_EPILOG = """Examples:

delineate train --data my-dataset --model center_offset --epochs 50

delineate train recipes/nuclei.toml --out runs/nuclei

delineate train recipes/nuclei.toml --out runs/nuclei --resume"""

INTERRUPTED = 130

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
app.command("predict", epilog=PREDICT_EPILOG, no_args_is_help=True)(predict_command)
app.command("measure", epilog=MEASURE_EPILOG, no_args_is_help=True)(measure_command)
app.command("fruit", epilog=FRUIT_EPILOG, no_args_is_help=True)(fruit_command)
app.command("leaves", epilog=LEAVES_EPILOG, no_args_is_help=True)(leaves_command)
app.command("map", epilog=MAP_EPILOG, no_args_is_help=True)(map_command)
app.command("map-change", epilog=MAP_CHANGE_EPILOG, no_args_is_help=True)(map_change_command)
app.command("map-score", epilog=MAP_SCORE_EPILOG, no_args_is_help=True)(map_score_command)
app.command("train", epilog=TRAIN_EPILOG, no_args_is_help=True)(train)
app.command("evaluate", epilog=EVALUATE_EPILOG, no_args_is_help=True)(evaluate_command)
app.command("compare", epilog=COMPARE_EPILOG, no_args_is_help=True)(compare_command)
app.command("track", epilog=TRACK_EPILOG, no_args_is_help=True)(track_command)
app.command("composite", epilog=COMPOSITE_EPILOG, no_args_is_help=True)(composite_command)
app.command("evaluate-tracks", epilog=EVALUATE_TRACKS_EPILOG, no_args_is_help=True)(evaluate_tracks_command)
app.command("lineage", epilog=LINEAGE_EPILOG, no_args_is_help=True)(lineage_command)
app.command("export", epilog=EXPORT_EPILOG, no_args_is_help=True)(export_command)
app.command("convert", epilog=CONVERT_EPILOG, no_args_is_help=True)(convert_command)
app.command("studio", epilog=STUDIO_EPILOG, no_args_is_help=True)(studio_command)
app.command("serve", epilog=SERVE_EPILOG)(serve_command)
app.command("doctor", epilog=DOCTOR_EPILOG, no_args_is_help=True)(doctor_command)
app.command("synthesize", epilog=SYNTHESIZE_EPILOG, no_args_is_help=True)(synthesize_command)
app.command("agreement", epilog=AGREEMENT_EPILOG, no_args_is_help=True)(agreement_command)
app.command("polygons", epilog=POLYGONS_EPILOG, no_args_is_help=True)(polygons_command)
app.command("refine", epilog=REFINE_EPILOG, no_args_is_help=True)(refine_command)
app.command("trajectories", epilog=TRAJECTORIES_EPILOG, no_args_is_help=True)(trajectories_command)
app.command("grasp", epilog=GRASP_EPILOG, no_args_is_help=True)(grasp_command)
app.command("misses", epilog=MISSES_EPILOG, no_args_is_help=True)(misses_command)
app.command("split", epilog=SPLIT_EPILOG, no_args_is_help=True)(split_command)
app.command("preview", epilog=PREVIEW_EPILOG, no_args_is_help=True)(preview_command)
app.command("view", epilog=VIEW_EPILOG, no_args_is_help=True)(view_command)
app.command("models", epilog=MODELS_EPILOG)(models_command)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"delineate {__version__}")
        raise typer.Exit


@app.callback(epilog=EPILOG)
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Find every object in an image, say what it is, trace its outline."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name; None takes them from ``sys.argv``.

    Returns:
        0 all fine; 1 some files failed, the rest is done; 2 wrong usage, or nothing could be done; 130
        interrupted. Errors are one line on stderr.
    """
    with one_line_messages():
        try:
            code = app(args=arguments, prog_name="delineate", standalone_mode=False)
            sys.stdout.flush()
            if code == INTERRUPTED:  # as typer tells it
                say("interrupted")
            return code if isinstance(code, int) else 0
        except (KeyboardInterrupt, typer.Abort):
            say("interrupted")
            return INTERRUPTED
        except BrokenPipeError:  # the reader, `head` for instance, has had enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except MemoryError:
            return _fail("not enough memory; use smaller images or tiles (--tile), or close other programs")
        except OSError as error:
            return _fail(f"{error.filename or 'system'}: {error.strerror or error}; choose another place")
        except Exception as error:
            told = _told(error)
            if told is None:
                raise
            return _fail(told) if told else 2


def _told(error: Exception) -> str | None:
    """One line for an error that is the user's to mend; empty where it is already told; None for a fault."""
    from delineate.core.errors import DelineateError  # later: imports NumPy and OpenCV

    return str(error) if isinstance(error, DelineateError) else _usage(error)


def _usage(error: Exception) -> str | None:
    """What typer says of wrong usage, in one line; empty where it has shown help instead; None: not usage."""
    tell = getattr(error, "format_message", None)
    if tell is None:
        return None
    text = " ".join(str(tell()).split())
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        return ""  # the help is already shown
    command = context.command_path if context is not None else "delineate"
    return f"{text.rstrip('.')}; see `{command} --help`"


def _fail(text: str) -> int:
    say(f"error: {text}")
    return 2
