from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torchvision.ops
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from delineate.core import boxes
from delineate.core.errors import InputError


@st.composite
def box_arrays(draw: st.DrawFn, whole: bool = True) -> Any:
    number = draw(st.integers(0, 12))
    value = st.integers(0, 12).map(float) if whole else st.floats(-50, 50, width=32)
    corners = draw(arrays(np.float64, (number, 2, 2), elements=value))
    return np.sort(corners, axis=1).reshape(-1, 4)


@given(box_arrays(), box_arrays())
def test_iou_is_torchvision(a: Any, b: Any) -> None:
    expected = torchvision.ops.box_iou(torch.from_numpy(a), torch.from_numpy(b)).numpy()
    np.testing.assert_allclose(boxes.iou(a, b), np.nan_to_num(expected), atol=1e-12)


@given(st.booleans().flatmap(lambda w: st.tuples(box_arrays(w), box_arrays(w))))
def test_overlapping_pairs_are_all_and_sorted(pair: tuple[Any, Any]) -> None:
    a, b = pair
    i, j = boxes.overlapping_pairs(a, b)
    sides = np.minimum(a[:, None, 2:], b[:, 2:]) - np.maximum(a[:, None, :2], b[:, :2])
    full = ((a[:, 2:] - a[:, :2]) > 0).all(1)[:, None] & ((b[:, 2:] - b[:, :2]) > 0).all(1)
    expected = np.argwhere((sides > 0).all(2) & full)
    np.testing.assert_array_equal(np.stack((i, j), axis=1), expected)


def test_overlapping_pairs_with_a_giant_among_dwarfs() -> None:
    rng = np.random.default_rng(0)
    corner = rng.random((3000, 2)) * 1e4
    many = np.concatenate((corner, corner + 5), axis=1)
    many[7] = [0, 0, 1e4, 1e4]
    i, j = boxes.overlapping_pairs(many, many)
    assert (np.bincount(i)[7]) == ((many[:, 0] < 1e4) & (many[:, 1] < 1e4)).sum()
    assert set(zip(i.tolist(), j.tolist(), strict=True)) == set(zip(j.tolist(), i.tolist(), strict=True))


@given(box_arrays())
def test_xywh_comes_back(a: Any) -> None:
    np.testing.assert_array_equal(boxes.from_xywh(boxes.to_xywh(a)), a)


def test_clip_scale_area() -> None:
    b = np.array([[-1, -2, 30, 4], [50, 50, 60, 60]], dtype=np.float32)
    assert boxes.clip(b, (10, 20)).tolist() == [[0, 0, 20, 4], [20, 10, 20, 10]]
    assert boxes.clip(b, (10, 20)).dtype == np.float32
    assert boxes.scale([[1, 2, 3, 4]], 2, 10).tolist() == [[2, 20, 6, 40]]
    assert boxes.area([[0, 0, 2, 3], [2, 2, 1, 1]]).tolist() == [6, 0]


def test_empty() -> None:
    assert boxes.iou([], []).shape == (0, 0)
    assert boxes.iou([], [[0, 0, 1, 1]]).shape == (0, 1)
    assert [len(x) for x in boxes.overlapping_pairs([], [[0, 0, 1, 1]])] == [0, 0]
    assert boxes.clip([], (3, 3)).shape == boxes.to_xywh([]).shape == (0, 4)


def test_another_shape() -> None:
    with pytest.raises(InputError, match=r"expected shape \(N, 4\), got \(1, 3\)"):
        boxes.area([[1, 2, 3]])
