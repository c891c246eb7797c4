"""Deformable attention by table rows against grid_sample, which PyTorch wrote."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.nn.deformable import (
    DeformableAttention,
    sample_by_gathers,
    sample_by_grid,
    sample_by_rows,
)

SIZES = [(3, 5), (6, 4), (1, 1)]
CELLS = sum(height * width for height, width in SIZES)


def _case(seed: int, batch: int, spread: float) -> tuple[torch.Tensor, ...]:
    """Values of 2 heads x 3 channels, and 7 queries with 4 points per map, some far outside."""
    draw = torch.Generator().manual_seed(seed)
    table = torch.randn(batch, CELLS, 2, 3, generator=draw, dtype=torch.float64)
    shape = (batch, 7, 2 * len(SIZES) * 4)
    x, y = (torch.randn(shape, generator=draw, dtype=torch.float64) * spread + 2 for _ in range(2))
    weights = torch.rand(shape, generator=draw, dtype=torch.float64)
    return table, x, y, weights


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), batch=st.integers(1, 3), spread=st.sampled_from([0.5, 3.0, 30.0]))
def test_rows_find_what_grid_sample_finds(seed: int, batch: int, spread: float) -> None:
    case = _case(seed, batch, spread)
    for sample in (sample_by_rows, sample_by_gathers):
        torch.testing.assert_close(sample(*case, SIZES), sample_by_grid(*case, SIZES))


def test_gradients_are_grid_samples() -> None:
    case = [part.requires_grad_() for part in _case(1, 2, 3.0)]
    results = []
    for sample in (sample_by_rows, sample_by_grid, sample_by_gathers):
        found = sample(*case, SIZES)
        results.append(torch.autograd.grad(found.square().sum(), case))
    for ours, theirs, others in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)
        torch.testing.assert_close(others, theirs)


@pytest.mark.parametrize("columns", [2, 4])
def test_zero_weights_look_around_the_reference(columns: int) -> None:
    attention = DeformableAttention(16, len(SIZES), heads=8, points=2)
    references = torch.full((1, 5, columns), 0.5)
    x, _ = attention.positions(torch.randn(1, 5, 16), references, SIZES)
    centred = (x.view(1, 5, 8, len(SIZES), 2) - torch.tensor([2.5, 2.0, 0.5])[:, None]).mean(2)
    torch.testing.assert_close(centred, torch.zeros_like(centred), atol=1e-5, rtol=0)


def test_no_queries() -> None:
    attention = DeformableAttention(16, len(SIZES), heads=4, points=2)
    found = attention(torch.zeros(1, 0, 16), torch.zeros(1, 0, 2), torch.randn(1, CELLS, 16), SIZES)
    assert found.shape == (1, 0, 16)
