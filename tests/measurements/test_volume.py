"""Stacks: balls, boxes and ellipsoids of known size, and scikit-image on the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from skimage.measure import marching_cubes, mesh_surface_area, regionprops_table

from delineate.core.errors import InputError
from delineate.measurements import volume_table
from delineate.measurements.crofton import STEPS, direction_weights

ISOTROPIC = (0.04577789120476 * 2, 0.03698062787608 * 2, 0.03519563978232 * 2)
"""Weights of axes, face diagonals and space diagonals, both ways: Lehmann and Legland 2012, table 2."""


def ellipsoid(
    axes: tuple[float, float, float], spacing: tuple[float, float, float] = (1, 1, 1)
) -> np.ndarray:
    """Voxels whose centre lies in an ellipsoid of these half axes."""
    far = [int(a / s) + 2 for a, s in zip(axes, spacing, strict=True)]
    places = np.meshgrid(
        *(np.arange(-n, n + 1) * s for n, s in zip(far, spacing, strict=True)), indexing="ij"
    )
    return (sum((p / a) ** 2 for p, a in zip(places, axes, strict=True)) <= 1).astype(np.int32)


def true_surface(axes: tuple[float, float, float]) -> float:
    """Surface of an ellipsoid by numerical integration over the sphere."""
    a, b, c = axes
    t = (np.arange(400) + 0.5) / 400 * np.pi
    f = (np.arange(800) + 0.5) / 800 * 2 * np.pi
    t, f = np.meshgrid(t, f, indexing="ij")
    u = (b * c * np.sin(t) * np.cos(f)) ** 2 + (a * c * np.sin(t) * np.sin(f)) ** 2 + (a * b * np.cos(t)) ** 2
    return float((np.sqrt(u) * np.sin(t)).sum() * (np.pi / 400) * (2 * np.pi / 800))


def test_weights_are_the_published_ones_and_sum_to_one() -> None:
    for step, weight in zip(STEPS, direction_weights((1, 1, 1)), strict=True):
        assert weight == pytest.approx(ISOTROPIC[sum(abs(s) for s in step) - 1], rel=1e-6)
    assert direction_weights((3, 1, 0.5)).sum() == pytest.approx(1)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0), (1.0, 0.5, 0.7)])
@pytest.mark.parametrize("axes", [(15.0, 15.0, 15.0), (12.0, 18.0, 24.0)])
def test_balls_and_ellipsoids_have_the_known_size(
    axes: tuple[float, float, float], spacing: tuple[float, float, float]
) -> None:
    row = volume_table(ellipsoid(axes, spacing), voxel_size=spacing).iloc[0]
    volume = 4 / 3 * np.pi * np.prod(axes)
    assert row["volume_um3"] == pytest.approx(volume, rel=0.01)
    assert row["surface_area_um2"] == pytest.approx(true_surface(axes), rel=0.035)
    names = ("axis_minor_length_um", "axis_middle_length_um", "axis_major_length_um")
    assert [row[n] for n in names] == pytest.approx([2 * a for a in sorted(axes)], rel=0.02)
    sphericity = np.pi ** (1 / 3) * (6 * volume) ** (2 / 3) / true_surface(axes)
    assert row["sphericity"] == pytest.approx(sphericity, rel=0.035)


def test_a_box_meets_lines_as_counted_by_hand() -> None:
    sides = np.array([6, 9, 14])
    row = volume_table(np.pad(np.ones(sides, np.uint8), 2)).iloc[0]
    steps = np.abs(np.array(STEPS))
    chords = sides.prod() - np.prod(sides - steps, axis=1)
    expected = 4 * direction_weights((1, 1, 1)) @ (chords / np.linalg.norm(steps, axis=1))
    assert row["surface_area"] == pytest.approx(expected)
    assert row["volume"] == sides.prod() and row["extent"] == 1
    true = 2 * (6 * 9 + 9 * 14 + 6 * 14)
    assert 0.86 * true < row["surface_area"] < true  # flat faces along the axes come out small


def test_real_nuclei_measure_as_in_scikit_image(data_dir: Path) -> None:
    folder = data_dir / "formats" / "stardist_example"
    labels, image = tifffile.imread(folder / "mask3d.tif"), tifffile.imread(folder / "img3d.tif")
    spacing = (2.0, 0.5, 0.5)
    ours = volume_table(labels, image, spacing)
    shared = {
        "volume_um3": "area",
        "axis_major_length_um": "axis_major_length",
        "axis_minor_length_um": "axis_minor_length",
        "equivalent_diameter_um": "equivalent_diameter_area",
        "extent": "extent",
        "label": "label",
        "intensity_mean": "intensity_mean",
        "intensity_max": "intensity_max",
        "intensity_std": "intensity_std",
    }
    with np.errstate(invalid="ignore"):
        peer = regionprops_table(
            labels, image, properties=(*shared.values(), "bbox", "centroid"), spacing=spacing
        )
    for name, theirs in shared.items():
        np.testing.assert_allclose(ours[name], peer[theirs], rtol=1e-6, atol=1e-6, err_msg=name)
    for k in range(6):
        assert ours[f"bbox-{k}"].tolist() == peer[f"bbox-{k}"].tolist()
    for k in range(3):
        np.testing.assert_allclose(ours[f"centroid-{k}_um"], peer[f"centroid-{k}"])


@pytest.mark.parametrize("radius", [8, 16])
def test_surface_beside_a_mesh(radius: int) -> None:
    ball = ellipsoid((radius, radius, radius))
    vertices, faces, *_ = marching_cubes(ball.astype(float), 0.5)
    ours = volume_table(ball)["surface_area"][0]
    exact = 4 * np.pi * radius**2
    mesh = mesh_surface_area(vertices, faces)  # of stairs, some 8 per cent large
    assert abs(ours - exact) < abs(mesh - exact)
    assert ours == pytest.approx(mesh, rel=0.12)


def test_large_and_sparse_labels() -> None:
    stack = np.zeros((4, 5, 6), np.int64)
    stack[1:3, 1:3, 1:3] = 2**40
    stack[0, 0, 0] = 9
    frame = volume_table(stack, np.arange(stack.size * 2).reshape(4, 5, 6, 2))
    assert frame["label"].tolist() == [9, 2**40]
    assert frame["num_voxels"].tolist() == [1, 8]
    assert frame["touches_border"].tolist() == [True, False]
    assert frame["degenerate"].tolist() == [True, False]
    assert frame["intensity_mean-1"][0] == 1
    assert frame.attrs["size"] == (4, 5, 6) and frame.attrs["coverage"] == pytest.approx(9 / 120)


def test_an_empty_stack_has_the_same_columns() -> None:
    image = np.zeros((3, 4, 5), np.uint8)
    none = volume_table(np.zeros((3, 4, 5), np.int32), image, 0.5)
    some = volume_table(np.ones((3, 4, 5), np.int32), image, 0.5)
    assert none.columns.tolist() == some.columns.tolist() and len(none) == 0
    assert set(some.attrs["sources"]) == set(some.columns)
    assert some.attrs["units"]["volume_um3"] == "µm^3"


@pytest.mark.parametrize(
    ("labels", "settings", "message"),
    [
        (np.zeros((2, 2), int), {}, "expected a stack of integers"),
        (np.zeros((2, 2, 2)), {}, "expected a stack of integers"),
        (np.full((2, 2, 2), -1), {}, "expected labels >= 0"),
        (np.zeros((2, 2, 2), int), {"voxel_size": 0}, "pixel_size: expected"),
        (np.zeros((2, 2, 2), int), {"voxel_size": (1, 2)}, "pixel_size: expected"),
        (np.zeros((2, 2, 2), int), {"voxel_size": (1, 2, float("nan"))}, "pixel_size: expected"),
        (np.zeros((2, 2, 2), int), {"image": np.zeros((2, 2))}, "expected an image of numbers"),
    ],
)
def test_what_is_no_stack_is_refused(labels: np.ndarray, settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        volume_table(labels, **settings)
