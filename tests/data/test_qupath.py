"""QuPath's GeoJSON as its versions write it, bad files, and what other tools make of ours."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shapely.geometry import shape

from delineate.apply.geojson import to_geojson
from delineate.core.errors import DatasetError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.data import open_dataset
from delineate.data.formats import qupath
from delineate.data.images import write_png
from delineate.data.known_formats import guess
from delineate.data.losses import Losses
from delineate.data.place import Place
from delineate.data.records import Dataset, Record

SQUARE = [[10, 10], [30, 10], [30, 30], [10, 30], [10, 10]]
HOLE = [[15, 15], [20, 15], [20, 20], [15, 20], [15, 15]]


def feature(*rings: Any, kind: str = "annotation", **properties: Any) -> dict[str, Any]:
    geometry = {"type": "Polygon", "coordinates": list(rings) or [SQUARE]}
    return {
        "type": "Feature",
        "id": "c1d3ae8a-2f1b-4c1e-9d1f-0e3f6f7e1f00",
        "geometry": geometry,
        "properties": {"objectType": kind, **properties},
    }


def written(folder: Path, content: Any, name: str = "slide") -> Path:
    write_png(folder / f"{name}.png", np.zeros((40, 60, 3), np.uint8))
    path = folder / f"{name}.geojson"
    path.write_text(json.dumps(content))
    return path


def test_objects_of_every_version(tmp_path: Path) -> None:
    cell = feature(kind="cell", classification={"name": "Tumor", "colorRGB": -3670016})
    cell["nucleusGeometry"] = {"type": "Polygon", "coordinates": [HOLE]}
    many = feature(SQUARE, HOLE, kind="detection", classification={"names": ["Tumor", "Positive"]})
    many["properties"]["measurements"] = {"Detection probability": 0.75, "Area µm^2": 3.5}
    old = feature(kind="detection", classification="Stroma")
    old["properties"]["measurements"] = [{"name": "Detection probability", "value": 0.5}]
    deep = feature(kind="detection")
    deep["geometry"]["plane"] = {"c": -1, "z": 3, "t": 0}
    parts = feature(classification={"name": "Tumor"})
    parts["geometry"] = {"type": "MultiPolygon", "coordinates": [[SQUARE], [[[40, 1], [50, 1], [50, 9]]]]}
    point = feature(classification={"name": "Tumor"})
    point["geometry"] = {"type": "Point", "coordinates": [3, 4]}
    rest = [feature(), feature(kind="tile"), deep, parts, point]
    path = written(tmp_path, {"type": "FeatureCollection", "features": [cell, many, old, *rest]})
    data = open_dataset(path)
    truth = data[0].truth
    assert data.format == "QuPath" and data.names == ["slide.png"]
    assert truth.names == ["Tumor", "Tumor: Positive", "Stroma", "Tumor"]
    assert truth.scores.tolist() == [1, 0.75, 0.5, 1] and truth.masks is not None
    assert truth.masks.area.tolist() == [400, 375, 400, 440]
    assert sorted(data.notes) == [
        "1 × annotation without a class left out (a region around detections)",
        "1 × nucleus inside a cell left aside: the cell's outline counts",
        "1 × object of another plane (z or t above 0) left out",
        "1 × point or line, which has no area, left out",
        "1 × tile, TMA core or whole image, which is no object, left out",
    ]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("whole", [False, True])
def test_a_list_a_feature_and_packed_files(tmp_path: Path, packed: bool, whole: bool) -> None:
    path = written(tmp_path, [feature()] if whole else feature())
    if packed:
        path.with_suffix(".geojson.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    found = guess(tmp_path)
    assert found is not None and found.name == "qupath"
    truth = open_dataset(tmp_path).truth(0)
    assert truth.names == ["Unclassified"] and truth.area.tolist() == [400]


def test_images_elsewhere_splits_and_missing_ones(tmp_path: Path) -> None:
    for split in ("train", "val"):
        (tmp_path / "objects" / split).mkdir(parents=True)
        path = written(tmp_path / "objects" / split, [feature()], f"{split}.ome.tif")
        path.with_name(f"{split}.ome.tif.png").rename(tmp_path / f"{split}.ome.tif.png")
    data = open_dataset(tmp_path / "objects", images=tmp_path)
    assert data.groups["split"] == ["train", "val"] and len(data[1].truth) == 1
    with pytest.raises(DatasetError, match="2 missing"):
        open_dataset(tmp_path / "objects")


def test_what_predict_writes_is_read(tmp_path: Path) -> None:
    classes = Labels(("nucleus",))
    ids = np.zeros((40, 60), int)
    ids[3:9, 4:20], ids[20:30, 5:9] = 1, 2
    masks = Masks.from_label_image(ids)
    found = Instances((40, 60), masks=masks, scores=np.array([0.5, 0.25]), classes=classes)
    truth = open_dataset(written(tmp_path, to_geojson(found))).truth(0)
    assert truth.masks == masks and truth.scores.tolist() == [0.5, 0.25] and truth.names == ["nucleus"] * 2


def test_shapely_sees_the_same_areas(tmp_path: Path) -> None:
    dense = np.zeros((2, 40, 60), bool)
    dense[0, 5:25, 5:30], dense[0, 10:15, 10:15], dense[0, 30:33, 40:50] = True, False, True
    dense[1, 2:4, 50:58] = True
    truth = Instances(
        (40, 60), masks=Masks.from_dense(dense), ids=np.array([7, 9]), classes=Labels(("a",), (5,))
    )

    def decode(record: Record, classes: Labels) -> tuple[Instances, tuple[str, ...]]:
        return truth, ()

    record = Record("slide.png", tmp_path / "slide.png", 42, (40, 60), None)
    data = Dataset((record,), truth.classes, decode, "made", tmp_path)
    qupath.write(tmp_path / "out.geojson", data, Losses(), Place("none", tmp_path))
    content = json.loads((tmp_path / "out.geojson").read_text())
    shapes = [shape(f["geometry"]) for f in content["features"]]
    assert all(s.is_valid for s in shapes) and [len(getattr(s, "geoms", [s])) for s in shapes] == [2, 1]
    assert all(
        part.exterior.is_ccw and not any(hole.is_ccw for hole in part.interiors)
        for s in shapes
        for part in getattr(s, "geoms", [s])
    )
    back = qupath.read(tmp_path / "out.geojson", images=False)
    assert back.image_ids == [42] and back.truth(0).ids.tolist() == [7, 9]
    with pytest.raises(DatasetError, match="expected one image for one file, got 2"):
        two = Dataset((record, record), truth.classes, decode, "made", tmp_path)
        qupath.write(tmp_path / "two.geojson", two, Losses(), Place("none", tmp_path))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"type": "FeatureCollection", "features": 3}, "expected a GeoJSON FeatureCollection"),
        ([3], "features[0]: expected a feature, got 3"),
        ([feature([[1, 2], [3, 4], [1, 2]])], "features[0].geometry.coordinates[0]: expected a ring"),
        ([feature([[1, 2], ["a", 4], [1, 2], [3, 3]])], "positions of two finite numbers"),
        ([feature([[1, 2], [3, 4e30], [9, 2]])], "coordinates up to"),
        ([feature(classification=3)], "classification: expected a name, got 3"),
        ([feature(measurements={"Detection probability": 2})], "a probability in 0..1, got 2"),
        ([{**feature(), "geometry": {"type": "Circle"}}], "coordinates: expected a list"),
        ([{**feature(), "geometry": "POLYGON"}], "expected a GeoJSON geometry"),
    ],
)
def test_bad_files(tmp_path: Path, content: Any, told: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(DatasetError) as caught:
        qupath.read(path)
    assert told in str(caught.value) and "\n" not in str(caught.value)
    if isinstance(content, list):
        path = written(tmp_path, [*content, feature()])
        data = qupath.read(path, skip_invalid=True)
        assert len(data.truth(0)) == 1 and "1 invalid entries left out" in data.notes[-1]


def test_a_damaged_packed_file(tmp_path: Path) -> None:
    path = written(tmp_path, [feature()])
    path.with_suffix(".geojson.gz").write_bytes(gzip.compress(path.read_bytes())[:-9])
    with pytest.raises(DatasetError, match="expected JSON packed by gzip"):
        qupath.read(path.with_suffix(".geojson.gz"))


def test_positions_with_heights_and_of_different_lengths(tmp_path: Path) -> None:
    high = [[x, y, 5.5] for x, y in SQUARE]
    mixed = [[10, 10, 1], [30, 10], [30, 30], [10, 30, 2, 3]]
    truth = qupath.read(written(tmp_path, [feature(high), feature(mixed)])).truth(0)
    assert truth.area.tolist() == [400, 400]
    for bad in (
        [["1", "2"], ["3", "4"], ["5", "6"]],
        [[1, 2], [3, 10**400], [5, 6]],
        [[None, 1], [2, 3], [4, 5]],
    ):
        with pytest.raises(DatasetError, match=r"positions of two finite numbers|numbers of at most"):
            qupath.read(written(tmp_path, [feature(bad)]))
