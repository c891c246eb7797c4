"""Closed-form matting (Levin, Lischinski and Weiss 2008, "A Closed-Form Solution to Natural Image Matting").

In every small window alpha is taken to be a linear function of the colour; what departs from that, summed
over all windows, is a quadratic form in alpha, the matting Laplacian. The alpha of the unknown pixels makes
it least while the known pixels hold. Only windows that touch an unknown pixel are set up, so the cost grows
with the length of the outline, not with the image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Floats = NDArray[np.float32]
REGULAR = 1e-5  # epsilon of the paper's equation 5, for colours in 0..1
PRIOR = 0.3  # weight of the first guess against the Laplacian; tuned on exact alpha
TOLERANCE = 1e-3
STEPS = 300  # of conjugate gradients at most


def solve_alpha(image: NDArray[np.uint8], known: Floats, unknown: NDArray[np.bool_], first: Floats) -> Floats:
    """Alpha of the unknown pixels.

    Args:
        image: (H, W, 3) uint8 RGB.
        known: (H, W) float32 alpha, used where ``unknown`` is False.
        unknown: (H, W) bool.
        first: (H, W) float32, a guess; the search begins there, and is drawn to it (:data:`PRIOR`)
            for what the colours alone leave open.

    Returns:
        (H, W) float32 in 0..1: ``known`` with the unknown pixels filled in. Unknown pixels in windows that
        reach beyond the image's border are as all others; an image of less than 3 x 3 keeps ``first``.
    """
    from scipy.sparse import diags_array, eye_array
    from scipy.sparse.linalg import cg

    result = np.where(unknown, first, known).astype(np.float32)
    if min(image.shape[:2]) < 3 or not unknown.any():
        return result
    laplacian = matting_laplacian(image, unknown)
    free = np.flatnonzero(unknown)
    rows = laplacian[free]
    begin = first.ravel()[free].astype(np.float64)
    right = PRIOR * begin - rows @ np.where(unknown, 0, known).ravel().astype(np.float64)
    square = rows[:, free] + PRIOR * eye_array(len(free), format="csr")
    scale = diags_array(1 / np.maximum(square.diagonal(), 1e-12))
    found, _ = cg(square, right, x0=begin, rtol=TOLERANCE, maxiter=STEPS, M=scale)
    result.flat[free] = np.clip(found, 0, 1)
    return result


def matting_laplacian(image: NDArray[np.uint8], touch: NDArray[np.bool_]) -> csr_array:
    """The matting Laplacian of the windows of 3 x 3 that hold a pixel of ``touch``.

    Args:
        image: (H, W, 3) uint8 RGB.
        touch: (H, W) bool.

    Returns:
        (H W, H W) sparse, symmetric, rows sum to 0: the paper's equation 12 summed over those windows.
    """
    from scipy.sparse import csr_array

    height, width = touch.shape
    windows = np.lib.stride_tricks.sliding_window_view
    middles = np.flatnonzero(windows(touch, (3, 3)).any(axis=(2, 3)))
    top, left = np.divmod(middles, width - 2)
    step = np.arange(3)
    place = ((top[:, None, None] + step[:, None]) * width + left[:, None, None] + step).reshape(
        -1, 9
    )  # (K, 9)
    colour = (image.reshape(-1, 3)[place] / 255.0).astype(np.float64)  # (K, 9, 3)
    apart = colour - colour.mean(axis=1, keepdims=True)
    spread = np.einsum("kic,kid->kcd", apart, apart) / 9 + np.eye(3) * (REGULAR / 9)
    affinity = (1 + np.einsum("kic,kcd,kjd->kij", apart, np.linalg.inv(spread), apart, optimize=True)) / 9
    entries = np.eye(9) - affinity  # (K, 9, 9)
    rows, columns = np.repeat(place, 9, axis=1).ravel(), np.tile(place, (1, 9)).ravel()
    return csr_array((entries.ravel(), (rows, columns)), shape=(height * width, height * width))
