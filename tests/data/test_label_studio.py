"""Label Studio's JSON: its converter's own examples, every shape, bad ones; brush streams bit by bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from delineate.core.errors import DatasetError
from delineate.data import open_dataset
from delineate.data.formats import label_studio
from delineate.data.formats.coco_check import Bad
from delineate.data.formats.label_studio_rle import decode, encode, stream
from delineate.data.images import write_png

SQUARE = [[10, 10], [50, 10], [50, 50], [10, 50]]


def result(kind: str, value: dict[str, Any], label: str | None = "cell", **changes: Any) -> dict[str, Any]:
    row = {"id": "r", "type": f"{kind}labels", "to_name": "image", "from_name": "label", "image_rotation": 0}
    row |= {"original_width": 100, "original_height": 50}
    return row | {"value": value | ({f"{kind}labels": [label]} if label else {})} | changes


def task(*results: Any, **changes: Any) -> dict[str, Any]:
    annotation = {
        "id": 1,
        "completed_by": 1,
        "was_cancelled": False,
        "ground_truth": False,
        "result": list(results),
    }
    return {"id": 68501, "annotations": [annotation], "data": {"image": "a.png"}} | changes


def saved(folder: Path, *tasks: Any) -> Path:
    write_png(folder / "a.png", np.zeros((50, 100), np.uint8))
    (folder / "project.json").write_text(json.dumps(list(tasks)))
    return folder


def slowly(data: bytes) -> list[int]:
    """The stream bit by bit, as its description says."""
    text = iter("".join(f"{byte:08b}" for byte in data))

    def read(count: int) -> int:
        return int("".join(next(text) for _ in range(count)), 2)

    number, word = read(32), read(5) + 1
    sizes = [read(4) + 1 for _ in range(4)]
    values: list[int] = []
    while len(values) < number:
        repeated = read(1)
        length = read(sizes[read(2)]) + 1
        values += [read(word)] * length if repeated else [read(word) for _ in range(length)]
    return values


def test_the_converters_own_example() -> None:
    """``encode_rle`` of Label Studio's converter gives these bytes for these 18 values."""
    data = bytes([0, 0, 0, 18, 57, 27, 252, 96, 32, 1, 0, 6, 0, 40, 0, 192, 3, 128, 17, 56, 32])
    assert slowly(data) == [1, 1, 1, 1, 2, 3, 5, 6, 7, 8, *[4] * 8]
    # of 16 values: four pixels, whose alphas are 1, 6, 4 and 4
    shorter = bytes([0, 0, 0, 16, *data[4:]])
    assert decode(shorter, (2, 2), "").all()


@given(st.integers(0, 10**6))
def test_masks_there_and_back(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = (int(rng.integers(1, 9)), int(rng.integers(1, 40)))
    full: NDArray[np.bool_] = rng.random(size) < rng.random()
    y, x = (int(rng.integers(0, side)) for side in size)
    crop = full[y:, x:]
    data = bytes(encode(crop, (x, y), size))
    full[:y], full[:, :x] = False, False
    assert (decode(data, size, "") == full).all()
    assert (np.array(slowly(data)).reshape(*size, 4) > 0).all(axis=2).tolist() == full.tolist()


@given(st.integers(0, 10**6))
def test_values_one_by_one(seed: int) -> None:
    """Blocks of different values, as the browser writes them."""
    rng = np.random.default_rng(seed)
    size = (int(rng.integers(1, 6)), int(rng.integers(1, 9)))
    values = rng.integers(0, 3, 4 * size[0] * size[1]) * 100
    text, at = f"{len(values):032b}{7:05b}" + "".join(f"{n - 1:04b}" for n in (3, 4, 8, 16)), 0
    while at < len(values):
        length = int(min(len(values) - at, rng.integers(1, 17)))
        text += f"001{length - 1:04b}" + "".join(f"{v:08b}" for v in values[at : at + length])
        at += length
    text += "0" * (-len(text) % 8)
    data = int(text, 2).to_bytes(len(text) // 8, "big")
    assert (decode(data, size, "") == (values.reshape(*size, 4)[:, :, 3] > 0)).all()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ("text", "list of bytes"),
        ([1, "2"], "list of bytes"),
        ([0, 256], "0..255"),
        ([1, 2, 3], "at least 53 bits"),
        ([255, 255, 255, 255, *[0] * 9], "expected 8 values"),
        ([0, 0, 0, 8, 0, *[0] * 9], "of 8 bits"),
    ],
)
def test_bad_streams(values: Any, said: str) -> None:
    with pytest.raises(Bad, match=said):
        stream(values, (1, 2), "r")
    with pytest.raises(Bad, match="ends after"):
        decode(bytes(encode(np.ones((9, 9), np.bool_), (0, 0), (9, 9)))[:7], (9, 9), "r")


def test_the_converters_polygon(tmp_path: Path) -> None:
    """A task as its tests have it: percent of 640 x 426."""
    points = [[60, 19.55922865013774], [61.10091743119266, 15.151515151515152], [89.17, 67.49], [64.4, 41.87]]
    row = result("polygon", {"points": points}, "Airplane", original_width=640, original_height=426)
    saved(tmp_path, task(row, file_upload="e97d4735-a.png", data={"image": "/data/upload/1/e97d4735-a.png"}))
    data = open_dataset(tmp_path)
    assert (data.format, data.names, data.image_ids) == ("Label Studio", ["a.png"], [68501])
    ((part,),) = data.drawn(0)  # type: ignore[misc]
    assert np.allclose(part.exterior, np.array(points) * (6.4, 4.26))
    with pytest.raises(DatasetError, match="displaced"):
        data[0]


def test_every_shape(tmp_path: Path) -> None:
    crop = np.array([[True, False], [True, True]])
    saved(
        tmp_path,
        task(
            result("polygon", {"points": SQUARE}),
            result("rectangle", {"x": 20, "y": 20, "width": 10, "height": 40, "rotation": 90}),
            result("ellipse", {"x": 50, "y": 50, "radiusX": 10, "radiusY": 10, "rotation": 90}),
            result("brush", {"format": "rle", "rle": encode(crop, (70, 20), (50, 100))}, "dust"),
            result("keypoint", {"x": 20, "y": 20, "width": 0.5}),
            {"type": "choices", "value": {"choices": ["good"]}},
        ),
    )
    data = label_studio.read(tmp_path)
    truth = data[0].truth
    assert truth.names == ["cell", "cell", "cell", "dust"]
    assert truth.boxes.tolist() == [[10, 5, 50, 25], [0, 10, 20, 20], [45, 15, 55, 35], [70, 20, 72, 22]]
    assert data.notes == ("1 × result without an area (points, lines, text) left out",)


def test_a_region_and_its_label_apart(tmp_path: Path) -> None:
    value = {"points": SQUARE}
    bare = result("polygon", value, None, type="polygon", id="x")
    labelled = result("polygon", value | {"labels": ["tree"]}, None, type="labels", id="x")
    two = result("polygon", value, None, type="labels", id="y")
    two["value"] = value | {"labels": ["bush", "tree"]}
    saved(tmp_path, task(bare, labelled, two))
    data = label_studio.read(tmp_path)
    assert data.truth(0).names == ["tree", "bush"]
    assert data.notes == ("1 × region with several labels: the first taken",)


def test_which_annotation_is_taken(tmp_path: Path) -> None:
    def one(label: str, **changes: Any) -> dict[str, Any]:
        return {"result": [result("polygon", {"points": SQUARE}, label)], "was_cancelled": False} | changes

    tasks = [
        task(annotations=[one("gone", was_cancelled=True), one("a"), one("b", ground_truth=True)]),
        task(annotations=[], predictions=[one("c", score=0.5)], data={"image": "s3://bucket/b.png"}),
        task(annotations=[], predictions=[], data={"image": "c.png"}),
        task(
            annotations=[{"result": []}],
            data={"image": "/data/local-files/?d=sub/d%20e.png", "split": "valid"},
        ),
    ]
    saved(tmp_path, *tasks)
    data = label_studio.read(tmp_path, images=False)
    assert (data.names, data.groups) == (["a.png", "b.png", "sub/d e.png"], {"split": ["", "", "val"]})
    assert data.truth(0).names == ["b"] and data.truth(1).scores.tolist() == [0.5]
    assert len(data.notes) == 3


def test_class_order_and_json_min(tmp_path: Path) -> None:
    row = {"points": SQUARE, "polygonlabels": ["cell"], "original_width": 100, "original_height": 50}
    saved(tmp_path, {"id": 4, "image": "/data/upload/1/0123abcd-a.png", "label": [row], "annotation_id": 2})
    (tmp_path / "label_config.xml").write_text(
        '<View><PolygonLabels name="label"><Label value="tree"/><Label value="cell"/></PolygonLabels></View>'
    )
    data = open_dataset(tmp_path)
    assert (data.classes.names, data.image_ids, data.names) == (("tree", "cell"), [4], ["a.png"])
    assert data[0].truth.boxes.tolist() == [[10, 5, 50, 25]]


@pytest.mark.parametrize(
    "bad",
    [
        result("polygon", {"points": SQUARE[:2]}),
        result("polygon", {"points": 7}),
        result("polygon", {"points": [[1], [2], [3]]}),
        result("polygon", {"points": SQUARE}, None, id="other"),
        result("polygon", {"points": SQUARE}, image_rotation=90),
        result("rectangle", {"x": 1, "y": 1, "width": 0, "height": 5}),
        result("rectangle", {"x": 1, "y": None, "width": 3, "height": 5}),
        result("ellipse", {"x": 1, "y": 1, "radiusX": -3, "radiusY": 5}),
        result("brush", {"rle": encode(np.ones((1, 1), np.bool_), (0, 0), (1, 1))}),
        result("bitmask", {"imageDataURL": "data:image/png;base64,AAAA"}),
    ],
)
def test_bad_results(tmp_path: Path, bad: Any) -> None:
    saved(tmp_path, task(bad, result("polygon", {"points": SQUARE})))
    with pytest.raises(DatasetError, match=r"task 1, result 1.*expected"):
        label_studio.read(tmp_path)
    assert len(label_studio.read(tmp_path, skip_invalid=True).truth(0)) == 1


@pytest.mark.parametrize("address", ["/data/local-files/?d=../../etc/passwd.png", 7, ""])
def test_bad_addresses(tmp_path: Path, address: Any) -> None:
    saved(tmp_path, task(data={"image": address}))
    with pytest.raises(DatasetError, match="expected"):
        label_studio.read(tmp_path)
