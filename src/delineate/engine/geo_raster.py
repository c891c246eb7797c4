"""A map image as a model sees it: 8 bits, stretched alike everywhere, without what was never measured."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.data.rasters import Raster

Stretch = tuple[float, float]
BAND = 1 << 24
"""Pixels that are read at once while the brightness of the whole image is counted."""
SAMPLE = 1 << 22
"""Most values per band that tell the percentiles of an image of floats."""


class MapImage:
    """Windows of a raster as 8-bit pictures; ``image[y0:y1, x0:x1]`` reads one.

    Every band is stretched by its own percentiles of the whole image, so that windows fit each other.

    Args:
        raster: with 1 or 3 bands.
        stretch: lower and upper percentile that become 0 and 255; None leaves 8-bit images as they are,
            and stretches others from 2 to 98.

    Attributes:
        shape: (H, W) or (H, W, 3).
        limits: (bands, 2) the values that become 0 and 255.

    Raises:
        InputError: another number of bands, percentiles out of order, or nothing but nodata.
    """

    def __init__(self, raster: Raster, stretch: Stretch | None = None) -> None:
        if raster.channels not in (1, 3):
            raise InputError(
                f"{raster.path}: expected 1 or 3 bands for a model, got {raster.channels}; choose with "
                "--channels, from 0, such as 3,2,1"
            )
        if stretch is not None and not 0 <= stretch[0] < stretch[1] <= 100:
            raise InputError(
                f"stretch: expected two percentiles in 0..100, the lower first, got {stretch}; give 2,98"
            )
        self.raster = raster
        self.shape = raster.size if raster.channels == 1 else (*raster.size, raster.channels)
        plain = stretch is None and raster.dtype == np.uint8
        self.limits = (
            np.array([[0.0, 255.0]] * raster.channels) if plain else self._limits(stretch or (2, 98))
        )

    def __getitem__(self, window: tuple[slice, slice]) -> NDArray[np.uint8]:
        return self.window(window)[0]

    def window(self, window: tuple[slice, slice]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """(h, w) or (h, w, 3) uint8, and (h, w) bool: what was measured."""
        rows, columns = (part.indices(n) for part, n in zip(window, self.raster.size, strict=True))
        pixels = self.raster.window(columns[0], rows[0], columns[1], rows[1])
        return self.stretched(pixels)

    def stretched(self, pixels: NDArray[Any]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Pixels of the raster as 8 bits, black where nothing was measured, and where that is not."""
        valid = self._valid(pixels)
        low, high = self.limits[:, 0], self.limits[:, 1]
        scaled = (pixels.reshape(*valid.shape, -1) - low) / np.maximum(high - low, 1e-12)
        scaled = np.where(valid[..., None], np.clip(scaled, 0, 1), 0)
        result = np.rint(scaled * 255).astype(np.uint8)
        return result[..., 0] if self.raster.channels == 1 else result, valid

    def _valid(self, pixels: NDArray[Any]) -> NDArray[np.bool_]:
        """(h, w): some band was measured."""
        values = pixels.reshape(*pixels.shape[:2], -1)
        valid = np.asarray(np.isfinite(values), np.bool_)  # whole numbers are
        nodata = self.raster.nodata
        if nodata is not None and np.isfinite(nodata):
            valid = np.asarray(valid & (values != nodata), np.bool_)
        some: NDArray[np.bool_] = np.asarray(valid.any(axis=2))
        return some

    def _limits(self, stretch: Stretch) -> NDArray[np.float64]:
        """Per band the two percentiles of all that was measured; whole numbers are counted exactly."""
        height, width = self.raster.size
        rows = max(1, BAND // width)
        counted = self.raster.dtype in (np.uint8, np.uint16)
        counts = np.zeros((self.raster.channels, 1 << 16), np.int64)
        kept: list[NDArray[Any]] = []
        step = max(1, int(np.sqrt(height * width / SAMPLE)))
        for top in range(0, height, rows):
            pixels = self.raster.window(0, top, width, min(top + rows, height))
            valid = self._valid(pixels)
            values = pixels.reshape(*valid.shape, -1)
            if counted:
                for band in range(values.shape[2]):
                    counts[band] += np.bincount(values[..., band][valid], minlength=1 << 16)
            else:
                kept.append(values[::step, ::step][valid[::step, ::step]])
        if counted:
            every = np.arange(1 << 16)
            found = [_percentiles(every[c > 0], c[c > 0], stretch) for c in counts]
        else:
            sample = np.concatenate(kept)
            found = [np.percentile(band, stretch).tolist() if len(band) else None for band in sample.T]
        if any(limits is None for limits in found):
            raise InputError(
                f"{self.raster.path}: expected an image with measured pixels, got nodata alone; check it"
            )
        return np.array(found, np.float64)


def _percentiles(values: NDArray[Any], counts: NDArray[np.int64], wanted: Stretch) -> list[float] | None:
    """Percentiles as NumPy's default gives them (linear between ranks), from how often each value occurs."""
    if not len(values):
        return None
    last = np.cumsum(counts)
    ranks = np.array(wanted) / 100 * (last[-1] - 1)
    low, high = np.floor(ranks), np.ceil(ranks)
    below, above = (values[np.searchsorted(last, r, "right")] for r in (low, high))
    found: list[float] = (below + (ranks - low) * (above.astype(np.float64) - below)).tolist()
    return found


def cut(found: Instances, valid: NDArray[np.bool_]) -> Instances:
    """The objects without the pixels that are not valid (H, W); those without any others are left out."""
    if found.masks is None or not len(found):
        return found
    missing = Masks.from_dense(~valid[None])
    touched = np.unique(found.masks.intersection_pairs(missing)[0])
    if not len(touched):
        return found
    crops, corners = [], []
    for k in touched.tolist():
        crop, (x, y) = found.masks.crop(k)
        crops.append(crop & valid[y : y + crop.shape[0], x : x + crop.shape[1]])
        corners.append((x, y))
    rest = np.setdiff1d(np.arange(len(found)), touched)
    order = np.argsort(np.concatenate((rest, touched)), kind="stable")
    parts = [found.masks[rest], Masks.from_crops(crops, np.array(corners), found.size)]
    masks = Masks.concatenate(parts)[order]
    left = found.replace(masks=masks, boxes=masks.boxes)
    return left[np.asarray(masks.area) > 0]
