import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.apply.geodesic import path_costs
from delineate.apply.wand import snap, wand
from delineate.core.errors import InputError


def picture():
    rows, columns = np.mgrid[:60, :80]
    disc = (rows - 28) ** 2 + (columns - 35) ** 2 < 16**2
    image = np.where(disc[..., None], np.float32([0.8, 0.5, 0.4]), np.float32([0.1, 0.2, 0.1]))
    return (image + np.random.default_rng(0).normal(0, 0.02, image.shape)).astype(np.float32), disc


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


@pytest.mark.parametrize("tolerance", [0.1, 0.3])
def test_the_wand_takes_what_is_alike_and_connected(tolerance):
    image, disc = picture()
    assert iou(wand(image, (35.5, 28.5), tolerance), disc) > 0.97
    assert iou(wand(image, (2.5, 2.5), tolerance), ~disc) > 0.9 or wand(image, (2.5, 2.5), tolerance).all()


def test_a_coarse_outline_snaps_to_the_edge():
    image, disc = picture()
    rough = np.zeros_like(disc)
    rough[14:43, 21:50] = True  # a square around it
    rough[14:18, 21:25] = rough[39:43, 46:50] = False
    assert (
        iou(snap(rough, image, 6), disc) > iou(rough, disc) + 0.1 and iou(snap(rough, image, 6), disc) > 0.95
    )


def test_what_is_thin_and_what_is_empty_is_left():
    image, _ = picture()
    line = np.zeros(image.shape[:2], bool)
    line[10, 5:70] = True
    assert np.array_equal(snap(line, image, 2), line)
    assert not snap(np.zeros_like(line), image, 2).any()


@pytest.mark.parametrize(("point", "tolerance"), [((90, 5), 0.1), ((5, -1), 0.1), ((5, 5), 2.0)])
def test_points_outside_are_refused(point, tolerance):
    with pytest.raises(InputError, match="wand: expected"):
        wand(picture()[0], point, tolerance)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), step=st.floats(0.01, 1))
def test_path_costs_are_those_of_another_program(seed, step):
    rng = np.random.default_rng(seed)
    allowed = rng.random((7, 9)) > 0.2
    seeds = np.zeros_like(allowed)
    seeds[3, 4] = allowed[3, 4] = True
    flat = path_costs(np.zeros((7, 9, 1), np.float32), seeds, allowed, step)
    from skimage.graph import MCP

    mcp = MCP(np.where(allowed, step, -1.0), fully_connected=False)
    costs, _ = mcp.find_costs([(3, 4)])
    expected = np.where(np.isfinite(costs), costs - step, np.inf)  # it pays for the first pixel too
    assert np.allclose(flat, expected, rtol=1e-4)
