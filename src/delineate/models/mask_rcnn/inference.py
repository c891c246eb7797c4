"""A copy of a model that is made for detecting only, and faster at it."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch

from delineate.nn.norms import fold_norms

from .model import FasterRCNN

Model = TypeVar("Model", bound=FasterRCNN)


def prepare_for_inference(model: Model) -> Model:
    """A copy that detects the same, faster.

    Norms are folded into convolutions; weights lie channels last in memory and have no gradients. The copy
    cannot be trained or saved as a checkpoint; keep the model for that.

    Args:
        model: left as it is.
    """
    ready = copy.deepcopy(model).eval()
    fold_norms(ready)
    return ready.requires_grad_(False).to(memory_format=torch.channels_last)
