"""Pictures of the images with the most crowd errors: each true object outlined in the colour of its fate."""

from __future__ import annotations

import heapq
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw, ImageFont

from delineate.apply.draw import display, to_png
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.metrics.crowd import JudgedImage, count, judge_image

from .atomic import write_atomically

SIDE = 1400  # small images are enlarged by whole numbers up to so many pixels

Color = tuple[int, int, int]

TRUTH_COLORS: dict[str, Color] = {
    "matched": (90, 200, 90),
    "mislabelled": (255, 255, 120),
    "merged": (255, 60, 255),
    "split": (255, 150, 0),
    "inexact": (255, 230, 0),
    "missed": (255, 50, 50),
}
"""Outline of the true objects of each fate."""
PREDICTION_COLORS: dict[str, Color] = {
    "merging": (0, 220, 255),
    "part": (0, 220, 255),
    "inexact": (0, 220, 255),
    "duplicate": (90, 130, 255),
    "fragment": (90, 130, 255),
    "spurious": (90, 130, 255),
}
"""Outline of the predictions without a match; matched ones are drawn only where they merge."""
LEGEND: tuple[tuple[str, Color], ...] = (
    *((f"true: {name}", tint) for name, tint in TRUTH_COLORS.items() if name != "mislabelled"),
    ("predicted: merging, part, inexact", PREDICTION_COLORS["merging"]),
    ("predicted: duplicate, fragment, spurious", PREDICTION_COLORS["spurious"]),
)


def draw_judged(
    judged: JudgedImage, image: ArrayLike | None = None, *, side: int = SIDE, legend: bool = True
) -> Image.Image:
    """One image: as it is on the left, with true objects and unmatched predictions outlined on the right.

    Args:
        judged: the fates of its objects, of :func:`delineate.metrics.crowd.judge_image`.
        image: (H, W) or (H, W, C); None draws on black.
        side: a small image is enlarged by a whole number up to so many pixels.
        legend: whether it stands below.

    Raises:
        InputError: an image of another size.
    """
    height, width = judged.truth.size
    plain = np.zeros((height, width, 3), np.uint8) if image is None else display(image)
    if plain.shape[:2] != (height, width):
        raise InputError(
            f"crowd pictures: expected the image of the objects, {height} x {width}, got "
            f"{plain.shape[0]} x {plain.shape[1]}; give the one they were found in"
        )
    scale = max(1, side // max(height, width))
    shown = Image.fromarray(plain).resize((width * scale, height * scale), Image.Resampling.NEAREST)
    marked = shown.copy()
    pen = ImageDraw.Draw(marked)
    for name, tint in PREDICTION_COLORS.items():  # broad, under the truth
        found = judged.merging() if name == "merging" else judged.of_predicted(name)
        outline(pen, found, tint, scale, 2 + scale)
    for name, tint in TRUTH_COLORS.items():
        outline(pen, judged.of_truth(name), tint, scale, 1 if name == "matched" else scale)
    both = Image.new("RGB", (2 * shown.width + 4, shown.height))
    both.paste(shown, (0, 0))
    both.paste(marked, (shown.width + 4, 0))
    return _with_legend(both) if legend else both


def outline(pen: ImageDraw.ImageDraw, objects: Instances, tint: Color, scale: float, line: int) -> None:
    """Draw the objects' outlines, boxes where there are no masks, on a picture enlarged by ``scale``."""
    if objects.masks is None:
        for x1, y1, x2, y2 in (objects.boxes * scale).tolist():
            pen.rectangle((x1, y1, x2, y2), outline=tint, width=line)
        return
    for parts in objects.masks.to_polygons():
        for polygon in parts:
            for ring in polygon.rings:
                points = [(float(x), float(y)) for x, y in np.asarray(ring) * scale]
                pen.line([*points, points[0]], fill=tint, width=line, joint="curve")


def _with_legend(picture: Image.Image) -> Image.Image:
    """The picture above the legend, which takes as many lines as the width asks for."""
    letter = max(11, picture.width // 110)
    font, bar = ImageFont.load_default(size=letter), 2 * letter
    pen = ImageDraw.Draw(picture)
    x, y, placed = 8, 0, []
    for text, tint in LEGEND:
        wide = 2 * bar + round(pen.textlength(text, font=font))
        if x > 8 and x + wide > picture.width:
            x, y = 8, y + bar
        placed.append((x, y, text, tint))
        x += wide
    whole = Image.new("RGB", (picture.width, picture.height + y + bar), (24, 24, 24))
    whole.paste(picture, (0, 0))
    pen = ImageDraw.Draw(whole)
    for x, y, text, tint in placed:
        top = picture.height + y
        pen.line((x, top + bar // 2, x + bar, top + bar // 2), fill=tint, width=3)
        pen.text((x + bar + 6, top + letter // 2), text, font=font, fill=(235, 235, 235))
    return whole


class WorstPictures:
    """The pictures of the images with the most crowd errors, kept as PNG while images come one by one.

    Args:
        number: how many to keep.
    """

    def __init__(self, number: int = 20) -> None:
        self.number = number
        self._kept: list[tuple[int, int, str, bytes]] = []  # a heap: the image with the fewest errors first

    def add(
        self, pred: Instances, truth: Instances, image: ArrayLike | None, image_id: int, name: str
    ) -> None:
        """Draw one image where it is among the worst so far; one without an error is never drawn."""
        judged = judge_image(pred, truth)
        errors = count(judged).errors
        full = len(self._kept) >= self.number
        if not errors or (full and (errors, -image_id) <= self._kept[0][:2]):
            return
        entry = (errors, -image_id, name, to_png(draw_judged(judged, image)))
        (heapq.heapreplace if full else heapq.heappush)(self._kept, entry)

    def save(self, folder: str | Path) -> list[Path]:
        """Write the pictures, named by rank and image: ``01_cell_7.png`` has the most errors."""
        folder = Path(folder)
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder}: expected a folder for the pictures, got a file; name another")
        files = []
        for rank, (_, _, name, data) in enumerate(sorted(self._kept, reverse=True), 1):
            files.append(folder / f"{rank:02d}_{Path(name).stem}.png")
            write_atomically(files[-1], partial(_write, data))
        return files


def _write(data: bytes, file: IO[bytes]) -> None:
    file.write(data)
