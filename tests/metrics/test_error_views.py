"""Confusion, thresholds, calibration and likely label errors, against others' code and by hand."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.metrics.calibration import Calibration
from delineate.metrics.confusion import Confusion
from delineate.metrics.error_kinds import ErrorKinds
from delineate.metrics.intervals import Intervals
from delineate.metrics.label_errors import LabelErrors
from delineate.metrics.metric import MetricReport, protocol_of, tables_of
from delineate.metrics.thresholds import Thresholds

from .detection_cases import CLASSES, hotcoco_of, images, rectangles

EVERY: list[Any] = [Confusion, Thresholds, Calibration, LabelErrors, ErrorKinds]


def fed(metric: Any, pairs: list[tuple[Instances, Instances]]) -> Any:
    for k, (pred, truth) in enumerate(pairs, 1):
        metric.update(pred, truth, k)
    return metric.compute()


@pytest.mark.parametrize("make", EVERY)
@pytest.mark.parametrize("kind", ["mask", "box"])
def test_shards_give_the_same_and_empty_gives_a_report(make: Any, kind: str) -> None:
    pairs = images(11, crowd=True)
    whole = fed(make(kind, CLASSES), pairs)
    shards = [make(kind, CLASSES) for _ in range(2)]
    for k in np.random.default_rng(1).permutation(len(pairs)).tolist():
        shards[k % 2].update(*pairs[k], k + 1)
    shards[1].merge(shards[0])
    assert shards[1].compute().to_dict() == whole.to_dict()
    with pytest.raises(InputError, match="both"):
        shards[1].merge(shards[0])
    for report in (
        whole,
        make(kind, CLASSES).compute(),
        fed(make(kind, CLASSES), [(i[0], i[1][:0]) for i in pairs]),
    ):
        assert isinstance(report, MetricReport)
        json.dumps([report.to_dict(), protocol_of(report)], allow_nan=False)
        for table in tables_of(report):
            assert all(len(row) == len(table.columns) for row in table.rows)
    with pytest.raises(InputError, match="twice"):
        shards[0].update(*pairs[0])
        shards[0].update(*pairs[0], 1)
        shards[0].update(*pairs[0], 1)
    with pytest.raises(InputError, match="size"):
        shards[0].update(Instances.empty((3, 3), CLASSES), pairs[0][1], 77)


@pytest.mark.parametrize("seed", range(6))
def test_confusion_counts_every_object_and_every_prediction_once(seed: int) -> None:
    pairs = images(seed)
    matrix = fed(Confusion("box", CLASSES), pairs).matrix
    objects = np.bincount(np.concatenate([t.labels for _, t in pairs]), minlength=3)
    predictions = np.bincount(np.concatenate([p.labels for p, _ in pairs]), minlength=3)
    assert matrix[:-1].sum(axis=1).tolist() == objects.tolist()
    assert matrix[:, :-1].sum(axis=0).tolist() == predictions.tolist()
    theirs = hotcoco_of(pairs, "box").confusion_matrix(iou_thr=0.5)["matrix"]
    assert np.trace(matrix[:3, :3]) >= np.trace(theirs[:3, :3])  # own class first


@pytest.mark.parametrize("kind", ["mask", "box"])
def test_confusion_equals_hotcoco_where_no_two_predictions_want_one_object(kind: str) -> None:
    pairs = []
    for pred, truth in images(4):
        wide = truth[np.argsort(truth.boxes[:, 0], kind="stable")[::3]]
        labels = (wide.labels + np.arange(len(wide)) % 2) % 3
        pairs.append((wide.replace(labels=labels, scores=np.linspace(0.5, 1, len(wide))), wide))
        assert len(pred) >= 0
    ours = fed(Confusion(kind, CLASSES), pairs)  # type: ignore[arg-type]
    theirs = hotcoco_of(pairs, "mask" if kind == "mask" else "box").confusion_matrix(iou_thr=0.5)["matrix"]
    assert ours.matrix.tolist() == theirs.astype(int).tolist()
    assert sum(n for *_, n in ours.mistakes) == ours.matrix[:3, :3].sum() - np.trace(ours.matrix[:3, :3])


def test_many_classes_show_what_is_confused_most() -> None:
    many = Labels(tuple(f"class {k}" for k in range(12)))
    truth = Instances((9, 9), boxes=[[0, 0, 4, 4], [5, 5, 9, 9]], labels=[3, 7], classes=many)
    report = fed(Confusion("box", many), [(truth.replace(labels=[7, 7]), truth)])
    assert report.mistakes == (("class 3", "class 7", 1),)
    assert report.to_dict()["classes"] == ["class 3", "class 7", "background"]
    assert report.scores == {"found": 0.5, "mistaken": 0.5, "lost": 0, "spurious": 0}


@pytest.mark.parametrize("seed", range(4))
def test_calibration_equals_hotcoco(seed: int) -> None:
    pairs = images(seed + 20)
    theirs = hotcoco_of(pairs, "box").calibration(n_bins=10, iou_threshold=0.5)
    ours = fed(Calibration("box", CLASSES), pairs)
    assert ours.error == pytest.approx(theirs["ece"], abs=1e-6)
    assert ours.largest == pytest.approx(theirs["mce"], abs=1e-6)
    assert [b.detections for b in ours.bins] == [b["count"] for b in theirs["bins"]]
    assert ours.by_class == pytest.approx(theirs["per_category"], abs=1e-6)


def test_thresholds_are_the_counts_of_the_detections_left() -> None:
    pairs = images(31, count=2)
    report = fed(Thresholds("box", CLASSES), pairs)
    for cut in report.grid:
        confusion = fed(
            ErrorKinds("box", CLASSES), [(p[p.scores >= np.float32(cut.confidence)], t) for p, t in pairs]
        )
        wrong = sum(
            confusion.counts[name] for name in ("location", "class", "duplicate", "background", "both")
        )
        assert cut.predicted - cut.matched == wrong
        assert cut.predicted == sum(int((p.scores >= np.float32(cut.confidence)).sum()) for p, _ in pairs)
    scores = np.unique(np.concatenate([p.scores for p, _ in pairs]))
    assert report.best.confidence in scores.tolist()
    assert report.best.f1 == max(2 * m / (d + report.best.objects) for m, d in _cuts(pairs, scores))
    assert set(report.by_class) <= set(CLASSES.names) and report.curves["all"].shape[1] == 3


def _cuts(pairs: list[tuple[Instances, Instances]], scores: np.ndarray) -> list[tuple[int, int]]:
    found = []
    for floor in scores:
        kept = [(p[p.scores >= floor], t) for p, t in pairs]
        counts = fed(ErrorKinds("box", CLASSES), kept).counts
        wrong = sum(n for name, n in counts.items() if name != "missed")
        predicted = sum(len(p) for p, _ in kept)
        found.append((predicted - wrong, predicted))
    return found


def test_precision_and_recall_equal_scikit_learn() -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    boxes = np.array([[k * 10, 0, k * 10 + 8, 8] for k in range(9)])
    truth = Instances((90, 90), boxes=boxes, masks=rectangles(boxes), classes=CLASSES)
    scores = np.array([0.9, 0.8, 0.8, 0.7, 0.4, 0.3, 0.2, 0.2, 0.1])
    right = np.array([1, 1, 0, 1, 0, 1, 0, 1, 1], bool)
    moved = boxes + np.where(right, 0, 40)[:, None] * np.array([0, 1, 0, 1])
    found = Instances((90, 90), boxes=moved, scores=scores, masks=rectangles(moved), classes=CLASSES)
    curve = fed(Thresholds("mask", CLASSES), [(found, truth)]).curves["a"]
    precision, _, thresholds = sklearn.precision_recall_curve(right, scores)
    assert curve[::-1, 0].tolist() == pytest.approx(thresholds.tolist())
    assert curve[::-1, 2].tolist() == pytest.approx(precision[:-1].tolist())


def test_label_errors_are_the_plain_disagreements() -> None:
    boxes = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10], [60, 60, 70, 70]])
    truth = Instances((90, 90), boxes=boxes, labels=[0, 1, 2, 0], masks=rectangles(boxes), classes=CLASSES)
    moved = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [43, 0, 55, 10], [0, 40, 10, 50], [0, 60, 10, 70]])
    found = Instances(
        (90, 90),
        boxes=moved,
        labels=[0, 0, 2, 1, 1],
        scores=[0.9, 0.95, 0.85, 0.99, 0.3],
        masks=rectangles(moved),
        classes=CLASSES,
    )
    report = fed(LabelErrors("mask", CLASSES), [(found, truth)])
    told = [(s.kind, s.label, s.instead) for s in report.suspicions]
    assert told == [
        ("overlooked", "b", None),
        ("swapped", "a", "b"),
        ("badly located", "c", "c"),
        ("not there", "a", None),
    ]
    assert report.suspicions[0].outline.masks is not None and report.suspicions[0].image_id == 1
    crowd = truth.replace(crowd=[False, True, True, True])
    assert {s.kind for s in fed(LabelErrors("mask", CLASSES), [(found, crowd)]).suspicions} == {"overlooked"}
    assert fed(LabelErrors("mask", CLASSES), [(found[:0], truth)]).suspicions == ()
    with pytest.raises(InputError, match=r"0\.8"):
        LabelErrors("mask", CLASSES, confidence=2)


@pytest.mark.parametrize("kind", ["mask", "box"])
def test_a_piece_of_an_object_is_not_overlooked_and_one_under_a_merger_is_there(kind: str) -> None:
    boxes = np.array([[0, 0, 40, 40], [60, 60, 75, 75]])
    truth = Instances((90, 90), boxes=boxes, masks=rectangles(boxes), classes=CLASSES)
    moved = np.array([[5, 5, 12, 12], [42, 42, 90, 90]])
    found = Instances((90, 90), boxes=moved, scores=[0.9, 0.85], masks=rectangles(moved), classes=CLASSES)
    told = [s.kind for s in fed(LabelErrors(kind, CLASSES), [(found, truth)]).suspicions]  # type: ignore[arg-type]
    assert told == ["overlooked", "not there"]  # the merger and the object that only a piece lies in
    assert fed(LabelErrors(kind, CLASSES), [(found[1:], truth[1:])]).counts["not there"] == 0  # type: ignore[arg-type]


def test_a_truth_without_masks_is_refused_where_masks_are_asked_for() -> None:
    pred, truth = images(2)[0]
    for make in EVERY:
        with pytest.raises(InputError, match="boxes only"):
            make("mask", CLASSES).update(pred.replace(masks=None), truth)
    Intervals(CLASSES).update(pred.replace(masks=None), truth)
