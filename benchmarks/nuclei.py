"""The embedded `nuclei` model on DSB2018's validation images, beside Otsu + watershed; pictures of its worst.

python benchmarks/nuclei.py [--weights FILE] [--pictures docs/images/nuclei] [--threads 1]

Needs DELINEATE_DATA (the folder that holds dsb2018/) and scikit-image. The model was chosen on these
images, so these are validation scores, not test scores.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import resource
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import gaussian, threshold_otsu
from skimage.segmentation import watershed

import delineate as dl
from delineate.apply.draw import overlay
from delineate.core.batch import to_rgb_float
from delineate.data.images import read_labels
from delineate.metrics.cell_matching import CellMatching


def otsu_watershed(image: np.ndarray) -> dl.Instances:
    """The classical recipe: smooth, threshold, split by the peaks of the distance to background."""
    grey = gaussian(to_rgb_float(image, "percentile").mean(axis=2), 1)
    if np.median(grey) > 0.5:  # bright background
        grey = 1 - grey
    inside = ndimage.binary_opening(grey > threshold_otsu(grey), iterations=2)
    distance = gaussian(ndimage.distance_transform_edt(inside), 1)
    peaks = peak_local_max(distance, min_distance=5, labels=inside.astype(np.int32))
    markers = np.zeros(grey.shape, np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    labels = watershed(-distance, markers, mask=inside)
    return dl.Instances(grey.shape, masks=dl.Masks.from_label_image(labels))


def table(reports: dict[str, Any]) -> None:
    print("| | images | AP50 by image | AP50 pooled | AP 0.50:0.90 by image | AP 0.50:0.90 pooled |")
    print("|---|---|---|---|---|---|")
    for who, report in reports.items():
        for name, cells in [("all", report), *report.groups.items()]:
            row = [
                cells.by_image[0].accuracy,
                cells.pooled[0].accuracy,
                cells.mean_accuracy_by_image,
                cells.mean_accuracy,
            ]
            print(f"| {who}, {name} | {cells.images} | " + " | ".join(f"{v:.3f}" for v in row) + " |")


def seconds(model: Any, side: int = 512, repeats: int = 7) -> tuple[float, float]:
    """Median wall-clock and CPU seconds for one crowded side x side image, array to Instances."""
    sample = np.random.default_rng(0).normal(30, 5, (side, side))
    y, x = np.mgrid[:side, :side]
    sample += 120 * ((y % 32 - 16) ** 2 + (x % 32 - 16) ** 2 < 144)  # 256 discs
    image = sample.clip(0, 255).astype(np.uint8)
    model.predict(image)
    wall, cpu = [], []
    for _ in range(repeats):
        start, busy = time.perf_counter(), time.process_time()
        model.predict(image)
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - busy)
    return statistics.median(wall), statistics.median(cpu)


def unseen(model: Any, folder: Path) -> None:
    """Every sixth frame of the Cell Tracking Challenge's simulated nuclei, which no training saw."""
    metric = CellMatching()
    frames = sorted((folder / "01").glob("t*.tif"))[::6]
    for frame in frames:
        labels = read_labels(folder / "01_GT" / "SEG" / f"man_seg{frame.stem[1:]}.tif")
        truth = dl.Instances(labels.shape, masks=dl.Masks.from_label_image(labels))
        metric.update(model.predict(frame), truth)
    pooled = metric.compute().pooled[0]
    print(f"\nunseen, {folder.name}, {len(frames)} frames: AP50 pooled {pooled.accuracy:.3f}, "
          f"precision {pooled.precision:.3f}, recall {pooled.recall:.3f}")  # fmt: skip


def large(model: Any, image: np.ndarray, side: int = 4096) -> None:
    """Copies of one image side by side until ``side`` x ``side``, in tiles."""
    grey = image if image.ndim == 2 else image[:, :, 0]
    copies = [-(-side // n) for n in grey.shape]
    start = time.process_time()
    found = model.predict(np.tile(grey, copies)[:side, :side])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    cpu = time.process_time() - start
    print(f"{side} x {side}: {len(found)} objects, {cpu:.1f} s of CPU, peak {peak:.0f} MB")


def worst(rows: list[tuple[float, Any, dl.Instances]], folder: Path, each: int = 3) -> None:
    """Per modality a strip of its worst images: truth left, prediction right."""
    folder.mkdir(parents=True, exist_ok=True)
    modalities = sorted({str(s.modality) for _, s, _ in rows})
    for modality in modalities:
        chosen = sorted((r for r in rows if r[1].modality == modality), key=lambda r: r[0])[:each]
        tiles = []
        for score, sample, found in chosen:
            pair = [overlay(r, sample.image).convert("RGB").resize((320, 320)) for r in (sample.truth, found)]
            tile = Image.new("RGB", (648, 344), "white")
            tile.paste(pair[0], (0, 24))
            tile.paste(pair[1], (328, 24))
            ImageDraw.Draw(tile).text(
                (4, 6), f"{sample.name[:12]}  truth | prediction, AP50 {score:.2f}", fill="black"
            )
            tiles.append(np.asarray(tile))
        Image.fromarray(np.vstack(tiles)).save(folder / f"worst_{modality}.jpg", quality=85)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights")
    parser.add_argument("--split", default="val")
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    data = dl.open_dataset(Path(os.environ["DELINEATE_DATA"]) / "dsb2018", split=options.split)
    model = dl.load("nuclei", weights=options.weights)
    metrics = {"nuclei": CellMatching(), "Otsu + watershed": CellMatching()}
    rows = []
    for i, modality in enumerate(data.groups["modality"]):
        sample = data[i]
        for who, predict in (("nuclei", model.predict), ("Otsu + watershed", otsu_watershed)):
            found = predict(sample.image)
            metrics[who].update(found, sample.truth, group=modality)
            if who == "nuclei":
                alone = CellMatching()
                alone.update(found, sample.truth)
                sample_row = argparse.Namespace(
                    modality=modality, name=sample.name, image=sample.image, truth=sample.truth
                )
                rows.append((alone.compute().pooled[0].accuracy, sample_row, found))
    machine = platform.processor() or platform.machine()
    print(f"{datetime.date.today()}, {machine}, torch {torch.__version__}, {options.threads} thread(s)\n")
    table({who: metric.compute() for who, metric in metrics.items()})
    unseen(model, Path(os.environ["DELINEATE_DATA"]) / "ctc" / "Fluo-N2DH-SIM+")
    wall, cpu = seconds(model)
    print(f"512 x 512 with 256 objects: {wall:.3f} s, {cpu:.3f} s of CPU, medians of 7")
    large(model, dl.read(Path(__file__).parents[1] / "samples" / "fluorescence.png").pixels)
    if options.pictures:
        worst(rows, options.pictures)
        print(f"worst cases: {options.pictures}")


if __name__ == "__main__":
    main()
