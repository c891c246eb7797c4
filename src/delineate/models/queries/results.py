"""From queries to instances in the pixels of the original image.

Cheng et al. 2022, "Mask2Former", section 4.2, after the original's post-processing: logits are enlarged
to the network's padded frame, cut to the image, and resized to the original; a mask is where they are above
0. Both resizings are linear, so they are one pair of small matrices; only the part of each map that can come
out above 0 is multiplied.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from delineate.core.batch import Batch
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks

from .boxes import corners
from .decoder import Prediction

Floats = NDArray[np.float32]


def resize_matrix(old: int, new: int) -> Floats:
    """(new, old) weights of a bilinear resize along one axis, pixel centres aligned, as torch's."""
    matrix = np.zeros((new, old), dtype=np.float32)
    place = np.maximum(
        (np.arange(new, dtype=np.float32) + np.float32(0.5)) * np.float32(old / new) - np.float32(0.5), 0
    )
    low = np.minimum(place.astype(np.int64), old - 1)
    high = np.minimum(low + 1, old - 1)
    share = place - low
    rows = np.arange(new)
    np.add.at(matrix, (rows, low), 1 - share)
    np.add.at(matrix, (rows, high), share)
    return matrix


def to_original(cells: int, padded: int, inner: int, original: int) -> Floats:
    """(original, cells) weights along one axis: cells -> padded, cut to ``inner`` -> original pixels."""
    enlarged = resize_matrix(cells, padded)[:inner]
    return enlarged if inner == original else resize_matrix(inner, original) @ enlarged


def cut_masks(logits: Floats, rows: Floats, columns: Floats) -> tuple[Masks, Floats]:
    """Masks of enlarged logits, and how sure they are.

    Args:
        logits: (N, h, w).
        rows: (H, h) weights, see :func:`to_original`.
        columns: (W, w).

    Returns:
        N masks of H x W, and (N,) the mean probability of their pixels, 0 for an empty mask.
    """
    size = (rows.shape[0], columns.shape[0])
    touched_rows, touched_columns = rows > 0, columns > 0
    crops: list[NDArray[np.bool_]] = []
    corners: list[tuple[int, int]] = []
    sure = np.zeros(len(logits), dtype=np.float32)
    for i, logit in enumerate(logits):
        inside = logit > 0
        above, beside = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        if not len(above):
            crops.append(np.zeros((0, 0), dtype=np.bool_))
            corners.append((0, 0))
            continue
        # output pixels to which a cell above 0 contributes, then all cells that contribute to those
        y = _span(touched_rows[:, above[0] : above[-1] + 1].any(1))
        x = _span(touched_columns[:, beside[0] : beside[-1] + 1].any(1))
        v = _span(touched_rows[y].any(0))
        u = _span(touched_columns[x].any(0))
        values = rows[y, v] @ logit[v, u] @ columns[x, u].T
        crop = values > 0
        crops.append(crop)
        corners.append((x.start, y.start))
        if crop.any():
            sure[i] = (1 / (1 + np.exp(-values[crop]))).sum() / (np.count_nonzero(crop) + 1e-6)
    return Masks.from_crops(crops, np.array(corners, dtype=np.int64).reshape(-1, 2), size), sure


def _span(flags: Any) -> slice:
    """From the first to the last True; empty where there is none."""
    at = np.flatnonzero(flags)
    return slice(int(at[0]), int(at[-1]) + 1) if len(at) else slice(0, 0)


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
