"""How many clicks an interactive segmentation needs: the simulated annotator, and the count.

The protocol of the field (Xu et al. 2016, "Deep Interactive Object Selection"; Sofiiuk et al. 2021, "Reviving
Iterative Training with Mask Guidance for Interactive Segmentation", section 4): the next click falls on the
pixel of the wrongly labelled region that lies deepest inside it, positive where object was missed, negative
where background was taken; an object costs as many clicks as bring its mask to the wanted IoU, at most 20.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError

Mask = NDArray[np.bool_]


class Click(NamedTuple):
    """A point that the object has, or has not.

    Attributes:
        x: to the right, in pixels; the centre of the first pixel is at 0.5.
        y: downwards.
        positive: on the object, or on what is not the object.
    """

    x: float
    y: float
    positive: bool = True


Segment = Callable[[Sequence[Click], Mask], Mask]
"""From all clicks so far and the mask before the last one to the new mask."""


@dataclass(frozen=True)
class Clicked:
    """What one object took.

    Attributes:
        ious: IoU with the truth, 0..1, after the first click, the second, and so on.
        clicks: where they fell.
    """

    ious: tuple[float, ...]
    clicks: tuple[Click, ...]

    def clicks_to(self, iou: float, most: int = 20) -> int:
        """How many clicks reached ``iou``; ``most`` where none did.

        Example:
            >>> Clicked((0.5, 0.9, 0.8), ()).clicks_to(0.85)
            2
        """
        return next((n for n, value in enumerate(self.ious, 1) if value >= iou), most)


def next_click(found: Mask, truth: Mask, before: Sequence[Click] = ()) -> Click | None:
    """Where a patient annotator clicks next.

    Args:
        found: (H, W) the mask so far; empty at the start.
        truth: (H, W) the mask wanted.
        before: clicks that were made; no pixel is clicked twice.

    Returns:
        The centre of the deepest wrong pixel; None where the masks agree in every pixel that is left.

    Raises:
        InputError: masks of two sizes.

    Example:
        >>> truth = np.zeros((5, 5), bool)
        >>> truth[1:4, 1:4] = True
        >>> next_click(np.zeros_like(truth), truth)
        Click(x=2.5, y=2.5, positive=True)
    """
    if found.shape != truth.shape:
        raise InputError(f"next_click: expected masks of one size, got {found.shape} and {truth.shape}")
    missed, extra = (_depth(region, before) for region in (truth & ~found, found & ~truth))
    positive = bool(missed.max(initial=0) >= extra.max(initial=0))
    depth = missed if positive else extra
    if not depth.size or depth.max() <= 0:
        return None
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return Click(float(x) + 0.5, float(y) + 0.5, positive)


def _depth(region: Mask, before: Sequence[Click]) -> NDArray[np.float32]:
    """(H, W) distance of each pixel of a region to its outside, in pixels; the image's edge is outside."""
    depth = np.asarray(cv2.distanceTransform(np.pad(region, 1).astype(np.uint8), cv2.DIST_L2, 5))[1:-1, 1:-1]
    for click in before:
        depth[int(click.y), int(click.x)] = 0
    return np.asarray(depth, np.float32)


def click_through(
    segment: Segment, truth: Mask, wanted: float = 0.85, most: int = 20, start: Mask | None = None
) -> Clicked:
    """Click on one object until its mask is good enough.

    Args:
        segment: the tool under test.
        truth: (H, W) the object.
        wanted: stop at this IoU, 0..1.
        most: stop after so many clicks.
        start: (H, W) a mask to begin from, or None for nothing; one that is good enough takes no click.

    Example:
        >>> truth = np.eye(3) > 0
        >>> click_through(lambda clicks, before: truth, truth).ious
        (1.0,)
    """
    found = np.zeros_like(truth) if start is None else start
    clicks: list[Click] = []
    ious: list[float] = []
    if start is not None and (start & truth).sum() >= wanted * (start | truth).sum():
        return Clicked((), ())
    while len(clicks) < most and (not ious or ious[-1] < wanted):
        click = next_click(found, truth, clicks)
        if click is None:
            break
        clicks.append(click)
        found = segment(clicks, found)
        union = int((found | truth).sum())
        ious.append(float((found & truth).sum()) / union if union else 1.0)
    return Clicked(tuple(ious), tuple(clicks))
