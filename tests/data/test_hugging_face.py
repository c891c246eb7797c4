"""Hugging Face's imagefolder and Parquet, as various authors lay them out, and bad ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest

from delineate.core.errors import DatasetError
from delineate.core.masks import Masks
from delineate.data import open_dataset
from delineate.data.formats import hf_folder, hf_parquet
from delineate.data.images import write_png
from delineate.data.known_formats import FORMATS, guess
from delineate.data.losses import Losses
from delineate.data.place import Place

arrow = pytest.importorskip("pyarrow", reason="Parquet needs pyarrow")
parquet = pytest.importorskip("pyarrow.parquet", reason="Parquet needs pyarrow")

MASK = np.zeros((20, 30), bool)
MASK[2:8, 3:9] = True
MASK[4:6, 5:7] = False
RLE = Masks.from_dense(MASK[None]).to_rle()[0]
SQUARE = [3, 2, 9, 2, 9, 8, 3, 8]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELINEATE_CACHE", str(tmp_path_factory.mktemp("cache")))


def folder(path: Path, *rows: dict[str, Any], inside: str = "") -> Path:
    (path / inside).mkdir(parents=True, exist_ok=True)
    for number, row in enumerate(rows):
        row.setdefault("file_name", f"{number}.png")
        (path / inside / row["file_name"]).parent.mkdir(exist_ok=True)
        write_png(path / inside / row["file_name"], np.zeros((20, 30), np.uint8))
    (path / inside / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    return path


@pytest.mark.parametrize(
    ("objects", "names", "areas"),
    [
        ({"bbox": [[3, 2, 6, 6]], "categories": [1]}, ["class 1"], [36]),
        ({"bbox": [[3, 2, 6, 6], [0, 0, 2, 2]], "category": ["a", "b"], "id": [7, 8]}, ["a", "b"], [36, 4]),
        ([{"bbox": [3, 2, 6, 6], "label": "a", "segmentation": RLE}], ["a"], [32]),
        ([{"segmentation": [SQUARE], "category": "a"}], ["a"], [36]),
        ([{"segmentation": SQUARE, "category": "a"}], ["a"], [36]),
        ([{"mask": RLE["counts"], "category": "a"}], ["a"], [32]),
        ({"bbox": [], "category": []}, [], []),
        ([], [], []),
    ],
)
def test_layouts_of_objects(tmp_path: Path, objects: Any, names: list[str], areas: list[int]) -> None:
    truth = open_dataset(folder(tmp_path, {"objects": objects})).truth(0)
    assert truth.names == names and truth.area.tolist() == areas


def test_splits_and_ids(tmp_path: Path) -> None:
    empty: dict[str, Any] = {"objects": []}
    folder(tmp_path, {"file_name": "a.png", "image_id": 5, **empty}, inside="train")
    folder(tmp_path, {"file_name": "sub/a.png", "image_id": 9, **empty}, inside="validation")
    found = guess(tmp_path)
    assert found is not None and found.name == "huggingface"
    data = open_dataset(tmp_path)
    assert data.groups["split"] == ["train", "val"] and data.names == ["a.png", "sub/a.png"]
    assert data.image_ids == [5, 9] and data[1].image.shape == (20, 30)
    one = open_dataset(tmp_path / "train" / "metadata.jsonl")
    assert one.names == ["a.png"]
    root = folder(tmp_path / "other", {"file_name": "test/x.png", **empty})
    assert open_dataset(root).groups["split"] == ["test"]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"caption": "a cat"}, "line 1: expected a column objects, or masks, got caption, file_name"),
        (
            {"objects": {"bbox": [[0, 0, 1, 1]], "id": [1, 2]}},
            "expected lists of one length, got 1 bbox, 2 id",
        ),
        ({"objects": [{"bbox": [0, 0, -1, 1]}]}, "objects[0].bbox: expected x, y, width, height"),
        ({"objects": [{"bbox": [0, 0, 1, 1], "category": -1}]}, "expected a class's name or number, got -1"),
        ({"objects": [{"bbox": [0, 0, 1, 1], "score": 3}]}, "score: expected a number in 0..1, got 3"),
        ({"objects": [{"segmentation": {"size": [1], "counts": "1"}}]}, "size: expected height and width"),
        ({"objects": [{"segmentation": {"size": [2, 2], "counts": 5}}]}, "counts: expected run lengths"),
        ({"objects": [{"segmentation": [[1, 2, 3]]}]}, "expected x1, y1, x2, y2, …, got 3 values"),
        ({"objects": [3]}, "expected objects, got 3"),
    ],
)
def test_bad_rows(tmp_path: Path, row: dict[str, Any], told: str) -> None:
    path = folder(tmp_path, row, {"objects": [{"bbox": [0, 0, 1, 1]}]})
    with pytest.raises(DatasetError) as caught:
        hf_folder.read(path)
    assert told in str(caught.value) and "\n" not in str(caught.value)
    data = hf_folder.read(path, skip_invalid=True)
    assert len(data) == 1 and "1 invalid entries left out" in data.notes[-1]


def test_lines_that_are_no_json_names_outside_and_missing_images(tmp_path: Path) -> None:
    path = folder(tmp_path, {"objects": []})
    (path / "metadata.jsonl").write_text('{"file_name": "0.png", "objects": [}\n')
    with pytest.raises(DatasetError, match="line 1: expected JSON"):
        hf_folder.read(path)
    (path / "metadata.jsonl").write_text('{"file_name": "../../x.png", "objects": []}\n')
    with pytest.raises(DatasetError, match="leads outside"):
        hf_folder.read(path)
    (path / "metadata.jsonl").write_text('{"file_name": "x.png", "objects": []}\n')
    with pytest.raises(DatasetError, match="1 missing"):
        hf_folder.read(path)
    damaged = {"size": [20, 30], "counts": "~~~"}
    folder(tmp_path, {"objects": [{"segmentation": damaged}]})
    with pytest.raises(DatasetError, match=r"0\.png: .*objects\[0\]"):
        hf_folder.read(path).truth(0)


def png(pixels: np.ndarray) -> bytes:
    return bytes(imagecodecs.png_encode(np.ascontiguousarray(pixels)))


def table(path: Path, rows: list[dict[str, Any]], features: dict[str, Any] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    found = arrow.Table.from_pylist(rows)
    if features:
        told = json.dumps({"info": {"features": features}})
        found = found.replace_schema_metadata({"huggingface": told})
    parquet.write_table(found, path)
    return path


def test_parquet_with_boxes_and_class_labels(tmp_path: Path) -> None:
    image = {"bytes": png(np.zeros((20, 30), np.uint8)), "path": "x.png"}
    features = {
        "scene": {"names": ["in", "out"], "_type": "ClassLabel"},
        "objects": {
            "feature": {"category": {"names": ["cat", "dog"], "_type": "ClassLabel"}},
            "_type": "Sequence",
        },
    }
    rows = [{"image": image, "scene": 1, "objects": {"bbox": [[3.0, 2, 6, 6]], "category": [1]}}] * 2
    table(tmp_path / "data" / "train-00000-of-00001.parquet", rows, features)
    table(tmp_path / "data" / "test-00000-of-00001.parquet", rows[:1], features)
    found = guess(tmp_path)
    assert found is not None and found.name == "parquet"
    data = open_dataset(tmp_path)
    assert data.classes.names == ("cat", "dog") and data.groups["split"] == ["test", "train", "train"]
    sample = data[1]
    assert sample.truth.names == ["dog"] and sample.truth.boxes.tolist() == [[3, 2, 9, 8]]
    assert sample.truth.masks is None and sample.image.shape == (20, 30)
    assert data.image_ids == [1, 2, 3] and "3 × image unpacked" in data.notes[-1]
    assert not hf_parquet.read(tmp_path, images=False).records[0].path.is_file()


def test_parquet_with_a_picture_for_each_mask(tmp_path: Path) -> None:
    masks = [{"bytes": png(m.astype(np.uint8) * 255), "path": None} for m in (MASK, ~MASK)]
    row = {"image": png(np.zeros((20, 30, 3), np.uint8)), "instances": masks, "categories": [0, 1]}
    features = {
        "categories": {"feature": {"names": ["cell", "rest"], "_type": "ClassLabel"}, "_type": "List"}
    }
    data = open_dataset(table(tmp_path / "fold1.parquet", [row], features))
    truth = data[0].truth
    assert data.names == ["000001.png"] and truth.names == ["cell", "rest"]
    assert truth.masks is not None and np.array_equal(truth.masks.dense(), [MASK, ~MASK])


@pytest.mark.parametrize("name", ["huggingface", "parquet"])
def test_short_texts_are_columns(name: str, tmp_path: Path) -> None:
    first: dict[str, Any] = {"objects": [], "patient": "p1", "caption": "a" * 101, "age": 3}
    data = open_dataset(folder(tmp_path / "in", first, {"objects": [], "patient": "p2"}, inside="val"))
    assert data.groups == {"patient": ["p1", "p2"], "split": ["val", "val"]}
    out = tmp_path / "out"
    out.mkdir()
    FORMATS[name].write(out, data, Losses(), Place("copy", out))
    assert open_dataset(out).groups == data.groups
    plain = open_dataset(folder(tmp_path / "plain", {"objects": []}))
    FORMATS[name].write(tmp_path / "plain", plain, Losses(), Place("none", tmp_path / "plain"))
    assert FORMATS[name].read(tmp_path / "plain").groups == {}  # no split is made up


def test_images_by_path_alone_as_the_library_leaves_them(tmp_path: Path) -> None:
    write_png(tmp_path / "x.png", np.zeros((20, 30), np.uint8))
    row = {"image": {"bytes": None, "path": "/elsewhere/x.png"}, "objects": [{"bbox": [3.0, 2, 6, 6]}]}
    path = table(tmp_path / "tables" / "a.parquet", [row])
    assert open_dataset(path, images=tmp_path)[0].image.shape == (20, 30)
    with pytest.raises(DatasetError, match="1 missing"):
        open_dataset(path)


def test_bad_tables(tmp_path: Path) -> None:
    image = png(np.zeros((20, 30), np.uint8))
    path = table(tmp_path / "a.parquet", [{"text": "a"}])
    with pytest.raises(DatasetError, match="row 1: expected a column image with the image's bytes, got text"):
        hf_parquet.read(path)
    path = table(tmp_path / "a.parquet", [{"image": b"nothing", "objects": []}])
    with pytest.raises(DatasetError, match=r"row 1\.image: expected PNG"):
        hf_parquet.read(path)
    row = {"image": image, "masks": [image, image], "categories": [1]}
    with pytest.raises(DatasetError, match="a category for each of 2 masks, got 1"):
        hf_parquet.read(table(tmp_path / "a.parquet", [row]))
    text = arrow.Array.from_buffers(
        arrow.string(), 1, [None, arrow.py_buffer(b"\0\0\0\0\1\0\0\0"), arrow.py_buffer(b"\x99")]
    )
    parquet.write_table(arrow.table({"image": [image], "text": text}), path)
    with pytest.raises(DatasetError, match="expected a Parquet file, got"):
        hf_parquet.read(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DatasetError, match="expected a Parquet file, got"):
        hf_parquet.read(path)


@pytest.mark.parametrize("name", ["huggingface", "parquet"])
def test_class_ids_unused_classes_tracks_and_image_ids_come_back(
    name: str, data_dir: Path, tmp_path: Path
) -> None:
    data = open_dataset(data_dir / "coco_subset", split="val")[:5]
    out = tmp_path / "out"
    out.mkdir()
    FORMATS[name].write(out, data, Losses(), Place("link", out))
    back = open_dataset(out)
    assert back.classes == data.classes and back.groups["split"] == ["val"] * 5
    assert sorted(back.image_ids) == sorted(data.image_ids) or name == "huggingface"
    for i, number in enumerate(data.names):
        truth, read = data.truth(i), back.truth(back.names.index(number))
        assert read.masks == truth.masks and read.ids.tolist() == truth.ids.tolist()  # type: ignore[union-attr]
        assert np.array_equal(read.crowd, truth.crowd)
