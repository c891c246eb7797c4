"""The residual block against convolutions with a stride."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from delineate.nn.layers import Residual


@pytest.mark.parametrize(("inside", "outside", "stride"), [(4, 8, 2), (15, 15, 2), (16, 24, 2), (8, 8, 1)])
@pytest.mark.parametrize("side", [1, 8, 9])
def test_residual_as_strided_convolutions(inside: int, outside: int, stride: int, side: int) -> None:
    torch.manual_seed(0)
    block = Residual(inside, outside, stride).eval()
    x = torch.randn(2, inside, side, side)
    y = F.relu(block.norm1(F.conv2d(x, block.conv1.weight, stride=stride, padding=1)))
    y = block.norm2(F.conv2d(y, block.conv2.weight, padding=1))
    same = isinstance(block.shortcut, torch.nn.Identity)
    expected = F.relu(y + (x if same else F.conv2d(x, block.shortcut.weight, stride=stride)))
    torch.testing.assert_close(block(x), expected)


def test_few_channels_train_channels_last() -> None:
    """A strided 1 x 1 convolution of so few channels breaks the heap of the process here."""
    torch.manual_seed(0)
    block = Residual(8, 16, 2).to(memory_format=torch.channels_last)
    for _ in range(5):
        x = torch.randn(2, 8, 128, 128).to(memory_format=torch.channels_last).requires_grad_()
        block(x).sum().backward()
        assert x.grad is not None and bool(x.grad.isfinite().all())
