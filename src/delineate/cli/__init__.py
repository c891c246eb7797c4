"""The command line: one short function per command, imported when it runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from delineate import __version__

from .commands import Commands, add_commands
from .messages import fault, one_line_messages, say

EPILOG = """Examples:

delineate predict image.png

delineate models

delineate train --data my-dataset --model center_offset

delineate evaluate --model nuclei --data my-dataset

Each command has its own --help."""

INTERRUPTED = 130
FAULT = 70  # of ours: EX_SOFTWARE of sysexits.h

app = typer.Typer(cls=Commands, add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
add_commands(app)


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
        0 all fine; 1 some files failed, the rest is done; 2 wrong usage, or nothing could be done; 70 a fault
        of delineate; 130 interrupted. Errors are one line on stderr.
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
                say(fault(error))
                return FAULT
            return _fail(told) if told else 2


def _told(error: Exception) -> str | None:
    """One line for an error that is the user's to mend; empty where it is already told; None for a fault."""
    from delineate.core.errors import TORCH, DelineateError  # later: imports NumPy and OpenCV

    if isinstance(error, ModuleNotFoundError) and error.name in TORCH:
        return (
            "this needs PyTorch, got none; pip install delineate, or give a model that `delineate export` "
            "wrote (--weights model.onnx)"
        )
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
