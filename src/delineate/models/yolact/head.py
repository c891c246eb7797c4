"""What each prior says: box offsets, class logits, and coefficients of the prototypes.

Bolya et al. 2019, "YOLACT", section 3.2 and figure 4.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class PredictionHead(nn.Module):
    """One 3 x 3 convolution, then three of them side by side; shared by all levels.

    Args:
        channels: of the pyramid.
        priors: A, priors on a cell.
        outputs: classes with background, which is column 0.
        prototypes: P.
    """

    def __init__(self, channels: int, priors: int, outputs: int, prototypes: int) -> None:
        super().__init__()
        self.outputs, self.prototypes = outputs, prototypes
        self.shared = nn.Conv2d(channels, channels, 3, padding=1)
        self.offsets = nn.Conv2d(channels, priors * 4, 3, padding=1)
        self.logits = nn.Conv2d(channels, priors * outputs, 3, padding=1)
        self.coefficients = nn.Conv2d(channels, priors * prototypes, 3, padding=1)

    def forward(self, levels: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Maps (B, C, H_l, W_l) -> (B, A, 4) offsets, (B, A, outputs) logits, (B, A, P) in -1..1; float32."""
        offsets, logits, coefficients = [], [], []
        for level in levels:
            x = torch.relu_(self.shared(level))
            offsets.append(_rows(self.offsets(x), 4))
            logits.append(_rows(self.logits(x), self.outputs))
            coefficients.append(_rows(self.coefficients(x), self.prototypes))
        return torch.cat(offsets, 1), torch.cat(logits, 1), torch.cat(coefficients, 1).tanh()


def _rows(maps: Tensor, width: int) -> Tensor:
    """(B, A * width, H, W) -> (B, H * W * A, width) float32; A runs fastest."""
    return maps.permute(0, 2, 3, 1).reshape(maps.shape[0], -1, width).float()
