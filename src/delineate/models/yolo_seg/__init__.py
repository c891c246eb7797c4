"""The YOLO-like one-stage segmenter: parts, model, builder."""

from .build import yolo_seg
from .losses import LossSettings
from .model import Chosen, Dense, Limits, YoloSeg

__all__ = ["Chosen", "Dense", "Limits", "LossSettings", "YoloSeg", "yolo_seg"]
