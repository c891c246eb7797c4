"""Batch normalisation over the images of all processes, on any device.

Ioffe and Szegedy 2015, "Batch Normalization", section 3; the shares' means and variances are joined as in
Chan, Golub and LeVeque 1979. PyTorch's own ``SyncBatchNorm`` does the same on GPUs alone.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from .normaliser import together


class SharedBatchNorm2d(nn.BatchNorm2d):
    """As ``BatchNorm2d``, with mean and variance of the whole batch, which the processes share.

    In evaluation, and on one process, it is ``BatchNorm2d``. Every process must call it equally often.
    """

    group: Any = None
    """The processes' channel for this; its own, so that it does not meet the gradients' on theirs."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        if not self.training or together() == 1:
            return super().forward(input)
        result, mean, variance, count = _Normalise.apply(
            input, self.weight, self.bias, self.eps, self.group or dist.group.WORLD
        )
        if self.track_running_stats and self.running_mean is not None and self.running_var is not None:
            with torch.no_grad():
                assert self.num_batches_tracked is not None
                self.num_batches_tracked += 1
                slow = self.momentum
                share = 1 / float(self.num_batches_tracked) if slow is None else slow
                self.running_mean.lerp_(mean, share)
                self.running_var.lerp_(variance * (count / (count - 1).clamp(min=1)), share)
        normalised: Tensor = result
        return normalised


class _Normalise(torch.autograd.Function):
    """x -> (x - mean) / sqrt(variance + eps) * weight + bias, with the whole batch's mean and variance."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, group: Any
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        wide = x.float()
        number = wide.new_tensor([x.numel() / x.shape[1]])
        variance, mean = torch.var_mean(wide, (0, 2, 3), correction=0)
        own = torch.cat([mean, variance, number])
        shares = [torch.empty_like(own) for _ in range(dist.get_world_size(group))]
        dist.all_gather(shares, own, group=group)
        table = torch.stack(shares)  # (P, 2 C + 1)
        means, variances = table[:, :-1].chunk(2, 1)
        counts = table[:, -1:]
        count = counts.sum()
        mean = (means * counts).sum(0) / count
        variance = ((variances + (means - mean).square()) * counts).sum(0) / count
        scale = torch.rsqrt(variance + eps)
        unit = (wide - mean[:, None, None]) * scale[:, None, None]
        ctx.save_for_backward(unit, weight, scale, count)
        ctx.group = group
        ctx.mark_non_differentiable(mean, variance, count)
        result = unit * weight.float()[:, None, None] + bias.float()[:, None, None]
        return result.to(x.dtype), mean, variance, count

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        unit, weight, scale, count = ctx.saved_tensors
        wide = gradient.float()
        plain, turned = wide.sum((0, 2, 3)), (wide * unit).sum((0, 2, 3))
        sums = torch.cat([plain, turned])
        dist.all_reduce(sums, group=ctx.group)
        all_plain, all_turned = (sums / count).chunk(2)
        down = wide - all_plain[:, None, None] - unit * all_turned[:, None, None]
        down = down * (scale * weight.float())[:, None, None]
        return down.to(gradient.dtype), turned.to(weight.dtype), plain.to(weight.dtype), None, None


def share_norms(module: nn.Module, group: Any, spared: tuple[str, ...] = ()) -> int:
    """Let, in place, every ``BatchNorm2d`` below ``module`` see all processes' images; return how many.

    Args:
        module: its norms keep their weights and names.
        group: the processes' channel for this.
        spared: children that one process may run and another may not; their norms stay as they are.
    """
    count = 0
    for name, child in module.named_children():
        if name in spared:
            continue
        for norm in child.modules():
            if type(norm) is nn.BatchNorm2d and norm.affine:
                norm.__class__ = SharedBatchNorm2d
                norm.group = group
                count += 1
    return count
