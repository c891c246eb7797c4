"""From queries to instances in the pixels of the original image.

Cheng et al. 2022, "Mask2Former", section 4.2, after the original's post-processing: logits are enlarged
to the network's padded frame, cut to the image, and resized to the original; a mask is where they are above
0. Both resizings are linear, so they are one pair of small matrices; only the part of each map that can come
out above 0 is multiplied.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from delineate.core.batch import Batch
from delineate.core.enlarge import cut_masks, to_original
from delineate.core.instances import Instances
from delineate.core.labels import Labels

from .boxes import corners
from .decoder import Prediction


def best_pairs(scores: Tensor, limit: int) -> tuple[Tensor, Tensor, Tensor]:
    """The ``limit`` best of (Q, K) scores: their scores, queries and classes, best first."""
    best = scores.flatten().topk(min(limit, scores.numel()))
    return best.values, best.indices // scores.shape[1], best.indices % scores.shape[1]


def instances_of(
    scores: Tensor,
    prediction: Prediction,
    batch: Batch,
    image: int,
    classes: Labels,
    limit: int,
    confidence: float,
) -> Instances:
    """The objects of one image.

    Args:
        scores: (Q, K) probabilities. A query may give several objects, one per class.
        prediction: of the batch.
        batch: tells the frames.
        image: its index in the batch.
        classes: K names; stuff is no object.
        limit: so many pairs of query and class are considered.
        confidence: objects with a score above it are kept; empty masks never are.

    Returns:
        Scores are class probability times mean mask probability. Boxes are the queries' own where they have
        some, else those of the masks.
    """
    vectors, features = prediction.vectors[image], prediction.features[image]
    size, original = batch.sizes[image], batch.originals[image]
    padded = (int(batch.images.shape[2]), int(batch.images.shape[3]))
    score, query, label = best_pairs(scores, limit)
    things = torch.tensor(classes.things, device=label.device)
    near = (score > confidence) & things[label]  # the mask's factor only lowers a score
    score, query, label = score[near], query[near], label[near]
    unique, which = torch.unique(query, return_inverse=True)
    logits = (
        torch.unflatten(vectors[unique] @ features.flatten(1), 1, features.shape[1:]).float().cpu().numpy()
    )
    rows, columns = (
        to_original(features.shape[1 + axis], padded[axis], size[axis], original[axis]) for axis in (0, 1)
    )
    cut, sure = cut_masks(logits, rows, columns)
    which_mask = which.cpu().numpy()
    masks = cut[which_mask]
    boxes = masks.boxes
    if prediction.boxes is not None:
        scale = prediction.boxes.new_tensor([padded[1], padded[0]] * 2)
        pixels = corners(prediction.boxes[image][query]) * scale  # of the padded frame
        boxes = batch.boxes_to_original(image, pixels.float().cpu().numpy())
    found = Instances(
        original,
        boxes=boxes,
        labels=label.cpu().numpy(),
        scores=np.minimum(score.float().cpu().numpy() * sure[which_mask], 1),
        masks=masks,
        classes=classes,
    )
    return found[(found.scores > confidence) & (found.area > 0)]
