"""The boxes from which detections are measured, on every cell of every level.

Bolya et al. 2019, "YOLACT", section 4; Bolya et al. 2020, "YOLACT++", section 6 (more of them); the SSD code
of offsets: Liu et al. 2016, "SSD", section 2.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from delineate.core.errors import InputError

VARIANCES = (10.0, 10.0, 5.0, 5.0)  # 1 / 0.1 and 1 / 0.2: factors of centre and size offsets


@dataclass(frozen=True)
class Priors:
    """Shapes of the priors of every level, and their boxes on an image.

    Attributes:
        sizes: per level the sides in pixels of the network's input.
        ratios: width / height; the area is size * size.
        square: the height equals the width: squares of side size * sqrt(ratio). YOLACT was trained so.

    Raises:
        InputError: no level, numbers that are not positive, or another count of sizes on some level.

    Example:
        >>> Priors(((8,),), (1.0, 4.0)).boxes([(1, 1)], (8, 8)).tolist()
        [[0.0, 0.0, 8.0, 8.0], [-4.0, -4.0, 12.0, 12.0]]
    """

    sizes: tuple[tuple[float, ...], ...] = ((24,), (48,), (96,), (192,), (384,))
    ratios: tuple[float, ...] = (1.0, 0.5, 2.0)
    square: bool = True

    def __post_init__(self) -> None:
        flat = [value for level in self.sizes for value in level]
        even = len({len(level) for level in self.sizes}) == 1
        if not even or not all(self.sizes) or not self.ratios or min([*flat, *self.ratios]) <= 0:
            raise InputError(
                f"anchors: expected as many positive sizes on every level and positive ratios, got sizes "
                f"{self.sizes} and ratios {self.ratios}; give for example [[24], [48], [96]] and [1, 0.5, 2]"
            )

    @property
    def per_location(self) -> int:
        """How many priors stand on one cell."""
        return len(self.sizes[0]) * len(self.ratios)

    def shapes(self, level: int) -> Tensor:
        """(A, 2) float32 width and height in pixels; ratios run fastest."""
        size = torch.tensor(self.sizes[level], dtype=torch.float64)[:, None]
        root = torch.tensor(self.ratios, dtype=torch.float64).sqrt()[None, :]
        width = (size * root).flatten()
        height = width if self.square else (size / root).flatten()
        return torch.stack([width, height], dim=1).float()

    def boxes(
        self, grids: Sequence[tuple[int, int]], image: tuple[int, int], device: torch.device | str = "cpu"
    ) -> Tensor:
        """All priors of an image, centred on the cells of every level's grid.

        Args:
            grids: per level (height, width) of its map.
            image: (height, width) of the network's input in pixels.
            device: where they are made.

        Returns:
            (sum of H*W*A, 4) float32 xyxy in pixels of the network's input; not clipped.
        """
        every = []
        for level, (rows, columns) in enumerate(grids):
            x = (torch.arange(columns, dtype=torch.float32, device=device) + 0.5) * (image[1] / columns)
            y = (torch.arange(rows, dtype=torch.float32, device=device) + 0.5) * (image[0] / rows)
            y, x = torch.meshgrid(y, x, indexing="ij")
            centre = torch.stack([x, y], dim=-1).reshape(-1, 1, 2)  # (H*W, 1, 2)
            half = self.shapes(level).to(device) / 2  # (A, 2)
            every.append(torch.cat([centre - half, centre + half], dim=-1).reshape(-1, 4))
        return torch.cat(every)
