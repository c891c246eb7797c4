"""Label images that are measured by windows, and the images that they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from delineate.core.errors import InputError
from delineate.data.rasters import Raster, open_raster
from delineate.data.sniff import SLIDES, is_zarr

from .measure_scale import Scale, scale_of

LARGE_PIXELS = 40_000_000
"""Label images above it are measured by windows."""
_TIFF = (".tif", ".tiff", ".btf")


@dataclass(frozen=True)
class LargeLabels:
    """Files to measure by windows.

    Attributes:
        labels: the label image.
        image: its image, or None.
        page: of the label image, or None.
        channels: of the image.
        scale: what a pixel measures.
        notes: what is in doubt.
    """

    labels: Path
    image: Path | None
    page: int | None
    channels: tuple[int, ...] | None
    scale: Scale
    notes: tuple[str, ...]

    def open(self) -> tuple[Raster, Raster | None]:
        """The rasters; the caller closes them."""
        labels = open_raster(self.labels, labels=True, z=self.page)
        if self.image is None:
            return labels, None
        image = open_raster(self.image, channels=self.channels, z=self.page)
        if image.size != labels.size:
            raise InputError(
                f"{self.labels}: expected an image of {labels.size} pixels (height, width) as the labels, "
                f"got {image.size}; give the image that was segmented"
            )
        return labels, image


def large_labels(
    labels: Path, image: Path | None, page: int | None, channels: tuple[int, ...] | None
) -> LargeLabels | None:
    """What to measure by windows; None for a file that is read whole.

    Raises:
        InputError: damaged files, or an image of another size.
    """
    if not is_zarr(labels) and labels.suffix.lower() not in (*_TIFF, *SLIDES):
        return None
    with open_raster(labels, labels=True, z=page) as raster:
        if not is_zarr(labels) and raster.size[0] * raster.size[1] <= LARGE_PIXELS:
            return None
        size, notes = raster.pixel_size, raster.notes
    scale = Scale()
    if image is not None:
        with open_raster(image, channels=channels, z=page) as raster:
            scale, notes = scale_of(image, raster.pixel_size), notes + raster.notes
    if scale.size is None:
        scale = scale_of(labels, size)
    found = LargeLabels(labels, image, page, channels, scale, notes)
    for opened in found.open():
        if opened is not None:
            opened.close()
    return found
