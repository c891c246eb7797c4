"""What of a large image is looked at, and how: windows, tissue, brightness."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.image_model import ImageModel
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.data.rasters import Raster
from delineate.data.stain import Normaliser, fit

from .agreement import Window
from .large_outputs import sample_windows
from .large_settings import LargeSettings
from .large_tissue import Tissue, find_tissue
from .large_windows import Region, brightness_by_windows
from .predict import alignment, overlap_of, runner, tile_of
from .tile import windows

SIDE = 1024
"""Side of the windows where the model names none."""
STAIN_SIDE = 2048
"""Longer side of the small picture that a slide's stains are told from."""


@dataclass(eq=False)
class Plan:
    """What is looked at, by whom.

    Attributes:
        region: the part of the image.
        rows: its windows, row by row.
        looked_at: those that are not glass.
        find: from a window's pixels to its objects.
        what: what the results of the windows depend on, as plain values.
        notes: what was chosen, one phrase each.
        classes: of the model; None where only its results tell them.
    """

    region: Region
    rows: list[list[Window]]
    looked_at: set[Window]
    find: Callable[[NDArray[Any]], Instances]
    what: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    classes: Labels | None = None

    @property
    def total(self) -> int:
        """How many windows there are."""
        return sum(map(len, self.rows))

    @property
    def order(self) -> list[Window]:
        """The windows that are looked at, one after another."""
        return [window for row in self.rows for window in row if window in self.looked_at]


def make_plan(model: Any, raster: Raster, chosen: LargeSettings) -> Plan:
    """Settles everything before the first window is looked at.

    Args:
        model: a loaded model, a bare one, or a callable from pixels to objects.
        raster: the image.
        chosen: the settings.

    Raises:
        InputError: a region outside the image, an overlap that is none, or no tissue where it is asked for.
    """
    bare = getattr(model, "_ready", model)
    segmenter = bare if isinstance(bare, ImageModel) else None
    if segmenter is None and not callable(model):
        raise InputError(
            f"predict_large: expected a model or a callable, got {type(model).__name__}; load one by its name"
        )
    region = _region(raster, chosen.region)
    tile = chosen.tile or tile_of(segmenter) or SIDE
    overlap = min(overlap_of(segmenter) if chosen.overlap is None else chosen.overlap, tile // 2)
    if overlap < 1:
        raise InputError(f"predict_large, overlap: expected 1 or more pixels, got {overlap}; leave it out")
    rows = windows(region.size, tile, overlap, alignment(segmenter))
    notes: list[str] = []
    tissue = _tissue(raster, chosen.tissue, notes)
    x, y = region.x, region.y
    every = [w for row in rows for w in row]
    if tissue is None:
        looked_at = set(every)
    else:
        looked_at = {w for w in every if tissue.meets(w[0] + x, w[1] + y, w[2] + x, w[3] + y)}
    what = chosen.found_with | {"tile": tile, "overlap": overlap, "image": _stamp(raster)}
    what |= {"glass": len(every) - len(looked_at)}
    if segmenter is None:
        stain = _stain(raster, chosen.stain, notes)
        model = _seen(model, stain)
        return Plan(region, rows, looked_at, model, what | {"model": "a callable"}, notes)
    squares, scaling = sample_windows(region, tissue), segmenter.input.scaling
    stain = _stain(raster, chosen.stain, notes)
    brightness = brightness_by_windows(region, squares, scaling, chosen.workers, stain)
    if brightness is not None:
        region = replace(region, fill=brightness[0])
        notes.append(f"values {brightness[0]:g} to {brightness[1]:g} are shown to the model as 0 to 1")
    limits = {"confidence": chosen.confidence, "iou": chosen.iou, "max_det": chosen.max_det}
    find = _seen(runner(segmenter, brightness, None, **limits), stain)
    return Plan(region, rows, looked_at, find, what | {"model": _digest(segmenter)}, notes, segmenter.classes)


def _region(raster: Raster, wanted: tuple[int, int, int, int] | None) -> Region:
    height, width = raster.size
    if wanted is None:
        return Region(raster, 0, 0, raster.size)
    x, y, wide, high = wanted
    if not (0 <= x < width and 0 <= y < height and wide > 0 and high > 0):
        raise InputError(
            f"region: expected x, y inside {width} x {height} and a width and height above 0, got "
            f"{x},{y},{wide},{high}; correct it"
        )
    return Region(raster, x, y, (min(high, height - y), min(wide, width - x)))


def _tissue(raster: Raster, wanted: bool | None, notes: list[str]) -> Tissue | None:
    """Where tissue is; None: everything is looked at."""
    if wanted is False or (wanted is None and not (raster.colour and raster.dtype == "uint8")):
        return None
    tissue = find_tissue(raster)
    if tissue is None:
        return None
    notes.append(f"{tissue.share:.0%} of the image is tissue; windows of glass are skipped")
    return tissue


def _stain(
    raster: Raster, normaliser: Normaliser | None, notes: list[str]
) -> Callable[[NDArray[Any]], NDArray[Any]] | None:
    """What brings a window's colours to the reference, from the stains of a small picture of the slide."""
    if normaliser is None:
        return None
    method, own = normaliser.method, None
    if raster.channels == 3 and raster.dtype in (np.uint8, np.uint16):
        own = fit(raster.overview(STAIN_SIDE), method)
    if own is None:
        notes.append("no two stains found, colours left as they are")
        return None
    notes.append(f"colours by {method}")
    return partial(normaliser.bring, own=own)


def _seen(
    find: Callable[[NDArray[Any]], Instances], stain: Callable[[NDArray[Any]], NDArray[Any]] | None
) -> Callable[[NDArray[Any]], Instances]:
    """The finder, shown the pixels with their colours changed."""
    return find if stain is None else lambda pixels: find(stain(pixels))


def _stamp(raster: Raster) -> list[Any]:
    """The file as it is now; of a folder its own time counts."""
    stat = raster.path.stat()
    return [str(raster.path.resolve()), stat.st_size, stat.st_mtime_ns, list(raster.size)]


def _digest(model: ImageModel) -> str:
    """A name for a model as it is now: another one when a weight changes."""
    manifest = getattr(model, "manifest", None)  # of an exported graph, whose weights are not in its state
    exported = "" if manifest is None else f"{manifest.weights} {manifest.precision}"
    digest = hashlib.sha256(repr((model.family, model.settings, model.input)).encode() + exported.encode())
    for value in getattr(model, "state_dict", dict)().values():
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
