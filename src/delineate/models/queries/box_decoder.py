"""Queries with boxes: each looks at a few points of all maps, inside its box, and moves the box.

Zhang et al. 2023, "DINO" (look forward twice, section 3.5), and Li et al. 2023, "Mask DINO", section 3.3,
which adds masks, starts from the encoder's best cells and takes the first boxes from their masks.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from delineate.nn.deformable import DeformableAttention, Size
from delineate.nn.recompute import recomputed
from delineate.nn.sine_position import sine_of

from .boxes import boxes_of_masks, inverse_sigmoid
from .decoder import Attention, Prediction, mlp
from .pixel_decoder import Pyramid, centres

FULL_TURN = 6.283185307179586
PRIOR = 0.01
"""Probability of every class at first, so that the many empty queries do not drown the loss of a new network
(Lin et al. 2017, "Focal Loss", section 4.1); the original begins at 0.5."""


class Memory(NamedTuple):
    """All maps as one list of cells.

    Attributes:
        cells: (B, S, C), the coarsest map first.
        sizes: (height, width) of the maps.
    """

    cells: Tensor
    sizes: list[Size]


class Start(NamedTuple):
    """What the decoder begins with.

    Attributes:
        content: (B, Q, C).
        boxes: (B, Q, 4) logits of centre x, y, width, height.
        blocked: (Q, Q) True where a query must not see another, or None.
    """

    content: Tensor
    boxes: Tensor
    blocked: Tensor | None = None


class Outcome(NamedTuple):
    """All that is said on the way.

    Attributes:
        selected: of the cells that became queries.
        layers: of the queries before the first layer and after each.
        balancing: of the cells that became queries, where they are balanced first (DI-MaskDINO).
    """

    selected: Prediction
    layers: list[Prediction]
    balancing: tuple[Prediction, ...] = ()


def flatten(pyramid: Pyramid) -> Memory:
    """The maps in the decoder's order: the encoder's, reversed."""
    levels = pyramid.levels[::-1]
    cells = torch.cat([level.flatten(2).transpose(1, 2) for level in levels], 1)
    return Memory(cells, [(level.shape[2], level.shape[3]) for level in levels])


def proposals(memory: Memory) -> tuple[Tensor, Tensor]:
    """One box a cell: (1, S, 4) logits, and (1, S, 1) whether it lies well inside the image.

    A cell of the i-th map proposes a square of 0.05 * 2 ** i around its centre; others' logits are infinite.
    """
    parts = []
    for i, size in enumerate(memory.sizes):
        centre = centres(size, memory.cells)
        parts.append(torch.cat([centre, torch.full_like(centre, 0.05 * 2**i)], 1))
    boxes = torch.cat(parts)[None]
    valid = ((boxes > 0.01) & (boxes < 0.99)).all(2, keepdim=True)
    logits = torch.log(boxes / (1 - boxes)).masked_fill(~valid, torch.inf)
    return logits, valid


class BoxDecoderLayer(nn.Module):
    """Talk to the other queries, look at the maps inside the box, think."""

    def __init__(self, channels: int, levels: int, hidden: int) -> None:
        super().__init__()
        self.own = Attention(channels, 8)
        self.cross = DeformableAttention(channels, levels)
        self.norm1 = nn.LayerNorm(channels)
        self.linear1 = nn.Linear(channels, hidden)
        self.linear2 = nn.Linear(hidden, channels)
        self.norm3 = nn.LayerNorm(channels)
        for linear in (self.linear1, self.linear2):
            nn.init.xavier_uniform_(linear.weight)

    def forward(
        self, x: Tensor, place: Tensor, boxes: Tensor, memory: Memory, blocked: Tensor | None
    ) -> Tensor:
        """(B, Q, C) queries, their place codes, (B, Q, 4) boxes in 0..1 -> (B, Q, C)."""
        x = self.own.attend(x, x + place, x + place, x, None if blocked is None else blocked[None])
        x = self.norm1(x + self.cross(x + place, boxes, memory.cells, memory.sizes))
        result: Tensor = self.norm3(x + self.linear2(F.relu(self.linear1(x))))
        return result


class BoxDecoder(nn.Module):
    """Two-stage selection, then N layers of queries with boxes.

    Args:
        classes: K.
        queries: Q.
        layers: N.
        channels: C.
        hidden: width of the feed-forward networks.
        levels: maps.
        boxes_from_masks: the first boxes are drawn around the selected cells' masks; else they are the
            cells' own.
    """

    def __init__(
        self,
        classes: int,
        queries: int = 300,
        layers: int = 9,
        channels: int = 256,
        hidden: int = 2048,
        levels: int = 4,
        boxes_from_masks: bool = True,
    ) -> None:
        super().__init__()
        self.queries, self.boxes_from_masks = queries, boxes_from_masks
        self.checkpointing = False
        self.select = nn.Sequential(nn.Linear(channels, channels), nn.LayerNorm(channels))
        self.layers = nn.ModuleList([BoxDecoderLayer(channels, levels, hidden) for _ in range(layers)])
        self.place = mlp(2 * channels, channels, channels, 2)
        self.norm = nn.LayerNorm(channels)
        self.to_classes = nn.Linear(channels, classes)
        nn.init.constant_(self.to_classes.bias, -math.log(1 / PRIOR - 1))
        self.to_masks = mlp(channels, channels, channels, 3)
        self.to_boxes = mlp(channels, channels, 4, 3)
        nn.init.zeros_(self.to_boxes[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.to_boxes[-1].bias)  # type: ignore[arg-type]
        self.labels = nn.Embedding(classes, channels)  # what denoising queries begin with

    def forward(self, pyramid: Pyramid, noisy: Start | None = None) -> Outcome:
        """The predictions; those of ``noisy`` denoising queries come first in every layer."""
        memory = flatten(pyramid)
        start, selected = self.begin(memory, pyramid.masks, self.queries)
        start = join(noisy, start)
        return Outcome(selected, self.refine(start, memory, pyramid))

    def begin(self, memory: Memory, features: Tensor, count: int) -> tuple[Start, Prediction]:
        """The ``count`` best cells, as queries (detached) and as a prediction."""
        base, valid = proposals(memory)
        found = self.select(memory.cells * valid)  # (B, S, C)
        count = min(count, found.shape[1])  # small images have few cells
        best = self.to_classes(found).amax(2).topk(count, 1).indices[..., None]  # (B, Q, 1)
        content = found.gather(1, best.expand(-1, -1, found.shape[2]))
        boxes = self.to_boxes(content) + base.expand(found.shape[0], -1, -1).gather(1, best.expand(-1, -1, 4))
        selected = self.predict(content, features, boxes.sigmoid())
        if self.boxes_from_masks:
            boxes = inverse_sigmoid(boxes_of_masks(selected.masks().detach()))
        return Start(content.detach(), boxes.detach()), selected

    def refine(self, start: Start, memory: Memory, pyramid: Pyramid) -> list[Prediction]:
        """The queries before the first layer and after each."""
        x = start.content
        reference = start.boxes.sigmoid()
        predictions = [self.predict(x, pyramid.masks, reference)]
        for layer in self.layers:
            seen = reference.detach()
            x = recomputed(self.checkpointing, layer, x, self.code(seen), seen, memory, start.blocked)
            predictions.append(self.after_layer(x, reference, pyramid.masks))
            reference = self.moved(x, reference.detach())
        return predictions

    def code(self, boxes: Tensor) -> Tensor:
        """(B, Q, 4) boxes in 0..1 -> (B, Q, C) place codes."""
        place: Tensor = self.place(self.sines(boxes))
        return place

    def sines(self, boxes: Tensor) -> Tensor:
        """(B, Q, 4) boxes in 0..1 -> (B, Q, 2 C) sines and cosines of y, x, width and height."""
        numbers = boxes[..., [1, 0, 2, 3]] * FULL_TURN
        return sine_of(numbers, self.norm.normalized_shape[0] // 2).flatten(2)

    def moved(self, x: Tensor, reference: Tensor) -> Tensor:
        """(B, Q, 4) boxes after the step that queries (B, Q, C) take from their references."""
        boxes: Tensor = (self.to_boxes(x) + inverse_sigmoid(reference)).sigmoid()
        return boxes

    def after_layer(self, x: Tensor, reference: Tensor, features: Tensor) -> Prediction:
        """What queries say after a layer: the box by a step from where the layer began, undetached.

        The heads' norm is applied twice, as in the original.
        """
        x = self.norm(x)
        return self.predict(x, features, self.moved(x, reference))

    def predict(self, x: Tensor, features: Tensor, boxes: Tensor) -> Prediction:
        """(B, Q, C) queries, (B, C, h, w) mask features, (B, Q, 4) boxes -> classes, masks and boxes."""
        x = self.norm(x)
        return Prediction(self.to_classes(x), self.to_masks(x), features, boxes)


def join(noisy: Start | None, start: Start) -> Start:
    """Denoising queries, which must not be seen, before the others."""
    if noisy is None:
        return start
    count, extra = start.content.shape[1], noisy.content.shape[1]
    blocked = torch.zeros(extra + count, extra + count, dtype=torch.bool, device=start.content.device)
    blocked[extra:, :extra] = True
    if noisy.blocked is not None:
        blocked[:extra, :extra] = noisy.blocked
    return Start(
        torch.cat([noisy.content, start.content], 1), torch.cat([noisy.boxes, start.boxes], 1), blocked
    )
