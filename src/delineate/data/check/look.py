"""What an image looks like, in 63 bits and a small thumbnail, and which images show the same.

The bits are the signs of the lowest frequencies of a 32 x 32 thumbnail's discrete cosine transform, as pHash
takes them (Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions", section 3.2.1),
here against zero instead of their median: a mirrored image then has the same bits but for known ones, which
are turned over, so that all eight ways of turning an image are compared without decoding it again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 32
LOW = 8
"""So many frequencies each way: 8 x 8 less the mean are 63 bits."""
BITS = 16
"""Images whose bits differ in more than so many are not compared further."""
ALIKE = 0.88
"""Small thumbnails of images that show the same correlate at least so much."""
FINE, COARSE = 0.62, 0.82
"""Fine or coarse details that agree so far show the same; measured, see docs/benchmarks.md."""
TURNS = 8
"""Ways of turning an image by right angles and mirroring it."""

_FINE, _COARSE = 128, 64
_WEIGHTS = (np.uint64(1) << np.arange(LOW * LOW, dtype=np.uint64)).astype(np.uint64)


@dataclass(frozen=True, eq=False)
class Look:
    """What is kept of an image.

    Attributes:
        bits: (8,) uint64, the hash of the image turned in each of the eight ways.
        thumbnail: (16, 16) float16, blurred brightness with mean 0 and standard deviation 1.
    """

    bits: NDArray[np.uint64]
    thumbnail: NDArray[np.float16]


class Details(NamedTuple):
    """An image's structure without its shades, fine (128 x 128) and coarse (64 x 64); 0 in empty margins."""

    fine: NDArray[np.float32]
    coarse: NDArray[np.float32]


class Agreement(NamedTuple):
    """How far the details of two images agree, 0 to 1 each."""

    fine: float
    coarse: float

    @property
    def same(self) -> bool:
        """Whether they show the same."""
        return self.fine >= FINE or self.coarse >= COARSE


def look_of(pixels: NDArray[Any]) -> Look | None:
    """The look of an image, (H, W) or (H, W, C) of any type; None where all its pixels are alike."""
    small = thumbnail(pixels, SIDE)
    if small is None:
        return None
    waves = np.asarray(cv2.dct(small), np.float32)[:LOW, :LOW]
    bits = np.array([_bits(_turn_waves(waves, turn)) for turn in range(TURNS)])
    tiny = cv2.resize(cv2.GaussianBlur(small, (0, 0), 1.2), (16, 16), interpolation=cv2.INTER_AREA)
    tiny -= tiny.mean()
    return Look(bits, (tiny / max(float(tiny.std()), 1e-6)).astype(np.float16))


def thumbnail(pixels: NDArray[Any], side: int) -> NDArray[np.float32] | None:
    """(side, side) float32 brightness with mean 0 and standard deviation 1; None where nothing is seen.

    Sides are squeezed to a square. The shrinking takes means, so it goes by steps where images are large.
    """
    flat = pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels[:, :, :3])
    if flat.dtype not in (np.uint8, np.uint16, np.float32):
        flat = flat.astype(np.float32)
    small = cv2.resize(flat, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32)
    grey = small if small.ndim == 2 else small.mean(axis=2)
    grey -= grey.mean()
    spread = float(grey.std())
    if not np.isfinite(spread) or spread < 1e-3 * max(1.0, float(np.abs(small).max())):
        return None
    return np.asarray(grey / spread, np.float32)


def turned(image: NDArray[Any], turn: int) -> NDArray[Any]:
    """An image in one of the eight ways: bit 0 mirrors left-right, 1 upside down, 2 swaps axes first."""
    if turn & 4:
        image = np.swapaxes(image, 0, 1)
    if turn & 2:
        image = image[::-1]
    if turn & 1:
        image = image[:, ::-1]
    return image


def _turn_waves(waves: NDArray[np.float32], turn: int) -> NDArray[np.float32]:
    """The transform of the turned image: odd frequencies change sign where it is mirrored."""
    result = waves.T if turn & 4 else waves
    signs = np.where(np.arange(LOW) % 2, -1.0, 1.0).astype(np.float32)
    if turn & 2:
        result = result * signs[:, None]
    if turn & 1:
        result = result * signs[None, :]
    return result


def _bits(waves: NDArray[np.float32]) -> np.uint64:
    positive = (waves > 0).ravel()
    positive[0] = False  # the mean
    return np.uint64(_WEIGHTS[positive].sum(dtype=np.uint64))


def close_pairs(looks: list[Look]) -> Iterator[tuple[int, int, int]]:
    """Pairs i < j that may show the same: (i, j, turn); image j is to be turned so as to look as image i.

    The bits of all pairs are compared, one image with all later ones at a time.
    """
    if len(looks) < 2:
        return
    all_bits = np.array([look.bits for look in looks])
    for i in range(len(looks) - 1):
        apart = np.bitwise_count(all_bits[i + 1 :] ^ all_bits[i, 0])
        rest, turn = np.nonzero(apart <= BITS)
        if not len(rest):
            continue
        mine = looks[i].thumbnail.astype(np.float32)
        best: dict[int, tuple[float, int]] = {}
        for j, t in zip((rest + i + 1).tolist(), turn.tolist(), strict=True):
            alike = float((mine * turned(looks[j].thumbnail, t)).mean())
            if alike >= ALIKE and alike > best.get(j, (0.0, 0))[0]:
                best[j] = (alike, t)
        for j, (_, t) in best.items():
            yield i, j, t


def details_of(image: NDArray[Any]) -> Details | None:
    """The structure of an image that :func:`agreement` compares; None where nothing is to be seen."""
    found = []
    for side, blur, shades in ((_FINE, 0.0, 6.0), (_COARSE, 1.0, 5.0)):
        small = thumbnail(image, side)
        if small is None:
            return None
        sharp = cv2.GaussianBlur(small, (0, 0), blur) if blur else small
        structure = sharp - cv2.GaussianBlur(small, (0, 0), shades)
        keep = ~_margins(small)
        if keep.mean() < 0.02:
            keep[:] = True
        found.append(np.asarray(np.where(keep, structure - structure[keep].mean(), 0), np.float32))
    return Details(*found)


def agreement(one: Details | None, other: Details | None, turn: int) -> Agreement:
    """How far two images agree in their details, the second one turned.

    The peak of the correlation over shifts of up to an eighth of the side. Shades and empty margins, which
    images of one instrument or one rotation have in common, do not count. Copies agree in fine details, those
    that were cut or rotated a little, and the next frames of a scene, in coarse ones.
    """
    if one is None or other is None:
        return Agreement(0.0, 0.0)
    return Agreement(*(_peak(a, turned(b, turn)) for a, b in zip(one, other, strict=True)))


def _peak(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    energy = float((one**2).sum()) * float((other**2).sum())
    if energy <= 0:
        return 0.0
    match = np.fft.irfft2(np.fft.rfft2(one) * np.fft.rfft2(other).conj(), one.shape)
    reach = len(one) // 8
    near = np.roll(match, (reach, reach), (0, 1))[: 2 * reach + 1, : 2 * reach + 1]
    return max(0.0, float(near.max()) / float(np.sqrt(energy)))


def _margins(small: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where an even patch begins in a corner, as left by a rotation, and a little around it."""
    side = len(small)
    low, high = float(small.min()), float(small.max())
    levels = ((small - low) / max(high - low, 1e-6) * 255).astype(np.uint8)
    found = np.zeros((side + 2, side + 2), np.uint8)
    mode = 4 | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE | (255 << 8)
    for x, y in ((0, 0), (0, side - 1), (side - 1, 0), (side - 1, side - 1)):
        if not found[y + 1, x + 1]:
            cv2.floodFill(levels, found, (x, y), 255, 6, 6, mode)
    around = 2 * (side // 28) + 1
    return cv2.dilate(found[1:-1, 1:-1], np.ones((around, around), np.uint8)) > 0


def turned_words(turn: int) -> str:
    """How an image is turned, in words; empty for upright.

    Example:
        >>> turned_words(1), turned_words(0)
        (', mirrored', '')
    """
    names = {1: "mirrored", 2: "upside down and mirrored", 3: "turned by 180°"}
    return "" if turn == 0 else f", {names.get(turn, 'turned by 90°')}"
