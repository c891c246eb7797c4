"""Wells of file names, tables of wells, the heat map; plots as SVG."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from delineate.engine.measure_charts import charts
from delineate.engine.measure_plots import histogram, scatter
from delineate.engine.plate_map import colour, plate_picture, plate_shape, well_of, well_table


@pytest.mark.parametrize(
    ("name", "well"),
    [
        ("plate1_A01_s2.tif", "A01"),
        ("run-b7.png", "B07"),
        ("B - 02(fld 1 wv DAPI).tif", "B02"),
        ("r02c07f01p01-ch1sk1.tiff", "B07"),
        ("P24.png", "P24"),
        ("plate_A01_T0001F001L01A01Z01C01.tif", "A01"),
        ("cell_12.png", ""),
        ("A25.png", ""),
        ("Q03.png", ""),
        ("A00_x.png", ""),
        ("image17.png", ""),
        ("", ""),
    ],
)
def test_wells_of_names(name: str, well: str) -> None:
    assert well_of(name) == well


def test_plates() -> None:
    assert plate_shape(["A01", "H12"]) == (8, 12)
    assert plate_shape(["A13"]) == plate_shape(["I01"]) == (16, 24)
    assert plate_shape([]) == (8, 12)


def test_table_of_wells() -> None:
    images = pd.DataFrame(
        {"well": ["B02", "B02", "A01", ""], "count": [2, 4, 1, 9], "coverage": [0.1, 0.3, 0, 1]}
    )
    objects = pd.DataFrame({"well": ["B02"] * 6 + ["A01"] + [""] * 9, "area": np.arange(16.0), "label": 1})
    table = well_table(images, objects)
    assert table[["well", "row", "column", "images", "count", "count_per_image"]].values.tolist() == [
        ["A01", "A", 1, 1, 1, 1.0],
        ["B02", "B", 2, 2, 6, 3.0],
    ]
    assert table["coverage"].tolist() == pytest.approx([0, 0.2])
    assert table["area_median"].tolist() == [6, 2.5] and table["area_mean"].tolist() == [6, 2.5]
    assert "label_mean" not in table
    assert len(well_table(images[3:], objects[7:])) == 0


@pytest.mark.parametrize(
    "values", [{}, {"A01": 3.0}, {"A01": float("nan"), "B02": 1.0}, {"P24": 5.0, "A01": 2.5}]
)
def test_the_heat_map_is_a_document_with_every_well(values: dict[str, float]) -> None:
    root = ElementTree.fromstring(plate_picture(values, "a <b> & c"))
    titles = [e.text for e in root.iter("{http://www.w3.org/2000/svg}title")]
    assert len(titles) == (384 if "P24" in values else 96)
    for well, value in values.items():
        told = f"{well}: {value:.6g}" if value == value else f"{well}: no value"
        assert told in titles


def test_colours_go_from_dark_to_bright() -> None:
    assert [colour(s) for s in (-1, 0, 0.5, 1, 2)] == ["#440154", "#440154", "#21908d", "#fde725", "#fde725"]


@pytest.mark.parametrize(
    "groups",
    [
        {},
        {"": []},
        {"a": [1.0, 1.0, 1.0]},
        {"a<b": np.random.default_rng(0).normal(0, 1e-6, 9000), "c": [float("nan"), 1e9]},
        {f"group {k}": [k, k + 1.0] for k in range(12)},
    ],
)
def test_plots_of_whatever_there_is(groups: dict) -> None:
    assert ElementTree.fromstring(histogram(groups, "area", "px^2")).tag.endswith("svg")
    root = ElementTree.fromstring(scatter(groups, groups, ("area", "area_um2"), ("px^2", "µm^2")))
    assert sum(1 for e in root.iter("{http://www.w3.org/2000/svg}circle")) < 9000


def test_histograms_are_shares() -> None:
    root = ElementTree.fromstring(histogram({"": np.arange(1000)}, "x", bins=10))
    shape = next(root.iter("{http://www.w3.org/2000/svg}polygon")).attrib["points"].split()
    heights = {round(float(p.split(",")[1])) for p in shape[1:-1]}
    assert len(heights) <= 2  # an even spread is flat, but for the cut ends


def test_charts_prefer_physical_units() -> None:
    frame = pd.DataFrame(
        {"area": [1.0, 2], "area_um2": [0.5, 1], "sphericity": [0.9, 0.8], "class": ["a", "b"]}
    )
    frame.attrs["units"] = {"area": "px^2", "area_um2": "µm^2"}
    made = charts(frame, "class")
    assert list(made) == ["histogram_area_um2", "histogram_sphericity", "scatter_area_um2_sphericity"]
    assert "µm²" in made["histogram_area_um2"] and "a (1)" in made["histogram_area_um2"]
    assert charts(frame[:0].drop(columns=["area", "area_um2", "sphericity"])) == {}
