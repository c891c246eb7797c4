"""One row per object: where it is, what it is, its size, shape and brightness."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.masks import Masks

from .glossary import annotate
from .hull import convex_measures
from .intensity import STATISTICS, intensities
from .moments import ellipse, moments
from .parts import part_counts
from .perimeter import euler_numbers, perimeters
from .runs import Runs
from .units import add_physical, check_pixel_size

SHAPE = (
    "centroid-0",
    "centroid-1",
    "area",
    "area_convex",
    "perimeter",
    "equivalent_diameter_area",
    "axis_major_length",
    "axis_minor_length",
    "feret_diameter_max",
    "feret_diameter_min",
    "eccentricity",
    "orientation",
    "extent",
    "solidity",
    "convexity",
    "euler_number",
    "parts",
    "holes",
    "circularity",
    "sphericity",
)
RUNS_AT_ONCE = 1 << 16
BOX = ("bbox-0", "bbox-1", "bbox-2", "bbox-3")


def table(
    instances: Instances,
    image: ArrayLike | None = None,
    pixel_size: float | None = None,
    unit: str = "µm",
) -> pd.DataFrame:
    """Measure every object.

    Columns carry scikit-image's ``regionprops_table`` names and values where it has them:

    - ``label`` (1..N, the value in :meth:`Instances.to_label_image`), ``id`` (where objects have ids),
      ``class``, ``score``;
    - ``bbox-0..3``: min row, min column, max row, max column, maxima exclusive; ``area_bbox``;
    - ``centroid-0``, ``centroid-1``: row and column of the mean pixel centre, pixel (0, 0) at (0.0, 0.0);
    - ``area``, ``area_convex``, ``perimeter``, ``equivalent_diameter_area``, ``axis_major_length``,
      ``axis_minor_length``, ``feret_diameter_max``: in pixels; ``orientation`` in radians;
      ``eccentricity``, ``extent``, ``solidity`` in 0..1; ``euler_number`` (1: one part without holes);
    - ``feret_diameter_min``, smallest distance of two parallel lines around the object, in pixels;
      ``convexity``, the hull's perimeter through the pixels' centres over the perimeter, cut to 0..1 (NaN
      where P below is 0); ``parts``, of pixels that touch by edges or corners, and ``holes``;
    - ``circularity`` = 4 pi A / P^2 and ``sphericity`` = 2 sqrt(pi A) / P (PyRadiomics' ``shape2D``), both
      in 0..1. P is the pixel perimeter, which is short for tiny objects: raw values above 1 (about one
      nucleus in a hundred) are cut to 1; objects of one or two pixels have P = 0 and get NaN;
    - ``touches_border``: the object reaches the image's edge and may be cut by it;
    - with ``image``: ``intensity_mean``, ``_median``, ``_min``, ``_max``, ``_std``, ``_sum``, and percentiles
      ``_p5``, ``_p25``, ``_p75``, ``_p95``, with ``-0``, ``-1``, .. per channel when there are several.

    With ``pixel_size`` every column in pixels is followed at the table's end by one in physical units,
    named for the unit in plain letters: ``area_um2``, ``perimeter_um``, ``centroid-0_um``. Pixel columns
    stay. ``frame.attrs["units"]`` tells each column's unit, ``attrs["sources"]`` where its definition stands;
    ``attrs`` also keeps ``size`` (height, width), ``coverage`` (share of the image under any object),
    ``pixel_size`` and ``unit``.

    Args:
        instances: N objects. With boxes only, or for an empty mask, shape columns are NaN.
        image: (H, W) or (H, W, C) numbers on the same pixel grid.
        pixel_size: side of a square pixel in ``unit``, > 0.
        unit: name of the unit of ``pixel_size``.

    Returns:
        N rows; every column is there for N = 0 too.

    Raises:
        InputError: an image of another size, or a pixel size that is not a positive number.

    Example:
        >>> import numpy as np
        >>> from delineate.core.masks import Masks
        >>> square = Instances((8, 8), masks=Masks.from_label_image(np.pad(np.ones((4, 4), int), 2)))
        >>> frame = table(square, pixel_size=0.5)
        >>> frame[["area", "perimeter", "solidity", "area_um2"]].round(2).values.tolist()
        [[16.0, 12.0, 1.0, 4.0]]
    """
    check_pixel_size(pixel_size, unit)
    frame = pixel_table(instances, image)
    if pixel_size is not None:
        frame = add_physical(frame, float(pixel_size), unit)
    return annotate(frame)


def pixel_table(instances: Instances, image: ArrayLike | None = None) -> pd.DataFrame:
    """The columns of :func:`table` in pixels; ``attrs`` has ``size`` and ``coverage``.

    Raises:
        InputError: an image of another size, or none of numbers.
    """
    pixels = None if image is None else check_image(image, instances.size)
    count = len(instances)
    columns: dict[str, Any] = {"label": np.arange(1, count + 1, dtype=np.int64)}
    if instances.ids is not None:
        columns["id"] = instances.ids
    columns["class"] = pd.Series(instances.names, dtype=object)
    columns["score"] = instances.scores.astype(np.float64)
    columns |= _boxes(instances)
    columns |= _shapes(instances)
    columns["touches_border"] = _touches_border(columns, instances.size)
    if pixels is not None:
        columns |= _intensities(instances, pixels)
    frame = pd.DataFrame(columns)
    frame.attrs["size"] = instances.size
    frame.attrs["coverage"] = _coverage(instances)
    return frame


def check_image(image: ArrayLike, size: tuple[int, int]) -> NDArray[Any]:
    """The image as an array, (H, W) or (H, W, C).

    Raises:
        InputError: of another size, or not of numbers.
    """
    pixels = np.asarray(image)
    if pixels.ndim not in (2, 3) or pixels.shape[:2] != size:
        raise InputError(
            f"table: expected an image of {size[0]} x {size[1]} pixels (H, W) or (H, W, C), "
            f"got an array of shape {pixels.shape}; give the image that the objects were found in"
        )
    if pixels.dtype.kind not in "buif":
        raise InputError(f"table: expected an image of numbers, got {pixels.dtype}; convert it first")
    return pixels


def _boxes(instances: Instances) -> dict[str, NDArray[Any]]:
    """Min row, min column, max row, max column: of the masks where there are masks, else of the boxes."""
    boxes: NDArray[Any]
    if instances.masks is not None:
        boxes = instances.masks.boxes.astype(np.int64)
    else:
        boxes = instances.boxes.astype(np.float64)
    columns = dict(zip(BOX, boxes[:, [1, 0, 3, 2]].T, strict=True))
    columns["area_bbox"] = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return columns


def _shapes(instances: Instances) -> dict[str, NDArray[np.float64]]:
    columns = {name: np.full(len(instances), np.nan) for name in SHAPE}
    if instances.masks is None:
        return columns
    area = instances.masks.area
    columns["area"] = area.astype(np.float64)
    for valid in _some(instances.masks):
        for name, values in _measure(Runs.of(instances.masks[valid])).items():
            columns[name][valid] = values
    return columns


def _some(masks: Masks) -> Iterator[NDArray[np.int64]]:
    """The masks that have pixels, so many at a time that what is made of them stays small."""
    valid = np.flatnonzero(masks.area > 0)
    ends = np.cumsum(np.diff(masks.runs.offsets)[valid])
    first = 0
    while first < len(valid):
        limit = (ends[first - 1] if first else 0) + RUNS_AT_ONCE
        last = max(first + 1, int(np.searchsorted(ends, limit, side="right")))
        yield valid[first:last]
        first = last


def _measure(runs: Runs) -> dict[str, NDArray[Any]]:
    """Every shape column of regions with at least one pixel each."""
    moment = moments(runs)
    area = moment.area.astype(np.float64)
    axes = ellipse(moment)
    perimeter = perimeters(runs)
    convex = convex_measures(runs)
    euler, parts = euler_numbers(runs), part_counts(runs)
    bbox = runs.bbox
    known = np.where(perimeter > 0, perimeter, np.nan)
    return {
        "centroid-0": moment.centroid[:, 0],
        "centroid-1": moment.centroid[:, 1],
        "area_convex": convex.area,
        "perimeter": perimeter,
        "equivalent_diameter_area": np.sqrt(4 * area / np.pi),
        "axis_major_length": axes.major,
        "axis_minor_length": axes.minor,
        "feret_diameter_max": convex.feret_max,
        "feret_diameter_min": convex.feret_min,
        "eccentricity": axes.eccentricity,
        "orientation": axes.orientation,
        "extent": area / ((bbox[:, 2] - bbox[:, 0]) * (bbox[:, 3] - bbox[:, 1])),
        "solidity": area / convex.area,
        "convexity": np.minimum(convex.perimeter / known, 1.0),
        "euler_number": euler,
        "parts": parts,
        "holes": parts - euler,
        "circularity": np.minimum(4 * np.pi * area / known**2, 1.0),
        "sphericity": np.minimum(2 * np.sqrt(np.pi * area) / known, 1.0),
    }


def _intensities(instances: Instances, pixels: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    stacked = pixels[:, :, None] if pixels.ndim == 2 else pixels
    channels = stacked.shape[2]
    values = {name: np.full((len(instances), channels), np.nan) for name in STATISTICS}
    if instances.masks is not None:
        for valid in _some(instances.masks):
            for name, measured in intensities(Runs.of(instances.masks[valid]), stacked).items():
                values[name][valid] = measured
    return {
        f"intensity_{name}{suffix}": values[name][:, channel]
        for name in STATISTICS
        for channel, suffix in enumerate(channel_endings(pixels))
    }


def channel_endings(pixels: NDArray[Any]) -> list[str]:
    """How the columns of each channel end: not at all where there is one, else in its number."""
    return [""] if pixels.ndim == 2 else [f"-{c}" for c in range(pixels.shape[2])]


def _touches_border(columns: dict[str, Any], size: tuple[int, int]) -> NDArray[np.bool_]:
    top, left, bottom, right = (columns[name] for name in BOX)
    touches = (top <= 0) | (left <= 0) | (bottom >= size[0]) | (right >= size[1])
    return np.asarray(touches & (columns["area_bbox"] > 0), dtype=bool)


def _coverage(instances: Instances) -> float | None:
    """Share of the image's pixels under at least one object, 0..1; None with boxes only."""
    pixels = instances.size[0] * instances.size[1]
    if instances.masks is None or not pixels:
        return None
    if not len(instances):
        return 0.0
    runs, height = instances.masks.runs, instances.size[0]
    covered = 0
    wide = max(1, RUNS_AT_ONCE * instances.size[1] // max(len(runs.x), 1))
    for left in range(0, instances.size[1], wide):
        mine = (runs.x >= left) & (runs.x < left + wide)
        start = runs.x[mine].astype(np.int64) * (height + 1) + runs.y[mine]
        order = np.argsort(start)
        start = start[order]
        end = np.maximum.accumulate(start + runs.length[mine][order])
        covered += int(np.maximum(end - np.maximum(start, np.concatenate([start[:1], end[:-1]])), 0).sum())
    return covered / pixels
