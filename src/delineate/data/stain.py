"""Stained slides made alike: their colours brought to those of a reference, by three published ways.

- ``macenko`` (Macenko et al., ISBI 2009): in optical density every stain is a direction. The two extreme
  directions of the plane that holds most of the pixels are the stains; how much of each a pixel has is kept,
  the directions and the strengths (99th percentiles) become the reference's.
- ``vahadane`` (Vahadane et al., IEEE TMI 35, 2016): the same, with directions by a sparse, non-negative
  factorisation, which keeps a pixel to one stain where it can; here it starts from Macenko's directions.
- ``reinhard`` (Reinhard et al., IEEE CG&A 21, 2001): mean and spread of each axis of l-alpha-beta become the
  reference's; taken over the stained pixels alone, so that the share of bare glass does not matter.

Optical density is -ln((I + 1) / white) for 8 bits, 0 at white and brighter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError

METHODS = ("macenko", "vahadane", "reinhard")
WHITE = 240.0
STAINED = 0.15
"""A pixel is stained where its mean density is above it (Macenko's beta; of the mean, as pure eosin hardly
darkens red)."""
EXTREME = 1.0
"""Percent of the directions that count as strays at either end (Macenko's alpha)."""
SAMPLE = 20_000
"""Directions are taken from so many stained pixels, evenly spread; strengths from all."""
FEWEST = 500
LEAST_CHROMA = 12.0
"""Levels of 255 by which a coloured pixel's channels differ at least."""
LEAST_SHARE = 0.01
LEAST_ANGLE = 4.0
"""Degrees between two stains; closer ones are one."""

# RGB to the cones' answers (LMS), and the logarithms of these to l-alpha-beta (Reinhard et al., 4 and 6).
_LMS = np.array([[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]])
_LAB = np.diag([3**-0.5, 6**-0.5, 2**-0.5]) @ np.array([[1.0, 1, 1], [1, 1, -2], [1, -1, 0]])

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Stains:
    """What is known of the stains of a slide.

    Attributes:
        vectors: (2, 3) densities of red, green, blue of one unit of each stain, each of length 1; the bluer
            one (haematoxylin) first.
        most: (2,) 99th percentile of each stain's amount over the stained pixels.
        mean: (3,) mean of l, alpha, beta over them.
        spread: (3,) standard deviation of these.
    """

    vectors: Floats
    most: Floats
    mean: Floats
    spread: Floats


def densities(pixels: NDArray[Any], white: float = WHITE) -> Floats:
    """(N, 3) optical densities, at least 0, of (..., 3) uint8 or uint16."""
    values = pixels.reshape(-1, 3).astype(np.float64)
    if pixels.dtype == np.uint16:
        values /= 257
    return np.maximum(-np.log((values + 1) / white), 0)


def fit(pixels: NDArray[Any], method: str = "macenko") -> Stains | None:
    """The stains of a slide, or None where it shows no two of them.

    Args:
        pixels: (H, W, 3) uint8 or uint16, RGB on a bright ground.
        method: ``macenko`` or ``vahadane`` for the directions; ``reinhard`` asks for stained pixels alone.

    Raises:
        InputError: not such an image, or an unknown method.
    """
    if method not in METHODS:
        raise InputError(f"stain: expected one of {', '.join(METHODS)}, got {method!r}; choose one")
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype not in (np.uint8, np.uint16):
        raise InputError(
            f"stain: expected (H, W, 3) of uint8 or uint16, got {pixels.shape} {pixels.dtype}; "
            "give an RGB image"
        )
    density = densities(pixels)
    stained = _stained(pixels, density)
    if stained is None:
        return None
    some = density[stained]
    lab = to_lab(pixels.reshape(-1, 3)[stained], pixels.dtype == np.uint16)
    mean, spread = lab.mean(axis=0), np.maximum(lab.std(axis=0), 1e-6)
    sample = some[:: max(1, len(some) // SAMPLE)]
    vectors = macenko_vectors(sample)
    if method == "vahadane":
        vectors = vahadane_vectors(sample, vectors)
    angle = np.degrees(np.arccos(np.clip(vectors[0] @ vectors[1], -1, 1)))
    if angle < LEAST_ANGLE and method != "reinhard":
        return None
    most = np.maximum(np.percentile(amounts(some, vectors), 99, axis=0), 1e-3)
    return Stains(vectors, most, mean, spread)


def _stained(pixels: NDArray[Any], density: Floats) -> NDArray[np.bool_] | None:
    """(N,) the stained pixels; None where there are too few, or no colour."""
    flat = pixels.reshape(-1, 3)
    scale = 257 if pixels.dtype == np.uint16 else 1
    stained: NDArray[np.bool_] = density.mean(axis=1) > STAINED
    coloured = (flat.max(axis=1).astype(np.float64) - flat.min(axis=1)) / scale > LEAST_CHROMA
    enough = max(FEWEST, LEAST_SHARE * len(flat))
    return stained if (stained & coloured).sum() >= enough else None


def macenko_vectors(density: Floats) -> Floats:
    """(2, 3) the two extreme directions of (N, 3) densities in their main plane, the bluer first."""
    plane = np.linalg.eigh(np.cov(density.T))[1][:, 1:]
    plane = plane * np.where(plane.sum(axis=0) < 0, -1, 1)  # towards more density
    flat = density @ plane
    angles = np.arctan2(flat[:, 0], flat[:, 1])
    ends = np.percentile(angles, [EXTREME, 100 - EXTREME])
    vectors = np.maximum(np.stack([np.sin(ends), np.cos(ends)], axis=1) @ plane.T, 0)
    return _ordered(vectors)


def vahadane_vectors(density: Floats, start: Floats, sparsity: float = 0.1, rounds: int = 60) -> Floats:
    """(2, 3) the directions W, of length 1, with the least |V - H W|^2 / 2 + sparsity |H|_1; H, W >= 0.

    Amounts H and directions W are improved in turns, each exactly or by Mairal's block coordinates (JMLR 11,
    2010, algorithm 2).

    Args:
        density: (N, 3) V.
        start: (2, 3) where to begin.
        sparsity: the paper's lambda.
        rounds: how often.
    """
    vectors = start.copy()
    for _ in range(rounds):
        found = amounts(density, vectors, sparsity)
        gram, product = found.T @ found, found.T @ density
        before = vectors.copy()
        for k in range(2):
            if gram[k, k] > 0:
                vectors[k] = np.maximum(vectors[k] + (product[k] - gram[k] @ vectors) / gram[k, k], 1e-9)
                vectors[k] /= np.linalg.norm(vectors[k])
        if np.abs(vectors - before).max() < 1e-6:
            break
    return _ordered(vectors)


def amounts(density: Floats, vectors: Floats, sparsity: float = 0.0) -> Floats:
    """(N, 2) how much of each stain, >= 0: the exact minimum of |v - h W|^2 / 2 + sparsity |h|_1.

    Args:
        density: (N, 3).
        vectors: (2, 3) W, rows of length 1.
        sparsity: weight of the amounts' sum.
    """
    gain = density @ vectors.T - sparsity
    shared = float(vectors[0] @ vectors[1])
    both = (gain - shared * gain[:, ::-1]) / max(1 - shared**2, 1e-12)
    alone = np.maximum(gain, 0)
    first = (alone[:, 0] >= alone[:, 1])[
        :, None
    ]  # where one stain alone fits best, it is the one with more gain
    single = np.where(first, alone * [1, 0], alone * [0, 1])
    return np.where((both >= 0).all(axis=1, keepdims=True), both, single)


def _ordered(vectors: Floats) -> Floats:
    """Rows of length 1, the one with more red density against blue (haematoxylin) first."""
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return vectors if vectors[0, 0] >= vectors[1, 0] else vectors[::-1].copy()


def to_lab(colours: NDArray[Any], wide: bool = False) -> Floats:
    """(N, 3) l, alpha, beta of (N, 3) RGB, 8 bits or (``wide``) 16."""
    values = (colours.astype(np.float64) / (257 if wide else 1) + 1) / 256
    return np.log10(np.maximum(values @ _LMS.T, 1e-6)) @ _LAB.T


def from_lab(lab: Floats) -> Floats:
    """(N, 3) RGB 0..255 of l, alpha, beta: the inverse of :func:`to_lab`."""
    cones = 10 ** (lab @ np.linalg.inv(_LAB).T)
    return cones @ np.linalg.inv(_LMS).T * 256 - 1


@dataclass(frozen=True)
class Normaliser:
    """Brings stained images to the colours of a reference.

    Attributes:
        method: one of :data:`METHODS`.
        reference: the stains to come to.

    Example:
        >>> import numpy as np
        >>> grey = np.full((8, 8), 100, np.uint8)
        >>> Normaliser("macenko", REFERENCE)(grey)[1]
        'no stain: grey image left as it is'
    """

    method: str
    reference: Stains

    def __call__(self, pixels: NDArray[Any]) -> tuple[NDArray[Any], str]:
        """An image in the reference's colours, and a phrase on what was done.

        Args:
            pixels: (H, W) or (H, W, C); only (H, W, 3) of uint8 or uint16 with stained pixels changes.
        """
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype not in (np.uint8, np.uint16):
            return pixels, "no stain: grey image left as it is"
        own = fit(pixels, self.method)
        if own is None:
            return pixels, "no two stains found, colours left as they are"
        return self.bring(pixels, own), f"colours by {self.method}"

    def bring(self, pixels: NDArray[Any], own: Stains) -> NDArray[Any]:
        """Pixels in the reference's colours.

        Args:
            pixels: (H, W, 3) uint8 or uint16: a slide or a part of it.
            own: the stains of the whole slide, as :func:`fit` tells them.
        """
        wide = pixels.dtype == np.uint16
        if self.method == "reinhard":
            lab = (to_lab(pixels.reshape(-1, 3), wide) - own.mean) / own.spread
            values = from_lab(lab * self.reference.spread + self.reference.mean)
        else:
            found = amounts(densities(pixels), own.vectors) * (self.reference.most / own.most)
            values = WHITE * np.exp(-found @ self.reference.vectors) - 1
        whole = np.rint(np.clip(values, 0, 255) * (257 if wide else 1)).astype(pixels.dtype)
        return whole.reshape(pixels.shape)


REFERENCE = Stains(
    np.array([[0.6451, 0.7587, 0.0907], [0.3624, 0.9299, 0.0632]]),
    np.array([0.7993, 2.2940]),
    np.array([-0.3776, -0.0988, 0.0083]),
    np.array([0.2019, 0.0839, 0.0096]),
)
"""The medians over the 76 purple training images of the 2018 Data Science Bowl (CC0), on which ``nuclei``
learned; ``benchmarks/stain.py`` makes them."""
