"""Weighted sums of table rows against ``embedding_bag`` and its gradients."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.nn.weighted_rows import weighted_rows


@settings(deadline=None)
@given(st.integers(1, 20), st.integers(1, 30), st.integers(1, 9), st.sampled_from([1, 8, 13]), st.booleans())
def test_equals_embedding_bag_with_its_gradients(
    rows: int, sums: int, entries: int, channels: int, wide: bool
) -> None:
    generator = torch.Generator().manual_seed(rows * 1000 + sums)
    index = torch.randint(rows, (sums, entries), generator=generator)  # unsorted, with repetitions
    index = index if wide else index.int()
    results = []
    for function in (
        weighted_rows,
        lambda table, index, weights: F.embedding_bag(index, table, per_sample_weights=weights, mode="sum"),
    ):
        generator.manual_seed(7)
        table = torch.randn(rows, channels, generator=generator, requires_grad=True)
        weights = torch.rand(sums, entries, generator=generator, requires_grad=True)
        found = function(table, index, weights)
        found.backward(torch.randn(found.shape, generator=generator))
        results.append((found.detach(), table.grad, weights.grad))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("of_table", [True, False])
def test_gradient_of_one_side_alone(of_table: bool) -> None:
    table = torch.randn(5, 3, requires_grad=of_table)
    weights = torch.rand(4, 2, requires_grad=not of_table)
    index = torch.tensor([[0, 4], [1, 1], [2, 3], [4, 0]])
    weighted_rows(table, index, weights).sum().backward()
    if of_table:
        wanted = torch.zeros(5).index_add(0, index.flatten(), weights.flatten())
        torch.testing.assert_close(table.grad, wanted[:, None].expand(-1, 3).contiguous())
    else:
        torch.testing.assert_close(weights.grad, table[index].sum(2))


def test_nothing_to_sum() -> None:
    table, weights = torch.randn(5, 3, requires_grad=True), torch.zeros(0, 4, requires_grad=True)
    found = weighted_rows(table, torch.zeros(0, 4, dtype=torch.int32), weights)
    assert found.shape == (0, 3)
    found.sum().backward()
    assert table.grad is not None and not table.grad.any()
