"""The moving average of a model that is split over the processes, split likewise.

Split tensors are PyTorch's DTensors, known by what they can do: their module takes a second to import.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from delineate.models.base import Segmenter

from .ema import follow


def whole(tensor: Tensor) -> Tensor:
    """A split tensor put together; every process must ask for it. Others as they are."""
    joined: Tensor = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
    return joined


def own(tensor: Tensor) -> Tensor:
    """This process's part of a split tensor; others as they are."""
    part: Tensor = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return part


class ShardedAverage:
    """As :class:`.ema.Average`, with the average split over the processes as the model is.

    Args:
        model: before it is split.
        decay: as there.
    """

    def __init__(self, model: Segmenter, decay: float) -> None:
        self._plain = copy.deepcopy(model).cpu().eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0
        self.parts: dict[str, Tensor] = {}

    def start(self, model: Segmenter) -> None:
        """Take the weights of the model, now split."""
        self.parts = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}

    def update(self, model: Segmenter) -> None:
        """One step towards the model's present weights."""
        self.updates += 1
        new = model.state_dict()
        follow({k: own(v) for k, v in self.parts.items()}, {k: own(v) for k, v in new.items()}, self.rate)

    @property
    def rate(self) -> float:
        """Share of the old average that stays."""
        return min(self.decay, (1 + self.updates) / (10 + self.updates))

    def tensors(self) -> dict[str, Tensor]:
        """The average's tensors by name, split as the model's."""
        return self.parts

    def take(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of :meth:`tensors`."""
        follow({k: own(v) for k, v in self.parts.items()}, {k: own(v) for k, v in tensors.items()}, 0.0)

    def whole(self, device: torch.device) -> Segmenter:
        """The average in one piece on a device, in every process; all of them must ask for it."""
        kept = self._plain.state_dict()
        for name, part in self.parts.items():
            kept[name].copy_(whole(part))
        return copy.deepcopy(self._plain).to(device) if device.type != "cpu" else self._plain


def share_buffers(model: nn.Module) -> None:
    """The first process's running statistics in every process, as DistributedDataParallel has it."""
    norms: list[Any] = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d) and m.track_running_stats]
    for norm in norms:
        for buffer in (norm.running_mean, norm.running_var, norm.num_batches_tracked):
            dist.broadcast(buffer, src=0)
