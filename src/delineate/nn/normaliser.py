"""Counts that losses are divided by, the same on one process and on many, in one piece and in parts.

DistributedDataParallel averages the gradients of P processes. A loss that is a sum over objects divided by
their count must then be divided by the count of all processes' objects over P; with its own count each
process would weigh its objects by how few it has. The same holds for the parts of a batch whose gradients
are accumulated one after the other: :class:`StepCounts` asks all of them first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor


class StepCounts:
    """The counts of one optimiser step whose batch is computed in parts.

    First every part's losses are computed inside :meth:`counting`, without gradient, then :meth:`share` adds
    up over parts and processes, then they are computed again inside :meth:`using`, which gives the sums in
    the order in which they were asked for.

    Example:
        >>> counts = StepCounts()
        >>> for objects in (1, 5):
        ...     with counts.counting():
        ...         _ = mean_count(torch.tensor(objects))
        >>> counts.share()
        >>> with counts.using():
        ...     mean_count(torch.tensor(1)).item()
        3.0
    """

    def __init__(self) -> None:
        self._parts: list[list[Tensor]] = []
        self._sums: list[Tensor] = []
        self._largest: list[Tensor] = []
        self._shared = False
        self._at = 0

    @contextmanager
    def counting(self) -> Iterator[None]:
        """While it lasts, :func:`mean_count` and :func:`largest_count` write down one part's counts."""
        self._parts.append([])
        with _during(self):
            yield

    @contextmanager
    def using(self) -> Iterator[None]:
        """While it lasts, they answer for the whole step."""
        self._at = 0
        with _during(self):
            yield

    def share(self) -> None:
        """Add up over the parts and over the processes that train together.

        Raises:
            RuntimeError: parts that asked for different numbers of counts: some would be divided wrongly.
        """
        self._shared = True
        if len({len(part) for part in self._parts}) > 1:
            raise RuntimeError(
                f"losses: expected every part to ask for as many counts, got {[len(p) for p in self._parts]}"
            )
        if not self._parts or not self._parts[0]:
            return
        table = torch.stack([torch.stack(part) for part in self._parts])  # (parts, counts)
        sums, largest = table.sum(0), table.amax(0)
        if together() > 1:
            dist.all_reduce(sums)
            dist.all_reduce(largest, op=dist.ReduceOp.MAX)
        self._sums, self._largest = list(sums), list(largest)

    def mean(self, count: Tensor, least: float) -> Tensor:
        """As :func:`mean_count`, over processes and parts."""
        at = self._next(count)
        if at is None:
            return count.clamp(min=least)
        return self._sums[at].clamp(min=least) / (together() * len(self._parts))

    def most(self, count: Tensor) -> Tensor:
        """As :func:`largest_count`, over processes and parts."""
        at = self._next(count)
        return count if at is None else self._largest[at]

    def _next(self, count: Tensor) -> int | None:
        """Where the answer stands; None, and the count is kept, while parts are counted."""
        if not self._shared:
            self._parts[-1].append(count)
            return None
        self._at += 1
        return self._at - 1


_step: StepCounts | None = None


@contextmanager
def _during(counts: StepCounts) -> Iterator[None]:
    global _step  # losses ask for their counts deep inside the models
    before, _step = _step, counts
    try:
        yield
    finally:
        _step = before


def together() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def mean_count(count: Tensor, least: float = 1.0) -> Tensor:
    """The count averaged over the processes that train together; on one process the count itself.

    Every process must call it at each step, also where its own count is zero, or the others wait.

    Args:
        count: () number of objects, pixels or samples in this process's part of the batch.
        least: the whole batch's count is never taken for smaller: what an empty batch is divided by.

    Returns:
        () float32, without gradient.

    Example:
        >>> mean_count(torch.tensor(5)).item(), mean_count(torch.tensor(0)).item()
        (5.0, 1.0)
    """
    mean = count.detach().float()
    if _step is not None:
        return _step.mean(mean, least)
    if together() > 1:
        mean = mean.clone()
        dist.all_reduce(mean)
        # The floor holds for the whole batch, so that P processes divide as one does.
        return mean.clamp(min=least) / together()
    return mean.clamp(min=least)


def largest_count(count: Tensor) -> int:
    """The largest count of all processes that train together; every process must call it at each step.

    Args:
        count: () a number of this process's part of the batch, at most 2 ** 24.

    Example:
        >>> largest_count(torch.tensor(3))
        3
    """
    most = count.detach().float()
    if _step is not None:
        return int(_step.most(most))
    if together() > 1:
        most = most.clone()
        dist.all_reduce(most, op=dist.ReduceOp.MAX)
    return int(most)
