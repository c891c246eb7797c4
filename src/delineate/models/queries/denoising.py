"""Denoising queries: objects with wrong labels and shifted boxes, to be set right.

Li et al. 2022, "DN-DETR", section 4. As in Mask DINO (Li et al. 2023, section 3.4): labels and boxes are
disturbed, the masks have to be found.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .box_decoder import Start
from .boxes import inverse_sigmoid
from .matching import Targets


@dataclass(frozen=True)
class Noise:
    """How objects are disturbed.

    Attributes:
        queries: about so many denoising queries; as many groups of all objects as fit.
        labels: part of the labels that are drawn anew.
        boxes: centres move by up to this part of half a side, sides change by up to this part.
    """

    queries: int = 100
    labels: float = 0.2
    boxes: float = 0.4

    def draw(self, count: int, classes: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """For N objects: (N,) in 0..1 for the labels, (N,) other labels, (N, 4) in 0..1 for the boxes."""
        return (
            torch.rand(count, device=device),
            torch.randint(0, classes, (count,), device=device),
            torch.rand(count, 4, device=device),
        )


@dataclass(frozen=True)
class Groups:
    """Where each object's copies stand among the denoising queries.

    Attributes:
        groups: G copies of every object.
        slots: places in a group: the largest number of objects in an image.
    """

    groups: int
    slots: int

    def pairs(self, targets: list[Targets]) -> list[tuple[Tensor, Tensor]]:
        """Per image the queries that hold objects, and the objects."""
        result = []
        for truth in targets:
            objects = torch.arange(len(truth), device=truth.labels.device)
            first = torch.arange(self.groups, device=objects.device)[:, None] * self.slots
            result.append(((first + objects).flatten(), objects.repeat(self.groups)))
        return result


def noisy_queries(
    targets: list[Targets], labels: nn.Embedding, noise: Noise, slots: int | None = None
) -> tuple[Start, Groups] | None:
    """Denoising queries of a batch; None where there are no objects, or too many.

    Args:
        targets: of the B images.
        labels: (K, C) content of a query of each class.
        noise: how objects are disturbed.
        slots: places in a group, the largest number of objects in an image of all processes; None: of these.
    """
    slots = max(len(t) for t in targets) if slots is None else slots
    if not 0 < slots <= noise.queries:
        return None
    groups = Groups(noise.queries // slots, slots)
    device = labels.weight.device
    every = torch.cat([t.labels for t in targets]).repeat(groups.groups)  # all objects, group by group
    boxes = torch.cat([t.boxes for t in targets]).repeat(groups.groups, 1)
    luck, other, shift = noise.draw(len(every), len(labels.weight), device)
    every = torch.where(luck < noise.labels, other, every)
    reach = torch.cat([boxes[:, 2:] / 2, boxes[:, 2:]], 1) * noise.boxes
    boxes = (boxes + (shift * 2 - 1) * reach).clamp(0, 1)
    image = torch.cat([torch.full_like(t.labels, i) for i, t in enumerate(targets)]).repeat(groups.groups)
    place = torch.cat([torch.arange(len(t), device=device) for t in targets])
    group = torch.arange(groups.groups, device=device)
    slot = (group[:, None] * slots + place).flatten()
    count = groups.groups * slots
    content = labels.weight.new_zeros(len(targets), count, labels.weight.shape[1])
    content = content.index_put((image, slot), labels(every))
    logits = boxes.new_zeros(len(targets), count, 4).index_put((image, slot), inverse_sigmoid(boxes))
    of = torch.arange(count, device=device) // slots
    return Start(content, logits, of[:, None] != of), groups
