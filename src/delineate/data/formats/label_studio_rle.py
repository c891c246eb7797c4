"""Label Studio's brush masks: a bit stream of RGBA values along the rows (thi-ng/umbrella, rle-pack).

The stream begins with 32 bits, the number of values; 5 bits, the size of a value less 1; 4 times 4 bits, the
four sizes of a length less 1. Then come blocks: a bit that tells whether one value is repeated, 2 bits that
choose the length's size, the length less 1, and the value, or as many values. A pixel belongs to the mask
where its fourth value, alpha, is not 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .coco_check import Bad
from .drawn import Crop
from .json_file import show

_HEAD = 32 + 5 + 4 * 4
_SIZES = (3, 4, 8, 16)


@dataclass(frozen=True, eq=False)
class BrushMask:
    """A mask as the stream's bytes, over the whole image."""

    data: bytes
    where: str

    def crop(self, size: tuple[int, int]) -> Crop:
        """The mask, (height, width) bool, at (0, 0).

        Raises:
            Bad: the stream is cut off or of another image's size.
        """
        return decode(self.data, size, self.where), (0, 0)


def stream(values: object, size: tuple[int, int] | None, where: str) -> BrushMask:
    """The mask of ``rle`` as JSON has it, its head looked at.

    Args:
        values: bytes as a list of numbers.
        size: (height, width) of the image where it is known.
        where: its place in the file.

    Raises:
        Bad: not bytes, too short, or of another number of pixels than the image's.
    """
    if not isinstance(values, list) or not set(map(type, values)) <= {int}:
        raise Bad(f"{where}: expected a list of bytes, got {show(values)}")
    try:
        data = bytes(values)
    except ValueError:
        raise Bad(f"{where}: expected bytes 0..255, got other numbers") from None
    if len(data) * 8 < _HEAD:
        raise Bad(f"{where}: expected at least {_HEAD} bits, got {len(data) * 8}")
    if size is not None:
        _check(data, size, where)
    return BrushMask(data, where)


def _check(data: bytes, size: tuple[int, int], where: str) -> None:
    count, pixels = int.from_bytes(data[:4], "big"), size[0] * size[1]
    if count != 4 * pixels:
        raise Bad(
            f"{where}: expected {4 * pixels} values for {size[1]} x {size[0]} pixels in RGBA, got {count}"
        )
    if data[4] >> 3 != 7:
        raise Bad(f"{where}: expected values of 8 bits, got {(data[4] >> 3) + 1}")


def decode(data: bytes, size: tuple[int, int], where: str) -> NDArray[np.bool_]:
    """(height, width) bool: where alpha is not 0.

    Raises:
        Bad: the stream is cut off, or of another number of pixels.
    """
    _check(data, size, where)
    count, last = int.from_bytes(data[:4], "big"), len(data) * 8
    padded = data + bytes(8)

    def bits(at: int, number: int) -> int:
        window = int.from_bytes(padded[at >> 3 : (at >> 3) + 5], "big")
        return window >> (40 - (at & 7) - number) & (1 << number) - 1

    sizes = [bits(37 + 4 * i, 4) + 1 for i in range(4)]
    found = np.zeros(count // 4, np.bool_)
    at, done = _HEAD, 0
    while done < count:
        repeated, bitlength = bits(at, 1), sizes[bits(at + 1, 2)]
        length = bits(at + 3, bitlength) + 1
        at += 3 + bitlength
        end = at + 8 if repeated else at + 8 * length
        if end > last:
            raise Bad(f"{where}: expected {count} values, got a stream that ends after {done}")
        length = min(length, count - done)
        first = done // 4  # the first pixel whose alpha (4 p + 3) is at ``done`` or after
        after = (done + length) // 4  # one past the last pixel whose alpha is before ``done + length``
        if repeated:
            found[first:after] = bits(at, 8) != 0
        elif after > first:
            window = np.frombuffer(padded, np.uint8, length + 1, at >> 3)
            shift = at & 7
            values = (window[:-1] << shift | window[1:] >> (8 - shift)) if shift else window[:-1]
            found[first:after] = values[4 * first + 3 - done :: 4][: after - first] != 0
        at, done = end, done + length
    return found.reshape(size)


def encode(mask: NDArray[np.bool_], corner: tuple[int, int], size: tuple[int, int]) -> list[int]:
    """The stream of a mask as a list of bytes; every value of a pixel of the mask is 255.

    Args:
        mask: (h, w) bool, a part of the image.
        corner: where its top left pixel is, x, y.
        size: (height, width) of the image.

    Example:
        >>> rle = encode(np.ones((1, 2), bool), (1, 0), (2, 3))
        >>> decode(bytes(rle), (2, 3), "").astype(int).tolist()
        [[0, 1, 1], [0, 0, 0]]
    """
    x, y = corner
    flat = np.pad(mask, ((0, 0), (1, 1))).astype(np.int8)
    rows, begins = np.nonzero(np.diff(flat, axis=1) == 1)
    ends = np.nonzero(np.diff(flat, axis=1) == -1)[1]
    start = (rows + y) * size[1] + x + begins
    stop = start + (ends - begins)
    edges = np.empty(2 * len(start) + 2, np.int64)
    edges[0], edges[-1], edges[1:-1:2], edges[2:-1:2] = 0, size[0] * size[1], start, stop
    head = f"{4 * size[0] * size[1]:032b}{7:05b}" + "".join(f"{n - 1:04b}" for n in _SIZES)
    parts = [head]
    for i, length in enumerate((4 * np.diff(edges)).tolist()):
        _append(parts, length, 255 * (i % 2))
    text = "".join(parts)
    text += "0" * (-len(text) % 8)
    return list(int(text, 2).to_bytes(len(text) // 8, "big"))


def _append(parts: list[str], length: int, value: int) -> None:
    """Blocks of one repeated value."""
    while length > 0:
        some = min(length, 1 << _SIZES[-1])
        index, bitlength = next((i, n) for i, n in enumerate(_SIZES) if some <= 1 << n)
        parts.append(f"1{index:02b}{some - 1:0{bitlength}b}{value:08b}")
        length -= some
