"""A model's losses as one forward pass, on one process or many."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from delineate.core.batch import Batch
from delineate.models.base import Segmenter

from .processes import Processes


class Losses(nn.Module):
    """A model's losses as one forward pass, with their sum as ``loss``; what DistributedDataParallel wraps.

    Args:
        model: the model in training.
    """

    outside: Sequence[tuple[nn.Module, str]] = ()
    """Of a model that is split over the processes: owner and name of each parameter outside its blocks."""

    def __init__(self, model: Segmenter) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """A batch with targets -> ``loss`` (their sum) and ``loss_<name>`` for each."""
        losses = self.model.losses(batch)
        total = torch.stack([loss.float().reshape(()) for loss in losses.values()]).sum()
        if not total.requires_grad:  # nothing to learn here, but the other processes wait for gradients
            total = total + 0.0 * sum(p.sum() for p in self.model.parameters() if p.requires_grad)
        if self.outside:  # every process must have a gradient for the same parameters
            total = total + 0.0 * torch.stack([getattr(m, name).sum() for m, name in self.outside]).sum()
        return {"loss": total, **{f"loss_{name}": loss for name, loss in losses.items()}}


def parallel_losses(model: Segmenter, processes: Processes, sharded: bool = False) -> nn.Module:
    """The losses, with gradients averaged over the processes.

    Parts of the model that one process leaves out (no objects in its images) are no trouble.

    Args:
        model: the model in training; split in place where ``sharded``.
        processes: who takes part.
        sharded: split weights, gradients and what the optimiser keeps over the processes.
    """
    losses = Losses(model)
    if sharded:
        from .sharding import shard

        shard(losses, processes)
        return losses
    if processes.world == 1:
        return losses
    ids = [processes.device.index] if processes.device.type == "cuda" else None
    return DistributedDataParallel(losses, device_ids=ids, find_unused_parameters=True)
