"""DI-MaskDINO: Mask DINO without the detection-segmentation imbalance at the decoder's beginning.

Nan et al. 2024, "DI-MaskDINO: A Joint Object Detection and Instance Segmentation Model". Two modules are
added: De-Imbalance (more cells are selected, talk to each other, and the best become queries) and the
Balance-Aware Tokens Optimisation (after the first layer the best queries guide an update of the maps and of
the mask features).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from delineate.nn.recompute import recomputed
from delineate.nn.sine_position import sine_position

from .box_criterion import BoxCriterion
from .box_decoder import BoxDecoder, Memory, Outcome, Start, flatten, join
from .boxes import inverse_sigmoid
from .decoder import Attention, Prediction, mlp
from .maskdino import MaskDINO
from .matching import Targets, assign
from .pixel_decoder import Pyramid


class TokenLayer(nn.Module):
    """Attention and a feed-forward network, each with its residual and norm."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.attention = Attention(channels, 8)
        self.linear1 = nn.Linear(channels, hidden)
        self.linear2 = nn.Linear(hidden, channels)
        self.norm2 = nn.LayerNorm(channels)
        for linear in (self.linear1, self.linear2):
            nn.init.xavier_uniform_(linear.weight)

    def forward(self, x: Tensor, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """(B, Q, C) x, ``query`` and (B, S, C) ``key``, ``value`` -> (B, Q, C)."""
        x = self.attention.attend(x, query, key, value, None)
        result: Tensor = self.norm2(x + self.linear2(F.relu(self.linear1(x))))
        return result


class DeImbalance(nn.Module):
    """Selected cells look at each other and move their boxes (section 3.2).

    Args:
        channels: C.
        hidden: width of the feed-forward networks.
        layers: of token interaction.
    """

    def __init__(self, channels: int, hidden: int, layers: int = 2) -> None:
        super().__init__()
        self.layers = nn.ModuleList([TokenLayer(channels, hidden) for _ in range(layers)])
        self.place = mlp(2 * channels, channels, channels, 2)
        self.norm = nn.LayerNorm(channels)
        self.to_boxes = mlp(channels, channels, 4, 3)
        nn.init.zeros_(self.to_boxes[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.to_boxes[-1].bias)  # type: ignore[arg-type]


class BalancedDecoder(BoxDecoder):
    """A :class:`BoxDecoder` whose beginning is balanced, and whose maps are updated on the way.

    Args:
        classes: K.
        queries: Q.
        layers: N.
        channels: C.
        hidden: width of the feed-forward networks.
        levels: maps.
        boxes_from_masks: as in :class:`BoxDecoder`.
        selected: cells of the first selection.
        guides: queries that guide the update of the maps.
    """

    def __init__(
        self,
        classes: int,
        queries: int = 300,
        layers: int = 6,
        channels: int = 256,
        hidden: int = 2048,
        levels: int = 4,
        boxes_from_masks: bool = True,
        selected: int = 600,
        guides: int = 50,
    ) -> None:
        super().__init__(classes, queries, layers, channels, hidden, levels, boxes_from_masks)
        self.selected, self.guides = selected, guides
        self.balance = DeImbalance(channels, hidden)
        self.update = TokenLayer(channels, hidden)
        self.new_masks = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.GroupNorm(32, channels), nn.ReLU()
        )

    def forward(self, pyramid: Pyramid, noisy: Start | None = None) -> Outcome:
        """The predictions; those of ``noisy`` denoising queries come first in every layer."""
        memory = flatten(pyramid)
        tokens, selected = self.begin(memory, pyramid.masks, self.selected)
        start, balancing = self.balanced(tokens, pyramid.masks)
        layers = self.refine_balanced(join(noisy, start), memory, pyramid)
        return Outcome(selected, layers, tuple(balancing))

    def balanced(self, tokens: Start, features: Tensor) -> tuple[Start, list[Prediction]]:
        """The best tokens after they saw each other, and what all of them say after each layer."""
        x, reference = tokens.content, tokens.boxes.sigmoid()
        said = []
        for layer in self.balance.layers:
            seen = reference.detach()
            place = self.balance.place(self.sines(seen))
            x = layer(x, x + place, x + place, x)
            reference = (self.balance.to_boxes(x) + inverse_sigmoid(seen)).sigmoid()
            normed = self.balance.norm(x)
            # the step is taken twice, as in the original: from the reference that it has already moved
            boxes = (self.balance.to_boxes(normed) + inverse_sigmoid(reference)).sigmoid()
            said.append(self.predict(normed, features, boxes))
        best = (
            self.to_classes(self.balance.norm(x))
            .amax(2)
            .topk(min(self.queries, x.shape[1]), 1)
            .indices[..., None]
        )
        content = x.gather(1, best.expand(-1, -1, x.shape[2]))
        boxes = inverse_sigmoid(reference).gather(1, best.expand(-1, -1, 4))
        return Start(content, boxes), said

    def refine_balanced(self, start: Start, memory: Memory, pyramid: Pyramid) -> list[Prediction]:
        """As :meth:`refine`, with the maps and mask features updated after the first layer."""
        x, features = start.content, pyramid.masks
        seen = reference = start.boxes.sigmoid()  # the first layer's boxes carry gradients to the balance
        predictions = [self.predict(x, features, reference)]
        for i, layer in enumerate(self.layers):
            place = self.code(seen)
            if i == 1:
                own = min(self.queries, self.selected, memory.cells.shape[1])  # denoising queries come first
                guides = x[:, -own:], place[:, -own:]
                memory, features = self.updated(*guides, memory, features)
            x = recomputed(self.checkpointing, layer, x, place, seen, memory, start.blocked)
            predictions.append(self.after_layer(x, reference, features))
            reference = self.moved(x, seen)
            seen = reference.detach()
        return predictions

    def updated(
        self, queries: Tensor, places: Tensor, memory: Memory, features: Tensor
    ) -> tuple[Memory, Tensor]:
        """Maps and mask features after a look at the best of (B, Q, C) queries (section 3.3)."""
        best = self.to_classes(queries).amax(2).topk(min(self.guides, queries.shape[1]), 1).indices[..., None]
        value = self.to_masks(queries).gather(1, best.expand(-1, -1, queries.shape[2]))
        key = value + places.gather(1, best.expand(-1, -1, queries.shape[2]))
        cells = memory.cells
        position = torch.cat([sine_position(size, cells.shape[2], cells) for size in memory.sizes])
        cells = self.update(cells, cells + position, key, value)
        height, width = memory.sizes[-1]  # the finest map comes last
        finest = cells[:, -height * width :].transpose(1, 2)
        finest = torch.unflatten(finest, 2, (height, width))
        raised = F.interpolate(finest, size=features.shape[2:], mode="bilinear", align_corners=False)
        return Memory(cells, memory.sizes), self.new_masks(raised + features)


class BalancedCriterion(BoxCriterion):
    """Predictions of the De-Imbalance layers are matched and trained on class and box alone."""

    @torch.no_grad()
    def match(
        self, name: str, prediction: Prediction, targets: list[Targets], size: tuple[int, int]
    ) -> list[tuple[Tensor, Tensor]]:
        """Per image the matched queries and their objects."""
        if not name.startswith("balance"):
            return super().match(name, prediction, targets, size)
        return [assign(self.box_cost(prediction, i, truth)) for i, truth in enumerate(targets)]

    def layer(
        self,
        name: str,
        prediction: Prediction,
        targets: list[Targets],
        pairs: list[tuple[Tensor, Tensor]],
        count: Tensor,
        size: tuple[int, int],
    ) -> dict[str, Tensor]:
        """The losses of one prediction for given pairs."""
        if name.startswith("balance"):
            return self.class_and_box(prediction, targets, pairs, count)
        return super().layer(name, prediction, targets, pairs, count, size)


class DIMaskDINO(MaskDINO):
    """As :class:`MaskDINO`, with a :class:`BalancedDecoder` and a :class:`BalancedCriterion`."""

    family = "dimaskdino"

    def extra_predictions(self, outcome: Outcome) -> dict[str, Prediction]:
        """What the De-Imbalance layers say."""
        return {f"balance{i}": prediction for i, prediction in enumerate(outcome.balancing)}
