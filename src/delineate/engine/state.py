"""Everything a training needs to go on as if it had never stopped, in one file.

``last.state.pt`` holds tensors and plain values only and is read by ``torch.load(weights_only=True)``. Random
numbers need no state: order and augmentation are seeded by (seed, epoch, position), the model's own draws by
(seed, step, rank).
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from delineate.core.errors import CheckpointError
from delineate.models.base import Segmenter

from .atomic import write_atomically
from .ema import Average
from .split_average import ShardedAverage
from .weights_file import read_torch

FORMAT = 1
POINTER = "last.state.json"
"""Names the step whose files are whole, of a training that is split over its processes."""


@dataclass
class State:
    """A training at one moment.

    Attributes:
        model: the weights that the optimiser moves.
        average: their moving average, which is evaluated and saved.
        optimizer: with its moments.
        scaler: of fp16 losses; idle otherwise.
        step: optimiser steps done.
        seconds: wall-clock time spent, over all runs.
        best: best score so far, or None.
        waited: evaluations since the best.
        scores: of the last evaluation, by name.
    """

    model: Segmenter
    average: Average | ShardedAverage
    optimizer: Optimizer
    scaler: GradScaler
    step: int = 0
    seconds: float = 0.0
    best: float | None = None
    waited: int = 0
    scores: dict[str, float] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write it atomically."""
        content = {
            "format": FORMAT,
            **self.figures(),
            "model": self.model.state_dict(),
            "average": self.average.tensors(),
            "updates": self.average.updates,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }
        write_atomically(path, lambda file: torch.save(content, file))

    def figures(self) -> dict[str, Any]:
        """How far the training is, and what it scored."""
        return {
            "step": self.step,
            "seconds": self.seconds,
            "best": self.best,
            "waited": self.waited,
            "scores": dict(self.scores),
        }

    def take_figures(self, content: Mapping[str, Any]) -> None:
        """The inverse of :meth:`figures`."""
        self.step, self.seconds = int(content["step"]), float(content["seconds"])
        self.best, self.waited = content["best"], int(content["waited"])
        self.scores = dict(content["scores"])

    def load(self, path: Path) -> None:
        """Take up what :meth:`save` wrote.

        Raises:
            CheckpointError: missing, damaged, or of another model or optimiser.
        """
        if not path.is_file():
            raise CheckpointError(
                f"{path}: expected a training to go on with, got no such file; leave out --resume"
            )
        content: dict[str, Any] = read_torch(path)
        try:
            if content["format"] != FORMAT:
                raise CheckpointError(
                    f"{path}: expected format {FORMAT}, got {content['format']}; train anew"
                )
            self.model.load_state_dict(content["model"])
            self.average.take(content["average"])
            self.average.updates = int(content["updates"])
            self.optimizer.load_state_dict(content["optimizer"])
            self.scaler.load_state_dict(content["scaler"])
            self.take_figures(content)
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            if isinstance(error, CheckpointError):
                raise
            reason = str(error).strip().split("\n")[0][:120]
            raise CheckpointError(
                f"{path}: expected the state of this training, got another ({reason}); resume with its recipe"
            ) from None


def seed_step(seed: int, step: int, rank: int, part: int = 0) -> None:
    """Python's, NumPy's and PyTorch's global generators as this part of this process's step shall find them.

    What an evaluation or a break in between drew changes nothing.
    """
    value = int(
        np.random.SeedSequence([seed, step, rank] + [part] * (part > 0)).generate_state(1, np.uint32)[0]
    )
    random.seed(value)
    np.random.seed(value)  # noqa: NPY002  # models may use the global generator
    torch.manual_seed(value)
