"""Cells followed from outlines of several sources: SEG, DET, TRA, LNK, and which divisions are right.

python benchmarks/cell_tracking.py FOLDER [--weights runs/ctc_cells/last.safetensors] [--pictures DIR]

FOLDER holds `01` and `01_GT`. It is cut in two (`benchmarks/cell_halves.py`); the second half is tested on.
`--weights` are those of `recipes/ctc_cells.toml`, trained on the first half. Outlines: the truth's, without
ids (what a perfect model would give: the tracker's own errors), the embedded model's, the fine-tuned one's,
and the truth's with faults at stated rates. Trackers: `cells`; it without what is mended afterwards, and
without divisions; and those that know no divisions. Then the true outlines of every so-many-th frame only,
so that cells move further. The scores of the fine-tuned model's result are compared with py-ctcmetrics'
where that is installed.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import io
import platform
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cell_halves import halve
from PIL import Image

import delineate as dl
from delineate.apply.draw_tracks import TrackDrawing
from delineate.core.instances import Instances
from delineate.core.lineage import Lineage
from delineate.core.masks import Masks
from delineate.data.formats.ctc import read
from delineate.data.formats.ctc_result import ResultWriter
from delineate.data.images import read as read_image
from delineate.data.tracks import TrackSequence
from delineate.engine.lineage import Cells, save
from delineate.metrics.ctc_cover import Cover
from delineate.metrics.ctc_seg import CtcSeg
from delineate.metrics.ctc_tra import CtcTra
from delineate.tracking import tracker
from delineate.tracking.finish import Finish, Finished

TRACKERS: dict[str, tuple[str, dict[str, Any], dict[str, int]]] = {
    "cells": ("cells", {}, {}),
    "cells, nothing mended": ("cells", {}, {"gap": 0, "piece": 0}),
    "cells, no divisions": ("cells", {"divide": 0.0}, {}),
    "masks": ("masks", {}, {}),
    "sort": ("sort", {}, {}),
    "bytetrack": ("bytetrack", {}, {}),
    "ocsort": ("ocsort", {}, {}),
}
COLUMNS = ("SEG", "DET", "TRA", "LNK", "NS", "FN", "FP", "ED", "EA", "EC", "right", "false", "ms")
Frames = list[Instances]
LATE = 2  # frames by which a division may be early or late


def follow(found: Frames, name: str) -> tuple[list[Finished], Lineage, float]:
    """The finished frames, their lineage, and milliseconds a frame."""
    kind, settings, mended = TRACKERS[name]
    track, finish = tracker(kind, **settings), Finish(**mended)
    begin = time.process_time()
    frames = [done for f in found for done in finish.add(track.update(f))] + list(finish.close())
    return frames, finish.lineage, 1000 * (time.process_time() - begin) / len(found)


def score(frames: Sequence[Finished], lineage: Lineage, truth: Frames, known: Lineage) -> dict[str, float]:
    """The challenge's scores, and divisions that are right or false.

    A division is right where the mother covered the true mother and the two tracks that begin cover her two
    true daughters, in one of the ``LATE`` frames before and after it at least.
    """
    seg, tra = CtcSeg(), CtcTra()
    same: dict[tuple[int, int], int] = {}  # frame, id -> id of the true cell that it covers
    for frame, true in zip(frames, truth, strict=True):
        seg.update(frame.objects, true, frame.number)
        tra.update(frame.objects, true, frame.number)
        cover = Cover.of(frame.objects, true)
        ids = cover.predicted[cover.by].tolist()
        same |= {(frame.number, i): c for i, c in zip(ids, cover.true[cover.cell].tolist(), strict=True)}
    tra.lineage(lineage, known)
    row = {i: (begin, end) for i, begin, end, _ in lineage.rows()}
    mother_of = {i: parent for i, _, _, parent in known.rows()}
    right = false = 0
    for mother, children in lineage.divisions.items():
        if len(children) == 2:
            own = {same.get((row[mother][1] - k, mother), -1) for k in range(LATE + 1)}
            daughters = [{same.get((row[c][0] + k, c), -1) for k in range(LATE + 1)} for c in children]
            pairs = {(d, e) for d in daughters[0] for e in daughters[1] if d != e}
            good = any(m > 0 and mother_of.get(d) == mother_of.get(e) == m for m in own for d, e in pairs)
            right, false = right + good, false + (not good)
    return seg.compute().scores | tra.compute().scores | {"right": right, "false": false}


def faulty(found: Instances, rng: np.random.Generator, missed: float, cut: float) -> Instances:
    """Some outlines missed, some cut in two by a line through the middle in a random direction."""
    assert found.masks is not None
    masks: list[Masks] = []
    for k in range(len(found)):
        draw = rng.random()
        if draw < missed:
            continue
        crop, corner = found.masks.crop(k)
        if draw < missed + cut:
            y, x = np.nonzero(crop)
            angle = rng.uniform(0, np.pi)
            side = (x - x.mean()) * np.cos(angle) + (y - y.mean()) * np.sin(angle) > 0
            halves = np.zeros((2, *crop.shape), bool)
            halves[side.astype(int), y, x] = True
            masks.append(Masks.from_crops(list(halves), [corner] * 2, found.size))
        else:
            masks.append(found.masks[k])
    joined = Masks.concatenate(masks) if masks else Masks.empty(found.size)
    return Instances(found.size, masks=joined, classes=found.classes)


def predicted(model: str, folder: Path, count: int) -> Frames:
    """A model's outlines, weak ones too, as `delineate track` takes them."""
    network = dl.load(model)
    return [
        network.predict(read_image(folder / f"t{t:03d}.tif").pixels, confidence=0.1) for t in range(count)
    ]


def kinds(frames: Sequence[Finished], truth: Frames) -> dict[str, int]:
    """What is behind missing and superfluous cells."""
    found = dict.fromkeys(
        ("missed at the border", "missed elsewhere", "crumbs at the border", "other crumbs"), 0
    )
    for frame, true in zip(frames, truth, strict=True):
        cover = Cover.of(frame.objects, true)
        assert true.ids is not None and frame.objects.ids is not None
        lost = true[~np.isin(true.ids, cover.true[cover.cell])]
        extra = frame.objects[~np.isin(frame.objects.ids, cover.predicted[cover.by])]
        for objects, border, other in ((lost, *list(found)[:2]), (extra, *list(found)[2:])):
            height, width = objects.size
            edge = (objects.boxes[:, :2] < 1).any(axis=1)
            edge |= (objects.boxes[:, 2:] > np.array([width, height]) - 1).any(axis=1)
            found[border] += int(edge.sum())
            found[other] += int((~edge).sum())
    return found


def compare(frames: Sequence[Finished], lineage: Lineage, truth: Path, scores: dict[str, float]) -> str:
    """Our scores beside those of py-ctcmetrics on the written files."""
    try:
        import ctc_metrics
    except ImportError:
        return "py-ctcmetrics is not installed: not compared"
    with tempfile.TemporaryDirectory() as folder:
        with ResultWriter(Path(folder) / "01_RES") as writer:
            for frame in frames:
                writer.add(frame.objects, frame.parents)
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            names = ["SEG", "DET", "TRA", "LNK"]
            theirs = ctc_metrics.evaluate_sequence(str(writer.folder), str(truth), names, threads=1)
    worst = max(abs(theirs[n] - scores[n]) for n in names)
    return f"largest difference from py-ctcmetrics over SEG, DET, TRA, LNK: {worst:.1g}"


def show(what: str, name: str, rows: Sequence[dict[str, float]]) -> None:
    """One line of the table; counts are means over seeds."""
    cells = []
    for column in COLUMNS:
        value = float(np.mean([row[column] for row in rows]))
        cells.append(f"{value:.4f}" if column in COLUMNS[:4] else f"{value:.0f}")
    print(f"| {what} | {name} | " + " | ".join(cells) + " |", flush=True)


def pictures(folder: Path, images: Path, frames: Sequence[Finished], lineage: Lineage) -> None:
    """Each frame with its tracks, the tree and the tables."""
    folder.mkdir(parents=True, exist_ok=True)
    drawing = TrackDrawing()
    for frame in frames:
        canvas = drawing.draw(frame.objects, read_image(images / f"t{frame.number:03d}.tif").pixels)
        Image.fromarray(canvas).save(folder / f"{frame.number:03d}.png")
    save(Cells("result", len(frames), lineage, ()), folder)


def second_half(root: Path, weights: str, pictures_at: Path | None) -> None:
    """The table of detections by trackers."""
    truth: TrackSequence = read(root / "01_GT")
    true, known = [truth[t].objects for t in truth.frames], truth.lineage
    assert known is not None
    sources = {
        "truth": [f.replace(ids=None) for f in true],
        "nuclei": predicted("nuclei", root / "01", len(true)),
    }
    if weights:
        sources["fine-tuned"] = predicted(weights, root / "01", len(true))
    divisions = sum(len(children) == 2 for children in known.divisions.values())
    print(f"second half: {len(true)} frames, {sum(map(len, true))} cells, {divisions} divisions\n")
    print("| outlines | tracker | " + " | ".join(COLUMNS) + " |\n|" + "---|" * (len(COLUMNS) + 2))
    last = list(sources)[-1]
    for what, found in sources.items():
        for name in TRACKERS if what == last or what == "truth" else list(TRACKERS)[:2]:
            frames, lineage, ms = follow(found, name)
            scores = score(frames, lineage, true, known) | {"ms": ms}
            show(what, name, [scores])
            if (what, name) == (last, "cells"):
                told = [str(kinds(frames, true)), compare(frames, lineage, root / "01_GT", scores)]
                if pictures_at is not None:
                    pictures(pictures_at, root / "01", frames, lineage)
    print("\n" + "\n".join(told))


def faults(root: Path, seeds: int) -> None:
    """Truth with faults, and with frames left out."""
    truth = read(root / "01_GT")
    true, known = [truth[t].objects for t in truth.frames], truth.lineage
    assert known is not None
    print("\n| outlines | tracker | " + " | ".join(COLUMNS) + " |\n|" + "---|" * (len(COLUMNS) + 2))
    for missed, cut in ((0.05, 0.05), (0.1, 0.1)):
        for name in [*list(TRACKERS)[:3], "masks", "ocsort"]:
            rows = []
            for seed in range(seeds):
                rng = np.random.default_rng(seed)
                found = [faulty(f, rng, missed, cut) for f in true]
                frames, lineage, ms = follow(found, name)
                rows.append(score(frames, lineage, true, known) | {"ms": ms})
            show(f"{missed:.0%} missed, {cut:.0%} cut", name, rows)
    for every in (2, 4):
        kept = true[::every]
        for name in ("cells", "masks", "ocsort"):
            frames, lineage, ms = follow([f.replace(ids=None) for f in kept], name)
            show(
                f"every {every}. frame",
                name,
                [score(frames, lineage, kept, thinned(known, every, len(true))) | {"ms": ms}],
            )


def thinned(known: Lineage, every: int, count: int) -> Lineage:
    """The lineage of every so-many-th frame; a mother that falls between two of them leaves orphans."""
    rows = {}
    for i, begin, end, parent in known.rows():
        first, last = -(-begin // every), min(end, count - 1) // every
        if first <= last:
            rows[i] = (first, last, parent)
    kept = [(i, a, b, p if p in rows and rows[p][1] < a else 0) for i, (a, b, p) in rows.items()]
    ids, begin, end, parent = np.array(kept, np.int64).T
    return Lineage(ids, begin, end, parent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", default="")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--pictures", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        halve(options.folder, Path(folder))
        second_half(Path(folder) / "val", options.weights, options.pictures)
        faults(Path(folder) / "val", options.seeds)
    print(f"\nPython {platform.python_version()}, torch {torch.__version__}, {datetime.date.today()}")


if __name__ == "__main__":
    main()
