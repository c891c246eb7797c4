"""Counts that losses are divided by, the same on one process and on many.

DistributedDataParallel averages the gradients of P processes. A loss that is a sum over objects divided by
their count must then be divided by the count of all processes' objects over P; with its own count each
process would weigh its objects by how few it has.
"""

from __future__ import annotations

import torch.distributed as dist
from torch import Tensor


def mean_count(count: Tensor, least: float = 1.0) -> Tensor:
    """The count averaged over the processes that train together; on one process the count itself.

    Every process must call it at each step, also where its own count is zero, or the others wait.

    Args:
        count: () number of objects, pixels or samples in this process's part of the batch.
        least: the result is never smaller: what an empty batch is divided by.

    Returns:
        () float32, without gradient.

    Example:
        >>> import torch
        >>> mean_count(torch.tensor(5)).item(), mean_count(torch.tensor(0)).item()
        (5.0, 1.0)
    """
    mean = count.detach().float()
    if dist.is_available() and dist.is_initialized():
        mean = mean.clone()
        dist.all_reduce(mean)
        # The floor holds for the whole batch, so that P processes divide as one does.
        return mean.clamp(min=least) / dist.get_world_size()
    return mean.clamp(min=least)
