"""How many neighbours one-stage models merge or lose, with each kind of suppression.

python benchmarks/crowds.py dsb2018=WEIGHTS,WEIGHTS segmush=WEIGHTS synthetic=WEIGHTS [--precision 0.8]
python benchmarks/crowds.py ... --also "no ellipse:dsb2018=WEIGHTS,..."

DELINEATE_DATA is the folder that holds dsb2018/ and segmush/ as the weights were trained on them: for those
of families.py, its OUT/data. Synthetic crowds are made here; their weights come from
``delineate train recipes/crowds_synthetic.toml``. Several weights of one data set are trainings that
differ in the seed: numbers are means over them. The network runs once an image; every suppression then
chooses among the same candidates, so that all else is equal. Each kind's parameters are chosen on images of
the training split, as those with the highest mean recall at the given precision over all data sets; what is
reported is the validation split, each kind at the confidence that reaches the precision. Models named by
--also were trained otherwise and are given with box suppression and with the kind that is the default.
Intervals are 95 % bootstrap over images of the difference from box suppression at an IoU of 0.7.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

import delineate as dl
from delineate.apply.draw import overlay
from delineate.core.batch import collate
from delineate.core.suppress import Suppression
from delineate.metrics.crowd import JudgedImage, judge_image
from delineate.metrics.operating_point import OperatingPoint, confidence_at_precision, operating_points
from delineate.models.yolo_seg.build import SUPPRESSION

FLOOR = 0.05  # candidates score more than this
CANDIDATES = 1000  # and are at most so many an image
LIMIT = 400  # detections an image
DOUBLED = ("duplicate", "merging", "part", "fragment")  # predictions where an object is, but wrong
PLAIN, DEFAULT = "box, IoU 0.7", "default"
SYNTHETIC = (
    "synthetic:crowds?images=600&val=60&crowding=0.5,0.7,0.9"
    "&shapes=ellipse&objects=28&radius=7,15&size=192&seed=7"
)

GRID: dict[str, list[Suppression]] = {
    PLAIN: [Suppression("box", 0.7)],
    DEFAULT: [SUPPRESSION],
    "box": [Suppression("box", t) for t in (0.2, 0.3, 0.4, 0.5)],
    "soft": [Suppression("soft", sigma=s) for s in (0.03, 0.06, 0.12, 0.25)],
    "mask": [
        Suppression("mask", t, box_iou=0.7, measure=m)  # type: ignore[arg-type]
        for t, m in product((0.3, 0.4, 0.5, 0.6), ("iou", "ios"))
    ],
    "prototype": [Suppression("prototype", t, similarity=s) for t, s in product((0.2, 0.3), (0.0, 0.3, 0.6))],
}


@dataclass
class Proposed:
    """One image before suppression: C candidates that score above FLOOR, and the truth."""

    name: str
    image: np.ndarray
    truth: dl.Instances
    found: dl.Instances  # the candidates with their masks, in pixels of the image
    coefficients: np.ndarray  # (C, P)

    @cached_property
    def good(self) -> tuple[np.ndarray, np.ndarray]:
        """The (C, 4) true objects that each candidate matches, best first, -1 for none, and how well."""
        shared = self.found.masks.iou(self.truth.masks)
        best = np.argsort(-shared, axis=1, kind="stable")[:, :4]
        fits = np.take_along_axis(shared, best, axis=1)
        return np.where(fits >= 0.5, best, -1), fits

    def hits(self, suppression: Suppression) -> tuple[np.ndarray, np.ndarray]:
        """Scores of what is left, best first, and which of it finds an object that nothing better found."""
        kept, scores = self.kept(suppression)
        taken: set[int] = {-1}
        hit = []
        for objects in self.good[0][kept].tolist():
            free = next((k for k in objects if k not in taken), None)
            hit.append(free is not None)
            taken.update(() if free is None else (free,))
        return scores, np.array(hit, bool)

    def after(self, suppression: Suppression) -> dl.Instances:
        """What a suppression leaves."""
        kept, scores = self.kept(suppression)
        return self.found[kept].replace(scores=scores)

    def kept(self, suppression: Suppression) -> tuple[np.ndarray, np.ndarray]:
        """Candidates that a suppression leaves, and their scores."""
        return suppression.choose(
            self.found.boxes,
            self.found.scores,
            self.found.labels,
            limit=LIMIT,
            masks=lambda rows: self.found.masks[rows],
            coefficients=self.coefficients,
        )


@dataclass(frozen=True)
class Listening(Suppression):
    """Takes down the candidates that it is shown, and keeps none."""

    heard: list[dict[str, Any]] = field(default_factory=list)

    def choose(self, boxes: Any, scores: Any, labels: Any, **more: Any) -> Any:
        order = np.argsort(-np.asarray(scores), kind="stable")[:CANDIDATES]
        self.heard.append(
            {"boxes": boxes[order], "scores": scores[order], "labels": labels[order],
             "masks": more["masks"](order), "coefficients": more["coefficients"][order]}
        )  # fmt: skip
        return order[:0], scores[:0]


def propose(model: Any, samples: Iterable[Any]) -> list[Proposed]:
    """The network's candidates for each image."""
    listening = Listening()
    model.suppression = listening
    results = []
    for sample in samples:
        model.detect(collate([sample.image], model.input), confidence=FLOOR)
        heard = listening.heard.pop()
        solid = np.flatnonzero(heard["masks"].area)
        boxes, scores, labels, coefficients = (
            heard[name][solid] for name in ("boxes", "scores", "labels", "coefficients")
        )
        found = dl.Instances(sample.truth.size, boxes, labels, scores, heard["masks"][solid])
        truth = sample.truth[~sample.truth.crowd]
        results.append(Proposed(sample.name, sample.image, truth, found, coefficients))
    return results


@dataclass(frozen=True)
class Row:
    """One kind on one data set, at its confidence for the precision; arrays have a number an image.

    Of several trainings the numbers are means.
    """

    name: str
    points: list[OperatingPoint]
    objects: np.ndarray
    matched: np.ndarray
    merged_pairs: np.ndarray
    missed: np.ndarray
    doubled: np.ndarray
    lost: np.ndarray
    milliseconds: float


def measured(name: str, images: Sequence[Proposed], suppression: Suppression, precision: float) -> Row:
    """Everything about one suppression."""
    start = time.process_time()
    found = [image.after(suppression) for image in images]
    spent = 1000 * (time.process_time() - start) / max(len(images), 1)
    point = confidence_at_precision(pairs_of(images, found), precision)
    judged = [
        judge_image(f[f.scores >= np.float32(point.confidence)], i.truth)
        for i, f in zip(images, found, strict=True)
    ]
    reachable = [matches(i.found[i.found.scores >= np.float32(point.confidence)], i.truth) for i in images]
    matched = np.array([len(j.of_truth("matched")) for j in judged])
    return Row(
        name, [point],
        objects=np.array([len(j.truth) for j in judged]),
        matched=matched,
        merged_pairs=np.array([int(j.fates.merged_pair.sum()) for j in judged]),
        missed=np.array([len(j.of_truth("missed")) for j in judged]),
        doubled=np.array([len(j.of_predicted(*DOUBLED)) for j in judged]),
        lost=np.maximum(np.array(reachable) - matched, 0),
        milliseconds=spent,
    )  # fmt: skip


def mean(rows: Sequence[Row]) -> Row:
    """Of the same kind on the same images, with trainings of different seeds."""
    arrays = {
        name: np.mean([getattr(row, name) for row in rows], axis=0)
        for name in ("objects", "matched", "merged_pairs", "missed", "doubled", "lost")
    }
    spent = float(np.median([row.milliseconds for row in rows]))
    return Row(rows[0].name, [row.points[0] for row in rows], **arrays, milliseconds=spent)


def pairs_of(
    images: Sequence[Proposed], found: Sequence[dl.Instances]
) -> list[tuple[dl.Instances, dl.Instances]]:
    return [(f, i.truth) for i, f in zip(images, found, strict=True)]


def matches(found: dl.Instances, truth: dl.Instances) -> int:
    """True objects that can be matched, one to one."""
    points = operating_points([(found, truth)])
    return points[-1].matched if points else 0


def recall(images: Sequence[Proposed], suppression: Suppression, precision: float) -> float:
    """Recall at the precision, by greedy matches; 0 where it is not reached."""
    each = [image.hits(suppression) for image in images]
    scores, hit = (np.concatenate(parts) for parts in zip(*each, strict=True))
    found = np.cumsum(hit[np.argsort(-scores, kind="stable")])
    reached = found[found / np.arange(1, len(found) + 1) >= precision]
    return float(reached.max(initial=0)) / max(sum(len(image.truth) for image in images), 1)


def chosen(
    tuning: dict[str, list[list[Proposed]]], precision: float
) -> tuple[dict[str, Suppression], list[tuple[str, Suppression, list[float]]]]:
    """The best parameters of each kind over all data sets, and all that was tried."""
    best: dict[str, Suppression] = {}
    tried = []
    for kind, settings in GRID.items():
        scores = []
        for one in settings:
            each = [
                float(np.mean([recall(images, one, precision) for images in trainings]))
                for trainings in tuning.values()
            ]
            scores.append(float(np.mean(each)))
            tried.append((kind, one, each))
        best[kind] = settings[int(np.argmax(scores))]
    return best, tried


def interval(one: np.ndarray, other: np.ndarray, draws: int = 2000) -> str:
    """95 % bootstrap interval, over images, of the sum of one minus the sum of the other."""
    rng = np.random.default_rng(0)
    difference = one - other
    sums = difference[rng.integers(0, len(difference), (draws, len(difference)))].sum(axis=1)
    low, high = np.percentile(sums, (2.5, 97.5))
    return f"{low:+.0f} to {high:+.0f}"


def tables(
    data: dict[str, dict[str, list[list[Proposed]]]], best: dict[str, Suppression], precision: float
) -> dict[str, list[Row]]:
    """Print the rows of each data set; the intervals are of the difference from the first row."""
    results = {}
    for name, models in data.items():
        rows = []
        for model, trainings in models.items():
            for kind in best if not model else (PLAIN, DEFAULT):
                each = [measured(kind, images, best[kind], precision) for images in trainings]
                row = mean(each)
                rows.append(replace(row, name=f"{model}, {kind}" if model else kind))
        trainings = models[""]
        total = int(rows[0].objects.sum())
        print(
            f"\n### {name}: {len(trainings[0])} images, {total} objects, {len(trainings)} trainings, "
            f"precision {precision:g}\n"
        )
        print("| | recall | merged pairs | difference | missed | difference | lost | doubled | ms |")
        print("|---|---|---|---|---|---|---|---|---|")
        for row in rows:
            numbers = [
                f"{row.matched.sum() / total:.3f}",
                f"{row.merged_pairs.sum():.0f}",
                interval(row.merged_pairs, rows[0].merged_pairs),
                f"{row.missed.sum():.0f}",
                interval(row.missed, rows[0].missed),
                f"{row.lost.sum():.0f}",
                f"{row.doubled.sum():.0f}",
                f"{row.milliseconds:.1f}",
            ]
            print(f"| {row.name} | " + " | ".join(numbers) + " |", flush=True)
        results[name] = rows
    return results


def pictures(
    data: dict[str, list[Proposed]],
    results: dict[str, list[Row]],
    before: tuple[str, Suppression],
    after: tuple[str, Suppression],
    folder: Path,
) -> None:
    """For each data set the three images where the second suppression changes most merges and matches."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, images in data.items():
        rows = {row.name: row for row in results[name]}
        one, two = rows[before[0]], rows[after[0]]
        gain = one.merged_pairs - two.merged_pairs + two.matched - one.matched
        strips = []
        for i in np.argsort(-np.abs(gain), kind="stable")[:3].tolist():
            image = images[i]
            views = [overlay(image.truth, image.image)]
            for row, (_, suppression) in ((one, before), (two, after)):
                found = image.after(suppression)
                found = found[found.scores >= np.float32(row.points[0].confidence)]
                views.append(marked(judge_image(found, image.truth), image.image))
            strips.append(strip(views, [f"{image.name[:16]} truth", before[0], after[0]]))
        Image.fromarray(np.vstack(strips)).save(folder / f"crowds_{name}.jpg", quality=85)


def marked(judged: JudgedImage, image: np.ndarray) -> Image.Image:
    """Predictions; red boxes: merging, orange: doubles and parts, white: wrong, cyan: missed objects."""
    canvas = overlay(judged.predicted, image)
    pen = ImageDraw.Draw(canvas)
    colours = {"merging": "red", "spurious": "white", "inexact": "white"}
    for fate in (*DOUBLED, "spurious", "inexact"):
        colour = colours.get(fate, "orange")
        for box in judged.of_predicted(fate).boxes.tolist():
            pen.rectangle(box, outline=colour, width=2 if colour == "red" else 1)
    for box in judged.of_truth("missed").boxes.tolist():
        pen.rectangle(box, outline="cyan", width=1)
    return canvas


def strip(views: Sequence[Image.Image], texts: Sequence[str], side: int = 400) -> np.ndarray:
    """Views side by side with a line of text above each."""
    tile = Image.new("RGB", (len(views) * (side + 8), side + 24), "white")
    for i, (view, text) in enumerate(zip(views, texts, strict=True)):
        scale = side / max(view.size)
        size = (round(view.width * scale), round(view.height * scale))
        tile.paste(view.convert("RGB").resize(size), (i * (side + 8), 24))
        ImageDraw.Draw(tile).text((i * (side + 8) + 4, 6), text, fill="black")
    return np.asarray(tile)


def opened(name: str, split: str) -> Any:
    """The data set of a name: a folder of DELINEATE_DATA, or the synthetic crowds."""
    if name.startswith("synthetic"):
        return dl.open_dataset(SYNTHETIC, split=split)
    return dl.open_dataset(Path(os.environ["DELINEATE_DATA"]) / name, split=split)


def spread(count: int, wanted: int) -> list[int]:
    """At most so many indices, evenly over all."""
    return sorted(set(np.linspace(0, count - 1, min(wanted, count)).round().astype(int).tolist()))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "weights", nargs="+", help="DATA=WEIGHTS[,WEIGHTS...], DATA of dsb2018, segmush, synthetic"
    )
    parser.add_argument("--also", action="append", default=[], help="NAME:DATA=WEIGHTS[,WEIGHTS...]")
    parser.add_argument("--precision", type=float, default=0.8)
    parser.add_argument("--tuning", type=int, default=16, help="training images to choose parameters on")
    parser.add_argument("--images", type=int, default=10**6, help="at most so many images are reported on")
    parser.add_argument("--pictures", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    tuning: dict[str, list[list[Proposed]]] = {}
    data: dict[str, dict[str, list[list[Proposed]]]] = {}
    for pair in (*options.weights, *options.also):
        what, _, files = pair.partition("=")
        model, _, name = what.rpartition(":")
        train, val = opened(name, "train"), opened(name, "val")
        for weights in files.split(","):
            network = dl.load(weights=weights).segmenter.prepared()
            if not model:
                images = propose(network, (train[i] for i in spread(len(train), options.tuning)))
                tuning.setdefault(name, []).append(images)
            images = propose(network, (val[i] for i in spread(len(val), options.images)))
            data.setdefault(name, {}).setdefault(model, []).append(images)
    machine = platform.processor() or platform.machine()
    print(f"{datetime.date.today()}, {machine}, torch {torch.__version__}, one thread\n")
    best, tried = chosen(tuning, options.precision)
    print("tuning, mean recall:\n")
    for kind, one, each in tried:
        print(f"    {np.mean(each):.3f} {[round(v, 3) for v in each]} {kind}: {one}")
    print("\nchosen:", *(f"{kind}: {one}" for kind, one in best.items()), sep="\n    ")
    results = tables(data, best, options.precision)
    if options.pictures:
        first = {name: models[""][0] for name, models in data.items()}
        pictures(first, results, (PLAIN, best[PLAIN]), (DEFAULT, best[DEFAULT]), options.pictures)


if __name__ == "__main__":
    main()
