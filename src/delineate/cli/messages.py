"""What the command line says on stderr: one plain line each."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator

LOG = logging.getLogger("delineate")


def say(text: str) -> None:
    """One line on stderr, whatever characters the terminal knows; control characters do not reach it."""
    line = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    encoding = sys.stderr.encoding or "utf-8"
    with contextlib.suppress(OSError, ValueError):
        print(line.encode(encoding, "backslashreplace").decode(encoding), file=sys.stderr)


def tell(text: str) -> None:
    """One line on stdout, likewise."""
    line = "".join(c if c.isprintable() else "?" for c in text)
    encoding = sys.stdout.encoding or "utf-8"
    print(line.encode(encoding, "backslashreplace").decode(encoding), flush=True)


class _Lines(logging.Handler):
    """Log records of the library as such lines."""

    def emit(self, record: logging.LogRecord) -> None:
        say(f"{record.levelname.lower()}: {record.getMessage()}")


@contextlib.contextmanager
def one_line_messages() -> Iterator[None]:
    """While a command runs, log records and Python warnings are one line each on stderr."""
    handler = _Lines(logging.WARNING)
    propagate, LOG.propagate = LOG.propagate, False
    LOG.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: LOG.warning("%s", message)
            yield
    finally:
        LOG.removeHandler(handler)
        LOG.propagate = propagate


@contextlib.contextmanager
def once_each() -> Iterator[None]:
    """While it lasts, warnings that differ in their numbers only, as a video's frames give, are told once."""
    told: set[str] = set()

    def new(record: logging.LogRecord) -> bool:
        text = re.sub(r"\d+", "0", record.getMessage())
        known = record.levelno == logging.WARNING and text in told
        told.add(text)
        return not known

    handlers = [handler for handler in LOG.handlers if isinstance(handler, _Lines)]
    for handler in handlers:
        handler.addFilter(new)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(new)


def fault(error: BaseException) -> str:
    """One line on an error that should not be, which writes its traceback to a file for a report.

    With ``DELINEATE_TRACEBACK=1`` the traceback is printed instead.
    """
    told = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    trace = "".join(traceback.format_exception(error))
    if os.environ.get("DELINEATE_TRACEBACK") == "1":
        print(trace, file=sys.stderr)
        return f"error: a fault of delineate, {told}"
    try:
        number, name = tempfile.mkstemp(prefix="delineate-fault-", suffix=".txt")
        with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(trace)
    except OSError:
        name = "nowhere: run it again with DELINEATE_TRACEBACK=1"
    return f"error: a fault of delineate, {told}; please report it, the details are in {name}"


def only_errors() -> None:
    """From here on, to the end of the command, warnings are kept quiet."""
    for handler in LOG.handlers:
        if isinstance(handler, _Lines):
            handler.setLevel(logging.ERROR)
