"""From images to one padded tensor and exactly back: resize, pad, remember, restore."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .arrays import fill, shapes
from .frames import Frames, resize_instances
from .frames import resize_masks as resize_masks
from .frames import scale_boxes as scale_boxes
from .input_spec import IMAGENET_MEAN as IMAGENET_MEAN
from .input_spec import IMAGENET_STD as IMAGENET_STD
from .input_spec import Brightness as Brightness
from .input_spec import InputSpec as InputSpec
from .input_spec import brightness_of as brightness_of
from .input_spec import sample_step as sample_step
from .input_spec import to_rgb_float as to_rgb_float
from .instances import Instances
from .stages import timed

if TYPE_CHECKING:  # imported where tensors are made: it takes seconds and 500 MB, and may not be there
    import torch
    from torch import Tensor


@dataclass
class Batch(Frames):
    """B images as one tensor, and what it takes to go back.

    Attributes:
        images: (B, 3, H, W) float32, normalised, zero-padded at right and bottom.
        sizes: B (height, width): the part of ``images`` that is image; the network frame.
        originals: B (height, width) of the images as given; the original frame.
        targets: B truths in the network frame, or None.
    """

    images: Tensor
    sizes: list[tuple[int, int]]
    originals: list[tuple[int, int]]
    targets: list[Instances] | None = None

    def to(self, device: torch.device | str) -> Batch:
        """The same batch with its tensor on ``device``."""
        images = self.images.to(device, non_blocking=True)
        return Batch(images, self.sizes, self.originals, self.targets)


@timed("prepare")
def collate(
    images: Sequence[NDArray[Any]],
    spec: InputSpec,
    targets: Sequence[Instances] | None = None,
    brightness: Brightness | None = None,
) -> Batch:
    """Images (and truths) of any sizes as one batch: scale to 0..1, normalise, resize, pad.

    Bilinear at pixel centres without antialiasing, after normalisation, as torchvision's detection
    models do, so that their published weights see what they were trained on.

    Args:
        images: (H, W), (H, W, 1) or (H, W, 3) each.
        spec: how they become the input.
        targets: their truths in their own pixels.
        brightness: of the whole image that they are parts of; None measures each image's own.

    Raises:
        InputError: no images, or one that is not an image.
    """
    import torch

    sizes, padded = shapes(images, spec)
    batch = torch.empty(len(images), 3, *padded)
    fill(batch.numpy(), images, sizes, spec, brightness, _resize)
    moved = None
    if targets is not None:
        moved = [resize_instances(t, size) for t, size in zip(targets, sizes, strict=True)]
    originals = [(int(i.shape[0]), int(i.shape[1])) for i in images]
    return Batch(batch, sizes, originals, moved)


def _resize(image: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """(h, w, 3) -> (3, height, width), as torchvision's models had it when they were trained."""
    import torch
    import torch.nn.functional as F

    planes = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
    resized = F.interpolate(planes, size=size, mode="bilinear", align_corners=False)
    return np.asarray(resized[0].numpy())
