"""Models of `runtimes.py`: named ones, and seeded ones that find about as much as trained ones do.

Random weights as such find nothing, so that nothing after the network would be timed. Mask R-CNN's layers are
scaled one by one on the picture until it finds well over 100 objects of many classes (torchvision's model,
whose weights ours takes over: both find the same). Of a YOLO's points 300 pass the confidence. Queries always
give their 100 best.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "models"))

PASSING = 300  # points of a seeded YOLO above its confidence
SEEDED = "seeded:"


def sides(text: str) -> tuple[int, int]:
    """(height, width) of "800x1088" or "640"."""
    numbers = [int(part) for part in text.split("x")]
    return numbers[0], numbers[-1]


def prepare(name: str, given: str, files: list[Path], folder: Path) -> None:
    """Weights and images of a model, once: ``model.safetensors``, ``*.png``, for R-CNNs ``peer.safetensors``.

    Args:
        name: of the zoo, or "seeded:" and a builder's.
        given: its weights file, where it has one; of seeded ones the size of the picture.
        files: images to look at, for named ones.
        folder: to write into.
    """
    from delineate.engine.load import Model, load

    folder.mkdir(parents=True, exist_ok=True)
    if not name.startswith(SEEDED):
        for path in files:
            (folder / path.name).write_bytes(path.read_bytes())
        (load(weights=given) if given else load(name)).save(folder / "model.safetensors")
        return
    from torchvision_peers import picture

    image = picture(*sides(given), seed=1)
    cv2.imwrite(str(folder / "picture.png"), image)
    Model(seeded(name.removeprefix(SEEDED), image, folder)).save(folder / "model.safetensors")


def seeded(builder: str, image: np.ndarray, folder: Path) -> Any:
    """A model with random weights that finds objects in a picture of its own size."""
    from delineate.models.zoo import build

    torch.manual_seed(0)
    low, high = min(image.shape[:2]), max(image.shape[:2])
    spec = {"shortest_edge": low, "longest_edge": high}
    if builder.startswith("maskrcnn"):
        from safetensors.torch import save_file

        from delineate.core.labels import Labels
        from delineate.models.mask_rcnn import load_torchvision_state_dict

        peer = torchvision_model(builder, image)
        save_file({k: v.contiguous() for k, v in peer.state_dict().items()}, folder / "peer.safetensors")
        classes = Labels(tuple(f"class {i}" for i in range(1, 91)))
        return load_torchvision_state_dict(build(builder, classes=classes, input=spec), peer.state_dict())
    model = build(builder.removesuffix("_resnet50"), input=spec)
    if not builder.startswith("yolo_seg"):
        return model.eval()
    return _passing(builder, model, image, spec)


def _passing(builder: str, model: Any, image: np.ndarray, spec: dict[str, int]) -> Any:
    """The same with statistics of real activations and a confidence that PASSING points exceed."""
    from delineate.core.batch import collate
    from delineate.models.zoo import build

    batch = collate([image], model.input).images
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None  # the mean of what is seen
    with torch.no_grad():
        model.train()(batch)
        scores = model.eval()(batch).logits.max(-1).values.sigmoid().flatten()
    limits = {"confidence": float(scores.topk(PASSING + 1).values[-1])}
    again = build(builder, input=spec, limits=limits)
    again.load_state_dict(model.state_dict())
    return again.eval()


def torchvision_model(builder: str, image: np.ndarray, weights: Path | None = None) -> Any:
    """torchvision's Mask R-CNN for pictures of this size, scaled on it or with weights written before."""
    from safetensors.torch import load_file
    from torchvision.models import resnet50
    from torchvision.models.detection import maskrcnn_resnet50_fpn_v2
    from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor
    from torchvision.models.detection.mask_rcnn import MaskRCNN
    from torchvision.ops.misc import FrozenBatchNorm2d
    from torchvision_peers import calibrate

    if builder.endswith("v2"):
        model: Any = maskrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None)
    else:
        body = resnet50(weights=None, norm_layer=FrozenBatchNorm2d)
        model = MaskRCNN(_resnet_fpn_extractor(body, 5), 91)
    model.transform.min_size, model.transform.max_size = (min(image.shape[:2]),), max(image.shape[:2])
    if weights is not None:
        model.load_state_dict(load_file(weights))
        return model.eval()
    return calibrate(model, background=4.0, image=image).eval()
