"""Warnings that come up image by image, gathered for one report instead of a line each on the terminal."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


class Remarks:
    """Texts with how many images they came up in; those of one kind stand under the first of them."""

    def __init__(self) -> None:
        self._first: dict[str, str] = {}
        self._images: dict[str, int] = {}

    def add(self, text: str, kind: str | None = None) -> None:
        """Note ``text``; others of the same ``kind`` (default: the text itself) are only counted."""
        kind = text if kind is None else kind
        self._first.setdefault(kind, text)
        self._images[kind] = self._images.get(kind, 0) + 1

    def merge(self, other: Remarks) -> None:
        """Take over what came up in other images."""
        for kind, text in other._first.items():
            self._first.setdefault(kind, text)
            self._images[kind] = self._images.get(kind, 0) + other._images[kind]

    def texts(self) -> list[str]:
        """One sentence per kind, in order of appearance."""
        return [
            text if self._images[kind] == 1 else f"{text} (so or alike in {self._images[kind]} images)"
            for kind, text in self._first.items()
        ]


class _Gather(logging.Handler):
    def __init__(self, found: dict[str, str]) -> None:
        super().__init__(logging.WARNING)
        self.found = found

    def emit(self, record: logging.LogRecord) -> None:
        self.found.setdefault(str(record.msg), record.getMessage())


@contextmanager
def remarks_of_one_image(remarks: Remarks) -> Iterator[None]:
    """Python warnings and those of the package's log go to ``remarks``, each kind once, and nowhere else."""
    found: dict[str, str] = {}
    log, handler = logging.getLogger("delineate"), _Gather(found)
    propagate, others = log.propagate, log.handlers[:]
    log.propagate, log.handlers = False, [handler]
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
    finally:
        log.propagate, log.handlers = propagate, others
        found.update({str(w.message): str(w.message) for w in caught})
        for kind, text in found.items():
            remarks.add(text, kind)
