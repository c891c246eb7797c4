"""What each column of the tables of fruit and leaves is: its unit, and where its definition stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from delineate.measurements.glossary import explain

from .measure_tables import Tables

UNITS = {
    "x": ("px", "centroid's column; the image's left edge is 0"),
    "y": ("px", "centroid's row; the image's upper edge is 0"),
    "x_mm": ("mm", "centroid, or foot of a round fruit, on the plane of the scale; axes are the marker's"),
    "y_mm": ("mm", "centroid, or foot of a round fruit, on the plane of the scale; axes are the marker's"),
    "split": ("", "of the dataset"),
    "overlay": ("", "picture in the output folder with every object's number"),
    "link": ("", "page in the output folder that shows the row's object"),
    "page": ("", "page in the output folder that ties rows to objects"),
    "label": ("", "the object's number in the picture"),
    "kind": ("", "leaf or lesion"),
    "loose": ("", "a lesion on no leaf"),
    "number": ("", "the object's number in the overlay"),
    "track": ("", "identity over the frames of a video"),
    "frame": ("", "frame of the video, from 0, in which it was measured: where most of it was seen"),
    "frames": ("", "frames of the video in which it was seen"),
    "fruit": ("", "number of the fruit over all photographs, alike where they show the same one"),
    "counted": ("", "this row stands for its fruit; in the table of images: how many rows do"),
    "overlaps": ("", "photographs that show a part of the same scene, by features and a homography"),
    "seen_in": ("", "photographs that show this one fruit"),
    "diameter": ("px", "of the kind chosen; see the settings"),
    "diameter_mm": ("mm", "of the kind chosen; see the settings for it and the shape"),
    "diameter_error": ("px", "one standard deviation: outline"),
    "diameter_error_mm": ("mm", "one standard deviation: scale, outline; of round fruit lens and height too"),
    "diameter_range": ("px", "1.4826 times the median absolute deviation over the frames"),
    "diameter_range_mm": ("mm", "1.4826 times the median absolute deviation over the frames"),
    "mm_per_pixel": ("mm/px", "side of a pixel at the object; of round fruit where they are widest"),
    "scale_error": ("", "one standard deviation of the scale, as a part of it"),
    "focal_px": ("px", "focal length of the camera, for round fruit; see focal_source"),
    "focal_source": ("", "who says the focal length: given, EXIF, the marker's tilt, or assumed"),
    "scale_source": ("", "who says the scale"),
    "volume_cm3": ("cm^3", "estimate: spheroid around the ellipse's long axis, pi/6 long short^2"),
    "lightness": ("", "median CIELAB L*, 0..100, D65"),
    "a": ("", "median CIELAB a*, green to red"),
    "b": ("", "median CIELAB b*, blue to yellow"),
    "hue": ("deg", "angle of the median CIELAB a*, b*"),
    "chroma": ("", "of the median CIELAB a*, b*"),
    "ripe_share": ("", "share of the visible surface with the ripe colour, 0..1; see grades"),
    "judged_share": ("", "share of the pixels that are no reflection and not too dark, 0..1"),
    "grade": ("", "by ripe_share; thresholds in the settings"),
    "partly_hidden": ("", "solidity below 0.9: something probably lies over it, and its size is too small"),
    "plot": ("", "plot of the field in which the photograph was taken"),
    "latitude": ("deg", "EXIF GPS of the photograph, WGS 84"),
    "longitude": ("deg", "EXIF GPS of the photograph, WGS 84"),
    "photos": ("", "photographs of the plot"),
    "count": ("", "objects"),
    "count_per_photo": ("", "objects per photograph"),
    "count_per_m2": ("1/m^2", "objects over photographed area"),
    "photographed_m2": ("m^2", "area of the photographs on the plane of the scale"),
    "plot_area_m2": ("m^2", "of the plot's outline on a sphere of 6371008.8 m"),
    "mass_kg": ("kg", "estimate: volume_cm3 times the density given"),
    "median_diameter": ("px", "median of diameter"),
    "median_diameter_mm": ("mm", "median of diameter_mm"),
    "mean_diameter_mm": ("mm", "mean of diameter_mm"),
    "sd_diameter_mm": ("mm", "standard deviation of diameter_mm"),
    "leaf": ("", "number of the leaf in the overlay"),
    "lesion": ("", "number of the lesion in the overlay"),
    "leaf_share": ("", "share of the lesion's pixels on its leaf, 0..1"),
    "leaf_source": ("", "who says where the leaf is: labels, model, or colour"),
    "lesions": ("", "lesions on the leaf"),
    "diseased_area": ("px^2", "pixels of the leaf under any lesion; overlaps count once"),
    "diseased_area_mm2": ("mm^2", "area of the leaf under any lesion; overlaps count once"),
    "diseased_fraction": ("", "diseased_area over the leaf's area, 0..1"),
    "severity": ("", "score of diseased_fraction on the scale in the settings"),
    "healthy_leaves": ("", "leaves without a lesion"),
    "leaves": ("", "leaves"),
    "loose_lesions": ("", "lesions on no leaf"),
    "status": ("", "done or failed"),
    "reason": ("", "why it failed"),
    "warning": ("", "what is in doubt"),
    "height": ("px", "of the image"),
    "width": ("px", "of the image"),
}  # fmt: skip


def told(column: str) -> tuple[str, str]:
    """A column's unit and source.

    Example:
        >>> told("diameter_mm")[0], told("area_mm2")[0], told("fraction_brown_spot")[1]
        ('mm', 'mm^2', 'part of the leaf under lesions of this class, 0..1')
    """
    if column in UNITS:
        return UNITS[column]
    if column.startswith("fraction_"):
        return "", "part of the leaf under lesions of this class, 0..1"
    if column.startswith("grade_"):
        return "", "objects of this grade"
    if column.startswith("severity_"):
        return "", "leaves with this score"
    unit, source = explain(column, "mm")
    return (
        unit,
        f"{source}; on the plane of the scale, of round fruit across the line of sight"
        if unit.startswith("mm")
        else source,
    )


def annotated(objects: pd.DataFrame, others: Sequence[pd.DataFrame], settings: Mapping[str, Any]) -> None:
    """Gives the table of objects ``attrs`` with units and sources of all tables' columns, and settings."""
    names = dict.fromkeys(str(name) for table in (objects, *others) for name in table.columns)
    known = {name: told(name) for name in names}
    objects.attrs["units"] = {name: unit for name, (unit, _) in known.items() if unit}
    objects.attrs["sources"] = {name: source for name, (_, source) in known.items() if source}
    objects.attrs["settings"] = dict(settings)


def described(tables: Tables) -> pd.DataFrame:
    """One row per table and column: its unit and source."""
    rows = [(table, name, *told(str(name))) for table, frame in tables.items() for name in frame.columns]
    return pd.DataFrame(rows, columns=["table", "column", "unit", "source"])
