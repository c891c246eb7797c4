"""A terminal that Ray does not write on."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def without_notices() -> Iterator[None]:
    """Ray tells, on stdout from a thread and on stderr from C++, that workers died; the run tells it too."""

    class Kept:
        def __init__(self, stream: Any) -> None:
            self.stream = stream

        def write(self, text: str) -> int:
            if threading.current_thread().name.startswith("ray_"):
                return len(text)
            return int(self.stream.write(text))

        def __getattr__(self, name: str) -> Any:
            return getattr(self.stream, name)

    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = Kept(sys.stdout), Kept(sys.stderr)
    own, quiet = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    if _is_plain(before[1]):
        sys.stderr = Kept(os.fdopen(own, "w", buffering=1, closefd=False))
        os.dup2(quiet, 2)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        os.dup2(own, 2)
        os.close(own)
        os.close(quiet)


def _is_plain(stream: Any) -> bool:
    """Whether a stream is the process's own stderr, and not what a test or notebook put there."""
    try:
        return bool(stream.fileno() == 2)
    except (AttributeError, OSError, ValueError):
        return False
