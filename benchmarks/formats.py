"""Datasets written in other formats and read back: seconds, bytes, and how much of the masks comes back.

    python benchmarks/formats.py DATA [--formats labelme cvat …] [--split val] [--most 100]

DATA is any dataset. Images are hard-linked, not copied, and not counted; a format that refuses the dataset
(frames of different sizes, say) is told. Each format runs alone, one after the other. Seconds are the
processor's.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from delineate.core.lean_outlines import lean_outlines
from delineate.core.masks import Masks
from delineate.data import open_dataset
from delineate.data.find import SUFFIXES
from delineate.data.known_formats import FORMATS, Format
from delineate.data.losses import Losses
from delineate.data.place import Place
from delineate.data.records import Dataset

TOOLS = ("labelme", "cvat", "via", "via3", "label-studio", "supervisely")


def there_and_back(row: Format, data: Dataset, truths: list[Masks], folder: Path) -> str:
    out = folder / row.name
    out.mkdir()
    start = time.process_time()
    row.write(out, data, Losses(), Place("link", out))
    written = time.process_time() - start
    start = time.process_time()
    back = row.read(out)
    read = [back.truth(i).masks for i in range(len(back))]
    seconds = time.process_time() - start
    files = [p for p in out.rglob("*") if p.is_file() and p.suffix.lower() not in SUFFIXES]
    size = sum(p.stat().st_size for p in files)
    at = {(r.groups.get("split"), Path(r.name).name): i for i, r in enumerate(back.records)}
    found = [read[at[r.groups.get("split"), Path(r.name).name]] for r in data.records]
    ious = np.concatenate([np.diag(a.iou(b)) for a, b in zip(truths, found, strict=True) if b is not None])
    figures = f"{written:.1f} | {seconds:.1f} | {size / 1e6:.2f} | {ious.min():.3f} | {ious.mean():.4f}"
    return f"{figures} | {(ious == 1).mean():.1%}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--formats", nargs="+", default=TOOLS, choices=list(FORMATS))
    parser.add_argument("--split")
    parser.add_argument("--most", type=int, default=1000, help="images, the first of the dataset")
    given = parser.parse_args()
    data = open_dataset(given.data, split=given.split, skip_invalid=True)[: given.most]
    truths = [masks for i in range(len(data)) if (masks := data.truth(i).masks) is not None]
    objects = sum(map(len, truths))
    start = time.process_time()
    lean = [lean_outlines(masks) for masks in truths]
    seconds = time.process_time() - start
    points = sum(len(ring) for masks in lean for parts in masks for part in parts for ring in part.rings)
    exact = sum(len(r) for m in truths for parts in m.to_polygons() for part in parts for r in part.rings)
    print(f"{data.describe()}; {objects} objects")
    print(
        f"outlines: {points / objects:.1f} points an object, {exact / objects:.1f} along pixel edges, "
        f"{seconds:.2f} s\n"
    )
    print(
        "| format | written, s | read, s | MB | least IoU | mean IoU | to the pixel |\n"
        "|---|---|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        for name in given.formats:
            try:
                print(f"| {name} | {there_and_back(FORMATS[name], data, truths, Path(folder))} |", flush=True)
            except ValueError as error:
                print(f"| {name} | {error} |", flush=True)


if __name__ == "__main__":
    main()
