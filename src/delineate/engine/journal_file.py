"""The file in which a long run notes what is done, opened to begin or to go on."""

from __future__ import annotations

from pathlib import Path
from typing import IO

from delineate.core.errors import InputError


def open_journal(path: Path, resume: bool) -> tuple[IO[bytes], bool]:
    """Opens a run's notes.

    Args:
        path: the file; beside the results.
        resume: go on with the file, where it is there.

    Returns:
        The file, open to read and write at its beginning, and whether it has notes of an earlier run.

    Raises:
        InputError: notes of an unfinished run without ``resume``, or no place to write.
    """
    there = path.is_file() and path.stat().st_size > 0
    if there and not resume:
        raise InputError(
            f"{path}: expected no unfinished run here, got one; go on with it by --resume, or delete "
            "this file to begin anew"
        )
    try:
        return path.open("r+b" if there else "w+b"), there
    except OSError as error:
        raise InputError(
            f"{path}: expected to write here, got {error.strerror or error}; choose another place"
        ) from None
