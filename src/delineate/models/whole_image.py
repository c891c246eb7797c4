"""Stuff beside a detector's objects: one more branch on its pyramid, and the merge of both.

Kirillov et al. 2019, "Panoptic Feature Pyramid Networks", sections 3.1 to 3.3 and 4: the branch knows the
classes of stuff and one more, "other", for all things.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from delineate.core.batch import Batch
from delineate.core.enlarge import to_original
from delineate.core.errors import InputError
from delineate.core.labels import Labels
from delineate.core.panoptic import Panoptic
from delineate.core.panoptic_merge import merge
from delineate.core.semantic import Semantic
from delineate.core.stuff import class_of_pixels, things_of
from delineate.nn.normaliser import mean_count
from delineate.nn.semantic_head import SemanticHead

from .base import Segmenter

AT_ONCE = 4_000_000
"""So many scores are held at once in the original's pixels, 16 MB."""
NOTHING = -100
"""Of pixels that do not train: cross entropy's own default."""
SURE, VISIBLE, LEAST_STUFF = 0.5, 0.5, 0.01


class StuffBranch(nn.Module):
    """Scores of stuff for every pixel.

    Args:
        classes: things and stuff.
        inputs: channels of the levels, one number for all or one for each.
        levels: how many of the pyramid's levels are read, finest first.
        channels: of the head.
        weight: of its loss beside the detector's; 0.5 as published for COCO.
    """

    columns: Tensor

    def __init__(
        self,
        classes: Labels,
        inputs: int | Sequence[int],
        levels: int = 4,
        channels: int = 128,
        weight: float = 0.5,
    ) -> None:
        super().__init__()
        things = np.array(classes.things, dtype=np.bool_)
        self.stuff = np.flatnonzero(~things)  # (S,) class of each column but the last
        columns = np.full(len(things), len(self.stuff))
        columns[self.stuff] = np.arange(len(self.stuff))
        self.levels, self.weight = levels, weight
        self.register_buffer("columns", torch.from_numpy(columns), persistent=False)
        self.head = SemanticHead(inputs, len(self.stuff) + 1, levels, channels)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Pyramid, finest first -> (B, S + 1, h, w) logits at the finest level; the last is "other"."""
        logits: Tensor = self.head(list(features[: self.levels]))
        return logits

    def losses(self, features: Sequence[Tensor], batch: Batch) -> dict[str, Tensor]:
        """``stuff``: mean cross entropy over the pixels whose class is known, weighed."""
        return {"stuff": self.weight * pixel_loss(self(features), batch, self.columns)}


class WithStuff(Segmenter):
    """A detector that may have a branch for stuff; with it all three tasks, without it objects alone.

    The detector's :meth:`instances` finds things; its outputs have a field ``stuff``, the branch's logits.
    """

    stuff: StuffBranch | None

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.stuff = None

    @property
    def tasks(self) -> tuple[str, ...]:
        """All three with a branch for stuff."""
        return ("instance",) if self.stuff is None else ("instance", "semantic", "panoptic")

    def semantic(self, outputs: Any, batch: Batch) -> list[Semantic]:
        """The class of every pixel: objects on top of stuff, void where there is neither.

        Raises:
            InputError: no branch for stuff.
        """
        if self.stuff is None:
            raise self.without("semantic")
        merged = self._merged(outputs, batch, SURE, 0.0, 0.0)
        return [found.to_semantic() for found in merged]

    def panoptic(
        self, outputs: Any, batch: Batch, *, confidence: float | None = None, visible: float | None = None
    ) -> list[Panoptic]:
        """Objects and stuff by the paper's rule; see :func:`delineate.core.panoptic_merge.merge`.

        Args:
            outputs: what ``forward`` gave.
            batch: the batch that ``forward`` saw.
            confidence: objects that are surer take part, 0..1; default 0.5.
            visible: of its mask an object needs so much free, 0..1; default 0.5.

        Raises:
            InputError: no branch for stuff.
        """
        if self.stuff is None:
            raise self.without("panoptic")
        sure = SURE if confidence is None else confidence
        return self._merged(outputs, batch, sure, VISIBLE if visible is None else visible, LEAST_STUFF)

    def _merged(
        self, outputs: Any, batch: Batch, confidence: float, visible: float, least: float
    ) -> list[Panoptic]:
        assert self.stuff is not None
        table = np.append(self.stuff.stuff, -1).astype(np.int16)
        found = self.instances(outputs, batch, confidence=confidence)
        return [
            merge(things_of(objects), stuff, visible=visible, least=least)
            for objects, stuff in zip(found, best_classes(outputs.stuff, batch, table), strict=True)
        ]


def objects_of(batch: Batch) -> Batch:
    """The batch with things alone as targets; detectors do not train on stuff."""
    if batch.targets is None:
        return batch
    return replace(batch, targets=[things_of(t) for t in batch.targets])


def pixel_loss(logits: Tensor, batch: Batch, columns: Tensor) -> Tensor:
    """Mean cross entropy over the pixels of the padded images whose class is known.

    Args:
        logits: (B, C, h, w), enlarged here to the images' size.
        batch: with targets; pixels of no object are unknown.
        columns: (K,) column 0..C-1 of each class.

    Raises:
        InputError: no targets, or objects without masks.
    """
    if batch.targets is None:
        raise InputError("losses: expected a batch with targets, got none; give targets to collate")
    height, width = (int(v) for v in batch.images.shape[2:])
    table = np.append(columns.cpu().numpy(), NOTHING)  # void, -1, is last
    wanted = np.full((len(batch), height, width), NOTHING, dtype=np.int64)
    for slot, truth in zip(wanted, batch.targets, strict=True):
        slot[: truth.size[0], : truth.size[1]] = table[class_of_pixels(truth)]
    target = torch.from_numpy(wanted).to(logits.device)
    large = F.interpolate(logits.float(), size=(height, width), mode="bilinear", align_corners=False)
    total = F.cross_entropy(large, target, ignore_index=NOTHING, reduction="sum")
    return total / mean_count((target != NOTHING).sum())


@torch.no_grad()
def best_classes(logits: Tensor, batch: Batch, table: NDArray[np.int16]) -> list[NDArray[np.int16]]:
    """Per image (H, W) of the original: ``table`` at the column with the largest logit.

    Args:
        logits: (B, C, h, w) over the padded input.
        batch: tells the frames.
        table: (C,) the class of each column.
    """
    results = []
    padded = (int(batch.images.shape[2]), int(batch.images.shape[3]))
    for image, scores in enumerate(logits.float()):
        size, original = batch.sizes[image], batch.originals[image]
        rows, columns = (
            to_original(int(scores.shape[1 + axis]), padded[axis], size[axis], original[axis])
            for axis in (0, 1)
        )
        across = scores @ torch.from_numpy(columns.T.copy()).to(scores.device)  # (C, h, W)
        result = np.empty(original, dtype=np.int16)
        step = max(1, AT_ONCE // (len(scores) * original[1]))
        for top in range(0, original[0], step):
            part = rows[top : top + step]
            used = np.flatnonzero(part.any(0))
            first, last = int(used[0]), int(used[-1]) + 1
            down = torch.from_numpy(part[:, first:last].copy()).to(scores.device)  # (R, some of h)
            best = (down @ across[:, first:last]).argmax(0)  # (R, W)
            result[top : top + len(part)] = table[best.cpu().numpy()]
        results.append(result)
    return results
