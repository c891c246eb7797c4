"""Which image to label next: where the model is unsure, where it contradicts itself, and what is new to it.

Uncertainty is the mean entropy of the objects' scores (Settles 2009, "Active Learning Literature Survey",
section 3.1). Disagreement is what the model finds on an image and not again on its mirror image (a committee
of two, section 3.2). Diversity takes the image whose pooled features lie farthest from all that are labelled
or chosen already (Sener and Savarese 2018, "Active Learning for Convolutional Neural Networks: A Core-Set
Approach"). Coverage takes the image that stands for most others: the one that most reduces the mean distance
of all images to the nearest labelled one (facility location; Wei, Iyer and Bilmes 2015, "Submodularity in
Data Subset Selection and Active Learning"), so kinds of image are met in proportion and rare ones too.
``mixed`` weighs coverage by the ranks of uncertainty and disagreement. ``coverage`` is the default: it alone
was better than random order by every measure of `benchmarks/label_queue.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from delineate.core.batch import to_rgb_float
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.masks import Masks

Strategy = Literal["coverage", "mixed", "diversity", "uncertainty", "disagreement", "random"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
Predict = Callable[[NDArray[Any]], Instances]
Features = NDArray[np.float32]

THUMBNAIL = 256  # pixels of the longer side for the features
LARGEST = 2048  # pixels of a side that the model looks at: the middle of a larger image
STOOD_FOR = 2000  # images that coverage is reckoned over; more are sampled evenly
AHEAD = 64  # images chosen one after another; the rest follow by what they would add then


@dataclass(frozen=True, eq=False)
class ImageScore:
    """What is known of one image before it is labelled.

    Attributes:
        uncertainty: mean entropy of the objects' scores, 0..1; 1 where nothing was found.
        disagreement: 1 - the share of objects found again in the mirror image, weighed by IoU, 0..1.
        features: (D,) pooled features of length one.
        objects: how many were found.
    """

    uncertainty: float
    disagreement: float
    features: Features
    objects: int


def look_at(image: NDArray[Any], predict: Predict, pool: Callable[[NDArray[Any]], Features]) -> ImageScore:
    """Score one image by a model.

    Args:
        image: (H, W) or (H, W, 3).
        predict: the model, at a low confidence: unsure objects are what tells.
        pool: features of a whole image, see :func:`pooled`.
    """
    height, width = image.shape[:2]
    top, left = max(0, height - LARGEST) // 2, max(0, width - LARGEST) // 2
    part = image[top : top + LARGEST, left : left + LARGEST]
    found = predict(part)
    mirrored = predict(np.ascontiguousarray(part[:, ::-1]))
    return ImageScore(uncertainty(found), disagreement(found, mirrored), pool(image), len(found))


def uncertainty(found: Instances) -> float:
    """Mean binary entropy of the scores in bits; 1 where there are none.

    Example:
        >>> uncertainty(Instances((4, 4), boxes=[[0, 0, 2, 2]], scores=[0.5]))
        1.0
    """
    if not len(found):
        return 1.0
    p = np.clip(found.scores.astype(np.float64), 1e-6, 1 - 1e-6)
    return float(np.mean(-p * np.log2(p) - (1 - p) * np.log2(1 - p)))


def disagreement(found: Instances, mirrored: Instances) -> float:
    """1 - twice the IoU of matched objects over the number of objects in both, in the manner of PQ.

    Args:
        found: objects of an image.
        mirrored: objects of its mirror image, in that one's pixels.
    """
    if found.masks is None or mirrored.masks is None or not (len(found) or len(mirrored)):
        return 0.0
    turned = np.ascontiguousarray(mirrored.masks.to_label_image()[:, ::-1])
    back = Masks.from_label_image(turned, np.arange(1, len(mirrored) + 1))
    i, j, shared = found.masks.intersection_pairs(back)
    iou = shared / (found.masks.area[i] + back.area[j] - shared)
    matched = float(iou[iou > 0.5].sum())  # above one half a match is the only one
    return 1 - 2 * min(matched, len(found), len(mirrored)) / (len(found) + len(mirrored))


def pooled(image: NDArray[Any]) -> Features:
    """(D,) features of a whole image, of length one: the click network's trunk on a thumbnail, pooled."""
    from .click import load_clicker

    look: Any = load_clicker().look
    net = look.net
    scale = THUMBNAIL / max(image.shape[:2])
    shape = tuple(max(32, round(n * scale / 32) * 32) for n in image.shape[:2])
    small = np.asarray(
        cv2.resize(to_rgb_float(image, "percentile"), shape[::-1], interpolation=cv2.INTER_AREA)
    )
    pixels = torch.from_numpy(np.ascontiguousarray(((small - 0.5) / 0.25).transpose(2, 0, 1)))[None]
    with torch.inference_mode():
        x = net.stem(pixels)
        parts = []
        for block in net.down:
            x = block(x)
            parts.append(x.mean((2, 3))[0])
    features = torch.cat([part / part.norm().clamp(min=1e-6) for part in parts])
    found: Features = (features / features.norm()).numpy()
    return found


def order(
    scores: Sequence[ImageScore], labelled: Sequence[Features], strategy: Strategy = "coverage", seed: int = 0
) -> list[tuple[int, str]]:
    """All images, the one to label next first, each with the reason in words.

    Args:
        scores: one per image that has no labels yet.
        labelled: features of the images that have.
        strategy: what counts.
        seed: of the random order.

    Raises:
        InputError: an unknown strategy.
    """
    if strategy not in STRATEGIES:
        raise InputError(
            f"queue: expected one of {', '.join(STRATEGIES)}, got {strategy!r}; choose one of them"
        )
    count = len(scores)
    if not count:
        return []
    unsure = np.array([s.uncertainty for s in scores])
    at_odds = np.array([s.disagreement for s in scores])
    if strategy == "random":
        return [(int(i), "chosen at random") for i in np.random.default_rng(seed).permutation(count)]
    if strategy == "uncertainty":
        return [(int(i), _unsure(unsure[i])) for i in np.argsort(-unsure, kind="stable")]
    if strategy == "disagreement":
        return [(int(i), _at_odds(at_odds[i])) for i in np.argsort(-at_odds, kind="stable")]
    features = np.array([s.features for s in scores])
    new = "unlike the images that are labelled"
    if strategy == "diversity":
        return [(i, new) for i in _farthest(features, labelled)]
    stands = "stands for many images that are not labelled"
    if strategy == "coverage":
        return [(i, stands) for i in _covering(features, labelled, np.ones(count))]
    chosen = _covering(features, labelled, 0.5 + (_ranks(unsure) + _ranks(at_odds)) / 2)
    return [(i, f"{stands}; {_unsure(unsure[i])}; {_at_odds(at_odds[i])}") for i in chosen]


def _farthest(features: Features, labelled: Sequence[Features]) -> list[int]:
    """Greedily the image of the greatest distance to all that are labelled or chosen."""
    left = list(range(len(features)))
    nearest = np.full(len(features), 2.0)
    for known in labelled:
        nearest = np.minimum(nearest, np.linalg.norm(features - known, axis=1))
    chosen: list[int] = []
    while left:
        best = max(left, key=lambda i: nearest[i])
        chosen.append(best)
        left.remove(best)
        nearest = np.minimum(nearest, np.linalg.norm(features - features[best], axis=1))
    return chosen


def _covering(features: Features, labelled: Sequence[Features], weight: NDArray[np.float64]) -> list[int]:
    """Greedily the image of the greatest weighted gain: how much nearer it brings all to a labelled one."""
    others = features[np.linspace(0, len(features) - 1, min(len(features), STOOD_FOR)).astype(int)]
    distance = np.sqrt(np.maximum(0, 2 - 2 * features @ others.T))  # (N, M), features have length one
    nearest = np.full(len(others), 2.0)
    for known in labelled:
        nearest = np.minimum(nearest, np.linalg.norm(others - known, axis=1))
    left = np.ones(len(features), np.bool_)
    chosen: list[int] = []

    def gain() -> NDArray[np.float64]:
        return np.where(left, weight * np.maximum(0, nearest - distance).sum(axis=1), -1.0)

    while len(chosen) < min(AHEAD, len(features)):
        best = int(np.argmax(gain()))
        chosen.append(best)
        left[best] = False
        nearest = np.minimum(nearest, distance[best])
    rest = np.argsort(-gain(), kind="stable")
    return chosen + [int(i) for i in rest if left[i]]


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 for the smallest, 1 for the largest."""
    return np.argsort(np.argsort(values, kind="stable"), kind="stable") / max(1, len(values) - 1)


def _unsure(value: float) -> str:
    return f"unsure of its objects ({value:.2f} of 1)"


def _at_odds(value: float) -> str:
    return f"{100 * value:.0f} % of them are not found again in the mirror image"
