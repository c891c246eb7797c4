"""Slides of microscope makers' own formats, read by OpenSlide where it is installed.

OpenSlide (Goode et al., Journal of Pathology Informatics 4:27, 2013) is LGPL 2.1; it is loaded as the shared
library of its own package and never required.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError, MissingDependencyError
from delineate.data.channels import check_channels

from .raster import Channels, Raster
from .slices import Box

_WHITE = "FFFFFF"


class SlideRaster(Raster):
    """A slide. Where nothing was scanned it is of the slide's background colour, or white.

    Args:
        path: the file.
        channels: some of red, green, blue; None takes all.

    Raises:
        MissingDependencyError: OpenSlide is not installed.
        InputError: not a slide that it knows, or a damaged one.
    """

    colour = True

    def __init__(self, path: Path, channels: Channels = None) -> None:
        try:
            import openslide
        except ImportError:
            raise MissingDependencyError(
                f"{path}: expected OpenSlide for a slide of this kind, got none; "
                "pip install 'delineate[slides]'"
            ) from None
        self.path = path
        try:
            self._slide = openslide.OpenSlide(path)
        except (openslide.OpenSlideError, OSError) as error:
            raise InputError(
                f"{path}: expected a slide that OpenSlide reads, got {str(error) or 'another file'!r}; "
                "convert it to OME-TIFF"
            ) from None
        self._error = openslide.OpenSlideError
        chosen = (
            (channels,) if isinstance(channels, int) else (0, 1, 2) if channels in (None, "all") else channels
        )
        self._chosen = check_channels(list(chosen), 3, str(path))  # type: ignore[arg-type]
        self.channels, self.dtype = len(self._chosen), np.dtype(np.uint8)
        self.colour = self._chosen == [0, 1, 2]
        self.levels = tuple((int(h), int(w)) for w, h in self._slide.level_dimensions)
        self.size = self.levels[0]
        told = self._slide.properties
        self.pixel_size = _number(told.get("openslide.mpp-x"))
        background = str(told.get("openslide.background-color", _WHITE))
        self._background = np.array([int(background[k : k + 2], 16) for k in (0, 2, 4)], np.uint16)

    def _part(self, box: Box, level: int) -> NDArray[Any]:
        x0, y0, x1, y1 = box
        scale = self._slide.level_downsamples[level]
        try:
            picture = self._slide.read_region(
                (round(x0 * scale), round(y0 * scale)), level, (x1 - x0, y1 - y0)
            )
        except self._error as error:
            raise InputError(
                f"{self.path}: expected a whole slide, got a damaged part at x {x0}, y {y0} of level "
                f"{level}: {error}; fetch it again"
            ) from None
        pixels = np.asarray(picture)
        cover = pixels[:, :, 3:].astype(np.uint16)
        mixed = (pixels[:, :, :3] * cover + self._background * (255 - cover) + 127) // 255
        found = mixed.astype(np.uint8)[:, :, self._chosen]
        return np.ascontiguousarray(found[:, :, 0] if self.channels == 1 else found)

    def _stored_width(self, level: int) -> int:
        return 512  # tiles of about this size in all its formats

    def close(self) -> None:
        """Closes the slide."""
        self._slide.close()


def _number(text: Any) -> float | None:
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if 0 < value < 1e6 else None
