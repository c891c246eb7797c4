"""The class of every pixel by a feature pyramid alone.

Kirillov et al. 2019, "Panoptic Feature Pyramid Networks", section 3.1: the semantic branch with an output for
each class.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from delineate.core.batch import Batch, InputSpec
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.semantic import Semantic
from delineate.nn.semantic_head import SemanticHead

from .base import Segmenter
from .given import ClassesLike, InputLike, classes_of, input_of
from .mask_rcnn.backbone import STRIDES, Backbone
from .whole_image import best_classes, pixel_loss


class Outputs(NamedTuple):
    """What the network says.

    Attributes:
        logits: (B, K, H / 4, W / 4) float32 over the padded input.
    """

    logits: Tensor


class SemanticFPN(Segmenter):
    """Backbone, pyramid, head.

    Args:
        classes: the K classes, things and stuff alike.
        input: how images become the input tensor.
        backbone: images -> pyramid.
        head: the levels of strides 4 to 32 -> logits.
    """

    family = "semantic_fpn"

    def __init__(self, classes: Labels, input: InputSpec, backbone: Backbone, head: SemanticHead) -> None:
        super().__init__()
        self.classes, self.input = classes, input
        self.backbone, self.head = backbone, head

    @property
    def tasks(self) -> tuple[str, ...]:
        """Classes of pixels alone."""
        return ("semantic",)

    def forward(self, images: Tensor) -> Outputs:
        """(B, 3, H, W), sides multiples of 32 -> logits at a quarter of the size."""
        return Outputs(self.head(self.backbone(images)[: len(STRIDES)]))

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """``pixels``: mean cross entropy over the pixels whose class is known."""
        every = torch.arange(len(self.classes))
        return {"pixels": pixel_loss(self(batch.images).logits, batch, every)}

    def instances(
        self,
        outputs: Any,
        batch: Batch,
        *,
        confidence: float | None = None,
        iou: float | None = None,
        max_det: int | None = None,
    ) -> list[Instances]:
        """There are none.

        Raises:
            InputError: always.
        """
        raise self.without("instance")

    def semantic(self, outputs: Any, batch: Batch) -> list[Semantic]:
        """The class of every pixel, per image; none is void."""
        table = np.arange(len(self.classes), dtype=np.int16)
        return [Semantic(found, self.classes) for found in best_classes(outputs.logits, batch, table)]


def semantic_fpn(
    backbone: str = "resnet50",
    classes: ClassesLike = None,
    input: InputLike = None,
    *,
    channels: int = 256,
    width: int = 128,
    norm: str = "batch",
    neck_norm: str = "none",
    trainable_stages: int = 5,
    pretrained_backbone: bool = False,
) -> SemanticFPN:
    """Semantic FPN on any timm backbone with strides 4 to 32; weights are random unless asked for.

    Args:
        backbone: timm's name, for example "resnet18", "resnet50".
        classes: things and stuff; default COCO's 80 things.
        input: default 800 to 1333 pixels; normalised as the pretrained weights were, if any.
        channels: of the pyramid.
        width: channels of the head.
        norm: of the backbone: "frozen" (for pretrained weights) or "batch" (trained).
        neck_norm: of the pyramid: "none", "batch" or "group".
        trainable_stages: how many of a ResNet's five stages train, from the top.
        pretrained_backbone: download timm's ImageNet weights.

    Raises:
        InputError: an unknown backbone or norm.
    """
    settings = {k: v for k, v in locals().items() if k not in ("classes", "input", "pretrained_backbone")}
    labels = classes_of(classes)
    spec = input_of(input, InputSpec(), backbone if pretrained_backbone else None)
    body = Backbone(
        backbone,
        channels,
        norm=norm,
        pyramid_norm=neck_norm,
        trainable_stages=trainable_stages,
        pretrained=pretrained_backbone,
    )
    model = SemanticFPN(labels, spec, body, SemanticHead(channels, len(labels), len(STRIDES), width))
    model.settings = settings
    return model
