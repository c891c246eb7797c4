"""Masks from prototypes: the pixels that torch's enlargement gives, in runs, without the enlargement."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from delineate.core.errors import MaskError
from delineate.core.prototypes import assemble
from delineate.core.runs import union

CELLS = 12, 15


def enlarged(
    grid: NDArray, weights: NDArray, boxes: NDArray, size: tuple[int, int], rule: str
) -> NDArray[np.float32]:
    """(N, H, W) of what is above 0 for foreground, by torch, one pixel at a time."""
    height, width = grid.shape[1:]
    logits = torch.einsum("np,phw->nhw", torch.from_numpy(weights), torch.from_numpy(grid))
    box = torch.from_numpy(boxes)[:, :, None, None]
    if rule == "yolact":
        x, y = torch.arange(width)[None, None], torch.arange(height)[None, :, None]
        x1, x2 = box[:, 0] * width / size[1] - 1, box[:, 2] * width / size[1] + 1
        y1, y2 = box[:, 1] * height / size[0] - 1, box[:, 3] * height / size[0] + 1
        logits = logits.sigmoid() * ((x >= x1) & (x < x2) & (y >= y1) & (y < y2))
    values = F.interpolate(logits[None], size, mode="bilinear", align_corners=False)[0]
    if rule == "yolact":
        return (values - 0.5).numpy()
    x, y = torch.arange(size[1])[None, None] + 0.5, torch.arange(size[0])[None, :, None] + 0.5
    inside = (x >= box[:, 0]) & (x < box[:, 2]) & (y >= box[:, 1]) & (y < box[:, 3])
    return torch.where(inside, values, -1.0).numpy()


def scene(seed: int, size: tuple[int, int], count: int = 9) -> tuple[NDArray, NDArray, NDArray]:
    rng = np.random.default_rng(seed)
    grid = rng.normal(size=(5, *CELLS)).astype(np.float32)
    weights = rng.normal(size=(count, 5)).astype(np.float32)
    ends = np.sort(rng.uniform(-0.2, 1.2, (count, 2, 2)), axis=1) * [size[1], size[0]]
    return grid, weights, ends.reshape(count, 4).astype(np.float32)


@settings(deadline=None, max_examples=80)
@given(
    st.integers(0, 10_000), st.integers(1, 150), st.integers(1, 150), st.sampled_from(["logits", "yolact"])
)
def test_same_pixels_as_torch(seed: int, height: int, width: int, rule: str) -> None:
    size = height, width
    grid, weights, boxes = scene(seed, size)
    found = assemble(grid, weights, boxes, size, rule=rule)
    wanted = enlarged(grid, weights, boxes, size, rule)
    differ = found.dense() != (wanted > 0)
    assert np.abs(wanted[differ]).max(initial=0) < 1e-5
    r = found.runs  # canonical: nothing to join
    assert all(
        np.array_equal(a, b)
        for a, b in zip(r, union(r.owner, r.x, r.y, r.length, len(found), size), strict=True)
    )


@pytest.mark.parametrize("size", [(24, 30), (240, 300), (999, 77)])
def test_padding_is_not_looked_at(size: tuple[int, int]) -> None:
    """A region of whole cells is the grid cut there; what lies in the padding changes nothing."""
    grid, weights, boxes = scene(3, size)
    padded = np.full((5, CELLS[0] + 4, CELLS[1] + 2), np.nan, dtype=np.float32)
    padded[:, : CELLS[0], : CELLS[1]] = grid
    whole = assemble(grid, weights, boxes, size)
    assert whole.area.sum() > 0
    assert assemble(np.nan_to_num(padded, nan=50), weights, boxes, size, region=CELLS) == whole


def test_a_region_may_end_within_a_cell() -> None:
    ramp = np.tile(np.arange(-4.0, 4.0, dtype=np.float32) + 0.5, (8, 1))[None]  # above 0 right of x = 4 cells
    box = np.array([[0, 0, 100, 100]], dtype=np.float32)
    found = assemble(ramp, [[1.0]], box, (100, 100), region=(8, 6.4))  # 100 pixels over 6.4 cells
    assert found.boxes.tolist() == [[63, 0, 100, 100]]  # 4 / 6.4 of 100 is 62.5, on a pixel's centre


@pytest.mark.parametrize("rule", ["logits", "yolact"])
def test_empty_cases(rule: str) -> None:
    grid = np.ones((2, 4, 4), dtype=np.float32)
    none = assemble(grid, np.zeros((0, 2)), np.zeros((0, 4)), (9, 9), rule=rule)
    assert len(none) == 0 and none.size == (9, 9)
    boxes = [[50, 50, 60, 60], [-9, -9, -4, -4], [3, 3, 3, 8], [0, 0, 9, 9], [0, 0, 9, 9]]
    weights = [[1, 1], [1, 1], [1, 1], [-1, -1], [1, 1]]
    found = assemble(grid, weights, boxes, (9, 9), rule=rule)  # type: ignore[arg-type]
    assert found.area.tolist() == [0, 0, 0, 0, 81]


def test_infinite_values_make_a_mask_and_no_warning() -> None:
    grid = np.full((1, 4, 4), np.inf, dtype=np.float32)
    grid[:, :2] = -np.inf
    box = [[0, 0, 16, 16]]
    assert assemble(grid, [[1.0]], box, (16, 16)).size == (16, 16)
    unknown = assemble(np.full_like(grid, np.nan), [[1.0]], box, (16, 16))
    assert unknown.area.tolist() == [0]  # NaN is not above 0


def test_one_small_object_on_a_huge_image_costs_little() -> None:
    grid = np.ones((32, 160, 160), dtype=np.float32)
    weights = np.ones((1, 32), dtype=np.float32)
    tracemalloc.start()
    found = assemble(grid, weights, [[9000, 15000, 9100, 15080]], (20_000, 20_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.area.tolist() == [8000] and peak < 1e6


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"coefficients": np.ones((2, 3))}, "coefficients"),
        ({"prototypes": np.ones((4, 4))}, "prototypes"),
        ({"boxes": [[0, 0, np.nan, 1]]}, "finite"),
        ({"rule": "soft"}, "rule"),
        ({"region": (5.0, 4.0)}, "region"),
        ({"region": (0.0, 4.0)}, "region"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict, match: str) -> None:
    given = {
        "prototypes": np.ones((2, 4, 4)),
        "coefficients": np.ones((1, 2)),
        "boxes": [[0, 0, 4, 4]],
        "size": (8, 8),
        **change,
    }
    with pytest.raises(MaskError, match=match):
        assemble(**given)
