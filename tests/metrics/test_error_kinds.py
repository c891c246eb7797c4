from __future__ import annotations

import json
import math

import numpy as np
import pytest

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.metrics.average_precision import AveragePrecision
from delineate.metrics.error_kinds import ErrorKinds
from delineate.metrics.error_report import ERRORS, ErrorReport

from .detection_cases import CLASSES, hotcoco_of, images

THEIRS = {
    "Cls": "class", "Loc": "location", "Both": "both", "Dupe": "duplicate", "Bkg": "background",
    "Miss": "missed", "FP": "all false positives", "FN": "all false negatives",
}  # fmt: skip


def report_of(pairs: list[tuple[Instances, Instances]], kind: str = "box") -> ErrorReport:
    metric = ErrorKinds(kind, CLASSES)  # type: ignore[arg-type]
    for k, (pred, truth) in enumerate(pairs, 1):
        metric.update(pred, truth, k)
    return metric.compute()


@pytest.mark.parametrize("kind", ["box", "mask"])
@pytest.mark.parametrize("seed", range(8))
def test_costs_and_counts_equal_hotcoco(seed: int, kind: str) -> None:
    pairs = images(seed)
    ours, theirs = report_of(pairs, kind), hotcoco_of(pairs, kind).tide_errors()
    assert ours.ap50 == pytest.approx(theirs["ap_base"], abs=1e-12)
    for name, here in THEIRS.items():
        assert ours.costs[here] == pytest.approx(theirs["delta_ap"][name], abs=1e-12)
    assert {name: ours.counts[THEIRS[name]] for name in theirs["counts"]} == theirs["counts"]


@pytest.mark.parametrize("crowd", [False, True])
def test_the_base_is_coco_ap50(crowd: bool) -> None:
    pairs = images(3, crowd=crowd)
    metric = AveragePrecision("box", CLASSES)
    for k, (pred, truth) in enumerate(pairs, 1):
        metric.update(pred, truth, k)
    assert report_of(pairs).ap50 == pytest.approx(metric.compute()["AP50"], abs=1e-12)


OBJECT = [10, 10, 20, 20]


@pytest.mark.parametrize(
    ("box", "label", "kind"),
    [
        ([10, 10, 20, 20], 0, None),
        ([10, 10, 20, 20], 1, "class"),
        ([10, 10, 20, 13], 0, "location"),
        ([10, 10, 20, 13], 1, "both"),
        ([40, 40, 50, 50], 0, "background"),
        ([10, 10, 20, 11], 0, "location"),  # IoU 0.1 is location for its own class,
        ([10, 10, 20, 11], 1, "background"),  # and background for another
    ],
)
def test_one_detection_of_one_object(box: list[int], label: int, kind: str | None) -> None:
    truth = Instances((90, 90), boxes=[OBJECT], labels=[0], classes=CLASSES)
    found = report_of([(Instances((90, 90), boxes=[box], labels=[label], classes=CLASSES), truth)])
    missed = kind in ("both", "background")
    assert {name for name in ERRORS if found.counts[name]} == {kind, "missed" if missed else kind} - {None}
    assert found.costs[kind or "missed"] == (1 if kind in ("location", "class") else 0)


def test_the_second_of_an_object_is_a_duplicate_and_crowds_make_no_error() -> None:
    truth = Instances((90, 90), boxes=[OBJECT, [40, 40, 80, 80]], crowd=[False, True], classes=CLASSES)
    boxes = [OBJECT, [10, 10, 20, 19], [50, 50, 60, 60]]
    found = report_of([(Instances((90, 90), boxes=boxes, scores=[0.9, 0.8, 0.7], classes=CLASSES), truth)])
    assert [found.counts[name] for name in ERRORS] == [0, 0, 1, 0, 0, 0]
    assert found.ap50 == pytest.approx(1)


def test_what_lies_beyond_max_det_is_told() -> None:
    pairs = images(6)
    metric = ErrorKinds("box", CLASSES, max_dets=(1, 2))
    for k, (pred, truth) in enumerate(pairs, 1):
        metric.update(pred, truth, k)
    found = metric.compute()
    kept = [np.minimum(np.bincount(p.labels, minlength=3), 2).sum() for p, _ in pairs]
    assert found.beyond == sum(len(p) for p, _ in pairs) - sum(kept) > 0
    assert "beyond max_det=2" in found.notes[0] and report_of(pairs).notes == ()


def test_nothing_at_all_and_shards() -> None:
    nothing = ErrorKinds("mask", CLASSES).compute()
    assert math.isnan(nothing.ap50) and set(nothing.counts.values()) == {0} and nothing.per_class == {}
    json.dumps(nothing.to_dict(), allow_nan=False)
    pairs = images(5)
    shards = [ErrorKinds("mask", CLASSES) for _ in range(3)]
    for k in np.random.default_rng(0).permutation(len(pairs)).tolist():
        shards[k % 3].update(*pairs[k], k + 1)
    shards[0].merge(shards[1])
    shards[0].merge(shards[2])
    assert shards[0].compute() == report_of(pairs, "mask")
    with pytest.raises(InputError, match="image 1 twice"):
        shards[0].update(*pairs[0], 1)
    with pytest.raises(InputError, match="settings"):
        shards[0].merge(ErrorKinds("box", CLASSES))
    with pytest.raises(InputError, match="boxes only"):
        shards[0].update(pairs[0][1].replace(masks=None), pairs[0][1], 99)
