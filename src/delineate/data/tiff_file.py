"""Opening a TIFF that somebody else wrote: that file alone, and only where its pages come to an end."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import tifffile


@contextmanager
def opened_tiff(source: Path | IO[bytes]) -> Iterator[Any]:
    """A :class:`tifffile.TiffFile`; other files that its OME-XML names stay closed.

    Raises:
        tifffile.TiffFileError: no TIFF, or a page leads back to an earlier one: tifffile looks for circles
            among the first hundred pages alone, and would go round for minutes.
    """
    with tifffile.TiffFile(source, _multifile=False) as file:
        _check_chain(file.filehandle, file.tiff)
        yield file


def _check_chain(handle: Any, form: Any) -> None:
    """Follows the pages by the offset that ends each, without looking at their tags."""
    offset, seen = 8 if form.is_bigtiff else 4, set[int]()
    while True:
        handle.seek(offset)
        raw = handle.read(form.offsetsize)
        page = struct.unpack(form.offsetformat, raw)[0] if len(raw) == form.offsetsize else 0
        if page == 0:
            return
        if page in seen:
            raise tifffile.TiffFileError(f"page {len(seen) + 1} leads back to an earlier one")
        seen.add(page)
        handle.seek(page)
        raw = handle.read(form.tagnosize)
        tags = struct.unpack(form.tagnoformat, raw)[0] if len(raw) == form.tagnosize else 0
        offset = page + form.tagnosize + tags * form.tagsize
