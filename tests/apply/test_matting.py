"""Soft edges against exact alpha, and the two papers' formulas worked out naively."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from delineate.apply.closed_form import REGULAR, matting_laplacian, solve_alpha
from delineate.apply.matting import EPSILON, MatteSettings, clean_colours, guided_filter, soft_alpha, trimap
from delineate.core.errors import InputError


def disk(side: int = 80, radius: float = 22.0, soft: float = 3.0) -> NDArray[np.float32]:
    """An exact alpha: 1 inside, falling to 0 over ``2 soft`` pixels."""
    y, x = np.mgrid[:side, :side] - side / 2
    return np.clip((radius - np.hypot(x, y)) / (2 * soft) + 0.5, 0, 1).astype(np.float32)


def laid(alpha: NDArray[np.float32], seed: int = 0) -> NDArray[np.uint8]:
    """A bluish object on reddish ground, both with some texture, mixed by alpha."""
    rng = np.random.default_rng(seed)
    front = np.array([60, 90, 200]) + rng.normal(0, 4, (*alpha.shape, 1))
    back = np.array([190, 120, 70]) + rng.normal(0, 4, (*alpha.shape, 1))
    mixed = front * alpha[..., None] + back * (1 - alpha[..., None])
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("edges", ["guided", "fine"])
def test_soft_edges_come_nearer_to_the_truth_than_the_mask(edges: str) -> None:
    truth = disk()
    image, mask = laid(truth), truth > 0.5
    found = soft_alpha(mask, image, MatteSettings(edges, 6))  # type: ignore[arg-type]
    assert ((found - truth) ** 2).mean() < 0.35 * ((mask - truth) ** 2).mean()
    assert found.dtype == np.float32


@pytest.mark.parametrize("edges", ["guided", "fine"])
def test_a_mask_that_lies_beside_the_edge_is_drawn_to_it(edges: str) -> None:
    truth = disk(soft=1.0)
    mask = np.roll(truth > 0.5, 2, axis=1)
    found = soft_alpha(mask, laid(truth), MatteSettings(edges, 6))  # type: ignore[arg-type]
    assert ((found - truth) ** 2).mean() < 0.6 * ((mask - truth) ** 2).mean()


@given(seed=st.integers(0, 1000), band=st.integers(1, 9))
@settings(max_examples=25, deadline=None)
def test_nothing_changes_beyond_the_band(seed: int, band: int) -> None:
    rng = np.random.default_rng(seed)
    mask = np.zeros((40, 50), np.bool_)
    for x, y, w, h in rng.integers(0, 30, (3, 4)):
        mask[y : y + h, x : x + w] = True
    image = rng.integers(0, 256, (40, 50, 3)).astype(np.uint8)
    alpha = soft_alpha(mask, image, MatteSettings(band=band))
    assert alpha.shape == mask.shape and alpha.min() >= 0 and alpha.max() <= 1
    known, unknown = trimap(mask, band)
    assert np.array_equal(alpha[~unknown], known[~unknown])
    assert np.array_equal(known[~unknown] > 0, mask[~unknown])


@pytest.mark.parametrize("mask", [np.zeros((9, 9), np.bool_), np.ones((9, 9), np.bool_)])
def test_nothing_and_everything_have_no_edges(mask: NDArray[np.bool_]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (9, 9, 3)).astype(np.uint8)
    assert np.array_equal(soft_alpha(mask, image), mask.astype(np.float32))


def test_the_guided_filter_is_the_papers() -> None:
    rng = np.random.default_rng(1)
    guide = rng.integers(0, 256, (13, 15, 3)).astype(np.uint8)
    values = rng.random((13, 15)).astype(np.float32)
    radius = 2
    colour = guide / 255
    slopes, offsets = np.zeros((13, 15, 3)), np.zeros((13, 15))
    for y, x in product(range(radius, 11), range(radius, 13)):  # equations 14 and 15 in each whole window
        window = np.s_[y - radius : y + radius + 1, x - radius : x + radius + 1]
        c, v = colour[window].reshape(-1, 3), values[window].ravel()
        spread = np.cov(c.T, bias=True) + EPSILON * np.eye(3)
        slopes[y, x] = np.linalg.solve(spread, (c * v[:, None]).mean(0) - c.mean(0) * v.mean())
        offsets[y, x] = v.mean() - slopes[y, x] @ c.mean(0)
    found = guided_filter(guide, values, radius)
    for y, x in product(range(2 * radius, 9), range(2 * radius, 11)):  # equation 16
        window = np.s_[y - radius : y + radius + 1, x - radius : x + radius + 1]
        expected = slopes[window].reshape(-1, 3).mean(0) @ colour[y, x] + offsets[window].mean()
        assert found[y, x] == pytest.approx(expected, abs=2e-4)


def test_the_laplacian_is_the_papers() -> None:
    rng = np.random.default_rng(2)
    height, width = 5, 6
    image = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    expected = np.zeros((height * width,) * 2)
    for y, x in product(range(1, height - 1), range(1, width - 1)):  # equation 12
        window = [(j, i) for j in (y - 1, y, y + 1) for i in (x - 1, x, x + 1)]
        colours = np.array([image[j, i] / 255 for j, i in window])
        mean, spread = colours.mean(0), np.cov(colours.T, bias=True)
        inverse = np.linalg.inv(spread + REGULAR / 9 * np.eye(3))
        for (a, (j, i)), (b, (m, n)) in product(enumerate(window), repeat=2):
            near = (1 + (colours[a] - mean) @ inverse @ (colours[b] - mean)) / 9
            expected[j * width + i, m * width + n] += float(a == b) - near
    found = matting_laplacian(image, np.ones((height, width), np.bool_)).toarray()
    assert np.allclose(found, expected, atol=1e-9)
    assert np.allclose(found.sum(axis=1), 0, atol=1e-9) and np.allclose(found, found.T)
    assert np.linalg.eigvalsh(found).min() > -1e-9


def test_solving_keeps_what_is_known_and_small_images() -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    known, first = np.ones((2, 2), np.float32), np.full((2, 2), 0.25, np.float32)
    unknown = np.array([[True, False], [False, False]])
    assert solve_alpha(image, known, unknown, first).tolist() == [[0.25, 1], [1, 1]]


def test_colours_at_edges_lose_the_background() -> None:
    alpha = disk()
    image = laid(alpha)
    clean = clean_colours(image, alpha)
    edge = (alpha > 0.2) & (alpha < 0.8)
    own = np.array([60, 90, 200])
    assert abs(clean[edge] - own).mean() < 0.25 * abs(image[edge] - own).mean()
    assert np.array_equal(clean[alpha == 1], image[alpha == 1])


@pytest.mark.parametrize(
    ("settings", "told"), [({"edges": "silk"}, "guided, fine, hard"), ({"band": -1}, "0 to 200")]
)
def test_settings_out_of_range(settings: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        MatteSettings(**settings)  # type: ignore[arg-type]


def test_a_mask_of_another_size() -> None:
    with pytest.raises(InputError, match="image's size"):
        soft_alpha(np.ones((3, 3), np.bool_), np.zeros((4, 4, 3), np.uint8))
