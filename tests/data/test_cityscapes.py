from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from delineate.core.errors import DatasetError, InputError
from delineate.data.dataset import Dataset, open_dataset
from delineate.data.formats.cityscapes import CLASSES


@pytest.fixture
def folder(data_dir: Path) -> Path:
    return data_dir / "formats" / "datumaro_assets" / "cityscapes_dataset" / "train_dataset"


@pytest.fixture
def sample(folder: Path) -> Dataset:
    return open_dataset(folder)


def test_what_it_is(sample: Dataset) -> None:
    assert sample.format == "Cityscapes" and len(sample) == 4 and sample.classes == CLASSES
    assert sample.groups["split"] == ["test", "test", "train", "val"]
    assert set(sample.groups["city"]) == {"defaultcity"}
    assert [len(s.truth) for s in sample] == [2, 1, 1, 0]
    assert sample[0].image.shape == (1, 5, 3)


def test_classes_of_pixels_are_those_of_the_datasets_own_training_ids(folder: Path, sample: Dataset) -> None:
    for i, name in enumerate(sample.names):
        stem = name.removesuffix("_leftImg8bit.png")
        theirs = np.asarray(Image.open(folder / "gtFine" / f"{stem}_gtFine_labelTrainIds.png")).astype(int)
        assert sample.semantic(i).map.tolist() == np.where(theirs < 19, theirs, -1).tolist()


def test_segments_counted_from_the_raw_pictures(folder: Path, sample: Dataset) -> None:
    for i, record in enumerate(sample.records):
        raw = np.asarray(Image.open(record.annotation)).astype(int)
        evaluated = {
            v: int((raw == v).sum())
            for v in np.unique(raw).tolist()
            if (v if v < 1000 else v // 1000) in CLASSES.ids
        }
        found = sample.panoptic(i)
        assert dict(zip(found.ids.tolist(), found.area.tolist(), strict=True)) == evaluated
    first = sample.panoptic(0)
    assert first.names == ["truck", "truck"] and first.ids.tolist() == [27001, 27002]
    assert sample.panoptic(1).names == ["wall", "train"]
    assert sample.panoptic(3).void == 5  # ego vehicle and static are not evaluated


def test_objects_that_nobody_told_apart_are_groups(data_dir: Path) -> None:
    other = open_dataset(
        data_dir / "formats" / "datumaro_assets" / "cityscapes_dataset" / "dataset", split="test"
    )
    assert other.panoptic(0).crowd.tolist() == [True] and other[0].truth.names == ["truck"]


def test_refusals(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "gtFine", tmp_path / "gtFine", copy_function=shutil.copyfile)
    (tmp_path / "gtFine").chmod(0o755)
    with pytest.raises(DatasetError, match="expected an image for each annotation, got none for 4"):
        open_dataset(tmp_path)
    assert len(open_dataset(tmp_path, images=False).panoptic(0)) == 2
    for inside in ("gtFine", "gtFine/val", "gtFine/val/defaultcity"):
        (tmp_path / inside).chmod(0o755)
    path = next((tmp_path / "gtFine" / "val").rglob("*_instanceIds.png"))
    Image.fromarray(np.full((1, 5), 60000, np.uint16)).save(path)
    with pytest.raises(DatasetError, match=r"expected ids below 34000 as Cityscapes has them"):
        open_dataset(tmp_path, images=False).panoptic(3)
    path.write_bytes(b"no picture")
    with pytest.raises(InputError, match="instanceIds"):
        open_dataset(tmp_path, images=False).panoptic(3)
    (tmp_path / "empty" / "gtFine").mkdir(parents=True)
    with pytest.raises(DatasetError, match=r"expected SPLIT/CITY/\*_instanceIds.png, got none"):
        open_dataset(tmp_path / "empty")
