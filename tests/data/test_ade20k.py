from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from delineate.core.errors import DatasetError
from delineate.data.dataset import Dataset, open_dataset
from delineate.data.formats import ade20k


@pytest.fixture(params=["ade20k2017_dataset", "ade20k2020_dataset"])
def sample(request: pytest.FixtureRequest, data_dir: Path) -> Dataset:
    return open_dataset(data_dir / "formats" / "datumaro_assets" / request.param / "dataset")


def test_both_years(sample: Dataset) -> None:
    assert sample.format == "ADE20K" and sample.groups["split"] == ["train", "val"]
    assert sample.groups["scene"] == ["street", ""]
    assert sample.classes.names == (("car", "person") if "2020" in str(sample.source) else ("person", "sky"))
    for i, record in enumerate(sample.records):
        raw = np.asarray(Image.open(record.annotation.picture))
        found = sample.panoptic(i)
        areas = sorted(int((raw[..., 2] == v).sum()) for v in np.unique(raw[..., 2]) if v)
        assert sorted(found.area.tolist()) == areas and found.void == int((raw[..., 2] == 0).sum())
        assert sample[i].image.shape[:2] == found.size


def test_classes_of_2020_by_the_pictures_numbers(data_dir: Path) -> None:
    sample = open_dataset(data_dir / "formats" / "datumaro_assets" / "ade20k2020_dataset" / "dataset")
    raw = np.asarray(Image.open(sample.records[0].annotation.picture)).astype(int)
    number = raw[..., 0] // 10 * 256 + raw[..., 1]  # 401 car, 1831 person in the JSON beside it
    said = sample.semantic(0).map
    assert (said == 0).tolist() == (number == 401).tolist()
    assert (said == 1).tolist() == (number == 1831).tolist()
    folder = sample.records[0].path.with_suffix("")
    whole = (
        np.asarray(Image.open(folder / "instance_000_ADE_train_1.png")) > 0
    )  # the car, also where it is hidden
    assert not ((said == 0) & ~whole).any()


def written(folder: Path, colors: list[list[list[int]]], lines: str) -> Path:
    inside = folder / "training" / "street"
    inside.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(colors, np.uint8)).save(inside / "a_seg.png")
    Image.new("RGB", (len(colors[0]), len(colors))).save(inside / "a.jpg")
    (inside / "a_atr.txt").write_text(lines)
    return folder


def test_stuff_is_one_segment_and_things_stay_apart(tmp_path: Path) -> None:
    lines = "\n".join(
        f'00{k} # 0 # 0 # {name} # {name} # ""'
        for k, name in enumerate(("sky, blue", "cow", "sky", "cow"), 1)
    )
    lines += '\n001 # 1 # 0 # ear # ear # ""\n'
    # numbers are the ranks of blue: 3 is the first object, 9 the second, 50 the third, 200 the fourth
    data = open_dataset(written(tmp_path, [[[0, 0, v] for v in (3, 9, 50, 200, 0)]], lines))
    found = data.panoptic(0)
    assert data.classes.names == ("cow", "sky") and data.classes.things == (True, False)
    assert found.map.tolist() == [[1, 2, 1, 3, 0]] and found.names == ["sky", "cow", "cow"]
    assert len(data[0].truth) == 2


def test_refusals(tmp_path: Path) -> None:
    folder = written(tmp_path, [[[0, 0, 1], [0, 0, 2]]], '001 # 0 # 0 # cow # cow # ""')
    with pytest.raises(DatasetError, match="expected a name for object 2 in the list beside it"):
        open_dataset(folder).panoptic(0)
    (folder / "training" / "street" / "a_atr.txt").write_text("1 # zero")
    with pytest.raises(DatasetError, match=r"a_atr.txt, line 1: expected 'number # part level"):
        open_dataset(folder)
    with pytest.raises(DatasetError, match="got none that can be used"):
        ade20k.read(folder, skip_invalid=True)
    (folder / "training" / "street" / "a.json").write_text(json.dumps({"annotation": {"object": [{}]}}))
    with pytest.raises(DatasetError, match=r"expected annotation.object\[\] with name"):
        open_dataset(folder)
    (folder / "training" / "street" / "a.jpg").unlink()
    with pytest.raises(DatasetError, match=r"expected the image of a_seg\.png"):
        open_dataset(folder)
