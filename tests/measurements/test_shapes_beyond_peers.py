"""Feret's smallest diameter, convexity, parts, holes and percentiles against plain NumPy and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from scipy.spatial import ConvexHull

from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.measurements import table

EDGES = np.array([[0.5, 0], [-0.5, 0], [0, 0.5], [0, -0.5]])


def of(labels: np.ndarray) -> Instances:
    return Instances(labels.shape, masks=Masks.from_label_image(labels))


def smallest_width(mask: np.ndarray) -> float:
    """The least extent over the directions across the hull's edges, of the convex image's outline."""
    from skimage.morphology import convex_hull_image

    points = (np.argwhere(convex_hull_image(mask))[:, None] + EDGES).reshape(-1, 2)
    hull = ConvexHull(points)
    across = hull.equations[:, :2] @ points.T
    return float((across.max(axis=1) - across.min(axis=1)).min())


@settings(max_examples=40, deadline=None)
@given(arrays(np.uint8, st.tuples(st.integers(3, 14), st.integers(3, 14)), elements=st.integers(0, 1)))
def test_the_smallest_feret_diameter_is_that_of_all_directions(mask: np.ndarray) -> None:
    if mask.sum() < 3 or np.linalg.matrix_rank(np.argwhere(mask) - np.argwhere(mask)[0]) < 2:
        return
    row = table(of(mask.astype(np.int32))).iloc[0]
    assert row["feret_diameter_min"] == pytest.approx(smallest_width(mask), rel=1e-9)
    assert row["feret_diameter_min"] <= row["feret_diameter_max"] + 1e-9


def test_diameters_of_known_shapes() -> None:
    labels = np.zeros((60, 120), np.int32)
    labels[5:15, 5:45] = 1
    rows, columns = np.ogrid[:60, :120]
    labels[(rows - 35) ** 2 + (columns - 85) ** 2 <= 20**2] = 2
    labels[50, 10] = 3
    frame = table(of(labels))
    assert frame["feret_diameter_min"][0] == 10
    assert frame["feret_diameter_max"][0] == pytest.approx(np.hypot(9, 40))
    assert 39.5 < frame["feret_diameter_min"][1] <= frame["feret_diameter_max"][1] < 41.5
    assert frame["feret_diameter_min"][2] == pytest.approx(np.sqrt(0.5))


@settings(max_examples=60, deadline=None)
@given(arrays(np.int32, st.tuples(st.integers(1, 10), st.integers(1, 10)), elements=st.integers(0, 2)))
def test_parts_and_holes_are_those_of_labelled_images(labels: np.ndarray) -> None:
    frame = table(of(labels))
    for row in frame.itertuples():
        mask = labels == np.unique(labels[labels > 0])[row.label - 1]
        outside = ndimage.label(np.pad(~mask, 1, constant_values=True))[1]
        assert row.parts == ndimage.label(mask, np.ones((3, 3)))[1]
        assert row.holes == outside - 1
        assert row.euler_number == row.parts - row.holes


def hull_length(mask: np.ndarray) -> float:
    points = np.argwhere(mask).astype(float)
    return float(ConvexHull(points).area)  # in two dimensions the "area" is the perimeter


def test_convexity_is_the_hulls_perimeter_over_the_objects() -> None:
    random = np.random.default_rng(4)
    labels = np.zeros((40, 40 * 12), np.int32)
    for k in range(12):
        blob = ndimage.gaussian_filter(random.random((36, 36)), 4)
        labels[2:38, 40 * k + 2 : 40 * k + 38] = np.where(blob > np.quantile(blob, 0.6), k + 1, 0)
    frame = table(of(labels))
    for k in range(12):
        expected = min(1.0, hull_length(labels == k + 1) / frame["perimeter"][k])
        assert frame["convexity"][k] == pytest.approx(expected)
    assert frame["convexity"].between(0, 1).all()
    square = table(of(np.pad(np.ones((9, 12), np.int32), 2)))
    assert square["convexity"][0] == 1
    line = table(of(np.pad(np.ones((1, 12), np.int32), 2)))
    assert line["convexity"].isna()[0] or line["convexity"][0] <= 1


@pytest.mark.parametrize(
    "kind", [np.uint8, np.uint16, np.int16, np.int32, np.int64, np.float16, np.float32, np.float64, bool]
)
def test_percentiles_and_sums_of_every_kind_of_number(kind: type) -> None:
    random = np.random.default_rng(2)
    labels = random.integers(0, 6, (30, 31)).astype(np.int32)
    image = (random.normal(0, 90, labels.shape) + 100).clip(0 if kind in (np.uint8, np.uint16) else -300, 250)
    image = (image > 100) if kind is bool else image.astype(kind)
    frame = table(of(labels), image)
    for k in range(5):
        inside = image[labels == k + 1].astype(float)
        assert frame["intensity_sum"][k] == pytest.approx(inside.sum())
        for q in (5, 25, 75, 95):
            assert frame[f"intensity_p{q}"][k] == pytest.approx(np.percentile(inside, q))
        assert frame["intensity_min"][k] == inside.min()
