"""torchvision's models with seeded random weights that find objects, for comparison."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models import resnet50
from torchvision.models.detection import maskrcnn_resnet50_fpn, maskrcnn_resnet50_fpn_v2
from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor
from torchvision.models.detection.mask_rcnn import MaskRCNN
from torchvision.ops.misc import FrozenBatchNorm2d

from delineate.models.mask_rcnn.boxes import SamplingSettings
from delineate.models.mask_rcnn.proposals import ProposalSettings

SMALL = {  # images and proposals; the latter as in FEWER and SAMPLED
    "min_size": 128,
    "max_size": 200,
    "rpn_pre_nms_top_n_test": 200,
    "rpn_post_nms_top_n_test": 100,
    "rpn_pre_nms_top_n_train": 300,
    "rpn_post_nms_top_n_train": 200,
    "box_batch_size_per_image": 96,
}
FEWER = ProposalSettings(before_nms=200, after_nms=100, before_nms_training=300, after_nms_training=200)
SAMPLED = SamplingSettings(samples=96)
# Standard deviation of a layer's output over the calibration picture, where not 1. Residual branches have
# 0.25: with 1 a random network makes much of rounding.
SPREAD = {
    "rpn.head.bbox_pred": 0.3,
    "rpn.head.cls_logits": 2.0,
    "roi_heads.box_predictor.cls_score": 3.5,
    "roi_heads.mask_predictor.mask_fcn_logits": 3.0,
}
AFFINE = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.BatchNorm2d, FrozenBatchNorm2d)


@torch.no_grad()
def calibrate(model: nn.Module, background: float = 14.0, image: np.ndarray | None = None) -> nn.Module:
    """Random weights that find objects of many classes: every layer centred and scaled on one picture.

    Layer by layer while the picture runs through (Mishkin and Matas 2016, "All you need is a good init").
    """
    generator = torch.Generator().manual_seed(0)
    for name, value in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        value.copy_(torch.randn(value.shape, generator=generator))
        if name.endswith("running_var"):
            value.copy_(1 + value.abs())

    def scale(name: str, done: list[bool], module: nn.Module, _: object, output: Tensor) -> Tensor:
        if done:  # a head that the levels share is scaled on the first
            return output
        done.append(True)
        dims = [d for d in range(output.ndim) if d != 1]
        mean = output.mean(dims)
        factor = (
            SPREAD.get(name, 0.25 if name.endswith("bn3") else 1.0)
            / (output - mean.view([-1 if d == 1 else 1 for d in range(output.ndim)])).std()
        )
        if module.bias is not None:
            module.bias.sub_(mean)
            module.bias.mul_(factor)
        module.weight.mul_(factor)
        return module(*_)  # type: ignore[operator]

    hooks = []
    for name, module in model.named_modules():
        if isinstance(module, AFFINE):
            hooks.append(module.register_forward_hook(functools.partial(scale, name, [])))
    model.eval()
    model([tensor(picture(128, 160, seed=99) if image is None else image)])
    for hook in hooks:
        hook.remove()
    model.roi_heads.box_predictor.cls_score.bias[0] += background  # type: ignore[union-attr,index]
    return model


@functools.cache
def v1(frozen: bool = True) -> nn.Module:
    """Mask R-CNN v1, with frozen batch norm as when its weights are loaded."""
    if not frozen:
        return calibrate(maskrcnn_resnet50_fpn(weights=None, weights_backbone=None, **SMALL)).eval()
    body = resnet50(weights=None, norm_layer=FrozenBatchNorm2d)
    return calibrate(MaskRCNN(_resnet_fpn_extractor(body, 5), 91, **SMALL)).eval()


@functools.cache
def v2() -> nn.Module:
    return calibrate(maskrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None, **SMALL)).eval()


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """(H, W, 3) uint8: blocks of colour and noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (-(-height // 16), -(-width // 16), 3), dtype=np.uint8)
    fine = rng.integers(0, 60, (height, width, 3), dtype=np.uint8)
    return (np.kron(coarse, np.ones((16, 16, 1), np.uint8))[:height, :width] // 2 + fine).astype(np.uint8)


def tensor(image: np.ndarray) -> Tensor:
    """As torchvision wants it: (3, H, W) float32 in 0..1."""
    return torch.from_numpy(image.transpose(2, 0, 1).astype(np.float32) / np.float32(255))
