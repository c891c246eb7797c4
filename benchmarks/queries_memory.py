"""Peak memory of one training step of a query transformer on the CPU.

    taskset -c 0 env OMP_NUM_THREADS=1 python benchmarks/queries_memory.py [--family mask2former] [--keep]
        [--size 1024] [--batch 2] [--objects 20] [--backbone resnet50]

Forward, losses, backward and AdamW on random images with ellipses for objects, in float32. What is printed is
the process's highest resident size (``ru_maxrss``), libraries and optimiser's state included, and the CPU
seconds of the step. ``--keep`` keeps all activations; default is ``checkpointing``.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
import torch

from delineate.core.batch import Batch
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.models.coco import COCO
from delineate.models.zoo import build


def truth(size: int, count: int, random: np.random.Generator) -> Instances:
    """Ellipses of 4 to 40 % of the side, of random classes."""
    y, x = np.mgrid[:size, :size]
    masks = []
    for _ in range(count):
        (cy, cx), (h, w) = random.uniform(0, size, 2), size * 0.02 * 10 ** random.uniform(0, 1, 2)
        masks.append(((y - cy) / h) ** 2 + ((x - cx) / w) ** 2 < 1)
    labels = random.integers(len(COCO), size=count)
    found = Instances((size, size), masks=Masks.from_dense(np.stack(masks)), labels=labels, classes=COCO)
    return found[found.area > 0]


def main() -> None:
    """Take one step and print what it took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--family", default="mask2former", choices=("mask2former", "maskdino", "dimaskdino"))
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--objects", type=int, default=20)
    parser.add_argument("--keep", action="store_true")
    asked = parser.parse_args()
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    model = build(asked.family, backbone=asked.backbone, checkpointing=not asked.keep).train()
    optimiser = torch.optim.AdamW(model.parameters(), 1e-4)
    size = (asked.size, asked.size)
    batch = Batch(
        torch.randn(asked.batch, 3, *size),
        [size] * asked.batch,
        [size] * asked.batch,
        [truth(asked.size, asked.objects, random) for _ in range(asked.batch)],
    )
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    loss = torch.stack(list(model.losses(batch).values())).sum()
    loss.backward()
    optimiser.step()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"{asked.family}, {asked.backbone}, {asked.size} x {asked.size}, batch {asked.batch}, "
        f"{'all kept' if asked.keep else 'checkpointing'}: peak {peak / 2**20:.2f} GiB "
        f"({before / 2**20:.2f} GiB before the step), {time.process_time() - start:.0f} s, loss {loss:.2f}"
    )


if __name__ == "__main__":
    main()
