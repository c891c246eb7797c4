"""Evaluation, files to report, against hotcoco alone and pycocotools: `benchmarks/evaluate.py [--full]`.

Three synthetic workloads are generated with a fixed seed:

- `coco`: images of about 640 x 480 with 7 polygon objects of 80 classes each, 1 % crowds, and 100 detections
  an image as run lengths, scores with ties (500 images; 5,000 with `--full`);
- `dense`: 1000 x 1000 images with about 480 touching cells of one class, max_det 1000 (5; 100 with `--full`);
- `cells`: the same images as label images, scored by cell matching at nine thresholds.

Every tool runs in a process of its own, which reads the files, scores boxes and masks, and prints CPU seconds
(`process_time`, median over the repeats) and peak memory. The numbers must be equal (boxes by size are left
out: peers take a box's size class from its mask where results have no bbox field). Run it pinned, on one
thread: `taskset -c 0 env OMP_NUM_THREADS=1 RAYON_NUM_THREADS=1 python benchmarks/evaluate.py`.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import io
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np

SIZES = ((480, 640), (427, 640), (640, 480))
CLASSES = 80


# -- workloads -------------------------------------------------------------------------------------------


def outline(rng: np.random.Generator, x: float, y: float, radius: float, points: int) -> np.ndarray:
    """A wobbly closed ring (points, 2)."""
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    wobble = 1 + 0.2 * np.sin(rng.integers(2, 6) * angle + rng.uniform(0, 6)) * rng.uniform(0, 1)
    stretch = np.exp(rng.normal(0, 0.25))
    return np.stack(
        [x + radius * wobble * np.cos(angle) * stretch, y + radius * wobble * np.sin(angle) / stretch], 1
    )


def make_coco(folder: Path, count: int) -> None:
    """`truth.json` with polygons, `results.json` with run lengths without boxes."""
    from delineate.core.masks import Masks

    rng = np.random.default_rng(0)
    share = 1 / np.arange(1, CLASSES + 1) ** 0.8
    images, annotations, results = [], [], []
    for number in range(1, count + 1):
        size = SIZES[rng.integers(len(SIZES))]
        images.append({"id": number, "height": size[0], "width": size[1], "file_name": f"{number}.jpg"})
        true, found = [], []
        for _ in range(rng.poisson(7.3)):
            radius = float(np.clip(np.exp(rng.normal(3.2, 0.9)), 3, 200))
            ring = outline(rng, rng.uniform(0, size[1]), rng.uniform(0, size[0]), radius, 24).clip(
                0, size[::-1]
            )
            true.append((ring.round(2), int(rng.choice(CLASSES, p=share / share.sum())) + 1, radius))
        for _ in range(100):
            if true and rng.random() < 0.6:
                ring, category, radius = true[rng.integers(len(true))]
                ring = ring + rng.normal(0, 0.06 * radius, ring.shape) + rng.normal(0, 0.05 * radius, 2)
            else:
                at, category = rng.uniform(0, size[::-1]), int(rng.integers(1, CLASSES + 1))
                ring = outline(rng, *at, float(np.exp(rng.normal(3, 0.8))), 24)
            found.append((ring, category, round(float(rng.beta(1, 3)), 3)))
        true_masks = Masks.from_polygons([[r.ravel().tolist()] for r, *_ in true], size)
        masks = Masks.from_polygons([[r.ravel().tolist()] for r, *_ in found], size)
        for (ring, category, _), area, box in zip(
            true, true_masks.area.tolist(), true_masks.boxes.tolist(), strict=True
        ):
            if area:
                annotations.append({
                    "id": len(annotations) + 1, "image_id": number, "category_id": category, "area": area,
                    "iscrowd": int(rng.random() < 0.01), "segmentation": [ring.ravel().tolist()],
                    "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
                })  # fmt: skip
        results += [
            {"image_id": number, "category_id": c, "score": s, "segmentation": rle}
            for (_, c, s), rle in zip(found, masks.to_rle(), strict=True)
        ]
    write(folder, images, annotations, results, CLASSES)


def make_dense(folder: Path, count: int) -> None:
    """Cells as COCO files and, for cell matching, as `labels.npz`."""
    from delineate.core.masks import Masks

    rng = np.random.default_rng(1)
    images, annotations, results, pairs = [], [], [], []
    for number in range(1, count + 1):
        images.append({"id": number, "height": 1000, "width": 1000, "file_name": f"{number}.png"})
        labels = np.zeros((2, 1000, 1000), np.int32)
        for cell in range(484):
            y, x = (np.array(divmod(cell, 22)) + 0.5) * 1000 / 22 + rng.normal(0, 3, 2)
            ring = outline(rng, x, y, rng.uniform(14, 25), 40)
            cv2.fillPoly(labels[0], [ring.round().astype(np.int32)], cell + 1)
            if rng.random() < 0.95:
                moved = ring + rng.normal(0, 2, 2) + rng.normal(0, 0.7, ring.shape)
                cv2.fillPoly(labels[1], [moved.round().astype(np.int32)], cell + 1)
        pairs.append(labels)
        true, found = (Masks.from_label_image(image) for image in labels)
        for area, box, rle in zip(true.area.tolist(), true.boxes.tolist(), true.to_rle(), strict=True):
            annotations.append({
                "id": len(annotations) + 1, "image_id": number, "category_id": 1, "iscrowd": 0, "area": area,
                "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]], "segmentation": rle,
            })  # fmt: skip
        results += [
            {
                "image_id": number,
                "category_id": 1,
                "score": round(float(rng.beta(5, 2)), 4),
                "segmentation": rle,
            }
            for rle in found.to_rle()
        ]
    write(folder, images, annotations, results, 1)
    np.savez(folder / "labels.npz", pairs=np.array(pairs))


def write(folder: Path, images: list[Any], annotations: list[Any], results: list[Any], classes: int) -> None:
    categories = [{"id": k, "name": f"class {k}"} for k in range(1, classes + 1)]
    truth = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "truth.json").write_text(json.dumps(truth))
    (folder / "results.json").write_text(json.dumps(results))


# -- tools: each takes the folder and the largest max_det, and returns the numbers of masks and boxes ---


def ours(folder: Path, max_det: int) -> list[float]:
    from delineate.engine.evaluate import evaluate

    report = evaluate(
        folder / "results.json", folder / "truth.json", metrics=["coco"], max_det=max_det, progress=False
    )
    limits = [f"AR{m}" for m in (1, 10, max_det)]
    masks = ["AP", "AP50", "AP75", "APs", "APm", "APl", *limits, "ARs", "ARm", "ARl"]
    names = [f"mask/{name}" for name in masks] + [f"box/{name}" for name in [*masks[:3], *limits]]
    return [-1.0 if report.scores[name] != report.scores[name] else report.scores[name] for name in names]


def hotcoco_alone(folder: Path, max_det: int) -> list[float]:
    import hotcoco

    truth = hotcoco.COCO(str(folder / "truth.json"))
    found = truth.load_res(str(folder / "results.json"))
    return peer_stats(lambda kind: hotcoco.COCOeval(truth, found, kind), max_det)


def pycocotools(folder: Path, max_det: int) -> list[float]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth = COCO(str(folder / "truth.json"))
    found = truth.loadRes(str(folder / "results.json"))
    return peer_stats(lambda kind: COCOeval(truth, found, kind), max_det)


def peer_stats(make: Callable[[str], Any], max_det: int) -> list[float]:
    numbers: list[float] = []
    for kind in ("segm", "bbox"):
        run = make(kind)
        run.params.maxDets = [1, 10, max_det]
        run.evaluate()
        run.accumulate()
        precision, recall = run.eval["precision"], run.eval["recall"]
        parts = [precision[..., 0, -1], precision[0, ..., 0, -1], precision[5, ..., 0, -1]]
        parts += [precision[..., a, -1] for a in (1, 2, 3)]
        parts += [recall[..., 0, m] for m in range(3)] + [recall[..., a, -1] for a in (1, 2, 3)]
        stats = [float(np.mean(p[p > -1])) if (p > -1).any() else -1.0 for p in parts]
        numbers += stats if kind == "segm" else [*stats[:3], *stats[6:9]]
    return numbers


def our_cells(folder: Path, max_det: int) -> list[float]:
    from delineate.core.instances import Instances
    from delineate.core.masks import Masks
    from delineate.metrics.cell_matching import CellMatching

    metric = CellMatching()
    for true, found in np.load(folder / "labels.npz")["pairs"]:
        metric.update(*(Instances(i.shape, masks=Masks.from_label_image(i)) for i in (found, true)))
    return [s.accuracy for s in metric.compute().pooled]


def dense_cells(folder: Path, max_det: int) -> list[float]:
    """The definition as it stands: the full IoU table, and one assignment of it per threshold."""
    from scipy.optimize import linear_sum_assignment

    thresholds = np.arange(0.5, 0.91, 0.05)
    counts = np.zeros((len(thresholds), 3), np.int64)
    for true, found in np.load(folder / "labels.npz")["pairs"]:
        n, m = int(true.max()) + 1, int(found.max()) + 1
        shared = np.bincount((true.astype(np.int64) * m + found).ravel(), minlength=n * m).reshape(n, m)
        shared = shared[shared.sum(1) > 0][:, shared.sum(0) > 0]
        union = shared.sum(1, keepdims=True) + shared.sum(0, keepdims=True) - shared
        iou = (shared / union).astype(np.float32)[1:, 1:]
        for k, t in enumerate(thresholds.astype(np.float32)):
            pairs = linear_sum_assignment(-(iou >= t).astype(float) - iou / (2 * min(iou.shape)))
            tp = int((iou[pairs] >= t).sum())
            counts[k] += tp, iou.shape[1] - tp, iou.shape[0] - tp
    return (counts[:, 0] / counts.sum(1)).tolist()


TOOLS = {f.__name__: f for f in (ours, hotcoco_alone, pycocotools, our_cells, dense_cells)}


# -- measuring ---------------------------------------------------------------------------------------------


def once(tool: str, folder: Path, max_det: int) -> dict[str, Any]:
    """One run in a fresh process."""
    command = [sys.executable, __file__, "--once", tool, str(folder), str(max_det)]
    return json.loads(
        subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
    )


def peak_memory() -> float:
    """MB at most resident so far; getrusage would also tell of the parent process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def run_once(tool: str, folder: Path, max_det: int) -> None:
    small = Path(tempfile.mkdtemp())  # imports and first-use costs do not count
    if tool in ("our_cells", "dense_cells"):
        np.savez(small / "labels.npz", pairs=np.ones((1, 2, 4, 4), np.int32))
    else:
        make_coco(small, 2)
    with contextlib.redirect_stdout(io.StringIO()):
        TOOLS[tool](small, max_det)
        start = time.process_time()
        numbers = TOOLS[tool](folder, max_det)
        seconds = time.process_time() - start
    peak = peak_memory()
    print(json.dumps({"seconds": seconds, "peak": peak, "numbers": numbers}))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="5,000 and 100 images instead of 500 and 5")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--skip", nargs="*", default=[], help="tools not to run, such as pycocotools")
    parser.add_argument("--keep", type=Path, help="folder for the files, used again where it has them")
    parser.add_argument("--once", nargs=3, help=argparse.SUPPRESS)
    settings = parser.parse_args()
    if settings.once:
        run_once(settings.once[0], Path(settings.once[1]), int(settings.once[2]))
        return
    many, few = (5000, 100) if settings.full else (500, 5)
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("delineate", "hotcoco", "pycocotools", "numpy")
    )
    machine = f"{platform.processor() or platform.machine()}, Python {platform.python_version()}"
    print(f"{datetime.date.today()}, {machine}, {packages}")
    print(f"CPU seconds, medians of {settings.repeats}; MB at the peak\n")
    print(
        "| workload | tool | CPU s | ours / tool | peak MB | numbers equal ours |\n|---|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as name:
        place = settings.keep or Path(name)
        coco, dense = place / f"coco{many}", place / f"dense{few}"
        for folder, make, count in ((coco, make_coco, many), (dense, make_dense, few)):
            if not (folder / "results.json").is_file():
                folder.mkdir(parents=True, exist_ok=True)
                make(folder, count)
        workloads = (
            (f"{many} images, {100 * many} detections", coco, 100, ("ours", "hotcoco_alone", "pycocotools")),
            (f"{few} dense images", dense, 1000, ("ours", "hotcoco_alone", "pycocotools")),
            (f"cell matching, {few} dense images", dense, 0, ("our_cells", "dense_cells")),
        )
        for title, folder, max_det, tools in workloads:
            chosen = [tool for tool in tools if tool not in settings.skip]
            # In turn, so that what else the machine does falls on all of them.
            rounds = [{tool: once(tool, folder, max_det) for tool in chosen} for _ in range(settings.repeats)]
            runs = {tool: [one[tool] for one in rounds] for tool in chosen}
            if not chosen:
                continue
            mine = runs[chosen[0]]
            for tool, found in runs.items():
                cpu, own = (statistics.median(r["seconds"] for r in rows) for rows in (found, mine))
                same = (
                    "" if tool == chosen[0] else "yes" if found[0]["numbers"] == mine[0]["numbers"] else "NO"
                )
                peak = max(r["peak"] for r in found)
                print(f"| {title} | {tool} | {cpu:.2f} | {own / cpu:.2f} | {peak:.0f} | {same} |", flush=True)


if __name__ == "__main__":
    main()
