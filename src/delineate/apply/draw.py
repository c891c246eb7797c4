"""Pictures of results: outlines, a light wash, labels, over the image."""

from __future__ import annotations

import base64
import html as markup
import io
from collections import Counter

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import distinct_colors
from delineate.core.masks import Masks

WASH = 0.25  # how much of an object's colour lies over its pixels
WRITTEN = 30  # with more objects than this none is written on
FIGURE_SIDE = 640  # longest side of the picture in a notebook, pixels
CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))

Pixels = NDArray[np.uint8]


def display(image: ArrayLike) -> Pixels:
    """Any image as (H, W, 3) uint8 RGB for the eye.

    Args:
        image: (H, W) or (H, W, C) numbers. 8 bits stay as they are; other depths are stretched between their
            0.1 and 99.9 percentiles. Of more than three channels the first three show, of two the first.

    Raises:
        InputError: not an image, or not finite.
    """
    pixels = np.asarray(image)
    if pixels.ndim == 3 and pixels.shape[2] not in (1, 3):
        pixels = pixels[:, :, :3] if pixels.shape[2] > 3 else pixels[:, :, :1]
    if pixels.dtype == np.bool_:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3):
        from delineate.core.input_spec import to_rgb_float

        pixels = np.rint(to_rgb_float(pixels) * np.float32(255)).astype(np.uint8)
    return np.array(np.broadcast_to(pixels.reshape(*pixels.shape[:2], -1), (*pixels.shape[:2], 3)))


def colors(instances: Instances) -> Pixels:
    """(N, 3) uint8 RGB: one colour per object where there is one class, else one per class."""
    if len(instances.classes) == 1:
        return distinct_colors(len(instances))
    tints: Pixels = instances.classes.colors[instances.labels]
    return tints


def overlay(instances: Instances, image: ArrayLike | None = None) -> Image.Image:
    """The objects drawn on the image: outlines of one or two pixels, a light wash, few labels.

    Class and score are written where there are at most 30 objects and each has room for it.

    Args:
        instances: N objects; boxes are drawn where there are no masks.
        image: (H, W) or (H, W, C) of any number type; None draws on black.

    Returns:
        A PIL RGB image of the same size.

    Raises:
        InputError: an image of another size.
    """
    canvas = np.zeros((*instances.size, 3), np.uint8) if image is None else display(image)
    if canvas.shape[:2] != instances.size:
        raise InputError(
            f"overlay: expected the image of the objects, {instances.size[0]} x {instances.size[1]}, "
            f"got {canvas.shape[0]} x {canvas.shape[1]}; give the one they were found in"
        )
    tints = colors(instances)
    thickness = 1 if min(instances.size) < 700 else 2
    if instances.masks is not None:
        draw_masks(canvas, instances.masks, tints, thickness)
    picture = Image.fromarray(canvas)
    pen = ImageDraw.Draw(picture)
    if instances.masks is None:
        for rectangle, tint in zip(instances.boxes.tolist(), tints.tolist(), strict=True):
            x1, y1, x2, y2 = rectangle
            pen.rectangle((x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)), outline=tuple(tint), width=thickness)
    if len(instances) <= WRITTEN:
        _write(pen, instances, tints)
    return picture


def draw_masks(canvas: Pixels, masks: Masks, tints: Pixels, thickness: int) -> None:
    """Outlines and washes of N masks in their colours, (N, 3), drawn into ``canvas`` (H, W, 3)."""
    area = masks.area
    order = np.argsort(-area, kind="stable")  # small ones on top
    labels = masks.to_label_image(order)
    inside = labels > 0
    under = canvas[inside].astype(np.float32)
    canvas[inside] = np.rint(under * (1 - WASH) + tints[labels[inside] - 1] * np.float32(WASH))
    if inside.sum() == area.sum():  # nothing overlaps: all outlines at once
        edge = inside & ~_interior(labels, thickness)
        canvas[edge] = tints[labels[edge] - 1]
        return
    for i in order.tolist():
        crop, (x0, y0) = masks.crop(i)
        if crop.size:
            inner = cv2.erode(np.pad(crop.astype(np.uint8), 1), CROSS, iterations=thickness)[1:-1, 1:-1]
            canvas[y0 : y0 + crop.shape[0], x0 : x0 + crop.shape[1]][crop & (inner == 0)] = tints[i]


def _interior(labels: NDArray[np.int32], thickness: int) -> NDArray[np.bool_]:
    """(H, W) pixels whose neighbours up to ``thickness`` steps away have the same label."""
    padded = np.pad(labels, 1)
    middle = padded[1:-1, 1:-1]
    same = (padded[:-2, 1:-1] == middle) & (padded[2:, 1:-1] == middle)
    same &= (padded[1:-1, :-2] == middle) & (padded[1:-1, 2:] == middle)
    deep: NDArray[np.uint8] = same.astype(np.uint8)
    if thickness > 1:
        deep = cv2.erode(deep, CROSS, iterations=thickness - 1)  # type: ignore[assignment]
    return deep.view(np.bool_)


def _write(pen: ImageDraw.ImageDraw, instances: Instances, tints: Pixels) -> None:
    """Class (where there are several) and score above each object that has room for them."""
    height, width = instances.size
    font = ImageFont.load_default(size=max(10, round(min(height, width) / 40)))
    scored = not (instances.scores == 1).all()
    taken: list[tuple[float, float, float, float]] = []
    for i in np.argsort(-instances.scores, kind="stable").tolist():
        parts = [instances.names[i]] if len(instances.classes) > 1 else []
        parts += [f"{instances.scores[i]:.2f}"] if scored else []
        if not parts:
            continue
        x1, y1, x2, _ = (float(v) for v in instances.boxes[i])
        text = _plain(" ".join(parts))
        left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
        wide, tall = right - left + 4, bottom - top + 4
        if wide > 2.5 * (x2 - x1) or wide > width:
            continue
        x, y = min(max(0.0, x1), width - wide), max(0.0, y1 - tall)
        spot = (x, y, x + wide, y + tall)
        if any(spot[0] < b[2] and b[0] < spot[2] and spot[1] < b[3] and b[1] < spot[3] for b in taken):
            continue
        taken.append(spot)
        tint = tuple(tints[i].tolist())
        pen.rectangle(spot, fill=tint)
        dark = 0.3 * tint[0] + 0.59 * tint[1] + 0.11 * tint[2] < 128
        pen.text((x + 2 - left, y + 2 - top), text, font=font, fill="white" if dark else "black")


def _plain(text: str) -> str:
    """One line of at most 40 printable characters."""
    shown = "".join(c if c.isprintable() else " " for c in text)
    return shown if len(shown) <= 40 else shown[:39] + "…"


def html(instances: Instances, image: ArrayLike | None = None) -> str:
    """A self-contained ``<figure>``: the picture, and a table of counts by class. Names are escaped."""
    picture = overlay(instances, image)
    picture.thumbnail((FIGURE_SIDE, FIGURE_SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    rows = "".join(
        f"<tr><td>{markup.escape(name)}</td><td>{number}</td></tr>"
        for name, number in Counter(instances.names).most_common()
    )
    height, width = instances.size
    alt = f"{len(instances)} objects outlined"
    return (
        f'<figure style="margin:0"><img alt="{alt}" src="data:image/png;base64,{data}">'
        f"<figcaption>{len(instances)} objects on {width} × {height} pixels</figcaption>"
        f"<table><thead><tr><th>class</th><th>count</th></tr></thead><tbody>{rows}</tbody></table></figure>"
    )


def to_png(picture: Image.Image) -> bytes:
    """A picture as the bytes of a PNG file."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


__all__ = ["colors", "display", "html", "overlay", "to_png"]
