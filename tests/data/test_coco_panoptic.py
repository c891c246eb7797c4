from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hotcoco.panoptic import PanopticEval
from PIL import Image

from delineate.core.errors import DatasetError
from delineate.core.labels import Labels
from delineate.core.panoptic import Panoptic
from delineate.core.stuff import class_of_pixels
from delineate.data.dataset import open_dataset
from delineate.data.formats import coco_panoptic
from delineate.data.records import Dataset
from delineate.metrics.panoptic_quality import PanopticQuality

CLASSES = Labels(("person", "grass"), ids=(1, 90), things=(True, False))


@pytest.fixture(scope="module")
def sample(data_dir: Path) -> Dataset:
    folder = data_dir / "formats" / "panoptic_sample"
    return open_dataset(folder / "panoptic_examples.json", images=folder / "input_images")


def small(folder: Path) -> Path:
    """Two images of 2 x 3 pixels, the second all void."""
    first = Panoptic(np.array([[1, 1, 0], [2, 3, 3]]), labels=[0, 0, 1], crowd=[0, 1, 0], classes=CLASSES)
    second = Panoptic(np.zeros((2, 3), int), labels=[], classes=CLASSES)
    return coco_panoptic.write(folder / "val.json", [("a.jpg", 7, first), ("b.jpg", 8, second)])


def test_cocos_own_sample(sample: Dataset) -> None:
    assert sample.format == "COCO panoptic" and len(sample) == 2 and len(sample.classes) == 133
    assert sum(sample.classes.things) == 80
    rows = json.loads(sample.source.read_text())["annotations"]
    for i, row in enumerate(rows):
        found = sample.panoptic(i)
        assert found.ids.tolist() == [s["id"] for s in row["segments_info"]]
        assert found.area.tolist() == [s["area"] for s in row["segments_info"]]
        assert found.masks().boxes[:, :2].tolist() == [s["bbox"][:2] for s in row["segments_info"]]
        assert found.crowd.sum() == sum(s["iscrowd"] for s in row["segments_info"])
        assert len(sample.truth(i)) == found.things.sum()
        assert sample.semantic(i) == found.to_semantic()
    assert sample[0].image.shape[:2] == sample[0].truth.size


def test_cocos_own_sample_there_and_back(sample: Dataset, tmp_path: Path) -> None:
    path = coco_panoptic.write(tmp_path / "again.json", sample)
    again = open_dataset(path, images=False)
    for i in range(2):
        assert again.panoptic(i) == sample.panoptic(i)
    theirs = sample.source.with_suffix("") / "000000142238.png"
    ours = tmp_path / "again" / "000000142238.png"
    assert np.array_equal(np.asarray(Image.open(ours)), np.asarray(Image.open(theirs)))


def test_quality_on_cocos_own_sample_as_hotcoco_has_it(sample: Dataset, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    metric, preds = PanopticQuality(), []
    for i in range(2):
        truth = sample.panoptic(i)
        image = np.roll(truth.map, (3, -5), (0, 1))
        image[rng.random(image.shape) < 0.25] = 0
        kept, numbered = np.unique(np.concatenate([[0], image.ravel()]), return_inverse=True)
        labels = truth.labels[kept[1:] - 1]
        labels[::6] = labels[0]
        pred = Panoptic(numbered[1:].reshape(image.shape), labels=labels, classes=truth.classes)
        metric.update(pred, truth)
        preds.append((sample.names[i], sample.image_ids[i], pred))
    path = coco_panoptic.write(tmp_path / "pred.json", preds)
    theirs = PanopticEval(
        sample.source, path, gt_folder=sample.source.with_suffix(""), pred_folder=tmp_path / "pred"
    )
    theirs.evaluate()
    wanted, found = theirs.results(), metric.compute()
    assert 0.2 < found.all.pq < 0.9
    for name in ("All", "Things", "Stuff"):
        ours = getattr(found, name.lower())
        assert [ours.pq, ours.sq, ours.rq] == pytest.approx([wanted[name][k] for k in ("pq", "sq", "rq")])
        assert ours.classes == wanted[name]["n"]


def test_training_sees_stuff_as_objects(sample: Dataset) -> None:
    objects, things = sample.whole()[0].truth, sample[0].truth
    assert len(objects) == len(sample.panoptic(0)) == 18
    assert objects[sample.panoptic(0).things].boxes.tolist() == things.boxes.tolist()
    assert np.array_equal(class_of_pixels(objects), sample.semantic(0).map)
    pickle.loads(pickle.dumps(sample.whole()))  # for worker processes


def test_small_ones(tmp_path: Path) -> None:
    data = open_dataset(small(tmp_path), images=False)
    assert data.classes == CLASSES and data.image_ids == [7, 8]
    assert data.panoptic(0).crowd.tolist() == [False, True, False] and len(data.panoptic(1)) == 0
    assert data.semantic(0).map.tolist() == [[0, 0, -1], [0, 1, 1]]
    assert data.truth(0).labels.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["annotations"][0].update(image_id=9), r"annotations\[0\].image_id: .*got 9"),
        (lambda d: d["annotations"][1].update(image_id=7), r"one annotation per image, got 7 again"),
        (lambda d: d["annotations"][0].update(file_name="../a.png"), "leads outside"),
        (lambda d: d["annotations"][0].update(file_name="no.png"), r"expected a PNG file, got nothing"),
        (lambda d: d["annotations"][0].update(segments_info=None), "expected a list, got null"),
        (lambda d: d["annotations"][0]["segments_info"][1].update(id=0), r"\[1\].id: expected distinct ids"),
        (lambda d: d["annotations"][0]["segments_info"][1].update(id=1), "expected distinct ids"),
        (
            lambda d: d["annotations"][0]["segments_info"][1].update(category_id=2),
            "one of the categories, got 2",
        ),
        (lambda d: d["annotations"][0]["segments_info"][1].update(iscrowd=2), "expected 0 or 1, got 2"),
        (lambda d: d["annotations"][0]["segments_info"][1].update(score="x"), "expected a number in 0..1"),
        (lambda d: d["annotations"].pop(), r"1 images have no annotation \(b.jpg\)"),
        (
            lambda d: d["categories"][0].pop("isthing"),
            r"categories\[0\].isthing: expected 0 or 1, got nothing",
        ),
        (lambda d: d.pop("images"), "expected a list 'images'"),
    ],
)
def test_refuses(change: Any, message: str, tmp_path: Path) -> None:
    path = small(tmp_path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=message):
        coco_panoptic.read(path, images=False)


def test_bad_pictures(tmp_path: Path) -> None:
    path = small(tmp_path)
    data = open_dataset(path, images=False)
    picture = tmp_path / "val" / "a.png"
    whole = picture.read_bytes()
    for content, message in ((whole[:-20], "cut off"), (b"BM" + bytes(30), "expected PNG, got BMP")):
        picture.write_bytes(content)
        with pytest.raises(DatasetError, match=message):
            data.panoptic(0)
    Image.fromarray(np.zeros((2, 3, 3), np.uint8)).save(picture)
    with pytest.raises(DatasetError, match="none for segment 1"):
        data.panoptic(0)
    Image.fromarray(np.zeros((2, 3), np.uint8)).save(picture)
    with pytest.raises(DatasetError, match="RGB of 8 bits"):
        data.panoptic(0)
    picture.unlink()
    with pytest.raises(DatasetError, match="No such file"):
        data.panoptic(0)


def test_pictures_of_another_size_and_place(tmp_path: Path) -> None:
    path = small(tmp_path)
    (tmp_path / "val").rename(tmp_path / "elsewhere")
    assert len(coco_panoptic.read(path, False, pictures=tmp_path / "elsewhere").panoptic(0)) == 3
    with pytest.raises(DatasetError, match="got no folder"):
        coco_panoptic.read(path, False, pictures=tmp_path / "nowhere")
    content = json.loads(path.read_text())
    content["images"][0]["height"] = 4
    path.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=r"expected \(4, 3\) pixels .*got \(2, 3\)"):
        coco_panoptic.read(path, False, pictures=tmp_path / "elsewhere").panoptic(0)


def test_bad_entries_left_out(tmp_path: Path) -> None:
    path = small(tmp_path)
    content = json.loads(path.read_text())
    content["annotations"][0]["segments_info"][0]["category_id"] = 5
    path.write_text(json.dumps(content))
    data = coco_panoptic.read(path, False, skip_invalid=True)
    assert data.names == ["b.jpg"] and "invalid entries left out" in data.notes[0]


def test_writing_nothing_or_two_lists_of_classes(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="at least one sample"):
        coco_panoptic.write(tmp_path / "x.json", [])
    one = Panoptic(np.ones((2, 2), int), labels=[0], classes=CLASSES)
    other = Panoptic(np.ones((2, 2), int), labels=[0])
    with pytest.raises(DatasetError, match="got another in 'b'"):
        coco_panoptic.write(tmp_path / "x.json", [("a", 1, one), ("b", 2, other)])


def test_formats_with_objects_alone_say_so(data_dir: Path) -> None:
    with pytest.raises(DatasetError, match="has objects alone"):
        open_dataset(data_dir / "coco_subset", split="val", images=None).panoptic(0)
