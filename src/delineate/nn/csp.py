"""Cross-stage partial blocks: the parts that YOLO-like backbones and necks are made of.

Wang et al. 2020, "CSPNet", figure 3: half of the channels pass through a stack of small residual blocks, the
rest goes around it. Here every block's output is kept and joined, as in ELAN (Wang et al. 2022, "Designing
Network Design Strategies Through Gradient Path Analysis", figure 5) and in the YOLOv8 family.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NORM_EPS = 1e-3
NORM_MOMENTUM = 0.1  # YOLO's 0.03 leaves the running statistics far behind in trainings of minutes


class ConvAct(nn.Module):
    """Convolution that keeps the size (or divides it by the stride), batch norm, SiLU.

    Args:
        inputs: channels in.
        outputs: channels out.
        kernel: side of the kernel, odd.
        stride: 1 or 2.
        groups: of the convolution; as many as channels makes it depthwise.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs, NORM_EPS, NORM_MOMENTUM)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
        return F.silu(self.norm(self.conv(x)))


class Bottleneck(nn.Module):
    """Two 3 x 3 convolutions, the first to ``expansion`` times the channels, and a shortcut around them.

    Args:
        channels: in and out.
        expansion: of the channels between the two, above 0.
        shortcut: add the input to the output.
    """

    def __init__(self, channels: int, expansion: float = 0.5, shortcut: bool = True) -> None:
        super().__init__()
        hidden = max(8, int(channels * expansion))
        self.reduce = ConvAct(channels, hidden, 3)
        self.expand = ConvAct(hidden, channels, 3)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        y: Tensor = self.expand(self.reduce(x))
        return x + y if self.shortcut else y


class CSPBlock(nn.Module):
    """Split, a stack of bottlenecks on one half, all steps joined, mixed by a 1 x 1 convolution.

    Args:
        inputs: channels in.
        outputs: channels out.
        depth: bottlenecks in the stack.
        shortcut: whether these have shortcuts (backbones do, necks do not).
        part: width of each half, as a part of ``outputs``.
        expansion: of the bottlenecks.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        depth: int = 1,
        shortcut: bool = True,
        part: float = 0.5,
        expansion: float = 0.5,
    ) -> None:
        super().__init__()
        half = int(outputs * part)
        self.split = ConvAct(inputs, 2 * half)
        self.blocks = nn.ModuleList([Bottleneck(half, expansion, shortcut) for _ in range(depth)])
        self.mix = ConvAct((2 + depth) * half, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W)."""
        parts = list(self.split(x).chunk(2, 1))  # 2 x (B, half, H, W)
        for block in self.blocks:
            parts.append(block(parts[-1]))
        mixed: Tensor = self.mix(torch.cat(parts, 1))
        return mixed


class PyramidPooling(nn.Module):
    """Context from three max pools of 5 x 5, one after the other: reaches of 5, 9 and 13 pixels.

    He et al. 2015, "Spatial Pyramid Pooling in Deep Convolutional Networks"; the chained form is YOLOv5's.

    Args:
        channels: in and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = ConvAct(channels, channels // 2)
        self.mix = ConvAct(channels // 2 * 4, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        levels = [self.reduce(x)]
        for _ in range(3):
            levels.append(F.max_pool2d(levels[-1], 5, 1, 2))
        mixed: Tensor = self.mix(torch.cat(levels, 1))
        return mixed
