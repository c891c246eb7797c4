"""Muon: its orthogonal step against the singular value decomposition, and the rest against torch's AdamW."""

from __future__ import annotations

import pytest
import torch

from delineate.engine.muon import Muon, is_matrix, orthogonal


@pytest.mark.parametrize("shape", [(16, 16), (16, 40), (40, 16), (3, 20, 24)])
def test_singular_values_come_to_one(shape: tuple[int, ...]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    near = orthogonal(matrices)
    assert torch.linalg.svdvals(near).sub(1).abs().max() < 0.5  # the iteration stops roughly there
    cosine = torch.nn.functional.cosine_similarity(near.flatten(), (left @ right).flatten(), dim=0)
    assert cosine > 0.95


def test_small_parameters_take_adamws_steps() -> None:
    draw = torch.Generator().manual_seed(1)
    start = torch.randn(5, generator=draw)
    ours, theirs = start.clone().requires_grad_(), start.clone().requires_grad_()
    group = {"params": [ours], "weight_decay": 0.1}
    optimisers = Muon([group], lr=0.01), torch.optim.AdamW([theirs], lr=0.01, weight_decay=0.1)
    for _ in range(5):
        gradient = torch.randn(5, generator=draw)
        for parameter, optimiser in zip((ours, theirs), optimisers, strict=True):
            parameter.grad = gradient.clone()
            optimiser.step()
    torch.testing.assert_close(ours, theirs)


def test_which_weights_are_matrices() -> None:
    assert is_matrix(torch.zeros(32, 3, 3, 3))  # 32 x 27
    assert not is_matrix(torch.zeros(128, 1, 3, 3))  # depthwise: 128 x 9
    assert not is_matrix(torch.zeros(1, 64, 1, 1))  # a last layer of one class
    assert not is_matrix(torch.zeros(64))


def test_a_step_is_as_long_as_adamws_usual_one() -> None:
    weight = torch.zeros(32, 64, requires_grad=True)
    weight.grad = torch.randn(32, 64, generator=torch.Generator().manual_seed(2))
    Muon([{"params": [weight]}], lr=1.0).step()
    size = weight.detach().square().mean().sqrt().item()
    assert 0.1 < size < 0.4  # Liu et al. 2025: root mean square of 0.2
