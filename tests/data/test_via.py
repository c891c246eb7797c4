"""VIA's files: real ones, those of its demo and its manual, bad ones, and CSV there and back."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from delineate.core.errors import DatasetError
from delineate.data import open_dataset
from delineate.data.formats import via, via3
from delineate.data.images import write_png
from delineate.data.losses import Losses
from delineate.data.place import Place

POLYGON = {"name": "polygon", "all_points_x": [1, 9, 9, 1], "all_points_y": [2, 2, 6, 6]}
# VIA's own demo: "The Death of Socrates"
SOCRATES = [
    {
        "shape_attributes": {"name": "rect", "x": 347, "y": 114, "width": 91, "height": 209},
        "region_attributes": {"name": "Socrates", "type": "human", "image_quality": {"frontal": True}},
    },
    {
        "shape_attributes": {"name": "ellipse", "cx": 316, "cy": 180, "rx": 17, "ry": 12},
        "region_attributes": {"name": "Hemlock", "type": "cup"},
    },
]


def region(shape: Any, **attributes: Any) -> dict[str, Any]:
    return {"shape_attributes": shape, "region_attributes": attributes}


def saved(folder: Path, regions: Any, size: tuple[int, int] = (400, 500), **changes: Any) -> Path:
    folder.mkdir(exist_ok=True)
    write_png(folder / "a.png", np.zeros(size, np.uint8))
    row = {"filename": "a.png", "size": 5, "regions": regions, "file_attributes": {}} | changes
    (folder / "via.json").write_text(json.dumps({"a.png5": row}))
    return folder


def test_the_demo(tmp_path: Path) -> None:
    folder = saved(tmp_path, SOCRATES, file_attributes={"caption": "by David", "public_domain": "yes"})
    data = open_dataset(folder)
    truth = data[0].truth
    assert (data.format, truth.names, data.groups["caption"]) == ("VIA", ["human", "cup"], ["by David"])
    assert truth.boxes.tolist() == [[347, 114, 438, 323], [299, 168, 333, 192]]
    assert data.notes[0].startswith("1 × class taken from the region attribute 'type' (there are also")


def test_every_shape(tmp_path: Path) -> None:
    shapes = [
        POLYGON,
        {"name": "circle", "cx": 50, "cy": 60, "r": 10},
        {"name": "ellipse", "cx": 100, "cy": 100, "rx": 30, "ry": 10, "theta": np.pi / 2},
        {"name": "polyline", "all_points_x": [1, 2, 3], "all_points_y": [1, 2, 3]},
        {"name": "point", "cx": 1, "cy": 1},
    ]
    # VIA 1 has the regions in an object
    folder = saved(tmp_path, {str(i): region(s, kind=f"k{i}", crowd="true") for i, s in enumerate(shapes)})
    truth = via.read(folder).truth(0)
    assert truth.boxes.tolist() == [[1, 2, 9, 6], [40, 50, 60, 70], [90, 70, 110, 130]]
    assert truth.masks is not None and abs(truth.masks.area[2] / (np.pi * 300) - 1) < 0.01
    assert (truth.names, bool(truth.crowd.all())) == (["k0", "k1", "k2"], True)


def test_projects_options_and_no_class(tmp_path: Path) -> None:
    saved(tmp_path, [region(POLYGON, cls="2"), region(POLYGON, cls={"1": True, "2": False})])
    row = json.loads((tmp_path / "via.json").read_text())
    options = {"1": "total", "2": "date", "3": "place"}
    project = {
        "_via_settings": {},
        "_via_img_metadata": row,
        "_via_attributes": {"region": {"cls": {"type": "radio", "options": options}}, "file": {}},
    }
    (tmp_path / "via.json").write_text(json.dumps(project))
    data = open_dataset(tmp_path)
    assert (data.classes.names, data.truth(0).names) == (("total", "date", "place"), ["date", "total"])
    assert via.read(saved(tmp_path / "b", [region(POLYGON)])).truth(0).names == ["object"]


def test_the_leaves(data_dir: Path) -> None:
    with pytest.raises(DatasetError, match=r"Brown_spot1.jpg34372.regions\[33\].*and 1 more"):
        open_dataset(data_dir / "rice_leaf_via")
    data = open_dataset(data_dir / "rice_leaf_via", skip_invalid=True)
    assert (data.format, data.classes.names) == ("VIA", ("bacteria", "brown_spot", "leaf_smut"))
    counts = {
        split: sum(len(d.annotation) for d in data.select(split=split).records) for split in ("train", "val")
    }
    assert (len(data), counts) == (114, {"train": 625, "val": 149})


@pytest.mark.parametrize(
    "shape",
    [
        7,
        {},
        {"name": "blob"},
        {"name": "rect", "x": 1, "y": 2, "width": 0, "height": 3},
        {"name": "rect", "x": "1", "y": 2, "width": 1, "height": 3},
        {"name": "circle", "cx": 1, "cy": 2, "r": -1},
        {"name": "polygon", "all_points_x": [1, 2], "all_points_y": [1, 2]},
        {"name": "polygon", "all_points_x": [1, 2, 3], "all_points_y": [1, 2]},
        {"name": "polygon", "all_points_x": [1, 2, None], "all_points_y": [1, 2, 3]},
    ],
)
def test_bad_shapes(tmp_path: Path, shape: Any) -> None:
    folder = saved(tmp_path, [region(shape, kind="a"), region(POLYGON, kind="a")])
    with pytest.raises(DatasetError, match=r"a\.png5\.regions\[0\]\.shape_attributes.*expected"):
        via.read(folder)
    assert len(via.read(folder, skip_invalid=True).truth(0)) == 1


@pytest.mark.parametrize("name", ["../a.png", "/etc/passwd", "C:\\a.png", "a\0.png", 7, None])
def test_bad_names(tmp_path: Path, name: Any) -> None:
    with pytest.raises(DatasetError, match="filename: expected"):
        via.read(saved(tmp_path, [], filename=name))


def test_an_address_is_not_fetched(tmp_path: Path) -> None:
    folder = saved(tmp_path, [region(POLYGON)], filename="http://169.254.169.254/a.png")
    assert via.read(folder).records[0].path == folder / "a.png"


@pytest.mark.parametrize("module", [via, via3])
def test_csv_there_and_back(tmp_path: Path, data_dir: Path, module: Any) -> None:
    data = open_dataset(data_dir / "rice_leaf_via", skip_invalid=True)[-5:]
    module.write(tmp_path / "a.csv", data, Losses(), Place("none", tmp_path))
    back = open_dataset(tmp_path / "a.csv", images=data.records[0].path.parent)
    assert (back.names, back.groups, back.image_ids) == (data.names, data.groups, data.image_ids)
    for i in range(5):
        assert back.truth(i).masks == data.truth(i).masks and back.truth(i).names == data.truth(i).names
    with (tmp_path / "a.csv").open() as file:
        rows = [row for row in csv.reader(file) if not row[0].startswith("#")]
    assert {len(row) for row in rows} == {7 if module is via else 6}


def three(folder: Path, *entries: Any, **file: Any) -> Path:
    write_png(folder / "a.png", np.zeros((100, 120), np.uint8))
    row = {"fid": 1, "fname": "a.png", "type": 2, "loc": 1, "src": ""} | file
    project = {
        "project": {"pname": "p", "data_format_version": "3.1.1", "vid_list": ["1"]},
        "config": {},
        "attribute": {
            "2": {
                "aname": "Object",
                "anchor_id": "FILE1_Z0_XY1",
                "type": 4,
                "options": {"0": "Egg", "7": "Pan"},
            }
        },
        "file": {"1": row},
        "view": {"1": {"fid_list": [1]}},
        "metadata": {
            str(i): {"vid": "1", "flg": 0, "z": z, "xy": xy, "av": {"2": "7"}}
            for i, (z, xy) in enumerate(entries)
        },
    }
    (folder / "p.json").write_text(json.dumps(project))
    return folder


def test_every_shape_of_three(tmp_path: Path) -> None:
    shapes = [
        [2, 10, 20, 40, 50],
        [3, 50, 50, 10],
        [4, 60, 60, 20, 5],
        [7, 1, 2, 9, 2, 9, 6, 1, 6],
        [8, 5, 30, 20, 10, 40, 30, 20, 60],
        [9, 40, 50, 60, 50, 50, 40],
        [1, 3, 3],
        [5, 1, 1, 2, 2],
        [6, 1, 1, 2, 2, 3, 4],
    ]
    data = open_dataset(three(tmp_path, *(([], xy) for xy in shapes)))
    truth = data[0].truth
    assert (data.format, data.classes.names, set(truth.names)) == ("VIA 3", ("Egg", "Pan"), {"Pan"})
    assert truth.boxes.tolist() == [
        [10, 20, 50, 70], [40, 40, 60, 60], [40, 55, 80, 65], [1, 2, 9, 6], [5, 10, 40, 60], [40, 40, 60, 60],
    ]  # fmt: skip


def test_videos_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="got a video"):
        via3.read(three(tmp_path, ([0.917], [2, 263, 184, 17, 13]), type=4, fname="Alioli.ogv"))
    with pytest.raises(DatasetError, match="of a video"):
        via3.read(three(tmp_path, ([0.917], [2, 263, 184, 17, 13])))
    with pytest.raises(DatasetError, match=r"metadata\.0.*shape_attributes"):
        via3.read(three(tmp_path, ([], [7, 1, 2, 3])))
