"""Batch normalisation that does not learn, and normalisation folded into the convolution before it.

Ioffe and Szegedy 2015, "Batch Normalization", section 3.1 (a fixed affine map at inference).
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn


class FrozenBatchNorm2d(nn.Module):
    """Batch normalisation with fixed statistics and fixed scale: an affine map per channel.

    Args:
        channels: C.
        eps: added to the variance. 0 for weights whose statistics already hold it.
    """

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.register_buffer("weight", torch.ones(channels))
        self.register_buffer("bias", torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        scale = self.weight * torch.rsqrt(self.running_var + self.eps)
        shift = self.bias - self.running_mean * scale
        return x * scale.to(x.dtype)[:, None, None] + shift.to(x.dtype)[:, None, None]

    def extra_repr(self) -> str:
        """What ``print(model)`` shows of it."""
        return f"{len(self.weight)}, eps={self.eps}"


def freeze_batch_norm(module: nn.Module, eps: float | None = None) -> nn.Module:
    """Replace, in place, every ``BatchNorm2d`` below ``module`` by a frozen one of the same statistics.

    Args:
        module: changed in place and returned (or its replacement, if it is itself a batch norm).
        eps: of the frozen norms; None keeps each one's own.
    """
    if type(module) is nn.BatchNorm2d:
        frozen = FrozenBatchNorm2d(module.num_features, module.eps if eps is None else eps)
        state = {k: v for k, v in module.state_dict().items() if k != "num_batches_tracked"}
        frozen.load_state_dict(state)
        return frozen
    for name, child in module.named_children():
        replaced = freeze_batch_norm(child, eps)
        if replaced is not child:
            setattr(module, name, replaced)
    return module


def folded(conv: nn.Conv2d, norm: nn.Module) -> nn.Conv2d:
    """One convolution that computes ``norm(conv(x))`` with the norm's fixed statistics.

    Args:
        conv: with or without bias.
        norm: :class:`FrozenBatchNorm2d` or ``nn.BatchNorm2d`` with running statistics.
    """
    if not isinstance(norm, (FrozenBatchNorm2d, nn.BatchNorm2d)):
        raise TypeError(f"folded: expected a batch norm, got {type(norm).__name__}")
    with torch.no_grad():
        # float64, so that the folded weights are the rounding of the true ones
        mean, variance = norm.running_mean.double(), norm.running_var.double()  # type: ignore[union-attr]
        scale = norm.weight.double() / torch.sqrt(variance + norm.eps)
        shift = norm.bias.double() - mean * scale
        if conv.bias is not None:
            shift = shift + conv.bias.double() * scale
        joined = nn.Conv2d(
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size,  # type: ignore[arg-type]
            stride=conv.stride,  # type: ignore[arg-type]
            padding=conv.padding,  # type: ignore[arg-type]
            dilation=conv.dilation,  # type: ignore[arg-type]
            groups=conv.groups,
            bias=True,
            device=conv.weight.device,
            dtype=conv.weight.dtype,
        )
        joined.weight.copy_(conv.weight.double() * scale[:, None, None, None])
        assert joined.bias is not None
        joined.bias.copy_(shift)
    return joined


def fold_norms(module: nn.Module) -> int:
    """Fold, in place, every batch norm that surely follows a convolution; return how many.

    Sure are: a convolution and a batch norm next to each other in a ``Sequential``; children ``conv`` and
    ``norm`` of our own :class:`~delineate.nn.layers.ConvNorm` and :class:`~delineate.nn.csp.ConvAct`,
    ``convK`` and ``normK`` of our own :class:`~delineate.nn.layers.Residual`; children ``convK`` and ``bnK``
    of timm's residual networks. Any other norm stays as it is, which is right, and only slower.
    """
    count = 0
    for parent in module.modules():
        for first, second in _pairs(parent):
            conv, norm = getattr(parent, first), getattr(parent, second)
            if type(conv) is nn.Conv2d and type(norm) in (FrozenBatchNorm2d, nn.BatchNorm2d):
                setattr(parent, first, folded(conv, norm))
                setattr(parent, second, nn.Identity())
                count += 1
    return count


def _pairs(parent: nn.Module) -> list[tuple[str, str]]:
    """Names of children of which the second, and nothing else, surely takes the first one's output."""
    names = [name for name, _ in parent.named_children()]
    if isinstance(parent, nn.Sequential):
        return list(pairwise(names))
    home = type(parent).__module__
    if home in ("delineate.nn.layers", "delineate.nn.csp"):
        pairs = [("conv", "norm"), ("conv1", "norm1"), ("conv2", "norm2")]
        return [(conv, norm) for conv, norm in pairs if conv in names and norm in names]
    residual = home == "timm.models.resnet" or (
        # features_only wraps the stem and the stages in a dictionary of modules
        home == "timm.models._features" and {"conv1", "bn1", "maxpool", "layer1"} <= set(names)
    )
    pairs = [(f"conv{k}", f"bn{k}") for k in range(1, 4)] if residual else []
    return [(conv, norm) for conv, norm in pairs if conv in names and norm in names]
