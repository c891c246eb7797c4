"""From the slices of a stack to one picture: the brightest, the mean, or the sharpest of each pixel.

All three look at one slice after the other and keep a few pictures, however deep the stack is. ``focus`` is
an extended depth of field: each pixel comes from the slice whose surroundings vary the most (Sugimoto and
Ichioka, Applied Optics 24, 1985, "Digital composition of images with increased depth of focus considering
depth information"), with the local variance V = mean(I^2) - mean(I)^2 over 9 x 9 pixels, evened out once
over 9 x 9 so that noise alone does not choose the slice. Of several channels the sum of V chooses, so that no
pixel mixes slices. Near the stack's edge the image is mirrored.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError

PROJECTIONS = ("max", "mean", "focus")
WINDOW = 9  # pixels of the square over which ``focus`` takes the variance, and then its mean


def margin(how: str) -> int:
    """How many pixels around a window its projection depends on; with them a window equals the whole.

    Example:
        >>> margin("max"), margin("focus")
        (0, 8)
    """
    return 2 * (WINDOW // 2) if how == "focus" else 0


def project(slices: Iterable[NDArray[Any]], how: str) -> NDArray[Any]:
    """One picture of a stack.

    Args:
        slices: (H, W) or (H, W, C) numbers of one shape and type, read one at a time.
        how: ``max``, ``mean`` (rounded for integers) or ``focus``.

    Returns:
        A picture of the slices' shape and type.

    Raises:
        InputError: another word, no slices, or slices of several shapes.

    Example:
        >>> stack = [np.array([[1, 9]], np.uint8), np.array([[4, 2]], np.uint8)]
        >>> project(stack, "max").tolist(), project(stack, "mean").tolist()
        ([[4, 9]], [[2, 6]])
    """
    if how not in PROJECTIONS:
        raise InputError(f"project: expected one of {', '.join(PROJECTIONS)}, got {how!r}; choose one")
    chosen: NDArray[Any] | None = None
    best = np.empty(0)
    total = np.empty(0)
    count = 0
    for part in slices:
        if chosen is None:
            chosen = part.copy()
            best = sharpness(part) if how == "focus" else best
            total = part.astype(np.float64) if how == "mean" else total
        elif part.shape != chosen.shape or part.dtype != chosen.dtype:
            raise InputError(
                f"project: expected slices of one shape and type, got {chosen.shape} {chosen.dtype} and "
                f"{part.shape} {part.dtype}; save the stack anew"
            )
        elif how == "max":
            np.maximum(chosen, part, out=chosen)
        elif how == "mean":
            total += part
        else:
            sharp = sharpness(part)
            better = sharp > best
            chosen[better] = part[better]
            best[better] = sharp[better]
        count += 1
    if chosen is None:
        raise InputError("project: expected at least one slice, got none")
    if how != "mean":
        return chosen
    mean = total / count
    return (np.rint(mean) if chosen.dtype.kind in "iu" else mean).astype(chosen.dtype)


def sharpness(pixels: NDArray[Any]) -> NDArray[np.float64]:
    """(H, W) local variance of (H, W) or (H, W, C), summed over channels, evened out over the window.

    Its unit is the square of the image's numbers.
    """
    flat = pixels.reshape(*pixels.shape[:2], -1)
    sharp = np.zeros(pixels.shape[:2])
    for channel in range(flat.shape[2]):
        values = np.ascontiguousarray(flat[:, :, channel], np.float64)
        mean = _mean(values)
        sharp += np.maximum(_mean(values * values) - mean * mean, 0)
    return _mean(sharp)


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(cv2.blur(values, (WINDOW, WINDOW), borderType=cv2.BORDER_REFLECT_101), np.float64)
