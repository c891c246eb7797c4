"""Pictures that a report carries: the images with the most errors, and where the truth may be wrong.

Only the worst images are kept while images come one by one; crops are cut at the end, from a few images read
again.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw

from delineate.apply.draw import display
from delineate.core.errors import DelineateError
from delineate.core.instances import Instances
from delineate.metrics.crowd import count, judge_image
from delineate.metrics.label_errors import SUSPICIONS, LabelErrorReport, Suspicion

from .crowd_pictures import Color, draw_judged, outline
from .evaluation_inputs import Truth

WORST, CROPS = 6, 24
SIDE, CROP = 560, 180  # pixels of a panel and of a crop
TRUE_TINT: Color = (90, 220, 90)
DOUBT_TINT: Color = (255, 60, 200)


@dataclass(frozen=True)
class Picture:
    """A JPEG picture with words.

    Attributes:
        kind: ``"worst"`` or ``"label error"``.
        title: the image's name, and what is shown.
        caption: what to see.
        data: the bytes of a JPEG file.
    """

    kind: str
    title: str
    caption: str
    data: bytes = field(repr=False)


class Illustrations:
    """Pictures kept while images are scored.

    Args:
        truth: the dataset, with images.
    """

    def __init__(self, truth: Truth) -> None:
        self.truth = truth
        self.missing = 0
        self._worst: list[tuple[int, int, Picture]] = []

    def add(self, pred: Instances, truth: Instances, index: int) -> None:
        """Draw one image where it is among the worst so far; objects at the operating point, with masks."""
        if pred.masks is None or truth.masks is None:
            return
        judged = judge_image(pred, truth)
        counts = count(judged)
        rank = (counts.errors, -index)
        if not counts.errors or (len(self._worst) >= WORST and rank <= self._worst[-1][:2]):
            return
        image = self.image(index)
        if image is None:
            return
        drawn = draw_judged(judged, image, side=SIDE, legend=False)
        matched = int(counts.predictions[0])
        told = f"{matched} of {len(judged.truth)} objects found with {len(judged.predicted)} detections"
        picture = Picture("worst", self.truth.name(index), told, to_jpeg(drawn))
        self._worst.append((*rank, picture))
        self._worst.sort(key=lambda entry: entry[:2], reverse=True)
        del self._worst[WORST:]

    def image(self, index: int) -> np.ndarray | None:
        """The pixels for the eye; None, counted, where they cannot be read."""
        try:
            return display(self.truth.image(index))
        except (DelineateError, OSError, AttributeError):
            self.missing += 1
            return None

    def pictures(self, errors: LabelErrorReport | None) -> tuple[Picture, ...]:
        """The worst images, then crops of the likely label errors."""
        worst = [picture for *_, picture in self._worst]
        return (*worst, *(self._crops(errors) if errors is not None else ()))

    def _crops(self, errors: LabelErrorReport) -> list[Picture]:
        wanted = spread(errors.suspicions, CROPS)
        places = {self.truth.entry(index).id: index for index in range(len(self.truth))}
        by_image: dict[int, list[int]] = {}
        for k, suspicion in enumerate(wanted):
            by_image.setdefault(suspicion.image_id, []).append(k)
        drawn: dict[int, Picture] = {}
        for image_id, chosen in by_image.items():
            index = places[image_id]
            image = self.image(index)
            if image is None:
                continue
            truth = self.truth.truth(index)
            for k in chosen:
                crop = to_jpeg(draw_crop(wanted[k], truth, image))
                drawn[k] = Picture("label error", self.truth.name(index), _told(wanted[k]), crop)
        return [drawn[k] for k in sorted(drawn)]


def spread(suspicions: Sequence[Suspicion], number: int) -> list[Suspicion]:
    """The most suspicious of each kind, shared out evenly, kind by kind."""
    groups = [[s for s in suspicions if s.kind == kind] for kind in SUSPICIONS]
    taken = [0] * len(groups)
    while sum(taken) < min(number, len(suspicions)):
        k = min((k for k in range(len(groups)) if taken[k] < len(groups[k])), key=lambda k: taken[k])
        taken[k] += 1
    return [s for group, n in zip(groups, taken, strict=True) for s in group[:n]]


def draw_crop(suspicion: Suspicion, truth: Instances, image: np.ndarray) -> Image.Image:
    """The place with its surroundings: true objects outlined in green, the suspicion in pink.

    Args:
        suspicion: the place.
        truth: the image's true objects.
        image: (H, W, 3) uint8.
    """
    height, width = truth.size
    x1, y1, x2, y2 = suspicion.box
    half = max(x2 - x1, y2 - y1, 16)
    middle_x, middle_y = (x1 + x2) / 2, (y1 + y2) / 2
    left, top = max(0, int(middle_x - half)), max(0, int(middle_y - half))
    right, bottom = min(width, int(middle_x + half) + 1), min(height, int(middle_y + half) + 1)
    scale = CROP / max(right - left, bottom - top)
    shape = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
    shown = Image.fromarray(image[top:bottom, left:right]).resize(shape, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(shown)
    window = (left, top, right, bottom)
    for objects, tint, line in ((truth[~truth.crowd], TRUE_TINT, 1), (suspicion.outline, DOUBT_TINT, 2)):
        outline(pen, _within(objects, window), tint, scale, line)
    return shown


def _within(objects: Instances, window: tuple[int, int, int, int]) -> Instances:
    """The objects as they show in a window; boxes where there are no masks."""
    left, top, right, bottom = window
    size = (bottom - top, right - left)
    if objects.masks is not None:
        masks = objects.masks.window(*window)
        return Instances(size, masks=masks[masks.area > 0])
    boxes = objects.boxes - np.array([left, top, left, top], np.float32)
    return Instances(size, boxes=boxes)


def to_jpeg(picture: Image.Image) -> bytes:
    """A picture as the bytes of a JPEG file, its thin lines in full colour."""
    shown = picture.convert("RGB")
    shown.thumbnail((2 * SIDE + 4, 2 * SIDE))
    buffer = io.BytesIO()
    shown.save(buffer, "JPEG", quality=80, subsampling=0, optimize=True)
    return buffer.getvalue()


def _told(suspicion: Suspicion) -> str:
    if suspicion.kind == "not there":
        return f"not there? {suspicion.label}: nothing detected"
    sure = f"{suspicion.label} {suspicion.weight:.2f}"
    was = f", truth says {suspicion.instead}" if suspicion.kind == "swapped" else ""
    return f"{suspicion.kind}? {sure}{was}"
