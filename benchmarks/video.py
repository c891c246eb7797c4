"""A video from file to overlay file, overlapped or not: `python benchmarks/video.py [--quick]`.

A synthetic crowd is written as H.264 and predicted with the embedded model and, where the zoo has it, with
the smallest one-stage model on seeded weights (100 kept). The two ways take turns; medians over the pairs are
printed, of frames per second and of the ratio within each pair, and the peak of memory for a short and a long
clip. The network has one thread, so that where there are two cores the second is for the other stages.
"""

from __future__ import annotations

import argparse
import datetime
import logging
import os
import platform
import resource
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
import torch
from realtime import settle

from delineate.apply.draw import overlay
from delineate.data.synthetic.layout import SceneSettings
from delineate.data.synthetic.video import crowd_video
from delineate.data.video import VideoWriter, frames
from delineate.engine.load import Model, load
from delineate.engine.video import predict_video
from delineate.models.zoo import ZOO, build

RATE = 25


def clip(path: Path, count: int, side: int) -> Path:
    """A synthetic crowd of ``count`` frames, there and back again."""
    scenes = crowd_video(0, SceneSettings(size=(side, side)), frames=min(count, 12))
    pictures = [np.asarray(s.image) for s in scenes]
    pictures = [p if p.ndim == 3 else np.repeat(p[:, :, None], 3, axis=2) for p in pictures]
    turn = [*pictures, *pictures[::-1]]
    with VideoWriter(path, RATE) as writer:
        for t in range(count):
            writer.add(turn[t % len(turn)], t / RATE)
    return path


def run(find: Model, source: Path, out: Path, ahead: int, **settings: Any) -> float:
    """Seconds for the whole of a clip, outlines drawn and encoded."""
    begin = time.perf_counter()
    pictures = frames(source)
    with VideoWriter(out, pictures.rate) as writer:
        for found in predict_video(find, pictures, ahead=ahead, **settings):
            writer.add(np.asarray(overlay(found.instances, found.frame)), found.time)
    return time.perf_counter() - begin


def stages(find: Callable[..., Any], source: Path, out: Path, **settings: Any) -> dict[str, float]:
    """Milliseconds a frame of each stage by itself."""
    begin = time.perf_counter()
    pictures = list(frames(source))
    seconds = {"decode": time.perf_counter() - begin}
    begin = time.perf_counter()
    found = [find(p.pixels, **settings) for p in pictures]
    seconds["network"] = time.perf_counter() - begin
    begin = time.perf_counter()
    with VideoWriter(out, RATE) as writer:
        for picture, instances in zip(pictures, found, strict=True):
            writer.add(np.asarray(overlay(instances, picture.pixels)), picture.time)
    seconds["draw, encode"] = time.perf_counter() - begin
    return {name: 1000 * value / len(pictures) for name, value in seconds.items()} | {
        "objects": statistics.mean(len(i) for i in found)
    }


def compare(
    name: str, model: Model, side: int, folder: Path, pairs: int, count: int, **settings: Any
) -> None:
    """One row: stages, both ways, their ratio."""
    source, out = clip(folder / f"{side}.mp4", count, side), folder / "out.mp4"
    run(model, source, out, 2, **settings)  # warm
    each = stages(model.predict, source, out, **settings)
    rows = []
    for turn in range(pairs):
        order = (0, 2) if turn % 2 else (2, 0)  # whoever comes second finds another machine
        took = {ahead: run(model, source, out, ahead, **settings) for ahead in order}
        rows.append((took[0], took[2]))
    after, beside = (count / statistics.median(column) for column in zip(*rows, strict=True))
    ratio = statistics.median(a / b for a, b in rows)
    parts = " | ".join(f"{each[k]:.1f}" for k in ("decode", "network", "draw, encode", "objects"))
    print(
        f"| {name}, {side} x {side} | {parts} | {after:.1f} | {beside:.1f} | **{ratio:.2f}x** |", flush=True
    )


def peak(count: int) -> None:
    """In a process of its own: the peak of memory over a clip, printed in MB."""
    torch.set_num_threads(1)
    model = load()
    with tempfile.TemporaryDirectory() as name:
        source = clip(Path(name) / "clip.mp4", count, 128)
        run(model, source, Path(name) / "out.mp4", 2)
    print(round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few frames and pairs")
    parser.add_argument("--peak", type=int, help="only the memory of so many frames")
    arguments = parser.parse_args()
    if arguments.peak:
        peak(arguments.peak)
        return
    torch.set_num_threads(1)
    logging.getLogger("delineate").setLevel(logging.ERROR)  # says that more than 100 were found
    pairs, count = (1, 8) if arguments.quick else (5, 40)
    today = datetime.datetime.now(tz=datetime.UTC).date()
    print(f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, {torch.get_num_threads()} threads, "
          f"torch {torch.__version__}, av {version('av')}, {today}\n")  # fmt: skip
    print(
        "| | decode ms | network ms | draw, encode ms | objects | one by one, frames/s | overlapped | gain |"
    )
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        compare("nuclei", load(), 128, Path(name), pairs, count)
        if "yolo_seg_n" in ZOO:
            torch.manual_seed(0)
            network = build("yolo_seg_n")
            scenes = crowd_video(1, SceneSettings(size=(640, 640)), frames=2)
            settle(network, [cv2.imencode(".png", np.asarray(scene.image))[1].tobytes() for scene in scenes])
            model = Model(network, "yolo_seg_n")
            compare("yolo_seg_n", model, 640, Path(name), pairs, count, confidence=0.0, iou=1.0, max_det=100)
    for length in (20, 20) if arguments.quick else (20, 200):
        command = [sys.executable, __file__, "--peak", str(length)]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        print(f"\npeak memory over {length} frames: {text.strip()} MB", flush=True)


if __name__ == "__main__":
    main()
