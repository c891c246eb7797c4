"""Cross-stage partial blocks: shapes, and norms that fold."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from delineate.nn.csp import Bottleneck, ConvAct, CSPBlock, PyramidPooling
from delineate.nn.norms import fold_norms


def shaken(module: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    for name, value in module.state_dict().items():
        if "norm." in name and value.is_floating_point():
            value.copy_(0.5 + torch.rand(value.shape, generator=generator))
    return module.eval()


@pytest.mark.parametrize(
    ("block", "inside", "shape"),
    [
        (ConvAct(3, 8, 3, 2), 3, (2, 8, 8, 12)),
        (ConvAct(8, 8, 3, groups=8), 8, (2, 8, 16, 24)),
        (Bottleneck(16), 16, (2, 16, 16, 24)),
        (CSPBlock(6, 16, depth=3, shortcut=False), 6, (2, 16, 16, 24)),
        (PyramidPooling(8), 8, (2, 8, 16, 24)),
    ],
)
def test_shapes_and_folding(block: nn.Module, inside: int, shape: tuple[int, ...]) -> None:
    x = torch.randn(2, inside, 16, 24)
    norms = sum(isinstance(m, nn.BatchNorm2d) for m in block.modules())
    with torch.no_grad():
        before = shaken(block)(x)
        assert before.shape == shape
        assert fold_norms(block) == norms
        torch.testing.assert_close(block(x), before, rtol=1e-4, atol=1e-4)


def test_chained_pools_are_the_large_pools() -> None:
    x = torch.randn(1, 1, 20, 20)
    pools = [x]
    for _ in range(3):
        pools.append(nn.functional.max_pool2d(pools[-1], 5, 1, 2))
    for pool, side in zip(pools[1:], (5, 9, 13), strict=True):
        assert torch.equal(pool, nn.functional.max_pool2d(x, side, 1, side // 2))
