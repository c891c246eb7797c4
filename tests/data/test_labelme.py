"""labelme files: real ones, what the tool's manual shows, bad ones, and there and back."""

from __future__ import annotations

import base64
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from delineate.core.errors import DatasetError
from delineate.data import open_dataset
from delineate.data.formats import labelme
from delineate.data.images import write_png

SQUARE = [[10, 10], [30, 10], [30, 30], [10, 30]]


def shape(**changes: Any) -> dict[str, Any]:
    return {
        "label": "cell",
        "points": SQUARE,
        "group_id": None,
        "shape_type": "polygon",
        "flags": {},
    } | changes


def written(folder: Path, *shapes: Any, name: str = "a", **changes: Any) -> Path:
    write_png(folder / f"{name}.png", np.zeros((40, 60, 3), np.uint8))
    content = {"version": "5.5.0", "flags": {}, "shapes": list(shapes), "imagePath": f"{name}.png"}
    content |= {"imageData": None, "imageHeight": 40, "imageWidth": 60} | changes
    (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def test_every_shape(tmp_path: Path) -> None:
    mask = np.zeros((3, 5), np.uint8)
    mask[1:, 2:] = 1
    write_png(tmp_path / "mask.png", mask)
    png = base64.b64encode((tmp_path / "mask.png").read_bytes()).decode()
    (tmp_path / "mask.png").unlink()
    written(
        tmp_path,
        shape(),
        shape(shape_type="rectangle", points=[[8, 9], [2, 1]], label="box"),
        shape(shape_type="circle", points=[[40, 20], [43, 24]], label="disc"),
        shape(shape_type="mask", points=[[50, 30], [54, 32]], mask=png, label="crop"),
        shape(shape_type="point", points=[[1, 1]]),
        shape(shape_type="linestrip", points=[[1, 1], [2, 2], [5, 9]]),
    )
    data = labelme.read(tmp_path)
    truth = data[0].truth
    assert truth.names == ["cell", "box", "disc", "crop"] and truth.masks is not None
    assert truth.boxes.tolist() == [[10, 10, 30, 30], [2, 1, 8, 9], [35, 15, 45, 25], [52, 31, 55, 33]]
    assert truth.masks.area[[0, 1, 3]].tolist() == [400, 48, 6]
    assert abs(truth.masks.area[2] - np.pi * 25) < 4
    assert data.notes == (
        "2 × point or line, which has no area, left out",
        "1 × rectangle filled as a mask (other objects have outlines)",
    )
    assert [parts is None for parts in data.drawn(0)] == [False, False, False, True]
    assert len(pickle.loads(pickle.dumps(data))[0].truth) == 4


def test_shapes_of_a_group_are_parts_of_one_object(tmp_path: Path) -> None:
    other = [[40, 10], [50, 10], [50, 20]]
    written(
        tmp_path,
        shape(group_id=1),
        shape(points=other, group_id=1),
        shape(points=other, group_id=2),
        shape(points=other, group_id=1, label="wall", flags={"crowd": True}),
    )
    truth = labelme.read(tmp_path).truth(0)
    assert (truth.names, truth.crowd.tolist()) == (["cell", "cell", "wall"], [False, False, True])
    assert truth.masks is not None and truth.masks.area.tolist() == [445, 45, 45]


def test_rectangles_alone_are_boxes(tmp_path: Path) -> None:
    written(tmp_path, shape(shape_type="rectangle", points=[[2.5, 1], [8, 90]]))
    truth = labelme.read(tmp_path).truth(0)
    assert truth.masks is None and truth.boxes.tolist() == [[2.5, 1, 8, 40]]


def test_the_tools_own_example(data_dir: Path) -> None:
    data = labelme.read(data_dir / "formats/sahi_coco_utils", skip_invalid=True)
    assert (data.classes.names, [len(s.truth) for s in data]) == (("car", "human"), [7, 5])
    assert any("terrain3.png" in note for note in data.notes)
    with pytest.raises(DatasetError, match=r"terrain3\.png.*--image-folder"):
        labelme.read(data_dir / "formats/sahi_coco_utils")


def test_class_list_and_splits(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        (tmp_path / split).mkdir()
        written(tmp_path / split, shape())
    (tmp_path / "labels.txt").write_text("__ignore__\n_background_\ntree\ncell\n")
    data = open_dataset(tmp_path)
    assert (data.format, data.classes.names) == ("labelme", ("tree", "cell"))
    assert (data.groups["split"], data.names) == (["train", "val"], ["a.png", "a.png"])
    assert len(open_dataset(tmp_path, split="val")) == 1


def test_image_inside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELINEATE_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "set"
    folder.mkdir()
    written(folder, shape())
    png = base64.b64encode((folder / "a.png").read_bytes()).decode()
    written(folder, shape(), imageData=png)
    (folder / "a.png").unlink()
    data = labelme.read(folder)
    assert data[0].image.shape == (40, 60, 3) and data.names == ["a.png"]
    assert data.records[0].path.is_relative_to(tmp_path / "cache")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mask_shape_without_mask.json", r"shapes\[0\].mask: expected a PNG as base64, got nothing"),
        ("polygon_two_points.json", r"shapes\[0\].points: expected at least 3 points"),
        ("shapes_missing.json", "shapes: expected a list"),
        ("image_path_traversal.json", "leads outside"),
    ],
)
def test_refused(bad_inputs: Path, name: str, said: str) -> None:
    images = None if "path" in name else bad_inputs / "images"
    with pytest.raises(DatasetError, match=said) as told:
        labelme.read(bad_inputs / "labelme" / name, images=images)
    assert "\n" not in str(told.value)


def test_read_all_the_same(bad_inputs: Path) -> None:
    folder, images = bad_inputs / "labelme", bad_inputs / "images"
    assert len(labelme.read(folder / "no_shapes.json", images=images)[0].truth) == 0
    # what stands in imageData is not looked at where the image is there
    for name in ("image_data_bad_base64.json", "image_data_bomb.json"):
        assert len(labelme.read(folder / name, images=images)[0].truth) == 1
    with pytest.raises(DatasetError, match="displaced"):
        labelme.read(folder / "size_mismatch.json", images=images)[0]


@pytest.mark.parametrize(
    ("data", "said"), [("!!!not base64!!!", "base64"), ("aGVsbG8=", "got text"), (7, "base64 text")]
)
def test_bad_image_inside(tmp_path: Path, data: Any, said: str) -> None:
    written(tmp_path, shape(), imageData=data)
    (tmp_path / "a.png").unlink()
    with pytest.raises(DatasetError, match=said):
        labelme.read(tmp_path)


def test_too_large_image_inside(bad_inputs: Path) -> None:
    with pytest.raises(DatasetError, match="megapixels"):
        labelme.read(bad_inputs / "labelme/image_data_bomb.json")


def test_boxes_agree_with_another_converter(data_dir: Path) -> None:
    """The same annotations as COCO boxes in whole pixels, by another program."""
    folder = data_dir / "formats/sahi_coco_utils"
    for name in ("terrain1", "terrain2", "terrain3"):
        own = labelme.read(folder / f"{name}.json", images=False).truth(0)
        other = json.loads((folder / f"{name}_coco.json").read_text())["annotations"]
        boxes = np.array([a["bbox"] for a in other], np.float64)
        boxes[:, 2:] += boxes[:, :2]
        assert len(own) == len(boxes) and np.abs(own.boxes - boxes).max() <= 1.5
