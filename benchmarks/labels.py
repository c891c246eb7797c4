"""Formats there and back, splits against random ones, and contact sheets: time, memory, exactness.

DELINEATE_DATA=/data/of/yours python benchmarks/labels.py formats split view
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from delineate.data import open_dataset
from delineate.data.known_formats import FORMATS
from delineate.data.records import Dataset
from delineate.data.split import Split, split
from delineate.engine.contact_sheet import contact_sheet
from delineate.engine.convert import write_dataset

DATA = Path(os.environ.get("DELINEATE_DATA", "data"))
NAMES = ("qupath", "imagej", "geojson", "geopackage", "huggingface", "parquet")
SHARES = {"train": 0.7, "val": 0.2, "test": 0.1}


def formats() -> None:
    """Every format on the 69 validation images of dsb2018: CPU seconds, bytes an object, equal masks."""
    data = open_dataset(DATA / "dsb2018", split="val")
    truths = {name: data.truth(i) for i, name in enumerate(data.names)}
    objects = sum(map(len, truths.values()))
    print("| format | write s | read s | bytes an object | equal masks |\n|---|---|---|---|---|")
    for name in NAMES:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "out"
            os.environ["DELINEATE_CACHE"] = str(Path(folder) / "cache")
            begin = time.process_time()
            write_dataset(data, out, name, images="none" if name == "parquet" else "link")
            middle = time.process_time()
            back = open_dataset(out)
            equal = sum(int(back.truth(i).masks == truths[name].masks) for i, name in enumerate(back.names))
            end = time.process_time()
            labels = sum(p.stat().st_size for p in out.rglob("*") if p.suffix != ".png" and p.is_file())
            each = "images inside" if name == "parquet" else f"{labels / objects:.0f}"
            row = (
                f"`{name}`",
                f"{middle - begin:.1f}",
                f"{end - middle:.1f}",
                each,
                f"{equal} of {len(data)}",
            )
            print("|", " | ".join(row), "|", flush=True)
    print(f"\n{objects} objects on {len(data)} images; {len(FORMATS)} formats are known.")


def _off(found: Split, prefix: str, least: int = 30) -> float:
    """Mean over classes (or sizes) and parts of |share got - share wanted|, in points."""
    rows = found.totals()
    apart = []
    for column in found.columns:
        total = sum(row[column] for row in rows.values())
        if column.startswith(prefix) and total >= least:
            apart += [abs(rows[p][column] / total - share) for p, share in found.parts.items()]
    return 100 * float(np.mean(apart))


def _random(found: Split, seed: int) -> Split:
    """The same numbers of images, drawn by chance."""
    order = np.random.default_rng(seed).permutation(len(found.assigned))
    assigned = tuple(found.assigned[i] for i in order)
    return Split(found.names, found.parts, assigned, found.group, found.images, found.columns)


def splits() -> None:
    """How far parts of 70, 20 and 10 % are from their shares of what counts, against splits by chance."""
    print("| data | of | delineate | by chance (mean of 100) | seconds |\n|---|---|---|---|---|")
    for name in ("coco_subset", "dsb2018"):
        data = open_dataset(DATA / name, images=None)
        begin = time.process_time()
        found = split(data, SHARES)
        seconds = time.process_time() - begin
        drawn = [_random(found, seed) for seed in range(100)]
        for prefix, told in (("objects", "objects"), ("class: ", "classes"), ("size: ", "sizes")):
            if prefix == "class: " and len(data.classes) == 1:
                continue
            chance = np.mean([_off(one, prefix) for one in drawn])
            row = (name, told, f"{_off(found, prefix):.2f}", f"{chance:.2f}", f"{seconds:.1f}")
            print("|", " | ".join(row), "|", flush=True)


def view() -> None:
    """All 571 images of dsb2018 as pages."""
    data: Dataset = open_dataset(DATA / "dsb2018")
    with tempfile.TemporaryDirectory() as folder:
        begin = time.process_time()
        sheet = contact_sheet(data, Path(folder) / "view.html")
        seconds = time.process_time() - begin
        size = sum(page.stat().st_size for page in sheet.pages)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{sheet.images} images with {sheet.objects} objects on {len(sheet.pages)} pages: "
        f"{1000 * seconds / sheet.images:.0f} ms CPU an image, {size / sheet.images / 1000:.0f} KB an image, "
        f"peak memory {peak:.0f} MB"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="+", choices=("formats", "split", "view"))
    for what in parser.parse_args().what:
        {"formats": formats, "split": splits, "view": view}[what]()
