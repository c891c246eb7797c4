"""From images to one padded array: what an exported model sees. NumPy and OpenCV, no tensor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .frames import Frames
from .input_spec import Brightness, InputSpec, to_rgb_float
from .stages import timed

Floats = NDArray[np.float32]
Resize = Callable[[Floats, tuple[int, int]], Floats]
"""(h, w, 3) and the wanted (height, width) -> (3, height, width)."""


@dataclass
class ArrayBatch(Frames):
    """B images as one array, and what it takes to go back.

    Attributes:
        images: (B, 3, H, W) float32, normalised, zero-padded at right and bottom.
        sizes: B (height, width): the part of ``images`` that is image; the network frame.
        originals: B (height, width) of the images as given; the original frame.
    """

    images: Floats
    sizes: list[tuple[int, int]]
    originals: list[tuple[int, int]]

    def padded(self, size: tuple[int, int]) -> list[ArrayBatch]:
        """Its images one by one, each at the top left of zeros of ``size`` (height, width).

        Raises:
            InputError: an image larger than that.
        """
        parts = []
        for image, inner, original in zip(self.images, self.sizes, self.originals, strict=True):
            if inner[0] > size[0] or inner[1] > size[1]:
                raise InputError(
                    f"session: expected images of at most {size[0]} x {size[1]} network pixels, got "
                    f"{inner[0]} x {inner[1]}; export for a larger size, or with dynamic sizes"
                )
            whole = image[None, :, : size[0], : size[1]]
            if whole.shape[2:] != size:
                bottom, right = size[0] - whole.shape[2], size[1] - whole.shape[3]
                whole = np.pad(whole, ((0, 0), (0, 0), (0, bottom), (0, right)))
            parts.append(ArrayBatch(np.ascontiguousarray(whole), [inner], [original]))
        return parts

    def stacked(self, size: tuple[int, int]) -> ArrayBatch:
        """The same as one batch, as :meth:`padded` otherwise."""
        whole = np.concatenate([part.images for part in self.padded(size)])
        return ArrayBatch(whole, self.sizes, self.originals)


@timed("prepare")
def collate_arrays(
    images: Sequence[NDArray[Any]], spec: InputSpec, brightness: Brightness | None = None
) -> ArrayBatch:
    """As :func:`delineate.core.batch.collate`, without tensors.

    Where nothing is resized the numbers are the same. OpenCV's bilinear rule is the same too, with weights
    that are rounded otherwise: resized pixels of noise, the worst case, differ by less than 0.0005 of the
    image's standard deviation.

    Args:
        images: (H, W), (H, W, 1) or (H, W, 3) each.
        spec: how they become the input.
        brightness: of the whole image that they are parts of; None measures each image's own.

    Raises:
        InputError: no images, or one that is not an image.
    """
    sizes, padded = shapes(images, spec)
    batch = np.empty((len(images), 3, *padded), dtype=np.float32)
    fill(batch, images, sizes, spec, brightness, _resize)
    return ArrayBatch(batch, sizes, [(int(i.shape[0]), int(i.shape[1])) for i in images])


def shapes(images: Sequence[NDArray[Any]], spec: InputSpec) -> tuple[list[tuple[int, int]], tuple[int, int]]:
    """Each image's (height, width) in the network's frame, and that of the padded batch.

    Raises:
        InputError: no images.
    """
    if not images:
        raise InputError("collate: expected at least one image, got none")
    sizes = [spec.network_size(i.shape[:2]) if i.size else (1, 1) for i in images]  # empty: refused by fill
    height, width = (-(-max(side) // spec.divisor) * spec.divisor for side in zip(*sizes, strict=True))
    return sizes, (height, width)


def fill(
    batch: Floats,
    images: Sequence[NDArray[Any]],
    sizes: Sequence[tuple[int, int]],
    spec: InputSpec,
    brightness: Brightness | None,
    resize: Resize,
) -> None:
    """Write images, normalised and resized, into the top left of their places in (B, 3, H, W); 0 beside.

    Raises:
        InputError: what is not an image.
    """
    for slot, image, size in zip(batch, images, sizes, strict=True):
        slot[:, size[0] :] = 0
        slot[:, : size[0], size[1] :] = 0
        _fill_one(slot[:, : size[0], : size[1]], image, spec, brightness, resize)


def _fill_one(
    slot: Floats, image: NDArray[Any], spec: InputSpec, brightness: Brightness | None, resize: Resize
) -> None:
    plain = spec.scaling == "range" and brightness is None
    if plain and image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3:
        table = _byte_table(spec)
        if image.shape[:2] == slot.shape[1:]:
            _look_up(np.ascontiguousarray(image), table, slot)
            return
        whole = np.asarray(cv2.LUT(np.ascontiguousarray(image), table), dtype=np.float32)
    else:
        mean, std = np.array(spec.mean, dtype=np.float32), np.array(spec.std, dtype=np.float32)
        whole = (to_rgb_float(image, spec.scaling, brightness) - mean) / std
    same = whole.shape[:2] == slot.shape[1:]
    slot[:] = whole.transpose(2, 0, 1) if same else resize(whole, (slot.shape[1], slot.shape[2]))


def _resize(image: Floats, size: tuple[int, int]) -> Floats:
    resized = np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR), dtype=np.float32)
    return resized.transpose(2, 0, 1)


def _byte_table(spec: InputSpec) -> Floats:
    """(1, 256, 3): what each byte of each channel is once normalised."""
    values = np.arange(256, dtype=np.float32)[:, None] / np.float32(255)
    mean, std = np.array(spec.mean, dtype=np.float32), np.array(spec.std, dtype=np.float32)
    return np.ascontiguousarray(((values - mean) / std)[None])


def _look_up(image: NDArray[np.uint8], table: Floats, out: Floats) -> None:
    """(H, W, 3) bytes by a (1, 256, 3) table into (3, H, W)."""
    tables = [np.ascontiguousarray(table[0, :, channel]) for channel in range(3)]
    for top in range(0, len(image), 128):  # rows that stay in the processor's cache
        for channel, plane in enumerate(cv2.split(image[top : top + 128])):
            cv2.LUT(plane, tables[channel], dst=out[channel, top : top + len(plane)])
