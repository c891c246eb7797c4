"""Writing tiled, pyramidal OME-TIFF by windows, in little memory, of images and of labels."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.data.write import atomic

from .raster import reduced
from .tile_scratch import ScratchFile, TileScratch
from .writer import RasterWriter, level_sizes

_KEPT_BYTES = 64 << 20
_CLASSIC_BYTES = 4_000_000_000
"""A file that may grow beyond this is written as BigTIFF."""


class OmeTiffWriter(RasterWriter):
    """Writes one image as OME-TIFF: tiles compressed by deflate, each level half the one before.

    Tiles lie compressed in a hidden file beside the target until the end; memory stays near 130 MB whatever
    the image's size. BigTIFF is chosen where the file may become larger than 4 GB. The levels are
    sub-images of the first (OME-TIFF 6.0), as Bio-Formats, QuPath, napari and tifffile read them.

    Args:
        path: the file, such as ``result.ome.tif``.
        size: (height, width).
        channels: how many.
        dtype: uint8, uint16 or float32 for an image, uint8, uint16 or uint32 for labels.
        labels: the numbers are ids: reduced levels take the nearest instead of the mean.
        colour: three channels are red, green, blue, stored together; None: where there are three of uint8.
        pixel_size: µm, or None.
        channel_names: one per channel that is stored by itself.
        tile: side of a tile, a multiple of 16.
        levels: how many; None: until one tile holds the last.

    Raises:
        InputError: a setting that does not fit, or the place cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with OmeTiffWriter(f"{folder}/a.ome.tif", (60, 50), dtype=np.uint16, labels=True) as out:
        ...         out.write(10, 20, np.full((3, 4), 9, np.uint16))
        ...     int(tifffile.imread(f"{folder}/a.ome.tif")[22, 13])
        9
    """

    def __init__(
        self,
        path: str | Path,
        size: tuple[int, int],
        *,
        channels: int = 1,
        dtype: Any = np.uint8,
        labels: bool = False,
        colour: bool | None = None,
        pixel_size: float | None = None,
        channel_names: Sequence[str] | None = None,
        tile: int = 512,
        levels: int | None = None,
    ) -> None:
        super().__init__(Path(path), size, channels, dtype, labels)
        rgb = channels == 3 and self.dtype == np.uint8
        if tile < 16 or tile % 16 or (levels is not None and levels < 1) or (colour and channels != 3):
            raise InputError(
                f"{path}: expected tiles of a multiple of 16, a level and colour of three channels only, got "
                f"tile {tile}, levels {levels}, {channels} channels; change them"
            )
        self._colour = rgb if colour is None else colour
        self._pixel_size, self._channel_names, self._tile = pixel_size, channel_names, tile
        samples = channels if self._colour else 1
        try:
            self._scratch = ScratchFile(
                self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}.tiles")
            )
        except OSError as error:
            raise self._unwritable(error) from None
        kept = _KEPT_BYTES * samples // channels
        self._differences = not labels and self.dtype.kind == "u"
        self._levels = [
            [
                TileScratch(
                    self._scratch, s, samples, self.dtype, tile, predictor=self._differences, kept=kept
                )
                for _ in range(channels // samples)
            ]
            for s in level_sizes(size, tile, levels)
        ]

    def _put(self, x0: int, y0: int, pixels: NDArray[Any]) -> None:
        stack = pixels if pixels.ndim == 3 else pixels[:, :, None]
        try:
            self._write(0, x0, y0, stack)
        except OSError as error:
            raise self._unwritable(error) from None

    def _write(self, level: int, x0: int, y0: int, stack: NDArray[Any]) -> None:
        if self._colour:
            self._levels[level][0].write(x0, y0, stack)
            return
        for k, plane in enumerate(self._levels[level]):
            plane.write(x0, y0, stack[:, :, k : k + 1])

    def _finish(self) -> None:
        try:
            for level in range(1, len(self._levels)):
                self._reduce(level)
            with atomic(self.path) as temporary:
                self._save(temporary)
        except OSError as error:
            raise self._unwritable(error) from None

    def _reduce(self, level: int) -> None:
        """Makes a level of the one before, a row of tiles after the other."""
        finer = self._levels[level - 1]
        height, width = finer[0].size
        side = 2 * self._tile
        for top in range(0, height, side):
            for left in range(0, width, side):
                box = (left, top, min(left + side, width), min(top + side, height))
                stack = np.concatenate([plane.read(*box) for plane in finer], axis=2)
                self._write(level, left // 2, top // 2, reduced(stack, 2, self.labels))
        for plane in finer:
            plane.flush()

    def _save(self, temporary: Path) -> None:
        count = len(self._levels)
        for plane in self._levels[-1]:
            plane.flush()
        big = self._scratch.size > _CLASSIC_BYTES
        options: dict[str, Any] = {
            "tile": (self._tile, self._tile),
            "compression": "zlib",
            "predictor": 2 if self._differences else 1,
            "photometric": "rgb" if self._colour else "minisblack",
        }
        if self._pixel_size:
            per_cm = 1e4 / self._pixel_size
            options |= {"resolutionunit": "CENTIMETER"}
        with tifffile.TiffWriter(temporary, bigtiff=big, ome=True) as file:
            for k, planes in enumerate(self._levels):
                more: dict[str, Any] = {"subfiletype": 1, "metadata": None}
                if k == 0:
                    more = {"subifds": count - 1, "metadata": self._metadata()}
                if self._pixel_size:
                    more["resolution"] = (per_cm / 2**k,) * 2
                file.write(
                    (data for plane in planes for data in plane.encoded()),
                    shape=self._shape(planes[0].size),
                    dtype=self.dtype,
                    **options,
                    **more,
                )

    def _shape(self, size: tuple[int, int]) -> tuple[int, ...]:
        if self._colour:
            return (*size, 3)
        return (self.channels, *size) if self.channels > 1 else size

    def _metadata(self) -> dict[str, Any]:
        told: dict[str, Any] = {"axes": "YXS" if self._colour else "CYX" if self.channels > 1 else "YX"}
        told["UUID"] = f"urn:uuid:{self._identity()}"
        if self._pixel_size:
            told |= {"PhysicalSizeX": self._pixel_size, "PhysicalSizeXUnit": "µm"}
            told |= {"PhysicalSizeY": self._pixel_size, "PhysicalSizeYUnit": "µm"}
        if self._channel_names and not self._colour:
            told["Channel"] = {"Name": list(self._channel_names)}
        return told

    def _identity(self) -> uuid.UUID:
        """A number of this picture: the same pixels give the same file, byte for byte."""
        coarsest = hashlib.sha256(repr((self.size, self.channels, str(self.dtype))).encode())
        for plane in self._levels[-1]:
            for data in plane.encoded():
                coarsest.update(data)
        return uuid.UUID(bytes=coarsest.digest()[:16], version=4)

    def _discard(self) -> None:
        self._scratch.close()

    def _unwritable(self, error: OSError) -> InputError:
        return InputError(
            f"{self.path}: expected to write here, got {error.strerror or error}; choose another place"
        )
