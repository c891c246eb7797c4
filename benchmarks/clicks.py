"""Clicks until a mask is good: simulated annotators on DSB2018's validation nuclei, or on other images.

python benchmarks/clicks.py [--data dsb2018] [--split val] [--each 3] [--tools NAME ...]

Needs DELINEATE_DATA (the folder that holds dsb2018/). Of each image ``--each`` objects are drawn (seed 0,
at least 20 pixels). The next click falls on the pixel deepest inside what is wrong (Sofiiuk et al. 2021), 20
clicks at most; NoC@85 is the mean number of clicks until an IoU of 0.85, where a failure counts as 20.
``drawing`` among the tools tells what drawing from nothing costs: the fewest corners of a polygon that reach
the same IoU (Douglas and Peucker, the coarsest tolerance that does). ``first`` lets `nuclei` draw first: an
object that it has well enough costs nothing, one that it has at an IoU above 0.5 is corrected from there, and
every false one costs a click to reject. The weights are trained by `recipes/click.py`.

Seconds are worked out, not timed: people need 7 s for the four extreme points of an object (Papadopoulos et
al. 2017, "Extreme clicking for efficient object annotation"), so 1.75 s for a click that must be placed with
care. A corner of a polygon and a click on an object are both counted as that; the wait for the network's
answer is added.
"""

from __future__ import annotations

import argparse
import datetime
import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import delineate as dl
from delineate.engine.click import WEIGHTS, Clicker, load_clicker, look_by_regions
from delineate.metrics.clicks import Click, Clicked, click_through

LEAST = 20  # pixels of an object
MOST = 20  # clicks
SECONDS = 7 / 4  # of a person, a click
Tool = Callable[[np.ndarray, list[Click], dl.Masks | None], dl.Masks]


def tool_of(clicker: Clicker) -> Tool:
    return lambda image, clicks, before: clicker.segment(image, clicks, before=before)


def objects(data: Any, each: int) -> Iterator[tuple[np.ndarray, dl.Masks, str]]:
    """Image, one object's mask and the image's group."""
    rng = np.random.default_rng(0)
    groups = data.groups.get("modality", [""] * len(data))
    for i, group in enumerate(groups):
        sample = data[i]
        truth = sample.truth[~sample.truth.crowd].masks
        large = np.flatnonzero(truth.area >= LEAST)
        for k in rng.permutation(large)[:each]:
            yield sample.image, truth[int(k)], group


def clicked(tool: Tool, image: np.ndarray, truth: dl.Masks, wanted: float) -> tuple[Clicked, list[float]]:
    """One object clicked through, and each click's milliseconds of CPU."""
    times: list[float] = []

    def segment(clicks: Any, before: np.ndarray) -> np.ndarray:
        start = time.process_time()
        so_far = dl.Masks.from_dense(before[None]) if before.any() else None
        found = tool(image, list(clicks), so_far)
        times.append(1000 * (time.process_time() - start))
        return found.dense()[0]

    return click_through(segment, truth.dense()[0], wanted, MOST), times


def corners(truth: dl.Masks, wanted: float) -> int:
    """The fewest corners of a polygon that reaches an IoU; of all parts of the object."""
    best = sum(len(ring) for part in truth.to_polygons()[0] for ring in part.rings)
    for tolerance in np.geomspace(0.3, 40, 40):
        parts = truth.to_polygons(float(tolerance))[0]
        if not parts:
            break
        drawn = dl.Masks.from_polygons([parts], truth.size)
        if float(drawn.iou(truth)[0, 0]) >= wanted:
            best = min(best, sum(len(ring) for part in parts for ring in part.rings))
    return best


def drawn_first(tool: Tool, data: Any, each: int, wanted: float) -> tuple[list[int], float]:
    """Clicks of each object after a model drew, and the false objects for each true one."""
    model = dl.load("nuclei")
    rng = np.random.default_rng(0)
    counts, false, true = [], 0, 0
    for i in range(len(data)):
        sample = data[i]
        truth = sample.truth.masks
        found = model.predict(sample.image).masks
        shared = found.iou(truth)
        false, true = false + int((shared.max(axis=1, initial=0) <= 0.5).sum()), true + len(truth)
        for k in rng.permutation(np.flatnonzero(truth.area >= LEAST))[:each]:
            best = int(shared[:, k].argmax()) if len(found) else -1
            start = found[best].dense()[0] if best >= 0 and shared[best, k] > 0.5 else None

            def segment(clicks: Any, before: np.ndarray, image: Any = sample.image) -> np.ndarray:
                so_far = dl.Masks.from_dense(before[None]) if before.any() else None
                return tool(image, list(clicks), so_far).dense()[0]

            done = click_through(segment, truth[int(k)].dense()[0], wanted, MOST, start)
            counts.append(done.clicks_to(wanted, MOST) if done.clicks else 0)
    return counts, false / true


def row(name: str, done: list[Clicked], times: list[float], wanted: float) -> str:
    counts = [c.clicks_to(wanted, MOST) for c in done]
    failed = sum(max(c.ious, default=0) < wanted for c in done)
    at = [np.mean([c.ious[min(n, len(c.ious)) - 1] if c.ious else 0 for c in done]) for n in (1, 2, 3)]
    return (
        f"| {name} | {len(done)} | {statistics.mean(counts):.2f} | {statistics.median(counts):g} | "
        f"{100 * failed / len(done):.1f} % | {at[0]:.3f} | {at[1]:.3f} | {at[2]:.3f} | "
        f"{statistics.median(times):.0f} | {np.percentile(times, 99):.0f} | "
        f"{statistics.mean(counts) * (SECONDS + statistics.median(times) / 1000):.1f} |"
    )


def extra(options: Any, data: Any, chosen: list[Any], tools: dict[str, Tool]) -> None:
    """What is compared with clicking from nothing."""
    if "drawing" in options.tools:
        counts = [corners(truth, options.wanted) for _, truth, _ in chosen]
        print(
            f"drawing from nothing: {statistics.mean(counts):.2f} corners a polygon, "
            f"median {statistics.median(counts):g}, {SECONDS * statistics.mean(counts):.1f} s\n"
        )
    if "first" in options.tools:
        after, false = drawn_first(tools["network"], data, options.each, options.wanted)
        free = sum(n == 0 for n in after) / len(after)
        print(f"nuclei draws first: {statistics.mean(after):.2f} clicks an object, "
              f"{100 * free:.0f} % need none; {false:.3f} false ones for each true one; "
              f"{SECONDS * (statistics.mean(after) + false):.1f} s\n")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="dsb2018")
    parser.add_argument("--split", default="val")
    parser.add_argument("--images", type=int, help="so many, evenly spread; default all")
    parser.add_argument("--each", type=int, default=3)
    parser.add_argument("--wanted", type=float, default=0.85)
    parser.add_argument("--tools", nargs="+", default=["network", "classic", "drawing", "first"])
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    data = dl.open_dataset(Path(os.environ["DELINEATE_DATA"]) / options.data, split=options.split)
    if options.images:
        data = data.subset(np.linspace(0, len(data) - 1, options.images).astype(int).tolist())
    tools: dict[str, Tool] = {}
    if "network" in options.tools:
        tools["network"] = tool_of(load_clicker(options.weights))
    if "classic" in options.tools:
        tools["classic"] = tool_of(Clicker(look_by_regions))
    chosen = list(objects(data, options.each))
    print(f"{datetime.date.today()}, torch {torch.__version__}, {options.data} {options.split}, "
          f"{len(chosen)} objects, IoU {options.wanted}\n")  # fmt: skip
    extra(options, data, chosen, tools)
    print(
        "| tool | objects | NoC | median | failed | IoU after 1 | 2 | 3 | CPU ms a click | 99 % below | s |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for name, tool in tools.items():
        results = [(clicked(tool, image, truth, options.wanted), group) for image, truth, group in chosen]
        parts = {"": results} | {
            g: [r for r in results if r[1] == g] for g in sorted({r[1] for r in results} - {""})
        }
        for part, members in parts.items():
            done = [r[0][0] for r in members]
            print(row(f"{name}{', ' if part else ''}{part}", done, [t for r in members for t in r[0][1]],
                      options.wanted), flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
