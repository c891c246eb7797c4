"""Round fruit: silhouettes of balls, projected point by point, give back the radius they were made with."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.apply.crops import sizes
from delineate.apply.plane_scale import PlaneScale, transformed
from delineate.apply.round_fruit import ASSUMED, Lens, balls, likely_lens, tilt_focal
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.core.polygons import Polygon

SIZE = (900, 1200)
FOCAL, DISTANCE = 1300.0, 400.0


def pose(tilt: float, focal: float = FOCAL) -> np.ndarray:
    """(3, 4) camera over a table, x right and y down in the picture, z up from the table."""
    t = np.radians(tilt)
    rotation = np.array([[1, 0, 0], [0, np.cos(t), -np.sin(t)], [0, np.sin(t), np.cos(t)]])
    rotation = rotation @ np.diag([1.0, 1.0, -1.0])
    lens = np.array([[focal, 0, SIZE[1] / 2], [0, focal, SIZE[0] / 2], [0, 0, 1.0]])
    return lens @ np.column_stack([rotation, [0, 0, DISTANCE]])


def plane(camera: np.ndarray, samples: np.ndarray | None = None) -> PlaneScale:
    return PlaneScale(np.linalg.inv(camera[:, [0, 1, 3]]), "test", samples=samples)


def silhouette(camera: np.ndarray, x: float, y: float, radius: float) -> np.ndarray:
    """The hull of what all points of a ball's surface are projected to."""
    up, around = np.meshgrid(np.linspace(0, np.pi, 500), np.linspace(0, 2 * np.pi, 500))
    ball = np.stack([np.sin(up) * np.cos(around), np.sin(up) * np.sin(around), np.cos(up)], axis=-1)
    points = ball.reshape(-1, 3) * radius + (x, y, radius)
    seen = points @ camera[:, :3].T + camera[:, 3]
    hull = cv2.convexHull((seen[:, :2] / seen[:, 2:]).astype(np.float32))
    return np.asarray(hull[:, 0], np.float64)


@settings(max_examples=15, deadline=None)
@given(st.floats(0, 40), st.floats(-90, 90), st.floats(-70, 70), st.floats(4, 40))
def test_the_radius_comes_back(tilt: float, x: float, y: float, radius: float) -> None:
    camera = pose(tilt)
    found = balls([silhouette(camera, x, y, radius)], SIZE, plane(camera), Lens(FOCAL))
    assert found.radius[0] == pytest.approx(radius, rel=2e-4)
    foot = transformed(camera[:, [0, 1, 3]], [[x, y]])
    assert np.allclose(found.feet, foot, atol=0.1)


@pytest.mark.parametrize("tilt", [0, 25])
def test_all_lengths_are_a_balls(tilt: float) -> None:
    camera = pose(tilt)
    outlines = [silhouette(camera, x, 30.0, 15.0) for x in (-60.0, 50.0)]
    masks = Masks.from_polygons([[Polygon(one)] for one in outlines], SIZE)
    objects = Instances(SIZE, masks=masks)
    found, flat = (sizes(objects, plane(camera), lens=lens) for lens in (Lens(FOCAL), None))
    for kind in ("equal_area", "feret", "feret_min", "ellipse"):
        assert found.diameter(kind) == pytest.approx([30, 30], rel=0.012)
    assert found.volume == pytest.approx([np.pi / 6 * 30**3] * 2, rel=0.02)
    assert (flat.diameter() > 1.03 * found.diameter()).all()
    nothing = sizes(objects[:0], plane(camera), lens=Lens(FOCAL))
    assert nothing.area.shape == (0,) and nothing.feet.shape == (0, 2)


def test_an_object_without_pixels_stays_unknown() -> None:
    dense = np.zeros((2, 90, 120), bool)
    dense[0, 30:50, 30:50] = True
    found = sizes(
        Instances((90, 120), masks=Masks.from_dense(dense)), PlaneScale.of_pixel(0.5), lens=Lens(150)
    )
    assert np.isfinite(found.diameter_error()[0]) and np.isnan(found.diameter_error()[1])


def test_a_camera_from_above_is_the_same_as_the_scale_of_its_pixels() -> None:
    ring = silhouette(pose(0), 40.0, 10.0, 12.0)
    camera = PlaneScale.of_camera(SIZE, DISTANCE, FOCAL)
    pixel = PlaneScale.of_pixel(DISTANCE / FOCAL)
    for scale in (camera, pixel):
        assert balls([ring], SIZE, scale, Lens(FOCAL)).radius[0] == pytest.approx(12, rel=2e-4)


def test_an_unknown_focal_length_widens_the_error() -> None:
    camera = pose(0)
    ring = silhouette(camera, -30.0, 20.0, 17.0)
    known, unknown = (balls([ring], SIZE, plane(camera), lens) for lens in (Lens(FOCAL), Lens(1200, ASSUMED)))
    assert unknown.error[0] > 2 * known.error[0] > 0
    assert abs(unknown.radius[0] / 17 - 1) < unknown.error[0]


def test_the_focal_length_by_the_tilt() -> None:
    rng = np.random.default_rng(0)

    def shaken(tilt: float) -> PlaneScale:
        exact = pose(tilt)[:, [0, 1, 3]]
        corners = np.array([[0, 0], [60, 0], [60, 60], [0, 60]], np.float32)
        seen = transformed(exact, corners)
        drawn = [
            cv2.getPerspectiveTransform((seen + rng.normal(0, 0.1, (4, 2))).astype(np.float32), corners)
            for _ in range(60)
        ]
        return PlaneScale(np.linalg.inv(exact), "test", samples=np.stack(drawn))

    told = tilt_focal(shaken(30), SIZE)
    assert told is not None and told.focal == pytest.approx(FOCAL, rel=1e-6) and told.error < 0.1
    assert likely_lens(shaken(30), SIZE).focal == pytest.approx(FOCAL, rel=0.01)
    for nothing in (shaken(0), plane(pose(0)), PlaneScale.of_pixel(0.3)):
        assert likely_lens(nothing, SIZE) == Lens(1200, ASSUMED, "assumed: the picture's longer side")


@pytest.mark.parametrize("focal", [0, -3, float("nan")])
def test_no_focal_length(focal: float) -> None:
    with pytest.raises(InputError, match="pixels above 0"):
        Lens(focal)
