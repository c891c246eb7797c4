"""Networks in PyTorch: by name, or from a file of weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from delineate.core.errors import CheckpointError, InputError
from delineate.models.base import Segmenter
from delineate.models.queries.variant import variant_of
from delineate.models.zoo import build, find

from . import checkpoint
from .download import weights_path

CONFIG_LIMIT = 10_000_000  # bytes


def network(name: str | None, weights: Path | None) -> tuple[Segmenter, str, str, dict[str, Any]]:
    """A network with its weights, its name, the weights' licence, and what they tell of their training.

    Args:
        name: of the zoo; None: the file says it.
        weights: a file; None: the published ones of ``name``.

    Raises:
        InputError: an unknown name.
        CheckpointError: weights that are damaged, unsafe or made for another model.
        DownloadError: weights that cannot be had.
    """
    licence = find(name).licence if name is not None and weights is None else ""
    path = weights_path(name or "") if weights is None else weights
    read = checkpoint.load(path)
    if read.header is not None:
        model = checkpoint.restore(path, name)
        return model, name or read.header.family, read.header.licence or licence, read.header.record
    settings: dict[str, Any] = {}
    if name is None:
        known = variant_of(read.weights, _class_names(path))
        if known is None:
            raise CheckpointError(
                f"{path}: expected a checkpoint that names its model, got bare weights; say which model: "
                "load('maskrcnn_resnet50_fpn', weights=...)"
            )
        name, settings = known
    model = build(name, **settings)
    if not model.load_published(read.weights):
        checkpoint.fill(model, read)
    return model, name, licence, {}


def _class_names(weights: Path) -> list[str] | None:
    """Of the ``config.json`` that Hugging Face publishes beside the weights; None where there is none."""
    path = weights.with_name("config.json")
    if not path.is_file() or path.stat().st_size > CONFIG_LIMIT:
        return None
    try:
        names = json.loads(path.read_text(encoding="utf-8"))["id2label"]
        return [str(names[str(i)]) for i in range(len(names))]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None  # some other program's file, which has nothing to say here


def device_of(device: str | torch.device | None) -> torch.device:
    """Where to compute: as asked, or CUDA where there is one.

    Raises:
        InputError: a device that is not here.
    """
    if device is None or device == "":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, TypeError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(
            f"device: expected cpu, cuda, cuda:N or mps, got {device!r} ({reason}); use cpu"
        ) from None
    return chosen
