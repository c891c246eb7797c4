from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.engine.evaluate import evaluate
from delineate.engine.metric_registry import METRICS, PARTS, Entry, Part, chosen_parts, help_text, metric_of
from delineate.metrics.federation import Federation
from delineate.metrics.metric import MetricReport, ScoreTable
from delineate.metrics.panoptic_quality import PanopticQuality

GIVEN = {"classes": Labels(("cell",)), "max_dets": (1, 10, 100), "confidence": 0.5}
GIVEN |= {"detection_area": "mask", "dataset": Federation({1: "r"}, {}, {})}


class Sample:
    image, name, image_id = np.zeros((8, 8), np.uint8), "a.png", 3
    truth = Instances((8, 8), boxes=[[0, 0, 4, 4], [4, 4, 8, 8]], classes=Labels(("cell",)))


class Found:
    """A report as anyone may write it."""

    scores: Mapping[str, float] = {
        "share": 0.5,
        "undefined": float("nan"),
        **dict.fromkeys("abcdefghijk", 1.0),
    }
    protocol = "counted by hand"
    tables = (ScoreTable("By [red]hand", ("name", "number"), (("=x", 3), ("y", None)), "a caption"),)
    per_class: Mapping[str, Mapping[str, float]] = {"cell": {"share": 0.5}, "other": {"share": 0.25}}
    notes = ("read this",)

    def to_dict(self) -> dict[str, Any]:
        return {"share": 0.5}


class ByHand:
    """A metric as anyone may write it."""

    def __init__(self, classes: Labels) -> None:
        self.seen: list[tuple[int, int, int | None]] = []

    def update(self, pred: Instances, truth: Instances, image_id: int | None = None) -> None:
        self.seen.append((len(pred), len(truth), image_id))

    def merge(self, other: ByHand) -> None:
        self.seen += other.seen

    def compute(self) -> Found:
        assert self.seen == [(2, 2, 3)]
        return Found()


@pytest.mark.parametrize("name", PARTS)
def test_every_part_makes_a_metric_whose_report_has_the_common_face(name: str) -> None:
    metric = PARTS[name].make(GIVEN)
    assert {"update", "merge", "compute"} <= set(dir(metric))
    if isinstance(metric, PanopticQuality):
        return  # without an image it has no classes to report
    other = PARTS[name].make(GIVEN)
    metric.merge(other)
    report = metric.compute()
    assert isinstance(report, MetricReport)
    json.dumps([report.to_dict(), report.protocol], allow_nan=True)


def test_names_and_their_help() -> None:
    assert [part.name for part in chosen_parts(["cells", "coco"])] == ["mask", "box", "cells", "counting"]
    assert metric_of("counting") == "cells"
    assert all(name in help_text() for name in METRICS)
    with pytest.raises(InputError, match="expected some of"):
        chosen_parts(["coco", "ap"])


def test_a_new_metric_is_one_entry_and_every_output_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    part = Part("hand", "counting:ByHand", wants=("classes",), needs="boxes", takes="all")
    monkeypatch.setitem(METRICS, "hand", Entry("a count by hand", (part,)))
    monkeypatch.setitem(PARTS, "hand", part)
    monkeypatch.setattr("delineate.metrics.counting.ByHand", ByHand, raising=False)
    report = evaluate(lambda image: Sample.truth, [Sample()], metrics=["hand", "coco"])
    assert report.scores["hand/share"] == 0.5 and "box/AP" in report.scores
    assert report.protocol["hand"] == {"definition": "counted by hand", "taken": "all detections"}
    text = " ".join(str(report).split())
    for words in (
        "A count by hand, by class",
        "By [red]hand",
        "a caption",
        "Hand protocol: counted",
        "read this",
    ):
        assert words in text
    assert report.to_dict()["details"]["hand"] == {"share": 0.5}
    assert ",other,hand/share,0.25" in report.to_csv() and ",,hand/undefined,\n" in report.to_csv()
    assert report.total.hand is not None
    with pytest.raises(AttributeError, match="no 'foot'"):
        report.total.foot  # noqa: B018
