"""The weights' exponential moving average (Polyak and Juditsky 1992): what is evaluated and saved."""

from __future__ import annotations

import copy

import torch

from delineate.models.base import Segmenter


class Average:
    """A copy of a model whose weights follow it slowly.

    The decay rises from 0.1 with the steps, min(decay, (1 + n) / (10 + n)), so that short trainings do not
    average their random start. Buffers (running statistics) are averaged as weights are; counters are copied.

    Attributes:
        model: the average, in eval mode, without gradients.
        updates: how often it followed.

    Args:
        model: what is averaged.
        decay: share of the old average that stays at each step, 0..1; 0 makes it a plain copy.
    """

    def __init__(self, model: Segmenter, decay: float) -> None:
        self.model = copy.deepcopy(model)
        self.model.eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, model: Segmenter) -> None:
        """One step towards the model's present weights."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        new = model.state_dict()
        for name, old in self.model.state_dict().items():
            if old.is_floating_point():
                old.lerp_(new[name].to(old.dtype), 1 - decay)
            else:
                old.copy_(new[name])
