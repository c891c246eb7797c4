"""Trackers in crowds: identities kept, switches, merges and misses by how close the crowd stands.

python benchmarks/tracking_crowds.py [--shapes person,cell] [--levels 0.2,0.4,0.6,0.8,1.0] [--seeds 3]
python benchmarks/tracking_crowds.py --detector nuclei --shapes cell   # a real model on painted frames
python benchmarks/tracking_crowds.py --pictures DIR                    # frames where splitting changes most
python benchmarks/tracking_crowds.py --only masks,sort --set gain=0.2  # settings tried

Videos are those of ``delineate synthesize --video``: two streams that walk through each other, with exact
truth. Detections come from the simulated detector of ``delineate.data.synthetic.detector`` (its defaults, all
stated there) or from the embedded model ``nuclei``. Every tracker is given the same detections. Scores are of
masks; true objects of which less than a tenth or fewer than 8 pixels show are ignore regions. Merges and
misses are the fates of ``delineate.metrics.crowd`` of what the tracker tells of, per 100 true objects.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

import delineate as dl
from delineate.apply.draw import overlay
from delineate.core.labels import distinct_colors
from delineate.data.synthetic import Detected, Motion, SceneSettings, Video, crowd_video, detect
from delineate.metrics.clear_mot import ClearMOT
from delineate.metrics.crowd import CrowdErrors, judge_image
from delineate.metrics.hota import HOTA
from delineate.metrics.identity import Identity
from delineate.tracking import TRACKERS, tracker

SIZE, SPEED = (240, 360), 2.5
RADII = {"person": (16.0, 24.0), "cell": (9.0, 14.0)}
OBJECTS = {"person": 36, "cell": 40}
PLAIN = {"split_merged": False, "whole": False, "rescue": False}
CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "masks": ("masks", {}),
    "masks: no split": ("masks", {"split_merged": False}),
    "masks: no whole shapes": ("masks", {"whole": False}),
    "masks: no rescue": ("masks", {"rescue": False}),
    "masks: none of the three": ("masks", PLAIN),
    "masks: nor mask IoU": ("masks", {"mask_weight": 0.0, **PLAIN}),
    "sort": ("sort", {}),
    "bytetrack": ("bytetrack", {}),
    "bytetrack: births as masks": ("bytetrack", {"begin": 0.6, "high": 0.4}),
    "ocsort": ("ocsort", {}),
    "ocsort: births as masks": ("ocsort", {"confirm": 2, "at_once": 1, "high": 0.4, "begin": 0.6}),
}
COLUMNS = ("HOTA", "DetA", "AssA", "IDF1", "MOTSA", "switches", "merged", "missed", "double", "ms")


@dataclass
class Tally:
    """Everything that is measured of one tracker at one level, over all seeds."""

    hota: HOTA = field(default_factory=HOTA)
    clear: ClearMOT = field(default_factory=ClearMOT)
    identity: Identity = field(default_factory=Identity)
    crowd: CrowdErrors = field(default_factory=CrowdErrors)
    seconds: float = 0.0
    frames: int = 0

    def add(self, result: dl.Instances, truth: dl.Instances, number: int, sequence: str) -> None:
        shared = result.masks.iou(truth.masks)
        for metric in (self.hota, self.clear, self.identity):
            metric.update(result, truth, number, sequence, similarity=shared)
        self.crowd.update(result, truth)
        self.frames += 1

    def row(self) -> dict[str, float]:
        hota, clear, crowd = self.hota.compute(), self.clear.compute().scores, self.crowd.compute()
        total = crowd.total
        objects = max(total.objects, 1)
        double = sum(crowd.predictions[name] for name in ("duplicate", "part", "fragment"))
        return {
            **{name: 100 * hota.scores[name] for name in ("HOTA", "DetA", "AssA")},
            "IDF1": 100 * self.identity.compute().scores["IDF1"],
            "MOTSA": 100 * clear["MOTSA"],
            "switches": clear["IDSW"],
            "merged": 100 * total.merged / objects,
            "missed": 100 * total.missed / objects,
            "double": 100 * double / objects,
            "ms": 1000 * self.seconds / max(self.frames, 1),
        }


def scene(shape: str, level: float, seed: int, frames: int, shake: float) -> Video:
    """The video of a level and seed."""
    settings = SceneSettings(
        size=SIZE, objects=OBJECTS[shape], crowding=level, shapes=(shape,), radius=RADII[shape]
    )
    return crowd_video(seed, settings, frames, Motion(speed=SPEED, shake=shake))


def simulated(video: Video, seed: int) -> Iterator[Detected]:
    return detect(video, seed=seed)


def real(video: Video, seed: int, model: list[Any] = []) -> Iterator[Detected]:  # noqa: B006
    """The embedded model's detections of the painted frames; loaded once."""
    if not model:
        torch.set_num_threads(1)
        model.append(dl.load("nuclei"))
    for t in range(len(video)):
        truth, visible = video.truth(t)
        found = model[0].predict(video[t].image, confidence=0.1)
        found = found.replace(labels=np.zeros(len(found), np.int64), classes=truth.classes)
        yield Detected(truth.replace(crowd=(visible < 0.1) | (truth.masks.area < 8)), found, ())


def follow(
    name: str, settings: dict[str, Any], frames: list[Detected], tally: Tally, sequence: str
) -> list[dl.Instances]:
    """One tracker over one video."""
    one = tracker(name, **settings)
    results = []
    for number, seen in enumerate(frames):
        start = time.process_time()
        tracked = one.update(seen.found)
        tally.seconds += time.process_time() - start
        tally.add(tracked.instances, seen.truth, number, sequence)
        results.append(tracked.instances)
    return results


def table(title: str, rows: dict[str, dict[str, float]]) -> None:
    print(f"\n### {title}\n\n| | {' | '.join(COLUMNS)} |\n|---|{'---|' * len(COLUMNS)}")
    for name, row in rows.items():
        cells = [f"{row[c]:.0f}" if c == "switches" else f"{row[c]:.1f}" for c in COLUMNS]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    options = arguments()
    chosen = configs(options)
    detector: Callable[[Video, int], Iterator[Detected]] = real if options.detector == "nuclei" else simulated
    print(
        f"{datetime.date.today()}, Python {platform.python_version()}, {options.frames} frames, "
        f"{options.seeds} seeds, detections: {options.detector}"
    )
    for shape in options.shapes.split(","):
        mean: dict[str, list[dict[str, float]]] = {name: [] for name in chosen}
        for level in map(float, options.levels.split(",")):
            tallies = {name: Tally() for name in chosen}
            found = 0
            for seed in range(options.first, options.first + options.seeds):
                video = scene(shape, level, seed, options.frames, options.shake)
                frames = list(detector(video, seed))
                results = {
                    name: follow(*config, frames, tallies[name], f"{seed}") for name, config in chosen.items()
                }
                found += sum(len(f.found) for f in frames)
                if options.pictures and seed == options.first:
                    picture(video, frames, results, options.pictures / f"{shape}_{level:g}.png")
            rows = {name: tally.row() for name, tally in tallies.items()}
            for name, row in rows.items():
                mean[name].append(row)
            table(f"{shape}, crowding {level:g} ({found} detections)", rows)
        table(
            f"{shape}, mean of the levels",
            {n: {c: float(np.mean([r[c] for r in rows])) for c in COLUMNS} for n, rows in mean.items()},
        )


def configs(options: argparse.Namespace) -> dict[str, tuple[str, dict[str, Any]]]:
    """The trackers to be run, with settings that were given for those named ``masks``."""
    more = {k: float(v) for k, v in (text.split("=") for text in options.set)}
    wanted = options.only.split(",") if options.only else list(CONFIGS)
    chosen = {name: CONFIGS[name] for name in CONFIGS if name in wanted and CONFIGS[name][0] in TRACKERS}
    if more:
        chosen |= {"masks: as set": ("masks", more)}
    return chosen


def picture(video: Video, frames: list[Detected], results: dict[str, list[dl.Instances]], path: Path) -> None:
    """Three frames where the first tracker differs most from the second in merged objects."""
    names = list(results)[:2]
    merged = [
        [len(judge_image(r, f.truth).of_truth("merged")) for r, f in zip(results[n], frames, strict=True)]
        for n in names
    ]
    change = np.array(merged[-1]) - np.array(merged[0])
    strips = []
    for t in sorted(np.argsort(-change, kind="stable")[:3].tolist()):
        image = video[t].image
        views = [image, coloured(frames[t].truth, image), np.asarray(overlay(frames[t].found, image))]
        views += [coloured(results[n][t], image) for n in reversed(names)]
        strips.append(np.hstack(views))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.vstack(strips)).save(path)


def coloured(objects: dl.Instances, image: np.ndarray) -> np.ndarray:
    """Outlines in the colours of the identities, each with its number."""
    tints = distinct_colors(64)[objects.ids % 64]
    canvas = image.astype(np.float32)
    for k, tint in enumerate(tints):
        crop, (x, y) = objects.masks.crop(k)
        part = canvas[y : y + crop.shape[0], x : x + crop.shape[1]]
        part[crop] = 0.4 * part[crop] + 0.6 * tint
    drawn = Image.fromarray(canvas.astype(np.uint8))
    pen = ImageDraw.Draw(drawn)
    for identity, box in zip(objects.ids.tolist(), objects.boxes.tolist(), strict=True):
        pen.text(((box[0] + box[2]) / 2 - 5, (box[1] + box[3]) / 2 - 5), str(identity), fill="black")
    return np.asarray(drawn)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", default="person,cell")
    parser.add_argument("--levels", default="0.2,0.4,0.6,0.8,1.0")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--shake", type=float, default=0.0)
    parser.add_argument("--detector", choices=("simulated", "nuclei"), default="simulated")
    parser.add_argument("--only", default="", help="trackers and ablations by name, with commas")
    parser.add_argument("--set", action="append", default=[], help="a setting of one more 'masks'")
    parser.add_argument("--pictures", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
