import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.core.errors import InputError
from delineate.tracking.ground import Camera, Ground, calibrate

PLAIN = Camera((1000.0, 1000.0), (959.5, 539.5), 1.5)


def test_a_camera_is_a_pinhole_above_a_plane():
    """By hand: a foot h below the camera at distance d is f h / d pixels below the horizon."""
    ground = Ground.of_camera(PLAIN)
    pixels = ground.to_image([[15.0, 0.0], [30.0, 3.0], [30.0, -3.0]])
    np.testing.assert_allclose(pixels, [[960, 640], [860, 590], [1060, 590]], atol=1e-9)
    np.testing.assert_allclose(ground.to_ground(pixels), [[15, 0], [30, 3], [30, -3]], atol=1e-9)
    np.testing.assert_array_equal(ground.viewpoint, [0, 0])


@settings(max_examples=60, deadline=None)
@given(
    pitch=st.floats(-5, 80), roll=st.floats(-20, 20), yaw=st.floats(-180, 180), height=st.floats(0.3, 30),
    x=st.floats(-9, 9), ahead=st.floats(0.5, 60), aside=st.floats(-0.4, 0.4),
)  # fmt: skip
def test_there_and_back(pitch, roll, yaw, height, x, ahead, aside):
    ground = Ground.of_camera(Camera((900, 950), (640, 360), height, pitch, roll, yaw, (x, -x)))
    turn = np.radians(yaw)
    along, across = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
    here = (np.array([x, -x]) + ahead * along + aside * ahead * across)[None]
    pixel = ground.to_image(here)
    if np.isfinite(pixel).all():
        np.testing.assert_allclose(ground.to_ground(pixel), here, rtol=1e-6, atol=1e-6)


def test_opencv_projects_alike_with_a_lens():
    import cv2

    lens = (-0.28, 0.07, 0.001, -0.0005)
    camera = Camera((800.0, 820.0), (640.0, 360.0), 2.0, pitch=12.0, distortion=lens)
    places = np.array([[6.0, 1.0], [12.0, -3.0], [25.0, 4.0], [9.0, 3.0]])
    pitch = np.radians(12)
    down = np.array([[0, -1, 0], [-np.sin(pitch), 0, -np.cos(pitch)], [np.cos(pitch), 0, -np.sin(pitch)]])
    rotation, _ = cv2.Rodrigues(down)
    shift = -down @ np.array([0, 0, 2.0])
    matrix = np.array([[800.0, 0, 640], [0, 820, 360], [0, 0, 1]])
    solid = np.column_stack([places, np.zeros(4)])
    expected, _ = cv2.projectPoints(solid, rotation, shift, matrix, np.array(lens))
    ground = Ground.of_camera(camera)
    np.testing.assert_allclose(ground.to_image(places), expected[:, 0] + 0.5, atol=1e-6)
    np.testing.assert_allclose(ground.to_ground(expected[:, 0] + 0.5), places, atol=1e-4)


def test_the_sky_has_no_place():
    ground = Ground.of_camera(PLAIN)
    assert np.isnan(ground.to_ground([[960, 500], [960, 540]])).all()
    assert np.isnan(ground.to_image([[-5.0, 0.0]])).all()
    assert np.isnan(ground.covariance([[960, 500]], [1.0])).all()


def test_no_points():
    ground = Ground.of_camera(PLAIN)
    assert ground.to_ground([]).shape == (0, 2)
    assert ground.covariance([], []).shape == (0, 2, 2)


def test_a_bare_matrix_knows_its_ground_by_the_pictures_foot():
    matrix = Ground.of_camera(PLAIN).homography
    for sign in (1, -7.5):
        np.testing.assert_allclose(
            Ground.of_matrix(sign * matrix, (1080, 1920)).to_ground([[960, 640]]), [[15, 0]], atol=1e-9
        )


def test_spread_is_what_small_steps_of_the_pixels_do():
    ground = Ground.of_camera(Camera((1000, 1000), (960, 540), 4.0, 8.0, 3.0))
    at, step = np.array([[700.0, 700.0], [1200.0, 620.0]]), 1e-4
    slopes = [(ground.to_ground(at + d) - ground.to_ground(at - d)) / (2 * step) for d in step * np.eye(2)]
    np.testing.assert_allclose(ground.jacobian(at), np.stack(slopes, axis=2), rtol=1e-6)
    rng = np.random.default_rng(0)
    cloud = ground.to_ground(at[0] + rng.normal(0, (0.4, 0.2), (40000, 2)))
    np.testing.assert_allclose(
        np.cov(cloud.T), ground.covariance(at[:1], [[0.4, 0.2]])[0], rtol=0.05, atol=1e-6
    )


def test_calibration_finds_the_camera_and_tells_its_residuals():
    truth = Ground.of_camera(Camera((1000, 1000), (960, 540), 6.0, 20.0))
    places = np.array([[8, -3], [8, 3], [16, -5], [16, 5], [25, 0], [12, 1], [20, 4.0]])
    pixels = truth.to_image(places)
    exact = calibrate(pixels, places)
    assert exact.metres.max() < 1e-6 and exact.pixels.max() < 1e-6
    np.testing.assert_allclose(exact.ground.to_ground([[900, 800]]), truth.to_ground([[900, 800]]), rtol=1e-8)
    clicked = pixels + np.random.default_rng(1).normal(0, 1.0, pixels.shape)
    noisy = calibrate(clicked, places)
    assert 0.1 < noisy.pixels.mean() < 2 and noisy.metres.max() < 0.5
    assert "7 points" in str(noisy)


def test_calibration_is_opencvs():
    import cv2

    rng = np.random.default_rng(5)
    truth = Ground.of_camera(Camera((1000, 1000), (960, 540), 6.0, 20.0))
    places = rng.uniform((8, -6), (30, 6), (12, 2))
    pixels = truth.to_image(places) + rng.normal(0, 0.5, (12, 2))
    theirs, _ = cv2.findHomography(places, pixels, 0)
    ours = np.linalg.inv(calibrate(pixels, places).ground.homography)
    np.testing.assert_allclose(ours / ours[2, 2], theirs, rtol=2e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("pixels", "metres", "told"),
    [
        ([[0, 0], [1, 0], [1, 1]], [[0, 0], [1, 0], [1, 1]], "at least 4"),
        ([[0, 0], [1, 0], [2, 0], [3, 0]], [[0, 0], [1, 0], [2, 0], [3, 0]], "on a line"),
        ([[0, 0], [1, 1], [2, 2], [3, 0]], [[0, 0], [1, 1], [2, 2], [3, 0]], "on a line"),
        ([[0, 0], [1, 0], [1, 1], [0, np.nan]], [[0, 0], [1, 0], [1, 1], [0, 1]], "finite"),
        ([[5, 5]] * 4, [[1, 1]] * 4, "on a line"),
    ],
)
def test_points_that_fix_no_plane(pixels, metres, told):
    with pytest.raises(InputError, match=told):
        calibrate(pixels, metres)


@pytest.mark.parametrize(
    "wrong",
    [
        {"height": 0.0}, {"height": -1.0}, {"focal": (0.0, 1.0)}, {"pitch": float("nan")},
        {"distortion": (0.1, 0.2)},
    ],
)  # fmt: skip
def test_no_camera(wrong):
    with pytest.raises(InputError, match="camera"):
        Camera(**{"focal": (1000.0, 1000.0), "center": (0.0, 0.0), "height": 1.0, **wrong})


def test_no_homography():
    for matrix in (np.zeros((3, 3)), np.ones((3, 3)), np.eye(2), np.full((3, 3), np.inf)):
        with pytest.raises(InputError, match="homography"):
            Ground.of_matrix(matrix)
