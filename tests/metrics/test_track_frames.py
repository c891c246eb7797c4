"""What the tracking scores take in: ignore regions, boxes and masks, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.metrics.clear_mot import ClearMOT
from delineate.metrics.distractors import on_distractors
from delineate.metrics.hota import HOTA
from delineate.metrics.identity import Identity
from delineate.metrics.metric import MetricReport
from delineate.metrics.track_frames import TrackFrames
from delineate.metrics.track_overlap import box_iou

LABELS = Labels(("car", "person"))


def objects(
    boxes: list[list[int]], ids: list[int], crowd: list[bool] | None = None, masks: bool = True
) -> Instances:
    dense = np.zeros((len(boxes), 20, 20), bool)
    for mask, (x1, y1, x2, y2) in zip(dense, boxes, strict=True):
        mask[y1:y2, x1:x2] = True
    return Instances(
        (20, 20),
        boxes=np.array(boxes, float).reshape(-1, 4),
        masks=Masks.from_dense(dense) if masks else None,
        ids=ids,
        crowd=crowd,
        classes=LABELS,
    )


@pytest.mark.parametrize("kind", ["mask", "box"])
@pytest.mark.parametrize(
    ("stray", "judged"),
    [
        pytest.param([10, 10, 16, 16], False, id="inside"),
        pytest.param([8, 10, 14, 16], False, id="two thirds"),
        pytest.param([4, 10, 12, 16], True, id="a quarter"),
        pytest.param([6, 10, 14, 16], True, id="just half"),
    ],
)
def test_ignore_regions(kind: str, stray: list[int], judged: bool) -> None:
    truth = objects([[0, 0, 6, 6], [10, 10, 20, 20]], [1, 0], [False, True])
    metric = ClearMOT(kind)  # type: ignore[arg-type]
    metric.update(objects([[0, 0, 6, 6], stray], [5, 6]), truth, 0)
    assert metric.compute().total.fp == judged
    assert metric.compute().total.tp == 1


def test_a_match_inside_an_ignore_region_counts() -> None:
    truth = objects([[10, 10, 16, 16], [8, 8, 20, 20]], [1, 0], [False, True])
    metric = ClearMOT("box")
    metric.update(objects([[10, 10, 16, 16]], [5]), truth, 0)
    assert (metric.compute().total.tp, metric.compute().total.fp) == (1, 0)


def test_other_classes_do_not_match_but_are_ignored_alike() -> None:
    truth = objects([[0, 0, 6, 6], [10, 10, 20, 20]], [1, 0], [False, True])
    found = objects([[0, 0, 6, 6], [11, 11, 15, 15]], [5, 6]).replace(labels=[1, 1])
    metric = Identity("mask")
    metric.update(found, truth, 0)
    report = metric.compute()
    assert report.classes["car"].fn == report.classes["person"].fp == 1


@pytest.mark.parametrize("make", [HOTA, ClearMOT, Identity])
def test_no_frames_and_no_objects(make: type[HOTA]) -> None:
    metric = make()
    for number in range(2):
        report = metric.compute()
        assert isinstance(report, MetricReport)
        assert np.isnan(next(iter(report.scores.values())))
        assert next(iter(report.to_dict()["scores"].values())) is None
        assert report.tables[0].rows[0][0] == "all"
        metric.update(objects([], []), objects([], []), number)


def test_masks_and_boxes_differ() -> None:
    true, found = objects([[0, 0, 6, 6]], [1]), objects([[0, 0, 6, 6]], [1])
    half = found.masks.dense() & (np.arange(20) < 2)  # type: ignore[union-attr]
    found = found.replace(masks=Masks.from_dense(half))
    scores = {}
    for kind in ("mask", "box"):
        metric = HOTA(kind)  # type: ignore[arg-type]
        metric.update(found, true, 0)
        scores[kind] = metric.compute().scores["LocA(0)"]
    assert scores == {"mask": pytest.approx(1 / 3), "box": 1}


def test_refusals() -> None:
    one = objects([[0, 0, 6, 6]], [1])
    metric = HOTA()
    metric.update(one, one, 3, "a")
    for given, message in [
        ((one, one, 3, "a"), "sequence 'a', frame 3: expected every frame once"),
        ((one, one, -1, "a"), "expected a frame number >= 0"),
        ((one.replace(ids=None), one, 4, "a"), "expected ids of tracks in the prediction"),
        ((one, objects([[0, 0, 6, 6], [7, 7, 9, 9]], [1, 1]), 4, "a"), "got 1 2 times in the truth"),
        ((one, one.replace(classes=Labels(("x",))), 4, "a"), "expected one list of classes"),
        ((objects([[0, 0, 6, 6]], [1], masks=False), one, 4, "a"), "expected masks in the prediction"),
        ((Instances.empty((5, 5), LABELS), one, 4, "a"), "expected a prediction of the frame's size"),
        ((one, one, 4, "a", [[2.0]]), "expected similarities in 0..1 of shape"),
        ((one, one, 4, "a", [[0.5, 0.5]]), r"expected similarities in 0..1 of shape \(1, 1\)"),
    ]:
        with pytest.raises(InputError, match=message):
            metric.update(*given)  # type: ignore[arg-type]
    other = HOTA()
    other.update(one, one, 3, "a")
    with pytest.raises(InputError, match="got frame 3 of 'a' in both"):
        metric.merge(other)
    with pytest.raises(InputError, match="expected the same kind and classes"):
        metric.merge(HOTA("box"))
    with pytest.raises(InputError, match="expected kind 'mask' or 'box'"):
        HOTA("points")  # type: ignore[arg-type]


def test_scores_share_frames() -> None:
    frames = TrackFrames("box")
    for number, name in enumerate([1, 1, 2]):
        frames.update(objects([[0, 0, 6, 6]], [name]), objects([[0, 0, 6, 6]], [9]), number)
    clear, identity = ClearMOT("box"), Identity("box")
    for metric in (clear, identity):
        metric.merge(frames)
    assert clear.compute().total.switches == 1
    assert identity.compute().total.tp == 2


def test_distractors_and_box_iou_of_nothing() -> None:
    assert on_distractors(np.zeros((0, 2)), np.array([True, False])).tolist() == []
    assert on_distractors(np.zeros((2, 0)), np.zeros(0, bool)).tolist() == [False, False]
    assert on_distractors(np.array([[0.49]]), np.array([True])).tolist() == [False]
    assert box_iou(np.zeros((0, 4)), [[0, 0, 1, 1]]).shape == (0, 1)
