"""The trackers by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from importlib import import_module
from typing import Any

from delineate.core.errors import InputError

from .tracked import Tracker

PLACES = {
    "masks": ("masks_tracker", "MasksTracker", "MasksSettings"),
    "cells": ("cells", "CellsTracker", "CellsSettings"),
    "sort": ("sort", "Sort", "SortSettings"),
    "bytetrack": ("bytetrack", "ByteTrack", "ByteTrackSettings"),
    "ocsort": ("ocsort", "OcSort", "OcSortSettings"),
}
TRACKERS = tuple(PLACES)
"""Names of the trackers, the one for most uses first."""


def settings_of(name: str) -> Callable[..., Any]:
    """The settings' dataclass of a tracker.

    Raises:
        InputError: no tracker of that name.
    """
    return _parts(name)[1]


def tracker(name: str = "masks", **settings: Any) -> Tracker:
    """A new tracker.

    Args:
        name: one of :data:`TRACKERS`.
        **settings: fields of its settings' dataclass (:func:`settings_of`), a sentence each there.

    Raises:
        InputError: no tracker of that name, or a setting that it has not or that is out of range.

    Example:
        >>> type(tracker("masks", patience=60)).__name__
        'MasksTracker'
    """
    build, kind = _parts(name)
    known = [f.name for f in fields(kind)]
    if unknown := sorted(settings.keys() - set(known)):
        raise InputError(
            f"tracker {name}: expected settings among {', '.join(known)}, got {', '.join(unknown)}; "
            "correct the name"
        )
    return build(kind(**settings))


def _parts(name: str) -> tuple[Any, Any]:
    if name not in PLACES:
        raise InputError(f"tracker: expected one of {', '.join(PLACES)}, got {name}; choose one")
    module, build, kind = PLACES[name]
    where = import_module(f".{module}", __package__)
    return getattr(where, build), getattr(where, kind)
