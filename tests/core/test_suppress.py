from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torchvision.ops
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from delineate.core.errors import InputError
from delineate.core.masks import Masks
from delineate.core.suppress import nms_boxes, nms_masks


@st.composite
def detections(draw: st.DrawFn) -> tuple[Any, Any, Any]:
    number = draw(st.integers(0, 14))
    corners = draw(arrays(np.float32, (number, 2, 2), elements=st.integers(0, 9).map(float)))
    scores = draw(arrays(np.float32, number, elements=st.sampled_from([0.1, 0.25, 0.5, 0.75, 1.0])))
    return (
        np.sort(corners, axis=1).reshape(-1, 4),
        scores,
        draw(arrays(np.int64, number, elements=st.integers(0, 2))),
    )


@given(detections(), st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]))
def test_boxes_as_torchvision(found: tuple[Any, Any, Any], threshold: float) -> None:
    box, score, label = found
    args = torch.from_numpy(box), torch.from_numpy(score)
    np.testing.assert_array_equal(
        nms_boxes(box, score, threshold), torchvision.ops.nms(*args, threshold).numpy()
    )
    by_class = torchvision.ops.batched_nms(*args, torch.from_numpy(label), threshold).numpy()
    assert set(nms_boxes(box, score, threshold, label).tolist()) == set(by_class.tolist())


def test_many_boxes_as_torchvision() -> None:
    rng = np.random.default_rng(0)
    corner = rng.random((3000, 2)).astype(np.float32) * 400
    box = np.concatenate((corner, corner + 10 + rng.random((3000, 2)).astype(np.float32) * 40), axis=1)
    score = rng.random(3000).astype(np.float32)
    expected = torchvision.ops.nms(torch.from_numpy(box), torch.from_numpy(score), 0.5).numpy()
    np.testing.assert_array_equal(nms_boxes(box, score, 0.5), expected)


@given(
    arrays(np.bool_, st.tuples(st.integers(0, 8), st.just(4), st.just(5))),
    st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    st.sampled_from(["iou", "ios"]),
    st.data(),
)
def test_masks_by_definition(dense: Any, threshold: float, measure: Any, data: Any) -> None:
    number = len(dense)
    score = data.draw(arrays(np.float64, number, elements=st.sampled_from([0.1, 0.5, 0.9])))
    label = data.draw(arrays(np.int64, number, elements=st.integers(0, 1)))
    area = dense.sum((1, 2))
    kept: list[int] = []
    for k in np.argsort(-score, kind="stable").tolist():
        shared = [(dense[k] & dense[m]).sum() for m in kept]
        whole = [
            area[k] + area[m] - s if measure == "iou" else min(area[k], area[m])
            for m, s in zip(kept, shared, strict=True)
        ]
        if not any(
            label[k] == label[m] and s > 0 and s / w > threshold
            for m, s, w in zip(kept, shared, whole, strict=True)
        ):
            kept.append(k)
    assert nms_masks(Masks.from_dense(dense), score, threshold, label, measure).tolist() == kept


@pytest.mark.parametrize(
    ("scores", "threshold", "labels"),
    [([0.5, 0.5], 0.5, None), ([0.5], 0.5, [1, 2]), ([float("nan")], 0.5, None), ([0.5], 50, None)],
)
def test_errors(scores: Any, threshold: float, labels: Any) -> None:
    with pytest.raises(InputError, match=r"suppress: expected .*got "):
        nms_boxes([[0, 0, 1, 1]], scores, threshold, labels)
    with pytest.raises(InputError, match="measure"):
        nms_masks(Masks.from_label_image([[1]]), [1], 0.5, measure="dice")  # type: ignore[arg-type]
