"""Reading an image, whatever it is: PNG, JPEG, TIFF, WebP, BMP, GIF, Zarr, 8-bit to float, to plain pixels.

What comes out is always upright (EXIF orientation applied) and one of: (H, W) grey, (H, W, 3) RGB, or the
channels that were asked for; uint8, uint16 or float32, as stored (12 bits in 16 stay as they are). Alpha is
dropped: the colours under it count. Whatever was converted, left out or in doubt stands in ``notes``.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError

from .channels import check_channels, too_many_channels
from .decode import SUSPECT, decode
from .find import find as find
from .limits import MAX_PIXELS, check_size
from .pixel_size import png_pixel_size
from .sniff import by_windows, read_header, sniff
from .tiff import read_tiff
from .write import write_label_tiff as write_label_tiff
from .write import write_png as write_png

Source = str | Path | bytes | BinaryIO


@dataclass(frozen=True, eq=False)
class ImageFile:
    """A decoded image and what is known of it.

    Attributes:
        pixels: (H, W) or (H, W, C), C as asked or 3 (RGB); uint8, uint16 or float32 without NaN.
        name: the file's name, or ``<bytes>``, ``<stdin>`` and the like.
        path: where it was read from, or None.
        format: PNG, JPEG, TIFF, WebP, BMP, GIF, Zarr or slide.
        pixel_size: side of a pixel in µm, or None where the file does not say it believably.
        pages: how many pages the file has (animations of other formats than TIFF count as one).
        page: which of them this is, from 0.
        notes: what was converted or left out, one phrase each.
    """

    pixels: NDArray[Any]
    name: str
    path: Path | None = None
    format: str = ""
    pixel_size: float | None = None
    pages: int = 1
    page: int = 0
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return int(self.pixels.shape[0]), int(self.pixels.shape[1])

    @property
    def suspect(self) -> bool:
        """True where the decoder doubted its result (damaged data that still decodes)."""
        return any(note.startswith(SUSPECT) for note in self.notes)


def read(
    source: Source,
    *,
    channels: int | Sequence[int] | None = None,
    page: int | None = None,
    max_pixels: int = MAX_PIXELS,
) -> ImageFile:
    """Reads one image. The content decides what it is, not the file's name.

    Args:
        source: a path (of a folder, where it is a Zarr image), ``"-"`` for standard input, the file's bytes,
            or an open binary file.
        channels: one channel (gives (H, W)) or several (gives (H, W, C)), counted from 0 as stored.
            Needed where the file has other than 1 or 3, alpha not counted.
        page: which page of a multi-page TIFF, from 0. None takes the first and notes it.
        max_pixels: refuse larger images from their header, before memory is taken.

    Raises:
        InputError: missing, empty, damaged, cut off, too large, or not a format that is read; the message
            names the file, the reason and the mend.

    Example:
        >>> import imagecodecs, numpy as np
        >>> image = read(imagecodecs.png_encode(np.full((2, 3), 7, np.uint8)))
        >>> image.pixels.tolist(), image.format
        ([[7, 7, 7], [7, 7, 7]], 'PNG')
    """
    if isinstance(source, str | Path) and by_windows(Path(source)):
        from .rasters.as_image import read_image

        return read_image(Path(source), channels, page, max_pixels)
    with _opened(source) as opened:
        return _read_opened(opened, channels, page, max_pixels)


def pages(
    source: Source, *, channels: int | Sequence[int] | None = None, max_pixels: int = MAX_PIXELS
) -> Iterator[ImageFile]:
    """Yields every page of a TIFF, one at a time (other formats have one).

    Raises:
        InputError: as :func:`read`.
    """
    if source == "-":
        source = sys.stdin.buffer
    if not isinstance(source, str | Path | bytes):
        source = source.read()  # read once, decode page by page
    first = read(source, channels=channels, page=0, max_pixels=max_pixels)
    yield first
    for index in range(1, first.pages):
        yield read(source, channels=channels, page=index, max_pixels=max_pixels)


def read_size(source: Source) -> tuple[int, int]:
    """(height, width) of the upright image from its header, without decoding the pixels.

    Raises:
        InputError: as :func:`read`.
    """
    if isinstance(source, str | Path) and by_windows(Path(source)):
        from .rasters import open_raster

        with open_raster(source, channels="all") as raster:
            return raster.size
    with _opened(source) as opened:
        if opened.kind == "TIFF":
            channels = (0,)  # any number of channels has one size
            header = read_tiff(
                opened.file,
                opened.where,
                page=None,
                channels=channels,
                max_pixels=sys.maxsize,
                header_only=True,
            )
        else:
            header = read_header(opened.kind, opened.file.read(), opened.where)  # type: ignore[assignment]
    height, width = header.size
    return (width, height) if header.orientation >= 5 else (height, width)


def read_labels(source: Source, *, max_pixels: int = MAX_PIXELS) -> NDArray[Any]:
    """(H, W) the numbers as stored: palette indices, not their colours; ids, not grey values.

    Raises:
        InputError: as :func:`read`; also a colour picture.
    """
    from .label_pixels import stored_numbers

    if isinstance(source, str | Path) and by_windows(Path(source)):
        from .rasters.as_image import read_ids

        return read_ids(Path(source), max_pixels)
    with _opened(source) as opened:
        if opened.kind == "TIFF":
            picture = read_tiff(
                opened.file, opened.where, page=None, channels=None, max_pixels=max_pixels, raw=True
            )
            return stored_numbers(picture.pixels, opened.where)
        data = opened.file.read()
        check_size(read_header(opened.kind, data, opened.where).size, opened.where, max_pixels)
        return stored_numbers(data, opened.where, opened.kind)


@dataclass
class _Opened:
    """A source, opened, sniffed and rewound."""

    file: BinaryIO
    where: str
    path: Path | None
    kind: str = ""

    def __enter__(self) -> _Opened:
        try:
            self.kind = sniff(self.file.read(512), self.where)
            self.file.seek(0)
        except BaseException:
            self.file.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


def _opened(source: Source) -> _Opened:
    if isinstance(source, bytes | bytearray | memoryview):
        return _Opened(io.BytesIO(source), "<bytes>", None)
    if source == "-":
        return _Opened(io.BytesIO(sys.stdin.buffer.read()), "<stdin>", None)
    if not isinstance(source, str | Path):
        if not callable(getattr(source, "read", None)):
            raise InputError(
                f"read: expected a path, bytes or binary file, got {type(source).__name__}; open it first"
            )
        data = source.read()
        if not isinstance(data, bytes):
            raise InputError("read: expected a file opened in binary mode, got text; open it with mode 'rb'")
        return _Opened(io.BytesIO(data), str(getattr(source, "name", "<file>")), None)
    path = Path(source)
    try:
        return _Opened(path.open("rb"), str(path), path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path}: expected an image file, got {reason!r}; check the path") from None


def _read_opened(
    opened: _Opened, channels: int | Sequence[int] | None, page: int | None, max_pixels: int
) -> ImageFile:
    wanted = (channels,) if isinstance(channels, int) else None if channels is None else tuple(channels)
    where, kind = opened.where, opened.kind
    name = opened.path.name if opened.path is not None else where
    found = ImageFile(np.empty((0, 0), np.uint8), name, opened.path, kind)
    if kind == "TIFF":
        picture = read_tiff(opened.file, where, page=page, channels=wanted, max_pixels=max_pixels)
        pixels, alpha, orientation, notes = picture.pixels, picture.alpha, picture.orientation, picture.notes
        found = replace(found, pixel_size=picture.pixel_size, pages=picture.pages, page=picture.page)
    else:
        if page:
            raise InputError(
                f"{where}: expected page 0 (a {kind} has one page), got {page}; leave `--page` out"
            )
        data = opened.file.read()
        header = read_header(kind, data, where)
        check_size(header.size, where, max_pixels)
        pixels, notes = decode(kind, data, header, where)
        alpha, orientation = pixels.ndim == 3 and pixels.shape[2] in (2, 4), header.orientation
        found = replace(found, pixel_size=png_pixel_size(header.per_metre))
        if wanted is not None:
            stored = pixels.reshape(*pixels.shape[:2], -1)
            chosen = check_channels(wanted, stored.shape[2], where)
            pixels, alpha = (stored[:, :, chosen[0]] if len(chosen) == 1 else stored[:, :, chosen]), False
    if alpha:
        pixels = pixels[:, :, 0] if pixels.shape[2] == 2 else pixels[:, :, :-1]
        notes = [*notes, "alpha dropped"]
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if wanted is None and pixels.ndim == 3 and pixels.shape[2] != 3:
        raise too_many_channels(pixels.shape[2], where)
    pixels, converted = plain_type(pixels, where)
    pixels = np.ascontiguousarray(upright(pixels, orientation))
    return replace(found, pixels=pixels, notes=(*notes, *converted))


def upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """The image as it is meant to be seen, from its EXIF orientation 1..8 (EXIF 2.32, table 4)."""
    if orientation >= 5:
        pixels = np.swapaxes(pixels, 0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def plain_type(pixels: NDArray[Any], where: str) -> tuple[NDArray[Any], list[str]]:
    """The same image as uint8, uint16 or float32, and what had to be done for it.

    Bool becomes 0/255; signed and wider integers become uint16 where they fit, else float32; NaN and
    infinities are replaced by the nearest finite extreme of the image (NaN by the lowest).

    Raises:
        InputError: complex numbers, or no finite value at all.
    """
    kind = pixels.dtype
    if kind.kind == "b":
        return pixels.astype(np.uint8) * np.uint8(255), []
    if kind in (np.uint8, np.uint16):
        return pixels.astype(kind.newbyteorder("="), copy=False), []
    if kind.kind in "iu":
        low, high = int(pixels.min()), int(pixels.max())
        target = np.uint16 if low >= 0 and high < 2**16 else np.float32
        return pixels.astype(target), [f"{kind.name} converted to {np.dtype(target).name}"]
    if kind.kind != "f":
        raise InputError(f"{where}: expected real numbers as pixels, got {kind}; save the part you need")
    notes = [] if kind.itemsize == 4 else [f"{kind.name} converted to float32"]
    with np.errstate(over="ignore"):
        values = pixels.astype(np.float32)
    finite = np.isfinite(values)
    if not finite.all():
        if not finite.any():
            raise InputError(
                f"{where}: expected finite pixels, got only NaN or infinity; save the image again"
            )
        low, high = values[finite].min(), values[finite].max()
        notes.append(f"{int((~finite).sum())} pixels NaN or infinite, replaced by the nearest extreme")
        values = np.nan_to_num(values, nan=low, posinf=high, neginf=low)
    return values, notes
