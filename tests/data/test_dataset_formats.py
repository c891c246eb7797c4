"""Random objects into each dataset format and back: masks, classes, ids, tracks; what is lost is counted."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from delineate.core.errors import DatasetError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.data import open_dataset
from delineate.data.images import write_png
from delineate.data.known_formats import FORMATS, guess, named
from delineate.data.records import Dataset, Record
from delineate.engine.convert import write_dataset

OVERLAPPING = ("coco", "lvis", "yolo")
PAINTED = ("voc", "coco-panoptic", "cityscapes", "label-images", "stardist", "cellpose")
TRACKED = ("coco", "lvis", "mots", "mots-png", "ctc", "label-images", "coco-panoptic")
WITHOUT_CLASSES = ("label-images", "stardist", "cellpose", "ctc")
SIZE = (17, 23)
CLASSES = Labels(("car", "person"), (7, 90))
NAMES = ("a/1.png", "b/1.png", "c d é.png", "1_1.png")
ONCE = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def kept(record: Record, classes: Labels) -> tuple[Instances, tuple[str, ...]]:
    return record.annotation.replace(classes=classes), ()


def objects(seed: int, overlap: bool, crowd: bool = False) -> Instances:
    """Objects with holes, of several parts, of one pixel, or none at all."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(0, 6))
    if overlap:
        dense = rng.random((count, *SIZE)) < rng.random()
    else:
        owner = rng.integers(0, count + 2, SIZE)
        dense = np.stack([owner == i for i in range(count)]) if count else np.zeros((0, *SIZE), bool)
    if count:
        dense[0] = False
        dense[0, 3, 5] = True
        dense[1:, 3, 5] &= overlap
    dense = dense[dense.any(axis=(1, 2))]
    masks = Masks.from_dense(dense) if len(dense) else Masks.empty(SIZE)
    return Instances(
        SIZE,
        masks=masks,
        labels=rng.integers(0, 2, len(dense)),
        crowd=(rng.random(len(dense)) < 0.3) & crowd,
        ids=rng.choice(50, len(dense), replace=False) + 1,
        classes=CLASSES,
    )


def made(
    folder: Path, truths: list[Instances], names: tuple[str, ...] = NAMES, **groups: list[str]
) -> Dataset:
    records = []
    for i, (truth, name) in enumerate(zip(truths, names, strict=True)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_png(folder / name, np.full(truth.size, i, np.uint8))
        columns = {column: values[i] for column, values in groups.items()}
        records.append(Record(name, folder / name, 10 * i + 5, truth.size, truth, columns))
    return Dataset(tuple(records), CLASSES, kept, "made", folder)


def same_objects(one: Instances, two: Instances, classes: bool = True) -> None:
    """The same masks, in any order, each with its class."""
    assert len(one) == len(two)
    assert one.masks is not None and two.masks is not None
    keys = [
        sorted(
            (str(rle["counts"]), name if classes else "")
            for rle, name in zip(m.to_rle(), r.names, strict=True)
        )
        for r, m in ((one, one.masks), (two, two.masks))
    ]
    assert keys[0] == keys[1]


def same_records(back: Dataset, data: Dataset) -> list[int]:
    """Names, ids, columns and images are the same; the place of each record after reading."""
    places = [back.names.index(name) for name in data.names]
    for record, place in zip(data.records, places, strict=True):
        again = back.records[place]
        assert (again.image_id, dict(again.groups)) == (record.image_id, dict(record.groups))
        np.testing.assert_array_equal(back[place].image, data[data.names.index(record.name)].image)
    assert len(back) == len(data)
    pickle.loads(pickle.dumps(back))
    return places


@pytest.mark.parametrize("name", [*OVERLAPPING, *PAINTED])
@ONCE
@given(seed=st.integers(0, 10**6))
def test_random_objects(name: str, seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("made")
    truths = [objects(seed + i, overlap=name in OVERLAPPING) for i in range(4)]
    split = ["train", "train", "val", "val"]
    if name == "cityscapes":
        data = made(folder / "in", truths, split=split, city=["city"] * 4)
    else:
        data = made(folder / "in", truths, split=split)
    done = write_dataset(data, folder / "out", name, images="link")
    found = guess(folder / "out")
    if not name.startswith(("coco", "lvis", "stardist", "cityscapes")):
        assert found is not None and found.name == name
    back = open_dataset(folder / "out")
    for i, place in enumerate(same_records(back, data)):
        same_objects(back.truth(place), truths[i], classes=name not in WITHOUT_CLASSES)
    if name not in (*WITHOUT_CLASSES, "cityscapes"):
        assert back.classes == CLASSES
    lost = {"classes"} if name in WITHOUT_CLASSES and any(map(len, truths)) else set()
    assert set(done.losses.counts) == lost


@pytest.mark.parametrize("name", TRACKED)
@ONCE
@given(seed=st.integers(0, 10**6))
def test_random_tracks(name: str, seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("made")
    truths = [objects(seed + i, overlap=False) for i in range(6)]
    one_class = [t.replace(labels=np.zeros(len(t), np.int64)) for t in truths]
    columns = {"sequence": ["01"] * 3 + ["02"] * 3, "frame": ["0", "1", "2"] * 2}
    names = tuple(f"{s}/{int(f):06d}.png" for s, f in zip(*columns.values(), strict=True))
    data = made(folder / "in", one_class, names, **columns)
    done = write_dataset(data, folder / "out", name, images="copy")
    back = open_dataset(folder / "out")
    places = same_records(back, data)
    renamed: dict[tuple[str, int], int] = {}
    for i, place in enumerate(places):
        found = back.truth(place)
        same_objects(found, one_class[i], classes=False)
        if not len(found):
            continue
        assert found.ids is not None and found.masks is not None and one_class[i].masks is not None
        j = found.masks.iou(one_class[i].masks).argmax(0)
        for old, new in zip(one_class[i].ids.tolist(), found.ids[j].tolist(), strict=True):
            if name not in ("ctc",):  # a track with a gap goes on as another one there
                assert renamed.setdefault((columns["sequence"][i], old), new) == new
            if name in ("coco", "lvis", "label-images", "coco-panoptic"):
                assert old == new
    assert set(done.losses.counts) <= {"classes", "ids"}


@pytest.mark.parametrize("name", ["coco", "voc", "coco-panoptic", "cityscapes", "mots"])
def test_crowds_stay(name: str, tmp_path: Path) -> None:
    truth = Instances(
        SIZE,
        masks=Masks.from_dense(np.stack([np.eye(*SIZE, k) > 0 for k in (0, 5)])),
        crowd=[True, False],
        labels=[0, 0],
        classes=CLASSES,
    )
    data = made(tmp_path / "in", [truth], ("s/000001.png",), sequence=["s"], frame=["1"])
    write_dataset(data, tmp_path / "out", name)
    back = open_dataset(tmp_path / "out").truth(0)
    assert sorted(zip(back.area.tolist(), back.crowd.tolist(), strict=True)) == sorted(
        zip(truth.area.tolist(), truth.crowd.tolist(), strict=True)
    )


@pytest.mark.parametrize("name", ["yolo", "lvis", "label-images", "stardist", "cellpose"])
def test_crowds_are_left_out_and_counted(name: str, tmp_path: Path) -> None:
    truths = [objects(seed, overlap=False, crowd=True) for seed in (1, 2, 3, 4)]
    data = made(tmp_path / "in", truths)
    done = write_dataset(data, tmp_path / "out", name)
    number = sum(int(t.crowd.sum()) for t in truths)
    assert number and done.losses.counts["crowd"] == number
    back = open_dataset(tmp_path / "out")
    assert sum(len(back.truth(i)) for i in range(4)) == sum(map(len, truths)) - number


@pytest.mark.parametrize("name", PAINTED)
def test_the_smaller_object_is_on_top(name: str, tmp_path: Path) -> None:
    dense = np.zeros((2, *SIZE), bool)
    dense[0, 2:6, 2:6] = dense[1, :10, :10] = True
    truth = Instances(SIZE, masks=Masks.from_dense(dense), labels=[0, 1], classes=CLASSES)
    done = write_dataset(made(tmp_path / "in", [truth], ("1.png",)), tmp_path / "out", name)
    assert done.losses.counts["overlaps"] == 1
    assert sorted(open_dataset(tmp_path / "out").truth(0).area.tolist()) == [16, 84]


def test_boxes_alone(tmp_path: Path) -> None:
    truth = Instances(SIZE, boxes=[[1, 2, 8, 9.5], [0, 0, 23, 17]], labels=[1, 0], classes=CLASSES)
    data = made(tmp_path / "in", [truth], ("1.png",))
    for name in ("coco", "yolo", "voc", "lvis"):
        done = write_dataset(data, tmp_path / name, name)
        back = open_dataset(tmp_path / name).truth(0)
        assert back.masks is None and back.names == truth.names and not done.losses
        np.testing.assert_allclose(back.boxes, truth.boxes, atol=1e-4)
    for name in PAINTED[1:]:
        assert write_dataset(data, tmp_path / name, name).losses.counts["boxes only"] == 2


def test_names_of_formats() -> None:
    assert named("Label_Images") is FORMATS["label-images"]
    with pytest.raises(DatasetError, match="one of cityscapes"):
        named("nothing")
    for row in FORMATS.values():
        assert row.name and row.title
        assert row.recognise is None or not row.recognise(Path("nothing there"))
    assert all(FORMATS[name].writes for name in {*OVERLAPPING, *PAINTED, *TRACKED})
    with pytest.raises(DatasetError, match="only read"):
        FORMATS["ade20k"].write(Path(), None, None, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["ctc", "mots", "mots-png"])
def test_videos_are_needed(name: str, tmp_path: Path) -> None:
    data = made(tmp_path / "in", [objects(1, overlap=False)], ("1.png",))
    with pytest.raises(DatasetError, match="frames of videos"):
        write_dataset(data, tmp_path / "out", name)
    assert not (tmp_path / "out").exists()


def test_yolo_as_roboflow_lays_it_out(data_dir: Path) -> None:
    data = open_dataset(data_dir / "formats" / "datumaro_assets" / "roboflow_dataset" / "yolo")
    assert data.groups["split"] == ["train", "train", "val"]
    assert data.classes.names == ("label_0", "label_1")
    assert sum(len(data.truth(i)) for i in range(3)) == 4


def test_yolo_without_a_yaml(data_dir: Path) -> None:
    data = open_dataset(data_dir / "formats" / "datumaro_assets" / "yolo_dataset" / "labels")
    assert data.groups["split"] == ["train", "val"] and len(data.classes) == 10
    assert data.truth(0).names == ["label_2", "label_4"]


def test_voc_samples(data_dir: Path) -> None:
    folder = data_dir / "formats" / "datumaro_assets" / "voc_dataset"
    masks, boxes = (open_dataset(folder / name) for name in ("voc_dataset1", "voc_dataset3"))
    assert masks.names == ["2007_000001.jpg"] and masks.truth(0).masks is not None
    assert boxes.truth(0).names == ["cat"] and boxes.truth(0).boxes.tolist() == [[0, 1, 3, 4]]
    none = open_dataset(folder / "voc_dataset2", images=False)
    assert len(none) == 5 and len(none.classes) == 20


def test_mots_samples(data_dir: Path) -> None:
    data = open_dataset(data_dir / "formats" / "datumaro_assets" / "mots_dataset")
    assert data.format == "MOTS PNG" and data.classes.names == ("a", "b", "c", "d")
    assert data.groups == {
        "split": ["train", "train", "val"],
        "sequence": ["train", "train", "val"],
        "frame": ["1", "2", "3"],
    }
    assert data.truth(0).ids is not None and data.truth(0).ids.tolist() == [3002, 4001, 4003]
