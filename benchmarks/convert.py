"""Datasets from format to format: time, memory, and what comes back of it; supervision beside it.

    python benchmarks/convert.py --data DATA

DATA holds coco_subset/ and dsb2018/. Reads each, writes it in each format, opens that and compares object by
object. supervision converts COCO to YOLO too.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from delineate.core.instances import Instances
from delineate.data import open_dataset
from delineate.data.records import Dataset
from delineate.engine.convert import Conversion, write_dataset

Result = TypeVar("Result")
FORMATS = {
    "coco_subset": ("coco", "lvis", "coco-panoptic", "yolo", "voc", "labelme", "cvat"),
    "dsb2018": ("coco", "yolo", "voc", "label-images", "cellpose", "imagej", "qupath"),
}


def cpu(work: Callable[[], Result]) -> tuple[float, Result]:
    before = time.process_time()
    result = work()
    return time.process_time() - before, result


def compared(truth: Dataset, found: Dataset) -> tuple[int, int, float]:
    """Objects of the truth, those that came back pixel by pixel, and the mean IoU (0 for missing ones)."""

    def key(data: Dataset, k: int) -> tuple[str, str]:
        return (data.records[k].groups.get("split", ""), Path(data.records[k].name).name)

    places = {key(found, k): k for k in range(len(found))}
    total, equal, sums = 0, 0, 0.0
    for i in range(len(truth)):
        objects = truth.truth(i)[~truth.truth(i).crowd]
        ious = best(objects, found.truth(places[key(truth, i)]))
        total, equal, sums = total + len(objects), equal + int((ious == 1).sum()), sums + float(ious.sum())
    return total, equal, sums / total


def best(objects: Instances, found: Instances) -> np.ndarray:
    """(N,) IoU of each object with the most similar one of its class."""
    if not len(objects) or not len(found):
        return np.zeros(len(objects))
    assert objects.masks is not None and found.masks is not None
    same = np.array(objects.names)[:, None] == np.array(found.names)[None]
    if len(set(objects.classes.names) & set(found.classes.names)) == 0:
        same[:] = True  # a format without classes
    ious: np.ndarray = np.where(same, objects.masks.iou(found.masks), 0).max(1)
    return ious


def ours(data: Path, work: Path) -> None:
    print(
        f"{'from':<12} {'to':<14} {'CPU s':>7} {'read s':>7} {'objects':>8} {'equal':>7} {'IoU':>8}  losses"
    )
    for source, names in FORMATS.items():
        truth = open_dataset(data / source)
        for name in names:
            row(truth, source, name, work / f"{source}-{name}")


def row(truth: Dataset, source: str, name: str, out: Path) -> None:
    def write() -> Conversion:
        return write_dataset(truth, out, name, images="link")

    writing, done = cpu(write)
    found = open_dataset(out)
    reading, _ = cpu(lambda: [found.truth(i) for i in range(len(found))])
    total, equal, iou = compared(truth, found)
    losses = ", ".join(f"{n} {kind}" for kind, n in done.losses.counts.items())
    print(f"{source:<12} {name:<14} {writing:7.2f} {reading:7.2f} {total:8} {equal:7} {iou:8.4f}  {losses}")


def supervision(data: Path, work: Path) -> None:
    """COCO to YOLO of one split by supervision, and by us, read back by us."""
    import supervision as sv

    folder = data / "coco_subset"
    truth = open_dataset(folder, split="val")
    file = folder / "annotations" / "instances_val2017.json"
    images = folder / "images" / "val2017"

    def theirs() -> None:
        peer = sv.DetectionDataset.from_coco(str(images), str(file), force_masks=True)
        peer.as_yolo(str(work / "sv/images"), str(work / "sv/labels"), str(work / "sv/data.yaml"))

    seconds, _ = cpu(theirs)
    (work / "sv/data.yaml").write_text(  # it names no folder of images
        "val: images\n" + (work / "sv/data.yaml").read_text(), encoding="utf-8"
    )
    total, equal, iou = compared(truth, open_dataset(work / "sv", skip_invalid=True))
    print(f"supervision {sv.__version__}: {seconds:.2f} s, {equal} of {total} equal, IoU {iou:.4f}")
    seconds, _ = cpu(lambda: write_dataset(open_dataset(folder, split="val"), work / "us", "yolo"))
    total, equal, iou = compared(truth, open_dataset(work / "us"))
    print(f"delineate: {seconds:.2f} s, {equal} of {total} equal, IoU {iou:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=os.environ.get("DELINEATE_DATA"))
    parser.add_argument("--only", choices=["ours", "supervision"])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        if given.only != "supervision":
            ours(given.data, Path(work))
            print(f"memory at the peak: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
        if given.only != "ours":
            supervision(given.data, Path(work))


if __name__ == "__main__":
    main()
