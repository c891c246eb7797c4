"""`delineate doctor --fix`: a mended copy of a dataset, and a log of what was done."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from delineate.core.errors import DatasetError
from delineate.data.check import Checkup, Finding
from delineate.data.check.mend import LEFT, mend, write_log
from delineate.data.known_formats import written_as
from delineate.data.place import How

from .convert import Conversion, write_dataset

LOG = "log.csv"


@dataclass(frozen=True)
class Fixed:
    """What was written.

    Attributes:
        written: the copy.
        log: each finding, and what was done about it.
    """

    written: Conversion
    log: tuple[tuple[Finding, str], ...]

    def left(self, strict: bool = False) -> int:
        """How many faults (``strict``: and pieces of advice) are left as they are."""
        return sum(done == LEFT and (strict or finding.severity == "fault") for finding, done in self.log)

    def __str__(self) -> str:
        mended = sum(done != LEFT for _, done in self.log)
        return f"{self.written}; {mended} findings mended, {len(self.log) - mended} left ({LOG} has each)"


def fix(checkup: Checkup, out: str | Path, *, tick: Callable[[], object] = lambda: None) -> Fixed:
    """Writes a mended copy: in the dataset's own format where that can be written, else as COCO.

    Args:
        checkup: what was found; the dataset is only read.
        out: a folder that is new or empty.
        tick: called once for each image.

    Raises:
        DatasetError: nothing can be used, ``out`` is there already, or an image cannot be copied.
    """
    out = Path(out)
    if checkup.failed or not checkup.parts:
        raise DatasetError(checkup.failed or f"{checkup.source}: expected a dataset, got nothing to write")
    if out.suffix.lower() in (".json", ".csv", ".xml", ".zip"):
        raise DatasetError(
            f"{out}: expected a new folder for the mended copy, got a file's name; leave out {out.suffix}"
        )
    with tempfile.TemporaryDirectory() as folder:
        mended = mend(checkup, Path(folder))
        if not len(mended.data):
            raise DatasetError(
                f"{checkup.source}: expected images to keep, got none without a fault; mend them"
            )
        seen = any(one.picture is not None for one in checkup.examined)
        how: How = "copy" if seen else "none"  # where there are no images the annotations alone are mended
        written = write_dataset(mended.data, out, written_as(checkup.format) or "coco", images=how, tick=tick)
    write_log(out / LOG, mended.log)
    return Fixed(written, mended.log)
