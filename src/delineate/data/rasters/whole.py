"""An image that is held whole, with the same windows as one that is read in parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.data.georeference import read_georeference
from delineate.data.images import read, read_labels
from delineate.data.projection import PROJECTIONS

from .raster import Channels, Raster
from .slices import Box


class WholeRaster(Raster):
    """Any image that :func:`delineate.data.images.read` reads.

    Args:
        path: the file.
        channels, z, labels, max_pixels: as :func:`~delineate.data.rasters.open_raster`.

    Raises:
        InputError: it cannot be read, or it is larger than ``max_pixels``.
    """

    def __init__(
        self, path: Path, channels: Channels, z: int | str | None, labels: bool, max_pixels: int
    ) -> None:
        self.path, self.labels = path, labels
        if z in PROJECTIONS:
            z = None  # one image is its own projection
        if isinstance(z, str):
            raise InputError(
                f"{path}: expected a slice's number or one of {', '.join(PROJECTIONS)}, got {z!r}; choose one"
            )
        if labels:
            self._pixels = read_labels(path, max_pixels=max_pixels)
        else:
            chosen = None if isinstance(channels, str) else channels
            image = read(path, channels=chosen, page=z, max_pixels=max_pixels)
            self._pixels, self.pixel_size, self.notes = image.pixels, image.pixel_size, image.notes
        self.size = (int(self._pixels.shape[0]), int(self._pixels.shape[1]))
        self.levels = (self.size,)
        self.channels = 1 if self._pixels.ndim == 2 else int(self._pixels.shape[2])
        self.dtype = self._pixels.dtype
        self.colour = self.channels == 3 and channels is None
        self.georeference = read_georeference(path)

    def _part(self, box: Box, level: int) -> NDArray[Any]:
        x0, y0, x1, y1 = box
        return self._pixels[y0:y1, x0:x1].copy()
