"""The click network's weights, as they travel in the package: `python recipes/click.py [--minutes 58]`.

Needs DELINEATE_DATA (the folder that holds dsb2018/, segmush/ and strawberry/). The trunk of `nuclei` is
trained further on the training images of dsb2018 (CC0), segmush (CC BY 4.0, a quarter of them) and strawberry
(MIT); no validation image is looked at. What comes out is judged by `benchmarks/clicks.py --weights FILE`.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

import torch

import delineate as dl
from delineate.engine.click import load_clicker, save_clicks
from delineate.engine.click_training import ClickSamples, ClickSettings, train_clicks
from delineate.models.click_net import ClickNet


def train(minutes: float, lr: float, out: Path, start: Path | None) -> None:
    """The package's click weights."""
    folder = Path(os.environ["DELINEATE_DATA"])
    settings = ClickSettings(minutes=minutes, lr=lr, seed=0 if start is None else 1)
    parts = [
        (dl.open_dataset(folder / "dsb2018", split="train"), 0.75),
        (dl.open_dataset(folder / "segmush", split="train")[::4], 0.15),
        (dl.open_dataset(folder / "strawberry", split="train"), 0.10),
    ]
    nuclei: Any = dl.load("nuclei").segmenter
    net = ClickNet(tuple(nuclei.settings["channels"]))
    net.take_trunk(nuclei)
    if start is not None:
        net.load_state_dict(load_clicker(start).look.net.state_dict())
        net.requires_grad_(True)
    begin = time.monotonic()
    samples = ClickSamples(parts, settings)
    print(f"{time.monotonic() - begin:.0f} s to read; groups {[len(g) for g in samples.groups]}", flush=True)
    steps = train_clicks(
        net, samples, settings, lambda line: print(line, flush=True), lambda so_far: save_clicks(so_far, out)
    )
    record = f"{steps} steps of {settings.batch_size} on dsb2018 (CC0), segmush (CC BY 4.0), strawberry (MIT)"
    save_clicks(net, out, record, "CC-BY-4.0")
    print(f"wrote {out}: {record}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=58)
    parser.add_argument("--start", type=Path, help="train on from these weights")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--out", type=Path, default=Path("click.safetensors"))
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    train(options.minutes, options.lr, options.out, options.start)


if __name__ == "__main__":
    main()
