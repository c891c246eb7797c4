"""One process or many: who am I, what do I compute on, what do the others say.

`torchrun` starts the processes and sets RANK, WORLD_SIZE and LOCAL_RANK; without it there is one process.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from delineate.core.errors import DelineateError, InputError

RESTARTS = "TORCHELASTIC_RESTART_COUNT"
"""How often `torchrun`, or :func:`.launch.launch`, has started the processes anew."""

PATIENCE = timedelta(hours=3)  # the others wait while the first process evaluates


LOST = re.compile("connection (was )?(closed|reset|refused)|broken pipe|timed out|remote error|socket", re.I)
"""What PyTorch's channels say where the other side is gone."""


class ProcessLost(DelineateError):
    """Another process of this training ended, so that this one cannot go on."""


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

    def mean(self, value: Tensor) -> float:
        """The mean of every process's () number; not finite where one of them is not."""
        total = value.detach().float().clone()
        if self.world > 1:
            dist.all_reduce(total)
        return float(total) / self.world

    def share(self, count: int) -> range:
        """This process's share of so many things: a run of them, as long as the others' or one longer."""
        return range(self.rank * count // self.world, (self.rank + 1) * count // self.world)

    def channel(self) -> Any:
        """A further way for these processes to talk, beside the one that gradients take."""
        return dist.new_group() if self.world > 1 else None

    def bring(self, value: Any) -> list[Any]:
        """Every process's value, by rank, to the first one; to the others nothing."""
        if self.world == 1:
            return [value]
        boxes: list[Any] | None = [None] * self.world if self.first else None
        dist.gather_object(value, boxes, dst=0)
        return boxes or []

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
    if dist.is_available() and dist.is_initialized():  # a program that brought its processes together itself
        yield Processes(dist.get_rank(), dist.get_world_size(), chosen)
        return
    if world == 1:
        yield Processes(0, 1, chosen)
        return
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    try:
        _meet("nccl" if chosen.type == "cuda" else "gloo")
        with warnings.catch_warnings():
            # 1 x 1 kernels have two layouts that are the same in memory, and DistributedDataParallel minds.
            warnings.filterwarnings("ignore", message="Grad strides do not match")
            yield Processes(rank, world, chosen)
    except RuntimeError as error:
        if not LOST.search(str(error)):
            raise
        raise ProcessLost(
            f"process {rank}: expected {world} processes, got fewer: another one ended; --resume goes on"
        ) from error
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def _meet(backend: str) -> None:
    """Find the others.

    `torchrun` keeps one table of addresses over its restarts; without a page of their own for each start,
    new processes look for the ones that are gone.
    """
    store, rank, world = next(rendezvous("env://", timeout=PATIENCE))
    page = PrefixStore(f"start-{os.environ.get(RESTARTS, '0')}", store)
    dist.init_process_group(backend, store=page, rank=rank, world_size=world, timeout=PATIENCE)
