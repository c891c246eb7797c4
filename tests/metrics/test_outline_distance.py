"""Distances of outlines against SciPy's and SimpleITK's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_erosion
from scipy.spatial.distance import cdist

from delineate.core.masks import Masks
from delineate.metrics.outline_distance import outline_distances

ONE = np.array([0])


def _blob(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """A few discs and a hole; one pixel at least."""
    y, x = np.mgrid[: size[0], : size[1]]
    mask = np.zeros(size, bool)
    for _ in range(rng.integers(1, 4)):
        mask |= np.hypot(y - rng.integers(size[0]), x - rng.integers(size[1])) <= rng.integers(0, 8)
    mask &= np.hypot(y - rng.integers(size[0]), x - rng.integers(size[1])) > 3
    mask[rng.integers(size[0]), rng.integers(size[1])] = True
    return mask


def _distances(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    points = [np.argwhere(mask & ~binary_erosion(mask)) for mask in (a, b)]
    table = cdist(*points)
    each = np.concatenate([table.min(axis=1), table.min(axis=0)])
    return each.mean(), each.max()


@given(seed=st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_equals_all_distances(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = (_blob(rng, (24, 31)) for _ in range(2))
    found = outline_distances(Masks.from_dense(a[None]), Masks.from_dense(b[None]), ONE, ONE)
    mean, largest = _distances(a, b)
    assert found.mean[0] == pytest.approx(mean, abs=1e-4)
    assert found.largest[0] == pytest.approx(largest, abs=1e-4)


def test_hausdorff_equals_simpleitk() -> None:
    sitk = pytest.importorskip("SimpleITK")
    rng = np.random.default_rng(5)
    for _ in range(5):
        a, b = (_blob(rng, (40, 40)) for _ in range(2))
        lines = [(mask & ~binary_erosion(mask)).astype(np.uint8) for mask in (a, b)]
        theirs = sitk.HausdorffDistanceImageFilter()
        theirs.Execute(*(sitk.GetImageFromArray(line) for line in lines))
        found = outline_distances(Masks.from_dense(a[None]), Masks.from_dense(b[None]), ONE, ONE)
        assert found.largest[0] == pytest.approx(theirs.GetHausdorffDistance(), abs=1e-4)


def test_same_and_none() -> None:
    masks = Masks.from_label_image(np.array([[1, 0, 2]]))
    same = outline_distances(masks, masks, np.array([0, 1]), np.array([0, 1]))
    assert same.mean.tolist() == same.largest.tolist() == [0, 0]
    apart = outline_distances(masks, masks, np.array([0]), np.array([1]))
    assert apart.mean.tolist() == apart.largest.tolist() == [2]
    nothing = np.zeros(0, np.int64)
    assert len(outline_distances(masks, masks, nothing, nothing).mean) == 0
