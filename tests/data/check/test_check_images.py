"""Faults of images: unreadable, turned, of another size, copied, leaked; and what is no fault."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from delineate.core.errors import DatasetError
from delineate.data.check import check, open_parts
from delineate.data.images import write_label_tiff

Row = Callable[..., dict[str, Any]]
Make = Callable[..., Path]


def faults(path: Path, **options: Any) -> list[tuple[str, str]]:
    found = check(path, workers=1, **options)
    return sorted((one.kind, one.image) for one in found.findings if one.severity == "fault")


def test_unreadable_and_missing(coco: Make, row: Row) -> None:
    path = coco([row(), row(image_id=2), row(image_id=3)], seeds=(1, 2, 3))
    (path.parent / "2.png").write_bytes((path.parent / "2.png").read_bytes()[:300])
    (path.parent / "3.png").unlink()
    assert faults(path) == [("missing-image", "3.png"), ("orphan", "3.png"), ("unreadable", "2.png")]


def test_without_any_image_the_annotations_are_looked_at(coco: Make, row: Row) -> None:
    path = coco([row(), row()])
    for image in path.parent.glob("*.png"):
        image.unlink()
    assert faults(path) == [("duplicate", "1.png"), ("missing-image", "")]


def test_another_size(coco: Make, row: Row) -> None:
    path = coco([row(), row(image_id=2)])
    cv2.imwrite(str(path.parent / "2.png"), np.full((50, 60, 3), 9, np.uint8))
    assert faults(path) == [("image-size", "2.png")]
    assert faults(path, pixels=False) == [("image-size", "2.png")]


def turned(path: Path, orientation: int) -> None:
    """Writes the image anew as a JPEG whose EXIF turns it."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    with Image.open(path) as image:
        image.convert("RGB").save(path, "JPEG", exif=exif, quality=95)


def test_masks_drawn_on_an_image_that_its_exif_turns(coco: Make, row: Row) -> None:
    path = coco([row(), row(image_id=2)])
    turned(path.parent / "2.png", 6)  # 160 x 120 as stored, 120 x 160 as seen
    assert faults(path) == [("rotated", "2.png")]
    content = json.loads(path.read_text())
    content["images"][1] |= {"width": 120, "height": 160}
    path.write_text(json.dumps(content))
    found = check(path)
    assert found.faults == 0 and [one.image for one in found.of("exif")] == ["2.png"]


def test_copies_in_one_split(coco: Make, row: Row) -> None:
    path = coco([row(), row(image_id=2), row(image_id=3), row(50, image_id=3)], seeds=(5, 5, 5))
    found = check(path)
    assert [one.image for one in found.of("copy")] == ["2.png"]
    assert [one.image for one in found.of("copy-differs")] == ["3.png"]


@pytest.fixture
def split(tmp_path: Path, coco: Make, row: Row) -> Path:
    """Train and val with an exact copy, a mirrored one, and others."""
    coco([row(image_id=k) for k in range(1, 5)], seeds=(1, 2, 3, 4), at="set/train")
    coco([row(image_id=k) for k in range(1, 5)], seeds=(11, 2, 13, 14), at="set/val")
    image = cv2.imread(str(tmp_path / "set/train/3.png"))
    cv2.imwrite(str(tmp_path / "set/val/4.png"), cv2.resize(image[:, ::-1], (160, 120)))
    return tmp_path / "set"


def test_leaks_between_splits(split: Path) -> None:
    found = check(split)
    leaks = [(one.split, one.image, one.message.split(" (")[0]) for one in found.of("leak")]
    assert leaks == [
        ("val", "2.png", "the same pixels as train/2.png"),
        ("val", "4.png", "looks like train/3.png, mirrored"),
    ]
    assert found.splits == {"train": 4, "val": 4}
    assert check(split, pixels=False).of("leak") == []


def test_splits_that_do_not_fit_together(split: Path) -> None:
    path = split / "val" / "annotations.json"
    path.write_text(path.read_text().replace('"cell"', '"Cell"'))
    found = check(split)
    assert found.findings[0].kind == "splits-differ"
    assert {one.name: one.objects for one in found.classes} == {
        "cell": {"train": 4, "val": 0},
        "Cell": {"train": 0, "val": 4},
    }
    assert len(found.of("class-names")) == 1 and len(found.of("untrained")) == 1


def test_label_images(tmp_path: Path) -> None:
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    shapes = {"a": (40, 50), "b": (40, 50), "c": (30, 50), "d": (40, 50)}
    for seed, (name, shape) in enumerate(shapes.items()):
        noise = np.random.default_rng(seed).integers(0, 255, (40, 50), np.uint8)
        cv2.imwrite(str(tmp_path / "images" / f"{name}.png"), noise)
        labels = np.zeros(shape, np.uint16)
        labels[5:15, 5:15] = 1
        labels[5, 5] = 0
        write_label_tiff(tmp_path / "labels" / f"{name}.tif", labels if name != "d" else labels * 0)
    (tmp_path / "labels" / "b.tif").write_bytes(b"II*\0")
    assert faults(tmp_path) == [("image-size", "c.png"), ("invalid", "b.png")]
    assert [one.image for one in check(tmp_path).of("empty")] == ["d.png"]


def test_mixed_depths_and_blank_images(tmp_path: Path) -> None:
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    for k, dtype in enumerate((np.uint8, np.uint8, np.uint16)):
        noise = np.random.default_rng(k).integers(0, 200, (40, 50)).astype(dtype)
        cv2.imwrite(str(tmp_path / "images" / f"{k}.png"), noise * (k > 0))
        write_label_tiff(tmp_path / "labels" / f"{k}.tif", (noise > 100).astype(np.uint16))
    found = check(tmp_path)
    assert [one.image for one in found.of("blank")] == ["0.png"]
    assert [(one.image, one.message) for one in found.of("depths")] == [
        ("2.png", "2 of uint8, 1 of uint16; uint16 here")
    ]


def test_a_folder_of_images_without_annotations(bad_inputs: Path) -> None:
    found = check(bad_inputs / "images")
    assert "images without annotations" in found.failed
    with (bad_inputs / "manifest.csv").open() as file:
        rows = {row["file"]: row["expected"] for row in csv.DictReader(file) if row["kind"] == "image"}
    unreadable = {one.image for one in found.of("unreadable")}
    assert {"bad_crc.png", "header_only.jpg", "zero_byte.png", "truncated_50pct.webp"} <= unreadable
    for name in unreadable:
        assert "read correctly" not in rows[f"images/{name}"], name
    assert [one.image for one in found.of("damaged")] == ["corrupt_middle.jpg"]
    assert {one.image for one in found.of("exif")} == {f"exif_orientation_{k}.jpg" for k in (3, 6, 8)}


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nothing there"):
        open_parts(tmp_path / "none")
    with pytest.raises(DatasetError):
        open_parts(tmp_path)


def test_threads_change_nothing(split: Path) -> None:
    assert check(split, workers=1).findings == check(split, workers=4).findings


def test_the_dataset_is_only_read(split: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in split.rglob("*") if path.is_file()}
    shutil.copytree(split, tmp_path / "again")
    check(split)
    assert {path: path.read_bytes() for path in split.rglob("*") if path.is_file()} == before


def test_synthetic_scenes_have_no_files() -> None:
    found = check("synthetic:crowds?images=2&val=2")
    assert found.faults == 0 and found.images == 4 and found.objects > 0
