"""A mended copy has none of the faults that can be mended, and the original stays as it is."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from delineate.core.errors import DatasetError
from delineate.data.check import check
from delineate.data.dataset import open_dataset
from delineate.engine.doctor_fix import Fixed, fix

Row = Callable[..., dict[str, Any]]
Make = Callable[..., Path]


def log_of(out: Path) -> list[dict[str, str]]:
    with (out / "log.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def mended(path: Path, out: Path) -> Fixed:
    before = {file: file.read_bytes() for file in path.parent.rglob("*") if file.is_file()}
    fixed = fix(check(path, workers=1), out)
    assert {file: file.read_bytes() for file in path.parent.rglob("*") if file.is_file()} == before
    return fixed


CHANGES: dict[str, dict[str, Any]] = {
    "box": {"bbox": [90, 90, 20, 20]},
    "area": {"area": 19200},
    "outside": {"segmentation": [[60, 40, 80, 41, 78, 160, 63, 150]], "bbox": [60, 40, 20, 80]},
    "crossing": {"segmentation": [[60, 40, 90, 70, 90, 40, 60, 70]], "bbox": [60, 40, 30, 30]},
    "hole-filled": {
        "segmentation": [[60, 40, 80, 41, 80, 60, 60, 60], [65, 45, 65, 55, 75, 50]],
        "bbox": [60, 40, 20, 20],
    },
    "duplicate": {"segmentation": [[10, 10, 30, 11, 28, 30, 13, 26]], "bbox": [10, 10, 20, 20]},
    "invalid": {"category_id": 7},
    "no-pixels": {"segmentation": [[260, 40, 280, 41, 278, 60]], "bbox": [260, 40, 20, 20]},
    "id-zero": {"id": 0},
    "filled-in": {"bbox": None},
}


@pytest.mark.parametrize("kind", CHANGES)
def test_each_fault_is_mended(tmp_path: Path, coco: Make, row: Row, kind: str) -> None:
    sound, bad = row(area=285), row(60, 40, area=285) | CHANGES[kind]
    path = coco([sound, bad, sound | {"image_id": 2}])
    assert check(path).of(kind)
    fixed = mended(path, tmp_path / "out")
    after = check(tmp_path / "out")
    assert not after.of(kind) and not after.faults
    assert {entry["kind"]: entry["done"] for entry in log_of(tmp_path / "out")}[kind] not in (
        "",
        "left as it is",
    )
    assert fixed.left() == 0
    left_out = kind in ("duplicate", "invalid", "no-pixels")
    assert after.objects == 3 - left_out and after.images == 2


def test_what_is_sound_is_the_same(tmp_path: Path, coco: Make, row: Row) -> None:
    rows = [row(area=285), row(60, 40, area=285) | CHANGES["hole-filled"], row(image_id=2, area=285)]
    path = coco(rows)
    mended(path, tmp_path / "out")
    before, after = open_dataset(path), open_dataset(tmp_path / "out")
    assert after.names == before.names and after.classes == before.classes
    for index, objects in ((0, [0]), (1, [0])):
        one, other = before.truth(index)[objects], after.truth(index)[objects]
        assert one.masks == other.masks and one.ids.tolist() == other.ids.tolist()
        assert np.array_equal(before.drawn(index)[0][0].exterior, after.drawn(index)[0][0].exterior)  # type: ignore[index]
    hole = after.truth(0)[1].masks
    assert hole is not None and not hole.dense()[0, 50, 67] and hole.dense()[0, 43, 62]


def test_a_turned_image_gets_its_masks_right(tmp_path: Path, coco: Make, row: Row) -> None:
    path = coco([row(100, 10), row(image_id=2)])
    image = path.parent / "1.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(image) as opened:
        opened.save(image, "JPEG", exif=exif)
    mended(path, tmp_path / "out")
    assert check(tmp_path / "out").faults == 0
    sample = open_dataset(tmp_path / "out")[0]
    assert sample.image.shape[:2] == (120, 160) == sample.truth.size


def test_exact_leaks_leave_train_and_other_images_stay(tmp_path: Path, coco: Make, row: Row) -> None:
    coco([row(image_id=k) for k in (1, 2, 3)], seeds=(1, 2, 3), at="set/train")
    coco([row(image_id=k) for k in (1, 2)], seeds=(2, 9), at="set/val")
    cv2.imwrite(str(tmp_path / "set/train/3.png"), np.full((120, 160, 3), 7, np.uint8)[:50])  # another size
    fixed = fix(check(tmp_path / "set"), tmp_path / "out")
    after = check(tmp_path / "out")
    assert after.splits == {"train": 1, "val": 2} and not after.faults
    done = {entry["kind"]: entry["done"] for entry in log_of(tmp_path / "out")}
    assert done["leak"] == "train/2.png left out" and done["image-size"] == "image left out"
    assert fixed.left() == 0


def test_splits_of_different_classes_become_one_dataset(tmp_path: Path, coco: Make, row: Row) -> None:
    coco([row(category_id=2)], seeds=(1,), names=("cell", "dust"), at="set/train")
    coco([row(category_id=1)], seeds=(2,), names=("dust",), at="set/val")
    fix(check(tmp_path / "set"), tmp_path / "out")
    data = open_dataset(tmp_path / "out")
    assert data.classes.names == ("cell", "dust")
    assert [data.truth(k).names for k in range(2)] == [["dust"], ["dust"]]


def test_no_cell_of_the_log_is_a_formula(tmp_path: Path, coco: Make, row: Row) -> None:
    path = coco([row(), row()], names=("=1+1",))
    (path.parent / "1.png").rename(path.parent / "=a.png")
    path.write_text(path.read_text().replace('"1.png"', '"=a.png"'))
    mended(path, tmp_path / "out")
    images = [entry["image"] for entry in log_of(tmp_path / "out")]
    assert "'=a.png" in images and "=a.png" not in images


@pytest.mark.parametrize("name", ["there", "file.json"])
def test_where_nothing_is_written(tmp_path: Path, coco: Make, row: Row, name: str) -> None:
    path = coco([row()])
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a.txt").write_text("mine")
    with pytest.raises(DatasetError):
        fix(check(path), tmp_path / name)
    assert [file.name for file in (tmp_path / "there").iterdir()] == ["a.txt"]
    assert not (tmp_path / "file.json").exists()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(sorted(CHANGES)), max_size=6))
def test_any_mixture_of_faults(
    tmp_path_factory: pytest.TempPathFactory, row: Row, changed: list[str]
) -> None:
    """After one mending nothing is left to mend."""
    import json

    folder = tmp_path_factory.mktemp("mixed")
    cv2.imwrite(str(folder / "1.png"), np.random.default_rng(0).integers(0, 255, (120, 160, 3)))
    rows = [row(area=285), *(row(60, 40, area=285) | CHANGES[kind] for kind in changed)]
    content = {
        "images": [{"id": 1, "file_name": "1.png", "width": 160, "height": 120}],
        "annotations": [{"id": k + 1} | one for k, one in enumerate(rows)],
        "categories": [{"id": 1, "name": "cell"}],
    }
    (folder / "annotations.json").write_text(json.dumps(content))
    fix(check(folder / "annotations.json", workers=1), folder / "out")
    assert check(folder / "out", workers=1).faults == 0


def test_a_copy_is_not_left_out_for_one_whose_labels_cannot_be_read(tmp_path: Path) -> None:
    for name in ("images", "labels"):
        (tmp_path / "set" / name).mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 255, (40, 50), np.uint8)
    for name in ("a", "b", "c"):
        cv2.imwrite(str(tmp_path / f"set/images/{name}.png"), noise)
        cv2.imwrite(str(tmp_path / f"set/labels/{name}.png"), (noise > 200).astype(np.uint8))
    (tmp_path / "set/labels/a.png").write_bytes(b"no image")
    found = check(tmp_path / "set")
    assert [one.image for one in found.of("copy")] == ["b.png", "c.png"]
    fix(found, tmp_path / "out")
    assert open_dataset(tmp_path / "out").names == ["b.png", "c.png"]


def test_annotations_without_images(tmp_path: Path, coco: Make, row: Row) -> None:
    path = coco([row(area=285), row(area=285), row(image_id=2, area=285)])
    for image in path.parent.glob("*.png"):
        image.unlink()
    fix(check(path), tmp_path / "out")
    data = open_dataset(tmp_path / "out", images=False)
    assert [len(data.truth(k)) for k in range(len(data))] == [1, 1]
