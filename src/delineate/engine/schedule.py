"""The learning rate as a function of how far the training is."""

from __future__ import annotations

import math

from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from .config import Train
from .muon import Muon


def rate(settings: Train, step: int, progress: float) -> float:
    """The learning rate of one step.

    Args:
        settings: lr, schedule, final_lr, warmup_steps.
        step: the optimiser step that is about to be taken, from 0.
        progress: how much of the training is done, 0..1: by steps, or by the clock where time is short.

    Example:
        >>> s = Train(lr=1.0, warmup_steps=10, final_lr=0.0)
        >>> rate(s, 0, 0.0), rate(s, 100, 0.5), rate(s, 200, 1.0)
        (0.1, 0.5, 0.0)
    """
    warm = min(1.0, (step + 1) / settings.warmup_steps) if settings.warmup_steps else 1.0
    progress = min(max(progress, 0.0), 1.0)
    if settings.schedule == "cosine":
        shape = settings.final_lr + (1 - settings.final_lr) * 0.5 * (1 + math.cos(math.pi * progress))
    elif settings.schedule == "step":
        shape = 0.1 ** ((progress >= 3 / 4) + (progress >= 11 / 12))
    else:
        shape = 1.0
    return settings.lr * warm * shape


def optimizer(model: nn.Module, settings: Train) -> Optimizer:
    """AdamW, Muon, or SGD with Nesterov momentum; no decay on norms and biases."""
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [g for g in groups if g["params"]]
    if settings.optimizer == "sgd":
        return SGD(groups, lr=settings.lr, momentum=0.9, nesterov=True)
    if settings.optimizer == "muon":
        return Muon(groups, lr=settings.lr)
    return AdamW(groups, lr=settings.lr)
