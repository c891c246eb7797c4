from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.metrics.size_error import SizeError


def squares(*boxes: tuple[int, int, int, int], size: tuple[int, int] = (20, 40)) -> Instances:
    """Objects of (x1, y1, x2, y2)."""
    labels = np.zeros((len(boxes), *size), bool)
    for mask, (x1, y1, x2, y2) in zip(labels, boxes, strict=True):
        mask[y1:y2, x1:x2] = True
    return Instances(size, masks=Masks.from_dense(labels) if boxes else Masks.empty(size))


@pytest.mark.parametrize(
    ("pred", "truth", "errors", "mean"),
    [
        (squares((0, 0, 10, 10)), squares((0, 0, 10, 10)), [0], 0),
        (squares((0, 0, 8, 10)), squares((0, 0, 10, 10)), [-0.2], -0.2),
        (squares((0, 0, 10, 12), (20, 0, 24, 4)), squares((0, 0, 10, 10)), [0.2], (120 + 16) / 2 / 100 - 1),
        (squares((0, 0, 4, 10)), squares((0, 0, 10, 10)), [], -0.6),  # IoU 0.4 is no match
        (squares(), squares((0, 0, 10, 10)), [], None),
        (squares((0, 0, 10, 10)), squares(), [], None),
        (squares((5, 5, 5, 5)), squares((0, 0, 10, 10)), [], None),  # a mask without a pixel is no object
    ],
)
def test_table(pred: Instances, truth: Instances, errors: list[float], mean: float | None) -> None:
    metric = SizeError()
    metric.update(pred, truth)
    report = metric.compute()
    assert report.matched == len(errors)
    expected = [np.mean(errors), np.mean(np.abs(errors))] if errors else [np.nan] * 2
    assert [report.bias, report.mean_absolute_error] == pytest.approx(expected, nan_ok=True)
    assert report.image_bias == pytest.approx(np.nan if mean is None else mean, nan_ok=True)
    assert report.compared_images == (mean is not None)
    json.dumps(report.to_dict(), allow_nan=False)


def test_no_images_and_crowds() -> None:
    assert np.isnan(list(SizeError().compute().scores.values())[:5]).all()
    metric = SizeError()
    truth = squares((0, 0, 10, 10), (20, 0, 40, 20)).replace(crowd=[False, True])
    metric.update(squares((0, 0, 10, 10), (22, 2, 30, 9)), truth)
    assert metric.compute().scores["image_bias"] == 0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_matched_areas_lie_between_iou_and_its_inverse(seed: int) -> None:
    """And shards give the identical report; bias never exceeds MAE; the pairs are recounted by hand."""
    rng = np.random.default_rng(seed)
    whole, shards, by_hand = SizeError(), [SizeError(), SizeError()], []
    for number in range(1, 5):
        corners = np.stack([np.arange(4) * 10, np.zeros(4, int)], 1)
        true = [(int(x), int(y), int(x) + 8, int(y) + 8) for x, y in corners]
        found = [(x, y, x + int(rng.integers(3, 10)), y + int(rng.integers(3, 10))) for x, y, _, _ in true]
        for metric in (whole, shards[int(rng.integers(2))]):
            metric.update(squares(*found), squares(*true), number)
        for x1, y1, x2, y2 in found:
            width, height = x2 - x1, y2 - y1
            shared = min(width, 8) * min(height, 8)
            if shared / (64 + width * height - shared) >= 0.5:
                by_hand.append(width * height / 64 - 1)
    shards[0].merge(shards[1])
    report = whole.compute()
    assert repr(shards[0].compute()) == repr(report)
    assert report.matched == len(by_hand)
    if by_hand:
        assert report.bias == pytest.approx(np.mean(by_hand), abs=1e-12)
        assert -0.5 <= report.median <= 1
        assert abs(report.bias) <= report.mean_absolute_error + 1e-12


def test_refusals() -> None:
    metric, other = SizeError(), SizeError()
    metric.update(squares(), squares(), 1)
    other.update(squares(), squares(), 1)
    with pytest.raises(InputError, match="image 1 in both"):
        metric.merge(other)
    with pytest.raises(InputError, match=r"threshold 0\.7"):
        metric.merge(SizeError(0.7))
    with pytest.raises(InputError, match="image 1 twice"):
        metric.update(squares(), squares(), 1)
    with pytest.raises(InputError, match="boxes only"):
        metric.update(Instances((20, 40), boxes=[[0, 0, 1, 1]]), squares(), 2)
    with pytest.raises(InputError, match="the image's size"):
        metric.update(squares(size=(5, 5)), squares(), 2)
    with pytest.raises(InputError, match="expected an IoU"):
        SizeError(0)
