"""Stains: drawn slides whose stains are known, SciPy's solver, real purple images."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import nnls

from delineate.core.errors import InputError
from delineate.data.images import read
from delineate.data.stain import (
    METHODS,
    REFERENCE,
    WHITE,
    Normaliser,
    amounts,
    fit,
    from_lab,
    to_lab,
)

# Haematoxylin and eosin as Ruifrok and Johnston measured them (2001, table 1), and a slide of another tint.
FIRST = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])
SECOND = np.array([[0.50, 0.80, 0.33], [0.12, 0.85, 0.51]])


def drawn(vectors: np.ndarray, strength: float = 1.0) -> np.ndarray:
    """Tissue in eosin with nuclei in haematoxylin, a third of bare glass; the same amounts for any stains."""
    rng = np.random.default_rng(3)
    amount = np.zeros((150, 200, 2))
    amount[:, 60:, 1] = rng.uniform(0.3, 0.7, (150, 140))
    for y, x in rng.integers([10, 70], [140, 190], (25, 2)):
        amount[y - 6 : y + 6, x - 6 : x + 6] = [rng.uniform(0.8, 1.2), 0.05]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.rint(np.clip(WHITE * np.exp(-amount * strength @ unit) - 1, 0, 255)).astype(np.uint8)


def degrees(a: np.ndarray, b: np.ndarray) -> float:
    b = b / np.linalg.norm(b)
    return float(np.degrees(np.arccos(np.clip(a @ b, -1, 1))))


@pytest.mark.parametrize("method", ["macenko", "vahadane"])
@pytest.mark.parametrize("stains", [FIRST, SECOND])
def test_the_stains_of_a_drawn_slide_are_found(method: str, stains: np.ndarray) -> None:
    found = fit(drawn(stains), method)
    assert found is not None
    assert max(degrees(found.vectors[k], stains[k]) for k in range(2)) < 3.5


@pytest.mark.parametrize("method", METHODS)
def test_a_slide_comes_to_the_colours_of_the_reference(method: str) -> None:
    mine, other = drawn(FIRST), drawn(SECOND, 0.7)
    reference = fit(mine, method)
    assert reference is not None
    found, note = Normaliser(method, reference)(other)
    before = np.abs(other.astype(int) - mine)[:, 60:].mean()
    after = np.abs(found.astype(int) - mine)[:, 60:].mean()
    assert note == f"colours by {method}" and found.dtype == np.uint8
    assert after < before / (2 if method == "reinhard" else 3), (before, after)


@given(st.integers(0, 10**6), st.floats(0, 0.2))
def test_amounts_are_the_exact_minimum(seed: int, sparsity: float) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.uniform(0.05, 1, (2, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    density = rng.uniform(0, 2, (5, 3))
    found = amounts(density, vectors)
    for row, value in zip(density, found, strict=True):
        expected = nnls(vectors.T, row)[0]
        best = np.linalg.norm(row - expected @ vectors)
        assert np.linalg.norm(row - value @ vectors) <= best + 1e-9
    sparse = amounts(density, vectors, sparsity)

    def cost(a: np.ndarray) -> np.ndarray:
        return ((density - a @ vectors) ** 2).sum(axis=1) / 2 + sparsity * a.sum(axis=1)

    near = np.maximum(sparse + rng.normal(0, 0.01, sparse.shape), 0)
    assert (sparse >= 0).all() and (cost(sparse) <= cost(near) + 1e-12).all()


@given(st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=1, max_size=20))
def test_l_alpha_beta_goes_back(colours: list[tuple[int, int, int]]) -> None:
    given_ = np.array(colours, np.uint8)
    np.testing.assert_allclose(from_lab(to_lab(given_)), given_, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_sixteen_bits_are_as_eight(method: str) -> None:
    image = drawn(FIRST)
    wide = Normaliser(method, REFERENCE)(image.astype(np.uint16) * 257)[0]
    narrow = Normaliser(method, REFERENCE)(image)[0]
    assert wide.dtype == np.uint16
    assert np.abs(wide / 257 - narrow).max() <= 0.51


@pytest.mark.parametrize(
    "image",
    [
        np.full((40, 40), 100, np.uint8),
        np.full((40, 40, 3), 255, np.uint8),
        np.zeros((40, 40, 3), np.uint8),
        np.dstack([np.random.default_rng(0).integers(0, 255, (40, 40)).astype(np.uint8)] * 3),
        np.ones((4, 4, 3), np.float32),
        drawn(FIRST)[:5, :5],
    ],
    ids=["grey", "white", "black", "grey as RGB", "float", "tiny"],
)
@pytest.mark.parametrize("method", METHODS)
def test_what_is_not_stained_is_left(method: str, image: np.ndarray) -> None:
    found, note = Normaliser(method, REFERENCE)(image)
    assert found is image and "left" in note


def test_unknown_methods_and_shapes_are_refused() -> None:
    with pytest.raises(InputError, match="macenko, vahadane, reinhard"):
        fit(drawn(FIRST), "ruifrok")
    with pytest.raises(InputError, match="RGB"):
        fit(np.zeros((4, 4), np.uint8))


@pytest.mark.parametrize("method", METHODS)
def test_a_real_slide_stays_itself_by_its_own_stains(method: str, data_dir: Path) -> None:
    with (data_dir / "dsb2018" / "split.csv").open() as file:
        purple = [r["id"] for r in csv.DictReader(file) if r["modality"].startswith("purple")]
    for name in purple[:3]:
        image = read(data_dir / "dsb2018" / "images" / f"{name}.png").pixels
        own = fit(image, method)
        assert own is not None
        found = Normaliser(method, own)(image)[0]
        assert np.abs(found.astype(int) - image).mean() < 12  # what two directions cannot hold
