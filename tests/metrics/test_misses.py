import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.metrics.misses import FATES, MissedDetections

CLASSES = Labels(("car", "person"))
SIZE = (60, 100)


def masks(*corners, labels=None, crowd=None):
    """Rectangles (x1, y1, x2, y2) as masks."""
    dense = np.zeros((len(corners), *SIZE), bool)
    for k, (x1, y1, x2, y2) in enumerate(corners):
        dense[k, y1:y2, x1:x2] = True
    return Instances(
        SIZE, masks=Masks.from_dense(dense) if corners else Masks.empty(SIZE),
        labels=np.zeros(len(corners), int) if labels is None else labels, crowd=crowd,
        ids=np.arange(len(corners)) + 1, classes=CLASSES,
    )  # fmt: skip


ONE, TWO, FAR = (0, 0, 10, 20), (10, 0, 20, 20), (60, 10, 80, 50)


@pytest.mark.parametrize("kind", ["mask", "box"])
@pytest.mark.parametrize(
    ("pred", "truth", "fates", "alarms"),
    [
        (masks(ONE, TWO), masks(ONE, TWO), ["found", "found"], 0),
        (masks(), masks(ONE), ["missed"], 0),
        (masks(ONE), masks(), [], 1),
        (masks(), masks(), [], 0),
        (masks(ONE, labels=[1]), masks(ONE), ["wrong class"], 0),
        (masks((0, 0, 20, 20)), masks(ONE, TWO), ["found", "shared"], 0),  # IoU 0.5 with both: one has it
        (masks((0, 0, 22, 22)), masks(ONE, TWO), ["shared", "shared"], 1),
        (masks((0, 0, 10, 8)), masks(ONE), ["inexact"], 1),
        (masks(FAR, FAR), masks(FAR), ["found"], 1),
        (masks(ONE), masks(ONE, FAR), ["found", "missed"], 0),
    ],
)
def test_fates_by_hand(kind, pred, truth, fates, alarms):
    metric = MissedDetections(kind)
    metric.update(pred, truth, 0)
    report = metric.compute()
    assert sorted(report.rows["fate"]) == sorted(fates)
    assert report.false_alarms == alarms
    assert str(report)


def test_ignore_regions_are_not_judged():
    metric = MissedDetections()
    metric.update(masks(ONE, (61, 11, 79, 40)), masks(ONE, FAR, crowd=[False, True]), 0)
    report = metric.compute()
    assert report.recall == 1 and report.false_alarms == 0 and len(report.rows) == 1


def test_groups_by_hand():
    truth = masks((0, 0, 10, 20), (5, 0, 15, 25), (60, 10, 80, 58))
    metric = MissedDetections()
    metric.update(masks((60, 10, 80, 58)), truth, 3, distance=[5.0, np.nan, 30.0])
    rows = metric.compute().rows
    np.testing.assert_allclose(rows["crowding"], [100 / 350, 100 / 350, 0])
    np.testing.assert_allclose(rows["behind"], [100 / 200, 0, 0])
    report = metric.compute()
    table = report.table("height_px")
    assert table.index.tolist() == ["below 25", "25 to 50"] and table["objects"].tolist() == [1, 2]
    assert table["found"].tolist() == [0, 1] and table["recall"].tolist() == [0, 0.5]
    assert report.table("distance_m").index.tolist() == ["below 10", "20 to 40"]
    assert report.table("class").loc["car", "missed"] == 2
    assert report.table("class").loc["car", "found"] == 1


def test_hidden_shares_may_be_given():
    metric = MissedDetections()
    metric.update(masks(), masks(ONE, TWO), 0, hidden=[0.3, 0.9])
    assert metric.compute().rows["behind"].tolist() == [0.3, 0.9]


def test_tracks():
    metric = MissedDetections()
    for frame, shown in enumerate((0, 0, 1, 0, 0, 0, 1, 1)):
        metric.update(masks(ONE) if shown else masks(), masks(ONE, FAR), frame)
    tracks = metric.compute().tracks().set_index("track")
    assert tracks.loc[1, ["frames", "found", "longest_gap", "until_found"]].tolist() == [8, 3, 3, 2]
    assert tracks.loc[2, ["frames", "found", "longest_gap", "until_found"]].tolist() == [8, 0, 8, 8]


def test_matching_is_scipys_best():
    """Without classes and crowds the number found is that of the best assignment above the threshold."""
    from scipy.optimize import linear_sum_assignment

    rng = np.random.default_rng(0)
    for _ in range(30):
        boxes = [np.sort(rng.uniform(0, 30, (rng.integers(1, 7), 2, 2)), axis=1).reshape(-1, 4) for _ in "ab"]
        pred, truth = (Instances((40, 40), boxes=b) for b in boxes)
        metric = MissedDetections("box")
        metric.update(pred, truth, 0)
        a, b = (np.asarray(x.boxes, float) for x in (pred, truth))
        low, high = np.maximum(a[:, None, :2], b[:, :2]), np.minimum(a[:, None, 2:], b[:, 2:])
        shared = np.prod(np.clip(high - low, 0, None), axis=2)
        areas = [np.prod(x[:, 2:] - x[:, :2], axis=1) for x in (a, b)]
        iou = shared / (areas[0][:, None] + areas[1] - shared)
        score = np.where(iou >= 0.5, iou, 0)
        rows, columns = linear_sum_assignment(-score)
        assert (metric.compute().rows["fate"] == "found").sum() == (score[rows, columns] > 0).sum()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_every_object_has_one_fate_whatever_the_order(seed):
    rng = np.random.default_rng(seed)

    def some():
        corner = rng.integers(0, 40, (rng.integers(0, 5), 2))
        sides = rng.integers(3, 20, corner.shape)
        return masks(*np.hstack([corner, corner + sides]).tolist(), labels=rng.integers(0, 2, len(corner)))

    frames = [(some(), some()) for _ in range(3)]
    whole, one, two = (MissedDetections() for _ in range(3))
    for k, (pred, truth) in enumerate(frames):
        whole.update(pred, truth, k)
        (one if k % 2 else two).update(pred, truth, k)
    one.merge(two)
    report, merged = whole.compute(), one.compute()
    assert len(report.rows) == sum(len(t) for _, t in frames)
    assert set(report.rows["fate"]) <= set(FATES)
    order = ["frame", "track"]
    a, b = (r.rows.sort_values(order, ignore_index=True) for r in (report, merged))
    assert a["fate"].tolist() == b["fate"].tolist() and report.false_alarms == merged.false_alarms


def test_wrong_input_is_told():
    metric = MissedDetections()
    metric.update(masks(), masks(), 0)
    for bad, told in (
        (lambda: MissedDetections("pixel"), "kind"),
        (lambda: MissedDetections(iou=0.3), "iou"),
        (lambda: metric.update(masks(), masks(), 0), "once"),
        (lambda: metric.update(masks().replace(classes=Labels(("x",))), masks(), 1), "classes"),
        (lambda: metric.update(Instances.empty((9, 9), CLASSES), masks(), 1), "size"),
        (lambda: metric.update(masks(), masks(ONE), 1, distance=[1.0, 2.0]), "one number"),
        (lambda: metric.merge(metric), "other frames"),
        (lambda: metric.compute().table("age"), "one of class"),
    ):
        with pytest.raises(InputError, match=told):
            bad()
