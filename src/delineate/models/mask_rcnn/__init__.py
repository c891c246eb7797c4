"""Faster R-CNN and Mask R-CNN (Ren et al. 2015; He et al. 2017) on a feature pyramid."""

from ..coco import COCO
from .build import (
    faster_rcnn,
    fasterrcnn_resnet50_fpn,
    fasterrcnn_resnet50_fpn_v2,
    mask_rcnn,
    maskrcnn_resnet50_fpn,
    maskrcnn_resnet50_fpn_v2,
)
from .model import FasterRCNN, MaskRCNN, Outputs
from .torchvision_weights import load_torchvision_state_dict

__all__ = [
    "COCO",
    "FasterRCNN",
    "MaskRCNN",
    "Outputs",
    "faster_rcnn",
    "fasterrcnn_resnet50_fpn",
    "fasterrcnn_resnet50_fpn_v2",
    "load_torchvision_state_dict",
    "mask_rcnn",
    "maskrcnn_resnet50_fpn",
    "maskrcnn_resnet50_fpn_v2",
]
