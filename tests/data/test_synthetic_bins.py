"""Synthetic bins against their own formulas, and verdicts on grasps that are made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.core.errors import InputError
from delineate.data.synthetic.bins import BinScene, BinSettings, bin_scene, noisy_depth
from delineate.data.synthetic.bins_check import check_cup, check_fingers
from delineate.data.synthetic.bins_solids import Solid, surface_points

SMALL = BinSettings(objects=7, size=(120, 160), focal=150)
CUP = (0.012, 0.002, 0.005, 0.1)


@pytest.fixture(scope="module")
def scene() -> BinScene:
    return bin_scene(3, SMALL)


def turned(seed: int) -> np.ndarray:
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
    pose = np.eye(4)
    pose[:3, :3] = turn * np.linalg.det(turn)
    pose[:3, 3] = (0.02, -0.01, 0.5)
    return pose


@pytest.mark.parametrize("kind", ["box", "cylinder", "ball"])
@given(seed=st.integers(0, 10_000))
@settings(max_examples=12, deadline=None)
def test_rays_end_where_the_distance_is_zero(kind: str, seed: int) -> None:
    half = {"box": (0.05, 0.03, 0.02), "cylinder": (0.03, 0.03, 0.05), "ball": (0.04,) * 3}[kind]
    body = Solid(kind, np.array(half), turned(seed))  # type: ignore[arg-type]
    rays = np.random.default_rng(seed).normal((0.02, -0.01, 0.5), 0.03, (300, 3))
    t, normal = body.meet(np.zeros((1, 3)), rays)
    hit = np.isfinite(t)
    at = rays[hit] * t[hit, None]
    assert hit.any() and np.abs(body.distance(at)).max() < 1e-9
    # The normal is the slope of the distance, but for corners; no part of the way there is inside.
    step = 1e-6
    slope = (
        np.column_stack([body.distance(at + step * axis) - body.distance(at) for axis in np.eye(3)]) / step
    )
    along = (slope * normal[hit]).sum(axis=1)
    assert np.median(along) > 0.999
    for share in (0.3, 0.7, 0.98):
        assert body.distance(at * share).min() > -1e-9
    # A ray that misses is never inside: the same by marching along it.
    far = rays[~hit]
    assert all(body.distance(far * s).min() > 0 for s in np.linspace(0.5, 1.6, 40)) if len(far) else True


@pytest.mark.parametrize("kind", ["box", "cylinder", "ball"])
def test_surface_points_lie_on_the_surface(kind: str) -> None:
    body = Solid(kind, np.array([0.03, 0.03, 0.03]), turned(4))  # type: ignore[arg-type]
    assert np.abs(body.distance(surface_points(body))).max() < 1e-9


def test_depth_normals_and_masks_agree_with_the_bodies(scene: BinScene) -> None:
    v, u = np.mgrid[: SMALL.size[0], : SMALL.size[1]]
    rays = np.dstack([(u - scene.camera[0, 2]) / 150, (v - scene.camera[1, 2]) / 150, np.ones_like(u)])
    points = rays * scene.depth[..., None]
    assert scene.truth.masks is not None and len(scene.truth) == 7
    everything = [*scene.solids, *scene.walls]
    nearest = np.min([b.distance(points.reshape(-1, 3)) for b in everything], axis=0)
    assert np.abs(nearest).max() < 1e-5  # float32
    for mask, whole, body in zip(scene.truth.masks.dense(), scene.whole.dense(), scene.solids, strict=True):
        assert np.abs(body.distance(points[mask])).max(initial=0) < 1e-5
        assert not (mask & ~whole).any()
    assert ((scene.normals * rays).sum(axis=2) < 0).all()


def test_bodies_stand_apart_and_above_the_floor(scene: BinScene) -> None:
    for i, body in enumerate(scene.solids):
        rim = surface_points(body, 0.006)
        others = [*scene.solids[:i], *scene.solids[i + 1 :], *scene.walls]
        assert min(float(other.distance(rim).min()) for other in others) > -1e-3
    np.testing.assert_allclose(scene.world[:3, :3] @ scene.world[:3, :3].T, np.eye(3), atol=1e-9)


def test_the_same_seed_gives_the_same_bin(scene: BinScene) -> None:
    again = bin_scene(3, SMALL)
    assert np.array_equal(scene.color, again.color) and np.array_equal(scene.depth, again.depth)
    assert not np.array_equal(scene.depth, bin_scene(4, SMALL).depth)
    assert len(bin_scene(0, BinSettings(objects=0, size=(24, 32), focal=30)).truth) == 0
    with pytest.raises(InputError, match="bins"):
        BinSettings(pile=2)


def test_noise_is_as_large_as_told(scene: BinScene) -> None:
    noisy = noisy_depth(scene, 0.004, 0, holes=0.1)
    known = noisy > 0
    assert 0.08 < 1 - known.mean() < 0.2
    ratio = (noisy - scene.depth)[known] / scene.depth[known] ** 2
    assert ratio.std() == pytest.approx(0.004, rel=0.05)
    assert np.array_equal(noisy_depth(scene, 0, 0, holes=0), scene.depth)


BOX = Solid("box", np.array([0.02, 0.03, 0.02]), np.eye(4))
BALL = Solid("ball", np.full(3, 0.02), np.eye(4))


def boxes(opening: float) -> np.ndarray:
    half, outer = opening / 2, opening / 2 + 0.01
    return np.array(
        [
            [[-outer, -0.01, -0.04], [-half, 0.01, 0]],
            [[half, -0.01, -0.04], [outer, 0.01, 0]],
            [[-outer, -0.01, -0.1], [outer, 0.01, -0.04]],
        ]
    )


def pose(z: float = 0.01, x: float = 0.0, yaw: float = 0.0) -> np.ndarray:
    found = np.eye(4)
    c, s = np.cos(yaw), np.sin(yaw)
    found[:3, :3] = [[c, -s, 0], [s, c, 0], [0, 0, 1]]
    found[:3, 3] = x, 0, z
    return found


@pytest.mark.parametrize(
    ("body", "at", "opening", "friction", "told"),
    [
        (BOX, pose(), 0.05, 0.5, ""),
        (BOX, pose(yaw=0.03), 0.05, 0.5, ""),
        (BOX, pose(yaw=0.3), 0.08, 2.0, ""),
        (BOX, pose(yaw=0.3), 0.08, 0.5, "slips"),  # corners of the pads touch, 2 cm beside each other
        (BOX, pose(z=0.03), 0.05, 0.5, "collision"),  # the palm is in the box
        (BOX, pose(x=0.01), 0.05, 0.5, "collision"),  # a finger is
        (BOX, pose(z=-0.05), 0.05, 0.5, "missed"),
        (BALL, pose(), 0.05, 0.5, ""),
        (BALL, pose(z=-0.019), 0.05, 0.5, "slips"),
    ],
)
def test_fingers(body: Solid, at: np.ndarray, opening: float, friction: float, told: str) -> None:
    verdict = check_fingers([body], 0, [], at, boxes(opening), friction)
    assert verdict.reason == told and verdict.held == (not told)
    if opening == 0.08:
        reach = (0.02 + 0.01 * np.sin(0.3)) / np.cos(0.3)
        assert verdict.angle == pytest.approx(0.3 + np.arctan2(0.01, reach), abs=0.06)


def test_fingers_among_others() -> None:
    near = np.eye(4)
    near[0, 3] = 0.045
    other = Solid("box", np.array([0.005, 0.03, 0.02]), near)
    assert check_fingers([BOX, other], 0, [], pose(), boxes(0.06), 0.5).reason == "collision"
    assert check_fingers([BOX], 0, [other], pose(), boxes(0.06), 0.5).reason == "collision"
    between = Solid("box", np.array([0.001, 0.03, 0.02]), np.eye(4))
    between.pose[0, 3] = 0.0215
    assert check_fingers([BOX, between], 0, [], pose(), boxes(0.06), 0.5).reason == "other first"


def cup(z: float, x: float = 0.0, lean: float = 0.0) -> np.ndarray:
    found = np.eye(4)
    c, s = np.cos(lean), np.sin(lean)
    found[:3, :3] = [[c, 0, s], [0, 1, 0], [-s, 0, c]]
    found[:3, 3] = x, 0, z
    return found


@pytest.mark.parametrize(
    ("body", "at", "told"),
    [
        (BOX, cup(-0.02), ""),
        (BOX, cup(-0.02, x=0.015), "no seal"),  # over the edge
        (BOX, cup(-0.02, lean=0.35), "no seal"),
        (BOX, cup(-0.05), "no seal"),  # far above
        (BALL, cup(-0.016), ""),
        (BALL, cup(-0.016, x=0.012), "no seal"),
        (Solid("ball", np.full(3, 0.0125), np.eye(4)), cup(-0.004), "collision"),  # bulges out of the cup
    ],
)
def test_cups(body: Solid, at: np.ndarray, told: str) -> None:
    assert check_cup([body], 0, [], at, *CUP).reason == told


def test_a_cup_among_others() -> None:
    near = np.eye(4)
    near[:3, 3] = 0.014, 0, -0.05
    other = Solid("box", np.array([0.004, 0.03, 0.02]), near)
    assert check_cup([BOX, other], 0, [], cup(-0.02), *CUP).reason in ("collision", "no seal")
    roof = np.eye(4)
    roof[2, 3] = -0.1
    above = Solid("box", np.array([0.05, 0.05, 0.01]), roof)
    assert check_cup([BOX], 0, [above], cup(-0.02), *CUP).reason == "collision"
