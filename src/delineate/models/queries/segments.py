"""From queries to the class of every pixel, and to segments that do not overlap.

Cheng et al. 2021, "Per-Pixel Classification is Not All You Need for Semantic Segmentation", section 3.4,
after the post-processing of Mask2Former's and Mask DINO's originals. Probabilities at the original size are
made some rows at a time: what the originals hold for every query and pixel at once never exists.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from delineate.core.batch import Batch
from delineate.core.enlarge import to_original
from delineate.core.labels import Labels
from delineate.core.panoptic import Panoptic
from delineate.core.panoptic_queries import segments_of_winners
from delineate.core.semantic import Semantic

from .decoder import Prediction

AT_ONCE = 4_000_000
"""So many numbers of a strip of rows are held at once, 16 MB."""


class Ranking(NamedTuple):
    """How queries compete for pixels.

    Attributes:
        shares: (B, Q, K) how much each query stands for each class.
        sure: (B, Q) 0..1 how sure a query is to be something; the sure ones make segments.
    """

    shares: Tensor
    sure: Tensor


def semantic_of(
    shares: Tensor, prediction: Prediction, batch: Batch, image: int, classes: Labels
) -> Semantic:
    """The class of every pixel of one image.

    Args:
        shares: (Q, K).
        prediction: of the batch.
        batch: tells the frames.
        image: its index in the batch.
        classes: K names.
    """
    result = np.empty(batch.originals[image], dtype=np.int16)
    for top, logits in strips(prediction, prediction.vectors[image], batch, image, len(classes)):
        votes = shares.T @ logits.sigmoid_().flatten(1)  # (K, R * W)
        best = votes.argmax(0).view(logits.shape[1:])
        result[top : top + len(best)] = best.to(torch.int16).cpu().numpy()
    return Semantic(result, classes)


def panoptic_of(
    ranking: Ranking,
    prediction: Prediction,
    batch: Batch,
    image: int,
    classes: Labels,
    confidence: float,
    visible: float,
) -> Panoptic:
    """The segments of one image, numbered in the order of the queries.

    Each pixel goes to the query with the largest product of score and mask probability, if that probability
    is one half or more. Stuff of one class is one segment.

    Args:
        ranking: of the batch.
        prediction: of the batch.
        batch: tells the frames.
        image: its index in the batch.
        classes: K names, which tell things from stuff.
        confidence: queries that are surer than this take part.
        visible: a query is left out if it wins less than this part of its own mask.
    """
    kept = torch.nonzero(ranking.sure[image] > confidence)[:, 0]
    score, label = ranking.shares[image][kept].max(1)
    count = len(kept)
    winner = np.zeros(batch.originals[image], dtype=np.int32)  # query + 1 where its mask is above one half
    own, won, both = (np.zeros(count, dtype=np.int64) for _ in range(3))  # pixels per query
    for top, logits in strips(prediction, prediction.vectors[image][kept], batch, image, 0):
        chance = logits.sigmoid_()  # (N, R, W)
        own += (chance >= 0.5).flatten(1).sum(1).cpu().numpy()
        best = (score[:, None, None] * chance).argmax(0)  # (R, W)
        won += torch.bincount(best.flatten(), minlength=count).cpu().numpy()
        inside = chance.gather(0, best[None])[0] >= 0.5
        number = torch.where(inside, best + 1, 0).cpu().numpy()
        both += np.bincount(number.ravel(), minlength=count + 1)[1:]
        winner[top : top + len(number)] = number
    labels = label.cpu().numpy()
    able = (both > 0) & (won / np.maximum(own, 1) >= visible)
    scores = ranking.sure[image][kept].float().cpu().numpy()
    return segments_of_winners(winner, able, labels, scores, classes)


def strips(
    prediction: Prediction, vectors: Tensor, batch: Batch, image: int, classes: int
) -> Iterator[tuple[int, Tensor]]:
    """Mask logits of some queries in the original's pixels, a strip of rows at a time.

    Args:
        prediction: of the batch.
        vectors: (N, C) of the queries.
        batch: tells the frames.
        image: its index in the batch.
        classes: so many more numbers per pixel will be held by whoever asks.

    Yields:
        The strip's first row, and its (N, R, W) float32 logits. Nothing where there are no queries.
    """
    if not len(vectors):
        return
    features = prediction.features[image]
    maps = (vectors @ features.flatten(1)).view(-1, *features.shape[1:]).float()  # (N, h, w)
    size, original = batch.sizes[image], batch.originals[image]
    rows, columns = (
        to_original(features.shape[1 + axis], int(batch.images.shape[2 + axis]), size[axis], original[axis])
        for axis in (0, 1)
    )
    across = torch.from_numpy(columns.T.copy()).to(maps.device)  # (w, W)
    step = max(1, AT_ONCE // ((len(vectors) + classes) * original[1]))
    for top in range(0, original[0], step):
        part = rows[top : top + step]
        used = np.flatnonzero(part.any(0))
        first, last = int(used[0]), int(used[-1]) + 1
        down = torch.from_numpy(part[:, first:last].copy()).to(maps.device)  # (R, some of h)
        yield top, down @ (maps[:, first:last] @ across)
