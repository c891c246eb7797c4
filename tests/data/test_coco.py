"""COCO files against pycocotools, and what the reader says of every kind of mistake."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.core.errors import DatasetError
from delineate.core.labels import Labels
from delineate.data import open_dataset
from delineate.data.formats import coco
from delineate.data.formats.coco_results import read_results
from delineate.data.images import write_png

SQUARE = [10, 10, 30, 10, 30, 30, 10, 30]


def content(**changes: Any) -> dict[str, Any]:
    """One image with one square; ``changes`` go into the annotation."""
    annotation = {
        "id": 1,
        "image_id": 7,
        "category_id": 3,
        "iscrowd": 0,
        "area": 400.0,
        "bbox": [10, 10, 20, 20],
    }
    annotation |= {"segmentation": [SQUARE]} | changes
    return {
        "images": [{"id": 7, "file_name": "a.png", "width": 60, "height": 40}],
        "categories": [{"id": 3, "name": "cell"}],
        "annotations": [{k: v for k, v in annotation.items() if v is not ...}],
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_png(tmp_path / "a.png", np.zeros((40, 60, 3), np.uint8))
    return tmp_path


def opened(folder: Path, rows: Any, **options: Any) -> Any:
    (folder / "a.json").write_text(json.dumps(rows))
    return coco.read(folder / "a.json", **options)


def test_reads_one(folder: Path) -> None:
    data = opened(folder, content())
    assert (len(data), data.classes, data.notes, data.names) == (1, Labels(("cell",), (3,)), (), ["a.png"])
    sample = data[0]
    assert sample.image.shape == (40, 60, 3)
    assert (sample.image_id, sample.name, sample.path) == (7, "a.png", folder / "a.png")
    assert sample.truth.boxes.tolist() == [[10, 10, 30, 30]]
    assert sample.truth.masks.area.tolist() == [400]
    assert sample.truth.ids.tolist() == [1]


def test_no_objects(folder: Path) -> None:
    data = opened(folder, content() | {"annotations": []})
    assert len(data[0].truth) == 0
    assert data[0].truth.masks is not None
    assert "no annotations" in data.notes[0]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own
@pytest.mark.parametrize("split", ["train", "val"])
def test_masks_boxes_and_areas_as_pycocotools(data_dir: Path, split: str) -> None:
    from pycocotools.coco import COCO

    path = data_dir / "coco_subset" / "annotations" / f"instances_{split}2017.json"
    data, peer = open_dataset(path), COCO(str(path))
    assert sum(len(data.truth(i)) for i in range(len(data))) == len(peer.anns)
    for i in range(0, len(data), 1 if split == "val" else 9):
        truth = data.truth(i)
        rows = peer.loadAnns(peer.getAnnIds([data.image_ids[i]]))
        assert truth.ids is not None and truth.masks is not None and truth.areas is not None
        assert truth.ids.tolist() == [row["id"] for row in rows]
        assert [truth.classes.id(k) for k in truth.labels] == [row["category_id"] for row in rows]
        assert truth.crowd.tolist() == [bool(row["iscrowd"]) for row in rows]
        np.testing.assert_allclose(truth.areas, [row["area"] for row in rows])
        xywh = np.array([row["bbox"] for row in rows]).reshape(-1, 4)
        np.testing.assert_allclose(
            truth.boxes, np.hstack([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]]), atol=1e-4
        )
        dense = truth.masks.dense()
        for mask, row in zip(dense, rows, strict=True):
            np.testing.assert_array_equal(mask, peer.annToMask(row).astype(bool))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": ...}, r"annotations\[0\]\.id: expected a whole number >= 0, got nothing"),
        ({"id": True}, r"\.id: .* got true"),
        ({"id": 10**30}, "huge number"),
        ({"image_id": 8}, r"annotations\[0\]\.image_id: expected the id of one of the images, got 8"),
        ({"image_id": "7"}, r"image_id: .* got \"7\""),
        ({"image_id": [7]}, "a list of 1"),
        ({"category_id": 1}, r"category_id: expected the id of one of the categories, got 1"),
        ({"iscrowd": "0"}, r"iscrowd: expected 0 or 1"),
        ({"iscrowd": None}, r"iscrowd: expected 0 or 1, got null"),
        ({"area": -1}, "area: expected a number >= 0, got -1"),
        ({"area": float("nan")}, "area: expected a number >= 0, got NaN"),
        ({"bbox": [1, 2, 3]}, r"bbox: expected 4 finite numbers .* got \[1, 2, 3\]"),
        ({"bbox": [1, 2, 3, float("inf")]}, "bbox: expected 4 finite"),
        ({"bbox": "x"}, "bbox: expected 4 finite"),
        ({"bbox": [1, 2, 0, 3]}, "bbox: expected a width and height above 0"),
        ({"segmentation": None}, r"segmentation: expected polygons or an RLE object, got null"),
        ({"segmentation": []}, "at least one polygon"),
        ({"segmentation": SQUARE}, r"segmentation\[0\]: expected a list of numbers"),
        ({"segmentation": [SQUARE, [1, 2, 3, 4]]}, r"segmentation\[1\]: .* got 4"),
        ({"segmentation": [[*SQUARE, 1]]}, "even number"),
        ({"segmentation": [[*SQUARE, True, 1]]}, "other things"),
        ({"segmentation": [[*SQUARE, float("nan"), 1]]}, "NaN"),
        ({"segmentation": [[*SQUARE, 10**400, 1]]}, "beyond"),
        ({"segmentation": [[5, 5] * 4]}, "same one 4 times"),
        ({"segmentation": {"size": [40, 60]}}, r"annotations\[0\]\.segmentation: .*counts"),
        ({"segmentation": {"size": [60, 40], "counts": [0, 2400]}}, r"expected size \[40, 60\]"),
        ({"segmentation": {"size": [40, 60], "counts": [0, 5]}}, "sum to"),
        ({"segmentation": {"size": [40, 60], "counts": "é"}}, "characters"),
    ],
)
def test_malformed_annotations_are_named_and_can_be_left_out(
    folder: Path, changes: dict[str, Any], message: str
) -> None:
    rows = content(**changes)
    rows["annotations"].append({**content()["annotations"][0], "id": 2})
    with pytest.raises(DatasetError, match=message) as error:
        opened(folder, rows)
    assert str(error.value).startswith(f"{folder / 'a.json'}: annotations[0]")
    data = opened(folder, rows, skip_invalid=True)
    assert data[0].truth.ids.tolist() == [2]
    assert data.notes[-1].startswith("1 invalid entries left out, the first: annotations[0]")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": "7"}, r"images\[0\]\.id"),
        ({"file_name": ...}, r"file_name: expected a file name, got nothing"),
        ({"file_name": "../a.png"}, "leads outside"),
        ({"file_name": "x/../../a.png"}, "leads outside"),
        ({"file_name": "/etc/passwd"}, "leads outside"),
        ({"file_name": "C:\\a.png"}, "leads outside"),
        ({"file_name": "a\0.png"}, "null byte"),
        ({"file_name": "https://example.org/a.png"}, "never fetched"),
        ({"file_name": "b.png"}, r"got 1 missing: b\.png"),
        ({"width": 0}, "width: expected a whole number > 0"),
        ({"height": "40"}, r"height: .* got \"40\""),
        ({"width": None}, "width"),
        ({"width": 10**9, "height": 10**9}, "at most"),
    ],
)
def test_malformed_images(folder: Path, changes: dict[str, Any], message: str) -> None:
    rows = content()
    rows["images"] = [{k: v for k, v in (rows["images"][0] | changes).items() if v is not ...}]
    with pytest.raises(DatasetError, match=message):
        opened(folder, rows)
    with pytest.raises(DatasetError):  # nothing is left
        opened(folder, rows, skip_invalid=True)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({}, "'images'"),
        (5, "got 5"),
        ([], "a list of 0"),
        (content() | {"annotations": None}, "annotations: expected a list"),
        (content() | {"categories": []}, "at least one class"),
        (content() | {"categories": [{"id": 3, "name": " "}]}, "a name"),
        ([{"image_id": 1, "score": 0.5}], "results file"),
        (content() | {"images": [3]}, r"images\[0\]: expected an object"),
        (content() | {"annotations": [{"segments_info": []}]}, "panoptic"),
        (content() | {"categories": [{"id": 3, "name": "a"}, {"id": 3, "name": "b"}]}, "every id once"),
        (content() | {"annotations": content()["annotations"] * 2}, "every id once, got 1 again"),
        (content() | {"images": content()["images"] * 2}, "every id once, got 7 again"),
    ],
)
def test_malformed_files(folder: Path, rows: Any, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        opened(folder, rows)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty file"),
        (b"{} x", "line 1, column 4"),
        (b"[" * 100_000, "nested"),
        (b'{"a": ' + b"9" * 5000 + b"}", "digits"),
        ("{}".encode("utf-16"), "UTF-16"),
        ('{"é": 1}'.encode("latin-1"), "Latin-1"),
        (b"{", "column 2"),
    ],
)
def test_not_json(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(DatasetError, match=message):
        coco.read(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("changes", "note", "box", "area"),
    [
        ({"area": ...}, "area computed", [10, 10, 30, 30], 400),
        ({"iscrowd": ...}, "", [10, 10, 30, 30], 400),
        ({"bbox": ...}, "bbox computed", [10, 10, 30, 30], 400),
        ({"bbox": [10, 10, 30, 30]}, "disagrees", [10, 10, 30, 30], 400),
        ({"bbox": [9, 11, 20.5, 20]}, "", [9, 11, 29.5, 31], 400),
        (
            {"segmentation": {"size": [40, 60], "counts": [0, 40, 2360]}, "bbox": [10, 10, 5, 5]},
            "disagrees",
            [0, 0, 1, 40],
            400,
        ),
        ({"segmentation": [[10, 10, 30, 30, 30, 10, 10, 30]]}, "even-odd", [10, 10, 30, 30], 400),
        ({"segmentation": [SQUARE, [15, 15, 15, 20, 20, 20, 20, 15]]}, "hole", [10, 10, 30, 30], 400),
        ({"id": 0}, "id 0", [10, 10, 30, 30], 400),
    ],
)
def test_mended_and_counted(
    folder: Path, changes: dict[str, Any], note: str, box: list[float], area: float
) -> None:
    data = opened(folder, content(**changes))
    truth = data.truth(0)
    assert truth.boxes.tolist() == [box]
    assert truth.areas.tolist() == [area]
    assert truth.crowd.tolist() == [False]
    assert (note in data.notes[0] and data.notes[0].startswith("1 × ")) if note else data.notes == ()


def test_a_part_in_the_corner_of_another_parts_box_is_no_hole(folder: Path) -> None:
    hook = [
        10,
        10,
        30,
        10,
        30,
        30,
        26,
        30,
        26,
        14,
        10,
        14,
    ]  # an L, which leaves its box's lower left corner free
    other = [12, 20, 12, 28, 20, 28, 20, 20]  # there, and drawn the other way round
    assert opened(folder, content(segmentation=[hook, other], bbox=[10, 10, 20, 20])).notes == ()


@pytest.mark.parametrize(
    "segmentation",
    [[[10, 10, 30, 10, 20, 10]], [[100, 100, 110, 100, 110, 110]], {"size": [40, 60], "counts": [2400]}],
)
def test_objects_without_pixels_are_left_out_and_counted(folder: Path, segmentation: Any) -> None:
    data = opened(folder, content(segmentation=segmentation))
    assert len(data.truth(0)) == 0
    assert data.notes == ("1 × object without any pixel left out (a line, or outside the image)",)


def test_size_from_the_file_and_against_it(folder: Path) -> None:
    rows = content()
    del rows["images"][0]["width"], rows["images"][0]["height"]
    data = opened(folder, rows)
    assert data[0].truth.size == (40, 60)
    assert "read from the file" in data.notes[0]
    rows["images"][0] |= {"width": 40, "height": 60}
    with pytest.raises(DatasetError, match=r"displaced.*EXIF"):
        opened(folder, rows)[0]


def test_boxes_only_and_truth_only(folder: Path) -> None:
    data = opened(folder, content(segmentation=..., area=...))
    assert data[0].truth.masks is None
    assert data[0].truth.areas.tolist() == [400]
    (folder / "a.png").unlink()
    assert len(opened(folder, content(), images=False).truth(0)) == 1
    with pytest.raises(DatasetError, match="got no folder"):
        opened(folder, content(), images=folder / "none")


def test_pickles(folder: Path) -> None:
    data = pickle.loads(pickle.dumps(opened(folder, content())))
    assert data[0].truth.masks.area.tolist() == [400]


def test_round_trip(folder: Path) -> None:
    rows = content()
    rows["annotations"].append(
        {
            "id": 5,
            "image_id": 7,
            "category_id": 3,
            "iscrowd": 1,
            "segmentation": {"size": [40, 60], "counts": [3, 9, 2388]},
        }
    )
    data = opened(folder, rows)
    again = coco.read(coco.write(folder / "b.json", data))
    one, two = data.truth(0), again.truth(0)
    assert one.masks == two.masks
    assert again.classes == data.classes
    for name in ("boxes", "labels", "crowd", "areas"):
        np.testing.assert_allclose(getattr(one, name), getattr(two, name))
    assert again.notes == ()
    assert coco.read(coco.write(folder / "c.json", list(data))).truth(0).masks == one.masks
    with pytest.raises(DatasetError, match="at least one sample"):
        coco.write(folder / "d.json", [])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["id", "size", "counts"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["images", "annotations", "categories"]), st.data())
def test_any_value_anywhere_reads_or_is_a_dataset_error(
    tmp_path_factory: pytest.TempPathFactory, table: str, draw: st.DataObject
) -> None:
    rows = content()
    key = draw.draw(st.sampled_from(sorted(rows[table][0])))
    rows[table][0][key] = draw.draw(json_values)
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(rows))
    for skip in (False, True):
        try:
            data = coco.read(path, images=False, skip_invalid=skip)
            for i in range(len(data)):
                if data.records[i].size is not None:
                    data.truth(i)
        except DatasetError as error:
            assert "expected" in str(error)


RESULT = {"image_id": 7, "category_id": 3, "score": 0.5}


def test_results(folder: Path, tmp_path: Path) -> None:
    data = opened(folder, content())
    rle = data.truth(0).masks.to_rle()[0]
    (tmp_path / "r.json").write_text(
        json.dumps([RESULT | {"segmentation": rle}, RESULT | {"segmentation": [SQUARE], "score": 1}])
    )
    (found,) = read_results(tmp_path / "r.json", data)
    np.testing.assert_allclose(found.scores, [0.5, 1])
    assert found.masks.area.tolist() == [400, 400]
    (tmp_path / "r.json").write_text(json.dumps([RESULT | {"bbox": [1, 2, 3, 4]}]))
    (boxes,) = read_results(tmp_path / "r.json", data)
    assert boxes.boxes.tolist() == [[1, 2, 4, 6]]
    (tmp_path / "r.json").write_text("[]")
    assert [len(r) for r in read_results(tmp_path / "r.json", data)] == [0]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (RESULT, "neither"),
        (RESULT | {"bbox": [0, 0, 1, 1], "score": float("nan")}, r"\[0\]\.score: .* got NaN"),
        (RESULT | {"bbox": [0, 0, 1, 1], "score": 1.5}, "score"),
        (RESULT | {"bbox": [0, 0, 1, 1], "image_id": 9}, "image_id"),
        (RESULT | {"bbox": [0, 0, 1, 1], "category_id": 9}, "category_id"),
        (RESULT | {"bbox": [0, 0, -1, 1]}, "bbox"),
        (RESULT | {"segmentation": {"size": [40, 60], "counts": [1]}}, r"\[0\]\.segmentation"),
        (3, "an object"),
    ],
)
def test_malformed_results(folder: Path, row: Any, message: str) -> None:
    data = opened(folder, content())
    (folder / "r.json").write_text(json.dumps([row]))
    with pytest.raises(DatasetError, match=message):
        read_results(folder / "r.json", data)
    assert [len(r) for r in read_results(folder / "r.json", data, skip_invalid=True)] == [0]
