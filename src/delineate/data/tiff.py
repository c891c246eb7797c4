"""One picture out of a TIFF: pages, channels, colours, the pixel's size. BigTIFF, OME-TIFF, ImageJ, planar.

Of the axes that tifffile names, ``Y X`` are the picture, ``C`` and ``S`` its channels, and all others
(``Z``, ``T``, plain pages) are flattened into one row of pages, the last running fastest.

Three or four planes that the file calls red, green, blue are colours, even where somebody meant slices:
tifffile writes so what it is given as (3, H, W) without ``photometric="minisblack"``, and nothing in the file
tells it from a photo. Numbers read raw, as labels are, cannot be colours; there such planes are pages.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError

from . import png
from .channels import check_channels, too_many_channels
from .decode import cmyk_to_rgb
from .limits import check_size
from .pixel_size import tiff_pixel_size
from .tiff_file import opened_tiff

_PALETTE, _SEPARATED, _YCBCR, _CIELAB = 3, 5, 6, 8
_JPEG2000_YCBCR = 33003  # Aperio's slides

_log: ContextVar[list[str] | None] = ContextVar("tifffile_log", default=None)


class _Collector(logging.Handler):
    """Keeps what tifffile logs about the file in hand, instead of printing it."""

    def emit(self, record: logging.LogRecord) -> None:
        messages = _log.get()
        if messages is not None:
            messages.append(record.getMessage().splitlines()[0])


logging.getLogger("tifffile").addHandler(_Collector())


@dataclass
class TiffPicture:
    """One page as stored.

    Attributes:
        pixels: (H, W) or (H, W, C), of the file's own type; colours already RGB unless read raw.
        size: (height, width) as stored.
        alpha: the last channel is an alpha channel.
        pages: how many pages there are.
        page: which one this is, from 0.
        pixel_size: µm per pixel, or None.
        orientation: TIFF/EXIF orientation 1..8.
        notes: what was converted or left out.
    """

    pixels: NDArray[Any]
    size: tuple[int, int]
    alpha: bool = False
    pages: int = 1
    page: int = 0
    pixel_size: float | None = None
    orientation: int = 1
    notes: list[str] = field(default_factory=list)


@contextmanager
def collected() -> Iterator[list[str]]:
    """What tifffile logs while the block runs, instead of on the screen."""
    messages: list[str] = []
    token = _log.set(messages)
    try:
        yield messages
    finally:
        _log.reset(token)


def read_tiff(
    source: Path | BinaryIO,
    where: str,
    *,
    page: int | None,
    channels: Sequence[int] | None,
    max_pixels: int,
    raw: bool = False,
    header_only: bool = False,
) -> TiffPicture:
    """One page of a TIFF file.

    Args:
        source: a path, or a seekable binary file.
        where: the file's name for messages.
        page: which page, from 0; None takes the first and notes when there are more.
        channels: decode only these channels (in this order); None decodes all of up to 4.
        max_pixels: refuse more than this before anything is allocated.
        raw: leave palette indices, inverted grey and the like as stored, for label images.
        header_only: leave ``pixels`` empty.

    Raises:
        InputError: damaged, cut off, too large, an unknown compression or colour space, no such page or
            channel.
    """
    with collected() as messages:
        try:
            with opened_tiff(source) as file:
                picture = _read(file, where, page, channels, max_pixels, raw, header_only)
        except InputError:
            raise
        except MemoryError:
            raise InputError(
                f"{where}: expected a TIFF that fits into memory, got a larger one; crop it"
            ) from None
        except Exception as error:  # tifffile and its codecs raise whatever they like on damaged data
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise InputError(
                f"{where}: expected a whole TIFF file, got a damaged or unknown one: {reason}; save it again"
            ) from None
    picture.notes += [f"TIFF reader: {message}" for message in messages[:3]]
    return picture


def _read(
    file: Any,
    where: str,
    page: int | None,
    channels: Sequence[int] | None,
    max_pixels: int,
    raw: bool,
    header_only: bool,
) -> TiffPicture:
    if not file.series:
        raise InputError(f"{where}: expected a TIFF with an image, got one without any; save it again")
    series = file.series[0]
    layout = TiffLayout.of(series, where)
    page_given, page = page, page or 0
    planes = layout.samples if raw and page_given is not None and series.keyframe.axes == "SYX" else 1
    if not 0 <= page < layout.pages * planes:
        raise InputError(
            f"{where}: expected a page in 0..{layout.pages * planes - 1}, got {page}; choose another `--page`"
        )
    if planes > 1:
        page, plane = divmod(page, planes)
        channels = (plane,)
    chosen = layout.choose(channels, where)
    check_size(layout.size, where, max_pixels, samples=max(1, len(chosen)))
    key = series.keyframe
    picture = TiffPicture(np.empty((0, 0), np.uint8), layout.size, pages=layout.pages, page=page)
    picture.pixel_size = tiff_pixel_size(file)
    tag = key.tags.get("Orientation")
    picture.orientation = int(tag.value) if tag is not None and tag.value in range(1, 9) else 1
    if page_given is None and layout.pages > 1:
        picture.notes.append(f"first of {layout.pages} pages ({layout.page_axes} of {series.axes})")
    if len(file.series) > 1:
        picture.notes.append(f"first of {len(file.series)} series")
    if header_only:
        return picture
    used = sorted({c // layout.samples for c in chosen})
    parts = [_plane(series, layout, page, c, where, picture.notes) for c in used]
    pixels = parts[0] if len(parts) == 1 else np.dstack(parts)
    if channels is not None:
        picture.pixels = layout.pick(pixels, chosen)
        return picture
    picture.pixels = pixels
    if layout.lead_channels == 1 and not raw:
        to_colours(picture, key, where)
    return picture


@dataclass(frozen=True)
class TiffLayout:
    """How the axes of a series are to be read."""

    size: tuple[int, int]
    lead: str  # axes over TIFF pages, as tifffile names them
    lead_shape: tuple[int, ...]
    samples: int

    @classmethod
    def of(cls, series: Any, where: str) -> TiffLayout:
        """The layout of a tifffile series.

        Raises:
            InputError: axes that are no pages of pictures.
        """
        inner = series.keyframe.axes
        lead = series.axes[: len(series.axes) - len(inner)]
        sizes = dict(zip(inner, series.keyframe.shape, strict=True))
        if not series.axes.endswith(inner) or sorted(inner.replace("S", "")) != ["X", "Y"]:
            raise InputError(
                f"{where}: expected pages with the axes YX, YXS or SYX, got {series.axes} "
                f"of shape {series.shape}; save each plane as a page"
            )
        return cls((sizes["Y"], sizes["X"]), lead, tuple(series.shape[: len(lead)]), sizes.get("S", 1))

    @property
    def page_axes(self) -> str:
        """The axes that are counted as pages."""
        return "".join(a for a in self.lead if a != "C")

    @property
    def pages(self) -> int:
        """How many pages there are, channels not counted."""
        return int(
            np.prod([n for a, n in zip(self.lead, self.lead_shape, strict=True) if a != "C"], dtype=np.int64)
        )

    @property
    def lead_channels(self) -> int:
        """How many channels are stored as pages of their own."""
        return int(
            np.prod([n for a, n in zip(self.lead, self.lead_shape, strict=True) if a == "C"], dtype=np.int64)
        )

    def choose(self, channels: Sequence[int] | None, where: str) -> list[int]:
        """The channels asked for, or all where they can be grey or colours.

        Raises:
            InputError: no such channel, or too many.
        """
        total = self.lead_channels * self.samples
        if channels is None:
            # 3 are RGB; 2 and 4 samples of one page may be grey + alpha or RGB + alpha, which the page tells.
            if total > 4 or (self.lead_channels > 1 and total != 3):
                raise too_many_channels(total, where)
            return list(range(total))
        return check_channels(channels, total, where)

    def pick(self, pixels: NDArray[Any], chosen: list[int]) -> NDArray[Any]:
        """From the decoded channels (whole pages, ascending) those chosen, in the order chosen."""
        used = sorted({c // self.samples for c in chosen})
        at = [used.index(c // self.samples) * self.samples + c % self.samples for c in chosen]
        if pixels.ndim == 2:
            return pixels if len(at) == 1 else pixels[:, :, None][:, :, at]
        return pixels[:, :, at[0]] if len(at) == 1 else pixels[:, :, at]

    def frame(self, page: int, channel: int) -> int:
        """Index among the series' TIFF pages."""
        others = [n for a, n in zip(self.lead, self.lead_shape, strict=True) if a != "C"]
        at = iter(np.unravel_index(page, others) if others else ())
        index = [channel if a == "C" else next(at) for a in self.lead]
        return int(np.ravel_multi_index(index, self.lead_shape)) if index else 0


def _plane(
    series: Any, layout: TiffLayout, page: int, channel: int, where: str, notes: list[str]
) -> NDArray[Any]:
    """One TIFF page, (H, W) or (H, W, S)."""
    frame = layout.frame(page, channel)
    key = series.keyframe
    stored = None
    if not series.is_truncated:
        stored = series.pages[frame]
        if stored is None:
            raise InputError(
                f"{where}: expected all planes in this file, got none for plane {frame}; save it whole"
            )
        _check_segments(stored, key, series.parent.filehandle.size, where, notes)
        try:
            pixels = stored.asarray()
        except Exception:
            if int(key.compression) == png.IN_TIFF:
                png.outweigh(len(stored.dataoffsets))  # any of its tiles may be damaged
            raise
        if pixels.shape != key.shape:
            raise InputError(
                f"{where}: expected a page of shape {key.shape}, got {pixels.shape}; save the file again"
            )
    else:  # ImageJ writes one page and the rest as one block behind it
        handle = series.parent.filehandle
        plane = int(np.prod(key.shape, dtype=np.int64))
        start = series.dataoffset + frame * plane * key.dtype.itemsize
        if start + plane * key.dtype.itemsize > handle.size:
            raise InputError(
                f"{where}: expected a whole TIFF file, got one that is cut off in page {page}; fetch it again"
            )
        handle.seek(start)
        pixels = handle.read_array(series.parent.byteorder + key.dtype.char, plane).reshape(key.shape)
    return np.moveaxis(pixels, 0, 2) if key.axes == "SYX" else pixels


def _check_segments(page: Any, key: Any, file_size: int, where: str, notes: list[str]) -> None:
    offsets, counts = np.asarray(page.dataoffsets, np.float64), np.asarray(page.databytecounts, np.float64)
    if len(offsets) != len(counts) or (offsets + counts > file_size).any():
        raise InputError(
            f"{where}: expected a whole TIFF file, got one that is cut off: image data up to byte "
            f"{(offsets + counts).max():.0f} of {file_size}; fetch it again"
        )
    uncompressed = np.prod(key.shape, dtype=np.float64) * key.bitspersample / 8
    if int(key.compression) == 1 and counts.sum() < np.floor(uncompressed) and (counts > 0).all():
        raise InputError(
            f"{where}: expected {uncompressed:.0f} bytes of image data, got {counts.sum():.0f}; save it again"
        )
    if (counts == 0).any():
        notes.append(f"{int((counts == 0).sum())} empty tiles read as background")


def to_colours(picture: TiffPicture, key: Any, where: str) -> None:
    """Makes grey or RGB of the page's colour space (``key``: a tifffile page), in place."""
    photometric, pixels = int(key.photometric), picture.pixels
    samples = pixels.shape[2] if pixels.ndim == 3 else 1
    extra = [int(e) for e in key.extrasamples]
    if int(key.compression) == _JPEG2000_YCBCR and samples == 3 and pixels.dtype == np.uint8:
        picture.pixels = cv2.cvtColor(np.ascontiguousarray(pixels[:, :, [0, 2, 1]]), cv2.COLOR_YCrCb2RGB)
    elif photometric == 0 and pixels.dtype.kind in "bu":
        picture.pixels = ~pixels
        picture.notes.append("white-is-zero grey inverted")
    elif photometric == _PALETTE and samples == 1:
        picture.pixels = (np.asarray(key.colormap).T[pixels] >> 8).astype(np.uint8)
    elif photometric == _SEPARATED and samples == 4 and pixels.dtype.kind == "u":
        picture.pixels = cmyk_to_rgb(pixels)
        picture.notes.append("CMYK converted to RGB")
        return
    elif photometric == _CIELAB and samples == 3 and pixels.dtype == np.uint8:
        shifted = pixels.copy()
        shifted[:, :, 1:] ^= 128  # signed a, b as OpenCV stores them: + 128
        picture.pixels = cv2.cvtColor(shifted, cv2.COLOR_Lab2RGB)
        picture.notes.append("CIELAB converted to RGB")
    elif photometric == _YCBCR and int(key.compression) in (6, 7, 34892, 33004, 33005, 34712, 50001):
        pass  # the codec has made RGB of it
    elif photometric not in (0, 1, 2, 4) or samples > 4:
        name = getattr(key.photometric, "name", str(photometric))
        raise InputError(
            f"{where}: expected grey or RGB, got the colour space {name} with {samples} samples; convert it"
        )
    picture.alpha = (samples == 4 and photometric == 2) or (samples in (2, 4) and extra[-1:] in ([1], [2]))
