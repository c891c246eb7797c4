from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from delineate.core.batch import InputSpec
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.data.augment import Augment, augment, relight, scaled
from delineate.data.geometry import (
    inside,
    invert,
    leaves_border,
    map_points,
    place,
    warp_image,
    warp_instances,
)

OWN_SIZE = InputSpec(shortest_edge=None, longest_edge=None, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


def blobs(height: int = 60, width: int = 80, count: int = 12, seed: int = 0) -> np.ndarray:
    """(H, W) int32 label image of separate ellipses."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    labels = np.zeros((height, width), np.int32)
    for i in range(1, count + 1):
        cy, cx, ry, rx = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(4, 9), rng.uniform(4, 9)
        spot = ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 <= 1
        labels[spot & (labels == 0)] = i
    return labels


def truth_of(labels: np.ndarray) -> Instances:
    return Instances(labels.shape, masks=Masks.from_label_image(labels))


@pytest.mark.parametrize("quarters", range(4))
@pytest.mark.parametrize("mirror", [1.0, -1.0])
def test_symmetries_copy_every_pixel(quarters: int, mirror: float) -> None:
    labels = blobs(40, 40)
    turn = np.linalg.matrix_power(np.array([[0.0, -1.0], [1.0, 0.0]]), quarters)
    matrix = place(turn @ np.diag([mirror, 1.0]), (40, 40), (40, 40), np.random.default_rng(0))
    expected = np.rot90(labels[:, ::-1] if mirror < 0 else labels, -quarters)
    image = warp_image((labels / 20).astype(np.float32)[:, :, None], matrix, (40, 40))[:, :, 0]
    np.testing.assert_array_equal(image, (expected / 20).astype(np.float32))
    truth = truth_of(labels)
    moved = warp_instances(truth, matrix, (40, 40))
    assert len(moved) == len(truth)
    for i, value in enumerate(np.unique(labels)[1:]):
        np.testing.assert_array_equal(moved.masks[i].dense()[0], expected == value)


def test_whole_pixel_crop_is_a_slice() -> None:
    labels = blobs(50, 70)
    image = np.random.default_rng(1).random((50, 70, 3), dtype=np.float32)
    matrix = place(np.eye(2), (50, 70), (32, 32), np.random.default_rng(3))
    dx, dy = (-matrix[:, 2]).astype(int)
    np.testing.assert_array_equal(warp_image(image, matrix, (32, 32)), image[dy : dy + 32, dx : dx + 32])
    moved = warp_instances(truth_of(labels), matrix, (32, 32))
    np.testing.assert_array_equal(moved.masks.to_label_image() > 0, labels[dy : dy + 32, dx : dx + 32] > 0)


@settings(max_examples=40, deadline=None)
@given(
    st.floats(0.3, 3.0), st.floats(-180, 180), st.booleans(), st.integers(8, 200), st.integers(8, 200),
    st.integers(0, 99),
)  # fmt: skip
def test_map_and_its_inverse(
    zoom: float, angle: float, mirror: bool, height: int, width: int, seed: int
) -> None:
    a = np.radians(angle)
    linear = (
        zoom * np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) @ np.diag([-1 if mirror else 1, 1])
    )
    matrix = place(linear, (height, width), (64, 64), np.random.default_rng(seed))
    points = np.random.default_rng(seed).uniform(0, 100, (5, 2))
    np.testing.assert_allclose(map_points(invert(matrix), map_points(matrix, points)), points, atol=1e-6)
    corners = map_points(matrix, np.array([[0, 0], [width, 0], [0, height], [width, height]]))
    low, high = corners.min(axis=0), corners.max(axis=0)
    # A larger image covers the crop; a smaller one lies within it (to half a pixel, as shifts are whole).
    for axis in (0, 1):
        if high[axis] - low[axis] >= 65:
            assert low[axis] <= 0.5 + 1e-6 and high[axis] >= 63.5 - 1e-6
        elif high[axis] - low[axis] <= 63:
            assert low[axis] >= -0.5 - 1e-6 and high[axis] <= 64.5 + 1e-6
    assert leaves_border(matrix, (height, width), (64, 64)) or inside((height, width), matrix, (64, 64)).all()


@pytest.mark.parametrize("zoom", [0.5, 1.0, 1.7])
@pytest.mark.parametrize("angle", [0.0, 25.0])
def test_instances_follow_the_image(zoom: float, angle: float) -> None:
    labels = np.zeros((80, 100), np.int32)
    labels[10:40, 10:50], labels[45:75, 55:95], labels[45:70, 5:45] = 1, 2, 3
    values = (labels / 4).astype(np.float32)[:, :, None]
    a = np.radians(angle)
    linear = zoom * np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    matrix = place(linear, (80, 100), (96, 96), np.random.default_rng(5))
    moved = warp_instances(truth_of(labels), matrix, (96, 96))
    covered = warp_image((values > 0).astype(np.float32), matrix, (96, 96))[:, :, 0]
    valid = inside((80, 100), matrix, (96, 96))
    agree = (covered > 0.5) == (moved.masks.to_label_image() > 0)
    assert agree[valid & (np.abs(covered - 0.5) > 0.25)].all()  # all but pixels that are half covered
    crop = warp_image(values, matrix, (96, 96))[:, :, 0]
    found = [
        round(4 * float(np.median(crop[m.dense()[0]]))) for m in (moved.masks[i] for i in range(len(moved)))
    ]
    assert found == sorted(set(found)) and set(found) <= {1, 2, 3} and (len(found) == 3 or zoom > 1)


def test_areas_scale_with_the_zoom() -> None:
    labels = np.zeros((64, 64), np.int32)
    labels[16:48, 16:48] = 1
    for zoom in (0.5, 2.0):
        matrix = place(np.eye(2) * zoom, (64, 64), (128, 128), np.random.default_rng(0))
        moved = warp_instances(truth_of(labels), matrix, (128, 128))
        assert moved.masks.area.tolist() == [int(1024 * zoom**2)]


@pytest.mark.parametrize("angle", [0.0, 33.0])
def test_masks_one_by_one_equal_masks_on_one_label_image(angle: float) -> None:
    labels = blobs(70, 70, 14, seed=2)
    truth = truth_of(labels)
    a = np.radians(angle)
    linear = 1.3 * np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    matrix = place(linear, (70, 70), (60, 60), np.random.default_rng(1))
    together = warp_instances(truth, matrix, (60, 60))
    # One object that covers everything makes the masks overlap; the others must come out the same.
    everything = Masks.from_dense(np.ones((1, 70, 70), bool))
    overlapping = Instances((70, 70), masks=Masks.concatenate([truth.masks, everything]))
    apart = warp_instances(overlapping, matrix, (60, 60))
    assert len(apart) == len(together) + 1
    for i in range(len(together)):
        assert apart.masks[i].to_rle() == together.masks[i].to_rle()


@settings(max_examples=60, deadline=None)
@given(
    st.floats(0.2, 3), st.floats(0.2, 3), st.integers(0, 7), st.integers(5, 60), st.integers(5, 60),
    st.integers(0, 9),
)  # fmt: skip
def test_each_pixel_takes_the_masks_under_its_centre(
    wide: float, high: float, symmetry: int, height: int, width: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    masks = [blobs(height, width, 3, seed) == k for k in (1, 2, 3)] + [rng.random((height, width)) > 0.5]
    turn = np.linalg.matrix_power(np.array([[0.0, -1.0], [1.0, 0.0]]), symmetry % 4)
    matrix = place(turn @ np.diag([-wide if symmetry > 3 else wide, high]), (height, width), (30, 40), rng)
    moved = warp_instances(Instances((height, width), masks=Masks.from_dense(masks)), matrix, (30, 40))
    y, x = np.mgrid[0:30, 0:40] + 0.5
    places = map_points(invert(matrix), np.stack([x.ravel(), y.ravel()], axis=1))
    assume(np.abs(places - np.rint(places)).min() > 1e-6)  # a centre on a border belongs to either side
    at = np.floor(places).astype(int)
    seen = ((at >= 0) & (at < [width, height])).all(axis=1)
    expected = []
    for mask in masks:
        pixels = np.zeros(30 * 40, bool)
        pixels[seen] = mask[at[seen, 1], at[seen, 0]]
        expected.append(pixels.reshape(30, 40))
    expected = [e for e in expected if e.any()]
    np.testing.assert_array_equal(moved.masks.dense(), np.reshape(expected, (-1, 30, 40)))


def test_fields_stay_with_their_objects() -> None:
    labels = np.zeros((40, 40), np.int32)
    labels[2:8, 2:8], labels[20:36, 20:36], labels[2:4, 30:32] = 1, 2, 3
    truth = Instances(
        (40, 40), masks=Masks.from_label_image(labels), labels=[2, 0, 1], ids=[7, 8, 9],
        crowd=[False, True, False], classes=Labels(("a", "b", "c")),
    )  # fmt: skip
    matrix = place(np.eye(2), (40, 40), (40, 40), np.random.default_rng(0))
    moved = warp_instances(truth, matrix, (40, 40), min_area=10)
    assert moved.labels.tolist() == [2, 0]
    assert moved.ids.tolist() == [7, 8]
    assert moved.crowd.tolist() == [False, True]
    assert moved.classes == truth.classes


def test_boxes_without_masks() -> None:
    truth = Instances((40, 40), boxes=[[0, 0, 10, 20], [30, 30, 40, 40]])
    matrix = place(np.array([[0.0, -1.0], [1.0, 0.0]]), (40, 40), (40, 40), np.random.default_rng(0))
    moved = warp_instances(truth, matrix, (40, 40))
    assert moved.masks is None
    np.testing.assert_allclose(moved.boxes, [[20, 0, 40, 10], [0, 30, 10, 40]])


@pytest.mark.parametrize("masks", [True, False])
def test_an_image_without_objects(masks: bool) -> None:
    truth = Instances.empty((50, 60)) if masks else Instances((50, 60), boxes=np.zeros((0, 4)))
    crop, moved = augment(
        np.zeros((50, 60, 1), np.float32), truth, OWN_SIZE, Augment(crop=32), np.random.default_rng(0)
    )
    assert crop.shape == (32, 32, 1) and len(moved) == 0 and moved.size == (32, 32)


FULL = Augment(
    crop=48, rotate90=True, rotate=20, brightness=0.2, contrast=0.4, gamma=0.5, color=0.3, invert=0.3,
    grey=0.3, blur=1.5, noise=0.05,
)  # fmt: skip


def test_the_generator_decides_everything() -> None:
    image, truth = np.random.default_rng(0).random((60, 80, 3), dtype=np.float32), truth_of(blobs())
    first = augment(image, truth, OWN_SIZE, FULL, np.random.default_rng(4))
    again = augment(image, truth, OWN_SIZE, FULL, np.random.default_rng(4))
    other = augment(image, truth, OWN_SIZE, FULL, np.random.default_rng(5))
    np.testing.assert_array_equal(first[0], again[0])
    assert first[1].masks.to_rle() == again[1].masks.to_rle()
    assert first[0].shape != other[0].shape or (first[0] != other[0]).any()


@pytest.mark.parametrize("channels", [1, 3])
def test_relit_images_stay_in_range(channels: int) -> None:
    image = np.random.default_rng(0).random((20, 20, channels), dtype=np.float32)
    image[0], image[1] = 0, 1
    for seed in range(30):
        lit = relight(image, FULL, np.random.default_rng(seed))
        assert lit.dtype == np.float32 and lit.shape[:2] == (20, 20) and lit.shape[2] <= channels
        assert np.isfinite(lit).all() and lit.min() >= 0 and lit.max() <= 1


def test_sixteen_bits_are_never_squeezed_to_eight() -> None:
    ramp = np.linspace(1000, 9000, 128 * 128).astype(np.uint16).reshape(128, 128)
    image = scaled(ramp, OWN_SIZE)
    assert image.shape == (128, 128, 1) and len(np.unique(image)) > 5000
    settings_ = Augment(crop=128, scale=(1.0, 1.0), flip=False, gamma=0.5, contrast=0.5)
    crop, _ = augment(image, Instances.empty((128, 128)), OWN_SIZE, settings_, np.random.default_rng(0))
    assert len(np.unique(crop)) > 5000


def test_colour_images_of_equal_channels_count_as_grey() -> None:
    grey = np.random.default_rng(0).integers(0, 255, (10, 12), dtype=np.uint8)
    assert scaled(np.repeat(grey[:, :, None], 3, axis=2), OWN_SIZE).shape == (10, 12, 1)
    coloured = np.stack([grey, grey, 255 - grey], axis=2)
    assert scaled(coloured, OWN_SIZE).shape == (10, 12, 3)


@pytest.mark.parametrize("mean", [(0.5, 0.5, 0.5), (0.4, 0.5, 0.6)])
def test_beyond_the_image_lies_the_mean(mean: tuple[float, float, float]) -> None:
    spec = InputSpec(shortest_edge=None, longest_edge=None, mean=mean)
    settings_ = Augment(crop=64, scale=(1.0, 1.0), flip=False, invert=1.0)
    crop, _ = augment(
        np.ones((32, 32, 1), np.float32), Instances.empty((32, 32)), spec, settings_, np.random.default_rng(2)
    )
    padded = (np.broadcast_to(crop, (64, 64, 3)) == np.array(mean, np.float32)).all(axis=2)
    assert padded.sum() == 64 * 64 - 32 * 32
    assert (crop[~padded] == 0).all()


def test_the_network_frame_is_the_base_of_the_zoom() -> None:
    spec = InputSpec(shortest_edge=64, longest_edge=None)
    labels = np.zeros((32, 32), np.int32)
    labels[8:24, 8:24] = 1
    settings_ = Augment(crop=64, scale=(1.0, 1.0))
    _, moved = augment(
        np.zeros((32, 32, 1), np.float32), truth_of(labels), spec, settings_, np.random.default_rng(0)
    )
    assert moved.masks.area.tolist() == [1024]


@pytest.mark.parametrize(
    "change",
    [
        {"crop": 4}, {"scale": (2.0, 0.5)}, {"scale": (0.0, 1.0)}, {"scale": (1.0,)}, {"rotate": 200},
        {"invert": 1.5}, {"noise": -0.1}, {"copy_paste": 2}, {"min_area": 0}, {"blur": float("nan")},
    ],
)  # fmt: skip
def test_settings_out_of_range(change: dict) -> None:
    with pytest.raises(InputError, match=f"augment.{next(iter(change))}: expected"):
        Augment(**change)
