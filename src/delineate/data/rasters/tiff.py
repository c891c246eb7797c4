"""TIFF, BigTIFF, OME-TIFF, Cloud Optimized GeoTIFF and SVS, read by windows at any stored resolution."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.data.channels import too_many_channels
from delineate.data.georeference import read_georeference
from delineate.data.images import upright
from delineate.data.pixel_size import tiff_pixel_size
from delineate.data.tiff import TiffLayout, TiffPicture, collected, to_colours
from delineate.data.tiff_file import opened_tiff

from .file_parts import FileParts
from .raster import Channels, Raster
from .recent import Recent
from .slices import Box, Slices
from .tiff_plane import TiffPlane
from .values import plain_values, stored_box, upright_size

KEPT_BYTES = 64 << 20
"""Decoded tiles and strips that are kept."""
_NODATA_TAG = 42113  # GDAL's
_MASK = 4


class TiffRaster(Raster):
    """A TIFF of any size.

    Args:
        path: the file.
        channels, series, time, z, labels: as :func:`~delineate.data.rasters.open_raster`.

    Raises:
        NotInPartsError: a TIFF that has to be read whole.
        InputError: damaged, or no such series, channel, time or slice.
    """

    def __init__(
        self,
        path: Path,
        channels: Channels = None,
        series: int = 0,
        time: int = 0,
        z: int | str | None = None,
        labels: bool = False,
    ) -> None:
        self.path, self.labels = path, labels
        with collected() as messages:
            try:
                with opened_tiff(path) as file:
                    self._open(file, channels, series, time, z)
            except InputError:
                raise
            except Exception as error:  # tifffile raises whatever it likes on damaged files
                reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
                raise InputError(
                    f"{path}: expected a whole TIFF file, got a damaged or unknown one: {reason}; "
                    "save it again"
                ) from None
        self.notes += tuple(f"TIFF reader: {message}" for message in messages[:3])
        self.georeference = read_georeference(path)

    def _open(self, file: Any, channels: Channels, series: int, time: int, z: int | str | None) -> None:
        where = str(self.path)
        if not file.series:
            raise InputError(f"{where}: expected a TIFF with an image, got one without any; save it again")
        if not 0 <= series < len(file.series):
            raise InputError(
                f"{where}: expected a series in 0..{len(file.series) - 1}, got {series}; choose one of them"
            )
        top = file.series[series]
        layout = TiffLayout.of(top, where)
        self._key, self._samples, self._one_page = top.keyframe, layout.samples, layout.lead_channels == 1
        pages = _page_numbers(layout)
        self.times, self.slices = pages.shape
        if self.labels and channels is None and self._key.axes == "SYX" and self.slices == 1:
            # planes that the file calls colours, which labels cannot be: slices
            self.slices = layout.samples
            channels = Slices.choose(z, self.slices, where).numbers[0]
            pages = pages.repeat(self.slices, axis=1)
        if not 0 <= time < self.times:
            raise InputError(
                f"{where}: expected a time in 0..{self.times - 1}, got {time}; choose one of them"
            )
        self._slices = Slices.choose(z, self.slices, where)
        self._choose(layout, channels, where)
        tag = self._key.tags.get("Orientation")
        self._orientation = int(tag.value) if tag is not None and tag.value in range(1, 9) else 1
        self._parts, self._kept = FileParts(self.path), Recent(KEPT_BYTES)
        self._planes: list[dict[tuple[int, int], TiffPlane]] = []
        for level in _levels(top):
            planes = {}
            for k in self._slices.numbers:
                for number, _ in self._groups:
                    frame = layout.frame(int(pages[time, k]), number)
                    planes[k, number] = self._plane(level, frame)
            self._planes.append(planes)
        stored = [next(iter(planes.values())).size for planes in self._planes]
        self.levels = tuple(upright_size(size, self._orientation) for size in stored)
        self.size = self.levels[0]
        self._masks = [self._plane(level, 0) for level in _mask_levels(file, top)][: len(self.levels)]
        self._tell(file, z, where)

    def _choose(self, layout: TiffLayout, channels: Channels, where: str) -> None:
        """Settles which channels are read, and whether colours and alpha are made of them."""
        total, photometric = layout.lead_channels * layout.samples, int(self._key.photometric)
        if channels == "all":
            extra = bool(self._key.extrasamples) and (total, photometric) in ((4, 2), (2, 0), (2, 1))
            whole = total in (1, 3) or extra or photometric not in (0, 1, 2)
            channels = None if whole else tuple(range(total))
        self._plain = channels is None
        wanted = (channels,) if isinstance(channels, int) else None if channels is None else tuple(channels)
        chosen = layout.choose(wanted, where)
        numbers = sorted({c // layout.samples for c in chosen})
        self._groups = [
            (n, [c % layout.samples for c in chosen if c // layout.samples == n]) for n in numbers
        ]
        grouped = [at for n in numbers for at, c in enumerate(chosen) if c // layout.samples == n]
        self._order = np.argsort(grouped).tolist()

    def _plane(self, level: Any, frame: int) -> TiffPlane:
        where = str(self.path)
        if level.is_truncated:  # ImageJ writes one page and the rest as one block behind it
            key = level.keyframe
            start = level.dataoffset + frame * int(np.prod(key.shape, dtype=np.int64)) * key.dtype.itemsize
            return TiffPlane(key, self._parts, self._kept, where, start)
        page = level.pages[frame]
        if page is None:
            raise InputError(
                f"{where}: expected all planes in this file, got none for plane {frame}; save it whole"
            )
        return TiffPlane(page.aspage(), self._parts, self._kept, where)

    def _tell(self, file: Any, z: int | str | None, where: str) -> None:
        """What the file says of itself, and what a window will look like."""
        stored = next(iter(self._planes[0].values())).dtype
        probe = self._finish(np.zeros((1, 1, len(self._order)), stored))
        if self.labels and (probe.ndim == 3 or probe.dtype.kind not in "iu"):
            raise InputError(
                f"{where}: expected one whole number per pixel as labels, got {len(self._order)} of {stored}"
                "; save uint16 or uint32"
            )
        self.dtype = probe.dtype
        self.channels = 1 if probe.ndim == 2 else int(probe.shape[2])
        if self._plain and self.channels not in (1, 3):
            raise too_many_channels(self.channels, where)
        self._alpha = self._plain and self.channels < len(self._order)
        self.colour = self._plain and self.channels == 3 and int(self._key.photometric) not in (0, 1)
        self.pixel_size = tiff_pixel_size(file)
        self.nodata = _nodata(self._key)
        if z is None and self.slices > 1:
            self.notes += (f"first of {self.slices} slices",)
        if self.times > 1:
            self.notes += (f"one of {self.times} times",)
        if len(file.series) > 1:
            self.notes += (f"one of {len(file.series)} series",)

    def _part(self, box: Box, level: int) -> NDArray[Any]:
        def one(wide: Box, k: int) -> NDArray[Any]:
            stored = stored_box(wide, self.levels[level], self._orientation)
            return upright(self._slice(stored, level, k), self._orientation)

        return np.ascontiguousarray(self._slices.read(one, box, self.levels[level]))

    def _stored_width(self, level: int) -> int:
        return next(iter(self._planes[level].values())).piece[self._orientation < 5]

    def _told_valid(self, box: Box, level: int) -> NDArray[np.bool_] | None:
        stored = stored_box(box, self.levels[level], self._orientation)
        if level < len(self._masks):
            told = self._masks[level].window(stored, [0])[:, :, 0] > 0
        elif self._alpha:
            alpha = self._planes[level][self._slices.numbers[0], self._groups[0][0]]
            told = alpha.window(stored, [alpha.samples - 1])[:, :, 0] > 0
        else:
            return None
        return np.ascontiguousarray(upright(told, self._orientation))

    def _slice(self, box: Box, level: int, k: int) -> NDArray[Any]:
        found = [self._planes[level][k, number].window(box, samples) for number, samples in self._groups]
        if len(found) == 1:
            return self._finish(found[0])
        return self._finish(np.concatenate(found, axis=2)[:, :, self._order])

    def close(self) -> None:
        """Closes the file; what is decoded is given back."""
        self._parts.close()
        self._kept.clear()

    def _finish(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Stored numbers (h, w, n) as a window gives them."""
        if self.labels:
            pixels = pixels.astype(np.uint8) if pixels.dtype.kind == "b" else pixels
            return pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
        if self._plain and self._one_page:
            picture = TiffPicture(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels, self.size)
            to_colours(picture, self._key, str(self.path))
            pixels = picture.pixels if picture.pixels.ndim == 3 else picture.pixels[:, :, None]
            if picture.alpha:
                pixels = pixels[:, :, : 1 if pixels.shape[2] == 2 else -1]
        return plain_values(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def _page_numbers(layout: TiffLayout) -> NDArray[np.int64]:
    """(times, slices) the number of each page, as :func:`delineate.data.images.read` counts them."""
    axes = [(a, n) for a, n in zip(layout.lead, layout.lead_shape, strict=True) if a != "C"]
    grid = np.arange(layout.pages).reshape([n for _, n in axes])
    at = [k for k, (a, _) in enumerate(axes) if a == "T"][:1]
    return np.moveaxis(grid, at, [0] * len(at)).reshape(axes[at[0]][1] if at else 1, -1)


def _levels(top: Any) -> list[Any]:
    """The series of each resolution that has the same planes as the finest."""
    lead = len(top.axes) - len(top.keyframe.axes)
    alike = [
        s
        for s in top.levels
        if s.axes == top.axes and s.shape[:lead] == top.shape[:lead] and s.dtype == top.dtype
        and s.keyframe.photometric == top.keyframe.photometric
    ]  # fmt: skip
    return alike or [top]


def _mask_levels(file: Any, top: Any) -> list[Any]:
    """The series of a transparency mask (TIFF 6.0, photometric 4), each level as large as the image's."""
    sizes = [(level.keyframe.imagelength, level.keyframe.imagewidth) for level in _levels(top)]
    for series in file.series:
        if int(series.keyframe.photometric) == _MASK:
            found = [(level.keyframe.imagelength, level.keyframe.imagewidth) for level in series.levels]
            count = next((k for k, (a, b) in enumerate(zip(found, sizes, strict=False)) if a != b), None)
            return list(series.levels[:count])
    return []


def _nodata(key: Any) -> float | None:
    tag = key.tags.get(_NODATA_TAG)
    try:
        return None if tag is None else float(str(tag.value).strip("\0 "))
    except ValueError:
        return None
