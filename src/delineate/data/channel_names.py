"""What the channels of a file are called, where it says so: OME-XML in a TIFF, ``omero`` in an OME-Zarr."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from defusedxml import ElementTree

from delineate.core.errors import InputError

from .tiff_file import opened_tiff

LARGEST_METADATA = 64 << 20  # bytes


def channel_names(path: Path) -> tuple[str, ...]:
    """The names in the order of the channels as stored, ``""`` for one without; empty where none is told.

    Args:
        path: a TIFF file or the folder of an OME-Zarr image.
    """
    if path.is_dir():
        return _zarr_names(path)
    try:
        with opened_tiff(path) as file:
            text = file.ome_metadata
    except Exception:  # tifffile raises whatever it likes on what is no TIFF; reading tells what is wrong
        return ()
    return _ome_names(text) if text else ()


def chosen_channels(wanted: Sequence[str | int], path: Path) -> tuple[int, ...]:
    """Channels by number or name, as numbers from 0.

    Args:
        wanted: numbers, or names as the file has them; case does not matter.
        path: the file.

    Raises:
        InputError: a name that the file does not have, or has twice.
    """
    if all(isinstance(one, int) for one in wanted):
        return tuple(int(one) for one in wanted)
    names = [name.casefold() for name in channel_names(path)]
    found = []
    for one in wanted:
        if isinstance(one, int):
            found.append(one)
            continue
        count = names.count(one.casefold())
        if count != 1:
            known = ", ".join(repr(n) for n in channel_names(path)) or "no names of channels"
            raise InputError(
                f"{path}: expected one channel called {one!r}, got {known}; give the channel's number, "
                "counted from 0"
            )
        found.append(names.index(one.casefold()))
    return tuple(found)


def _ome_names(text: str) -> tuple[str, ...]:
    """Of the first image of an OME-XML document; a channel of several samples counts as so many."""
    if len(text) > LARGEST_METADATA:
        return ()
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError):
        return ()
    pixels = next((one for one in root.iter() if _bare(one.tag) == "Pixels"), None)
    names: list[str] = []
    for one in pixels if pixels is not None else ():
        if _bare(one.tag) == "Channel":
            samples = one.get("SamplesPerPixel", "1")
            count = min(int(samples), 16) if samples.isdigit() else 1
            name = one.get("Name", "")
            names += [name] if count == 1 else [f"{name}-{k}" for k in range(count)]
    return tuple(names) if any(names) else ()


def _bare(tag: Any) -> str:
    return str(tag).rpartition("}")[2]


def _zarr_names(folder: Path) -> tuple[str, ...]:
    """NGFF 0.4 has the names in ``.zattrs``, 0.5 under ``ome`` in ``zarr.json``."""
    for file, inside in ((folder / "zarr.json", ("attributes", "ome")), (folder / ".zattrs", ())):
        try:
            if not file.is_file() or file.stat().st_size > LARGEST_METADATA:
                continue
            found: Any = json.loads(file.read_bytes())
            for key in inside:
                found = found[key]
            return tuple(str(one.get("label", "")) for one in found["omero"]["channels"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
    return ()
