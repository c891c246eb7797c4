"""Instances by voting: each foreground pixel points at its object's centre; pixels that agree are one object.

A small U-Net gives each pixel K class logits and an offset to its object's centroid (Neven et al. 2019,
"Instance Segmentation by Jointly Optimizing Spatial Embeddings and Clustering Bandwidth"; Cheng et al.
2020, "Panoptic-DeepLab"). The offsets are followed for a few steps, as Cellpose follows its flows
(Stringer et al. 2021), so that the votes of large objects come to rest together too. Touching objects
part because their pixels point different ways. There is no limit on the number of objects.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from delineate.core.batch import Batch, InputSpec
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.nn.layers import Residual
from delineate.nn.normaliser import mean_count

from .base import Segmenter
from .voting import Grouping, group_votes

OFFSET_UNIT = 8.0  # pixels per unit of the offset output, so that outputs are of order one


class Outputs(NamedTuple):
    """What the network says of each pixel.

    Attributes:
        classes: (B, K, H, W) logits, one per class; background where all are below 0.
        offsets: (B, 2, H, W) dx, dy in pixels from the pixel to its object's centroid.
    """

    classes: Tensor
    offsets: Tensor


class Up(nn.Module):
    """One step up the decoder: double the size, add the encoder's features of that size, refine."""

    def __init__(self, below: int, lateral: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(below, lateral, 1, bias=False)
        self.refine = Residual(lateral, lateral)

    def forward(self, x: Tensor, lateral: Tensor) -> Tensor:
        """(B, below, h, w), (B, lateral, 2h, 2w) -> (B, lateral, 2h, 2w)."""
        raised = F.interpolate(self.reduce(x), scale_factor=2.0, mode="nearest") + lateral
        refined: Tensor = self.refine(raised)
        return refined


class CenterOffset(Segmenter):
    """U-Net with residual blocks from stride 2 down; the head shuffles back to full resolution.

    Args:
        classes: the K things it finds.
        channels: features at strides 2, 4, 8, ...; one number per level.
        input: the input frame; sides are padded to multiples of 2 ** levels.
        grouping: which pixels vote, and how votes become objects.
    """

    family = "center_offset"

    def __init__(
        self, classes: Labels, channels: tuple[int, ...], input: InputSpec, grouping: Grouping
    ) -> None:
        super().__init__()
        self.classes = classes
        self.input = input
        self.grouping = grouping
        stem = channels[0]
        self.stem = nn.Sequential(
            nn.Conv2d(3, stem, 5, 2, 2, bias=False), nn.BatchNorm2d(stem), nn.ReLU(inplace=True)
        )
        steps = list(zip((stem, *channels[:-1]), channels, strict=True))
        self.down = nn.ModuleList(
            [Residual(inside, outside, 1 if i == 0 else 2) for i, (inside, outside) in enumerate(steps)]
        )
        self.up = nn.ModuleList([Up(outside, inside) for inside, outside in reversed(steps[1:])])
        self.head = nn.Conv2d(stem, 4 * (len(classes) + 2), 3, 1, 1)  # x 4: pixel shuffle doubles the size

    @property
    def context(self) -> int:
        """Pixels from an image's border at which nothing depends on what lies beyond it: 158 with 5 levels.

        Counted in cells of each level that feel the border. Down, a stride halves them and its two 3 x 3
        convolutions add one each: 3 at every level. Up, they double, and a block adds 2; the head adds 1.
        """
        cells = 3
        for _ in self.up:
            cells = 2 * cells + 2
        return 2 * (cells + 1)

    def forward(self, images: Tensor) -> Outputs:
        """(B, 3, H, W), sides multiples of 2 ** levels -> maps of the same size."""
        x = self.stem(images)  # (B, C0, H/2, W/2)
        laterals: list[Tensor] = []
        for block in self.down:
            x = block(x)
            laterals.append(x)
        for block, lateral in zip(self.up, reversed(laterals[:-1]), strict=True):
            x = block(x, lateral)
        maps = F.pixel_shuffle(self.head(x), 2)  # (B, K + 2, H, W)
        return Outputs(maps[:, :-2], maps[:, -2:] * OFFSET_UNIT)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Class loss (binary cross entropy + Dice) over all pixels, offset loss over object pixels.

        The offset error counts relative to the object's radius, so that small and large objects weigh alike.
        """
        if batch.targets is None:
            raise ValueError("losses: expected a batch with targets")
        outputs = self(batch.images)
        size = (int(batch.images.shape[2]), int(batch.images.shape[3]))
        maps = [target_maps(t, len(self.classes), size) for t in batch.targets]
        classes, offsets, weights = (
            torch.from_numpy(np.stack(m)).to(batch.images.device) for m in zip(*maps, strict=True)
        )
        logits = outputs.classes.float()
        probability = logits.sigmoid()
        overlap = (probability * classes).sum((1, 2, 3))
        total = probability.sum((1, 2, 3)) + classes.sum((1, 2, 3))
        error = (outputs.offsets.float() - offsets).abs().sum(1)  # (B, H, W) pixels
        return {
            "class": F.binary_cross_entropy_with_logits(logits, classes),
            "dice": 0.5 * (1 - (2 * overlap + 1) / (total + 1)).mean(),
            "offset": 0.5 * (error * weights).sum() / mean_count(weights.gt(0).sum()),
        }

    def instances(
        self,
        outputs: Any,
        batch: Batch,
        *,
        confidence: float | None = None,
        iou: float | None = None,
        max_det: int | None = None,
    ) -> list[Instances]:
        """Objects per image with a score above ``confidence``, default 0.5.

        ``iou`` has no meaning here: voted objects never overlap.
        """
        threshold = 0.5 if confidence is None else confidence
        results: list[Instances] = []
        for i, size in enumerate(batch.sizes):
            maps = [m[i, :, : size[0], : size[1]].detach().float().cpu().numpy() for m in outputs]
            found = group_votes(maps[0], maps[1], self.classes, self.grouping, threshold)
            if batch.originals[i] != size and found.masks is not None:
                masks = batch.masks_to_original(i, found.masks)
                found = found.replace(size=batch.originals[i], boxes=masks.boxes, masks=masks)
                found = found[found.area > 0]
            results.append(_at_most(found, max_det))
        return results


def _at_most(found: Instances, max_det: int | None) -> Instances:
    if max_det is None or len(found) <= max_det:
        return found
    import logging

    logging.getLogger("delineate").warning(
        "kept the %d best of %d objects; raise max_det to keep all", max_det, len(found)
    )
    return found[np.argsort(-found.scores, kind="stable")[:max_det]]


def target_maps(
    truth: Instances, class_count: int, size: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """What the network should say of one image.

    Args:
        truth: objects in the network frame; its image may be smaller than the padded ``size``.
        class_count: K.
        size: (H, W) of the maps.

    Returns:
        (K, H, W) 0 or 1 per class; (2, H, W) offsets dx, dy in pixels to the centroid; (H, W) offset
        weights, 1 / equivalent radius on object pixels, 0 elsewhere and on crowd regions.
    """
    classes = np.zeros((class_count, *size), dtype=np.float32)
    offsets = np.zeros((2, *size), dtype=np.float32)
    weights = np.zeros(size, dtype=np.float32)
    truth = truth[~truth.crowd]
    if truth.masks is None or not len(truth):
        return classes, offsets, weights
    labels = np.zeros(size, dtype=np.int32)
    labels[: truth.size[0], : truth.size[1]] = truth.masks.to_label_image()
    y, x = np.nonzero(labels)
    which = labels[y, x]  # 1..N
    area = np.bincount(which, minlength=len(truth) + 1).clip(min=1)
    center_x = np.bincount(which, x, len(truth) + 1) / area
    center_y = np.bincount(which, y, len(truth) + 1) / area
    classes[truth.labels[which - 1], y, x] = 1
    offsets[:, y, x] = center_x[which] - x, center_y[which] - y
    weights[y, x] = 1 / np.sqrt(area / np.pi).clip(min=3)[which]
    return classes, offsets, weights


def center_offset(
    classes: Labels | dict[str, Any] | None = None,
    channels: tuple[int, ...] | list[int] = (32, 48, 64, 96, 128),
    input: InputSpec | dict[str, Any] | None = None,
    grouping: Grouping | dict[str, Any] | None = None,
) -> CenterOffset:
    """Build the model; random weights. 1.2 million parameters with the default channels.

    Args:
        classes: the things to find; default one class, "object".
        channels: features per level, strides 2, 4, 8, ...
        input: default: the image's own size, percentile scaling, tiles of 1024.
        grouping: default :class:`Grouping`.
    """
    if classes is None:
        classes = Labels(("object",))
    elif isinstance(classes, dict):
        classes = Labels.from_dict(classes)
    if isinstance(grouping, dict):
        grouping = Grouping(**grouping)
    levels = len(channels)
    if input is None:
        input = InputSpec(
            shortest_edge=None,
            longest_edge=None,
            divisor=2**levels,
            mean=(0.5, 0.5, 0.5),
            std=(0.25, 0.25, 0.25),
            scaling="percentile",
            tile=1024,
        )
    elif isinstance(input, dict):
        input = InputSpec.from_dict(input)
    model = CenterOffset(classes, tuple(channels), input, grouping or Grouping())
    model.settings = {"channels": list(channels), "grouping": vars(model.grouping).copy()}
    return model
