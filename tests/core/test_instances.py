from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks

IMAGE = np.array([[1, 1, 0, 2], [1, 0, 3, 2], [0, 0, 3, 2]])


def some(**changes: Any) -> Instances:
    fields: dict[str, Any] = {
        "labels": [0, 1, 1],
        "scores": [0.5, 0.9, 0.1],
        "masks": Masks.from_label_image(IMAGE),
        "ids": [7, 8, 9],
        "crowd": [False, True, False],
        "classes": Labels(("cell", "debris"), (4, 2)),
    }
    return Instances((3, 4), **{**fields, **changes})


def test_defaults() -> None:
    one = Instances((3, 4), masks=Masks.from_label_image(IMAGE))
    assert one.boxes.tolist() == [[0, 0, 2, 2], [3, 0, 4, 3], [2, 1, 3, 3]]
    assert one.labels.tolist() == [0, 0, 0] and one.scores.tolist() == [1, 1, 1]
    assert one.boxes.dtype == np.float32 and one.labels.dtype == np.int64 and one.crowd.dtype == np.bool_
    assert one.area.tolist() == [3, 3, 2] and one.names == ["class 0"] * 3
    assert repr(one) == "Instances(3 on 3 x 4: 3 class 0)"
    assert Instances((3, 4), boxes=[[0, 0, 2, 3]]).area.tolist() == [6]
    assert some(areas=[1.5, 2, 3]).area.tolist() == [1.5, 2, 3]


@pytest.mark.parametrize(
    "index", [1, slice(1, None), np.array([True, False, True]), [2, 0], np.array([], dtype=int), -1]
)
def test_all_fields_are_indexed_together(index: Any) -> None:
    all_of, part = some(areas=[1.0, 2, 3]), some(areas=[1.0, 2, 3])[index]
    chosen = np.atleast_1d(np.arange(3)[index])
    for name in ("boxes", "labels", "scores", "ids", "crowd", "areas"):
        np.testing.assert_array_equal(getattr(part, name), getattr(all_of, name)[chosen])
    assert part.masks == all_of.masks[chosen] and part.classes == all_of.classes


def test_empty_and_concatenate() -> None:
    none = Instances.empty((3, 4), Labels(("cell", "debris"), (4, 2)))
    assert (
        len(none) == 0
        and none.to_coco() == []
        and none.to_polygons() == []
        and not none.to_label_image().any()
    )
    assert repr(none) == "Instances(0 on 3 x 4: none)"
    two = Instances.concatenate([some(), some()])
    assert len(two) == 6 and two.masks == Masks.concatenate([some().masks, some().masks])
    assert two.ids.tolist() == [7, 8, 9] * 2
    assert Instances.concatenate([none, some()]).ids is None
    assert Instances.concatenate([some(masks=None, boxes=some().boxes), some()]).masks is None


def test_frozen() -> None:
    one = some()
    with pytest.raises(AttributeError):
        one.size = (1, 1)  # type: ignore[misc]
    with pytest.raises(ValueError):
        one.boxes[0] = 0
    assert one.replace(scores=[1, 1, 1]).scores.tolist() == [1, 1, 1]
    assert one.scores.tolist() == pytest.approx([0.5, 0.9, 0.1])


def test_the_better_score_is_on_top() -> None:
    masks = Masks.from_dense(np.ones((3, 2, 2), dtype=bool))
    assert Instances((2, 2), masks=masks, scores=[0.2, 0.9, 0.4]).to_label_image().tolist() == [
        [2, 2],
        [2, 2],
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": [0, 1]},
        {"scores": [0.5, 0.5, 1.5]},
        {"scores": [0.5, 0.5, np.nan]},
        {"labels": [0, 1, 2]},
        {"labels": [0, 1, -1]},
        {"boxes": [[0, 0, 1, 1]]},
        {"boxes": [[2, 0, 1, 1]] * 3},
        {"boxes": [[0, 0, np.inf, 1]] * 3},
        {"masks": Masks.empty((3, 4)), "boxes": [[0, 0, 1, 1]] * 3},
        {"masks": Masks.from_label_image(IMAGE.T)},
    ],
)
def test_malformed(changes: Any) -> None:
    with pytest.raises(InputError, match=r"Instances: expected .*got "):
        some(**changes)


def test_what_needs_masks_or_parts() -> None:
    boxes = Instances((3, 4), boxes=[[0, 0, 1, 1]])
    with pytest.raises(InputError, match=r"expected masks, got boxes only"):
        boxes.to_polygons()
    with pytest.raises(InputError, match=r"at least one part"):
        Instances.concatenate([])
    with pytest.raises(InputError, match=r"one image"):
        Instances.concatenate([boxes, Instances.empty((4, 4))])
