"""A model whose weights, gradients and optimiser state are split over the processes (FSDP2).

Zhao et al. 2023, "PyTorch FSDP: Experiences on Scaling Fully Sharded Data Parallel", in PyTorch's second
form, ``fully_shard``: each process keeps its part of every tensor; a block's weights are put together just
before they are needed and let go just after. The backbone is split block by block, the rest of the model in
one piece.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from delineate.core.errors import InputError
from delineate.models.base import Segmenter

from .schedule import backbone_of

if TYPE_CHECKING:
    from .losses import Losses
    from .processes import Processes

LEAST = 100_000
"""Parameters from which a block is split by itself."""


def shard(losses: Losses, processes: Processes, least: int = LEAST) -> None:
    """Split a model over the processes, in place.

    Args:
        losses: the model with its losses; their forward pass puts everything together.
        processes: who takes part.
        least: parameters from which a block of the backbone is split by itself.
    """
    losses.to(memory_format=torch.contiguous_format)  # the only one that can be split
    mesh = init_device_mesh(processes.device.type, (processes.world,))
    inside: set[int] = set()
    for block in blocks(losses.model, least):
        fully_shard(block, mesh=mesh)
        inside |= {id(p) for p in block.parameters()}
    # What lies outside the blocks is whole during all of the forward pass; see Losses.forward.
    losses.outside = [
        (owner, name)
        for owner in losses.model.modules()
        for name, p in owner.named_parameters(recurse=False)
        if p.requires_grad and id(p) not in inside
    ]
    fully_shard(losses, mesh=mesh)


def blocks(model: Segmenter, least: int) -> list[nn.Module]:
    """The innermost repeated parts of the model's backbone that hold ``least`` parameters or more."""
    try:
        backbone = backbone_of(model)
    except InputError:
        return []
    rows = [m for m in backbone.modules() if isinstance(m, nn.Sequential | nn.ModuleList) and len(m) > 1]
    found = [
        part
        for row in rows
        for part in row
        if sum(p.numel() for p in part.parameters()) >= least and next(part.children(), None) is not None
    ]
    known = {id(part) for part in found}
    return [p for p in found if not any(id(m) in known for m in p.modules() if m is not p)]
