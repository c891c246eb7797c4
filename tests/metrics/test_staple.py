"""STAPLE against SimpleITK's filter, and where it must not fail."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.core.errors import InputError
from delineate.metrics.staple import staple


def _raters(seed: int, number: int, size: int = 40) -> np.ndarray:
    """Discs with noise of different strength."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    truth = np.hypot(y - size / 2, x - size / 2) < size / 4
    wrong = rng.uniform(0.01, 0.3, number)
    return np.stack([truth ^ (rng.random(truth.shape) < share) for share in wrong])


@pytest.mark.parametrize("number", [2, 3, 5, 8])
def test_equals_simpleitk(number: int) -> None:
    sitk = pytest.importorskip("SimpleITK")
    decisions = _raters(number, number)
    theirs = sitk.STAPLEImageFilter()
    theirs.SetForegroundValue(1)
    probability = sitk.GetArrayFromImage(
        theirs.Execute([sitk.GetImageFromArray(d.astype(np.uint8)) for d in decisions])
    )
    ours = staple(decisions, iterations=1000, tolerance=1e-13)
    # of two raters alone the likelihood is nearly flat along a ridge, and each stops elsewhere on it
    near = 2e-3 if number == 2 else 1e-5
    assert np.abs(ours.probability - probability).max() < near
    assert np.allclose(ours.sensitivity, theirs.GetSensitivity(), atol=near)
    assert np.allclose(ours.specificity, theirs.GetSpecificity(), atol=near)


def test_finds_the_truth_and_the_better_rater() -> None:
    y, x = np.mgrid[:60, :60]
    truth = np.hypot(y - 30, x - 30) < 18
    rng = np.random.default_rng(0)
    wrong = (0.02, 0.05, 0.3)
    found = staple(np.stack([truth ^ (rng.random(truth.shape) < share) for share in wrong]))
    assert ((found.probability > 0.5) != truth).mean() < 0.03
    assert found.sensitivity[0] > found.sensitivity[1] > found.sensitivity[2]
    assert np.allclose(1 - found.specificity, wrong, atol=0.03)


@pytest.mark.parametrize(
    ("decisions", "wanted"),
    [
        (np.zeros((3, 4, 4), bool), 0.0),  # nobody marks anything
        (np.ones((3, 4, 4), bool), 1.0),  # everybody marks all
        (np.ones((1, 5), bool), 1.0),
    ],
)
def test_nothing_and_everything(decisions: np.ndarray, wanted: float) -> None:
    found = staple(decisions)
    assert np.allclose(found.probability, wanted)
    assert np.isfinite(found.sensitivity).all() and np.isfinite(found.specificity).all()


@pytest.mark.parametrize("decisions", [np.zeros(4, bool), np.zeros((63, 4), bool), np.zeros((0, 4), bool)])
def test_refuses(decisions: np.ndarray) -> None:
    with pytest.raises(InputError, match="1 to 62 masks"):
        staple(decisions)


@given(seed=st.integers(0, 2**31), number=st.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_order_of_raters_and_pixels_is_nothing(seed: int, number: int) -> None:
    decisions = _raters(seed, number, 12).reshape(number, -1)
    rng = np.random.default_rng(seed)
    who, where = rng.permutation(number), rng.permutation(decisions.shape[1])
    plain, mixed = staple(decisions), staple(decisions[who][:, where])
    assert np.allclose(plain.probability[where], mixed.probability)
    assert np.allclose(plain.sensitivity[who], mixed.sensitivity)
