"""The learning rate as a function of how far the training is."""

from __future__ import annotations

import math
from typing import Any

from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from delineate.core.errors import InputError

from .config import Train
from .muon import Muon

POSITIONS = ("relative_position_bias_table", "pos_embed", "cls_token")


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
    """AdamW, Muon, or SGD with Nesterov momentum; no decay on norms, biases and embeddings.

    Groups of parameters whose rate is not the recipe's say so by ``part``, the factor on it.

    Raises:
        InputError: a rate of its own for the backbone of a model without one.
    """
    still = undecayed(model)
    body = backbone_of(model) if settings.backbone_lr != 1 else None
    slow = {id(p) for p in body.parameters()} if body is not None else set()
    groups: list[dict[str, Any]] = []
    for part in (1.0, settings.backbone_lr) if slow else (1.0,):
        chosen = [p for p in model.parameters() if p.requires_grad and (id(p) in slow) == (part != 1)]
        for decay, parameters in (
            (settings.weight_decay, [p for p in chosen if id(p) not in still]),
            (0.0, [p for p in chosen if id(p) in still]),
        ):
            if parameters:
                group = {"params": parameters, "weight_decay": decay}
                groups.append(group if part == 1 else group | {"part": part})
    if settings.optimizer == "sgd":
        return SGD(groups, lr=settings.lr, momentum=0.9, nesterov=True)
    if settings.optimizer == "muon":
        return Muon(groups, lr=settings.lr)
    return AdamW(groups, lr=settings.lr)


def undecayed(model: nn.Module) -> set[int]:
    """Ids of the parameters that do not decay: of one dimension, embeddings, codes of positions."""
    found = {id(p) for p in model.parameters() if p.ndim <= 1}
    found |= {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    return found | {id(p) for name, p in model.named_parameters() if name.endswith(POSITIONS)}


def backbone_of(model: nn.Module) -> nn.Module:
    """The network that is pretrained on images' classes, without a neck behind it.

    Raises:
        InputError: the model has none.
    """
    backbone = getattr(model, "backbone", getattr(model, "body", None))
    while (inner := getattr(backbone, "body", getattr(backbone, "net", None))) is not None:
        backbone = inner  # a neck, or a pyramid made from its last map, stands beside it
    if not isinstance(backbone, nn.Module):
        raise InputError(
            f"train.backbone_lr: expected a model with a backbone, got {type(model).__name__}, which has "
            "none; leave it at 1"
        )
    return backbone
