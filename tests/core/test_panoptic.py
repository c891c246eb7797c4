from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from delineate.core.errors import InputError
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.core.panoptic import Panoptic
from delineate.core.semantic import Semantic

CLASSES = Labels(("person", "car", "grass", "sky"), ids=(1, 3, 90, 200), things=(True, True, False, False))
MAP = np.array([[1, 1, 2, 0], [3, 3, 2, 4], [3, 3, 3, 4]])


def some(**changes: Any) -> Panoptic:
    fields: dict[str, Any] = {
        "map": MAP,
        "labels": [0, 0, 3, 1],
        "scores": [0.9, 0.8, 0.7, 1.0],
        "crowd": [False, True, False, False],
        "ids": [7, 70000, 256, 2**24 - 1],
        "classes": CLASSES,
    }
    return Panoptic(**{**fields, **changes})


def test_what_it_is() -> None:
    p = some()
    assert (len(p), p.size, p.void, p.area.tolist()) == (4, (3, 4), 1, [2, 2, 5, 2])
    assert p.things.tolist() == [True, True, False, True]
    assert p.names == ["person", "person", "sky", "car"]
    assert repr(p) == "Panoptic(4 on 3 x 4: 2 person, 1 sky, 1 car)"
    assert p == some() and p != some(scores=None) and p != 1
    with pytest.raises(ValueError, match="read-only"):
        p.map[0, 0] = 0


def test_nothing_at_all() -> None:
    p = Panoptic(np.zeros((2, 3), np.uint8), labels=[])
    assert (
        len(p) == 0 and p.void == 6 and len(p.to_instances()) == 0 and repr(p) == "Panoptic(0 on 2 x 3: void)"
    )
    assert p.to_semantic().void == 6
    picture, rows = p.to_coco()
    assert not picture.any() and rows == []
    assert Panoptic.from_coco(picture, rows, p.classes) == p


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"map": MAP.astype(float)}, "segment numbers as integers"),
        ({"map": np.zeros((0, 3), int)}, "segment numbers as integers"),
        ({"map": MAP - 1}, "got -1..3"),
        ({"map": MAP + 1}, "got 1..5"),
        ({"map": np.minimum(MAP, 3)}, "got none for segment 16777215"),
        ({"labels": [0, 0, 3, 4]}, "labels in 0..3"),
        ({"labels": [0, 0, 3]}, "expected 3 scores"),
        ({"scores": [0, 0, 0, 1.5]}, "scores in 0..1"),
        ({"scores": [0, 0, 0, np.nan]}, "scores in 0..1"),
        ({"ids": [1, 1, 2, 3]}, "distinct ids"),
        ({"ids": [0, 1, 2, 3]}, "distinct ids"),
        ({"ids": [1, 2, 3, 2**24]}, "distinct ids"),
    ],
)
def test_refuses(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        some(**changes)


def test_things_become_instances() -> None:
    found = some().to_instances()
    assert found.labels.tolist() == [0, 0, 1] and found.crowd.tolist() == [False, True, False]
    assert found.ids is not None and found.ids.tolist() == [7, 70000, 2**24 - 1]
    assert found.masks == Masks.from_dense([MAP == 1, MAP == 2, MAP == 4])
    assert found.classes == CLASSES


def test_classes_of_pixels() -> None:
    expected = [[0, 0, 0, -1], [3, 3, 0, 1], [3, 3, 3, 1]]
    found = some().to_semantic()
    assert found == Semantic(np.array(expected), CLASSES)
    assert found.to_ids().tolist() == [[1, 1, 1, 255], [200, 200, 1, 3], [200, 200, 200, 3]]


def test_cocos_colours_and_rows() -> None:
    picture, rows = some().to_coco()
    assert picture[0, 0].tolist() == [7, 0, 0] and picture[0, 3].tolist() == [0, 0, 0]
    assert picture[0, 2].tolist() == [70000 % 256, 70000 // 256 % 256, 1]
    assert picture[2, 3].tolist() == [255, 255, 255]
    assert rows[2] == {
        "id": 256, "category_id": 200, "area": 5, "bbox": [0, 1, 3, 2], "iscrowd": 0, "score": 0.7,
    }  # fmt: skip
    assert Panoptic.from_coco(picture, rows, CLASSES) == some()
    assert "score" not in some(scores=None).to_coco()[1][0]


def test_pictures_that_are_none() -> None:
    picture, rows = some().to_coco()
    with pytest.raises(InputError, match=r"ids of 3 segments or 0, got 7;"):
        Panoptic.from_coco(picture, rows[1:], CLASSES)
    with pytest.raises(InputError, match="none for segment 9"):
        Panoptic.from_coco(picture, [*rows, {"id": 9, "category_id": 1}], CLASSES)
    with pytest.raises(InputError, match="class id 2"):
        Panoptic.from_coco(picture, [{**r, "category_id": 2} for r in rows], CLASSES)
    with pytest.raises(InputError, match="RGB of 8 bits"):
        Panoptic.from_coco(picture[..., 0], rows, CLASSES)


@given(
    hnp.arrays(np.int64, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 5)),
    st.data(),
)
@settings(max_examples=50, deadline=None)
def test_coco_and_back(image: np.ndarray, data: st.DataObject) -> None:
    values, numbered = np.unique(np.concatenate([[0], image.ravel()]), return_inverse=True)
    count = len(values) - 1
    labels = data.draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
    ids = data.draw(st.lists(st.integers(1, 2**24 - 1), min_size=count, max_size=count, unique=True))
    p = Panoptic(numbered[1:].reshape(image.shape), labels=labels, ids=ids, classes=CLASSES)
    assert Panoptic.from_coco(*p.to_coco(), CLASSES) == p
    assert p.area.sum() + p.void == image.size
    things = p.to_instances()
    assert things.area.tolist() == p.area[p.things].tolist()
