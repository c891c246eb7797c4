"""Reading parts of a file from several threads at once."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path


class FileParts:
    """A file that is open for reading; it closes when it is told to, or when nobody holds it any more.

    Args:
        path: the file.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self._size = os.fstat(self._descriptor).st_size

    def read(self, offset: int, count: int) -> bytes:
        """Up to ``count`` bytes from ``offset`` on; fewer at the file's end.

        Raises:
            ValueError: it is closed.
        """
        if self._descriptor < 0:
            raise ValueError("read: expected an open file, got one that was closed; open it again")
        count = min(count, self._size - offset)  # memory is taken for what is there, not for what is asked
        if offset < 0 or count <= 0:
            return b""
        if hasattr(os, "pread"):
            return os.pread(self._descriptor, count, offset)
        with self._lock:  # Windows has no pread
            os.lseek(self._descriptor, offset, os.SEEK_SET)
            return os.read(self._descriptor, count)

    def close(self) -> None:
        """Closes the file; nothing more can be read."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        with contextlib.suppress(OSError, AttributeError):
            self.close()
