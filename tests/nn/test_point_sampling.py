"""Masks at points, against grid_sample on a dense float copy."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.nn.point_sampling import sample_masks, sample_points, uncertain_points


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), pad=st.integers(0, 5), shared=st.booleans())
def test_binary_masks_are_sampled_as_floats_would_be(seed: int, pad: int, shared: bool) -> None:
    draw = torch.Generator().manual_seed(seed)
    masks = torch.rand(3, 7, 9, generator=draw) > 0.5
    points = torch.rand(1 if shared else 3, 11, 2, generator=draw)
    size = (7 + pad, 9 + 2 * pad)
    dense = torch.zeros(3, 1, *size)
    dense[:, 0, :7, :9] = masks.float()
    expected = sample_points(dense, points.expand(3, -1, -1))[:, 0]
    torch.testing.assert_close(sample_masks(masks, points, size), expected, atol=1e-5, rtol=0)


def test_no_masks() -> None:
    assert sample_masks(torch.zeros(0, 4, 4, dtype=torch.bool), torch.rand(1, 5, 2), (4, 4)).shape == (0, 5)
    assert uncertain_points(torch.zeros(0, 4, 4), 8).shape == (0, 8, 2)


def test_most_points_lie_where_the_mask_is_undecided() -> None:
    torch.manual_seed(0)
    ramp = torch.linspace(-10, 10, 64).expand(2, 64, 64)  # undecided at x = 0.5
    points = uncertain_points(ramp, 400)
    near = (points[..., 0] - 0.5).abs() < 0.25
    assert points.shape == (2, 400, 2)
    assert near.float().mean() > 0.8  # uniform points: 0.5
    assert points.min() >= 0
    assert points.max() <= 1
