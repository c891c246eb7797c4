"""One row per object of a stack of slices: volume, surface, sphericity, axes, brightness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import find_objects

from delineate.core.errors import InputError

from .crofton import Spacing, SurfaceCount
from .glossary import annotate
from .groups import PLAIN, Groups
from .intensity import STATISTICS, grouped_statistics
from .quality import FEWEST, outliers
from .units import slug
from .volume_groups import volume_groups

SMALLEST = 4
"""Fewer voxels than this cannot be solid."""
PLACE = ("bbox-0", "bbox-1", "bbox-2", "bbox-3", "bbox-4", "bbox-5")
CENTRE = ("centroid-0", "centroid-1", "centroid-2")


def volume_table(
    labels: ArrayLike,
    image: ArrayLike | None = None,
    voxel_size: float | Spacing | None = None,
    unit: str = "µm",
    groups: Groups = PLAIN,
) -> pd.DataFrame:
    """Measure every object of a stack.

    - ``label``: its number in the stack; ``num_voxels``; ``bbox-0..5``: min slice, row, column, max slice,
      row, column, maxima exclusive; ``centroid-0..2``: mean slice, row, column, in voxels;
    - ``volume``; ``surface_area`` by Crofton's formula (see :mod:`delineate.measurements.crofton`; flat faces
      along the axes come out about a tenth small, round ones within a few percent); ``sphericity`` =
      pi^(1/3) (6 V)^(2/3) / S (Wadell, "Volume, shape, and roundness of quartz particles", 1935), cut to
      0..1; ``equivalent_diameter`` of the ball of that volume; ``axis_major_length``,
      ``axis_middle_length``, ``axis_minor_length`` of the ellipsoid with the same second moments;
      ``extent``, volume over that of the bounding box;
    - ``touches_border``, ``outlier`` and ``degenerate`` as of :func:`delineate.measure`;
    - with ``image``: the intensity columns of :func:`delineate.measurements.table`;
    - as ``groups`` asks: ``touching`` (by faces, edges or corners), ``delaunay_neighbours``,
      ``nearest_distance``, ``nearest_label``, ``neighbours_within_radius``; ``background_voxels``,
      ``background_mean``, ``intensity_less_background`` of a shell around the object; ``haralick_*`` over 13
      directions, steps of one voxel. ``radius`` and ``background`` count in sides of a voxel within a slice.

    Without ``voxel_size`` voxels are cubes and lengths are in voxels. With one, volume, surface, diameter and
    axes are in ``unit`` and carry it in their names, as ``volume_um3``; centroids are there in both.

    Args:
        labels: (Z, Y, X) integers >= 0; 0 is background.
        image: (Z, Y, X) or (Z, Y, X, C) numbers on the same voxels.
        voxel_size: side of a cube, or the distances of slices, rows and columns, > 0.
        unit: of ``voxel_size``.
        groups: what else is measured.

    Returns:
        One row per label, ascending; ``attrs`` as those of :func:`delineate.measurements.table`.

    Raises:
        InputError: another shape, type or voxel size; background or texture without an image.

    Example:
        >>> box = np.zeros((6, 8, 8), int)
        >>> box[1:5, 2:6, 2:6] = 7
        >>> volume_table(box, voxel_size=(2, 1, 1))[["label", "num_voxels", "volume_um3"]].values.tolist()
        [[7.0, 64.0, 128.0]]
    """
    stack = _check_labels(labels)
    if image is None and (groups.texture or groups.background):
        name = "texture" if groups.texture else "background"
        raise InputError(f"measure: expected an image for {name}, got none; give the image stack too")
    spacing = check_voxel_size(voxel_size, unit)
    pixels = None if image is None else _check_image(image, stack.shape)
    ids, numbered = numbered_labels(stack)
    sums = _Sums.of(numbered, len(ids), stack.shape)
    columns: dict[str, Any] = {"label": ids, "num_voxels": sums.voxels}
    columns |= dict(zip(PLACE, sums.box.T, strict=True)) | dict(zip(CENTRE, sums.centre.T, strict=True))
    columns |= _shapes(sums, spacing or (1.0, 1.0, 1.0), "" if spacing is None else slug(unit))
    if spacing is not None:
        for name, side, place in zip(CENTRE, spacing, sums.centre.T, strict=True):
            columns[f"{name}_{slug(unit)}"] = place * side
    columns["touches_border"] = (sums.box[:, :3] == 0).any(axis=1) | (sums.box[:, 3:] == stack.shape).any(
        axis=1
    )
    columns["outlier"] = outliers(sums.voxels.astype(np.float64))
    columns["degenerate"] = sums.voxels < SMALLEST
    if pixels is not None:
        columns |= _brightness(numbered, sums.voxels, pixels)
    if groups.neighbours or groups.texture or groups.background:
        columns |= _groups(columns, numbered, sums.centre, spacing, pixels, groups, unit)
    frame = pd.DataFrame(columns)
    frame.attrs = {
        "size": tuple(map(int, stack.shape)),
        "coverage": float(np.mean(stack > 0)) if stack.size else 0.0,
    }
    frame.attrs |= {"fewest_for_outliers": FEWEST}
    if groups.background:
        frame.attrs["background_width_px"] = groups.background
    if groups.neighbours and groups.radius is not None:
        frame.attrs["radius_px"] = groups.radius
    if groups.texture:
        frame.attrs["texture"] = {"levels": groups.levels, "distance_voxels": 1, "directions": 13}
    if spacing is not None:
        frame.attrs |= {"pixel_size": spacing, "unit": unit}
    return annotate(frame)


def check_voxel_size(size: float | Spacing | None, unit: str) -> Spacing | None:
    """The distances of slices, rows and columns.

    Raises:
        InputError: not one or three positive finite numbers, or a unit without a name.
    """
    if size is None:
        return None
    try:
        sides = np.broadcast_to(np.asarray(size, dtype=np.float64), (3,))
    except (ValueError, TypeError):
        sides = np.zeros(3)
    if not (np.isfinite(sides) & (sides > 0)).all():
        raise InputError(
            f"pixel_size: expected one positive number of {unit} or three (slices, rows, columns) for a "
            f"stack, got {size!r}; look them up in the microscope's metadata, or leave them out"
        )
    if not slug(unit):
        raise InputError(f"unit: expected a name such as 'µm' or 'mm', got {unit!r}")
    return float(sides[0]), float(sides[1]), float(sides[2])


def _check_labels(labels: ArrayLike) -> NDArray[Any]:
    stack = np.asarray(labels)
    if stack.ndim != 3 or stack.dtype.kind not in "iub":
        raise InputError(
            f"measure: expected a stack of integers (Z, Y, X), got {stack.dtype} of shape {stack.shape}; "
            "give the label image"
        )
    if stack.dtype.kind == "i" and stack.size and stack.min() < 0:
        raise InputError(f"measure: expected labels >= 0, got {stack.min()}; set background to 0")
    return stack


def _check_image(image: ArrayLike, shape: tuple[int, ...]) -> NDArray[Any]:
    pixels = np.asarray(image)
    if pixels.ndim not in (3, 4) or pixels.shape[:3] != shape or pixels.dtype.kind not in "buif":
        raise InputError(
            f"measure: expected an image of numbers {shape} (Z, Y, X), or with channels last, got "
            f"{pixels.dtype} of shape {pixels.shape}; give the stack that the objects were found in"
        )
    return pixels


def numbered_labels(stack: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The labels in a stack, ascending, and the stack with 1..N in their place."""
    low = int(stack.max()) if stack.size else 0
    if low < max(1 << 16, stack.size):  # a table of all labels is no larger than the stack
        seen = np.bincount(stack.ravel(), minlength=1) > 0
        seen[0] = False
        ids = np.flatnonzero(seen)
        table = np.zeros(len(seen), dtype=np.int32)
        table[ids] = np.arange(1, len(ids) + 1)
        return ids, table[stack.astype(np.int64) if stack.dtype == np.bool_ else stack]
    found, place = np.unique(stack, return_inverse=True)
    first = int(found[0] == 0)
    return found[first:].astype(np.int64), (place.reshape(stack.shape) + 1 - first).astype(np.int32)


@dataclass(frozen=True)
class _Sums:
    """What one walk through the slices gives of N objects.

    Attributes:
        voxels: (N,) how many.
        centre: (N, 3) mean slice, row, column.
        spread: (N, 3, 3) covariance of them.
        box: (N, 6) int64, as the columns ``bbox``.
        surface: chords of lines.
    """

    voxels: NDArray[np.int64]
    centre: NDArray[np.float64]
    spread: NDArray[np.float64]
    box: NDArray[np.int64]
    surface: SurfaceCount

    @classmethod
    def of(cls, numbered: NDArray[np.int32], count: int, shape: tuple[int, ...]) -> _Sums:
        surface = SurfaceCount(count)
        first, second = np.zeros((3, count + 1)), np.zeros((3, 3, count + 1))
        middle = np.array(shape) // 2  # sums stay small, so that nothing cancels
        for z in range(shape[0]):
            here = numbered[z]
            surface.add(here, numbered[z + 1] if z + 1 < shape[0] else None)
            y, x = np.nonzero(here)
            owner = here[y, x]
            place = np.stack([np.full(len(y), z), y, x])
            away = (place - middle[:, None]).astype(np.float64)
            for i in range(3):
                first[i] += np.bincount(owner, weights=away[i], minlength=count + 1)
                for j in range(i, 3):
                    second[i, j] += np.bincount(owner, weights=away[i] * away[j], minlength=count + 1)
        voxels = surface.voxels[1:]
        mean = first[:, 1:] / voxels
        spread = np.zeros((count, 3, 3))
        for i in range(3):
            for j in range(i, 3):
                spread[:, i, j] = spread[:, j, i] = second[i, j, 1:] / voxels - mean[i] * mean[j]
        slices = [[(s.start, s.stop) for s in found] for found in find_objects(numbered)[:count]]
        box = np.array(slices, dtype=np.int64).reshape(count, 3, 2).transpose(0, 2, 1).reshape(count, 6)
        return cls(voxels, mean.T + middle, spread, box, surface)


def _shapes(sums: _Sums, spacing: Spacing, short: str) -> dict[str, NDArray[np.float64]]:
    cell = float(np.prod(spacing))
    volume = sums.voxels * cell
    surface = sums.surface.areas(spacing) if len(volume) else np.zeros(0)
    sides = np.array(spacing)
    variances = np.linalg.eigvalsh(sums.spread * np.outer(sides, sides))
    axes = np.sqrt(np.maximum(20 * variances, 0.0))
    around = np.prod((sums.box[:, 3:] - sums.box[:, :3]).astype(np.float64), axis=1)
    line, square, cube = (f"_{short}", f"_{short}2", f"_{short}3") if short else ("", "", "")
    return {
        f"volume{cube}": volume,
        f"surface_area{square}": surface,
        "sphericity": np.minimum(np.cbrt(np.pi) * np.cbrt(6 * volume) ** 2 / surface, 1.0),
        f"equivalent_diameter{line}": np.cbrt(6 * volume / np.pi),
        f"axis_major_length{line}": axes[:, 2],
        f"axis_middle_length{line}": axes[:, 1],
        f"axis_minor_length{line}": axes[:, 0],
        "extent": sums.voxels / around,
    }


def _groups(
    known: dict[str, Any],
    numbered: NDArray[np.int32],
    centre: NDArray[np.float64],
    spacing: Spacing | None,
    pixels: NDArray[Any] | None,
    groups: Groups,
    unit: str,
) -> dict[str, NDArray[Any]]:
    """The columns of groups, named as the others are: by unit, and by channel."""
    image = None if pixels is None else pixels.reshape(*numbered.shape, -1)
    columns: dict[str, NDArray[Any]] = {}
    for name, values in volume_groups(numbered, centre, spacing or (1.0, 1.0, 1.0), image, groups).items():
        if name == "nearest_distance" and spacing is not None:
            name = f"{name}_{slug(unit)}"
        if name == "nearest_label":
            ids = np.append(np.nan, known["label"])
            values = ids[np.nan_to_num(values).astype(np.int64)]
        if values.ndim == 1:
            columns[name] = values
            continue
        for channel in range(values.shape[1]):
            ending = f"-{channel}" if pixels is not None and pixels.ndim == 4 else ""
            columns[f"{name}{ending}"] = values[:, channel]
            if name == "background_mean":
                own = known[f"intensity_mean{ending}"]
                columns[f"intensity_less_background{ending}"] = own - values[:, channel]
    return columns


def _brightness(
    numbered: NDArray[np.int32], voxels: NDArray[np.int64], pixels: NDArray[Any]
) -> dict[str, NDArray[np.float64]]:
    inside = np.flatnonzero(numbered)
    order = inside[np.argsort(numbered.ravel()[inside], kind="stable")]
    channels = pixels.reshape(numbered.size, -1)
    columns: dict[str, NDArray[np.float64]] = {}
    found = [
        grouped_statistics(voxels, channels[order, c])
        if len(voxels)
        else dict.fromkeys(STATISTICS, np.zeros(0))
        for c in range(channels.shape[1])
    ]
    for name in STATISTICS:
        for c, statistics in enumerate(found):
            columns[f"intensity_{name}" + (f"-{c}" if pixels.ndim == 4 else "")] = statistics[name]
    return columns
