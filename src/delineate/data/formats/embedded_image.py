"""Images that stand inside a JSON file as base64, as labelme and VIA may keep them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from pathlib import Path

from delineate.core.errors import InputError

from ..limits import MAX_PIXELS, check_size
from ..sniff import read_header, sniff
from ..write import atomic
from .coco_check import Bad, Findings
from .json_file import show


def embedded(text: object, name: str, where: str, findings: Findings) -> Path:
    """The image as a file of the cache, written there once.

    The folder is ``images`` in ``DELINEATE_CACHE``, or in ``delineate`` in the user's cache.

    Args:
        text: base64, maybe behind ``data:image/png;base64,``.
        name: what the file is called.
        where: its place in the JSON file.
        findings: counts it.

    Raises:
        Bad: not base64, not an image, or one of too many pixels.
    """
    if not isinstance(text, str):
        raise Bad(f"{where}: expected an image as base64 text, got {show(text)}")
    try:
        data = base64.b64decode(text.partition("base64,")[2] or text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Bad(f"{where}: expected an image as base64 text, got {error}") from None
    try:
        kind = sniff(data[:512], where)
        if kind != "TIFF":
            check_size(read_header(kind, data, where).size, where, MAX_PIXELS)
    except InputError as error:
        raise Bad(str(error).split(";")[0]) from None
    folder = cache_folder() / "images" / hashlib.sha256(data).hexdigest()[:32]
    path = folder / (Path(name).name or "image")
    findings.count("image taken from inside the JSON file", where)
    if not path.is_file() or path.stat().st_size != len(data):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Bad(f"{where}: expected a cache folder at {folder}, got {error.strerror}") from None
        with atomic(path) as temporary:
            temporary.write_bytes(data)
    return path


def cache_folder() -> Path:
    """``DELINEATE_CACHE``, else ``delineate`` in ``XDG_CACHE_HOME`` or ``~/.cache``."""
    if chosen := os.environ.get("DELINEATE_CACHE"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "delineate"
