"""Objects carried to the next frame: overlap with the truth there, on frames of the Cell Tracking Challenge.

python benchmarks/propagate.py [--every 6] [--gap 1]

Needs DELINEATE_DATA (the folder that holds ctc/Fluo-N2DH-SIM+). The tracking truth of one frame is carried to
the frame ``--gap`` later and compared, object by object, with the truth there; cells that divide or leave in
between do not count. "as it was" is the IoU of an object that is not moved at all.
"""

from __future__ import annotations

import argparse
import datetime
import os
import time
from pathlib import Path

import numpy as np
import torch

import delineate as dl
from delineate.data.images import read_labels
from delineate.engine.click import load_clicker
from delineate.engine.propagate import propagate


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--every", type=int, default=6, help="take every so many frames")
    parser.add_argument("--gap", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    folder = Path(os.environ["DELINEATE_DATA"]) / "ctc" / "Fluo-N2DH-SIM+"
    frames = sorted((folder / "01").glob("t*.tif"))
    clicker = load_clicker()
    rows: dict[str, list[float]] = {"as it was": [], "flow": [], "flow, then the click network": []}
    spent = dict.fromkeys(rows, 0.0)
    for before, after in list(zip(frames, frames[options.gap :], strict=False))[:: options.every]:
        truth = [
            read_labels(folder / "01_GT" / "TRA" / f"man_track{f.stem[1:]}.tif") for f in (before, after)
        ]
        ids = np.intersect1d(*truth)
        ids = ids[ids > 0]
        old, new = (dl.Masks.from_label_image(labels, ids) for labels in truth)
        first, second = (dl.read(f).pixels for f in (before, after))
        for name in rows:
            start = time.process_time()
            moved = old if name == "as it was" else propagate(
                old, first, second, clicker if "click" in name else None
            )  # fmt: skip
            spent[name] += time.process_time() - start
            rows[name] += np.diag(moved.iou(new)).tolist()
    print(f"{datetime.date.today()}, torch {torch.__version__}, gap {options.gap}\n")
    print(
        "| | objects | mean IoU | 5 % below | IoU below 0.5 | CPU ms an object |\n|---|---|---|---|---|---|"
    )
    for name, values in rows.items():
        ious = np.array(values)
        print(f"| {name} | {len(ious)} | {ious.mean():.3f} | {np.percentile(ious, 5):.3f} | "
              f"{100 * (ious < 0.5).mean():.1f} % | {1000 * spent[name] / len(ious):.0f} |")  # fmt: skip


if __name__ == "__main__":
    main()
