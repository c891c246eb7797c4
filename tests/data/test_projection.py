"""Projections of stacks, against SciPy's filters and against scenes whose sharp slice is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import uniform_filter

from delineate.core.errors import InputError
from delineate.data.projection import PROJECTIONS, margin, project, sharpness


def texture(seed: int, shape: tuple[int, ...] = (60, 80)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, shape).astype(np.uint8)


def test_the_variance_is_that_of_scipys_filters() -> None:
    image = texture(0).astype(np.float64)
    mean = uniform_filter(image, 9, mode="mirror")
    variance = uniform_filter(image**2, 9, mode="mirror") - mean**2
    expected = uniform_filter(variance, 9, mode="mirror")
    np.testing.assert_allclose(sharpness(texture(0)), expected, rtol=1e-9)


def test_focus_takes_each_half_from_the_slice_where_it_is_sharp() -> None:
    sharp = texture(1, (80, 160, 3))
    soft = cv2.GaussianBlur(sharp, (0, 0), 3)
    left, right = sharp.copy(), soft.copy()
    left[:, 80:] = soft[:, 80:]
    right[:, 80:] = sharp[:, 80:]
    found = project([left, right], "focus")
    away = np.abs(np.arange(160) - 80) > margin("focus")
    assert (found[:, away] == sharp[:, away]).all()


@given(st.integers(1, 6), st.sampled_from(PROJECTIONS), st.sampled_from([np.uint8, np.uint16, np.float32]))
def test_a_stack_of_one_slice_repeated_is_the_slice(count: int, how: str, kind: type) -> None:
    image = texture(count, (12, 9)).astype(kind)
    found = project([image] * count, how)
    assert found.dtype == kind
    np.testing.assert_array_equal(found, image)


@pytest.mark.parametrize("how", PROJECTIONS)
def test_a_window_with_its_margin_is_as_the_whole(how: str) -> None:
    stack = [texture(seed, (70, 90, 3)) for seed in range(4)]
    whole, m = project(stack, how), margin(how)
    part = project([s[20 - m : 50 + m, 30 - m : 60 + m] for s in stack], how)
    np.testing.assert_array_equal(part[m : 30 + m, m : 30 + m], whole[20:50, 30:60])


def test_max_and_mean_are_numpys() -> None:
    stack = np.stack([texture(seed) for seed in range(5)])
    np.testing.assert_array_equal(project(iter(stack), "max"), stack.max(axis=0))
    np.testing.assert_array_equal(project(iter(stack), "mean"), np.rint(stack.mean(axis=0)))


@pytest.mark.parametrize(
    ("slices", "how", "message"),
    [
        ([], "max", "at least one slice"),
        ([texture(0), texture(0, (3, 3))], "mean", "one shape"),
        ([texture(0)], "median", "expected one of max, mean, focus"),
    ],
)
def test_what_is_no_stack_is_refused(slices: list[np.ndarray], how: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        project(slices, how)
