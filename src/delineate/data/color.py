"""Changes of light and colour, in float32 on 0..1, so that 16-bit images keep their steps."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601
NORMAL = ndtri((np.arange(65536) + 0.5) / 65536).astype(np.float32)  # quantiles of the normal distribution

Image = NDArray[np.float32]  # (H, W, C), C 1 or 3, values 0..1


def gamma(image: Image, exponent: float) -> Image:
    """Values to the power of ``exponent`` > 0: above 1 darkens the middle, below 1 lightens it."""
    return np.power(image, np.float32(exponent))


def brightness_contrast(image: Image, shift: float, gain: float) -> Image:
    """``gain`` around the mean, then ``shift``, in units of the full range."""
    mean = np.float32(image.mean())
    return (image - mean) * np.float32(gain) + (mean + np.float32(shift))


def color_gains(image: Image, gains: NDArray[np.float32], saturation: float) -> Image:
    """Each channel times its gain, (3,), and distance from grey times ``saturation``; grey stays as it is."""
    if image.shape[2] == 1:
        return image
    grey = np.broadcast_to(LUMINANCE, (3, 3))  # as a matrix on channels
    matrix = gains[:, None] * (grey + (np.eye(3, dtype=np.float32) - grey) * np.float32(saturation))
    return np.asarray(cv2.transform(image, matrix), dtype=np.float32)


def to_grey(image: Image) -> Image:
    """(H, W, 3) -> (H, W, 1) luminance."""
    if image.shape[2] == 1:
        return image
    return np.asarray(cv2.transform(image, LUMINANCE[None]), dtype=np.float32).reshape(*image.shape[:2], 1)


def blur(image: Image, sigma: float) -> Image:
    """Gaussian of ``sigma`` pixels; reflected at the border."""
    blurred = cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(blurred, dtype=np.float32).reshape(image.shape)


def noise(image: Image, deviation: float, rng: np.random.Generator) -> Image:
    """Independent Gaussian noise of ``deviation``, in units of the full range."""
    steps = rng.integers(0, len(NORMAL), image.shape, dtype=np.uint16)  # a third of the time of normal draws
    return image + np.float32(deviation) * NORMAL.take(steps)
