"""The mask branch: the shape of each object inside its box.

He et al. 2017, "Mask R-CNN", section 3 and figure 4 (right).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from delineate.core.masks import Masks
from delineate.nn.layers import ConvNorm
from delineate.nn.mask_targets import crop_targets
from delineate.nn.normaliser import mean_count
from delineate.nn.roi import PyramidRoiAlign, stack_rois

from .boxes import Sampled

CHUNK = 64  # objects at a time when detecting: keeps the branch's memory flat and in the cache


class MaskBranch(nn.Module):
    """Boxes and their classes -> one square of mask logits a box, on twice the pooled grid.

    Every class has a mask of its own (the paper's decoupling of mask and class), but only the one that is
    asked for is computed: its row of the last layer's weights is gathered first.

    Args:
        channels: of the pyramid.
        columns: output column of each class, as in the box branch.
        pool: RoIAlign of the head's input.
        width: channels of the head.
        norm: "none", "batch" or "group".
    """

    columns: Tensor

    def __init__(
        self,
        channels: int,
        columns: Sequence[int],
        pool: PyramidRoiAlign,
        width: int = 256,
        norm: str = "none",
    ) -> None:
        super().__init__()
        self.pool = pool
        self.convs = nn.Sequential(
            *[ConvNorm(channels if k == 0 else width, width, 3, norm) for k in range(4)]
        )
        self.upsample = nn.ConvTranspose2d(width, width, 2, stride=2)
        self.logits = nn.Conv2d(width, max(columns) + 1, 1)
        self.register_buffer("columns", torch.tensor(columns), persistent=False)
        for layer in self.modules():
            if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    @property
    def size(self) -> int:
        """Side of the square of logits."""
        return 2 * self.pool.size

    def forward(self, features: Sequence[Tensor], boxes: Sequence[Tensor], labels: Tensor) -> Tensor:
        """Mask logits of the given classes.

        Args:
            features: of the pyramid.
            boxes: per image (N_i, 4) xyxy in pixels of the network input.
            labels: (R,) int64 classes 0..K-1 of all boxes.

        Returns:
            (R, size, size) float32 logits.
        """
        return self.logits_of(self.convs(self.pool(features, stack_rois(boxes))), labels)

    def logits_of(self, x: Tensor, labels: Tensor) -> Tensor:
        """(R, C, s, s) features after the convolutions and (R,) classes -> (R, size, size) logits."""
        # The transposed convolution's kernel and stride are both 2: each pixel becomes four on its own, so
        # that it is one matrix product a pixel, and the class's 1 x 1 convolution a second.
        count, width, side, _ = x.shape
        pixels = x.permute(0, 2, 3, 1).reshape(count, side * side, width)
        weight = self.upsample.weight.permute(2, 3, 1, 0).reshape(4 * width, -1)  # (4 * C, C)
        bias = self.upsample.bias.repeat(4)  # type: ignore[union-attr]
        four = torch.relu_(F.linear(pixels, weight, bias)).view(count, side * side * 4, width)
        column = self.columns[labels]
        own = self.logits.weight[column].view(count, width, 1)
        logits = torch.bmm(four, own.to(four.dtype)).view(count, side, side, 2, 2)
        logits = logits.float() + self.logits.bias[column].view(-1, 1, 1, 1, 1)  # type: ignore[index]
        return logits.permute(0, 1, 3, 2, 4).reshape(count, 2 * side, 2 * side)

    def probabilities(self, features: Sequence[Tensor], boxes: Sequence[Tensor], labels: Tensor) -> Tensor:
        """As :meth:`forward`, through a sigmoid and a few objects at a time."""
        rois = stack_rois(boxes)
        parts = []
        for rows, at in zip(torch.split(rois, CHUNK), torch.split(labels, CHUNK), strict=True):
            each = [rows[rows[:, 0] == image, 1:] for image in range(len(boxes))]
            parts.append(self(features, each, at).sigmoid())
        return torch.cat(parts) if parts else labels.new_zeros((0, self.size, self.size), dtype=torch.float32)

    def losses(
        self,
        features: Sequence[Tensor],
        sampled: Sequence[Sampled],
        masks: Sequence[Masks],
        labels: Sequence[Tensor],
    ) -> dict[str, Tensor]:
        """Mean binary cross entropy of the true class's mask over the sampled positives.

        Args:
            features: of the pyramid.
            sampled: as the box branch chose them; only the positives count.
            masks: per image the true masks, in the network's frame.
            labels: per image (G,) int64 true classes.
        """
        boxes = [s.boxes[: len(s.matched)] for s in sampled]
        positives = sum(len(b) for b in boxes)
        count = mean_count(torch.tensor(positives, device=features[0].device))
        if not positives:
            return {"mask": nothing(self)}
        goals = [
            crop_targets(truth, s.matched, own, self.size)
            for truth, s, own in zip(masks, sampled, boxes, strict=True)
        ]
        of_class = torch.cat([label[s.matched] for label, s in zip(labels, sampled, strict=True)])
        logits = self(features, boxes, of_class)
        errors = F.binary_cross_entropy_with_logits(logits, torch.cat(goals), reduction="none").mean((1, 2))
        return {"mask": errors.sum() / count}


def nothing(module: nn.Module) -> Tensor:
    """Zero that depends on every parameter of a module that was not run.

    Their gradients are then zeros, not missing, which training on several devices waits for.
    """
    return torch.stack([p.sum() for p in module.parameters() if p.requires_grad]).sum() * 0
