"""From clicks to a mask: the trunk of the nuclei network, which is also shown where somebody clicked.

The clicks and the mask so far enter behind the first convolution as one more addend, so that the trained
trunk is kept as it is until training finds a use for them (Sofiiuk et al. 2021, "Reviving Iterative Training
with Mask Guidance for Interactive Segmentation", section 3.2, there called Conv1S).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from delineate.core.batch import InputSpec
from delineate.core.labels import Labels

from .center_offset import CenterOffset
from .voting import Grouping

HINTS = 4  # positive clicks, negative clicks, the mask so far, the inside of a box


class ClickNet(nn.Module):
    """One object's mask from pixels and hints.

    Args:
        channels: features at strides 2, 4, 8, ... of the trunk.
    """

    def __init__(self, channels: tuple[int, ...] = (32, 48, 96, 160, 192)) -> None:
        super().__init__()
        trunk = CenterOffset(Labels(("object",)), channels, InputSpec(), Grouping())
        self.divisor = 2 ** len(channels)
        self.stem, self.down, self.up = trunk.stem, trunk.down, trunk.up
        stem = channels[0]
        self.hints = nn.Sequential(
            nn.Conv2d(HINTS, 16, 3, 1, 1), nn.ReLU(inplace=True), nn.Conv2d(16, stem, 3, 2, 1)
        )
        self.head = nn.Sequential(
            nn.Conv2d(2 * stem, stem, 3, 1, 1), nn.ReLU(inplace=True), nn.Conv2d(stem, 4, 3, 1, 1)
        )
        for tensor in self.hints[-1].parameters():
            nn.init.zeros_(tensor)

    def forward(self, images: Tensor, hints: Tensor) -> Tensor:
        """The mask's logits.

        Args:
            images: (B, 3, H, W) normalised pixels; sides are multiples of ``divisor``.
            hints: (B, 4, H, W) in 0..1: discs at positive clicks, discs at negative clicks, the
                probability of the mask so far (0 without one), the inside of a box (0 without one).

        Returns:
            (B, 1, H, W) logits; above 0 is the object.
        """
        told = self.hints(hints)  # (B, C0, H/2, W/2)
        x = self.stem(images) + told
        laterals: list[Tensor] = []
        for block in self.down:
            x = block(x)
            laterals.append(x)
        for block, lateral in zip(self.up, reversed(laterals[:-1]), strict=True):
            x = block(x, lateral)
        logits: Tensor = F.pixel_shuffle(self.head(torch.cat([x, told], dim=1)), 2)
        return logits

    def take_trunk(self, trained: CenterOffset) -> None:
        """The trunk's weights of a trained model of the same channels."""
        for name in ("stem", "down", "up"):
            getattr(self, name).load_state_dict(getattr(trained, name).state_dict())
