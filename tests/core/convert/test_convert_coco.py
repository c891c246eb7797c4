from __future__ import annotations

import json
from typing import Any

import numpy as np
import pycocotools.mask as coco
import pytest

from delineate.core.convert.coco import from_coco, to_coco
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks

CLASSES = Labels(("cell", "debris"), (4, 2))


def some() -> Instances:
    masks = Masks.from_label_image([[1, 1, 0, 2], [1, 0, 3, 2], [0, 0, 3, 2]])
    return Instances(
        (3, 4),
        masks=masks,
        labels=[0, 1, 1],
        scores=[0.5, 1, 0.25],
        ids=[7, 8, 9],
        crowd=[0, 1, 0],
        classes=CLASSES,
    )


def test_round_trip_through_json() -> None:
    written = json.loads(json.dumps(to_coco(some(), image_id=5, first_id=11)))
    assert [a["id"] for a in written] == [11, 12, 13] and {a["image_id"] for a in written} == {5}
    assert [a["category_id"] for a in written] == [4, 2, 2] and [a["iscrowd"] for a in written] == [0, 1, 0]
    assert [a["bbox"] for a in written] == [coco.toBbox(a["segmentation"]).tolist() for a in written]
    assert [a["area"] for a in written] == [coco.area(a["segmentation"]) for a in written]
    back = from_coco(written, (3, 4), CLASSES)
    for name in ("boxes", "labels", "scores", "ids", "crowd", "area"):
        np.testing.assert_array_equal(getattr(back, name), getattr(some(), name))
    assert back.masks == some().masks and back.classes == CLASSES


def test_polygons_and_rle_mixed_and_defaults() -> None:
    square = {"category_id": 9, "segmentation": [[0, 0, 2, 0, 2, 2, 0, 2]]}
    encoded = {"category_id": 7, "segmentation": {"size": [3, 4], "counts": [0, 3, 9]}}
    found = from_coco([square, encoded, square], (3, 4))
    assert found.masks is not None and found.masks.area.tolist() == [4, 3, 4]
    assert found.classes.ids == (7, 9) and found.labels.tolist() == [1, 0, 1]
    assert found.boxes.tolist() == found.masks.boxes.tolist() and found.ids is None and found.areas is None


def test_boxes_only_and_nothing() -> None:
    found = from_coco([{"category_id": 2, "bbox": [1, 1, 2, 2.5], "score": 0.5, "area": 5}], (9, 9), CLASSES)
    assert found.masks is None and found.boxes.tolist() == [[1, 1, 3, 3.5]] and found.area.tolist() == [5]
    assert "segmentation" not in to_coco(found)[0]
    none = from_coco([], (9, 9), CLASSES)
    assert len(none) == 0 and none.masks == Masks.empty((9, 9)) and to_coco(none) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"category_id": None},
        {"category_id": "4"},
        {"category_id": 5},
        {"bbox": [1, 2, 3]},
        {"bbox": [1, 2, -3, 4]},
        {"bbox": [1, 2, float("nan"), 4]},
        {"bbox": "1234"},
        {"segmentation": {"size": [4, 3], "counts": [12]}},
        {"segmentation": {"size": [3, 4], "counts": "2"}},
        {"segmentation": [[1, 2, 3, 4]]},
        {"segmentation": "abc"},
        {"segmentation": []},
        {"segmentation": 3},
        {"score": "high"},
        {"iscrowd": "no"},
    ],
)
def test_malformed_is_named(wrong: Any) -> None:
    good = {"id": 1, "category_id": 4, "bbox": [0, 0, 1, 1], "segmentation": [[0, 0, 2, 0, 2, 2]]}
    with pytest.raises(InputError, match=r"^annotation id 77.*;"):
        from_coco([good, {**good, "id": 77, **wrong}], (3, 4), CLASSES)


def test_neither_box_nor_segmentation() -> None:
    with pytest.raises(InputError, match=r"annotation 0: expected bbox"):
        from_coco([{"category_id": 4}], (3, 4), CLASSES)
    with pytest.raises(InputError, match=r"annotation 0: expected a dict"):
        from_coco(["x"], (3, 4))  # type: ignore[list-item]
