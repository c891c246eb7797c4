"""Taking the rotation out of a JPEG's EXIF; its pixels are not touched."""

from __future__ import annotations

import struct

ORIENTATION = 0x0112


def without_orientation(data: bytes) -> bytes | None:
    """The same JPEG file whose EXIF orientation is 1; None where it has none that can be changed.

    Args:
        data: the whole file.

    Example:
        >>> tag = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
        >>> exif = b"Exif\\0\\0II*\\0" + struct.pack("<IH", 8, 1) + tag + bytes(4)
        >>> file = b"\\xff\\xd8\\xff\\xe1" + struct.pack(">H", len(exif) + 2) + exif + b"\\xff\\xd9"
        >>> changed = without_orientation(file)
        >>> [a for a, b in zip(file, changed) if a != b]
        [6]
    """
    if not data.startswith(b"\xff\xd8"):
        return None
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] not in (0xDA, 0xD9):
        (length,) = struct.unpack(">H", data[at + 2 : at + 4])
        if data[at + 1] == 0xE1 and data[at + 4 : at + 10] == b"Exif\0\0":
            place = _place(data[at + 10 : at + 2 + length])
            if place is not None:
                value, order = place
                start = at + 10 + value
                return data[:start] + struct.pack(order + "H", 1) + data[start + 2 :]
        at += 2 + length
    return None


def _place(exif: bytes) -> tuple[int, str] | None:
    """Where the orientation's value stands in an EXIF block, and the block's byte order."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None or len(exif) < 10:
        return None
    (at,) = struct.unpack(order + "I", exif[4:8])
    if at + 2 > len(exif):
        return None
    (count,) = struct.unpack(order + "H", exif[at : at + 2])
    for start in range(at + 2, min(at + 2 + 12 * count, len(exif) - 11), 12):
        tag, kind = struct.unpack(order + "HH", exif[start : start + 4])
        if tag == ORIENTATION and kind == 3:
            return start + 8, order
    return None
