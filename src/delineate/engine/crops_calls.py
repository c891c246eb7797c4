"""Fruit and leaves from Python: objects in, a table out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from delineate.apply.lesions import SCALES, leaves_by_colour
from delineate.apply.plane_scale import PlaneScale
from delineate.apply.ripeness import Grades
from delineate.core.errors import InputError
from delineate.core.instances import Instances

from .crops_columns import annotated
from .crops_fruit import FruitSettings, fruit_table, lens_of
from .crops_grades import grades_of
from .crops_leaves import LeafSettings, leaf_table
from .crops_scale import parse_scale, scale_of_photo, with_focal

if TYPE_CHECKING:
    import pandas as pd


def fruit(
    objects: Instances,
    image: ArrayLike | None = None,
    scale: str | float | PlaneScale | None = None,
    grades: str | Grades = "",
    diameter: str = "equal_area",
    shape: str = "auto",
    focal: float | None = None,
) -> pd.DataFrame:
    """One row per fruit: sizes in pixels and millimetres with their error, colour, grade, marks.

    ``frame.attrs["units"]`` and ``["sources"]`` tell each column's unit and where its definition stands.

    Args:
        objects: N fruit with masks, of any tool.
        image: (H, W, 3) that they were found in; needed for markers and colours.
        scale: as ``delineate fruit --scale`` takes it (``"aruco:4X4_50:30"``, ``"coin:23.25"``), millimetres
            per pixel, or a :class:`delineate.apply.plane_scale.PlaneScale`; None: pixels alone.
        grades: ``tomato``, ``strawberry``, a file, or :class:`delineate.apply.ripeness.Grades`.
        diameter: ``equal_area``, ``feret``, ``feret_min`` or ``ellipse``.
        shape: ``round``: as high as wide, resting on the plane of the scale; ``flat``; ``auto``: round where
            the scale is a marker, coin, ruler or camera.
        focal: the camera's focal length in pixels, for round fruit; None: by the marker's tilt, or assumed.

    Raises:
        InputError: boxes alone, no marker in the image, or an unknown choice.

    Example:
        >>> from delineate.core.masks import Masks
        >>> ball = np.hypot(*np.mgrid[-10:11, -10:11]) <= 10.3
        >>> frame = fruit(Instances(ball.shape, masks=Masks.from_dense(ball[None])), scale=0.5)
        >>> frame[["diameter", "diameter_mm", "diameter_error_mm"]].round(1).values.tolist()
        [[20.8, 10.4, 0.5]]
        >>> frame.attrs["units"]["diameter_mm"]
        'mm'
    """
    import pandas as pd

    pixels = None if image is None else np.asarray(image)
    chosen = grades_of(grades) if isinstance(grades, str) else grades
    if isinstance(scale, PlaneScale) or scale is None:
        plane, choice = scale, with_focal(parse_scale("" if scale is None else "1"), focal)
    else:
        choice = with_focal(parse_scale(str(scale)), focal)
        plane = scale_of_photo(choice, pixels, objects.size, None, None, objects)
    settings = FruitSettings(scale=choice, diameter=diameter, grades=chosen, shape=shape)
    lens = lens_of(plane, objects.size, settings)
    frame = fruit_table(objects, pixels, plane, settings, lens)
    frame.insert(0, "number", np.arange(1, len(frame) + 1))
    told = settings.told() | ({} if plane is None else {"scale": plane.source})
    told |= {} if lens is None else {"focal_px": lens.focal, "focal_source": lens.source}
    annotated(frame, [pd.DataFrame()], told)
    return frame


def leaves(
    lesions: Instances,
    leaves: Instances | None = None,
    image: ArrayLike | None = None,
    severity: str = "brown-spot",
) -> pd.DataFrame:
    """One row per leaf: its diseased part in all and by class, and its score.

    Args:
        lesions: M lesions with masks.
        leaves: N leaves with masks; None finds them by colour in the image, which ``leaf_source`` states.
        image: (H, W, 3), for leaves by colour.
        severity: ``brown-spot``, ``bacterial-blight`` or ``horsfall-barratt``.

    Raises:
        InputError: boxes alone, neither leaves nor an image, or an unknown scale.

    Example:
        >>> from delineate.core.masks import Masks
        >>> leaf, spot = np.ones((1, 10, 10), bool), np.zeros((1, 10, 10), bool)
        >>> spot[0, :2, :4] = True
        >>> two = [Instances((10, 10), masks=Masks.from_dense(m)) for m in (spot, leaf)]
        >>> leaves(*two)[["lesions", "diseased_fraction", "severity"]].values.tolist()
        [[1.0, 0.08, 4.0]]
    """
    import pandas as pd

    if severity not in SCALES:
        raise InputError(f"severity: expected one of {', '.join(SCALES)}, got {severity!r}; choose one")
    source = "given"
    if leaves is None:
        if image is None:
            raise InputError("leaves: expected leaves, or an image to find them in; give one")
        leaves, source = leaves_by_colour(image, lesions), "colour"
    settings = LeafSettings(severity=SCALES[severity])
    frame = leaf_table(leaves, lesions, source, settings)
    annotated(frame, [pd.DataFrame()], {**settings.told(), "leaves": source})
    return frame
