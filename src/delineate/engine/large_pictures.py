"""Label images and pictures of a large image's objects, painted block by block as rows of it are finished."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from delineate.apply.draw import draw_masks
from delineate.core.input_spec import Brightness, to_rgb_float
from delineate.core.labels import distinct_colors
from delineate.core.masks import Masks
from delineate.data.rasters.writer import RasterWriter
from delineate.data.write import write_png

from .agreement import Window
from .large_tables import Piece
from .large_windows import Region

SIDE = 1024
"""Side of a block in pixels, about."""
MARGIN = 24
"""Pixels around a block that are painted with it, so that outlines and numbers go on in the next."""
LONGEST = 3072
"""Longer side of the small picture."""
LEGIBLE = 2
"""In pictures reduced by more than this no numbers are written."""
SMALLEST_TEXT, LARGEST_TEXT = 7, 13
SHADE = ((-1, 0), (1, 0), (0, -1), (0, 1))


@dataclass(frozen=True, eq=False)
class Block:
    """The objects that show in a part of the region.

    Attributes:
        window: the part, in the region's pixels.
        masks: N masks in the part's own frame.
        numbers: (N,) the objects' numbers.
        labels: (N,) their classes.
        scores: (N,) their scores.
        places: (N, 3) where a number stands (x, y in the part's frame) and how wide the object is.
    """

    window: Window
    masks: Masks
    numbers: NDArray[np.int64]
    labels: NDArray[np.int64]
    scores: NDArray[np.float32]
    places: NDArray[np.float64]


class Canvas(ABC):
    """Something that is painted block by block."""

    margin = 0
    numbered = False

    @abstractmethod
    def paint(self, block: Block) -> None:
        """One block, with this canvas's margin around it."""

    @abstractmethod
    def close(self) -> Path:
        """Completes the file and gives it its name."""

    @abstractmethod
    def abort(self) -> None:
        """Leaves nothing behind."""


class LabelCanvas(Canvas):
    """A label image: each object's number in its pixels; where objects overlap the better score is on top."""

    def __init__(self, writer: RasterWriter, region: Region) -> None:
        self.writer, self.region = writer, region

    def paint(self, block: Block) -> None:
        """Paints a block; what holds no object stays 0."""
        if not len(block.numbers):
            return
        order = np.argsort(block.scores, kind="stable")
        names = np.concatenate(([0], block.numbers)).astype(np.uint32)
        pixels = names[block.masks.to_label_image(order=order)]
        x0, y0, _, _ = block.window
        self.writer.write(self.region.x + x0, self.region.y + y0, pixels)

    def close(self) -> Path:
        """Completes the file."""
        return self.writer.close()

    def abort(self) -> None:
        """Leaves nothing behind."""
        self.writer.abort()


class Drawing(Canvas):
    """The image with outlines and numbers drawn on it.

    Args:
        region: the image.
        tints: (K, 3) colours of the classes; None gives each object its own.
        brightness: what shows as black and white, of images that are not of bytes.
    """

    margin = MARGIN
    numbered = True

    def __init__(
        self, region: Region, tints: NDArray[np.uint8] | None, brightness: Brightness | None
    ) -> None:
        self.region, self.tints, self.brightness = region, tints, brightness
        self._own = distinct_colors(255)

    def drawn(self, block: Block) -> NDArray[Any]:
        """(h, w, 3) the block with its margin."""
        canvas = _in_bytes(self.region.pixels(block.window), self.brightness)
        if len(block.numbers):
            own = self.tints[block.labels] if self.tints is not None else self._own[block.numbers % 255]
            draw_masks(canvas, block.masks, own, 1)
        return _numbered(canvas, block) if len(block.numbers) and self.numbered else canvas

    def inner(self, block: Block) -> tuple[Window, NDArray[Any]]:
        """The block without its margin, and its place in the region."""
        x0, y0, x1, y1 = block.window
        left, top = self.margin if x0 else 0, self.margin if y0 else 0
        right = self.margin if x1 < self.region.size[1] else 0
        bottom = self.margin if y1 < self.region.size[0] else 0
        window = (x0 + left, y0 + top, x1 - right, y1 - bottom)
        return window, self.drawn(block)[top : y1 - y0 - bottom, left : x1 - x0 - right]


class SmallPicture(Drawing):
    """One PNG of the whole region, reduced."""

    def __init__(
        self, path: Path, region: Region, tints: NDArray[np.uint8] | None, brightness: Brightness | None
    ) -> None:
        super().__init__(region, tints, brightness)
        self.path, self.factor = path, reduction(region.size)
        self.numbered = self.factor <= LEGIBLE
        small = tuple(-(-n // self.factor) for n in region.size)
        self._canvas = np.zeros((*small, 3), np.uint8)

    def paint(self, block: Block) -> None:
        """Paints a block."""
        (x0, y0, _, _), pixels = self.inner(block)
        size = (-(-pixels.shape[1] // self.factor), -(-pixels.shape[0] // self.factor))
        small = cv2.resize(np.ascontiguousarray(pixels), size, interpolation=cv2.INTER_AREA)
        x, y = x0 // self.factor, y0 // self.factor
        self._canvas[y : y + size[1], x : x + size[0]] = small

    def close(self) -> Path:
        """Writes the picture."""
        return write_png(self.path, self._canvas)

    def abort(self) -> None:
        """Nothing is written before the end."""


class FullPicture(Drawing):
    """A picture at full size, with its reduced levels."""

    def __init__(
        self,
        writer: RasterWriter,
        region: Region,
        tints: NDArray[np.uint8] | None,
        brightness: Brightness | None,
    ) -> None:
        super().__init__(region, tints, brightness)
        self.writer = writer

    def paint(self, block: Block) -> None:
        """Paints a block."""
        (x0, y0, _, _), pixels = self.inner(block)
        self.writer.write(x0, y0, np.ascontiguousarray(pixels))

    def close(self) -> Path:
        """Completes the file."""
        return self.writer.close()

    def abort(self) -> None:
        """Leaves nothing behind."""
        self.writer.abort()


def reduction(size: tuple[int, int]) -> int:
    """How many pixels of an image become one of its small picture, each way."""
    return -(-max(size) // LONGEST)


class Painter:
    """Keeps finished objects until the rows they lie in are finished, and paints block after block.

    Args:
        region: the image.
        canvases: what is painted.
    """

    def __init__(self, region: Region, canvases: list[Canvas]) -> None:
        self.region, self.canvases = region, canvases
        factor = reduction(region.size)
        self._side = max(factor, SIDE // factor * factor)  # blocks begin at whole pixels of the small picture
        self._pieces: list[tuple[Piece, NDArray[np.float64]]] = []
        self._painted = 0

    def add(self, piece: Piece) -> None:
        """Some more objects."""
        if self.canvases and len(piece.found) and piece.found.masks is not None:
            masks = piece.found.masks
            written = any(canvas.numbered for canvas in self.canvases)
            places = _places(masks, piece.first) if written else np.zeros((len(masks), 3))
            self._pieces.append((piece, places))

    def paint(self, final: int) -> None:
        """Paints what lies above row ``final`` of the region, where no object is to come any more."""
        height, width = self.region.size
        while self.canvases and self._painted < height:
            bottom = min(self._painted + self._side, height)
            if min(bottom + MARGIN, height) > final:
                return
            for left in range(0, width, self._side):
                window = (left, self._painted, min(left + self._side, width), bottom)
                for canvas in self.canvases:
                    canvas.paint(self._block(window, canvas.margin))
            self._painted = bottom
            self._pieces = [one for one in self._pieces if _lowest(one[0]) > bottom + self.region.y - MARGIN]

    def _block(self, window: Window, margin: int) -> Block:
        height, width = self.region.size
        x0, y0 = max(0, window[0] - margin), max(0, window[1] - margin)
        x1, y1 = min(width, window[2] + margin), min(height, window[3] + margin)
        size = (y1 - y0, x1 - x0)
        masks, numbers, labels, scores, places = [Masks.empty(size)], [], [], [], []
        for piece, at in self._pieces:
            assert piece.found.masks is not None
            dx, dy = piece.x - self.region.x - x0, piece.y - self.region.y - y0
            boxes = piece.found.masks.boxes + np.array([dx, dy, dx, dy], dtype=np.float32)
            met = (boxes[:, 0] < size[1]) & (boxes[:, 1] < size[0]) & (boxes[:, 2] > 0) & (boxes[:, 3] > 0)
            some = np.flatnonzero(met)
            masks.append(piece.found.masks[some].shift(dx, dy, size))
            numbers.append(piece.first + some)
            labels.append(piece.found.labels[some])
            scores.append(piece.found.scores[some])
            places.append(at[some] + [dx, dy, 0])
        none = np.zeros(0, dtype=np.int64)
        return Block(
            (x0, y0, x1, y1),
            Masks.concatenate(masks),
            np.concatenate([none, *numbers]),
            np.concatenate([none, *labels]),
            np.concatenate([none.astype(np.float32), *scores]),
            np.concatenate([np.zeros((0, 3)), *places]),
        )

    def close(self) -> list[Path]:
        """Completes all files."""
        return [canvas.close() for canvas in self.canvases]

    def abort(self) -> None:
        """Leaves nothing behind."""
        for canvas in self.canvases:
            canvas.abort()


def _in_bytes(pixels: NDArray[Any], brightness: Brightness | None) -> NDArray[Any]:
    """(h, w, 3) uint8 of any pixels; what is not of bytes is shown between two values."""
    if pixels.dtype == np.uint8:
        return np.repeat(pixels.reshape(*pixels.shape[:2], -1), 1 if pixels.ndim == 3 else 3, axis=2)
    shown: NDArray[Any] = np.rint(to_rgb_float(pixels, "range", brightness) * np.float32(255))
    return shown.astype(np.uint8)


def _lowest(piece: Piece) -> float:
    """The lowest row that any of its objects reaches, in the whole image."""
    assert piece.found.masks is not None
    return piece.y + float(piece.found.masks.boxes[:, 3].max(initial=0))


def _places(masks: Masks, first: int) -> NDArray[np.float64]:
    """(N, 3): x and y of the innermost pixel of each mask, and the size of the letters that fit it."""
    places = np.zeros((len(masks), 3))
    boxes = masks.boxes
    for i in range(len(masks)):
        crop, (x0, y0) = masks.crop(i)
        if crop.size:
            deep = cv2.distanceTransform(np.pad(crop.astype(np.uint8), 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
            y, x = np.unravel_index(int(deep.argmax()), deep.shape)
            fits = (boxes[i, 2] - boxes[i, 0]) / (0.6 * len(str(first + i)))
            places[i] = x0 + x, y0 + y, np.clip(fits, SMALLEST_TEXT, LARGEST_TEXT)
    return places


def _numbered(canvas: NDArray[np.uint8], block: Block) -> NDArray[np.uint8]:
    picture = Image.fromarray(canvas)
    pen = ImageDraw.Draw(picture)
    fonts: dict[int, Any] = {}
    for (x, y, letters), number in zip(block.places.tolist(), block.numbers.tolist(), strict=True):
        font = fonts.setdefault(int(letters), ImageFont.load_default(size=int(letters)))
        for dx, dy in SHADE:
            pen.text((x + dx, y + dy), str(number), (0, 0, 0), font, anchor="mm")
        pen.text((x, y), str(number), (255, 255, 255), font, anchor="mm")
    return np.array(picture)
