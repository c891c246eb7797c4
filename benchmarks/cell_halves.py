"""A sequence of the Cell Tracking Challenge cut in two: `python benchmarks/cell_halves.py FOLDER OUT`.

FOLDER holds `01` and `01_GT` with `SEG` and `TRA`. Of N frames the first N // 2 go to `OUT/train`, the
others to `OUT/val`, each numbered from 0 again, so that one can be learned from and the other tested on. A
track that runs over the cut has its id in both; a parent that ended before the cut is nobody's parent in
the second half.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from delineate.data.formats.ctc import read


def halve(folder: Path, out: Path, name: str = "01") -> dict[str, int]:
    """Writes both halves and returns the number of frames of each.

    Raises:
        DatasetError: no such sequence, or one that is not well formed.
    """
    truth = read(folder / f"{name}_GT")
    assert truth.lineage is not None
    cut = len(truth) // 2
    for split, begin, end in (("train", 0, cut), ("val", cut, len(truth))):
        part = out / split
        for source, target in (
            (folder / name / "t", part / name / "t"),
            (folder / f"{name}_GT/SEG/man_seg", part / f"{name}_GT/SEG/man_seg"),
            (folder / f"{name}_GT/TRA/man_track", part / f"{name}_GT/TRA/man_track"),
        ):
            target.parent.mkdir(parents=True, exist_ok=True)
            for frame in range(begin, end):
                old = source.with_name(f"{source.name}{frame:03d}.tif")
                if old.exists():  # SEG may lack frames
                    shutil.copyfile(old, target.with_name(f"{target.name}{frame - begin:03d}.tif"))
        rows = [
            (i, max(first, begin) - begin, min(last, end - 1) - begin, parent)
            for i, first, last, parent in truth.lineage.rows()
            if first < end and last >= begin
        ]
        here = {row[0] for row in rows}
        lines = [f"{i} {a} {b} {p if p in here and a > 0 else 0}\n" for i, a, b, p in rows]
        (part / f"{name}_GT/TRA/man_track.txt").write_text("".join(lines), encoding="ascii")
    return {"train": cut, "val": len(truth) - cut}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    for part, count in halve(options.folder, options.out).items():
        print(f"{options.out / part}: {count} frames")
