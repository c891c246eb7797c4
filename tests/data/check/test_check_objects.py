"""Faults of single objects, put into a sound dataset one at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.data.check import KINDS, check
from delineate.data.check.objects import check_objects
from delineate.data.records import Record

ABOUT_OBJECTS = {
    "invalid", "no-pixels", "box", "outside", "crossing", "hole-filled", "duplicate", "tiny", "area",
    "two-classes", "rectangle", "filled-in", "id-zero", "scattered",
}  # fmt: skip


def kinds(path: Path) -> dict[str, list[int | None]]:
    found: dict[str, list[int | None]] = {}
    for finding in check(path, workers=1).findings:
        if finding.kind in ABOUT_OBJECTS:
            found.setdefault(finding.kind, []).append(finding.annotation)
    return found


CASES: list[tuple[str, dict[str, Any], dict[str, list[int]]]] = [
    ("sound", {}, {}),
    ("box elsewhere", {"bbox": [90, 90, 20, 20]}, {"box": [2]}),
    ("box as corners", {"bbox": [60, 40, 80, 60]}, {"box": [2]}),
    ("box too wide", {"bbox": [60, 40, 32, 20]}, {"box": [2]}),
    ("box 2 px off", {"bbox": [58, 42, 22, 18]}, {}),
    ("no number", {"bbox": [60, float("nan"), 20, 20]}, {"invalid": [2]}),
    ("area of the image", {"area": 19200}, {"area": [2]}),
    ("area as it is", {"area": 301}, {}),
    ("out of the image", {"segmentation": [[60, 40, 80, 41, 78, 160, 63, 150]], "bbox": [60, 40, 20, 80]},
     {"outside": [2]}),
    ("a line", {"segmentation": [[60, 40, 70, 50, 80, 60]]}, {"no-pixels": [2]}),
    ("wholly outside", {"segmentation": [[260, 40, 280, 41, 278, 60]]}, {"no-pixels": [2]}),
    ("bow tie", {"segmentation": [[60, 40, 80, 60, 80, 40, 60, 60]]}, {"crossing": [2]}),
    ("a crossing of half a pixel",
     {"segmentation": [[60, 40, 80, 41, 78, 60, 63, 59.5, 64, 59, 63, 60]]}, {}),
    ("ring in a ring", {"segmentation": [[60, 40, 80, 40, 80, 60, 60, 60], [65, 45, 65, 55, 75, 50]]},
     {"hole-filled": [2], "rectangle": [2]}),
    ("two parts", {"segmentation": [[60, 40, 80, 41, 78, 60], [60, 50, 62, 52, 60, 60]]}, {}),
    ("a rectangle", {"segmentation": [[60, 40, 80, 40, 80, 60, 60, 60]]}, {"rectangle": [2]}),
    ("a speck", {"segmentation": [[60, 40, 62, 40, 62, 41, 60, 41]], "bbox": [60, 40, 2, 1]}, {"tiny": [2]}),
    ("twice", {"segmentation": [[10, 10, 30, 11, 28, 30, 13, 26]], "bbox": [10, 10, 20, 20]},
     {"duplicate": [2]}),
    ("under two classes",
     {"segmentation": [[10, 10, 30, 11, 28, 30, 13, 26]], "bbox": [10, 10, 20, 20], "category_id": 2},
     {"two-classes": [2]}),
    ("twice, as a crowd",
     {"segmentation": [[10, 10, 30, 11, 28, 30, 13, 26]], "bbox": [10, 10, 20, 20], "iscrowd": 1}, {}),
    ("no box", {"bbox": None}, {"filled-in": [2]}),
    ("id 0", {"id": 0}, {"id-zero": [0]}),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "expected"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_a_fault_is_found_and_nothing_else(
    coco: Callable[..., Path],
    row: Callable[..., dict[str, Any]],
    changes: dict[str, Any],
    expected: dict[str, list[int]],
) -> None:
    found = kinds(coco([row(area=285), row(60, 40, area=285) | changes], names=("cell", "speck")))
    found.pop("area", None) if "area" not in changes else None  # that of the changed outline
    assert found == expected


def test_every_kind_has_words() -> None:
    for kind in KINDS.values():
        assert kind.title and kind.mend and kind.severity in ("fault", "advice")


def instances(labels: np.ndarray) -> Instances:
    return Instances(labels.shape, masks=Masks.from_label_image(labels), classes=Labels(("cell",)))


@pytest.mark.parametrize(("second", "expected"), [((10, 10), []), ((30, 10), []), ((10, 180), ["scattered"])])
def test_an_id_that_stands_twice_far_apart(second: tuple[int, int], expected: list[str]) -> None:
    labels = np.zeros((60, 200), np.int64)
    labels[10:16, 10:17] = labels[second[0] : second[0] + 6, second[1] : second[1] + 7] = 1
    labels[12, 12] = 0  # no rectangle
    record = Record("a.png", Path("a.png"), 1, None, None)
    assert [found.kind for found in check_objects(record, instances(labels), [])] == expected


def test_no_objects() -> None:
    record = Record("a.png", Path("a.png"), 1, None, None)
    assert check_objects(record, Instances.empty((4, 4)), []) == []


def test_boxes_alone() -> None:
    record = Record("a.png", Path("a.png"), 1, None, None)
    boxes = [[1, 1, 9, 9], [1, 1, 9, 9.2], [5, 5, 40, 9]]
    truth = Instances((20, 20), boxes=np.array(boxes, np.float32), classes=Labels(("cell",)))
    found = check_objects(record, truth, [])
    assert [(one.kind, one.annotation) for one in found] == [("duplicate", 2), ("outside", 3)]
