"""Which reader opens a file: by what its first bytes say, in windows where it can be."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from delineate.core.errors import InputError
from delineate.data.limits import MAX_PIXELS
from delineate.data.sniff import SLIDES, is_zarr

from .raster import Channels, Raster


def open_raster(
    path: str | Path,
    *,
    channels: Channels = None,
    series: int = 0,
    time: int = 0,
    z: int | str | None = None,
    labels: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> Raster:
    """Opens an image of any size, to be read by windows.

    Args:
        path: a TIFF (pyramids, map images and Aperio slides too), an OME-Zarr image (a folder or
            ``.zarr.zip``), a slide of another maker (by OpenSlide), or any image that
            :func:`delineate.data.images.read` reads; the latter is held whole.
        channels: one or several, from 0 as stored. None takes grey or RGB and refuses others, as
            :func:`delineate.data.images.read` does; ``"all"`` takes all but alpha.
        series: which image of the file, from 0.
        time: which time point, from 0.
        z: which slice, from 0 (None: the first), or ``"max"``, ``"mean"`` or ``"focus"`` to make one image
            of all slices, window by window.
        labels: give whole numbers as stored, one per pixel, without colours; of an OME-Zarr image that
            holds labels, these.
        max_pixels: the limit for files that can only be read whole.

    Raises:
        MissingDependencyError: zarr or OpenSlide is not installed.
        InputError: missing, damaged, no image, too large to be read whole, or no such channel, series, time
            or slice.

    Example:
        >>> import tempfile, tifffile, numpy as np
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     tifffile.imwrite(f"{folder}/a.tif", np.arange(48, dtype=np.uint8).reshape(6, 8))
        ...     with open_raster(f"{folder}/a.tif") as raster:
        ...         raster.size, raster.window(6, 0, 8, 2).tolist()
        ((6, 8), [[6, 7], [14, 15]])
    """
    path = Path(path)
    raster = _opened(path, channels, series, time, z, labels, max_pixels)
    raster.reopen = partial(
        open_raster,
        path,
        channels=channels,
        series=series,
        time=time,
        z=z,
        labels=labels,
        max_pixels=max_pixels,
    )
    return raster


def _opened(
    path: Path,
    channels: Channels,
    series: int,
    time: int,
    z: int | str | None,
    labels: bool,
    max_pixels: int,
) -> Raster:
    from .slide import SlideRaster
    from .tiff import TiffRaster
    from .tiff_plane import NotInPartsError
    from .whole import WholeRaster

    if is_zarr(path):
        from .ome_zarr import OmeZarrRaster

        return OmeZarrRaster(path, channels, series, time, z, labels)
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise InputError(f"{path}: expected an image file, got {error.strerror!r}; check the path") from None
    if path.suffix.lower() in SLIDES:
        return SlideRaster(path, channels)
    if head in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        try:
            return TiffRaster(path, channels, series, time, z, labels)
        except NotInPartsError:
            return WholeRaster(path, channels, z, labels, max_pixels)
    return WholeRaster(path, channels, z, labels, max_pixels)
