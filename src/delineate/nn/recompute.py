"""Activations computed again in the backward pass in place of being kept.

Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost". Results and gradients are the same; a step
takes one more forward pass, in which batch norms that learn their statistics see the batch a second time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


def recomputed(enabled: bool, function: Callable[..., Any], *inputs: Any) -> Any:
    """``function(*inputs)``, of which only inputs and result are kept where gradients are wanted."""
    if enabled and torch.is_grad_enabled() and not torch.compiler.is_exporting():
        return checkpoint(function, *inputs, use_reentrant=False)
    return function(*inputs)


def recompute(module: nn.Module) -> None:
    """Let every part that can do so keep less; timm's feature extractors by their own switch.

    Parts of ours have an attribute ``checkpointing``.
    """
    part: Any
    for part in module.modules():
        if hasattr(part, "checkpointing"):
            part.checkpointing = True
        elif hasattr(part, "set_grad_checkpointing"):
            part.set_grad_checkpointing(True)
