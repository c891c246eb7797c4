"""How an image becomes a model's input: its size, its padding, its brightness. No tensor in sight."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import InputError

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
        within: where images are resized: further down until height and width are at most these, as a graph
            of one size that is no square needs it; None sets no such limit.
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
    within: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.scaling not in ("range", "percentile"):
            raise InputError(f"InputSpec.scaling: expected 'range' or 'percentile', got {self.scaling!r}")
        for name in ("shortest_edge", "longest_edge", "stretch", "tile"):
            object.__setattr__(self, name, getattr(self, name) or None)  # TOML has no None
        object.__setattr__(self, "within", tuple(self.within) if self.within else None)
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
        if self.within is not None and not (
            len(self.within) == 2 and all(type(side) is int and 1 <= side <= 16384 for side in self.within)
        ):
            raise InputError(
                f"InputSpec.within: expected height and width in 1..16384, got {self.within!r}; correct them"
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
        if self.within is not None:
            scale = min(scale, self.within[0] / height, self.within[1] / width)
        return max(1, int(height * scale)), max(1, int(width * scale))

    def to_dict(self) -> dict[str, Any]:
        """JSON-able settings, as kept in a checkpoint's header; without what older readers do not know."""
        settings = asdict(self)
        if self.within is None:
            del settings["within"]
        return settings

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
