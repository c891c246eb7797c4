"""Groups of a stack: against plain loops, SciPy on the whole, and the same in two dimensions."""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import distance_transform_edt
from scipy.spatial import Delaunay
from scipy.spatial.distance import cdist

import delineate
from delineate.core.errors import InputError
from delineate.measurements import Groups, volume_table
from delineate.measurements.texture import FEATURES, haralick, levels_of
from delineate.measurements.volume_groups import delaunay_pairs_3d, touching_voxels

SPACING = (2.0, 0.5, 0.5)


def stack_of_balls(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.zeros((9, 40, 50), np.uint16)
    z, y, x = np.indices(labels.shape)
    for k in range(14):
        middle = random.uniform((1, 4, 4), (8, 36, 46))
        far = ((z - middle[0]) * 2) ** 2 + (y - middle[1]) ** 2 + (x - middle[2]) ** 2
        labels[(far < random.uniform(10, 40)) & (labels == 0)] = 10 * (k + 1)
    return labels, random.integers(0, 1000, (*labels.shape, 2)).astype(np.uint16)


@given(arrays(np.int32, st.tuples(*[st.integers(1, 4)] * 3), elements=st.integers(0, 4)))
def test_touching_is_that_of_a_plain_loop(labels: np.ndarray) -> None:
    found: dict[tuple[int, int], int] = {}
    for place in itertools.product(*map(range, labels.shape)):
        for step in itertools.product((-1, 0, 1), repeat=3):
            other = tuple(np.add(place, step))
            if step <= (0, 0, 0) or min(other) < 0 or not np.less(other, labels.shape).all():
                continue
            i, j = sorted((int(labels[place]), int(labels[other])))
            if i and i != j:
                found[i, j] = found.get((i, j), 0) + (np.abs(step).sum() == 1)
    assert {(i, j): n for i, j, n in touching_voxels(labels).tolist()} == found


def test_delaunay_in_space_in_a_plane_and_on_a_line() -> None:
    points = np.random.default_rng(3).random((30, 3))
    wanted = {tuple(sorted(p)) for s in Delaunay(points).simplices for p in itertools.combinations(s, 2)}
    assert set(map(tuple, delaunay_pairs_3d(points).tolist())) == wanted
    flat = points * (0, 1, 1) + (5, 0, 0)
    wanted = {tuple(sorted(p)) for s in Delaunay(flat[:, 1:]).simplices for p in itertools.combinations(s, 2)}
    assert set(map(tuple, delaunay_pairs_3d(flat).tolist())) == wanted
    assert len(delaunay_pairs_3d(points[:4])) == 6
    assert delaunay_pairs_3d(np.outer(np.arange(4), (1, 2, 3))).tolist() == [[0, 1], [1, 2], [2, 3]]
    assert len(delaunay_pairs_3d(points[:1])) == len(delaunay_pairs_3d(points[:0])) == 0
    assert delaunay_pairs_3d(points[:2]).tolist() == [[0, 1]]


def test_the_nearest_in_physical_units() -> None:
    labels, _ = stack_of_balls()
    frame = volume_table(labels, voxel_size=SPACING, groups=Groups(neighbours=True, radius=20))
    points = frame[["centroid-0_um", "centroid-1_um", "centroid-2_um"]].to_numpy()
    away = cdist(points, points) + np.diag(np.full(len(points), np.inf))
    assert frame["nearest_distance_um"].to_numpy() == pytest.approx(away.min(axis=1))
    assert frame["nearest_label"].tolist() == frame["label"].to_numpy()[away.argmin(axis=1)].tolist()
    assert frame["neighbours_within_radius"].tolist() == (away <= 20 * 0.5).sum(axis=1).tolist()
    assert frame.attrs["units"]["nearest_distance_um"] == "µm"
    assert "nearest_distance" in volume_table(labels, groups=Groups(neighbours=True))


@pytest.mark.parametrize("at_once", [300, 10**6])
def test_background_is_the_nearest_shell(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules["delineate.measurements.volume_groups"]
    monkeypatch.setattr(module, "VOXELS_AT_ONCE", at_once)
    labels, image = stack_of_balls()
    frame = volume_table(labels, image, SPACING, groups=Groups(background=5))
    distance, nearest = distance_transform_edt(labels == 0, sampling=(4, 1, 1), return_indices=True)
    owner = np.where((distance > 0) & (distance <= 5), labels[tuple(nearest)], 0)
    # where two objects are equally near either may have the voxel
    for row in frame.to_dict("records"):
        mine = owner == row["label"]
        assert row["background_voxels"] == pytest.approx(mine.sum(), rel=0.06)
        own = image[labels == row["label"], 1].mean()
        assert row["intensity_less_background-1"] == pytest.approx(own - row["background_mean-1"])
        assert row["background_mean-1"] == pytest.approx(image[mine, 1].mean(), rel=0.05)
    assert frame["background_voxels"].sum() == (owner > 0).sum()


def test_texture_of_one_slice_is_that_of_the_image() -> None:
    labels, image = stack_of_balls()
    some = Groups(texture=True, levels=8)
    stack = volume_table(labels[4:5], image[4:5], groups=some)
    plane = delineate.measure(labels[4], image[4], texture=True, levels=8)
    for name in FEATURES:
        for channel in (0, 1):
            column = f"haralick_{name}-{channel}"
            np.testing.assert_allclose(stack[column], plane[column], err_msg=column)


def test_texture_over_13_directions_is_that_of_a_plain_loop() -> None:
    labels, image = stack_of_balls()
    frame = volume_table(labels, image[..., 0], groups=Groups(texture=True, levels=4))
    inside = image[labels > 0, 0]
    grey = levels_of(image[..., 0], inside.min(), inside.max(), 4)
    where = {tuple(p) for p in np.argwhere(labels == 20)}
    counts = np.zeros((13, 4, 4))
    steps = [s for s in itertools.product((-1, 0, 1), repeat=3) if s > (0, 0, 0)]
    for k, step in enumerate(steps):
        for place in where:
            other = tuple(np.add(place, step))
            if other in where:
                counts[k, grey[place], grey[other]] += 1
                counts[k, grey[other], grey[place]] += 1
    row = frame[frame["label"] == 20].iloc[0]
    for name, values in haralick(counts).items():
        assert row[f"haralick_{name}"] == pytest.approx(values.mean()), name


def test_empty_stacks_and_missing_images() -> None:
    empty = np.zeros((2, 3, 4), int)
    chosen = Groups(neighbours=True, radius=3, texture=True, background=2)
    frame = volume_table(empty, empty, groups=chosen)
    assert len(frame) == 0
    wanted = {"touching", "nearest_label", "background_mean", "haralick_asm", "neighbours_within_radius"}
    assert wanted <= set(frame.columns)
    one = np.zeros((3, 3, 3), int)
    one[1, 1, 1] = 5
    alone = volume_table(one, one, groups=chosen).iloc[0]
    assert np.isnan(alone["nearest_distance"]) and np.isnan(alone["haralick_asm"])
    assert alone["touching"] == 0 and alone["background_voxels"] == 26
    for missing in (Groups(texture=True), Groups(background=1)):
        with pytest.raises(InputError, match="expected an image for"):
            volume_table(empty, groups=missing)


def test_measure_takes_groups_of_a_stack() -> None:
    labels, image = stack_of_balls()
    frame = delineate.measure(labels, image, neighbours=True)
    assert isinstance(frame, pd.DataFrame) and {"touching", "delaunay_neighbours"} <= set(frame.columns)
