"""Weighted sums of rows of a table, with a backward pass that is fast on a CPU.

The sums are a sparse matrix times the table: one line per sum, its entries the weights. ``embedding_bag``
multiplies by it quickly, but its backward pass sorts all indices first. The gradients are two products with
the same matrix: transposed, for the table (SciPy's), and sampled at its entries, for the weights.
"""

from __future__ import annotations

import warnings
from typing import Any

import scipy.sparse
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


def weighted_rows(table: Tensor, index: Tensor, weights: Tensor) -> Tensor:
    """Each sum's rows, weighted and added up; differentiable once in ``table`` and ``weights``.

    Args:
        table: (R, D).
        index: (N, E) int32 or int64 rows of the table.
        weights: (N, E).

    Returns:
        (N, D).
    """
    here = table.device.type == "cpu" and table.dtype == weights.dtype == torch.float32
    needs = torch.is_grad_enabled() and (table.requires_grad or weights.requires_grad)
    fits = index.numel() > 0 and index.shape[1] <= len(table)  # torch's sparse matrices are never overfull
    if here and needs and fits and not torch.compiler.is_compiling():
        summed: Tensor = _WeightedRows.apply(table, index, weights)
        return summed
    return F.embedding_bag(index, table, per_sample_weights=weights, mode="sum")


class _WeightedRows(torch.autograd.Function):
    """Of float32 on the CPU."""

    @staticmethod
    def forward(context: Any, table: Tensor, index: Tensor, weights: Tensor) -> Tensor:
        context.save_for_backward(table, index, weights)
        return F.embedding_bag(index, table, per_sample_weights=weights, mode="sum")

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, None, Tensor | None]:
        table, index, weights = context.saved_tensors
        gradient = gradient.contiguous()
        starts = torch.arange(0, index.numel() + 1, index.shape[1], dtype=index.dtype)
        of_table = of_weights = None
        if context.needs_input_grad[0]:
            entries = (weights.reshape(-1).numpy(), index.reshape(-1).numpy(), starts.numpy())
            transposed = scipy.sparse.csc_array(entries, shape=(len(table), len(index)))
            of_table = torch.from_numpy(transposed @ gradient.numpy())
        if context.needs_input_grad[2]:
            of_weights = _sampled(gradient, table, index, starts)
        return of_table, None, of_weights


def _sampled(left: Tensor, table: Tensor, index: Tensor, starts: Tensor) -> Tensor:
    """(N, E) products of (N, D) ``left`` with the rows of the table that ``index`` names."""
    with warnings.catch_warnings():
        # torch says once a process that its sparse matrices may yet change, and that it does not check them
        warnings.filterwarnings("ignore", "Sparse", UserWarning)
        pattern = torch.sparse_csr_tensor(
            starts, index.reshape(-1), left.new_zeros(index.numel()), (len(index), len(table))
        )
        products = torch.sparse.sampled_addmm(pattern, left, table.t(), beta=0.0)
    values: Tensor = products.values().view(index.shape)
    return values
