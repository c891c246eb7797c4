"""The table against scikit-image, on real nuclei and on small random masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from skimage.measure import regionprops_table

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.measurements import summary, table

SHARED = (
    "area",
    "area_bbox",
    "area_convex",
    "axis_major_length",
    "axis_minor_length",
    "bbox",
    "centroid",
    "eccentricity",
    "equivalent_diameter_area",
    "euler_number",
    "extent",
    "feret_diameter_max",
    "perimeter",
    "solidity",
)
BRIGHTNESS = tuple(f"intensity_{s}" for s in ("mean", "median", "min", "max", "std"))


def of(labels: np.ndarray) -> Instances:
    return Instances(labels.shape, masks=Masks.from_label_image(labels))


def assert_equal_to_peer(labels: np.ndarray, image: np.ndarray | None = None) -> None:
    properties = SHARED + (BRIGHTNESS if image is not None else ())
    peer = regionprops_table(labels, image, properties=properties)
    ours = table(of(labels), image)
    for name, column in peer.items():
        np.testing.assert_allclose(ours[name], column, rtol=1e-6, atol=1e-6, err_msg=name)
    # an orientation exists only where the axes differ, and -pi/2 is pi/2
    peer = regionprops_table(labels, properties=("orientation", "inertia_tensor_eigvals"))
    major, minor = peer["inertia_tensor_eigvals-0"], peer["inertia_tensor_eigvals-1"]
    turn = np.abs(ours["orientation"] - peer["orientation"])
    turn = np.minimum(turn, np.pi - turn)
    assert (turn[major - minor > 1e-6] < 1e-6).all()


@settings(max_examples=60, deadline=None)
@given(arrays(np.int32, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 3)))
def test_any_masks_measure_as_in_scikit_image(labels: np.ndarray) -> None:
    if labels.any():
        assert_equal_to_peer(labels)


def test_real_nuclei_measure_as_in_scikit_image(data_dir: Path) -> None:
    files = sorted((data_dir / "dsb2018" / "labels").glob("*.png"))[::60]
    for file in files:
        labels = np.array(Image.open(file)).astype(np.int32)
        image = np.array(Image.open(data_dir / "dsb2018" / "images" / file.name))
        assert_equal_to_peer(labels, image)


def test_large_regions_far_from_the_origin() -> None:
    labels = np.zeros((1100, 3100), dtype=np.int32)
    rows, columns = np.ogrid[:1100, :3100]
    labels[(rows - 700) ** 2 + 2 * (columns - 2700) ** 2 < 350**2] = 5
    labels[700:703, 2000:3000] = 0
    assert_equal_to_peer(labels)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, bool])
def test_intensity_per_channel(dtype: type) -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 5, (20, 30)).astype(np.int32)
    image = (random.random((20, 30, 4)) * 200).astype(dtype)
    frame = table(of(labels), image)
    for channel in range(4):
        for k in range(4):
            inside = image[labels == k + 1, channel].astype(float)
            assert frame[f"intensity_mean-{channel}"][k] == pytest.approx(inside.mean())
            assert frame[f"intensity_std-{channel}"][k] == pytest.approx(inside.std())
            assert frame[f"intensity_median-{channel}"][k] == np.median(inside)
            assert frame[f"intensity_max-{channel}"][k] == inside.max()


def test_round_things_are_round_and_no_ratio_leaves_its_range() -> None:
    rows, columns = np.ogrid[:101, :101]
    disk = ((rows - 50) ** 2 + (columns - 50) ** 2 < 40**2).astype(np.int32)
    round_one = table(of(disk)).iloc[0]
    assert 0.95 < round_one["sphericity"] <= 1
    assert round_one["sphericity"] ** 2 == pytest.approx(round_one["circularity"])
    bar = np.zeros((20, 200), dtype=np.int32)
    bar[8:10, 5:190] = 1
    assert table(of(bar)).iloc[0]["sphericity"] < 0.4
    random = np.random.default_rng(1)
    frame = table(of(random.integers(0, 40, (40, 40)).astype(np.int32)))
    for name in ("circularity", "sphericity", "eccentricity", "extent", "solidity"):
        assert frame[name].dropna().between(0, 1).all()


def test_physical_units_have_columns_of_their_own() -> None:
    frame = table(of(np.pad(np.ones((4, 6), np.int32), 2)), pixel_size=0.5)
    plain = table(of(np.pad(np.ones((4, 6), np.int32), 2)))
    pd.testing.assert_frame_equal(frame[plain.columns], plain, check_flags=False)
    assert frame["area_um2"][0] == 6.0
    assert frame["perimeter_um"][0] == frame["perimeter"][0] / 2
    assert frame["centroid-1_um"][0] == frame["centroid-1"][0] / 2
    assert frame.attrs["units"]["area_um2"] == "µm^2"
    assert frame.attrs["unit"] == "µm" and frame.attrs["pixel_size"] == 0.5
    assert "area_mm2" in table(of(np.eye(3, dtype=np.int32)), pixel_size=2, unit="mm")


def test_overlapping_masks_each_count_their_own_pixels() -> None:
    dense = np.zeros((2, 10, 10), dtype=bool)
    dense[0, 1:7, 1:7] = True
    dense[1, 4:9, 4:9] = True
    found = Instances((10, 10), masks=Masks.from_dense(dense))
    frame = table(found)
    assert frame["area"].tolist() == [36, 25]
    assert frame.attrs["coverage"] == pytest.approx((36 + 25 - 9) / 100)


def test_columns_are_the_same_without_objects() -> None:
    none = table(Instances.empty((8, 9)), np.zeros((8, 9, 3), np.uint8), pixel_size=1.0)
    some = table(of(np.eye(8, 9, dtype=np.int32)), np.zeros((8, 9, 3), np.uint8), pixel_size=1.0)
    assert none.columns.tolist() == some.columns.tolist()
    assert len(none) == 0
    assert summary(none)["count"].tolist() == [0]


def test_what_has_no_pixels_has_no_shape() -> None:
    masks = Masks.from_label_image(np.array([[1, 1, 0], [0, 3, 3]]), ids=[1, 2, 3])
    frame = table(Instances((2, 3), masks=masks), np.ones((2, 3)))
    assert frame["area"].tolist() == [2, 0, 2]
    assert frame["solidity"].isna().tolist() == [False, True, False]
    assert frame["intensity_mean"].isna().tolist() == [False, True, False]
    assert frame["sphericity"].isna().all()  # two pixels in a line have no perimeter
    assert frame["touches_border"].tolist() == [True, False, True]
    boxes = table(Instances((9, 9), boxes=np.array([[1.0, 2, 4, 8]], np.float32)))
    assert boxes["area_bbox"][0] == 18
    assert boxes["area"].isna().all()
    assert boxes[["bbox-0", "bbox-1", "bbox-2", "bbox-3"]].values.tolist() == [[2, 1, 8, 4]]


def test_classes_scores_and_ids_are_told() -> None:
    found = Instances(
        (2, 4),
        masks=Masks.from_label_image(np.array([[1, 0, 0, 2], [1, 0, 0, 2]])),
        labels=[1, 0],
        scores=[0.25, 0.5],
        ids=[7, 8],
        classes=Labels(("a", "b")),
    )
    frame = table(found)
    assert frame[["label", "id", "class", "score"]].values.tolist() == [[1, 7, "b", 0.25], [2, 8, "a", 0.5]]


@pytest.mark.parametrize("size", [0, -1, float("nan"), float("inf"), "x"])
def test_a_pixel_size_that_measures_nothing_is_refused(size: object) -> None:
    with pytest.raises(InputError, match="pixel_size: expected a positive number"):
        table(Instances.empty((2, 2)), pixel_size=size)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "image", [np.zeros((3, 2)), np.zeros(4), np.zeros((1, 2, 2, 1)), np.full((2, 2), "a")]
)
def test_an_image_of_another_shape_or_kind_is_refused(image: np.ndarray) -> None:
    with pytest.raises(InputError, match="table: expected an image"):
        table(Instances.empty((2, 2)), image)


def test_summary_is_one_line() -> None:
    frame = table(of(np.pad(np.ones((4, 6), np.int32), 2)), pixel_size=0.5)
    line = summary(frame)
    assert len(line) == 1
    assert line["count"][0] == 1 and line["area_mean"][0] == 24
    assert line["coverage"][0] == pytest.approx(24 / 80)
    assert line["area_mean_um2"][0] == 6
    assert line["density_per_um2"][0] == pytest.approx(1 / 20)
    with pytest.raises(InputError, match="summary: expected a table"):
        summary(pd.DataFrame({"area": [1.0]}))
