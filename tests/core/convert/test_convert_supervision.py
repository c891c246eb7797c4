from __future__ import annotations

import sys

import numpy as np
import pytest

from delineate.core.errors import InputError, MissingDependencyError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks

IMAGE = np.array([[1, 1, 0, 2], [1, 0, 3, 2], [0, 0, 3, 2]])


def some() -> Instances:
    return Instances(
        (3, 4),
        masks=Masks.from_label_image(IMAGE),
        labels=[0, 1, 1],
        scores=[0.5, 1, 0.25],
        ids=[7, 8, 9],
        classes=Labels(("cell", "debris")),
    )


def same(a: Instances, b: Instances) -> None:
    for name in ("boxes", "labels", "scores", "ids"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    assert a.masks == b.masks and a.names == b.names


def test_round_trip() -> None:
    pytest.importorskip("supervision")
    detections = some().to_supervision()
    assert detections.mask.dtype == bool and detections.mask.shape == (3, 3, 4)
    assert detections.data["class_name"].tolist() == ["cell", "debris", "debris"]
    same(Instances.from_supervision(detections, (3, 4)), some())
    same(Instances.from_supervision(detections[1:], (3, 4), some().classes), some()[1:])


def test_compact_masks() -> None:
    compact = pytest.importorskip("supervision.detection.compact_mask")
    detections = some().to_supervision()
    detections.mask = compact.CompactMask.from_dense(detections.mask, detections.xyxy, (3, 4))
    same(Instances.from_supervision(detections, (3, 4)), some())


def test_boxes_only_and_nothing() -> None:
    supervision = pytest.importorskip("supervision")
    boxes = Instances((3, 4), boxes=[[0, 0, 1, 2]])
    again = Instances.from_supervision(boxes.to_supervision(), (3, 4))
    assert again.masks is None and again.ids is None and again.boxes.tolist() == [[0, 0, 1, 2]]
    assert len(Instances.from_supervision(supervision.Detections.empty(), (3, 4))) == 0
    assert len(Instances.empty((3, 4)).to_supervision()) == 0
    assert len(Instances.from_supervision(Instances.empty((3, 4)).to_supervision(), (3, 4))) == 0


def test_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"expected supervision.Detections, got dict"):
        Instances.from_supervision({}, (3, 4))
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(MissingDependencyError, match=r"pip install supervision"):
        some().to_supervision()
