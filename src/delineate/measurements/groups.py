"""The columns beyond the plain table that are asked for: marks, background, neighbours, texture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances

from .background import backgrounds
from .glossary import annotate
from .neighbours import contacts, neighbour_columns
from .quality import blurred, degenerate, laplacian_variances, outliers
from .runs import Runs
from .table import channel_endings, check_image, pixel_table
from .texture import FEATURES, LEVELS, Ranges, texture
from .units import add_physical, check_pixel_size

MOST_LEVELS = 256


@dataclass(frozen=True)
class Groups:
    """Which columns are measured beyond shape and brightness.

    Attributes:
        neighbours: touching and Delaunay neighbours, the nearest.
        radius: pixels within which neighbours are counted; None counts none.
        texture: Haralick's features; need an image.
        levels: grey levels for them, 2..256.
        value_range: lowest and highest grey value for them, or a pair for each channel; None takes each
            image's own.
        background: width in pixels of the ring around each object whose mean is its background; 0: none.
    """

    neighbours: bool = False
    radius: float | None = None
    texture: bool = False
    levels: int = LEVELS
    value_range: Ranges | None = None
    background: float = 0

    def __post_init__(self) -> None:
        if self.radius is not None and not 0 < self.radius < np.inf:
            raise InputError(f"radius: expected a number of pixels above 0, got {self.radius}")
        if not 2 <= self.levels <= MOST_LEVELS:
            raise InputError(
                f"levels: expected 2 to {MOST_LEVELS} grey levels, got {self.levels}; 32 are usual"
            )
        if not 0 <= self.background <= 1000:
            raise InputError(f"background: expected a ring of 0 to 1000 pixels, got {self.background}")
        pairs = np.reshape(self.value_range or (0.0, 1.0), (-1, 2))
        if np.ndim(self.value_range or (0.0, 1.0)) == 1 and not (pairs[:, 0] < pairs[:, 1]).all():
            raise InputError(
                f"value_range: expected a lowest and a higher value, got {self.value_range}; turn them round"
            )


PLAIN = Groups()


def measured_table(
    instances: Instances,
    image: ArrayLike | None = None,
    pixel_size: float | None = None,
    unit: str = "µm",
    groups: Groups = PLAIN,
) -> pd.DataFrame:
    """:func:`delineate.measurements.table` with marks and the columns that ``groups`` asks for.

    - Always: ``degenerate`` (a mask of less than 3 pixels or without a perimeter), ``outlier`` (log area,
      modified z-score above 3.5 in this image, Iglewicz and Hoaglin 1993; None in images with fewer than 8
      objects). Nothing is dropped.
    - With an image: ``sharpness``, the variance of the Laplacian, and ``blurred``, its logarithm more than
      3.5 robust deviations below the image's median.
    - ``background``: ``background_area`` (pixels), ``background_mean``, ``intensity_less_background``.
    - ``neighbours``: see :func:`delineate.measurements.neighbours.neighbour_columns`.
    - ``texture``: ``haralick_*``, see :func:`delineate.measurements.texture.texture`.

    Args:
        instances: N objects.
        image: (H, W) or (H, W, C) numbers.
        pixel_size: side of a pixel in ``unit``.
        unit: its name.
        groups: what else.

    Raises:
        InputError: an image of another size, a group that needs an image or masks without them.
    """
    check_pixel_size(pixel_size, unit)
    if image is None and (groups.texture or groups.background):
        name = "texture" if groups.texture else "background"
        raise InputError(f"measure: expected an image for {name}, got none; give the image too")
    frame = pixel_table(instances, image)
    pixels = None if image is None else check_image(image, instances.size)
    columns = _marks(frame, instances, pixels)
    if instances.masks is not None:
        if pixels is not None and groups.background:
            columns |= _background(frame, instances, pixels, groups.background)
        if groups.neighbours:
            centroids = frame[["centroid-0", "centroid-1"]].to_numpy(np.float64)
            columns |= neighbour_columns(instances.masks, centroids, groups.radius)
        if pixels is not None and groups.texture:
            columns |= _texture(frame, instances, pixels, groups)
    attributes = frame.attrs
    frame = pd.concat([frame, pd.DataFrame(columns, index=frame.index)], axis=1)
    frame.attrs = attributes
    if groups.background:
        frame.attrs["background_width_px"] = groups.background
    if groups.neighbours and groups.radius is not None:
        frame.attrs["radius_px"] = groups.radius
    if pixel_size is not None:
        frame = add_physical(frame, float(pixel_size), unit)
    return annotate(frame)


def touching_pairs(instances: Instances) -> pd.DataFrame:
    """The graph of objects that touch or overlap, one row per pair.

    Returns:
        ``label`` and ``neighbour`` (1..N, ``label`` below), ``border`` (pixel edges that they share; 0 at
        corners alone), ``overlap`` (pixels of both).

    Raises:
        InputError: boxes without masks.

    Example:
        >>> from delineate.core.masks import Masks
        >>> cells = Instances((2, 3), masks=Masks.from_label_image(np.array([[1, 2, 0], [1, 2, 3]])))
        >>> touching_pairs(cells).values.tolist()
        [[1, 2, 2, 0], [2, 3, 1, 0]]
    """
    if instances.masks is None:
        raise InputError("touching_pairs: expected masks, got boxes only; use a model that predicts masks")
    found = contacts(instances.masks)
    columns = {"label": found.first + 1, "neighbour": found.second + 1}
    return pd.DataFrame(columns | {"border": found.border, "overlap": found.overlap})


def _marks(frame: pd.DataFrame, instances: Instances, pixels: NDArray[Any] | None) -> dict[str, NDArray[Any]]:
    area = frame["area"].to_numpy(np.float64)
    columns: dict[str, NDArray[Any]] = {
        "degenerate": degenerate(area, frame["perimeter"].to_numpy(np.float64)),
        "outlier": outliers(area),
    }
    if pixels is not None:
        sharpness = np.full(len(frame), np.nan)
        if (runs := _runs(instances)) is not None:
            sharpness[area > 0] = laplacian_variances(runs, _channels(pixels))
        columns |= {"sharpness": sharpness, "blurred": blurred(sharpness)}
    return columns


def _background(
    frame: pd.DataFrame, instances: Instances, pixels: NDArray[Any], width: float
) -> dict[str, NDArray[Any]]:
    assert instances.masks is not None
    number, mean = backgrounds(instances.masks.to_label_image(), len(instances), _channels(pixels), width)
    columns: dict[str, NDArray[Any]] = {"background_area": number}
    endings = channel_endings(pixels)
    columns |= {f"background_mean{e}": mean[:, c] for c, e in enumerate(endings)}
    columns |= {
        f"intensity_less_background{e}": frame[f"intensity_mean{e}"].to_numpy(np.float64) - mean[:, c]
        for c, e in enumerate(endings)
    }
    return columns


def _texture(
    frame: pd.DataFrame, instances: Instances, pixels: NDArray[Any], groups: Groups
) -> dict[str, NDArray[Any]]:
    endings = channel_endings(pixels)
    values = {name: np.full((len(frame), len(endings)), np.nan) for name in FEATURES}
    ranges: list[tuple[float, float]] = []
    if (runs := _runs(instances)) is not None:
        found, ranges = texture(runs, _channels(pixels), groups.levels, groups.value_range)
        for name in FEATURES:
            values[name][frame["area"].to_numpy() > 0] = found[name]
    frame.attrs["texture"] = {"levels": groups.levels, "ranges": ranges, "distance_px": 1}
    return {f"haralick_{name}{e}": values[name][:, c] for name in FEATURES for c, e in enumerate(endings)}


def _runs(instances: Instances) -> Runs | None:
    """The runs of the masks that have pixels; None where there are none."""
    if instances.masks is None:
        return None
    valid = np.flatnonzero(instances.masks.area > 0)
    return Runs.of(instances.masks[valid]) if len(valid) else None


def _channels(pixels: NDArray[Any]) -> NDArray[Any]:
    return pixels[:, :, None] if pixels.ndim == 2 else pixels
