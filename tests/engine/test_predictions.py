from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from delineate.core.errors import InputError
from delineate.core.labels import Labels
from delineate.engine.predictions import ImageEntry, read_predictions

CELL = Labels(("cell",))
IMAGE = ImageEntry(1, "cells/plate_1.jpg", (192, 256))
BOX = {"image_id": 1, "category_id": 1, "score": 0.5, "bbox": [1, 1, 5, 5]}
RLE = {"size": [192, 256], "counts": [0, 10, 49142]}
MASK = {"image_id": 1, "category_id": 1, "score": 0.5, "segmentation": RLE}


def write(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "results.json"
    path.write_text(json.dumps(content))
    return path


def test_coco_results(tmp_path: Path) -> None:
    square = [[10, 10, 20, 10, 20, 20, 10, 20]]
    polygon = {"image_id": 1, "category_id": 1, "score": 0.123456789, "segmentation": square}
    predictions = read_predictions(write(tmp_path, [MASK, polygon]), [IMAGE], CELL)
    found = predictions.instances(IMAGE)
    assert found.masks is not None
    assert found.masks.area.tolist() == [10, 100]
    assert found.boxes.tolist() == [[0, 0, 1, 10], [10, 10, 20, 20]]
    results = predictions.results(IMAGE)
    assert results is not None
    assert results[1]["score"] == 0.123456789  # float64, as the file has it
    assert set(results[1]["segmentation"]) == {"size", "counts"}
    other = ImageEntry(2, "other.jpg", (4, 4))
    assert (len(predictions.instances(other)), predictions.results(other)) == (0, [])


def test_boxes_only(tmp_path: Path) -> None:
    found = read_predictions(write(tmp_path, [BOX]), [IMAGE], CELL).instances(IMAGE)
    assert (found.masks, found.boxes.tolist(), found.scores.tolist()) == (None, [[1, 1, 6, 6]], [0.5])


def test_no_results(tmp_path: Path) -> None:
    assert len(read_predictions(write(tmp_path, []), [IMAGE], CELL).instances(IMAGE)) == 0


def test_dataset_with_scores_is_matched_by_file_and_class_names(tmp_path: Path) -> None:
    classes = Labels(("cat", "dog"), ids=(3, 7))
    annotation = {"id": 0, "image_id": 50, "category_id": 90, "bbox": [1, 2, 3, 4]}
    content = {
        "images": [{"id": 50, "file_name": "C:\\elsewhere\\plate_1.png", "height": 192, "width": 256}],
        "categories": [{"id": 90, "name": "Dog"}],
        "annotations": [{**annotation, "score": 0.25}, {**annotation, "id": 1}],
    }
    found = read_predictions(write(tmp_path, content), [IMAGE], classes).instances(IMAGE)
    assert (found.labels.tolist(), found.scores.tolist()) == ([1, 1], [0.25, 1.0])
    del content["annotations"][0]["score"]
    assert "carry no scores" in read_predictions(write(tmp_path, content), [IMAGE], classes).notes[0]
    content["images"][0]["width"] = 255
    with pytest.raises(InputError, match=r"images\[0\].*256 x 192.*255 x 192"):
        read_predictions(write(tmp_path, content), [IMAGE], classes)


def test_unknown_classes_are_counted_unless_all_are(tmp_path: Path) -> None:
    foreign = {**BOX, "category_id": 44}
    assert read_predictions(write(tmp_path, [BOX, foreign]), [IMAGE], CELL).notes == (
        "1 results of category ids that the data does not have (44) were not scored",
    )
    with pytest.raises(InputError, match="map the classes"):
        read_predictions(write(tmp_path, [foreign]), [IMAGE], CELL)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": 1}, "expected a list of COCO results or a COCO dataset"),
        (5, "expected a list of COCO results"),
        ([3], r"results\[0\]: expected an object"),
        ([{**BOX, "image_id": 9}], r"results\[0\].image_id: .*got 9"),
        ([{**BOX, "image_id": "1"}], r"results\[0\].image_id: .*got \"1\""),
        ([{**BOX, "image_id": True}], r"results\[0\].image_id"),
        ([{**BOX, "image_id": [1]}], r"results\[0\].image_id"),
        ([{**BOX, "category_id": None}], r"results\[0\].category_id"),
        ([BOX, {**BOX, "score": float("nan")}], r"results\[1\].score: .*got NaN"),
        ([{**BOX, "score": 97.5}], r"results\[0\].score: expected a number in 0..1, got 97.5"),
        ([{**BOX, "score": "0.5"}], r"results\[0\].score"),
        ([{**BOX, "score": 10**400}], r"results\[0\].score"),
        ([{"image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5]}], "is this ground truth"),
        ([{**BOX, "bbox": [1, 1, 5]}], r"results\[0\].bbox"),
        ([{**BOX, "bbox": [1, 1, -5, 5]}], r"results\[0\].bbox"),
        ([{**BOX, "bbox": [1, 1, 1e308, 5]}], r"results\[0\].bbox"),
        ([{**BOX, "bbox": [1, 1, 10**400, 5]}], r"results\[0\].bbox"),
        ([{"image_id": 1, "category_id": 1, "score": 1}], "got neither"),
        ([BOX, MASK], "got 1 with and 1 without"),
        ([{**MASK, "segmentation": 3}], r"results\[0\].segmentation: expected run lengths or polygons"),
        ([{**MASK, "segmentation": []}], r"results\[0\].segmentation"),
        ([{**MASK, "segmentation": [[1, 2, 3]]}], r"results\[0\].segmentation"),
        ([MASK, {**MASK, "segmentation": {**RLE, "size": [256, 192]}}], r"results\[1\].segmentation"),
        ([{**MASK, "segmentation": {**RLE, "counts": [0, 10]}}], r"results\[0\].segmentation"),
    ],
)
def test_malformed_results_are_refused_with_their_place(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_predictions(write(tmp_path, content), [IMAGE], CELL)
    assert "\n" not in str(caught.value)
    assert "results.json" in str(caught.value)


def test_every_malformed_file_is_read_or_refused_in_one_line(bad_inputs: Path) -> None:
    for path in sorted((bad_inputs / "coco").glob("*.json")):
        try:
            read_predictions(path, [IMAGE], CELL)
        except InputError as error:
            assert "\n" not in str(error), path.name
            assert len(str(error)) < 600, path.name
            continue
        assert not path.name.startswith(("results_", "rle_", "top_level")), path.name


def test_every_malformed_run_length_is_refused(bad_inputs: Path, tmp_path: Path) -> None:
    with (bad_inputs / "manifest.csv").open(newline="") as lines:
        expected = {row[0]: row[2] for row in csv.reader(lines)}
    small = ImageEntry(1, "a.png", (64, 64))
    for path in sorted((bad_inputs / "rle").glob("*.json")):
        try:
            segmentation = json.loads(path.read_text())
        except ValueError:
            continue
        results = write(tmp_path, [{**MASK, "segmentation": segmentation}])
        if expected[f"rle/{path.name}"].startswith("raise"):
            with pytest.raises(InputError, match=r"results\[0\].segmentation"):
                read_predictions(results, [small], CELL)
        elif "valid_control" in path.name:
            assert len(read_predictions(results, [small], CELL).instances(small)) == 1


def test_label_folder(tmp_path: Path) -> None:
    images = [ImageEntry(k, f"cell_{k}.jpg", (3, 4)) for k in range(3)]
    labels = np.array([[0, 7, 7, 300]] * 3, np.uint16)
    Image.fromarray(labels).save(tmp_path / "cell_0.png")
    Image.fromarray(labels).save(tmp_path / "Cell_1_cp_masks.tif")
    predictions = read_predictions(tmp_path, images, CELL)
    assert [len(predictions.instances(image)) for image in images] == [2, 2, 0]
    assert predictions.results(images[0]) is None
    assert predictions.notes[-1] == "1 of 3 images have no label image and count as nothing found"
    with pytest.raises(InputError, match="expected 5 x 3 pixels"):
        predictions.instances(ImageEntry(0, "cell_0.jpg", (3, 5)))
    with pytest.raises(InputError, match=r"named as the data's, such as other\.tif"):
        read_predictions(tmp_path, [ImageEntry(1, "other.jpg", (3, 4))], CELL)


@pytest.mark.parametrize(
    "name", ["float_ids.tif", "negative_ids.tif", "rgb_colours_not_ids.png", "wrong_size.png"]
)
def test_malformed_label_images_are_refused(bad_inputs: Path, name: str) -> None:
    image = ImageEntry(1, name, (192, 256))
    with pytest.raises(InputError, match=name):
        read_predictions(bad_inputs / "masks", [image], CELL).instances(image)


def test_a_folder_that_predict_wrote(tmp_path: Path) -> None:
    image = ImageEntry(1, "a.png", (3, 4))
    Image.fromarray(np.ones((3, 4), np.uint8)).save(tmp_path / "a.overlay.png")
    Image.fromarray(np.eye(3, 4, dtype=np.uint8)).save(tmp_path / "a.labels.tif")
    assert read_predictions(tmp_path, [image], CELL).instances(image).area.tolist() == [3]
    content = {"images": [{"id": 9, "file_name": "a.png"}], "categories": [{"id": 5, "name": "nucleus"}]}
    found = {"image_id": 9, "category_id": 5, "score": 0.5, "bbox": [0, 0, 2, 2]}
    (tmp_path / "predictions.json").write_text(json.dumps({**content, "annotations": [found]}))
    assert read_predictions(tmp_path, [image], CELL).instances(image).scores.tolist() == [0.5]


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="check the path"):
        read_predictions(tmp_path / "none.json", [IMAGE], CELL)


def test_images_are_never_mistaken_for_each_other(tmp_path: Path) -> None:
    """A file with more images than the data has ids of its own: names decide, ids only where none fits."""
    box = {"category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}
    content = {
        "images": [{"id": 1, "file_name": "other.png"}, {"id": 2, "file_name": "plate_1.png"}],
        "categories": [{"id": 1, "name": "cell"}],
        "annotations": [{**box, "image_id": 1}, {**box, "image_id": 2}, {**box, "image_id": 2}],
    }
    data = [ImageEntry(1, "plate_1.jpg", (192, 256))]
    found = read_predictions(write(tmp_path, content), data, CELL)
    assert len(found.instances(data[0])) == 2
    assert found.notes == ("1 object on images that the data does not have was not scored",)
    content["annotations"][2]["score"] = 7
    with pytest.raises(InputError, match=r"annotations\[2\]\.score"):
        read_predictions(write(tmp_path, content), data, CELL)
    content["annotations"][2]["score"] = 0.5
    content["images"][1]["file_name"] = "another.png"
    found = read_predictions(write(tmp_path, content), data, CELL)
    assert len(found.instances(data[0])) == 1 and "matched by id" in found.notes[0]
    content["images"][0]["width"] = 100
    with pytest.raises(InputError, match=r"images\[0\]: expected 256 x 192 pixels"):
        read_predictions(write(tmp_path, content), data, CELL)
    for images, message in [
        ([(9, "x.png")], "expected images of the data, such as plate_1.jpg, got others"),
        ([(1, "b.png"), (1, "plate_1.png")], "expected every id once, got 1 again"),
        ([(1, "plate_1.tif"), (2, "plate_1.png")], "expected each image of the data once"),
    ]:
        content["images"] = [{"id": number, "file_name": name} for number, name in images]
        with pytest.raises(InputError, match=message):
            read_predictions(write(tmp_path, content), data, CELL)


def test_an_image_for_a_file_of_predictions_is_named(tmp_path: Path) -> None:
    path = tmp_path / "labels.png"
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(path)
    with pytest.raises(InputError, match="expected JSON, got a PNG image"):
        read_predictions(path, [IMAGE], CELL)
