"""Every reader of files or bodies that somebody else wrote, each with files to start from.

A target is a function of a folder of its own. It gives the seeds, and the function that reads one input: that
may raise :class:`DelineateError` (for the server's bodies, :class:`RefusedError`), and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

Read = Callable[[bytes], None]
Made = tuple[list[bytes], Read]
SMALL = 4_000_000
TARGETS: dict[str, Callable[[Path], Made]] = {}


def target(function: Callable[[Path], Made]) -> Callable[[Path], Made]:
    """Adds it under its name."""
    TARGETS[function.__name__.strip("_").replace("_", "-")] = function
    return function


def tries(*calls: Callable[[], object]) -> None:
    """Each call, whatever the others refuse; iterators are run to their end."""
    from delineate.core.errors import DelineateError

    for call in calls:
        try:
            found = call()
            if isinstance(found, Iterator):
                for _ in found:
                    pass
        except DelineateError as error:
            check_message(str(error))


def check_message(text: str) -> None:
    """A refusal is a line, and not a long one."""
    if "\n" in text or len(text) > 3000:
        lines = text.count("\n") + 1
        raise AssertionError(f"a message of {lines} lines, {len(text)} characters: {text[:200]!r}")
