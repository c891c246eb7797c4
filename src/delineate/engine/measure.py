"""Measuring from Python: labels or objects in, a table out."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.measurements import Groups, measured_table, volume_table

if TYPE_CHECKING:
    import pandas as pd


def measure(
    objects: Instances | ArrayLike,
    image: ArrayLike | None = None,
    pixel_size: float | tuple[float, float, float] | None = None,
    unit: str = "µm",
    **groups: Any,
) -> pd.DataFrame:
    """One row per object: where it is, its size, shape, brightness, and marks on what looks wrong.

    Columns have scikit-image's names and values where it has them; see
    :func:`delineate.measurements.table` for them, :func:`delineate.measurements.measured_table` for marks
    and groups, :func:`delineate.measurements.volume_table` for stacks. ``frame.attrs["units"]`` and
    ``["sources"]`` tell each column's unit and where its definition stands.

    Args:
        objects: :class:`Instances`; or a label image (H, W) of integers, 0 background, whose values become
            the column ``label``; or a label stack (Z, Y, X).
        image: (H, W) or (H, W, C) numbers on the same pixels; of a stack (Z, Y, X) or (Z, Y, X, C).
        pixel_size: side of a pixel in ``unit``; of a stack also (slices, rows, columns).
        unit: its name.
        **groups: fields of :class:`delineate.measurements.Groups`: ``neighbours=True``, ``radius=50``,
            ``texture=True``, ``levels=32``, ``value_range=(0, 255)``, ``background=5``.

    Returns:
        N rows, in the objects' order (labels ascending).

    Raises:
        InputError: another shape or type, an image of another size, an unknown group.

    Example:
        >>> cells = np.array([[0, 0, 0, 0], [0, 7, 7, 9], [0, 7, 7, 9]])
        >>> frame = measure(cells, pixel_size=0.5, neighbours=True)
        >>> frame[["label", "area", "area_um2", "touching"]].values.tolist()
        [[7.0, 4.0, 1.0, 1.0], [9.0, 2.0, 0.5, 1.0]]
    """
    known = [field.name for field in fields(Groups)]
    if strange := [name for name in groups if name not in known]:
        raise InputError(f"measure: expected groups among {', '.join(known)}, got {', '.join(strange)}")
    if isinstance(objects, Instances):
        return measured_table(objects, image, _one_side(pixel_size), unit, Groups(**groups))
    labels = np.asarray(objects)
    if labels.ndim == 3:
        return volume_table(labels, image, pixel_size, unit, Groups(**groups))
    if labels.ndim != 2 or labels.dtype.kind not in "iub":
        raise InputError(
            f"measure: expected Instances, a label image (H, W) or a label stack (Z, Y, X) of integers, got "
            f"{labels.dtype} of shape {labels.shape}; convert it"
        )
    found, ids = labelled(labels)
    frame = measured_table(found, image, _one_side(pixel_size), unit, Groups(**groups))
    return renumbered(frame, ids)


def labelled(labels: np.ndarray[Any, Any]) -> tuple[Instances, np.ndarray[Any, Any]]:
    """The objects of a label image (H, W), and the label of each, ascending."""
    masks = Masks.from_label_image(labels)
    first = masks.runs.offsets[:-1]
    ids = labels[masks.runs.y[first], masks.runs.x[first]].astype(np.int64)
    return Instances(masks.size, masks=masks, classes=Labels(("object",))), ids


def renumbered(frame: pd.DataFrame, ids: np.ndarray[Any, Any]) -> pd.DataFrame:
    """The table with the objects' own numbers in its columns of labels, in place."""
    for name in ("label", "nearest_label", "neighbour"):
        if name in frame:
            place = frame[name].to_numpy(np.float64)
            known = np.isfinite(place)
            if known.all():
                frame[name] = ids[place.astype(np.int64) - 1] if len(ids) else frame[name]
            else:
                values = np.full(len(place), np.nan)
                values[known] = ids[place[known].astype(np.int64) - 1]
                frame[name] = values
    return frame


def _one_side(pixel_size: Any) -> float | None:
    if pixel_size is None or np.ndim(pixel_size) == 0:
        return pixel_size  # type: ignore[no-any-return]
    sides = np.asarray(pixel_size).ravel()
    if len(sides) != 2 or sides[0] != sides[1]:
        raise InputError(
            f"pixel_size: expected one number for an image, got {pixel_size!r}; pixels must be square: "
            "resample the image first"
        )
    return float(sides[0])
