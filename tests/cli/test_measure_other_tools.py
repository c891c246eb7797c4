"""Labels of other tools, drawn by hand: their objects measure what was drawn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import roifile
from PIL import Image

from delineate.cli import main

BOXES = ((6, 5, 18, 15), (10, 20, 14, 32), (30, 18, 45, 30))
"""x0, y0, x1, y1 of three rectangles: 120, 48 and 180 pixels."""


def ring(box: tuple[int, int, int, int]) -> list[list[int]]:
    x0, y0, x1, y1 = box
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]


def cellpose(folder: Path) -> None:
    labels = np.zeros((40, 50), np.uint16)
    for i, (x0, y0, x1, y1) in enumerate(BOXES):
        labels[y0:y1, x0:x1] = i + 1
    found = {"masks": labels, "outlines": labels * 0, "filename": "a.png"}
    np.save(folder / "a_seg.npy", np.array(found), allow_pickle=True)


def imagej(folder: Path) -> None:
    rois = [roifile.ImagejRoi.frompoints(np.array(ring(box)), name=str(i)) for i, box in enumerate(BOXES)]
    roifile.roiwrite(folder / "a.zip", rois, mode="w")


def qupath(folder: Path) -> None:
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [[*ring(box), ring(box)[0]]]},
            "properties": {"objectType": "annotation", "classification": {"name": "cell"}},
        }
        for box in BOXES
    ]
    (folder / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))


@pytest.mark.parametrize("write", [cellpose, imagej, qupath])
def test_they_measure_what_was_drawn(write: object, tmp_path: Path) -> None:
    folder = tmp_path / "given"
    folder.mkdir()
    Image.fromarray(np.zeros((40, 50), np.uint8)).save(folder / "a.png")
    write(folder)  # type: ignore[operator]
    assert main(["measure", str(folder), "--out", str(tmp_path / "out"), "--no-pictures", "--quiet"]) == 0
    rows = pd.read_csv(tmp_path / "out" / "objects.csv")
    assert rows["area"].tolist() == [120, 48, 180]
    assert rows[["bbox-1", "bbox-0", "bbox-3", "bbox-2"]].to_numpy().tolist() == [list(b) for b in BOXES]


def test_what_a_dataset_leaves_out_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(np.zeros((40, 50), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "a.pgw").write_text("1\n0\n0\n-1\n0.5\n39.5\n")
    away = {"type": "Polygon", "coordinates": [[[900, 900], [910, 900], [910, 910], [900, 910], [900, 900]]]}
    feature = {"type": "Feature", "properties": {}, "geometry": away}
    system = {"type": "name", "properties": {"name": "EPSG:32616"}}
    document = {"type": "FeatureCollection", "crs": system, "features": [feature]}
    (tmp_path / "map.geojson").write_text(json.dumps(document))
    given = [str(tmp_path / "map.geojson"), "--images", str(tmp_path), "--out", str(tmp_path / "t.csv")]
    assert main(["measure", *given]) == 0
    assert "1 × shape that lies on none of the images left out" in capsys.readouterr().err
    assert pd.read_csv(tmp_path / "t.csv").empty
