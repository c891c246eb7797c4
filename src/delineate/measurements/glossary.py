"""What each column is: its unit and where its definition comes from, to go with every table."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pandas as pd

from .units import slug


@dataclass(frozen=True)
class Entry:
    """A column, or several that begin alike.

    Attributes:
        power: 0: a plain number; 1, 2, 3: a length, an area, a volume, in pixels or the unit in its name.
        source: the definition and where it stands.
        unit: of a plain number that has one.
    """

    power: int
    source: str
    unit: str = ""


_SKIMAGE = "as scikit-image regionprops"
_HARALICK = (
    "Haralick et al. 1973, appendix I, mean over 4 directions (13 in a stack), pairs inside the object"
)
_MODIFIED_Z = "modified z-score, Iglewicz and Hoaglin 1993"
_ENTRIES = {
    "image": Entry(0, "the image's name"),
    "status": Entry(0, "done or failed"),
    "reason": Entry(0, "why the image could not be measured"),
    "slices": Entry(0, "of the stack", "px"),
    "height": Entry(0, "of the image", "px"),
    "width": Entry(0, "of the image", "px"),
    "images": Entry(0, "images done"),
    "count": Entry(0, "objects"),
    "count_per_image": Entry(0, "objects over images"),
    "density": Entry(0, "objects per million pixels of the image", "1/Mpx"),
    "coverage": Entry(0, "part of the image under any object, 0..1"),
    "pixel_size": Entry(
        0, "side of a pixel (slices x rows x columns of a stack), in the unit of the next column"
    ),
    "unit": Entry(0, "unit of the pixel's size"),
    "pixel_size_source": Entry(0, "who says how large a pixel is"),
    "notes": Entry(0, "what is in doubt about the image"),
    "link": Entry(0, "page in the output folder that shows the row's object"),
    "page": Entry(0, "page in the output folder that ties rows to objects"),
    "row": Entry(0, "row of the plate"),
    "column": Entry(0, "column of the plate, or of the table of objects"),
    "neighbour": Entry(0, "label of the other object of the pair"),
    "border": Entry(0, "pixel edges (voxel faces of a stack) that the two objects share; 0: corners alone"),
    "overlap": Entry(2, "pixels of both objects"),
    "overlay": Entry(0, "picture in the output folder with the row's label on its object"),
    "label_image": Entry(0, "label image in the output folder, whose values are the rows' labels"),
    "well": Entry(0, "well of the plate that the image's name tells"),
    "label": Entry(0, "the object's number in the label image and in the overlay"),
    "id": Entry(0, "the object's own number in its source"),
    "class": Entry(0, "the object's class in its source"),
    "score": Entry(0, "the model's confidence, 0..1; 1 for annotations"),
    "bbox": Entry(1, f"{_SKIMAGE}: minima, then maxima (exclusive)"),
    "area_bbox": Entry(2, f"{_SKIMAGE}: pixels of the bounding box"),
    "centroid": Entry(1, f"{_SKIMAGE}: mean of the pixels' centres"),
    "num_voxels": Entry(0, "voxels of the object"),
    "area": Entry(2, f"{_SKIMAGE}: pixels of the mask"),
    "area_convex": Entry(2, f"{_SKIMAGE}: pixels of the convex hull"),
    "perimeter": Entry(1, f"{_SKIMAGE}, neighbourhood 4: Benkrid and Crookes 2000"),
    "equivalent_diameter_area": Entry(1, f"{_SKIMAGE}: of the disk of this area"),
    "axis_major_length": Entry(1, f"{_SKIMAGE}: ellipse (ellipsoid) of the same second moments"),
    "axis_middle_length": Entry(1, "ellipsoid of the same second moments"),
    "axis_minor_length": Entry(1, f"{_SKIMAGE}: ellipse (ellipsoid) of the same second moments"),
    "feret_diameter_max": Entry(1, f"{_SKIMAGE}: largest distance across the convex hull"),
    "feret_diameter_min": Entry(1, "smallest width of the convex hull: Freeman and Shapira 1975"),
    "eccentricity": Entry(0, f"{_SKIMAGE}: 0 is a circle"),
    "orientation": Entry(0, f"{_SKIMAGE}: of the long axis against the rows' axis", "rad"),
    "extent": Entry(0, f"{_SKIMAGE}: area over that of the bounding box"),
    "solidity": Entry(0, f"{_SKIMAGE}: area over that of the convex hull"),
    "convexity": Entry(0, "perimeter of the convex hull over the perimeter, cut to 0..1"),
    "euler_number": Entry(0, f"{_SKIMAGE}: parts less holes"),
    "parts": Entry(0, "8-connected parts"),
    "holes": Entry(0, "holes: parts less Euler number"),
    "circularity": Entry(0, "4 pi area / perimeter^2, cut to 0..1"),
    "sphericity": Entry(
        0, "2-D: 2 sqrt(pi area) / perimeter (PyRadiomics shape2D); 3-D: Wadell 1935; cut to 0..1"
    ),
    "volume": Entry(3, "voxels times the volume of a voxel"),
    "surface_area": Entry(2, "Crofton's formula in 13 directions: Lehmann and Legland 2012"),
    "equivalent_diameter": Entry(1, "of the ball of this volume"),
    "touches_border": Entry(0, "the object reaches the image's edge"),
    "outlier": Entry(0, f"log area more than 3.5 robust deviations from the image's median: {_MODIFIED_Z}"),
    "blurred": Entry(0, f"log sharpness more than 3.5 robust deviations below the median: {_MODIFIED_Z}"),
    "degenerate": Entry(0, "a mask without a shape: no, one or two pixels, or no perimeter"),
    "sharpness": Entry(0, "variance of the Laplacian in the object: Pech-Pacheco et al. 2000", "intensity^2"),
    "intensity_sum": Entry(0, "sum over the object's pixels", "intensity px^2"),
    "intensity_less_background": Entry(0, "intensity_mean - background_mean", "intensity"),
    "intensity": Entry(0, "over the object's pixels, in the image's own numbers", "intensity"),
    "background_mean": Entry(0, "mean of the ring around the object, of no object", "intensity"),
    "background_voxels": Entry(0, "voxels of the shell around the object"),
    "background_area": Entry(2, "pixels of the ring around the object"),
    "touching": Entry(0, "objects that it touches by an edge or a corner, or overlaps"),
    "delaunay_neighbours": Entry(0, "edges of the Delaunay triangulation of the centroids"),
    "nearest_distance": Entry(1, "between centroids, to the nearest other object"),
    "nearest_label": Entry(0, "label of that object"),
    "neighbours_within_radius": Entry(0, "other centroids within the radius in the table's metadata"),
    "haralick_contrast": Entry(0, _HARALICK, "levels^2"),
    "haralick": Entry(0, _HARALICK),
}


_STATISTICS = {
    "mean": "mean",
    "median": "median",
    "std": "standard deviation",
    "min": "least",
    "max": "largest",
}


def explain(column: str, unit: str | None = None) -> tuple[str, str]:
    """A column's unit, empty for a plain number, and its source, empty for a column that is not ours.

    Args:
        column: such as ``area``, ``area_um2`` or ``intensity_mean-2``.
        unit: the physical unit of columns that end in its name.

    Example:
        >>> explain("area_um2", "µm")
        ('µm^2', 'as scikit-image regionprops: pixels of the mask')
        >>> explain("centroid-1")[0], explain("extent")[0], explain("intensity_mean-2")[0]
        ('px', '', 'intensity')
        >>> explain("area_um2_q05", "µm")
        ('µm^2', '5 % quantile over the objects of: as scikit-image regionprops: pixels of the mask')
    """
    if unit is not None and column == f"density_per_{slug(unit)}2":
        return f"1/{unit}^2", "objects per area of the image"
    name, measured = column, "px"
    if column not in _ENTRIES and (found := _of_objects(column, unit)):
        return found
    if unit is not None:
        short = re.escape(slug(unit))
        stem = re.fullmatch(rf"(.+)_{short}[23]?", column)
        if stem is not None:
            name, measured = stem[1], unit
    name = re.sub(r"-\d+$", "", name)
    while name and name not in _ENTRIES:
        name = name.rpartition("_")[0]
    if not name:
        return "", ""
    entry = _ENTRIES[name]
    power = {0: entry.unit, 1: measured, 2: f"{measured}^2", 3: f"{measured}^3"}[entry.power]
    return power, entry.source


def _of_objects(column: str, unit: str | None) -> tuple[str, str] | None:
    """A statistic over the objects, such as ``area_q05``, ``area_um2_q05`` or ``area_mean_um2``."""
    short = "" if unit is None else re.escape(slug(unit))
    found = re.fullmatch(rf"(.+)_(q\d\d|{'|'.join(_STATISTICS)})((?:_{short}[23]?)?)", column)
    if found is None or found[1] == "intensity":
        return None
    told, source = explain(found[1] + found[3], unit)
    word = _STATISTICS.get(found[2]) or f"{int(found[2][1:])} % quantile"
    return (told, f"{word} over the objects of: {source}") if source else None


def annotate(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with ``attrs["units"]`` and ``attrs["sources"]`` for each of its columns that has them."""
    told = {name: explain(str(name), frame.attrs.get("unit")) for name in frame.columns}
    frame.attrs["units"] = {name: unit for name, (unit, _) in told.items() if unit}
    frame.attrs["sources"] = {name: source for name, (_, source) in told.items() if source}
    return frame
