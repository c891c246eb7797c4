"""The weights' exponential moving average (Polyak and Juditsky 1992): what is evaluated and saved."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor

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

    def update(self, model: Segmenter) -> None:
        """One step towards the model's present weights."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        follow(self.model.state_dict(), model.state_dict(), decay)

    def tensors(self) -> dict[str, Tensor]:
        """The average's tensors by name."""
        return self.model.state_dict()

    def take(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of :meth:`tensors`."""
        self.model.load_state_dict(tensors)

    def whole(self, device: torch.device) -> Segmenter:
        """The average in one piece; it lies on the training's device already."""
        return self.model


@torch.no_grad()
def follow(old: Mapping[str, Tensor], new: Mapping[str, Tensor], decay: float) -> None:
    """Move each old tensor towards the new one, in place; ``decay`` of it stays."""
    for name, tensor in old.items():
        if tensor.is_floating_point():
            tensor.lerp_(new[name].to(tensor.dtype), 1 - decay)
        else:
            tensor.copy_(new[name])
