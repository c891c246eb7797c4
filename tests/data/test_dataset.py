"""Opening datasets of every layout, and what is said of the others."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from delineate.core.errors import DatasetError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.data import Sample, open_dataset
from delineate.data.formats import coco, label_image
from delineate.data.images import write_png


def samples(count: int, first: int = 1) -> list[Sample]:
    labels = np.zeros((8, 9), int)
    labels[1:4, 1:5] = 1
    truth = Instances((8, 9), masks=Masks.from_label_image(labels), classes=Labels(("cell", "other")))
    image = np.zeros((8, 9), np.uint8)
    return [Sample(image, truth, f"{i}.png", Path(f"{i}.png"), i) for i in range(first, first + count)]


def coco_folder(folder: Path, name: str, count: int, images: str = "", first: int = 1) -> Path:
    (folder / images).mkdir(parents=True, exist_ok=True)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    for sample in samples(count, first):
        write_png(folder / images / sample.name, sample.image)
    return coco.write(folder / name, samples(count, first))


@pytest.mark.parametrize(
    "name", ["annotations.json", "_annotations.coco.json", "whatever.json", "annotations/instances.json"]
)
@pytest.mark.parametrize("images", ["", "images"])
def test_one_coco_file(tmp_path: Path, name: str, images: str) -> None:
    coco_folder(tmp_path, name, 2, images)
    for path in (tmp_path, tmp_path / name):
        data = open_dataset(path)
        assert (len(data), data.format, data[1].name) == (2, "COCO", "2.png")
        with pytest.raises(DatasetError, match="without splits"):
            open_dataset(path, split="val")


@pytest.mark.parametrize(
    "layout",
    [
        {"train/_annotations.coco.json": "train", "valid/_annotations.coco.json": "valid"},
        {"train.json": "train", "val.json": "val"},
        {"train.json": "images", "val.json": "images"},
        {
            "annotations/instances_train2017.json": "images/train2017",
            "annotations/instances_val2017.json": "images/val2017",
        },
        {
            "annotations/instances_train2017.json": "train2017",
            "annotations/instances_val2017.json": "val2017",
        },
    ],
)
def test_coco_splits(tmp_path: Path, layout: dict[str, str]) -> None:
    for count, (name, images) in enumerate(layout.items(), 2):
        coco_folder(tmp_path, name, count, images)
    data = open_dataset(tmp_path)
    assert data.groups["split"] == ["train"] * 2 + ["val"] * 3
    assert data.image_ids == [1, 2, 4, 5, 3]  # the first split keeps its own
    assert "given anew" in data.notes[-1]
    assert open_dataset(tmp_path, split="valid").image_ids == [1, 2, 3]
    assert [s.name for s in data][-1] == "3.png"
    with pytest.raises(DatasetError, match="'test'"):
        open_dataset(tmp_path, split="test")


def test_label_image_splits(tmp_path: Path) -> None:
    label_image.write(tmp_path / "train", samples(2))
    label_image.write(tmp_path / "val", samples(1))
    data = open_dataset(tmp_path)
    assert data.groups == {"split": ["train", "train", "val"]}
    assert data.describe() == f"{tmp_path}: label images, 3 images (2 train, 1 val), 1 class (object)"


def test_splits_of_different_classes_are_not_mixed(tmp_path: Path) -> None:
    coco_folder(tmp_path / "train", "annotations.json", 1)
    path = coco_folder(tmp_path / "val", "annotations.json", 1)
    rows = json.loads(path.read_text())
    rows["categories"][0]["name"] = "else"
    path.write_text(json.dumps(rows))
    with pytest.raises(DatasetError, match="one list of classes"):
        open_dataset(tmp_path)
    assert len(open_dataset(tmp_path, split="val")) == 1


def test_as_a_sequence(tmp_path: Path) -> None:
    coco_folder(tmp_path, "a.json", 4)
    data = open_dataset(tmp_path)
    assert data[1:3].names == ["2.png", "3.png"]
    assert data.subset([3, 0]).image_ids == [4, 1]
    assert data[-1].name == "4.png"
    assert [s.image_id for s in data] == [1, 2, 3, 4]
    with pytest.raises(IndexError):
        data[4]
    with pytest.raises(DatasetError, match="no columns"):
        data.select(split="val")
    assert repr(data) == f"Dataset({tmp_path / 'a.json'}: COCO, 4 images, 2 classes (cell, other))"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a.xml", "neither VOC nor CVAT"),
        ("data.yaml", "no YOLO"),
        ("a.txt", "text"),
        ("a.mp4", "video"),
        ("a.png", "one image"),
        ("a.geojson", "GeoJSON"),
        ("a.xyz", "'.xyz'"),
        ("s.zarr/c", "Zarr"),
        ("f/a.xml", "neither VOC nor CVAT"),
        ("f/data.yaml", "no YOLO"),
        ("f/a.png", "images without annotations"),
        ("f/images/a.png", "images without annotations"),
        ("f/sub/x/y", "a folder with sub"),
    ],
)
def test_kinds_without_a_reader_are_named_in_one_line(tmp_path: Path, name: str, found: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).touch()
    path = tmp_path / name.split("/")[0]
    with pytest.raises(DatasetError, match=found) as error:
        open_dataset(path)
    assert "delineate convert --list" in str(error.value)
    assert "\n" not in str(error.value)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nothing there"):
        open_dataset(tmp_path / "none")
    with pytest.raises(DatasetError, match="an empty folder"):
        open_dataset(tmp_path)
    coco_folder(tmp_path, "a.json", 1)
    coco_folder(tmp_path, "b.json", 1)
    with pytest.raises(DatasetError, match=r"got a\.json, b\.json; name the one"):
        open_dataset(tmp_path)


@pytest.mark.parametrize(
    ("name", "train", "val", "objects"),
    [
        ("coco_subset", 192, 164, 3292),
        ("segmush", 26, 6, 4147),
        ("strawberry", 110, 40, 220),
        ("dsb2018", 502, 69, None),
    ],
)
def test_real_datasets(data_dir: Path, name: str, train: int, val: int, objects: int | None) -> None:
    data = open_dataset(data_dir / name)
    splits = data.groups["split"]
    assert (splits.count("train"), splits.count("val"), len(data)) == (train, val, train + val)
    assert len(open_dataset(data_dir / name, split="val")) == val
    if objects is None:
        with (data_dir / name / "split.csv").open() as file:
            assert data.groups["n_instances"] == [
                row["n_instances"] for row in sorted(csv.DictReader(file), key=order(data.names))
            ]
    else:
        assert sum(len(record.annotation) for record in data.records) == objects


def order(names: list[str]) -> object:
    place = {name.removesuffix(".png"): i for i, name in enumerate(names)}
    return lambda row: place[row["id"]]
