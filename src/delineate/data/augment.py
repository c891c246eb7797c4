"""Training's variations of one image and its objects: a random square crop, turned, scaled and relit.

Large-scale jitter follows Ghiasi et al. 2021 ("Simple Copy-Paste", section 3). Every draw comes from the
generator that is given, so the same generator gives the same crop, whatever process computes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.batch import InputSpec, to_rgb_float
from delineate.core.errors import InputError
from delineate.core.instances import Instances

from . import color
from .geometry import Affine, inside, leaves_border, place, warp_image, warp_instances


@dataclass(frozen=True)
class Augment:
    """How training images vary.

    Attributes:
        crop: side of the square training crop, in pixels of the network frame.
        scale: smallest and largest zoom on top of the network's own resizing, drawn log-uniformly.
        flip: mirror left-right with probability one half.
        rotate90: turn by a random multiple of 90 degrees; with ``flip`` all eight symmetries.
        rotate: turn by up to so many degrees more, either way, 0..180.
        brightness: shift by up to this part of the full range, either way, 0..1.
        contrast: gain around the mean between 1 / (1 + this) and 1 + this.
        gamma: exponent between 1 / (1 + this) and 1 + this.
        color: gain of each channel, and of saturation, between 1 / (1 + this) and 1 + this.
        invert: probability of exchanging light and dark.
        grey: probability of dropping colour.
        blur: largest Gaussian blur in pixels; half the crops get one.
        noise: largest standard deviation of added noise, as a part of the range; half the crops get some.
        copy_paste: probability of pasting objects of another image of the same group.
        mosaic: probability of a crop made of windows of four images of the same group, which meet at a point.
        mixup: probability of blending in another such crop; the objects of both are kept.
        min_area: an object needs so many visible pixels in the crop to count.

    Raises:
        InputError: a value out of its range.
    """

    crop: int = 512
    scale: tuple[float, float] = (0.5, 2.0)
    flip: bool = True
    rotate90: bool = False
    rotate: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    gamma: float = 0.0
    color: float = 0.0
    invert: float = 0.0
    grey: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    copy_paste: float = 0.0
    mosaic: float = 0.0
    mixup: float = 0.0
    min_area: int = 4

    def __post_init__(self) -> None:
        ranges = {
            "crop": (16, 8192), "rotate": (0, 180), "brightness": (0, 1), "contrast": (0, 10),
            "gamma": (0, 10), "color": (0, 10), "invert": (0, 1), "grey": (0, 1), "blur": (0, 50),
            "noise": (0, 1), "copy_paste": (0, 1), "mosaic": (0, 1), "mixup": (0, 1), "min_area": (1, 10**6),
        }  # fmt: skip
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(f"augment.{name}: expected {low} to {high}, got {value}; correct the recipe")
        scale = tuple(float(s) for s in self.scale)
        if len(scale) != 2 or not 0 < scale[0] <= scale[1] < 100:
            raise InputError(
                f"augment.scale: expected [smallest, largest] above 0, got {list(self.scale)}; try [0.5, 2.0]"
            )
        object.__setattr__(self, "scale", scale)


def scaled(image: NDArray[Any], spec: InputSpec) -> NDArray[np.float32]:
    """The whole image as the network scales it to 0..1: (H, W, 1) when grey, else (H, W, 3) float32.

    Any depth: 8-bit, 16-bit and float images are never squeezed through 8 bits.
    """
    rgb = to_rgb_float(image, spec.scaling)
    if image.ndim == 2 or image.shape[2] == 1 or _is_grey(rgb):
        return np.ascontiguousarray(rgb[:, :, :1])
    return rgb


def augment(
    image: NDArray[np.float32],
    truth: Instances,
    spec: InputSpec,
    settings: Augment,
    rng: np.random.Generator,
    window: tuple[int, int] | None = None,
) -> tuple[NDArray[np.float32], Instances]:
    """One random crop of an image and its objects.

    Args:
        image: (H, W, 1 or 3) float32 in 0..1, see :func:`scaled`.
        truth: its objects, in its pixels.
        spec: the model's input; its resizing rule gives the zoom that ``settings.scale`` varies.
        settings: what varies, and how much.
        rng: where every draw comes from.
        window: (height, width) of the crop in pixels; default ``settings.crop`` square.

    Returns:
        (*window, 1 or 3) float32 in 0..1, and the objects in its pixels. Where the crop shows no image it
        holds the mean of ``spec``, which normalises to the zeros of padding.
    """
    size = (image.shape[0], image.shape[1])
    window = window or (settings.crop, settings.crop)
    matrix = place(random_linear(size, spec, settings, rng), size, window, rng)
    crop = relight(warp_image(image, matrix, window), settings, rng)
    if leaves_border(matrix, size, window):
        crop = _fill(crop, size, matrix, spec)
    return crop, warp_instances(truth, matrix, window, settings.min_area)


def random_linear(
    size: tuple[int, int], spec: InputSpec, settings: Augment, rng: np.random.Generator
) -> NDArray[np.float64]:
    """(2, 2) map on (x, y): the network's own resizing, zoom, mirror and turn."""
    network = spec.network_size(size)
    zoom = float(np.exp(rng.uniform(*np.log(settings.scale))))
    mirror = -1.0 if settings.flip and rng.random() < 0.5 else 1.0
    quarters = int(rng.integers(4)) if settings.rotate90 else 0
    angle = np.radians(rng.uniform(-settings.rotate, settings.rotate)) if settings.rotate else 0.0
    turn = np.linalg.matrix_power(np.array([[0.0, -1.0], [1.0, 0.0]]), quarters)  # exact quarter turns
    free = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    stretch = np.diag([mirror * zoom * network[1] / size[1], zoom * network[0] / size[0]])
    return np.asarray(free @ turn @ stretch, dtype=np.float64)


def relight(image: NDArray[np.float32], settings: Augment, rng: np.random.Generator) -> NDArray[np.float32]:
    """Gamma, contrast, brightness, colour, inversion, greyness, blur and noise; float32, cut to 0..1."""

    def factor(strength: float) -> float:
        return float(np.exp(rng.uniform(-1, 1) * np.log1p(strength)))

    if settings.gamma:
        image = color.gamma(image, factor(settings.gamma))
    if settings.contrast or settings.brightness:
        shift = rng.uniform(-settings.brightness, settings.brightness)
        image = color.brightness_contrast(image, shift, factor(settings.contrast))
    if settings.color:
        gains = np.array([factor(settings.color) for _ in range(3)], dtype=np.float32)
        image = color.color_gains(image, gains, factor(settings.color))
    if settings.invert and rng.random() < settings.invert:
        image = 1 - image
    if settings.grey and rng.random() < settings.grey:
        image = color.to_grey(image)
    if settings.blur and rng.random() < 0.5:
        image = color.blur(image, max(0.05, rng.uniform(0, settings.blur)))
    if settings.noise and rng.random() < 0.5:
        image = color.noise(image, rng.uniform(0, settings.noise), rng)
    return np.clip(image, 0, 1)


def _fill(
    crop: NDArray[np.float32], size: tuple[int, int], matrix: Affine, spec: InputSpec
) -> NDArray[np.float32]:
    outside = ~inside(size, matrix, (crop.shape[0], crop.shape[1]))
    mean = np.array(spec.mean, dtype=np.float32)
    if crop.shape[2] == 1 and not (mean == mean[0]).all():
        crop = np.repeat(crop, 3, axis=2)
    crop[outside] = mean[: crop.shape[2]]
    return crop


def _is_grey(rgb: NDArray[np.float32]) -> bool:
    return bool((rgb[:, :, 0] == rgb[:, :, 1]).all() and (rgb[:, :, 1] == rgb[:, :, 2]).all())
