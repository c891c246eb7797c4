"""Mask2Former, Mask DINO and DI-MaskDINO as graphs: the best pairs of query and class, and all masks."""

from __future__ import annotations

import torch
from torch import Tensor

from delineate.models.queries.boxes import corners
from delineate.models.queries.mask2former import MAX_DET
from delineate.nn.deformable import DeformableAttention, sample_by_gathers

from .detections import apart, rows_of
from .graphs import Graph
from .manifest import Result


class QueryGraph(Graph):
    """The query transformers, for all three tasks.

    A query may stand for several classes, so ``rows`` tells the query, and with it the mask, of each row.
    """

    def describe(self, max_det: int | None) -> tuple[tuple[str, ...], Result]:
        """Rows, masks of all queries, and how these compete for pixels."""
        model = self.model
        if self.plain:
            for layer in model.modules():
                if isinstance(layer, DeformableAttention):
                    layer.sample = sample_by_gathers
        self.has_boxes = not model.family.startswith("mask2former")
        self.count = max_det or MAX_DET
        outputs = ("boxes", "scores", "labels", "rows", "masks", "shares", "sure")
        return outputs, Result(
            "detections", model.tasks, self.count, "image",
            boxes_from_masks=not self.has_boxes, sure=model.sure_above,
        )  # fmt: skip

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) -> (B, N, 4), (B, N), (B, N), (B, N), (B, Q, h, w), (B, Q, K), (B, Q)."""
        said = self.model(images)
        scores = self.model.scores(said.classes)  # (B, Q, K)
        classes = scores.shape[2]
        top = scores.flatten(1).topk(min(self.count, scores.shape[1] * classes), 1)
        query, label = apart(top.indices, classes)
        masks = said.masks()
        ranking = self.model.ranking(said.classes)
        if self.has_boxes:
            parts = rows_of(corners(said.boxes), query)
        else:
            parts = rows_of(_around(masks), query)
        pixels = parts * parts.new_tensor([images.shape[3], images.shape[2]] * 2)
        return pixels, top.values, label, query, masks, ranking.shares, ranking.sure


def _around(masks: Tensor) -> Tensor:
    """(B, Q, h, w) logits -> (B, Q, 4) xyxy in 0..1 around the cells above 0; zeros where there is none."""
    inside = (masks > 0).to(masks.dtype)
    sides = []
    for dim, extent in ((2, masks.shape[3]), (3, masks.shape[2])):
        occupied = inside.amax(dim)  # (B, Q, extent)
        place = torch.arange(extent, dtype=masks.dtype, device=masks.device)
        first = extent - (occupied * (extent - place)).amax(2)
        last = (occupied * (place + 1)).amax(2)
        sides.append((torch.minimum(first, last) / extent, last / extent))
    (x1, x2), (y1, y2) = sides
    return torch.stack([x1, y1, x2, y2], 2)
