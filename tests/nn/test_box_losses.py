"""Complete IoU as torchvision has it; boxes and back; the distribution focal loss by its definition."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import box_iou, complete_box_iou_loss

from delineate.nn.box_losses import (
    boxes_from_distances,
    complete_iou,
    distances_from_boxes,
    distribution_focal_loss,
    expected_distances,
    paired_iou,
)


def boxes(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * 30
    return torch.cat([corner, corner + 1 + torch.rand(count, 2, generator=generator) * 30], 1)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**31), st.integers(0, 20))
def test_complete_iou_and_its_gradient_are_torchvisions(seed: int, count: int) -> None:
    ours, theirs, truth = boxes(count, seed), boxes(count, seed), boxes(count, seed + 1)
    ours.requires_grad_(), theirs.requires_grad_()
    loss = 1 - complete_iou(ours, truth)
    expected = complete_box_iou_loss(theirs, truth)
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    loss.sum().backward(), expected.sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(paired_iou(ours, truth), box_iou(ours, truth).diagonal(), rtol=1e-5, atol=1e-6)


def test_distances_are_the_inverse_of_boxes() -> None:
    points = torch.tensor([[8.0, 8.0], [20.0, 4.0]])
    found = boxes(2, 0)
    torch.testing.assert_close(boxes_from_distances(points, distances_from_boxes(points, found)), found)


@pytest.mark.parametrize("bins", [2, 8, 16])
def test_focal_loss_is_least_where_the_expectation_is_the_truth(bins: int) -> None:
    truth = torch.rand(3, 4) * (bins - 1.5)
    low = truth.floor().long()
    share = torch.zeros(3, 4, bins).scatter_(2, low[..., None], (1 - (truth - low))[..., None])
    share.scatter_(2, low[..., None] + 1, (truth - low)[..., None])
    logits = torch.randn(3, 4, bins)
    expected = F.cross_entropy(logits.reshape(-1, bins), share.reshape(-1, bins), reduction="none")
    loss = distribution_focal_loss(logits.reshape(3, -1), truth, bins)
    torch.testing.assert_close(loss, expected.reshape(3, 4).mean(1))
    best = share.clamp(min=1e-9).log().reshape(3, -1)
    torch.testing.assert_close(expected_distances(best, bins), truth, rtol=1e-4, atol=1e-4)
    assert (distribution_focal_loss(best, truth, bins) <= loss + 1e-5).all()


def test_what_no_bin_reaches_is_cut() -> None:
    loss = distribution_focal_loss(torch.zeros(1, 16), torch.tensor([[-5.0, 0.0, 3.0, 99.0]]), 4)
    assert torch.isfinite(loss).all()


def test_one_bin_is_a_distance_without_limit() -> None:
    assert expected_distances(torch.full((1, 4), 100.0), 1).tolist() == [[100.0] * 4]
