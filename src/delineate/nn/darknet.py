"""DarkNet-53: 3 x 3 and 1 x 1 convolutions in residual pairs.

Redmon and Farhadi 2018, "YOLOv3: An Incremental Improvement", table 1.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


def leaky_conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution, batch norm and leaky ReLU of slope 0.1."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.LeakyReLU(0.1, inplace=True),
    )


class Pair(nn.Module):
    """A 1 x 1 convolution to half the channels, a 3 x 3 back to all, and a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = leaky_conv(channels, channels // 2, 1)
        self.conv2 = leaky_conv(channels // 2, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        y: Tensor = self.conv2(self.conv1(x))
        return y + x


class DarkNet(nn.Module):
    """A stem and five stages; each stage halves the size, then refines by residual pairs.

    Args:
        depths: residual pairs of each stage; (1, 2, 8, 8, 4) is DarkNet-53.
        width: channels of the stem; stage s has width * 2 ** (s + 1).
        out: which stages are returned, 0 for stride 2.
    """

    def __init__(
        self, depths: Sequence[int] = (1, 2, 8, 8, 4), width: int = 32, out: Sequence[int] = (2, 3, 4)
    ) -> None:
        super().__init__()
        self.stem = leaky_conv(3, width, 3)
        widths = [width * 2 ** (s + 1) for s in range(len(depths))]
        self.stages = nn.ModuleList(
            nn.Sequential(leaky_conv(wide // 2, wide, 3, 2), *[Pair(wide) for _ in range(depth)])
            for wide, depth in zip(widths, depths, strict=True)
        )
        self.out = tuple(out)
        self.channels = [widths[s] for s in self.out]

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> per stage of ``out`` (B, C_s, H / 2 ** (s + 1), W / 2 ** (s + 1)), finest first."""
        x = self.stem(images)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return [maps[s] for s in self.out]
