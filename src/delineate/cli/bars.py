"""A progress bar on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bar(what: str, total: int | None, quiet: bool = False) -> Iterator[Callable[[], object]]:
    """A progress bar on a terminal's stderr; what is given is called after each step.

    Without a total it only shows that something goes on.
    """
    import sys

    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True, quiet=quiet or not sys.stderr.isatty())
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda: progress.advance(task)
