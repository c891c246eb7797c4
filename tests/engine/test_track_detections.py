"""Stored results of several kinds as what was detected in frames."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.data.video import Frame, frames
from delineate.data.write import write_label_tiff
from delineate.engine.track import track
from delineate.engine.track_detections import stored_detections

SIZE = (20, 30)


def masks_of(t: int) -> Masks:
    dense = np.zeros((2, *SIZE), bool)
    dense[0, 2:8, t : t + 6], dense[1, 11:18, 20 - t : 28 - t] = True, True
    return Masks.from_dense(dense)


def objects(t: int) -> Instances:
    classes = Labels(("dog", "cat"), ids=(18, 17))
    return Instances(SIZE, masks=masks_of(t), scores=[0.25 * t, 0.5], labels=[0, 1], classes=classes)


def frame(t: int) -> Frame:
    return Frame(t, t / 10, np.zeros((*SIZE, 3), np.uint8))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four images, 000007.png to 000010.png."""
    (tmp_path / "images").mkdir()
    for t in range(4):
        Image.new("RGB", SIZE[::-1]).save(tmp_path / "images" / f"{7 + t:06d}.png")
    return tmp_path / "images"


def coco(path: Path, images: list[dict[str, Any]] | None, first: int = 1, **changes: Any) -> Path:
    rows = [a for t in range(4) for a in objects(t).to_coco(first + t, 2 * t + 1)]
    rows = [{k: v for k, v in row.items() if k not in changes} | changes for row in rows]
    categories = [{"id": 18, "name": "dog"}, {"id": 17, "name": "cat"}]
    content = rows if images is None else {"images": images, "annotations": rows, "categories": categories}
    path.write_text(json.dumps(content))
    return path


def check(found: Any, classes: tuple[str, ...] = ("cat", "dog")) -> None:
    for t in range(4):
        read = found(frame(t)).instances
        assert read.masks == masks_of(t) and read.ids is None and read.size == SIZE
        np.testing.assert_allclose(read.scores, objects(t).scores)
        assert read.classes.names == classes
    assert len(found(frame(4)).instances) == 0 and found(frame(4)).instances.classes.names == classes


def test_coco_of_a_video(tmp_path: Path) -> None:
    images = [
        {"id": k + 1, "file_name": f"v.mp4#{k}", "frame": k, "height": 20, "width": 30} for k in range(4)
    ]
    check(stored_detections(coco(tmp_path / "a.json", images), "v.mp4"))
    numbered = [{k: v for k, v in i.items() if k != "frame"} | {"frame_id": i["frame"]} for i in images]
    check(stored_detections(coco(tmp_path / "b.json", numbered)))


def test_coco_of_named_images(tmp_path: Path, folder: Path) -> None:
    images = [{"id": k + 1, "file_name": f"seq/{7 + k:06d}.png"} for k in (3, 0, 2, 1)]  # in any order

    def only_four(frame: Frame) -> Any:
        return found(frame) if frame.number < 4 else empty

    found = stored_detections(coco(tmp_path / "a.json", images), folder)
    empty = found.__class__(found.path, found.classes, "", lambda _: None, True)(frame(4))
    check(only_four)


@pytest.mark.parametrize("first", [0, 1])
def test_results_alone(tmp_path: Path, first: int) -> None:
    check(stored_detections(coco(tmp_path / "a.json", None, first)), ("class 17", "class 18"))


def test_results_by_the_images_numbers(tmp_path: Path, folder: Path) -> None:
    found = stored_detections(coco(tmp_path / "a.json", None, 7), folder)
    assert found(frame(0)).instances.masks == masks_of(0) and found(frame(3)).instances.masks == masks_of(3)


def test_tracks_are_taken_without_their_ids(tmp_path: Path) -> None:
    images = [{"id": k + 1, "file_name": f"{k}", "frame": k} for k in range(4)]
    check(stored_detections(coco(tmp_path / "a.json", images, track_id=5)))


def test_boxes_alone(tmp_path: Path) -> None:
    images = [{"id": k + 1, "file_name": f"{k}", "frame": k} for k in range(4)]
    found = stored_detections(coco(tmp_path / "a.json", images, segmentation=None))
    assert found(frame(2)).instances.masks is None and found(frame(9)).instances.masks is None
    np.testing.assert_allclose(found(frame(2)).instances.boxes, objects(2).boxes)


def test_mot_detections(tmp_path: Path, folder: Path) -> None:
    lines = [f"{t + 1},-1,{t + 1},3,6,6,0.{5 + t},-1,-1,-1" for t in range(4)]
    (tmp_path / "det.txt").write_text("\n".join(lines))
    found = stored_detections(tmp_path / "det.txt")
    for t in range(4):
        read = found(frame(t)).instances
        assert read.boxes.tolist() == [[t, 2, t + 6, 8]] and read.scores[0] == pytest.approx(0.5 + t / 10)
        assert read.size == SIZE and read.masks is None and read.ids is None
    assert len(stored_detections(tmp_path / "det.txt", folder)(frame(0)).instances) == 0  # the image is 7


@pytest.mark.parametrize("first", [0, 1])
def test_mots_text(tmp_path: Path, first: int) -> None:
    lines = [
        f"{t + first} {2001 + k} 2 20 30 {rle['counts']}"
        for t in range(4)
        for k, rle in enumerate(masks_of(t).to_rle())
    ]
    (tmp_path / "a.txt").write_text("\n".join([*lines, f"{first} 10000 10 20 30 {rle_of_corner()}"]))
    found = stored_detections(tmp_path / "a.txt")
    for t in range(4):  # the ignore region is left out
        assert found(frame(t)).instances.masks == masks_of(t)
        assert found(frame(t)).instances.names == ["pedestrian"] * 2


def rle_of_corner() -> str:
    corner = np.zeros((1, *SIZE), bool)
    corner[0, -1, -1] = True
    return str(Masks.from_dense(corner).to_rle()[0]["counts"])


def test_label_images(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "labels").mkdir()
    for t in range(3):
        write_label_tiff(tmp_path / "labels" / f"{7 + t:06d}.tif", masks_of(t).to_label_image())
    for found in (
        stored_detections(tmp_path / "labels", folder),  # by name
        stored_detections(tmp_path / "labels"),  # in their order
    ):
        assert found(frame(1)).instances.masks == masks_of(1) and len(found(frame(3)).instances) == 0
        assert found(frame(1)).instances.names == ["object"] * 2


def test_a_result_of_the_cell_tracking_challenge(data_dir: Path) -> None:
    folder = data_dir / "ctc" / "Fluo-N2DH-SIM+"
    found = stored_detections(folder / "01_GT", folder / "01")
    first = next(iter(frames(folder / "01")))
    assert len(found(first).instances) > 20


def test_the_same_tracks_from_its_own_results(tmp_path: Path) -> None:
    """Perfect detections with ids taken away are followed to the same ids."""
    images = [{"id": k + 1, "file_name": f"{k}", "frame": k} for k in range(4)]
    path = coco(tmp_path / "a.json", images, score=0.9)
    found = list(track([frame(t) for t in range(4)], detections=path))
    assert [sorted(f.instances.ids.tolist()) for f in found] == [[1, 2]] * 4  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("none.json", None, "no such file"),
        ("a.json", '{"a": 1}', "COCO annotations or results"),
        ("b.json", "[1]", "COCO annotations or results"),
        ("c.json", '[{"image_id": 1, "category_id": "x", "bbox": [0, 0, 1, 1]}]', "whole numbers"),
        ("d.txt", "hello world", "whole number"),
    ],
)
def test_what_is_none_of_these(tmp_path: Path, name: str, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        stored_detections(tmp_path / name)(frame(0))


def test_results_of_another_video(tmp_path: Path) -> None:
    images = [{"id": k + 1, "file_name": f"{k}", "frame": k} for k in range(4)]
    found = stored_detections(coco(tmp_path / "a.json", images))
    with pytest.raises(InputError, match="size"):
        found(Frame(0, 0, np.zeros((10, 10, 3), np.uint8)))
    (tmp_path / "sub").mkdir()
    with pytest.raises(InputError):
        stored_detections(tmp_path / "sub")
