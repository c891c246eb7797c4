"""YOLACT and the parts of YOLACT++ that need no deformable convolution (Bolya et al. 2019, 2020)."""

from .build import yolact
from .choose import Limits
from .losses import Training
from .model import Outputs, Yolact

__all__ = ["Limits", "Outputs", "Training", "Yolact", "yolact"]
