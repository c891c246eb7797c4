"""Anchor boxes on the grids of a feature pyramid.

Ren et al. 2015, "Faster R-CNN", section 3.1 (anchors at every location) and Lin et al. 2017, "Feature Pyramid
Networks for Object Detection", section 4.1 (one size a level).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from delineate.core.errors import InputError


@dataclass(frozen=True)
class Anchors:
    """The anchor shapes of every pyramid level, and their boxes on a given image.

    Attributes:
        sizes: per level the square roots of the anchors' areas, in pixels of the network's input.
        ratios: height / width of the anchors, the same at every level.

    Raises:
        InputError: no level, or a size or ratio that is not positive.

    Example:
        >>> Anchors(((32,),), (1.0,)).boxes([(1, 2)], (32, 64))[0].tolist()
        [[-16.0, -16.0, 16.0, 16.0], [16.0, -16.0, 48.0, 16.0]]
    """

    sizes: tuple[tuple[float, ...], ...] = ((32,), (64,), (128,), (256,), (512,))
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)

    def __post_init__(self) -> None:
        flat = [value for level in self.sizes for value in level]
        if not self.sizes or not all(self.sizes) or not self.ratios or min([*flat, *self.ratios]) <= 0:
            raise InputError(
                f"Anchors: expected positive sizes for every level and positive ratios, got sizes "
                f"{self.sizes} and ratios {self.ratios}; give for example ((32,), (64,)) and (0.5, 1, 2)"
            )
        if len({len(level) for level in self.sizes}) != 1:
            raise InputError(
                f"Anchors: expected as many sizes on every level, got {self.sizes}; "
                "the proposal head is shared by the levels"
            )

    @property
    def per_location(self) -> int:
        """How many anchors stand at one location of a level's grid."""
        return len(self.sizes[0]) * len(self.ratios)

    def shapes(self, level: int) -> Tensor:
        """(A, 4) float32 xyxy about the origin, ratios outermost; corners rounded, half to even."""
        root = torch.sqrt(torch.tensor(self.ratios, dtype=torch.float32))[:, None]
        size = torch.tensor(self.sizes[level], dtype=torch.float32)[None, :]
        width, height = (size / root).flatten() / 2, (size * root).flatten() / 2
        return torch.stack([-width, -height, width, height], dim=1).round()

    def boxes(
        self, grids: Sequence[tuple[int, int]], image: tuple[int, int], device: torch.device | str = "cpu"
    ) -> list[Tensor]:
        """Every level's anchors on one padded image.

        The step between locations is ``image // grid``, whole pixels on each axis: 61, not 64, where an
        800-pixel side has a grid of 13 (the pooled top level rounds up). The first location is at 0.

        Args:
            grids: per level the feature map's (height, width).
            image: (height, width) of the padded network input, in pixels.
            device: where the boxes are made.

        Returns:
            Per level (H*W*A, 4) float32 xyxy in pixels of the network input; A runs fastest, then W, then H.

        Raises:
            InputError: another number of grids than levels.
        """
        if len(grids) != len(self.sizes):
            raise InputError(
                f"Anchors: expected {len(self.sizes)} feature levels (one per entry of sizes), "
                f"got {len(grids)}; give as many anchor sizes as the pyramid has levels"
            )
        boxes = []
        for level, (rows, columns) in enumerate(grids):
            x = torch.arange(columns, dtype=torch.float32, device=device) * (image[1] // columns)
            y = torch.arange(rows, dtype=torch.float32, device=device) * (image[0] // rows)
            y, x = torch.meshgrid(y, x, indexing="ij")
            shift = torch.stack([x, y, x, y], dim=-1).reshape(-1, 1, 4)  # (H*W, 1, 4)
            boxes.append((shift + self.shapes(level).to(device)).reshape(-1, 4))
        return boxes
