"""Real nuclei, written out as other tools write results, and read back, score 1."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.core.panoptic import Panoptic
from delineate.data.dataset import open_dataset
from delineate.data.formats import coco_panoptic, coco_write
from delineate.data.images import write_label_tiff
from delineate.data.records import Dataset
from delineate.engine.evaluate import evaluate
from delineate.engine.given_results import as_instances
from delineate.engine.predictions import read_predictions
from delineate.engine.stored import ImageEntry

CLASSES = Labels(("cat", "dog"), ids=(17, 18))
LABELS = np.array([[0, 1, 1, 0], [2, 2, 0, 0], [2, 2, 0, 0]], np.uint16)


@pytest.fixture(scope="module")
def nuclei(data_dir: Path) -> Dataset:
    """Eight validation images of all kinds."""
    return open_dataset(data_dir / "dsb2018", split="val")[::9]


def scores(predictor: Any, data: Dataset) -> Any:
    return evaluate(predictor, data, metrics=["coco", "cells"], max_det=1000, progress=False)


def stem(data: Dataset, index: int) -> str:
    return Path(data.records[index].name).stem


def as_yolo(truth: Instances) -> str:
    """Outlines of each object's largest part, with a confidence."""
    lines = []
    for polygons in truth.to_polygons():
        ring = max((polygon.exterior for polygon in polygons), key=len)
        points = np.asarray(ring, np.float64) / [truth.size[1], truth.size[0]]
        lines.append(f"0 {' '.join(f'{v:.9f}' for v in points.ravel())} 0.9")
    return "\n".join(lines)


def test_yolo_text(nuclei: Dataset, tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    for index in range(len(nuclei)):
        (tmp_path / "labels" / f"{stem(nuclei, index)}.txt").write_text(as_yolo(nuclei.truth(index)))
    report = scores(tmp_path, nuclei)
    # Single pixels that hang on by a corner and holes are not in one outline.
    assert report.scores["mask/AP"] > 0.99
    assert report.scores["cells/AP50"] == 1
    assert f"read as YOLO txt: {len(nuclei)} files" in report.notes
    (tmp_path / "labels" / f"{stem(nuclei, 0)}.txt").write_text("0 0.1 0.1\n")
    report = scores(tmp_path, nuclei)
    assert report.images == len(nuclei) - 1
    assert [name for name, _ in report.failed] == [nuclei.records[0].name]
    assert "txt:1: expected a box" in report.failed[0][1]


def test_label_images_and_challenge_folders(nuclei: Dataset, tmp_path: Path) -> None:
    for index in range(len(nuclei)):
        masks = nuclei.truth(index).masks
        assert masks is not None
        write_label_tiff(tmp_path / f"{stem(nuclei, index)}.tif", masks.to_label_image())
    report = scores(tmp_path, nuclei)
    assert (report.scores["mask/AP"], report.scores["cells/AP50"]) == (1, 1)
    assert f"read as label images: {len(nuclei)} files" in report.notes


def test_challenge_results(data_dir: Path, tmp_path: Path) -> None:
    images = [ImageEntry(k, f"t{k:03d}.tif", (3, 4)) for k in (1, 2, 3)]
    for k in (1, 3):
        write_label_tiff(tmp_path / f"mask{k:03d}.tif", LABELS.astype(np.int32))
    (tmp_path / "res_track.txt").write_text("1 1 3 0\n")
    found = read_predictions(tmp_path, images, Labels(("cell",)))
    assert [len(found.instances(image)) for image in images] == [2, 0, 2]
    assert found.told[0] == "read as Cell Tracking Challenge results: 2 files"
    twice = [*images, ImageEntry(9, "02/t003.tif", (3, 4))]
    with pytest.raises(InputError, match=r"got '02/t003.tif', the number of 't003.tif'; evaluate one video"):
        read_predictions(tmp_path, twice, Labels(("cell",)))


def test_mots_text(tmp_path: Path) -> None:
    size = (30, 40)
    square = np.zeros((1, *size), bool)
    square[0, 3:9, 4:20] = True
    rle = Masks.from_dense(square).to_rle()[0]["counts"]
    path = tmp_path / "0002.txt"
    path.write_text(f"1 2005 2 30 40 {rle}\n3 2005 2 30 40 {rle}\n")
    images = [ImageEntry(k, f"{k:06d}.png", size) for k in range(4)]
    classes = Labels(("car", "pedestrian"))
    for source in (path, tmp_path):
        found = read_predictions(source, images, classes)
        assert [len(found.instances(image)) for image in images] == [0, 1, 0, 1]
        assert found.instances(images[1]).names == ["pedestrian"]
        assert found.told[0] == "read as tracked objects: 2 frames with some"
    with pytest.raises(InputError, match="expected frames of the data"):
        read_predictions(path, [ImageEntry(1, "000009.png", size)], classes)


def test_coco_results_and_panoptic(nuclei: Dataset, tmp_path: Path) -> None:
    coco_write.write(tmp_path / "dataset.json", nuclei)
    report = scores(tmp_path / "dataset.json", nuclei)
    assert report.scores["mask/AP"] == 1
    samples = []
    for index, record in enumerate(nuclei.records):
        truth = nuclei.truth(index)
        assert truth.masks is not None
        picture = truth.masks.to_label_image()
        numbers = np.zeros(len(truth), np.int64)
        samples.append(
            (record.name, record.image_id, Panoptic(picture, labels=numbers, classes=truth.classes))
        )
    coco_panoptic.write(tmp_path / "panoptic.json", samples)
    report = scores(tmp_path / "panoptic.json", nuclei)
    assert (report.scores["mask/AP"], report.scores["cells/AP50"]) == (1, 1)
    assert f"read as COCO panoptic: {len(nuclei)} pictures" in report.notes


def test_what_python_tools_give(nuclei: Dataset) -> None:
    import supervision

    truths = [nuclei.truth(index) for index in range(len(nuclei))]
    detections = [truth.to_supervision() for truth in truths]
    assert isinstance(detections[0], supervision.Detections)
    given = {
        "list of Detections": detections,
        "list of dict": [truth.to_torchvision() for truth in truths],
        "list of ndarray": [truth.to_label_image() for truth in truths],
        "list of Instances": tuple(truths),
    }
    for name, results in given.items():
        report = scores(results, nuclei)
        assert report.scores["mask/AP"] == 1, name
        assert report.predictor == name
        assert f"read as results in memory: {len(nuclei)} of {name.removeprefix('list of ')}" in report.notes
    by_size = {truth.size: dict for truth, dict in zip(truths, given["list of dict"], strict=True)}
    report = scores(lambda image: [by_size[image.shape[:2]]], nuclei[: len(by_size)])
    assert report.scores["box/AP"] > 0
    with pytest.raises(InputError, match=f"one result per image, {len(nuclei)}, got 1"):
        scores(detections[:1], nuclei)


def test_classes_of_other_tools() -> None:
    size = (3, 4)
    boxes = np.array([[0, 0, 2, 2], [1, 1, 3, 3]], np.float32)
    numbered = SimpleNamespace(xyxy=boxes, class_id=np.array([1, 5]), confidence=None, mask=None, data={})
    found = as_instances(numbered, size, CLASSES)
    assert (found.names, found.scores.tolist()) == (["dog", "class 5"], [1, 1])
    numbered.data = {"class_name": np.array(["Dog", "bird"])}
    assert as_instances(numbered, size, CLASSES).names == ["dog", "bird"]
    numbered.class_id = None
    numbered.data = {}
    assert as_instances(numbered, size, CLASSES).names == ["cat", "cat"]
    tensors = {"boxes": boxes, "labels": np.array([18, 1]), "scores": np.array([0.5, 0.25])}
    assert as_instances(tensors, size, CLASSES).names == ["dog", "class 1"]
    from_zero = Labels(("cat", "dog"), ids=(0, 1))
    assert as_instances({**tensors, "labels": [1, 2]}, size, from_zero).names == ["cat", "dog"]
    assert len(as_instances({"boxes": boxes[:0], "labels": []}, size, CLASSES)) == 0
    assert len(as_instances((LABELS, {"points": 3}), size, CLASSES)) == 2


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (None, "got NoneType"),
        ({"masks": 1}, "got a dict with 'masks'"),
        (np.zeros((3, 4), np.float32), r"got float32 of shape \(3, 4\)"),
        ([1, 2], "got list of 2"),
        ({"boxes": np.zeros((1, 4)), "labels": [0]}, "0 is background"),
        ({"boxes": np.array([[5, 0, 2, 2]]), "labels": [17]}, "x1 <= x2"),
    ],
)
def test_what_no_tool_gives_is_refused(found: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_instances(found, (3, 4), CLASSES)
