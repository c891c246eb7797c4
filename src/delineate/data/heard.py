"""What readers find wrong with single entries, for whoever wants to hear all of it.

A reader that refuses names the first fault, one that leaves bad entries out tells their number. Both also
:func:`report` each entry, which costs nothing where nobody listens.

Example:
    >>> with listen() as heard:
    ...     report(Path("a.json"), "expected 4 numbers, got 3", "annotations[7].bbox")
    >>> heard[0].where, heard[0].lost
    ('annotations[7].bbox', True)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Heard:
    """One entry that a reader could not use as it is.

    Attributes:
        source: the file that it stands in.
        message: what is wrong: "expected …, got …", or what was done about it.
        where: its place in the file, such as ``annotations[7].bbox`` or ``line 3``; empty: the whole file.
        lost: True where the entry is left out; False where it was mended, or is in doubt.
        image: the image's name where the reader knows it.
    """

    source: Path
    message: str
    where: str = ""
    lost: bool = True
    image: str = ""


_listening: ContextVar[list[Heard] | None] = ContextVar("delineate_heard", default=None)


@contextmanager
def listen() -> Iterator[list[Heard]]:
    """While it lasts, everything that readers report in this thread is put into the list that is given."""
    heard: list[Heard] = []
    token = _listening.set(heard)
    try:
        yield heard
    finally:
        _listening.reset(token)


def report(source: Path, message: str, where: str = "", lost: bool = True, image: str = "") -> None:
    """Tells whoever listens of one entry; see :class:`Heard` for the arguments."""
    heard = _listening.get()
    if heard is not None:
        heard.append(Heard(source, message, where, lost, image))
