"""Sizes on a plane: against scikit-image without a scale, against exact ellipses through any homography."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import regionprops

from delineate.apply.crops import KINDS, feret, sizes
from delineate.apply.plane_scale import PlaneScale, local_scale, tilted_by, transformed
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.core.polygons import Polygon


def blobs() -> np.ndarray:
    labels = np.zeros((80, 90), int)
    y, x = np.mgrid[:80, :90]
    labels[((x - 22) / 15) ** 2 + ((y - 20) / 9) ** 2 <= 1] = 1
    labels[((x - 60) + (y - 25)) ** 2 / 300 + ((x - 60) - (y - 25)) ** 2 / 80 <= 1] = 2
    labels[50:70, 10:30] = 3
    labels[55:60, 15:20] = 0  # a hole
    labels[75, 60] = 4
    return labels


def test_without_a_scale_they_are_scikit_images() -> None:
    labels = blobs()
    found = sizes(Instances(labels.shape, masks=Masks.from_label_image(labels)))
    for i, region in enumerate(regionprops(labels)):
        assert found.area[i] == pytest.approx(region.area)
        assert (found.y[i] - 0.5, found.x[i] - 0.5) == pytest.approx(region.centroid)
        square = 16 / 12  # theirs are those of the pixels' middles, ours of the pixels as squares
        assert found.axis_major_length[i] ** 2 - square == pytest.approx(
            region.axis_major_length**2, abs=1e-9
        )
        assert found.axis_minor_length[i] ** 2 - square == pytest.approx(
            region.axis_minor_length**2, abs=1e-9
        )
        assert found.equivalent_diameter_area[i] == pytest.approx(region.equivalent_diameter_area)
        if region.area > 1:
            assert found.feret_diameter_max[i] == pytest.approx(region.feret_diameter_max, rel=0.01)


def test_feret_diameters_are_nearly_those_of_the_measurements() -> None:
    from delineate.engine.measure import measure

    labels = blobs()
    objects = Instances(labels.shape, masks=Masks.from_label_image(labels))
    frame, found = measure(objects), sizes(objects)
    assert np.allclose(found.feret_diameter_max, frame["feret_diameter_max"], atol=0.3)
    assert np.allclose(found.feret_diameter_min, frame["feret_diameter_min"], atol=0.3)


@settings(max_examples=25, deadline=None)
@given(
    st.floats(0, 50), st.floats(-180, 180), st.floats(8, 30), st.floats(0.5, 1), st.floats(-60, 60),
    st.floats(-40, 40),
)  # fmt: skip
def test_a_tilted_camera_measures_as_one_straight_above(
    tilt: float, turn: float, long: float, ratio: float, x: float, y: float
) -> None:
    """An ellipse on the plane, drawn through a tilted camera, has its own axes again."""
    camera = PlaneScale.of_camera((900, 1200), 400, 1500, tilt)
    around = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    u, v = long / 2 * np.cos(around), long * ratio / 2 * np.sin(around)
    # the plane's zero is where the camera stands; the middle of the picture lies tan(tilt) further
    ahead = -400 * np.tan(np.radians(tilt))
    plane = np.stack([x + c * u - s * v, ahead + y + s * u + c * v], axis=1)
    outline = transformed(np.linalg.inv(camera.homography), plane)
    if outline.min() < 2 or outline[:, 0].max() > 1198 or outline[:, 1].max() > 898:
        return
    found = sizes(
        Instances((900, 1200), masks=Masks.from_polygons([[Polygon(outline)]], (900, 1200))), camera
    )
    pixel = found.unit_per_pixel[0]
    assert found.axis_major_length[0] == pytest.approx(long, abs=0.8 * pixel)
    assert found.axis_minor_length[0] == pytest.approx(long * ratio, abs=0.8 * pixel)
    assert found.volume[0] == pytest.approx(np.pi / 6 * long**3 * ratio**2, rel=2.5 * pixel / (long * ratio))
    assert 0 < found.edge_error[0] < 0.2 * long


def test_every_kind_of_diameter_of_a_disk_is_its_diameter() -> None:
    disk = np.hypot(*np.mgrid[-40:41, -40:41]) <= 40.3
    found = sizes(Instances(disk.shape, masks=Masks.from_dense(disk[None])), PlaneScale.of_pixel(0.25))
    for kind in KINDS:
        assert found.diameter(kind)[0] == pytest.approx(20.2, rel=0.02)
        assert found.diameter_error(kind)[0] == pytest.approx(0.25)
    with pytest.raises(InputError, match="expected one of equal_area, feret"):
        found.diameter("girth")


def test_nothing_and_empty_masks() -> None:
    assert len(sizes(Instances.empty((5, 5))).area) == 0
    hollow = Instances((5, 5), masks=Masks.from_dense(np.zeros((1, 5, 5), bool)))
    assert np.isnan(sizes(hollow, PlaneScale.of_pixel(1)).area).all()
    assert np.isnan(sizes(hollow).diameter()).all()
    with pytest.raises(InputError, match="expected masks"):
        sizes(Instances((5, 5), boxes=[[0, 0, 2, 2]]))


def test_one_point_has_no_feret_diameter() -> None:
    assert feret(np.array([[3.0, 3.0]])) == (0.0, 0.0)


def test_an_error_of_the_scale_adds_to_that_of_the_outline() -> None:
    disk = np.hypot(*np.mgrid[-20:21, -20:21]) <= 20
    scale = PlaneScale.of_pixel(1.0, relative_error=0.1)
    found = sizes(Instances(disk.shape, masks=Masks.from_dense(disk[None])), scale, edge=2.0)
    assert found.diameter_error()[0] == pytest.approx(np.hypot(0.1 * found.diameter()[0], 4.0))


def test_the_scale_of_a_homography_is_that_of_its_derivative() -> None:
    camera = PlaneScale.of_camera((600, 800), 500, 700, 20)
    place, step = np.array([[300.0, 200.0]]), 1e-3
    right = camera.to_mm(place + np.array([step, 0])) - camera.to_mm(place)
    down = camera.to_mm(place + np.array([0, step])) - camera.to_mm(place)
    area = abs(right[0, 0] * down[0, 1] - right[0, 1] * down[0, 0]) / step**2
    assert camera.mm_per_pixel(place)[0] == pytest.approx(np.sqrt(area), rel=1e-4)


def test_a_plane_tilted_at_a_place_keeps_its_scale_there_alone() -> None:
    flat = PlaneScale.of_pixel(0.5).homography
    up, down = tilted_by(flat, (100, 50), [[1e-4, 0], [-1e-4, 0]])
    for tilted in (up, down):
        assert local_scale(tilted, [[100, 50]])[0] == pytest.approx(0.5)
        assert transformed(tilted, [[100, 50]])[0] == pytest.approx([50, 25])
    assert local_scale(up, [[900, 50]])[0] > 0.55 > 0.45 > local_scale(down, [[900, 50]])[0]


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: PlaneScale.of_pixel(0), "positive number of millimetres per pixel, got 0"),
        (lambda: PlaneScale.of_pixel(float("nan")), "positive number"),
        (lambda: PlaneScale(np.zeros((3, 3)), ""), "can be inverted"),
        (lambda: PlaneScale(np.eye(3), "", -1), "error of 0 or more"),
        (lambda: PlaneScale.of_camera((9, 9), 0, 5), "height and a focal length above 0"),
        (lambda: PlaneScale.of_camera((900, 900), 100, 300, 80), "horizon inside"),
    ],
)
def test_scales_that_are_none(make, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
