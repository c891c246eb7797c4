"""Activations computed again: the same gradients, and less that is kept."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from delineate.nn.recompute import recompute, recomputed
from delineate.nn.timm_features import timm_features


def test_the_function_runs_again_for_gradients_alone() -> None:
    calls = []

    def square(x: torch.Tensor) -> torch.Tensor:
        calls.append(torch.is_grad_enabled())
        return x * x

    x = torch.tensor([3.0], requires_grad=True)
    recomputed(True, square, x).backward()
    assert x.grad == 6 and len(calls) == 2
    with torch.no_grad():
        assert recomputed(True, square, x) == 9
    recomputed(False, square, x).backward()
    assert len(calls) == 4


@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "convnext_atto", "resnet10t"])
def test_backbones_keep_less(name: str) -> None:
    torch.manual_seed(0)
    body = timm_features(name, (4, 8, 16, 32)).eval()
    images = torch.randn(1, 3, 64, 96)
    kept, gradients = [], []
    for _ in range(2):
        seen = 0

        def count(x: torch.Tensor) -> torch.Tensor:
            nonlocal seen
            seen += 0 if isinstance(x, nn.Parameter) else x.numel()
            return x

        body.zero_grad()
        with torch.autograd.graph.saved_tensors_hooks(count, lambda x: x):
            loss = sum(x.square().mean() for x in body(images))
        loss.backward()
        kept.append(seen)
        gradients.append({n: p.grad.clone() for n, p in body.named_parameters() if p.grad is not None})
        recompute(body)
    assert kept[1] < 0.8 * kept[0]
    for parameter, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][parameter], gradient, msg=parameter)
