"""`delineate track` over long videos.

python benchmarks/track_video.py [--frames 6000] [--quick] [--memory] [--model nuclei]

A short synthetic clip is encoded once and its packets are repeated to make a long H.264 video. The detector
is a threshold and connected components, so that what is measured is the machinery: decoding, the tracker, the
journal, drawing, encoding, files; ``--model`` puts a model in its place. Printed are the processor's
milliseconds of each stage by itself, frames per second with the stages one after another and overlapped (in
turns, medians), the time to the first frame of a part that begins late, passed over and decoded, and the
memory in use as frames go by.
"""

from __future__ import annotations

import argparse
import datetime
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

import delineate as dl
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.data.video import Frame, frames
from delineate.data.video_part import Part
from delineate.engine.track import Detections, FoundTracks, track
from delineate.engine.track_journal import Journal
from delineate.engine.track_outputs import Film, TrackOutputs
from delineate.tracking.choose import tracker

SIZE = (180, 240)
PERIOD = 60
RATE = 25


def pictures() -> Iterator[np.ndarray]:
    """Twelve discs that circle, and are back after a period."""
    for t in range(PERIOD):
        picture = np.full((*SIZE, 3), 30, np.uint8)
        for k in range(12):
            turn = 2 * np.pi * (t / PERIOD + k / 12)
            middle = (120 + 85 * np.cos(turn), 90 + 65 * np.sin(turn))
            cv2.circle(picture, (round(middle[0]), round(middle[1])), 8, (200, 180 + 6 * k, 220 - 9 * k), -1)
        yield picture


def long_video(path: Path, count: int) -> Path:
    """The period encoded once, its packets written again and again."""
    short = path.with_name("short.mp4")
    with av.open(str(short), "w") as file:
        stream = file.add_stream("libx264", rate=RATE, options={"bf": "0", "g": str(PERIOD)})
        stream.width, stream.height, stream.pix_fmt = SIZE[1], SIZE[0], "yuv420p"
        for picture in pictures():
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode())
    with av.open(str(path), "w") as file:
        with av.open(str(short)) as source:
            out = file.add_stream_from_template(source.streams.video[0])
        for turn in range(-(-count // PERIOD)):
            with av.open(str(short)) as source:
                given = source.streams.video[0]
                shift = round(Fraction(turn * PERIOD, RATE) / given.time_base)
                for packet in source.demux(given):
                    if packet.size:
                        packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                        packet.stream = out
                        file.mux(packet)
    return path


def discs(image: np.ndarray) -> Instances:
    """Each bright patch, a little surer than needed."""
    _, labels = cv2.connectedComponents((image[:, :, 0] > 110).astype(np.uint8))
    masks = Masks.from_label_image(labels)
    return Instances(SIZE, masks=masks, scores=[0.9] * len(masks))


def resident() -> float:
    """Megabytes in use now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def run(
    source: Path, folder: Path, ahead: int, end: float | None, every: int = 0, find: Any = None
) -> tuple[float, int]:
    """Seconds for a run with all its files, and frames; the memory is told every so many frames."""
    begin, count = time.perf_counter(), 0
    kinds = ("overlay", "coco", "mots", "mot", "table")
    folder.mkdir(exist_ok=True)
    (folder / "j.gz").unlink(missing_ok=True)
    with (
        Journal(folder / "j.gz", {}) as journal,
        TrackOutputs(folder, "long", kinds, Film("long.mp4", RATE), ahead) as outputs,
    ):
        for found in track(Part(frames(source), end=end), find or discs, journal=journal, ahead=ahead):
            outputs.add(found)
            count += 1
            if every and count % every == 0:
                print(f"| {count:,} | {resident():.0f} MB |", flush=True)
    return time.perf_counter() - begin, count


def stages(source: Path, folder: Path, count: int) -> None:
    """The processor's milliseconds a frame of each stage by itself."""
    took: dict[str, float] = {}

    def timed(name: str, begin: float) -> None:
        took[name] = 1000 * (time.process_time() - begin) / count

    begin = time.process_time()
    film = list(Part(frames(source), end=count / RATE))
    timed("decode", begin)
    begin = time.process_time()
    found = [discs(frame.pixels) for frame in film]
    timed("detect", begin)
    begin, follow = time.process_time(), tracker("masks")
    followed = [follow.update(f, p.pixels, time=p.time) for f, p in zip(found, film, strict=True)]
    timed("tracker", begin)
    begin = time.process_time()
    (folder / "k.gz").unlink(missing_ok=True)
    with Journal(folder / "k.gz", {}) as journal:
        for frame, objects in zip(film, found, strict=True):
            journal.detections(lambda _, objects=objects: Detections(objects), frame)
    timed("journal", begin)
    rows = [
        FoundTracks(p.number, p.time, p.pixels, f, t) for p, f, t in zip(film, found, followed, strict=True)
    ]
    for kind in ("overlay", "coco", "mots", "mot", "table"):
        begin = time.process_time()
        with TrackOutputs(folder, "stage", (kind,), Film("s", RATE), 0) as outputs:
            for row in rows:
                outputs.add(row)
        timed(kind, begin)
    print("| " + " | ".join(took) + " |\n|" + "---|" * len(took))
    print("| " + " | ".join(f"{value:.2f}" for value in took.values()) + " |")


def late(source: Path, begin: float) -> None:
    """To the first frame of a late part."""
    start = time.perf_counter()
    first = next(iter(Part(frames(source), begin)))
    passed = time.perf_counter() - start
    start = time.perf_counter()
    other = next(frame for frame in frames(source) if frame.time >= begin)
    decoded = time.perf_counter() - start
    assert isinstance(first, Frame) and (first.number, first.time) == (other.number, other.time)
    print(f"\nfirst frame after {begin:.0f} s: {passed:.2f} s passed over, {decoded:.2f} s decoded")


def speeds(source: Path, folder: Path, few: int, pairs: int, begin: float, find: Any) -> None:
    """Stages, the two ways in turns, and a late part."""
    stages(source, folder, few)
    rows = []
    for turn in range(pairs):
        order = (0, 2) if turn % 2 else (2, 0)
        rows.append({ahead: run(source, folder / "out", ahead, few / RATE, find=find)[0] for ahead in order})
    after, beside = (few / statistics.median(row[ahead] for row in rows) for ahead in (0, 2))
    gain = statistics.median(row[0] / row[2] for row in rows)
    print(f"\none after another {after:.1f} frames/s, overlapped {beside:.1f}: {gain:.2f}x")
    late(source, begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=6000)
    parser.add_argument("--quick", action="store_true", help="few frames and pairs")
    parser.add_argument("--memory", action="store_true", help="only the memory in use")
    parser.add_argument("--model", help="of the zoo, in place of the threshold; its time hides the rest")
    arguments = parser.parse_args()
    count, pairs, few = (240, 1, 60) if arguments.quick else (arguments.frames, 3, 240)
    cv2.setNumThreads(1)
    print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}, av {version('av')}, "
          f"{datetime.datetime.now(tz=datetime.UTC).date()}\n")  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = long_video(folder / "long.mp4", count)
        if not arguments.memory:
            find = None
            if arguments.model:
                find, few = dl.load(arguments.model), min(few, 80)
            speeds(source, folder, few, pairs, 0.9 * count / RATE, find)
            if find is not None:
                return
        print("\n| frames | memory in use |\n|---|---|")
        seconds, done = run(source, folder / "out", 2, None, max(count // 6, 1))
        size = (folder / "out" / "j.gz").stat().st_size
        print(f"\n{done:,} frames in {seconds:.0f} s; journal {size / done / 1000:.2f} kB a frame")


if __name__ == "__main__":
    main()
