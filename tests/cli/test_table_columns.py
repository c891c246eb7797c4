"""Every column of every table that these commands write has a source; lengths, areas and the like a unit."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from delineate.cli import main

MEASURED = re.compile(r"(^|_)(area|diameter|perimeter|length|width|height|depth|breadth|volume)(_|$)")
PLAIN = ("depth", "depth_fraction", "no_depth")
"""Of a grasp's tables: the name of a picture, a share, and a flag."""
COMMANDS = {
    "measure": "measure labels --images images --neighbours --out out",
    "predict": "predict images --model nuclei --save csv --out out",
    "predict by windows": "predict images/a.png --model nuclei --no-tissue --save csv --out out",
    "fruit": "fruit images --labels labels --scale 0.5 --out out",
    "leaves": "leaves images --labels labels --out out",
    "map": "map images/a.png --labels labels/a.png --out out/map.shp",
    "map-change": "map-change before.geojson after.geojson --out out/change.gpkg",
    "grasp": "grasp images/a.png depth.png --camera 200,200,80,60 --masks labels/a.png --save csv --out out",
}


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three discs: a picture, their labels, their depth, and two maps of one square."""
    y, x = np.mgrid[:120, :160]
    labels = np.zeros((120, 160), np.uint16)
    for number, (cx, cy, radius) in enumerate([(40, 40, 14), (100, 60, 18), (50, 90, 12)], 1):
        labels[(x - cx) ** 2 + (y - cy) ** 2 <= radius**2] = number
    picture = np.where(labels[..., None] > 0, np.uint8([200, 60, 60]), np.uint8([90, 90, 90]))
    depth = np.where(labels > 0, 950, 1000).astype(np.uint16)
    for name, pixels in {"images/a.png": picture, "labels/a.png": labels, "depth.png": depth}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / name)
    square = '{"type":"Polygon","coordinates":[[[10,50],[10.001,50],[10.001,50.001],[10,50.001],[10,50]]]}'
    feature = f'{{"type":"Feature","properties":{{}},"geometry":{square}}}'
    for name in ("before", "after"):
        document = f'{{"type":"FeatureCollection","features":[{feature}]}}'
        (tmp_path / f"{name}.geojson").write_text(document)
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_columns_are_explained(scene: Path, command: str) -> None:
    assert main([*COMMANDS[command].split(), "--quiet"]) == 0
    (about,) = (scene / "out").glob("*columns.csv")
    told = pd.read_csv(about, keep_default_na=False)
    tables = [path for path in (scene / "out").glob("*.csv") if path != about]
    assert tables or command.startswith("map")
    for path in tables:
        known = told[told["table"] == path.stem] if "table" in told else told
        assert set(pd.read_csv(path).columns) == set(known["column"])
    assert not told.empty and told["source"].astype(bool).all()
    for row in told.itertuples():
        assert row.unit or not MEASURED.search(str(row.column)) or row.column in PLAIN, row
