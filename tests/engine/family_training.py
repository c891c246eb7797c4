"""Small trainings of every kind of model, without chance, that tests start in one process or in several."""

# Run as: python family_training.py OUT JOBS_JSON; two processes train them one after the other.

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist

from delineate.core.batch import InputSpec
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.engine.processes import joined
from delineate.engine.train import Result, train
from delineate.models.queries import denoising
from delineate.models.queries.criterion import Points

CLASSES = Labels(("disc", "bar"))
INPUT = InputSpec(shortest_edge=None, longest_edge=None, mean=(0.5,) * 3, std=(0.25,) * 3)
ALL = {"samples": 100_000, "positive_fraction": 1.0}
QUERIES = {
    "backbone": "resnet10t", "queries": 6, "encoder_layers": 1, "decoder_layers": 1, "channels": 64,
    "encoder_hidden": 32, "decoder_hidden": 32, "points": 64,
}  # fmt: skip
MODELS: dict[str, dict[str, Any]] = {
    "mask_rcnn": {
        "backbone": "resnet10t", "channels": 16, "box_width": 16, "mask_width": 16, "sampling": ALL,
        "proposals": {**ALL, "before_nms_training": 100, "after_nms_training": 30},
        "anchor_sizes": [[8], [16], [32], [64], [128]], "canonical_size": 32, "norm": "frozen",
    },
    "yolact": {"backbone": "resnet10t", "channels": 16, "prototypes": 8, "image_size": 64, "norm": "group"},
    "yolo_seg_n": {},
    "mask2former": QUERIES,
    "maskdino": {**QUERIES, "denoising": 12},
    "center_offset": {"channels": [8, 8, 8, 8]},
}  # fmt: skip


class Scenes:
    """Discs and bars on grey, 64 x 64; the second image of each four has none, the third has many."""

    classes = CLASSES

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> SimpleNamespace:
        rng = np.random.default_rng(index)
        masks, labels = [], []
        y, x = np.mgrid[:64, :64]
        image = rng.integers(20, 60, (64, 64, 3), dtype=np.uint8)
        for i in range((2, 0, 5, 1)[index % 4]):
            cy, cx = rng.integers(10, 54, 2)
            disc = (y - cy) ** 2 + (x - cx) ** 2 < 40
            bar = (abs(y - cy) < 4) & (abs(x - cx) < 9)
            masks.append(disc if i % 2 else bar)
            labels.append(i % 2)
            image[masks[-1]] = (200, 60, 60) if i % 2 else (60, 160, 220)
        truth = Instances.empty((64, 64), CLASSES)
        if masks:
            truth = Instances(
                (64, 64), masks=Masks.from_dense(np.stack(masks)), labels=labels, classes=CLASSES
            )
        return SimpleNamespace(image=image, truth=truth)


def recipe(name: str, **settings: Any) -> dict[str, Any]:
    """Two steps of four images; nothing is drawn, and gradients are not shortened."""
    values = {
        "steps": 2, "batch_size": 4, "optimizer": "sgd", "lr": 1e-5, "warmup_steps": 0, "clip_norm": 0.0,
        "schedule": "constant", "log_every": 1, "evaluate_every": 0, "threads": 1,
        "sync_norm": True, "seed": 3,
    }  # fmt: skip
    augment = {"crop": 64, "scale": [1.0, 1.0]}
    model = {"name": name, "settings": {"input": INPUT.to_dict(), **MODELS[name]}}
    return {"model": model, "augment": augment, "train": {**values, **settings}}


def without_chance(patch: pytest.MonkeyPatch) -> None:
    """Points and noise that are functions of where they are asked for, not of what was drawn before."""

    def grid(count: int) -> torch.Tensor:
        side = int(count**0.5)
        places = (torch.arange(side) + 0.5) / side
        return torch.cartesian_prod(places, places)

    def still(self: Any, count: int, classes: int, device: Any) -> tuple[torch.Tensor, ...]:
        return torch.ones(count), torch.zeros(count, dtype=torch.int64), torch.full((count, 4), 0.7)

    patch.setattr(Points, "to_match", lambda self, device, name, image: grid(self.count))
    patch.setattr(Points, "to_lose", lambda self, logits, name: grid(self.count).expand(len(logits), -1, -1))
    patch.setattr(denoising.Noise, "draw", still)


def start(name: str, out: Path, *, resume: bool = False, scored: bool = False, **settings: Any) -> Result:
    """One training; ``scored``: the images are scored at the end, by the scorer that users get."""
    scenes = Scenes()
    settings = {"evaluate_every": 1, **settings} if scored else settings
    sources = (scenes, scenes if scored else None)
    with pytest.MonkeyPatch.context() as patch:
        without_chance(patch)
        patch.setattr("delineate.engine.train.draw_curves", lambda folder: folder)  # more than half the time
        patch.setattr("delineate.engine.record._tensorboard", lambda folder, step: None)
        return train(recipe(name, **settings), out, resume=resume, device="cpu", sources=sources, quiet=True)


def main(out: str, jobs: str) -> None:
    """Two processes out of this one, so that the imports are paid for once."""
    torch.set_num_threads(1)
    child = os.fork()
    os.environ |= {"RANK": "0" if child else "1", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}
    code = 1
    try:
        with joined("cpu"):
            for job in json.loads(jobs):
                start(job["name"], Path(out) / job["out"], **job["settings"])
                dist.barrier()
        code = 0
    finally:
        if not child:
            os._exit(code)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


if __name__ == "__main__":
    # What a training loads when it needs it, before the fork: else each process would load it.
    import timm  # noqa: F401
    import torch._dynamo
    import torchvision.models  # noqa: F401

    import delineate.engine.sharded_state
    import delineate.engine.sharding  # noqa: F401

    main(sys.argv[1], sys.argv[2])
