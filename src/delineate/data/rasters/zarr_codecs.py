"""Which codecs of a Zarr array may decode its chunks.

The package would run any that the array's metadata name, ``pickle`` among them, which runs what the file
says. So only those that turn bytes or numbers into such are let through.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

KNOWN = frozenset(
    (
        "blosc", "gzip", "zlib", "zstd", "lz4", "lzma", "bz2", "packbits", "pcodec", "zfpy", "delta",
        "shuffle", "bitround", "quantize", "fixedscaleoffset", "astype", "crc32", "crc32c", "adler32",
        "fletcher32",
        "jenkins_lookup3", "bytes", "endian", "transpose", "sharding_indexed",
    )
)  # fmt: skip
"""Names of Zarr 3 and of numcodecs, these without their ``numcodecs.``."""
LARGEST_CHUNK = 1 << 30
"""Bytes of a decoded chunk."""


def check_array(array: Any) -> None:
    """Whether an array holds numbers in chunks of a sane size, decoded by known codecs.

    Raises:
        ValueError: it does not.
    """
    if array.dtype.kind not in "buif":
        raise ValueError(f"an array of {array.dtype}")
    for name in names(array.metadata.to_dict()):
        if name not in KNOWN:
            raise ValueError(f"the codec {name[:40]!r}")
    chunk = array.dtype.itemsize
    for side in array.chunks:
        chunk *= int(side)
    if chunk > LARGEST_CHUNK:
        raise ValueError(f"chunks of {chunk} bytes")


def names(told: Any) -> Iterator[str]:
    """The codecs that the metadata of an array name, those inside shards too.

    Example:
        >>> sorted(names({"compressor": {"id": "zlib"}, "filters": [{"id": "numcodecs.delta"}]}))
        ['delta', 'zlib']
    """
    for key in ("compressor", "filters", "codecs", "index_codecs"):
        given = told.get(key) or ()
        for codec in [given] if isinstance(given, dict) else given:
            yield str(codec.get("id", codec.get("name"))).removeprefix("numcodecs.")
            yield from names(codec.get("configuration") or {})
