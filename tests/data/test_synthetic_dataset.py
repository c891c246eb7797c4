from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from delineate.core.errors import DatasetError, InputError
from delineate.data import open_dataset
from delineate.data.synthetic import Scene, SceneSettings, SyntheticDataset
from delineate.data.synthetic.files import write_dataset

NAME = (
    "synthetic:crowds?images=4&val=2&size=48,64&objects=5&radius=4,7&crowding=0,0.8&seed=3&shapes=cell,ring"
)


def test_it_behaves_as_a_dataset(crowd: SyntheticDataset) -> None:
    assert len(crowd) == 12 and crowd.groups["crowding"][:4] == ["0", "0.5", "1", "0"]
    assert set(crowd.groups["split"]) == {"train"}
    close = crowd.select(crowding="1")
    assert len(close) == 4 and close.names[0] == crowd.names[2]
    assert close[0].truth.masks == crowd[2].truth.masks == crowd.truth(2).masks
    assert [s.name for s in crowd[3:5]] == crowd.names[3:5]
    assert crowd.records[0].size == crowd[0].truth.size == (96, 128)
    assert "synthetic scenes, 12 images (12 train), 1 class (cell)" in crowd.describe()
    assert repr(crowd).startswith("Dataset(")


def test_images_differ_and_come_back_the_same(crowd: SyntheticDataset) -> None:
    copy = pickle.loads(pickle.dumps(crowd))
    np.testing.assert_array_equal(copy[5].image, crowd[5].image)
    assert (crowd[0].image != crowd[3].image).any()
    assert isinstance(crowd[1], Scene) and crowd[-1].name == "train_00011.png"


def test_a_name_opens_it() -> None:
    data = open_dataset(NAME)
    assert isinstance(data, SyntheticDataset)
    assert data.groups["split"] == ["train"] * 4 + ["val"] * 2 and data.image_ids == [1, 2, 3, 4, 5, 6]
    assert data.groups["crowding"] == ["0", "0.8"] * 3
    assert data.classes.names == ("cell", "ring") and data[0].truth.size == (48, 64)
    assert str(data.source) == NAME
    val = open_dataset(NAME, split="valid")
    assert len(val) == 2 and val.truth(0).masks == data.truth(4).masks


def test_splits_and_seeds_share_no_image() -> None:
    drawn = [
        SyntheticDataset.of(5, SceneSettings(size=(48, 48), objects=4), seed, split)
        for seed in (0, 1)
        for split in ("train", "val", "test")
    ]
    runs = {tuple(data.truth(i).masks.runs.y.tolist()) for data in drawn for i in range(5)}
    assert len(runs) == 30


@pytest.mark.parametrize(
    ("name", "split", "told"),
    [
        ("synthetic:cats", None, "expected synthetic:crowds, got 'cats'"),
        ("synthetic:crowds?crowdin=1", None, "did you mean 'crowding'"),
        ("synthetic:crowds?x=1", None, "unknown key 'x'; it may be one of images, val"),
        ("synthetic:crowds?crowding=2", None, "expected 0 to 1, got 2.0"),
        ("synthetic:crowds?crowding=a", None, "crowding: expected a number, got 'a'"),
        ("synthetic:crowds?images=2.5", None, "images: expected a whole number"),
        ("synthetic:crowds?images=-1", None, "count >= 0"),
        ("synthetic:crowds?seed=-1", None, "seed >= 0"),
        ("synthetic:crowds?seed=1&seed=2", None, "every key once"),
        ("synthetic:crowds?size=", None, "size: expected a whole number, got ''"),
        ("synthetic:crowds", "test", "expected a split 'test', got .'train', 'val'."),
        ("synthetic:crowds?images=0&val=0", None, "got ..; add such as val=50"),
    ],
)
def test_names_that_do_not_fit_are_refused(name: str, split: str | None, told: str) -> None:
    with pytest.raises(DatasetError, match=told):
        open_dataset(name, split=split)


def test_scenes_have_no_choice_of_channels() -> None:
    with pytest.raises(DatasetError, match="scenes are RGB"):
        open_dataset("synthetic:crowds", channels=1)


def test_settings_of_one_dataset_share_their_shapes() -> None:
    with pytest.raises(InputError, match="the same shapes"):
        SyntheticDataset.of(2, [SceneSettings(), SceneSettings(shapes=("ring",))])
    with pytest.raises(InputError, match="train, val, test"):
        SyntheticDataset.of(2, split="holdout")


def test_files_are_read_back_equal(tmp_path: Path) -> None:
    data = open_dataset(NAME)
    assert isinstance(data, SyntheticDataset)
    ticks: list[int] = []
    write_dataset(tmp_path / "out", data, whole=True, tick=lambda: ticks.append(1))
    assert len(ticks) == 6
    back = open_dataset(tmp_path / "out")
    assert back.names == data.names and back.groups["split"] == data.groups["split"] and not back.notes[1:]
    for ours, theirs in zip(data, back, strict=True):
        np.testing.assert_array_equal(ours.image, theirs.image)
        assert ours.truth.masks == theirs.truth.masks and ours.truth.classes == theirs.truth.classes
        np.testing.assert_array_equal(ours.truth.labels, theirs.truth.labels)
        np.testing.assert_array_equal(ours.truth.boxes, theirs.truth.boxes)
    whole = open_dataset(tmp_path / "out" / "val" / "whole.json")
    scene = data[4]
    assert isinstance(scene, Scene) and whole[0].truth.masks == scene.full


def test_one_split_lies_directly_in_the_folder(tmp_path: Path) -> None:
    write_dataset(tmp_path, SyntheticDataset.of(2, SceneSettings(size=(32, 32), objects=0)))
    back = open_dataset(tmp_path)
    assert len(back) == 2 and len(back[0].truth) == 0
    assert json.loads((tmp_path / "annotations.json").read_text())["annotations"] == []


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("mine")
    for place in (tmp_path, tmp_path / "a.txt"):
        with pytest.raises(InputError, match="expected a"):
            write_dataset(place, SyntheticDataset.of(1))
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
