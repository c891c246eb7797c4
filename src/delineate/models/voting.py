"""From per-pixel votes to objects: follow the offsets, gather where they rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks


@dataclass(frozen=True)
class Grouping:
    """How votes become objects.

    Attributes:
        foreground: pixels whose best class probability is above it belong to objects, 0..1.
        steps: how often the offsets are followed.
        reach: votes that come to rest within so many pixels of each other are one object.
        min_votes: a resting place needs so many votes to found an object.
        min_area: smaller objects are dropped, in pixels of the network frame.
    """

    foreground: float = 0.5
    steps: int = 8
    reach: int = 1
    min_votes: float = 6.0
    min_area: int = 20

    def __post_init__(self) -> None:
        if not 0 < self.foreground < 1:
            raise InputError(
                f"grouping.foreground: expected a number between 0 and 1, got {self.foreground}; try 0.5"
            )
        for name, high in (("steps", 1000), ("reach", 100), ("min_area", 10**9)):
            value = getattr(self, name)
            if type(value) is not int or not 0 <= value <= high:
                raise InputError(f"grouping.{name}: expected a whole number in 0..{high}, got {value!r}")
        if not isinstance(self.min_votes, int | float) or not 0 <= self.min_votes <= 1e9:
            raise InputError(f"grouping.min_votes: expected a number from 0 up, got {self.min_votes!r}")


def group_votes(
    logits: NDArray[np.float32],
    offsets: NDArray[np.float32],
    classes: Labels,
    grouping: Grouping,
    confidence: float = 0.0,
) -> Instances:
    """Objects from one image's maps.

    Args:
        logits: (K, H, W) class logits.
        offsets: (2, H, W) dx, dy in pixels to the object's centre.
        classes: K names.
        grouping: the settings.
        confidence: objects with a score above it are kept, 0..1.

    Returns:
        Non-overlapping objects. A score is the class's mean probability over the object's pixels, stretched
        so that 0 is the foreground threshold and 1 is certainty.
    """
    size = (int(logits.shape[1]), int(logits.shape[2]))
    level = np.float32(np.log(grouping.foreground / (1 - grouping.foreground)))
    y, x = np.nonzero(logits.max(axis=0) > level)
    if not len(y):
        return Instances.empty(size, classes)
    rest_y, rest_x = follow(y, x, offsets, grouping.steps)
    places = resting_places(rest_y, rest_x, size, grouping)
    labels = np.zeros(size, dtype=np.int32)
    labels[y, x] = places[rest_y, rest_x]
    found = _instances(_tidy(labels, grouping.min_area), logits, classes, grouping.foreground)
    return found[found.scores > confidence]


def follow(
    y: NDArray[np.intp], x: NDArray[np.intp], offsets: NDArray[np.float32], steps: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where pixels (y, x) stand after ``steps`` jumps along the (2, H, W) offsets, inside the image."""
    height, width = offsets.shape[1:]
    target_y = np.rint(offsets[1] + np.arange(height, dtype=np.float32)[:, None]).astype(np.intp)
    target_x = np.rint(offsets[0] + np.arange(width, dtype=np.float32)).astype(np.intp)
    jump = np.clip(target_y, 0, height - 1) * width + np.clip(target_x, 0, width - 1)  # flat index
    flat = y * width + x
    jump = jump.ravel()
    for _ in range(steps):
        flat = jump[flat]
    return np.divmod(flat, width)


def resting_places(
    y: NDArray[np.intp], x: NDArray[np.intp], size: tuple[int, int], grouping: Grouping
) -> NDArray[np.int32]:
    """(H, W) number of the object that a vote at each pixel belongs to; 0 for none.

    Votes are counted; places with enough of them within one pixel are joined over ``reach``. Pixels that
    vote elsewhere belong to no object.
    """
    votes = np.bincount(y * size[1] + x, minlength=size[0] * size[1]).reshape(size).astype(np.float32)
    dense = cv2.boxFilter(votes, -1, (3, 3), normalize=False, borderType=cv2.BORDER_CONSTANT)
    founded = ((dense >= grouping.min_votes) & (votes > 0)).astype(np.uint8)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * grouping.reach + 1,) * 2)
    _, places = cv2.connectedComponents(cv2.dilate(founded, kernel), connectivity=8)
    return places.astype(np.int32)


def _tidy(labels: NDArray[np.int32], min_area: int) -> NDArray[np.int32]:
    """Each object's largest piece with its holes filled; small ones dropped."""
    tidy = np.zeros_like(labels)
    for number, window in enumerate(ndimage.find_objects(labels), start=1):
        if window is None:
            continue
        crop = (labels[window] == number).astype(np.uint8)
        _, pieces, stats, _ = cv2.connectedComponentsWithStats(crop, connectivity=4)
        largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
        if stats[largest, cv2.CC_STAT_AREA] < min_area:
            continue
        piece = ndimage.binary_fill_holes(pieces == largest)
        view = tidy[window]
        view[piece & (view == 0)] = number
    return tidy


def _instances(
    labels: NDArray[np.int32], logits: NDArray[Any], classes: Labels, foreground: float
) -> Instances:
    numbers, compact = np.unique(labels, return_inverse=True)
    compact = compact.reshape(labels.shape)
    if numbers[0] != 0:
        compact = compact + 1
    else:
        numbers = numbers[1:]
    if not len(numbers):
        return Instances.empty((labels.shape[0], labels.shape[1]), classes)
    inside = compact > 0
    which = compact[inside] - 1
    area = np.bincount(which, minlength=len(numbers))
    means = np.stack(
        [np.bincount(which, 1 / (1 + np.exp(-channel[inside])), len(numbers)) / area for channel in logits]
    )  # (K, N) mean probability of each class over each object
    return Instances(
        (labels.shape[0], labels.shape[1]),
        labels=means.argmax(axis=0),
        scores=((means.max(axis=0) - foreground) / (1 - foreground)).clip(0, 1),
        masks=Masks.from_label_image(compact.astype(np.int32)),
        classes=classes,
    )
