"""Builders of the query transformers: literal numbers per variant."""

from __future__ import annotations

from typing import Any, TypeVar

from delineate.core.batch import InputSpec
from delineate.models.given import ClassesLike, InputLike, classes_of, input_of
from delineate.nn.norms import freeze_batch_norm
from delineate.nn.recompute import recompute
from delineate.nn.timm_features import timm_features

from .box_criterion import BoxCriterion
from .box_decoder import BoxDecoder
from .criterion import Criterion, Points
from .decoder import MaskedDecoder
from .denoising import Noise
from .dimaskdino import BalancedCriterion, BalancedDecoder, DIMaskDINO
from .mask2former import Mask2Former
from .maskdino import MaskDINO
from .matching import Weights
from .pixel_decoder import PixelDecoder

STRIDES = (4, 8, 16, 32)

Model = TypeVar("Model", bound=MaskDINO)


def mask2former(
    classes: ClassesLike = None,
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
    checkpointing: bool = False,
    pretrained: bool = False,
    input: InputLike = None,
) -> Mask2Former:
    """Mask2Former; random weights. 44 million parameters as published, with ResNet-50.

    Args:
        classes: the things to find; default COCO's 80.
        backbone: a timm network with features at strides 4, 8, 16 and 32 (ResNet, ConvNeXt, Swin), or a
            plain vision transformer of 16-pixel patches.
        queries: how many; at most so many objects an image can hold.
        encoder_layers: of the pixel decoder.
        decoder_layers: of the queries.
        channels: of maps and queries; a multiple of 64.
        encoder_hidden: width of the pixel decoder's feed-forward networks.
        decoder_hidden: width of the queries' feed-forward networks.
        points: points per mask at which masks are compared in training.
        frozen_norms: the backbone's batch norms keep their statistics, as published; False for training
            from scratch.
        checkpointing: training keeps less and computes it again: the same gradients from less memory.
        pretrained: start from timm's ImageNet weights, which are downloaded.
        input: default: shorter side 800, longer at most 1333; normalised as timm says where ``pretrained``.
    """
    labels, spec = classes_of(classes), input_of(input, InputSpec(), backbone if pretrained else None)
    body = timm_features(backbone, STRIDES, pretrained)
    if frozen_norms:
        freeze_batch_norm(body)
    model = Mask2Former(
        labels,
        body,
        PixelDecoder(body.feature_info.channels(), channels, encoder_layers, encoder_hidden),
        MaskedDecoder(len(labels), queries, decoder_layers, channels, decoder_hidden),
        Criterion(len(labels), Weights(), Points(points)),
        spec,
    )
    if checkpointing:
        recompute(model)
    model.settings = {
        "backbone": backbone, "queries": queries, "encoder_layers": encoder_layers,
        "decoder_layers": decoder_layers, "channels": channels, "encoder_hidden": encoder_hidden,
        "decoder_hidden": decoder_hidden, "points": points, "frozen_norms": frozen_norms,
        "checkpointing": checkpointing,
    }  # fmt: skip
    return model


def maskdino(
    classes: ClassesLike = None,
    backbone: str = "resnet50",
    *,
    queries: int = 300,
    encoder_layers: int = 6,
    decoder_layers: int = 9,
    channels: int = 256,
    encoder_hidden: int = 2048,
    decoder_hidden: int = 2048,
    points: int = 12544,
    denoising: int = 100,
    boxes_from_masks: bool = True,
    frozen_norms: bool = True,
    checkpointing: bool = False,
    pretrained: bool = False,
    input: InputLike = None,
) -> MaskDINO:
    """Mask DINO; random weights. 52 million parameters as published, with ResNet-50.

    Args:
        classes: the things to find; default COCO's 80.
        backbone: a timm network with features at strides 4, 8, 16 and 32 (ResNet, ConvNeXt, Swin), or a
            plain vision transformer of 16-pixel patches.
        queries: how many; at most so many objects an image can hold.
        encoder_layers: of the pixel decoder.
        decoder_layers: of the queries.
        channels: of maps and queries; a multiple of 64.
        encoder_hidden: width of the pixel decoder's feed-forward networks; 1024 in the release "hid1024".
        decoder_hidden: width of the queries' feed-forward networks.
        points: points per mask at which masks are compared in training.
        denoising: about so many denoising queries in training.
        boxes_from_masks: the first boxes are drawn around the first masks; False, as in the panoptic
            releases, begins with the cells' own, which learns sooner from random weights.
        frozen_norms: the backbone's batch norms keep their statistics, as published; False for training
            from scratch.
        checkpointing: training keeps less and computes it again: the same gradients from less memory.
        pretrained: start from timm's ImageNet weights, which are downloaded.
        input: default: shorter side 800, longer at most 1333; normalised as timm says where ``pretrained``.
    """
    return _with_boxes(
        MaskDINO, BoxDecoder, BoxCriterion, classes, input, pretrained,
        {
            "backbone": backbone, "queries": queries, "encoder_layers": encoder_layers,
            "decoder_layers": decoder_layers, "channels": channels, "encoder_hidden": encoder_hidden,
            "decoder_hidden": decoder_hidden, "points": points, "denoising": denoising,
            "boxes_from_masks": boxes_from_masks, "frozen_norms": frozen_norms,
            "checkpointing": checkpointing,
        },
    )  # fmt: skip


def dimaskdino(
    classes: ClassesLike = None,
    backbone: str = "resnet50",
    *,
    queries: int = 300,
    encoder_layers: int = 6,
    decoder_layers: int = 6,
    channels: int = 256,
    encoder_hidden: int = 2048,
    decoder_hidden: int = 2048,
    points: int = 12544,
    denoising: int = 100,
    boxes_from_masks: bool = True,
    selected: int = 600,
    guides: int = 50,
    frozen_norms: bool = True,
    checkpointing: bool = False,
    pretrained: bool = False,
    input: InputLike = None,
) -> DIMaskDINO:
    """DI-MaskDINO; random weights. 52 million parameters as published, with ResNet-50.

    Args:
        classes: as :func:`maskdino`, and likewise the rest but:
        backbone: a timm network with features at strides 4, 8, 16 and 32 (ResNet, ConvNeXt, Swin), or a
            plain vision transformer of 16-pixel patches.
        queries: how many; at most so many objects an image can hold.
        encoder_layers: of the pixel decoder.
        decoder_layers: of the queries.
        channels: of maps and queries; a multiple of 64.
        encoder_hidden: width of the pixel decoder's feed-forward networks.
        decoder_hidden: width of the queries' feed-forward networks.
        points: points per mask at which masks are compared in training.
        denoising: about so many denoising queries in training.
        boxes_from_masks: the first boxes are drawn around the first masks, else they are the cells' own.
        selected: cells of the first selection, from which the queries are selected.
        guides: queries that guide the update of the maps.
        frozen_norms: the backbone's batch norms keep their statistics.
        checkpointing: training keeps less and computes it again: the same gradients from less memory.
        pretrained: start from timm's ImageNet weights, which are downloaded.
        input: default: shorter side 800, longer at most 1333; normalised as timm says where ``pretrained``.
    """
    return _with_boxes(
        DIMaskDINO, BalancedDecoder, BalancedCriterion, classes, input, pretrained,
        {
            "backbone": backbone, "queries": queries, "encoder_layers": encoder_layers,
            "decoder_layers": decoder_layers, "channels": channels, "encoder_hidden": encoder_hidden,
            "decoder_hidden": decoder_hidden, "points": points, "denoising": denoising,
            "boxes_from_masks": boxes_from_masks, "selected": selected, "guides": guides,
            "frozen_norms": frozen_norms, "checkpointing": checkpointing,
        },
    )  # fmt: skip


def _with_boxes(
    kind: type[Model],
    decoder: type[BoxDecoder],
    criterion: type[BoxCriterion],
    classes: ClassesLike,
    input: InputLike,
    pretrained: bool,
    settings: dict[str, Any],
) -> Model:
    """A model of Mask DINO's line from its settings."""
    labels = classes_of(classes)
    spec = input_of(input, InputSpec(), settings["backbone"] if pretrained else None)
    body = timm_features(settings["backbone"], STRIDES, pretrained)
    if settings["frozen_norms"]:
        freeze_batch_norm(body)
    order = (8, 16, 32, 64)
    own = ("boxes_from_masks", "selected", "guides")
    more = {name: settings[name] for name in own if name in settings}
    model = kind(
        labels,
        body,
        PixelDecoder(
            body.feature_info.channels(), settings["channels"], settings["encoder_layers"],
            settings["encoder_hidden"], order,
        ),
        decoder(
            len(labels), settings["queries"], settings["decoder_layers"], settings["channels"],
            settings["decoder_hidden"], len(order), **more,
        ),
        criterion(
            len(labels), Weights(classes=4, mask=5, dice=5, box=5, giou=2), Points(settings["points"])
        ),
        spec,
    )  # fmt: skip
    model.noise = Noise(settings["denoising"])
    if settings["checkpointing"]:
        recompute(model)
    model.settings = settings
    return model
