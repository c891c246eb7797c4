"""Speed and memory of the trackers: `python benchmarks/tracker.py [--objects 100,500] [--soak 10000]`.

Objects of some 600 pixels with masks drift about on a frame that is as large as they need; a tenth of them is
not found in a frame, a tenth scores low, outlines err by half a pixel, and five false alarms come up. Every
tracker is given the same. Printed are CPU milliseconds a frame (median), those of each step of ``masks`` and,
where the package ``trackers`` is installed (`pip install --no-deps trackers`; it is given boxes alone), its.
With ``--soak``, a stream of so many frames goes through each tracker: tracks alive and resident memory on the
way, to see that neither grows. With ``--camera``, what following the camera adds at 1280 x 720.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.tracking import TRACKERS, tracker
from delineate.tracking.camera import Camera

WEAK, MISSED, ALARMS = 0.1, 0.1, 5


def shapes(count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Ellipses with a wavy edge, (h, w) bool, of some 600 pixels."""
    result = []
    for _ in range(count):
        across, along = rng.uniform(20, 34, 2)
        y, x = np.mgrid[: int(along) + 3, : int(across) + 3]
        angle = np.arctan2(y - along / 2, x - across / 2)
        wave = 1 + 0.08 * np.sin(3 * angle + rng.uniform(0, 6))
        result.append(((x - across / 2) / across) ** 2 + ((y - along / 2) / along) ** 2 < 0.24 * wave)
    return result


def stream(objects: int, frames: int, seed: int = 0, features: int = 0) -> Iterator[tuple[Instances, Any]]:
    """Detections and, where asked for, features of each frame; objects turn back at the border."""
    rng = np.random.default_rng(seed)
    side = int(40 * objects**0.5 * 1.3) + 60
    size = (side, side)
    kinds = shapes(objects + ALARMS, rng)
    looks = rng.normal(0, 1, (objects + ALARMS, max(features, 1)))
    place, speed = rng.uniform(20, side - 60, (objects, 2)), rng.normal(0, 2, (objects, 2))
    for _ in range(frames):
        place = place + speed
        speed = np.where((place < 5) | (place > side - 45), -speed, speed)
        place = np.clip(place, 0, side - 40)
        rows = np.flatnonzero(rng.random(objects) > MISSED)
        rows = rng.permutation(np.concatenate((rows, objects + np.arange(ALARMS))))
        every = np.concatenate((place, rng.uniform(0, side - 40, (ALARMS, 2))))
        corners = np.rint(every + rng.normal(0, 0.5, every.shape)).astype(int)
        corners = np.clip(corners, 0, side - 40)
        scores = np.where(rng.random(len(rows)) < WEAK, 0.3, 0.9).astype(np.float32)
        scores[rows >= objects] = 0.45
        masks = Masks.from_crops([kinds[r] for r in rows], corners[rows], size)
        seen = looks[rows] + rng.normal(0, 0.3, (len(rows), looks.shape[1]))
        seen = (seen / np.linalg.norm(seen, axis=1, keepdims=True)).astype(np.float32)
        yield Instances(size, masks=masks, scores=scores), seen if features else None


class Timed:
    """A step whose CPU time is kept."""

    def __init__(self, step: Callable[[Any], None], name: str, spent: dict[str, list[float]]) -> None:
        self.step, self.name, self.spent = step, name, spent

    def __call__(self, play: Any) -> None:
        begin = time.process_time()
        self.step(play)
        self.spent.setdefault(self.name, []).append(time.process_time() - begin)


def name_of(step: Any) -> str:
    """What a step is called; those of a tracker's class by their bare name."""
    kind, _, name = step.__qualname__.rpartition(".")
    return (
        name
        if kind in ("", "MasksTracker", "CellsTracker", "Sort", "ByteTrack", "OcSort")
        else f"{kind}.{name}"
    )


def ours(name: str, frames: list[tuple[Instances, Any]]) -> tuple[float, dict[str, float]]:
    """CPU ms a frame of a tracker (median after the first five), and of each of its steps."""
    one: Any = tracker(name)
    spent: dict[str, list[float]] = {}
    one.steps = tuple(Timed(s, name_of(s), spent) for s in one.steps)
    total = []
    for found, features in frames:
        begin = time.process_time()
        one.update(found, features=features)
        total.append(time.process_time() - begin)
    steps = {k: 1000 * statistics.median(v[5:]) for k, v in spent.items()}
    whole = 1000 * statistics.median(total[5:])
    return whole, {**steps, "births, deaths, filter": whole - sum(steps.values())}


def peer(name: str, frames: list[tuple[Instances, Any]]) -> float | None:
    """The same of the package ``trackers``, or None."""
    try:
        import supervision as sv
        import trackers
    except ImportError:
        return None
    build = {"sort": "SORTTracker", "bytetrack": "ByteTrackTracker", "ocsort": "OCSORTTracker"}.get(name)
    if build is None:
        return None
    one = getattr(trackers, build)()
    total = []
    for found, _ in frames:
        given = sv.Detections(xyxy=found.boxes.copy(), confidence=found.scores.copy())
        begin = time.process_time()
        one.update(given)
        total.append(time.process_time() - begin)
    return 1000 * statistics.median(total[5:])


def resident() -> float:
    """MB of memory that the process holds."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return float("nan")


def soak(name: str, count: int, objects: int, features: int) -> None:
    """A long stream through a tracker."""
    one: Any = tracker(name)
    marks = {max(count * k // 5, 1) for k in range(1, 6)}
    for number, (found, looks) in enumerate(stream(objects, count, 1, features), start=1):
        result = one.update(found, features=looks)
        if number in marks:
            gc.collect()
            top = int(result.instances.ids.max(initial=0))
            print(
                f"  {name}: frame {number}, {len(one.tracks)} tracks alive, id {top}, {resident():.1f} MB",
                flush=True,
            )


def camera() -> None:
    """CPU ms a frame of following the camera."""
    noise = np.random.default_rng(0).integers(0, 255, (760, 1320, 3), dtype=np.uint8)
    world = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)
    follow, nobody, spent = Camera(), Instances.empty((720, 1280)), []
    for k in range(30):
        begin = time.process_time()
        follow.step(world[k : k + 720, k : k + 1280], nobody)
        spent.append(time.process_time() - begin)
    print(f"camera, 1280 x 720: {1000 * statistics.median(spent[2:]):.1f} ms a frame")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--objects", default="100,500")
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--features", type=int, default=0, help="length of the features; 0: none")
    parser.add_argument("--only", default=",".join(TRACKERS))
    parser.add_argument("--soak", type=int, default=0)
    parser.add_argument("--soak-objects", type=int, default=8)
    parser.add_argument("--camera", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    print(f"numpy {version('numpy')}, scipy {version('scipy')}, OpenCV {cv2.__version__}, CPU time")
    for objects in map(int, options.objects.split(",")) if options.objects else ():
        frames = list(stream(objects, options.frames, features=options.features))
        for name in options.only.split(","):
            whole, steps = ours(name, frames)
            other = peer(name, frames)
            beside = "" if other is None else f" (trackers: {other:.1f})"
            parts = ", ".join(f"{k} {v:.1f}" for k, v in steps.items())
            print(f"{objects} objects, {name}: {whole:.1f} ms a frame{beside}; {parts}", flush=True)
    if options.soak:
        for name in options.only.split(","):
            soak(name, options.soak, options.soak_objects, options.features)
    if options.camera:
        camera()


if __name__ == "__main__":
    main()
