"""The objects of a batch as the dense losses see them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from delineate.core.batch import Batch
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.nn.task_aligned import Truth


def truth_of(batch: Batch) -> list[Instances]:
    """The objects of a batch that train: no crowds, none without area.

    Raises:
        InputError: no targets, or objects without masks.
    """
    if batch.targets is None:
        raise InputError("losses: expected a batch with targets, got none; give targets to collate")
    truth = [t[~t.crowd & (t.boxes[:, 2:] > t.boxes[:, :2]).all(1)] for t in batch.targets]
    if any(len(t) and t.masks is None for t in truth):
        raise InputError("losses: expected objects with masks, got boxes only; give a dataset with masks")
    return truth


def joined(truth: Sequence[Instances], device: torch.device) -> Truth:
    """All objects of a batch, image after image, as tensors on ``device``."""
    boxes = np.concatenate([np.zeros((0, 4), np.float32), *(t.boxes for t in truth)])
    labels = np.concatenate([np.zeros(0, np.int64), *(t.labels for t in truth)])
    image = np.repeat(np.arange(len(truth)), [len(t) for t in truth])
    return Truth(*(torch.from_numpy(a).to(device) for a in (boxes, labels, image)))
