from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mean_average_precision import MetricBuilder

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.metrics.voc_ap import RECALLS, VocAveragePrecision

TWO = Labels(("cat", "dog"))
Pair = tuple[Instances, Instances]


def overlap(found: Instances, d: int, true: Instances, t: int, kind: str, one: float) -> float:
    if kind == "mask":
        assert found.masks is not None
        assert true.masks is not None
        a, b = found.masks.dense()[d], true.masks.dense()[t]
        return float((a & b).sum() / (a | b).sum()) if (a & b).any() else -math.inf
    bb, gt = found.boxes[d].astype(float).tolist(), true.boxes[t].astype(float).tolist()
    iw = min(bb[2], gt[2]) - max(bb[0], gt[0]) + one
    ih = min(bb[3], gt[3]) - max(bb[1], gt[1]) + one
    if not (iw > 0 and ih > 0):
        return -math.inf
    ua = (bb[2] - bb[0] + one) * (bb[3] - bb[1] + one)
    ua = ua + (gt[2] - gt[0] + one) * (gt[3] - gt[1] + one) - iw * ih
    return iw * ih / ua


def devkit(
    images: list[Pair], label: int, kind: str, minimum: float, python: bool = False, one: float = 0.0
) -> tuple[float, float]:
    """VOCevaldet, VOCap and the 11 points of 2007, detection by detection (``python``: as its ports do)."""
    found = [(i, d) for i, (p, _) in enumerate(images) for d in np.flatnonzero(p.labels == label)]
    confidence = np.array([images[i][0].scores[d] for i, d in found])
    truths = sum(int(((t.labels == label) & ~t.crowd).sum()) for _, t in images)
    taken: set[tuple[int, int]] = set()
    tp, fp = np.zeros(len(found)), np.zeros(len(found))
    for rank, at in enumerate(np.argsort(-confidence, kind="stable")):
        i, d = found[at]
        true = images[i][1]
        most, which = -math.inf, -1
        for t in np.flatnonzero(true.labels == label).tolist():
            iou = overlap(images[i][0], d, true, t, kind, one)
            if iou > most:
                most, which = iou, t
        if most > minimum or (most == minimum and not python):
            if not true.crowd[which]:
                (fp if (i, which) in taken else tp)[rank] = 1
                taken.add((i, which))
        else:
            fp[rank] = 1
    fp, tp = np.cumsum(fp), np.cumsum(tp)
    with np.errstate(invalid="ignore"):
        recall, precision = tp / truths, np.nan_to_num(tp / (fp + tp))
    mrec, mpre = np.concatenate(([0], recall, [1])), np.concatenate(([0], precision, [0]))
    for k in range(len(mpre) - 2, -1, -1):
        mpre[k] = max(mpre[k], mpre[k + 1])
    at = np.flatnonzero(mrec[1:] != mrec[:-1]) + 1
    eleven = 0.0
    matlab = [0, 0.1, 0.2, 0.1 * 3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]
    for t in np.arange(0.0, 1.1, 0.1) if python else matlab:
        reached = precision[recall >= t]
        eleven += (reached.max() if len(reached) else 0) / 11
    return float(np.sum((mrec[at] - mrec[at - 1]) * mpre[at])), eleven


@st.composite
def cases(draw: st.DrawFn, kind: str) -> list[Pair]:
    """A few images with duplicates, equal scores, holes, single pixels, empty masks and difficult objects."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    images = []
    for _ in range(rng.integers(1, 5)):
        size = (int(rng.integers(2, 14)), int(rng.integers(2, 14)))
        pair = []
        kept: list[np.ndarray] = []
        for side in ("truth", "found"):
            masks = np.zeros((rng.integers(0, 6), *size), bool)
            for m in masks:
                y, x = rng.integers(0, size[0]), rng.integers(0, size[1])
                m[y : y + rng.integers(0, 9), x : x + rng.integers(0, 9)] = True
                m[y + 1 : y + 2, x + 1 : x + 2] &= bool(rng.random() < 0.8)  # a hole
            if side == "found" and kept:
                for m in masks:
                    if rng.random() < 0.6:
                        m[:] = kept[rng.integers(len(kept))] & (rng.random(size) < rng.choice([0.6, 1.0]))
            kept += list(masks)
            n = len(masks)
            runs = Masks.from_dense(masks)
            pair.append(
                Instances(
                    size,
                    masks=runs if kind == "mask" else None,
                    boxes=runs.boxes,
                    labels=rng.integers(0, 2, n),
                    scores=rng.choice([0.25, 0.5, 0.5, 0.75], n),
                    crowd=rng.random(n) < 0.25,
                    classes=TWO,
                )
            )
        images.append((pair[1], pair[0]))
    return images


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["box", "mask"]).flatmap(lambda kind: st.tuples(st.just(kind), cases(kind))),
    st.booleans(),
    st.booleans(),
    st.integers(0, 15),
)
def test_random_cases_equal_the_devkit(
    case: tuple[str, list[Pair]], python: bool, inclusive: bool, cut: int
) -> None:
    kind, images = case
    chosen: dict[str, Any] = {
        "thresholds": (0.3, 0.5, 1.0),
        "rules": "python" if python else "devkit",
        "pixels": "inclusive" if inclusive else "corners",
    }
    whole = VocAveragePrecision(kind, TWO, **chosen)  # type: ignore[arg-type]
    shards = [VocAveragePrecision(kind, TWO, **chosen) for _ in range(2)]  # type: ignore[arg-type]
    for k, pair in enumerate(images):
        whole.update(*pair, k)
        shards[cut >> k & 1].update(*pair, k)
    report = whole.compute()
    for label, name in enumerate(TWO.names):
        row = report.per_class[name]
        for threshold in chosen["thresholds"]:
            key = f"AP{100 * threshold:g}"
            if row["truths"]:
                expected = devkit(images, label, kind, threshold, python, float(inclusive))
                assert (row[key], row[f"{key}_2007"]) == expected
            else:
                assert math.isnan(row[key])
    shards[1].merge(shards[0])
    assert json.dumps(shards[1].compute().to_dict()) == json.dumps(report.to_dict())


@settings(max_examples=20, deadline=None)
@given(cases("box"))
def test_boxes_equal_a_python_port(images: list[Pair]) -> None:
    """Another package's own run; it knows no ties, and counts difficult objects as truth."""
    port = MetricBuilder.build_evaluation_metric("map_2d", async_mode=False, num_classes=2)
    metric = VocAveragePrecision("box", TWO, rules="python", pixels="inclusive")
    for rank, (found, true) in enumerate(images):
        found = found.replace(scores=(np.arange(len(found)) * 37 % 41 + 41 * rank) / 1024)
        true = true.replace(crowd=np.zeros(len(true), bool))
        metric.update(found, true)
        predicted = np.column_stack([found.boxes, found.labels, found.scores])
        port.add(predicted, np.column_stack([true.boxes, true.labels, true.crowd, true.crowd]))
    report = metric.compute()
    for recalls, key in ((None, "AP50"), (np.arange(0.0, 1.1, 0.1), "AP50_2007")):
        expected = port.value(iou_thresholds=0.5, recall_thresholds=recalls)[0.5]
        for label, name in enumerate(TWO.names):
            row = report.per_class[name]
            if row["truths"]:
                assert row[key] == pytest.approx(float(expected[label]["ap"]), rel=1e-6, abs=1e-9)


BOX = [[0.0, 0, 4, 4]]


@pytest.mark.parametrize(
    ("found", "true", "ap", "eleven"),
    [
        ([], [], math.nan, math.nan),
        (BOX, [], math.nan, math.nan),
        ([], BOX, 0.0, 0.0),
        (BOX, BOX, 1.0, 1.0),
        ([[0, 0, 4, 2.0]], BOX, 1.0, 1.0),  # IoU 0.5 is enough in the devkit
        ([[0, 0, 4, 1.9]], BOX, 0.0, 0.0),
        (BOX, [*BOX, [4, 4, 8, 8]], 0.5, 6 / 11),
        ([*BOX, *BOX], BOX, 1.0, 1.0),  # the double comes after full recall
    ],
    ids=["nothing", "only found", "only true", "perfect", "half", "less", "one of two", "double"],
)
def test_table(found: Any, true: Any, ap: float, eleven: float) -> None:
    make = [Instances((8, 8), boxes=np.reshape(b, (-1, 4)), classes=TWO) for b in (found, true)]
    metric = VocAveragePrecision("box", TWO)
    metric.update(*make)
    report = metric.compute()
    assert report["AP50"] == pytest.approx(ap, nan_ok=True)
    assert report["AP50_2007"] == pytest.approx(eleven, nan_ok=True)
    json.dumps([report.to_dict(), report.protocol], allow_nan=False)


def test_no_images() -> None:
    report = VocAveragePrecision("mask", TWO, thresholds=(0.5, 0.7)).compute()
    assert list(report.scores) == ["AP50", "AP50_2007", "AP70", "AP70_2007"]
    assert all(math.isnan(v) for v in report.scores.values())


def test_equal_by_one_rule_only() -> None:
    half = Instances((8, 8), boxes=[[0, 0, 4, 2]], classes=TWO)
    true = half.replace(boxes=np.array([[0, 0, 4, 4]], np.float32))
    scores = {}
    for rules in ("devkit", "python"):
        metric = VocAveragePrecision("box", TWO, rules=rules)  # type: ignore[arg-type]
        metric.update(half, true)
        report = metric.compute()
        scores[rules] = report["AP50"], report.protocol["match"][:6]
    assert scores == {"devkit": (1.0, "IoU >="), "python": (0.0, "IoU > ")}
    assert RECALLS["devkit"][6] == 0.6 < RECALLS["python"][6]


def test_difficult_objects_are_no_truth_and_no_false_positive() -> None:
    true = Instances((8, 8), boxes=[*BOX, [4, 4, 8, 8]], crowd=[False, True], classes=TWO)
    metric = VocAveragePrecision("box", TWO)
    metric.update(true.replace(crowd=[False, False], scores=[0.5, 0.9]), true)
    report = metric.compute()
    assert (report["AP50"], report.per_class["cat"]["difficult"]) == (1.0, 1)


def test_errors_say_what_to_do() -> None:
    one = Instances((8, 8), boxes=BOX, classes=TWO)
    metric = VocAveragePrecision("box", TWO)
    metric.update(one, one, 5)
    with pytest.raises(InputError, match="every image once"):
        metric.update(one, one, 5)
    with pytest.raises(InputError, match="image's size"):
        metric.update(Instances.empty((4, 4)), one)
    with pytest.raises(InputError, match="expected masks in the prediction"):
        VocAveragePrecision("mask", TWO).update(one, one)
    with pytest.raises(InputError, match="map its classes"):
        VocAveragePrecision("box", Labels(("a",))).update(one.replace(labels=[1]), one)
    other = VocAveragePrecision("box", TWO)
    other.update(one, one, 5)
    with pytest.raises(InputError, match="image 5 in both"):
        metric.merge(other)
    with pytest.raises(InputError, match="settings"):
        metric.merge(VocAveragePrecision("box", TWO, rules="python"))
    with pytest.raises(InputError, match="pixels"):
        VocAveragePrecision("box", TWO, pixels="none")  # type: ignore[arg-type]
    for bad in ((), (0.0,), (0.5, 0.5), (1.5,)):
        with pytest.raises(InputError, match="thresholds"):
            VocAveragePrecision("box", TWO, thresholds=bad)
