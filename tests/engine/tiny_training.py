"""A small training that tests start in processes of their own."""

# Run as: python tiny_training.py RECIPE_JSON OUT [resume] [blank]
# ruff: noqa: NPY002  # global generators are drawn from on purpose

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from delineate.core.batch import Batch, InputSpec
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.engine.train import Result, train
from delineate.models.base import Segmenter
from delineate.models.zoo import ZOO, Entry
from delineate.nn.normaliser import mean_count

CLASSES = Labels(("square",))


class Tiny(Segmenter):
    """Foreground by two convolutions; its losses are means over images. ``mark`` learns from objects only."""

    family = "tiny"

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.classes, self.settings = CLASSES, {"dropout": dropout}
        self.input = InputSpec(shortest_edge=None, longest_edge=None, divisor=8)
        self.inner, self.outer = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 1, 1)
        self.mark = nn.Linear(1, 1)
        self.dropout = dropout

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, H, W) logits."""
        features = F.dropout(F.relu(self.inner(images)), self.dropout, self.training)
        return self.outer(features)[:, 0]

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        assert batch.targets is not None
        logits = self(batch.images)
        truth = torch.stack([torch.from_numpy(t.masks.to_label_image() > 0) for t in batch.targets]).float()
        errors = F.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean((1, 2))  # (B,)
        if self.dropout:
            errors = errors + 1e-3 * float(np.random.random()) * self.outer.bias  # a draw of NumPy's own
        losses = {"pixels": errors.mean()}
        inside = F.binary_cross_entropy_with_logits(logits, truth, reduction="none") * truth
        losses["objects"] = inside.sum() / mean_count(truth.sum())  # a mean over the batch's object pixels
        counts = torch.tensor([[float(len(t))] for t in batch.targets])
        if counts.sum() > 0:  # a batch without objects never touches this part
            losses["mark"] = 0.01 * (self.mark(counts) - counts).square().mean()
        return losses


class Squares:
    """Grey images with squares; every third (from the first) has none."""

    classes = CLASSES

    def __init__(self, count: int = 12) -> None:
        self.count = count
        self.groups = {"kind": ["even" if i % 2 == 0 else "odd" for i in range(count)]}

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> SimpleNamespace:
        rng = np.random.default_rng(index)
        labels = np.zeros((32, 32), np.int32)
        for i in range(0 if index % 3 == 0 else 3):
            y, x = rng.integers(0, 24, 2)
            labels[y : y + 7, x : x + 7] = i + 1
        image = np.where(labels > 0, 180, 40).astype(np.uint8) + rng.integers(0, 30, (32, 32), dtype=np.uint8)
        truth = Instances((32, 32), masks=Masks.from_label_image(labels), classes=CLASSES)
        return SimpleNamespace(image=image, truth=truth)


class Blank(Squares):
    """As :class:`Squares`, without any object."""

    def __getitem__(self, index: int) -> SimpleNamespace:
        image = super().__getitem__(index).image
        return SimpleNamespace(image=image, truth=Instances.empty((32, 32), CLASSES))


def tiny(dropout: float = 0.1, classes: Any = None, input: Any = None) -> Tiny:
    """The zoo's builder."""
    return Tiny(dropout)


ZOO["tiny"] = Entry(builder="tiny_training:tiny", summary="for tests")


def score(model: Segmenter, samples: Any, device: torch.device) -> dict[str, float]:
    """Pixel accuracy, after disturbing every global generator."""
    torch.rand(3), np.random.random(3)
    right = []
    for i in range(len(samples)):
        rgb = torch.from_numpy(samples[i].image / 255.0).float().expand(3, -1, -1)
        logits = model((rgb[None] - 0.45) / 0.225)[0]
        right.append(float(((logits > 0).numpy() == (samples[i].truth.masks.to_label_image() > 0)).mean()))
    return {"accuracy": float(np.mean(right))}


def recipe(**settings: Any) -> dict[str, Any]:
    """Two epochs of three steps, with all that draws random numbers."""
    train_settings = {
        "epochs": 2, "batch_size": 4, "lr": 0.01, "warmup_steps": 2, "ema": 0.9, "seed": 3, "threads": 1,
        "log_every": 1, "metric": "accuracy",
    }  # fmt: skip
    augment = {"crop": 32, "rotate": 10.0, "noise": 0.1, "copy_paste": 0.3}
    return {"model": {"name": "tiny"}, "augment": augment, "train": {**train_settings, **settings}}


def start(values: dict[str, Any], out: str, resume: bool = False, blank: bool = False) -> Result:
    """The training itself."""
    source = Blank() if blank else Squares()
    return train(
        values, out, resume=resume, device="cpu", sources=(source, Squares(4)), score=score, quiet=True
    )


if __name__ == "__main__":
    start(json.loads(sys.argv[1]), sys.argv[2], "resume" in sys.argv[3:], "blank" in sys.argv[3:])
