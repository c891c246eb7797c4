"""Training targets of the mask head: the true mask inside each proposal, on the head's grid.

He et al. 2017, "Mask R-CNN", section 3 ("Mask Representation": the target is the intersection of an RoI and
its ground-truth mask).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import roi_align

from delineate.core.masks import Masks

MARGIN = 2  # zeros around a crop: RoIAlign extends the outermost pixels of what it is given by one


def crop_targets(masks: Masks, matched: Tensor, boxes: Tensor, size: int = 28) -> Tensor:
    """(P, size, size) float32 in 0..1: how much of each cell of its box the matched mask covers.

    Only masks that are matched are decoded, each in its own crop; the values are RoIAlign's on the full mask.

    Args:
        masks: of one image, in the network's frame.
        matched: (P,) index into ``masks`` for every box.
        boxes: (P, 4) xyxy in pixels of the network's frame, inside the image.
        size: side of the mask head's output grid.
    """
    owner = matched.detach().cpu().numpy()
    rois = boxes.detach().cpu().float()
    targets = torch.zeros(len(rois), size, size)
    for index in np.unique(owner):
        crop, (x, y) = _with_margin(masks, int(index))
        at = torch.from_numpy(np.flatnonzero(owner == index))
        shifted = rois[at] - torch.tensor([x, y, x, y], dtype=torch.float32)
        plane = torch.from_numpy(crop)[None, None].float()
        targets[at] = roi_align(plane, [shifted], size, 1.0, -1, aligned=False)[:, 0]
    return targets.to(boxes.device)


def _with_margin(masks: Masks, index: int) -> tuple[np.ndarray, tuple[int, int]]:
    """One mask's crop with a margin of zeros, cut at the image's border, and its top-left (x, y)."""
    crop, (x, y) = masks.crop(index)
    height, width = masks.size
    top, left = min(MARGIN, y), min(MARGIN, x)
    bottom = min(MARGIN, height - y - crop.shape[0])
    right = min(MARGIN, width - x - crop.shape[1])
    return np.pad(crop, ((top, bottom), (left, right))), (x - left, y - top)
