from __future__ import annotations

import pytest
import torch
from torch import nn

from delineate.nn.semantic_head import SemanticHead


def test_as_the_papers_figure_with_torchs_own_doubling() -> None:
    torch.manual_seed(0)
    head = SemanticHead(16, 5, levels=4, channels=32)
    assert [len(steps) for steps in head.scales] == [1, 1, 2, 3]  # doublings to the finest: 0, 1, 2, 3
    features = [torch.randn(2, 16, 32 >> k, 48 >> k) for k in range(4)]
    total = torch.zeros(2, 32, 32, 48)
    for level, steps in enumerate(head.scales):
        x = features[level]
        for block in steps:
            assert isinstance(block.norm, nn.GroupNorm) and block.norm.num_groups == 32
            x = torch.relu(block.norm(block.conv(x)))
            x = nn.Upsample(scale_factor=2, mode="bilinear")(x) if level else x
        total = total + x
    torch.testing.assert_close(head(features), head.scores(total))


@pytest.mark.parametrize("sizes", [[(69, 69), (35, 35), (18, 18)], [(5, 8), (3, 4), (2, 2)]])
def test_sides_that_are_not_doubles(sizes: list[tuple[int, int]]) -> None:
    head = SemanticHead((8, 16, 24), 3, levels=3, channels=8)
    features = [torch.randn(1, c, *size) for c, size in zip((8, 16, 24), sizes, strict=True)]
    assert head(features).shape == (1, 3, *sizes[0])
