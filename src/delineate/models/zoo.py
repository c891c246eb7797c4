"""Every model by name: who builds it, where its weights lie, under which licence.

Looking a name up imports no torch: a builder is written ``"module:function"`` and found when it is called.
A new model is a builder in its family's file and one entry here.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from delineate.core.errors import InputError
from delineate.core.labels import Labels

if TYPE_CHECKING:
    from .base import Segmenter


@dataclass(frozen=True)
class Entry:
    """One name of the zoo.

    Attributes:
        builder: ``"module:function"``; ``function(**kwargs)`` gives a :class:`Segmenter` without weights.
        summary: one line for people.
        kwargs: settings of the builder that this name stands for.
        url: https address of published weights, or None.
        file: name of a weights file inside the package's ``weights`` folder, or None.
        sha256: 64 hexadecimal digits of the weights' SHA-256, or its first digits, eight or more, where
            the publisher gives no more (torchvision writes eight into the file name). A prefix finds damage
            and mix-ups; it is no proof against forgery, which https is there for.
        megabytes: size of the weights file in 10^6 bytes, 0 for none; what people are told beforehand.
        licence: SPDX name of the weights' licence, or of the code where there are no weights.
        classes: what the weights know; None: the builder's default, or what training gives it.

    Raises:
        InputError: both ``url`` and ``file``, or a hash that is too short or not hexadecimal.
    """

    builder: str
    summary: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    url: str | None = None
    file: str | None = None
    sha256: str = ""
    megabytes: float = 0.0
    licence: str = "Apache-2.0"
    classes: Labels | None = None

    def __post_init__(self) -> None:
        if self.url and self.file:
            raise InputError("zoo entry: expected a url or a packaged file, got both; keep one")
        digits = set(self.sha256.lower()) <= set("0123456789abcdef") and len(self.sha256) <= 64
        if (self.url and len(self.sha256) < 8) or not digits:
            raise InputError(
                f"zoo entry: expected 8 to 64 hexadecimal digits of SHA-256, got {self.sha256!r}; "
                "give the weights' hash"
            )

    @property
    def source(self) -> Literal["embedded", "download", "none"]:
        """Where weights come from: inside the package, over the network on first use, or nowhere."""
        if self.file:
            return "embedded"
        return "download" if self.url else "none"

    def load_builder(self) -> Callable[..., Segmenter]:
        """The builder function itself; imports its module."""
        module, _, function = self.builder.partition(":")
        builder: Callable[..., Segmenter] = getattr(import_module(module), function)
        return builder


_PUBLISHED = "https://download.pytorch.org/models/"
_R_CNN = "delineate.models.mask_rcnn"

ZOO: dict[str, Entry] = {
    "nuclei": Entry(
        builder="delineate.models.center_offset:center_offset",
        summary="cell nuclei in fluorescence, stained tissue and brightfield, at unknown magnification",
        kwargs={"classes": Labels(("nucleus",))},
        file="nuclei.safetensors",
        sha256="d090b33872ce5cf2cd2157b1d157f335e9d32e84c3a1d6339d858854b734b01d",
        megabytes=7.8,
        licence="CC0-1.0",
        classes=Labels(("nucleus",)),
    ),
    "maskrcnn_resnet50_fpn_coco": Entry(
        builder=f"{_R_CNN}:maskrcnn_resnet50_fpn",
        summary="COCO's 80 things: Mask R-CNN, ResNet-50-FPN, torchvision's v1 weights, mask AP 34.6",
        kwargs={"norm_eps": 0.0},  # the published statistics already hold the epsilon
        url=f"{_PUBLISHED}maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth",
        sha256="bf2d0c1e",
        megabytes=178.1,
        licence="BSD-3-Clause",
    ),
    "maskrcnn_resnet50_fpn_v2_coco": Entry(
        builder=f"{_R_CNN}:maskrcnn_resnet50_fpn_v2",
        summary="COCO's 80 things: Mask R-CNN, ResNet-50-FPN, torchvision's v2 weights, mask AP 41.8",
        url=f"{_PUBLISHED}maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth",
        sha256="73cbd019",
        megabytes=185.8,
        licence="BSD-3-Clause",
    ),
    "fasterrcnn_resnet50_fpn_coco": Entry(
        builder=f"{_R_CNN}:fasterrcnn_resnet50_fpn",
        summary="COCO's 80 things, boxes only: Faster R-CNN, torchvision's v1 weights, box AP 37.0",
        kwargs={"norm_eps": 0.0},
        url=f"{_PUBLISHED}fasterrcnn_resnet50_fpn_coco-258fb6c6.pth",
        sha256="258fb6c6",
        megabytes=167.5,
        licence="BSD-3-Clause",
    ),
    "fasterrcnn_resnet50_fpn_v2_coco": Entry(
        builder=f"{_R_CNN}:fasterrcnn_resnet50_fpn_v2",
        summary="COCO's 80 things, boxes only: Faster R-CNN, torchvision's v2 weights, box AP 46.7",
        url=f"{_PUBLISHED}fasterrcnn_resnet50_fpn_v2_coco-dd69338a.pth",
        sha256="dd69338a",
        megabytes=175.2,
        licence="BSD-3-Clause",
    ),
    "mask_rcnn": Entry(
        builder=f"{_R_CNN}:mask_rcnn",
        summary="Mask R-CNN on any timm backbone with a feature pyramid, to be trained",
    ),
    "maskrcnn_resnet50_fpn": Entry(
        builder=f"{_R_CNN}:maskrcnn_resnet50_fpn",
        summary="Mask R-CNN as torchvision's v1 builds it, to be trained",
    ),
    "maskrcnn_resnet50_fpn_v2": Entry(
        builder=f"{_R_CNN}:maskrcnn_resnet50_fpn_v2",
        summary="Mask R-CNN as torchvision's v2 builds it, to be trained",
    ),
    "faster_rcnn": Entry(
        builder=f"{_R_CNN}:faster_rcnn",
        summary="Faster R-CNN, boxes only, on any timm backbone with a feature pyramid, to be trained",
    ),
    "fasterrcnn_resnet50_fpn": Entry(
        builder=f"{_R_CNN}:fasterrcnn_resnet50_fpn",
        summary="Faster R-CNN as torchvision's v1 builds it, boxes only, to be trained",
    ),
    "fasterrcnn_resnet50_fpn_v2": Entry(
        builder=f"{_R_CNN}:fasterrcnn_resnet50_fpn_v2",
        summary="Faster R-CNN as torchvision's v2 builds it, boxes only, to be trained",
    ),
    "yolo_seg_n": Entry(
        builder="delineate.models.yolo_seg:yolo_seg",
        summary="one-stage segmenter of the YOLO family, nano, to be trained",
        kwargs={"size": "n"},
    ),
    "yolo_seg_s": Entry(
        builder="delineate.models.yolo_seg:yolo_seg",
        summary="one-stage segmenter of the YOLO family, small, to be trained",
        kwargs={"size": "s"},
    ),
    "yolo_seg_m": Entry(
        builder="delineate.models.yolo_seg:yolo_seg",
        summary="one-stage segmenter of the YOLO family, medium, to be trained",
        kwargs={"size": "m"},
    ),
    "yolo_seg_l": Entry(
        builder="delineate.models.yolo_seg:yolo_seg",
        summary="one-stage segmenter of the YOLO family, large, to be trained",
        kwargs={"size": "l"},
    ),
    "yolact": Entry(
        builder="delineate.models.yolact:yolact",
        summary="YOLACT on any timm backbone, prototypes mixed per object, to be trained",
    ),
    "yolact_resnet50": Entry(
        builder="delineate.models.yolact:yolact",
        summary="YOLACT-550, ResNet-50-FPN; takes the released yolact_resnet50_54_800000.pth",
        kwargs={"backbone": "resnet50"},
    ),
    "yolact_resnet101": Entry(
        builder="delineate.models.yolact:yolact",
        summary="YOLACT-550, ResNet-101-FPN; takes the released yolact_base_54_800000.pth",
        kwargs={"backbone": "resnet101"},
    ),
    "yolact_darknet53": Entry(
        builder="delineate.models.yolact:yolact",
        summary="YOLACT-550, DarkNet-53-FPN; takes the released yolact_darknet53_54_800000.pth",
        kwargs={"backbone": "darknet53"},
    ),
    "yolact_plus_resnet50": Entry(
        builder="delineate.models.yolact:yolact",
        summary="YOLACT++'s anchors and mask rating, without its deformable convolutions, to be trained",
        kwargs={"backbone": "resnet50", "square_anchors": False, "anchor_steps": 3, "mask_rating": True},
    ),
    "mask2former": Entry(
        builder="delineate.models.queries.build:mask2former",
        summary="Mask2Former on any timm backbone: queries that look where their mask is, to be trained",
    ),
    "mask2former_resnet50": Entry(
        builder="delineate.models.queries.build:mask2former",
        summary="Mask2Former, ResNet-50, as published for COCO instances; takes the original's weights",
    ),
    "mask2former_swin_tiny": Entry(
        builder="delineate.models.queries.build:mask2former",
        summary="Mask2Former, Swin-T, as published for COCO instances; takes the original's weights",
        kwargs={"backbone": "swin_tiny_patch4_window7_224"},
    ),
    "maskdino": Entry(
        builder="delineate.models.queries.build:maskdino",
        summary="Mask DINO: queries with boxes and masks, trained also by denoising; any timm backbone",
    ),
    "maskdino_resnet50": Entry(
        builder="delineate.models.queries.build:maskdino",
        summary="Mask DINO, ResNet-50, as published for COCO; takes the original's weights",
    ),
    "dimaskdino": Entry(
        builder="delineate.models.queries.build:dimaskdino",
        summary="DI-MaskDINO: Mask DINO with balanced queries and updated maps; any timm backbone",
    ),
    "dimaskdino_resnet50": Entry(
        builder="delineate.models.queries.build:dimaskdino",
        summary="DI-MaskDINO, ResNet-50, as published for COCO; takes the original's weights",
    ),
    "panoptic_fpn": Entry(
        builder=f"{_R_CNN}:mask_rcnn",
        summary="Panoptic FPN: Mask R-CNN with a branch for stuff on the same pyramid, to be trained",
        kwargs={"stuff": True},
    ),
    "semantic_fpn": Entry(
        builder="delineate.models.semantic_fpn:semantic_fpn",
        summary="the class of every pixel by a feature pyramid on any timm backbone, to be trained",
    ),
    "center_offset": Entry(
        builder="delineate.models.center_offset:center_offset",
        summary="small dense network for many like objects; each pixel points at its object's centre",
    ),
}


def find(name: str) -> Entry:
    """The entry of ``name``.

    Raises:
        InputError: no such name; the message lists the nearest ones.

    Example:
        >>> find("nuclei").source
        'embedded'
    """
    if name in ZOO:
        return ZOO[name]
    near = difflib.get_close_matches(name, ZOO, n=3, cutoff=0.5) or list(ZOO)
    raise InputError(
        f"model {name!r}: expected a name of the zoo, got none of them; "
        f"try {', '.join(near)}, or see `delineate models`"
    )


def build(name: str, **settings: Any) -> Segmenter:
    """The architecture of ``name`` with fresh weights.

    Args:
        name: a key of :data:`ZOO`.
        **settings: the builder's settings; they go before the entry's own.

    Returns:
        A :class:`Segmenter`; its weights are loaded by :func:`delineate.load`.

    Raises:
        InputError: unknown name, or settings that the builder refuses.
    """
    entry = find(name)
    return entry.load_builder()(**{**entry.kwargs, **settings})
