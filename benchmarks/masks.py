"""Masks against supervision's CompactMask, pycocotools and hotcoco: `python benchmarks/masks.py [--quick]`.

Prints a markdown table: median wall and CPU milliseconds of ours, median CPU milliseconds of every peer, and
ours / best peer (CPU; below 1 is faster). Peers begin with what they begin with in use: dense masks for
encoding, their own form for the rest. A `~` marks a peer that was timed on a part of the objects and scaled
up, as the whole would not fit in memory or in an hour.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import hotcoco.mask
import numpy as np
import pycocotools.mask
import torch
from supervision.detection.compact_mask import CompactMask
from supervision.detection.utils.iou_and_nms import compact_mask_iou_batch
from torchvision.models.detection.roi_heads import paste_masks_in_image

from delineate.core.masks import Masks

PEERS = ("supervision", "pycocotools", "hotcoco")
Timing = tuple[float, float]
Row = tuple[str, Callable[[], Any], dict[str, tuple[Callable[[], Any], float]]]


def measure(run: Callable[[], Any], seconds: float) -> Timing:
    """Median wall and CPU seconds of at least three runs (one where a run takes longer than ``seconds``)."""
    walls, cpus = [], []
    stop = time.perf_counter() + seconds
    while True:
        wall, cpu = time.perf_counter(), time.process_time()
        run()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
        if (len(walls) >= 3 and time.perf_counter() > stop) or walls[0] > seconds or len(walls) >= 200:
            return statistics.median(walls), statistics.median(cpus)


def cells(side: int, per_side: int, seed: int = 0) -> np.ndarray:
    """A label image of per_side**2 wobbly discs, some touching, int32."""
    rng = np.random.default_rng(seed)
    step = side / per_side
    labels = np.zeros((side, side), dtype=np.int32)
    for i in range(per_side * per_side):
        y, x = (np.array(divmod(i, per_side)) + 0.5 + rng.uniform(-0.15, 0.15, 2)) * step
        radius, lobes, phase = step * rng.uniform(0.3, 0.52), rng.integers(2, 6), rng.uniform(0, 6)
        reach = int(radius * 1.25) + 1
        y0, x0 = max(int(y) - reach, 0), max(int(x) - reach, 0)
        gy, gx = np.ogrid[y0 : min(int(y) + reach, side), x0 : min(int(x) + reach, side)]
        distance, angle = np.hypot(gy - y, gx - x), np.arctan2(gy - y, gx - x)
        part = labels[y0 : y0 + gy.shape[0], x0 : x0 + gx.shape[1]]
        part[distance < radius * (1 + 0.15 * np.sin(lobes * angle + phase))] = i + 1
    return labels


def detections(number: int, size: tuple[int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Blob-like (N, 28, 28) probabilities and boxes as a detector gives them, several on each object."""
    rng = np.random.default_rng(seed)
    h, w = size
    noise = rng.normal(size=(number, 28, 28)).astype(np.float32)
    y, x = np.mgrid[-1:1:28j, -1:1:28j]
    logits = np.stack([cv2.GaussianBlur(n, (0, 0), 3) * 12 for n in noise]) + 4 * (0.8 - np.hypot(x, y))
    centre = rng.uniform(0.1, 0.9, (number // 4 + 1, 2))[np.arange(number) // 4] * [w, h]
    centre += rng.normal(size=(number, 2)) * 8
    half = np.exp(rng.uniform(np.log(12), np.log(200), (number, 2)))
    boxes = np.concatenate((centre - half, centre + half), axis=1).clip(0, [w, h, w, h])
    return (1 / (1 + np.exp(-logits))).astype(np.float32), boxes.astype(np.float32)


def label_rows(name: str, labels: np.ndarray, part: int) -> Iterator[Row]:
    """Encoding a label image; the peers see one dense mask at a time, ``part`` of them."""
    number = int(labels.max())
    scale = number / part
    ids = np.arange(1, part + 1)
    boxes = Masks.from_label_image(labels, ids).boxes

    def compact() -> list[CompactMask]:
        return [
            CompactMask.from_dense((labels == i)[None], boxes[k : k + 1], labels.shape)
            for k, i in enumerate(ids)
        ]

    yield (
        f"label image {name} to masks",
        lambda: Masks.from_label_image(labels),
        {
            "supervision": (compact, scale),
            "pycocotools": (
                lambda: [pycocotools.mask.encode(np.asfortranarray(labels == i).view(np.uint8)) for i in ids],
                scale,
            ),
            "hotcoco": (lambda: [hotcoco.mask.encode(labels == i) for i in ids], scale),
        },
    )


def paste_rows(number: int, size: tuple[int, int]) -> Iterator[Row]:
    """A detector's probabilities in boxes to masks."""
    probabilities, boxes = detections(number, size)
    soft, where = torch.from_numpy(probabilities)[:, None], torch.from_numpy(boxes)

    def pasted() -> np.ndarray:
        return (paste_masks_in_image(soft, where, size)[:, 0] > 0.5).numpy()

    grown = np.concatenate((boxes[:, :2] - 16, boxes[:, 2:] + 16), axis=1)

    def fortran() -> np.ndarray:
        return np.asfortranarray(pasted().transpose(1, 2, 0)).view(np.uint8)

    yield (
        f"probabilities of {number} boxes on {size[0]} x {size[1]} to masks",
        lambda: Masks.paste(probabilities, boxes, size),
        {
            "supervision": (lambda: CompactMask.from_dense(pasted(), grown, size), 1),
            "pycocotools": (lambda: pycocotools.mask.encode(fortran()), 1),
            "hotcoco": (lambda: [hotcoco.mask.encode(m) for m in pasted()], 1),
        },
    )


def iou_row(name: str, a: Masks, b: Masks, part: int) -> Row:
    """Pairwise IoU; peers take ``part`` masks of each side."""
    scale = (len(a) / part) ** 2
    few_a, few_b = a[:part], b[:part]
    rle_a, rle_b = as_bytes(few_a), as_bytes(few_b)
    sv_a, sv_b = as_compact(few_a), as_compact(few_b)
    crowd = [0] * part
    return (
        f"IoU of overlapping pairs, {name}",
        lambda: fresh(a).intersection_pairs(fresh(b)),
        {
            "supervision": (lambda: compact_mask_iou_batch(sv_a, sv_b), scale),
            "pycocotools": (lambda: pycocotools.mask.iou(rle_a, rle_b, crowd), scale),
            "hotcoco": (lambda: hotcoco.mask.iou(rle_a, rle_b, crowd), scale),
        },
    )


def object_rows(name: str, masks: Masks, part: int) -> Iterator[Row]:
    """Area, outlines, choosing, moving, reading and writing."""
    scale = len(masks) / part
    few = masks[:part]
    rles, compact = as_bytes(few), as_compact(few)
    texts = masks.to_rle()
    boxes = few.boxes
    chosen = np.random.default_rng(0).permutation(len(masks))[: len(masks) // 2]
    half = chosen[chosen < part]
    listed = half.tolist()

    def contours() -> list[Any]:
        crops = [np.ascontiguousarray(compact.crop(i)).view(np.uint8) for i in range(part)]
        return [cv2.findContours(c, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE) for c in crops]

    yield (
        f"area, {name}",
        lambda: masks.area,
        {
            "supervision": (lambda: compact.area, scale),
            "pycocotools": (lambda: [int(pycocotools.mask.area(r)) for r in rles], scale),
            "hotcoco": (lambda: hotcoco.mask.area(rles), scale),
        },
    )
    yield f"outlines with holes, {name}", masks.to_polygons, {"supervision": (contours, scale)}
    yield (
        f"every other mask by index, {name}",
        lambda: masks[chosen],
        {
            "supervision": (lambda: compact[half], scale),
            "pycocotools": (lambda: [rles[i] for i in listed], scale),
        },
    )
    h, w = masks.size
    bigger = (h + 64, w + 64)
    yield (
        f"shift, {name}",
        lambda: masks.shift(32, 17, bigger),
        {"supervision": (lambda: compact.with_offset(32, 17, bigger), scale)},
    )
    yield (
        f"from COCO RLE, {name}",
        lambda: Masks.from_rle(texts),
        {
            "supervision": (lambda: CompactMask.from_coco_rle(texts[:part], boxes, masks.size), scale),
        },
    )
    yield (
        f"to COCO RLE, {name}",
        masks.to_rle,
        {
            "supervision": (
                lambda: [pycocotools.mask.encode(np.asfortranarray(m).view(np.uint8)) for m in compact],
                scale,
            )
        }
        if h * w < 2_000_000
        else {},
    )


def fresh(masks: Masks) -> Masks:
    """The same masks without remembered boxes."""
    return Masks(masks.size, masks.runs)


def as_bytes(masks: Masks) -> list[dict[str, Any]]:
    return [{**r, "counts": r["counts"].encode()} for r in masks.to_rle()]


def as_compact(masks: Masks) -> CompactMask:
    return CompactMask.from_coco_rle(masks.to_rle(), masks.boxes, masks.size)


def memory(masks: Masks, part: int) -> str:
    """Megabytes of the forms."""
    few = masks[:part]
    scale = len(masks) / part
    compact = as_compact(few)
    theirs = (
        sum(r.nbytes for r in compact._rles)
        + 100 * len(few)
        + compact.offsets.nbytes
        + compact._crop_shapes.nbytes
    )
    strings = sum(len(r["counts"]) for r in few.to_rle())
    return (
        f"{masks.nbytes / 1e6:.1f} MB (runs), supervision {theirs * scale / 1e6:.1f} MB, "
        f"COCO strings {strings * scale / 1e6:.1f} MB"
    )


def show(row: Row, seconds: float) -> None:
    name, ours, peers = row
    wall, cpu = measure(ours, seconds)
    times: dict[str, float] = {}
    cell = dict.fromkeys(PEERS, "")
    for peer, (run, scale) in peers.items():
        times[peer] = measure(run, seconds)[1] * scale
        cell[peer] = f"{'~' if scale > 1 else ''}{times[peer] * 1e3:.3g}"
    ratio = f"{cpu / min(times.values()):.3g}" if times else ""
    print(
        f"| {name} | {wall * 1e3:.3g} | {cpu * 1e3:.3g} | {' | '.join(cell.values())} | {ratio} |", flush=True
    )


def processor() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.split(":")[1].strip() for line in lines if "model name" in line), platform.processor())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller images, one short pass")
    quick = parser.parse_args().quick
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    torch.set_num_threads(1)
    seconds = 0.2 if quick else 2.0
    packages = ", ".join(f"{p} {version(p)}" for p in ("numpy", "torch", "torchvision", *PEERS))
    machine = f"{processor()}, one thread, Python {platform.python_version()}"
    print(f"{datetime.date.today()}, {machine}, {packages}\n")
    print(f"| | ours ms | ours CPU ms | {' | '.join(f'{p} CPU ms' for p in PEERS)} | ours / best |")
    print("|---|---|---|---|---|---|---|")
    small = cells(1000, 22)
    side, per_side = (2048, 36) if quick else (8192, 142)
    large = cells(side, per_side)
    few, many = Masks.from_label_image(small), Masks.from_label_image(large)
    size = (800, 1333)
    found = Masks.paste(*detections(100, size), size)
    again = Masks.paste(*detections(100, size, seed=1), size)
    part = 100 if quick else 200
    rows = [
        *label_rows(f"1000 x 1000, {len(few)} objects", small, 50 if quick else len(few)),
        *label_rows(f"{side} x {side}, {len(many)} objects", large, 5),
        *paste_rows(100, size),
        iou_row("100 x 100 detections", found, again, 100),
        iou_row(f"{len(few)} cells with themselves moved", few, few.shift(5, 3), len(few)),
        iou_row(f"{len(many)} cells with themselves moved", many, many.shift(5, 3), part),
        *object_rows("100 detections", found, 100),
        *object_rows(f"{len(few)} cells", few, len(few)),
        *object_rows(f"{len(many)} cells", many, part),
    ]
    for row in rows:
        show(row, seconds)
    print(f"\nMemory of {len(many)} masks on {side} x {side}: {memory(many, part)}.")


if __name__ == "__main__":
    main()
