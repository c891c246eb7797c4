"""Builders of the query transformers: literal numbers per variant."""

from __future__ import annotations

from typing import Any

from delineate.core.batch import InputSpec
from delineate.core.labels import Labels
from delineate.nn.norms import freeze_batch_norm
from delineate.nn.timm_features import timm_features

from .criterion import Criterion, Points
from .decoder import MaskedDecoder
from .mask2former import Mask2Former
from .matching import Weights
from .pixel_decoder import PixelDecoder

STRIDES = (4, 8, 16, 32)


def mask2former(
    classes: Labels | dict[str, Any] | None = None,
    backbone: str = "resnet50",
    *,
    queries: int = 100,
    encoder_layers: int = 6,
    decoder_layers: int = 9,
    channels: int = 256,
    encoder_hidden: int = 1024,
    decoder_hidden: int = 2048,
    points: int = 12544,
    frozen_norms: bool = True,
    pretrained: bool = False,
    input: InputSpec | dict[str, Any] | None = None,
) -> Mask2Former:
    """Mask2Former; random weights. 44 million parameters as published, with ResNet-50.

    Args:
        classes: the things to find; default COCO's 80.
        backbone: a timm network with features at strides 4, 8, 16 and 32.
        queries: how many; at most so many objects an image can hold.
        encoder_layers: of the pixel decoder.
        decoder_layers: of the queries.
        channels: of maps and queries; a multiple of 64.
        encoder_hidden: width of the pixel decoder's feed-forward networks.
        decoder_hidden: width of the queries' feed-forward networks.
        points: points per mask at which masks are compared in training.
        frozen_norms: the backbone's batch norms keep their statistics, as published; False for training
            from scratch.
        pretrained: start from timm's ImageNet weights, which are downloaded.
        input: default: shorter side 800, longer at most 1333.
    """
    if classes is None:
        from delineate.models.mask_rcnn.coco import COCO

        classes = COCO
    elif isinstance(classes, dict):
        classes = Labels.from_dict(classes)
    if input is None:
        input = InputSpec()
    elif isinstance(input, dict):
        input = InputSpec.from_dict(input)
    body = timm_features(backbone, STRIDES, pretrained)
    if frozen_norms:
        freeze_batch_norm(body)
    model = Mask2Former(
        classes,
        body,
        PixelDecoder(body.feature_info.channels(), channels, encoder_layers, encoder_hidden),
        MaskedDecoder(len(classes), queries, decoder_layers, channels, decoder_hidden),
        Criterion(len(classes), Weights(), Points(points)),
        input,
    )
    model.settings = {
        "backbone": backbone, "queries": queries, "encoder_layers": encoder_layers,
        "decoder_layers": decoder_layers, "channels": channels, "encoder_hidden": encoder_hidden,
        "decoder_hidden": decoder_hidden, "points": points, "frozen_norms": frozen_norms,
    }  # fmt: skip
    return model
