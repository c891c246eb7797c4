"""Points of depth images, planes in them, boxes around them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.apply.planes import find_plane, find_planes, fit_plane, support_of
from delineate.apply.point_cloud import (
    back_project,
    check_frame,
    local_planes,
    main_part,
    oriented_box,
    perpendicular,
    project,
    smoothed,
)
from delineate.core.errors import InputError

CAMERA = np.array([[300.0, 0, 40], [0, 310.0, 30], [0, 0, 1]])


@given(st.integers(0, 2**31 - 1))
@settings(max_examples=25, deadline=None)
def test_a_point_falls_on_its_own_pixel(seed: int) -> None:
    depth = np.random.default_rng(seed).uniform(0.2, 3, (6, 9)).astype(np.float32)
    v, u = np.mgrid[:6, :9]
    at = project(back_project(depth, CAMERA).astype(np.float64), CAMERA)
    np.testing.assert_allclose(at, np.dstack([u, v]), atol=1e-3)


def test_no_depth_is_nan_and_never_behind() -> None:
    depth, _ = check_frame([[0, np.inf, -1, np.nan, 2.0]], CAMERA)
    assert np.isnan(depth[0, :4]).all() and depth[0, 4] == 2
    assert np.isnan(back_project(depth, CAMERA)[0, 0]).all()
    assert np.isnan(project(np.array([[0.1, 0.1, -1.0]]), CAMERA)).all()


@pytest.mark.parametrize(
    ("depth", "camera", "told"),
    [
        (np.zeros((4, 4)), CAMERA, "got none"),
        (np.ones((4, 4, 3)), CAMERA, "one channel"),
        (np.ones((4, 4)), np.eye(4), "calibrate"),
        (np.ones((4, 4)), np.diag([-1.0, 1, 1]), "calibrate"),
        (np.ones((4, 4)), np.full((3, 3), np.nan), "calibrate"),
    ],
)
def test_what_is_no_frame_is_refused(depth: np.ndarray, camera: np.ndarray, told: str) -> None:
    with pytest.raises(InputError, match=told):
        check_frame(depth, camera)


def test_smoothing_stays_within_an_object_and_closes_small_holes() -> None:
    rng = np.random.default_rng(0)
    owner = np.zeros((40, 40), np.int32)
    owner[:, 20:] = 1
    true = np.where(owner > 0, 0.5, 0.6).astype(np.float32)
    depth = true + rng.normal(0, 0.001, true.shape).astype(np.float32)
    depth[rng.random(true.shape) < 0.2] = np.nan
    depth[5:16, 5:16] = np.nan  # a large hole stays one
    clean = smoothed(depth, owner)
    assert np.isnan(clean[9:12, 9:12]).all()
    assert np.isfinite(clean).mean() > 0.93
    assert np.nanstd(clean - true) < 0.0005
    assert np.nanmax(np.abs(clean - true)) < 0.003


def test_what_shows_behind_is_cut_off() -> None:
    depths = np.concatenate([np.linspace(0.4, 0.5, 60), np.linspace(0.7, 0.72, 20)]).astype(np.float32)
    assert main_part(depths).tolist() == [True] * 60 + [False] * 20
    assert main_part(np.zeros(0, np.float32)).tolist() == []


@given(st.integers(0, 2**31 - 1))
@settings(max_examples=25, deadline=None)
def test_perpendicular_makes_a_right_handed_frame(seed: int) -> None:
    ways = np.random.default_rng(seed).normal(size=(5, 3))
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    first, second = perpendicular(ways)
    turn = np.stack([first, second, ways], axis=2)
    np.testing.assert_allclose(np.linalg.det(turn), 1, atol=1e-9)
    np.testing.assert_allclose(
        turn.transpose(0, 2, 1) @ turn, np.broadcast_to(np.eye(3), (5, 3, 3)), atol=1e-9
    )


def test_a_box_is_found_as_it_is() -> None:
    rng = np.random.default_rng(1)
    half = np.array([0.1, 0.04, 0.02])
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    turn *= np.linalg.det(turn)
    cloud = (rng.uniform(-1, 1, (20_000, 3)) * half) @ turn.T + (0.1, 0.2, 0.8)
    box = oriented_box(cloud)
    assert box is not None
    np.testing.assert_allclose(box.extent, 2 * half * 0.98, rtol=0.02)
    np.testing.assert_allclose(box.pose[:3, 3], (0.1, 0.2, 0.8), atol=0.002)
    assert abs(box.pose[:3, 0] @ turn[:, 0]) > 0.999
    assert np.linalg.det(box.pose[:3, :3]) == pytest.approx(1)
    assert oriented_box(cloud[:3]) is None


def test_local_planes_have_the_normals_of_a_ball() -> None:
    rng = np.random.default_rng(2)
    way = rng.normal(size=(4000, 3))
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    way = way[way[:, 2] < -0.3]
    cloud = way * 0.05 + (0, 0, 0.6)
    normals, means, spread = local_planes(cloud, cloud[:50], 0.01)
    assert ((normals * way[:50]).sum(axis=1) > 0.99).mean() > 0.95
    assert np.linalg.norm(means - cloud[:50], axis=1).max() < 0.01
    assert (spread[:, 1] >= spread[:, 0]).all()
    assert np.isnan(local_planes(cloud[:5], cloud[:2], 0.01)[0]).all()


def scattered(normal: tuple[float, float, float], distance: float, count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    way = np.array(normal) / np.linalg.norm(normal)
    first, second = perpendicular(way)
    flat = rng.uniform(-0.3, 0.3, (count, 2))
    return (
        flat[:, :1] * first + flat[:, 1:] * second - way * distance + rng.normal(0, 0.001, (count, 1)) * way
    )


def test_planes_are_found_one_after_another() -> None:
    floor, wall = scattered((0, 0, -1), 0.8, 3000, 0), scattered((1, 0, -0.2), 0.5, 1500, 1)
    noise = np.random.default_rng(2).uniform((-0.3, -0.3, 0.4), (0.3, 0.3, 0.8), (400, 3))
    planes = find_planes(np.concatenate([wall, noise, floor]))
    assert [round(p.support, 1) for p in planes[:2]] == [0.6, 0.3]
    np.testing.assert_allclose(planes[0].normal, (0, 0, -1), atol=0.01)
    assert planes[0].offset == pytest.approx(0.8, abs=0.002)
    fitted = fit_plane(floor)
    assert fitted is not None
    assert planes[0].normal @ fitted.normal > 0.9999  # least squares over the floor alone


def test_nothing_is_no_plane() -> None:
    line = np.linspace(0, 1, 80)[:, None] * np.array([[1.0, 2, 3]])
    assert find_plane(line) is None and fit_plane(line) is None
    assert find_plane(line[:20]) is None and find_planes(np.zeros((0, 3))) == []


def test_the_support_is_below_all_objects_and_faces_the_camera_unless_told() -> None:
    floor, wall = scattered((0, 0, -1), 0.8, 3000, 0), scattered((1, 0, -0.2), 0.5, 3500, 1)
    planes = find_planes(np.concatenate([wall, floor]))
    thing = np.random.default_rng(3).uniform((-0.05, -0.05, 0.7), (0.05, 0.05, 0.79), (500, 3))
    found = support_of(planes, [thing])
    assert found is not None and found.normal[2] < -0.99
    told = support_of(planes, [thing], up=np.array([1.0, 0, 0]))
    assert told is not None and told.normal[0] > 0.9
    assert support_of(planes, [thing + np.array([0, 0, 0.5])]) is None  # behind the floor
    assert support_of([], [thing]) is None and support_of(planes, []) is None
