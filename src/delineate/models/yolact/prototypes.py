"""Prototype masks of the whole image, their combinations, and a network that rates those.

Bolya et al. 2019, "YOLACT", sections 3.1 and 3.3 and figure 3; the rating: Bolya et al. 2020, "YOLACT++",
section 6 ("Fast Mask Re-Scoring Network").
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from delineate.nn.layers import ConvNorm


class PrototypeNet(nn.Module):
    """P3 -> P prototypes at twice its size, none below 0.

    Args:
        channels: of the pyramid.
        prototypes: P.
        norm: of the 3 x 3 convolutions, "none", "batch" or "group".
    """

    def __init__(self, channels: int, prototypes: int, norm: str = "none") -> None:
        super().__init__()
        self.before = nn.Sequential(*[ConvNorm(channels, channels, 3, norm) for _ in range(3)])
        self.after = ConvNorm(channels, channels, 3, norm)
        self.out = nn.Conv2d(channels, prototypes, 1)

    def forward(self, finest: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, P, 2H, 2W) float32."""
        x = F.interpolate(self.before(finest), scale_factor=2.0, mode="bilinear", align_corners=False)
        return torch.relu(self.out(self.after(torch.relu(x)))).float()


class MaskRater(nn.Module):
    """A soft mask -> for every class, the IoU it is expected to have with the truth.

    Args:
        classes: K.
    """

    LEAST = 63  # side of the smallest grid that five unpadded convolutions of stride 2 leave anything of

    def __init__(self, classes: int) -> None:
        super().__init__()
        widths = (1, 8, 16, 32, 64, 128)
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2) for a, b in pairwise(widths))
        self.out = nn.Conv2d(widths[-1], classes, 1)

    def forward(self, masks: Tensor) -> Tensor:
        """(N, h, w) in 0..1, zero outside the box -> (N, K) at least 0."""
        short = [max(0, self.LEAST - side) for side in masks.shape[-2:]]
        x = F.pad(masks[:, None], (0, short[1], 0, short[0]))  # (N, 1, h, w)
        for conv in self.convs:
            x = torch.relu(conv(x))
        return torch.relu(self.out(x)).amax((2, 3))


def combine(prototypes: Tensor, coefficients: Tensor) -> Tensor:
    """(P, h, w), (N, P) -> (N, h, w) mask logits."""
    return torch.einsum("phw,np->nhw", prototypes, coefficients)


def inside(boxes: Tensor, grid: tuple[int, int]) -> Tensor:
    """Which cells lie in each box grown by one cell.

    Args:
        boxes: (N, 4) xyxy in cells.
        grid: (h, w).

    Returns:
        (N, h, w) bool.

    Example:
        >>> inside(torch.tensor([[2.0, 0, 3, 1]]), (2, 6)).int().tolist()
        [[[0, 1, 1, 1, 0, 0], [0, 1, 1, 1, 0, 0]]]
    """
    height, width = grid
    y = torch.arange(height, device=boxes.device)[None, :, None]
    x = torch.arange(width, device=boxes.device)[None, None, :]
    x1, y1, x2, y2 = (boxes[:, k, None, None] for k in range(4))
    in_rows = (y >= (y1 - 1).clamp(min=0)) & (y < (y2 + 1).clamp(max=height))
    in_columns = (x >= (x1 - 1).clamp(min=0)) & (x < (x2 + 1).clamp(max=width))
    return in_rows & in_columns
