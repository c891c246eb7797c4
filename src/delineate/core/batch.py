"""From images to one padded tensor and exactly back: resize, pad, remember, restore."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from .errors import InputError
from .instances import Instances
from .masks import Masks

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class InputSpec:
    """How an image becomes a model's input tensor.

    Attributes:
        shortest_edge: resize so that the shorter side has so many pixels; None (in a recipe 0) keeps the
            image's own size.
        longest_edge: but the longer side never more than this; None (in a recipe 0) sets no limit.
        divisor: pad right and bottom with zeros up to a multiple of this.
        mean: per-channel mean, subtracted after scaling to 0..1 (RGB order).
        std: per-channel standard deviation, divided by.
        scaling: "range": 8-bit images divided by 255, other depths by their own 0.1 to 99.9 percentile
            window; "percentile": every image by its own 1 to 99.8 percentile window.
        tile: images with a side above this many pixels are predicted in tiles of it; None (in a recipe 0)
            never tiles.
        overlap: how many pixels neighbouring tiles share.
        stretch: resize both sides to so many pixels, whatever the aspect; the two edges then mean nothing.
            None (in a recipe 0) keeps the aspect.
    """

    shortest_edge: int | None = 800
    longest_edge: int | None = 1333
    divisor: int = 32
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    scaling: str = "range"
    tile: int | None = None
    overlap: int = 128
    stretch: int | None = None

    def __post_init__(self) -> None:
        if self.scaling not in ("range", "percentile"):
            raise InputError(f"InputSpec.scaling: expected 'range' or 'percentile', got {self.scaling!r}")
        for name in ("shortest_edge", "longest_edge", "stretch", "tile"):
            object.__setattr__(self, name, getattr(self, name) or None)  # TOML has no None
        object.__setattr__(self, "mean", tuple(self.mean))
        object.__setattr__(self, "std", tuple(self.std))
        self._check_numbers()

    def _check_numbers(self) -> None:
        """What a recipe or a checkpoint says is not believed unseen."""
        ranges = {
            "shortest_edge": (1, 16384), "longest_edge": (1, 16384), "stretch": (1, 16384),
            "divisor": (1, 1024), "tile": (16, 2**20), "overlap": (0, 2**20),
        }  # fmt: skip
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            optional = value is None and name not in ("divisor", "overlap")
            if not optional and not (type(value) is int and low <= value <= high):
                raise InputError(
                    f"InputSpec.{name}: expected a whole number in {low}..{high}, got {value!r}; correct it"
                )
        for name, least in (("mean", -1e6), ("std", 1e-6)):
            values = getattr(self, name)
            numbers = all(isinstance(v, int | float) and least <= v <= 1e6 for v in values)
            if len(values) != 3 or not numbers:
                raise InputError(
                    f"InputSpec.{name}: expected 3 numbers from {least:g} up, got {values!r}; correct them"
                )

    def network_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of the resized image, before padding; each side floored and at least 1."""
        height, width = size
        if self.stretch is not None:
            return self.stretch, self.stretch
        if self.shortest_edge is None:
            return height, width
        scale = self.shortest_edge / min(height, width)
        if self.longest_edge is not None:
            scale = min(scale, self.longest_edge / max(height, width))
        return max(1, int(height * scale)), max(1, int(width * scale))

    def to_dict(self) -> dict[str, Any]:
        """JSON-able settings, as kept in a checkpoint's header."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> InputSpec:
        """The inverse of :meth:`to_dict`; what is left out has its default.

        Raises:
            InputError: a field that is none, or a value out of its range.
        """
        strange = sorted(set(record) - {f.name for f in fields(cls)})
        if strange:
            known = ", ".join(f.name for f in fields(cls))
            raise InputError(f"InputSpec: expected fields of {known}, got {', '.join(strange)}; correct them")
        return cls(**record)


Brightness = tuple[float, float]
"""The values of an image that become 0 and 1."""


def to_rgb_float(
    image: NDArray[Any], scaling: str = "range", brightness: Brightness | None = None
) -> NDArray[np.float32]:
    """Any image as (H, W, 3) float32 in 0..1.

    Args:
        image: (H, W), (H, W, 1) or (H, W, 3); uint8, uint16 or float32. Grey is repeated over RGB.
        scaling: see :class:`InputSpec`. A constant image becomes zeros where a window is measured.
        brightness: the window of the whole image that this is a part of, see :func:`brightness_of`; None
            measures this image's own.

    Raises:
        InputError: another number of channels, an empty image, or values that are not finite.
    """
    if image.ndim == 2:
        image = image[:, :, None]
    if image.ndim != 3 or image.shape[2] not in (1, 3) or image.size == 0:
        raise InputError(
            f"image: expected (H, W), (H, W, 1) or (H, W, 3), got {image.shape}; choose one or three channels"
        )
    if brightness is None:
        brightness = brightness_of(image, scaling)
    if brightness is None:
        scaled = image.astype(np.float32) / np.float32(255)
    else:
        scaled = _stretched(image, *brightness)
    return np.repeat(scaled, 3, axis=2) if scaled.shape[2] == 1 else scaled


def brightness_of(image: NDArray[Any], scaling: str) -> Brightness | None:
    """The values of a whole image that its parts should show as 0 and 1; equal ones for a constant image.

    Args:
        image: (H, W) or (H, W, C), or a sample of its pixels in that form.
        scaling: see :class:`InputSpec`.

    Returns:
        Two numbers, over all channels; None where bytes are divided by 255.

    Raises:
        InputError: values that are not finite.
    """
    if scaling == "range" and image.dtype == np.uint8:
        return None
    low, high = (0.1, 99.9) if scaling == "range" else (1.0, 99.8)
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        raise InputError("image: expected finite values, got NaN or infinity; replace them first")
    step = sample_step((int(image.shape[0]), int(image.shape[1])))
    bottom, top = np.percentile(image[::step, ::step].astype(np.float32), (low, high))
    if top <= bottom:
        bottom, top = np.float32(image.min()), np.float32(image.max())
    return float(bottom), float(top)


def sample_step(size: tuple[int, int]) -> int:
    """Every so many pixels, each way, are looked at for an image's brightness: about 4 million tell it."""
    return max(1, int((size[0] * size[1] / 4_000_000) ** 0.5))


def _stretched(image: NDArray[Any], bottom: float, top: float) -> NDArray[np.float32]:
    """(H, W, C) cut and stretched to 0..1."""
    values = image.astype(np.float32)
    if not np.isfinite(values).all():
        raise InputError("image: expected finite values, got NaN or infinity; replace them first")
    if top <= bottom:
        return np.zeros_like(values)
    return np.clip((values - np.float32(bottom)) / np.float32(top - bottom), 0, 1)


@dataclass
class Batch:
    """B images as one tensor, and what it takes to go back.

    Attributes:
        images: (B, 3, H, W) float32, normalised, zero-padded at right and bottom.
        sizes: B (height, width): the part of ``images`` that is image; the network frame.
        originals: B (height, width) of the images as given; the original frame.
        targets: B truths in the network frame, or None.
    """

    images: Tensor
    sizes: list[tuple[int, int]]
    originals: list[tuple[int, int]]
    targets: list[Instances] | None = None

    def __len__(self) -> int:
        return len(self.sizes)

    def to(self, device: torch.device | str) -> Batch:
        """The same batch with its tensor on ``device``."""
        images = self.images.to(device, non_blocking=True)
        return Batch(images, self.sizes, self.originals, self.targets)

    def boxes_to_original(self, index: int, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 4) xyxy of image ``index`` from the network frame to the original, clipped to the image."""
        return scale_boxes(boxes, self.sizes[index], self.originals[index])

    def masks_to_original(self, index: int, masks: Masks) -> Masks:
        """Masks of image ``index`` from the network frame (padded or not) to the original pixels."""
        height, width = self.sizes[index]
        return resize_masks(masks.window(0, 0, width, height), self.originals[index])


def collate(
    images: Sequence[NDArray[Any]],
    spec: InputSpec,
    targets: Sequence[Instances] | None = None,
    brightness: Brightness | None = None,
) -> Batch:
    """Images (and truths) of any sizes as one batch: scale to 0..1, normalise, resize, pad.

    Bilinear at pixel centres without antialiasing, after normalisation, as torchvision's detection
    models do, so that their published weights see what they were trained on.

    Args:
        images: (H, W), (H, W, 1) or (H, W, 3) each.
        spec: how they become the input.
        targets: their truths in their own pixels.
        brightness: of the whole image that they are parts of; None measures each image's own.

    Raises:
        InputError: no images, or one that is not an image.
    """
    if not images:
        raise InputError("collate: expected at least one image, got none")
    sizes = [spec.network_size(i.shape[:2]) if i.size else (1, 1) for i in images]  # empty: refused below
    height = _ceil_to(max(h for h, _ in sizes), spec.divisor)
    width = _ceil_to(max(w for _, w in sizes), spec.divisor)
    batch = torch.empty(len(images), 3, height, width)
    for slot, image, size in zip(batch, images, sizes, strict=True):
        slot[:, size[0] :] = 0
        slot[:, : size[0], size[1] :] = 0
        _fill(slot[:, : size[0], : size[1]], image, spec, brightness)
    moved = None
    if targets is not None:
        moved = [resize_instances(t, size) for t, size in zip(targets, sizes, strict=True)]
    originals = [(int(i.shape[0]), int(i.shape[1])) for i in images]
    return Batch(batch, sizes, originals, moved)


def _fill(slot: Tensor, image: NDArray[Any], spec: InputSpec, brightness: Brightness | None) -> None:
    """Write one image, normalised and resized, into its place in the batch, (3, h, w)."""
    size = (int(slot.shape[1]), int(slot.shape[2]))
    plain = spec.scaling == "range" and brightness is None
    if plain and image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3:
        table = _byte_table(spec)
        if image.shape[:2] == size:
            _look_up(np.ascontiguousarray(image), table, slot.numpy())
            return
        whole = torch.from_numpy(cv2.LUT(np.ascontiguousarray(image), table)).permute(2, 0, 1)
    else:
        mean, std = (torch.tensor(v, dtype=torch.float32)[:, None, None] for v in (spec.mean, spec.std))
        scaled = to_rgb_float(image, spec.scaling, brightness)
        whole = torch.from_numpy(np.ascontiguousarray(scaled.transpose(2, 0, 1)))
        whole = (whole - mean) / std
    if image.shape[:2] != size:
        whole = F.interpolate(whole[None], size=size, mode="bilinear", align_corners=False)[0]
    slot.copy_(whole)


def _byte_table(spec: InputSpec) -> NDArray[np.float32]:
    """(1, 256, 3): what each byte of each channel is once normalised."""
    values = np.arange(256, dtype=np.float32)[:, None] / np.float32(255)
    mean, std = np.array(spec.mean, dtype=np.float32), np.array(spec.std, dtype=np.float32)
    return np.ascontiguousarray(((values - mean) / std)[None])


def _look_up(image: NDArray[np.uint8], table: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """(H, W, 3) bytes by a (1, 256, 3) table into (3, H, W)."""
    tables = [np.ascontiguousarray(table[0, :, channel]) for channel in range(3)]
    for top in range(0, len(image), 128):  # rows that stay in the processor's cache
        for channel, plane in enumerate(cv2.split(image[top : top + 128])):
            cv2.LUT(plane, tables[channel], dst=out[channel, top : top + len(plane)])


def _ceil_to(value: int, divisor: int) -> int:
    return -(-value // divisor) * divisor


def scale_boxes(
    boxes: NDArray[np.float32], size: tuple[int, int], new_size: tuple[int, int]
) -> NDArray[np.float32]:
    """(N, 4) xyxy on an image of ``size`` to the same places on ``new_size``, clipped."""
    ratio_y, ratio_x = (np.float32(n) / np.float32(s) for n, s in zip(new_size, size, strict=True))
    scaled = boxes.astype(np.float32) * np.array([ratio_x, ratio_y, ratio_x, ratio_y], dtype=np.float32)
    height, width = new_size
    limits = np.array([width, height, width, height], dtype=np.float32)
    return np.minimum(np.maximum(scaled, np.float32(0)), limits)


def resize_masks(masks: Masks, size: tuple[int, int]) -> Masks:
    """Masks on another pixel grid: each new pixel takes the old pixel under its centre.

    Enlarging and going back gives the masks exactly; corner pixels stay corner pixels.
    """
    if size == masks.size:
        return masks
    rows = _nearest(masks.size[0], size[0])  # (new height,) old row of each new row
    columns = _nearest(masks.size[1], size[1])
    crops, corners = [], []
    for i in range(len(masks)):
        crop, (x0, y0) = masks.crop(i)
        top, bottom = np.searchsorted(rows, (y0, y0 + crop.shape[0]))
        left, right = np.searchsorted(columns, (x0, x0 + crop.shape[1]))
        crops.append(crop[np.ix_(rows[top:bottom] - y0, columns[left:right] - x0)])
        corners.append((int(left), int(top)))
    return Masks.from_crops(crops, np.array(corners, dtype=np.int64).reshape(-1, 2), size)


def _nearest(old: int, new: int) -> NDArray[np.int64]:
    return ((2 * np.arange(new, dtype=np.int64) + 1) * old) // (2 * new)


def resize_instances(instances: Instances, size: tuple[int, int]) -> Instances:
    """Boxes and masks of one image moved to a resized frame; annotated areas scale along."""
    if size == instances.size:
        return instances
    factor = size[0] * size[1] / (instances.size[0] * instances.size[1])
    return instances.replace(
        size=size,
        boxes=scale_boxes(instances.boxes, instances.size, size),
        masks=None if instances.masks is None else resize_masks(instances.masks, size),
        areas=None if instances.areas is None else instances.areas * factor,
    )
