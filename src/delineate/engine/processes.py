"""One process or many: who am I, what do I compute on, what do the others say.

`torchrun` starts the processes and sets RANK, WORLD_SIZE and LOCAL_RANK; without it there is one process.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from delineate.core.errors import InputError

PATIENCE = timedelta(hours=3)  # the others wait while the first process evaluates


@dataclass(frozen=True)
class Processes:
    """This process among its like.

    Attributes:
        rank: 0..world - 1; 0 writes files and evaluates.
        world: how many there are.
        device: what this one computes on.
    """

    rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process writes files and evaluates."""
        return self.rank == 0

    def agree(self, value: Any) -> Any:
        """The first process's value (anything small), in every process."""
        if self.world == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0, device=self.device)
        return box[0]

    def gather(self, value: Any) -> list[Any]:
        """Every process's value, by rank."""
        if self.world == 1:
            return [value]
        boxes: list[Any] = [None] * self.world
        dist.all_gather_object(boxes, value)
        return boxes


@contextmanager
def joined(device: str = "") -> Iterator[Processes]:
    """Join the processes that `torchrun` started, or be alone.

    Args:
        device: "cpu", "cuda", "cuda:1", "mps"; empty: CUDA where there is one, else the CPU.

    Raises:
        InputError: a device that this machine does not have.
    """
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    name = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if world > 1 and name == "cuda":
        name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    try:
        chosen = torch.device(name)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise InputError(
            f"device {name!r}: expected one that this machine has, got none; try --device cpu"
        ) from None
    if world == 1:
        yield Processes(0, 1, chosen)
        return
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield Processes(rank, world, chosen)
    finally:
        dist.destroy_process_group()
