"""Folders of images and label images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.measure import label as components

from delineate.core.errors import DatasetError
from delineate.core.masks import Masks
from delineate.data import open_dataset
from delineate.data.formats import label_image
from delineate.data.images import write_label_tiff, write_png

RNG = np.random.default_rng(0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    for i in (1, 2, 10):
        write_png(tmp_path / "images" / f"t{i}.png", RNG.integers(0, 255, (20, 30), dtype=np.uint8))
        labels = np.zeros((20, 30), np.int64)
        labels[2:5, 3:9], labels[10:15, 20:30] = 7, 70000 + i
        write_label_tiff(tmp_path / "labels" / f"t{i}.tif", labels)
    return tmp_path


def test_reads(folder: Path) -> None:
    data = label_image.read(folder)
    assert data.names == ["t1.png", "t2.png", "t10.png"]
    assert (data.image_ids, data.groups, data.notes) == ([1, 2, 3], {}, ())
    sample = data[2]
    assert sample.image.shape == (20, 30)
    assert sample.truth.ids.tolist() == [7, 70010]
    assert sample.truth.masks.area.tolist() == [18, 50]
    assert sample.truth.boxes.tolist() == [[3, 2, 9, 5], [20, 10, 30, 15]]
    assert sample.notes == ()


def test_split_csv(folder: Path) -> None:
    (folder / "split.csv").write_text("id,split,modality\nt2,valid,grey\nt1,train,he\n")
    data = label_image.read(folder)
    assert data.groups == {"split": ["train", "val", ""], "modality": ["he", "grey", ""]}
    assert data.notes == ("1 images are not in split.csv",)
    assert data.select(split="validation").names == ["t2.png"]
    assert data.select(modality=["he", "grey"]).names == ["t1.png", "t2.png"]
    assert open_dataset(folder, split="train").names == ["t1.png"]
    for groups, message in [({"split": "test"}, "got only"), ({"stain": "x"}, "expected a column 'stain'")]:
        with pytest.raises(DatasetError, match=message):
            data.select(**groups)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name\nt1\n", "column id"),
        ("id,split\nt1\n", "line 2"),
        ("id,split\nt1,train,x\n", "line 2"),
        ("id\nt1\nt1\n", "'t1' again"),
        ("id\nt3\n", "1 others: t3"),
    ],
)
def test_malformed_split_csv(folder: Path, text: str, message: str) -> None:
    (folder / "split.csv").write_text(text)
    with pytest.raises(DatasetError, match=message):
        label_image.read(folder)


def test_missing_and_spare_files(folder: Path) -> None:
    (folder / "labels" / "t2.tif").rename(folder / "labels" / "t3.tif")
    with pytest.raises(DatasetError, match="got none for 1: t2"):
        label_image.read(folder)
    data = label_image.read(folder, skip_invalid=True)
    assert data.names == ["t1.png", "t10.png"]
    assert data.notes == (
        "1 images without a label image left out (t2)",
        "1 label images without an image (t3)",
    )
    write_png(folder / "labels" / "t1.png", np.zeros((20, 30), np.uint8))
    with pytest.raises(DatasetError, match="one file per name"):
        label_image.read(folder)


def test_wrong_size_is_never_resized(folder: Path) -> None:
    write_label_tiff(folder / "labels" / "t1.tif", np.ones((20, 31), int))
    with pytest.raises(DatasetError, match=r"got \(20, 31\); it is never resized"):
        label_image.read(folder).truth(0)


def test_separate_parts_are_noted(folder: Path) -> None:
    labels = np.zeros((20, 30), int)
    labels[0, 0] = labels[1, 1] = 3  # touch at a corner: one part
    labels[5, 5] = labels[5, 8] = 4
    write_label_tiff(folder / "labels" / "t1.tif", labels)
    assert label_image.read(folder)[0].notes == ("1 ids have several separate parts (4)",)


@pytest.mark.parametrize("density", [0.0, 0.05, 0.3, 0.6, 1.0])
def test_parts_as_scikit_image(density: float) -> None:
    for size in [(1, 1), (1, 40), (40, 1), (23, 31)]:
        labels = (RNG.random(size) < density) * RNG.integers(1, 5, size)
        masks = Masks.from_label_image(labels)
        expected = [components(labels == i, connectivity=2).max() for i in np.unique(labels[labels > 0])]
        assert label_image.parts(masks.runs).tolist() == expected


def test_colours_are_refused(folder: Path) -> None:
    Image.fromarray(RNG.integers(0, 255, (20, 30, 3), dtype=np.uint8)).save(folder / "labels" / "t1.png")
    (folder / "labels" / "t1.tif").unlink()
    with pytest.raises(DatasetError, match="3 colour channels"):
        label_image.read(folder)[0]


def test_dsb2018(data_dir: Path) -> None:
    data = open_dataset(data_dir / "dsb2018")
    assert data.format == "label images"
    assert (len(data.select(split="train")), len(data.select(split="val"))) == (502, 69)
    val = open_dataset(data_dir / "dsb2018", split="val")
    counts = [int(n) for n in val.groups["n_instances"]]
    assert [len(val.truth(i)) for i in range(len(val))] == counts
    assert val[0].image.shape[:2] == (int(val.groups["height"][0]), int(val.groups["width"][0]))


def test_round_trip(folder: Path, tmp_path: Path) -> None:
    (folder / "split.csv").write_text("id,split\nt1,train\nt2,val\nt10,val\n")
    data = label_image.read(folder)
    again = label_image.read(label_image.write(tmp_path / "copy", data))
    assert again.groups == data.groups
    for i in range(3):
        assert again.truth(i).masks == data.truth(i).masks
        assert np.array_equal(again[i].image, data[i].image)
    colour = np.zeros((20, 30, 5), np.float32)
    sample = data[0].__class__(colour, data.truth(0), "many.tif", Path("many.tif"), 1)
    label_image.write(tmp_path / "float", [sample])
    many = open_dataset(tmp_path / "float", channels=(0, 1, 4))
    assert many[0].image.shape == (20, 30, 3)
    with pytest.raises(DatasetError, match="every name once"):
        label_image.write(tmp_path / "twice", [data[0], data[0]])
