"""Background, texture and marks: against scikit-image, plain NumPy, and what is planted in an image."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import ndimage
from scipy.stats import median_abs_deviation
from skimage.feature import graycomatrix, graycoprops
from skimage.segmentation import expand_labels

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.measurements import Groups, measured_table
from delineate.measurements.background import rings
from delineate.measurements.quality import robust_z
from delineate.measurements.runs import Runs
from delineate.measurements.texture import FEATURES, levels_of, texture


def of(labels: np.ndarray) -> Instances:
    return Instances(labels.shape, masks=Masks.from_label_image(labels))


@pytest.fixture(scope="module")
def nuclei(data_dir: Path) -> tuple[np.ndarray, np.ndarray]:
    file = sorted((data_dir / "dsb2018" / "labels").glob("*.png"))[3]
    labels = np.array(Image.open(file)).astype(np.int32)
    image = np.array(Image.open(data_dir / "dsb2018" / "images" / file.name).convert("L"))
    return np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(np.int32), image


@pytest.mark.parametrize("width", [1, 2.5, 6])
@pytest.mark.parametrize("rows", [7, 8000])
def test_rings_are_what_labels_grow_by(width: float, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("delineate.measurements.background.PIXELS_AT_ONCE", rows * 50)
    random = np.random.default_rng(5)
    labels = np.where(random.random((60, 50)) > 0.985, random.integers(1, 9, (60, 50)), 0).astype(np.int32)
    found = np.zeros_like(labels)
    for strip, place, owner in rings(labels, width):
        found[strip].reshape(-1)[place] = owner
    grown = expand_labels(labels, width)
    ring = (grown > 0) & (labels == 0)
    assert np.array_equal(found > 0, ring)
    # where two objects are as near either may have the pixel
    for y, x in np.argwhere(found != np.where(ring, grown, 0)):
        away = [np.hypot(*(np.argwhere(labels == k) - (y, x)).T).min() for k in (found[y, x], grown[y, x])]
        assert away[0] == pytest.approx(away[1])


def test_background_of_an_object_on_a_slope() -> None:
    labels = np.zeros((40, 40), np.int32)
    labels[10:20, 10:20] = 1
    labels[10:20, 20:30] = 2
    image = np.full((40, 40, 2), 5.0)
    image[..., 1] = np.arange(40)
    image[labels > 0] += 100
    frame = measured_table(of(labels), image, groups=Groups(background=3))
    assert frame["background_mean-0"].tolist() == [5.0, 5.0]
    assert frame["intensity_less_background-0"].tolist() == [100.0, 100.0]
    assert frame["background_mean-1"][0] < 15 < 25 < frame["background_mean-1"][1]
    assert frame.attrs["units"]["background_area"] == "px^2"


def test_an_object_without_room_around_it_has_no_background() -> None:
    labels = np.array([[1, 1, 1], [1, 2, 1], [1, 1, 1]], np.int32)
    frame = measured_table(of(labels), np.ones((3, 3)), groups=Groups(background=4))
    assert frame["background_area"].tolist() == [0, 0]
    assert frame["background_mean"].isna().all()


def peer_matrix(levels: np.ndarray, mask: np.ndarray, number: int, angle: float) -> np.ndarray:
    """scikit-image's matrix with the outside as level 0, and that level dropped."""
    grey = np.where(mask, levels + 1, 0)
    return graycomatrix(grey, [1], [angle], levels=number + 1, symmetric=True)[1:, 1:, 0, 0].astype(float)


PEERS = {
    "asm": "ASM", "contrast": "contrast", "correlation": "correlation", "idm": "homogeneity",
    "variance": "variance", "entropy": "entropy",
}  # fmt: skip


def test_texture_is_scikit_images_with_the_outside_dropped(nuclei: tuple[np.ndarray, np.ndarray]) -> None:
    labels, image = nuclei
    number = 16
    found, ranges = texture(Runs.of(of(labels).masks), image[..., None], number)
    levels = levels_of(image, *ranges[0], number)
    for k in range(0, labels.max(), 5):
        rows, columns = ndimage.find_objects(labels)[k]
        window = np.s_[rows.start : rows.stop, columns.start : columns.stop]
        # scikit-image measures angles with rows downwards; the four directions are the same
        each = [
            peer_matrix(levels[window], labels[window] == k + 1, number, a) for a in np.arange(4) * np.pi / 4
        ]
        for ours, peer in PEERS.items():
            values = [graycoprops(m[:, :, None, None] / m.sum(), peer)[0, 0] for m in each]
            assert found[ours][k, 0] == pytest.approx(np.mean(values)), ours


def test_the_other_features_are_the_papers_formulas() -> None:
    random = np.random.default_rng(0)
    labels = np.ones((12, 13), np.int32)
    image = random.integers(0, 4, labels.shape)
    found, _ = texture(Runs.of(of(labels).masks), image[..., None], 4, (0, 4))
    each: dict[str, list[float]] = {}
    for angle in np.arange(4) * np.pi / 4:
        p = peer_matrix(image, labels > 0, 4, angle)
        p /= p.sum()
        i, j = np.indices(p.shape) + 1
        px = p.sum(axis=1)
        joint = np.array([p[i + j == k].sum() for k in range(2, 9)])
        apart = np.array([p[abs(i - j) == k].sum() for k in range(4)])
        k, d = np.arange(2, 9), np.arange(4)

        def entropy(q: np.ndarray) -> float:
            return float(-(q[q > 0] * np.log(q[q > 0])).sum())

        cross = np.outer(px, px)
        values = {
            "sum_average": joint @ k,
            "sum_variance": joint @ (k - joint @ k) ** 2,
            "sum_entropy": entropy(joint),
            "difference_variance": apart @ (d - apart @ d) ** 2,
            "difference_entropy": entropy(apart),
            "imc1": (entropy(p) + (p * np.log(cross)).sum()) / entropy(px),
            "imc2": np.sqrt(1 - np.exp(-2 * (entropy(cross) - entropy(p)))),
        }
        for name, value in values.items():
            each.setdefault(name, []).append(float(value))
    assert set(each) | set(PEERS) == set(FEATURES)
    for name, numbers in each.items():
        assert found[name][0, 0] == pytest.approx(np.mean(numbers)), name


def test_texture_of_an_even_and_of_a_single_pixel() -> None:
    labels = np.zeros((6, 9), np.int32)
    labels[1:4, 1:4], labels[4, 7] = 1, 2
    frame = measured_table(of(labels), np.full((6, 9), 7, np.uint8), groups=Groups(texture=True))
    assert frame["haralick_contrast"][0] == 0 and frame["haralick_asm"][0] == 1
    assert frame["haralick_correlation"][0] == 1
    assert frame.filter(like="haralick").iloc[1].isna().all()
    assert frame.attrs["texture"]["levels"] == 32


def test_what_lies_outside_has_no_say_in_texture(nuclei: tuple[np.ndarray, np.ndarray]) -> None:
    labels, image = nuclei
    other = np.where(labels > 0, image, np.random.default_rng(0).integers(0, 255, image.shape))
    chosen = Groups(texture=True, levels=8)
    first = measured_table(of(labels), image, groups=chosen).filter(like="haralick")
    second = measured_table(of(labels), other.astype(np.uint8), groups=chosen).filter(like="haralick")
    assert np.array_equal(first, second, equal_nan=True)


def test_robust_scores() -> None:
    values = np.random.default_rng(0).normal(10, 2, 200)
    expected = (values - np.median(values)) / median_abs_deviation(values, scale=0.6745)
    assert np.allclose(robust_z(values), expected)
    mostly_even = np.array([1.0] * 9 + [2.0])
    assert robust_z(mostly_even)[-1] == pytest.approx(1 / (1.253314 * 0.1))
    assert robust_z(np.ones(5)).tolist() == [0.0] * 5
    assert np.isnan(robust_z(np.full(3, np.nan))).all()


def grid(sides: list[int]) -> np.ndarray:
    labels = np.zeros((40, 40 * len(sides)), np.int32)
    for k, side in enumerate(sides):
        labels[5 : 5 + side, 40 * k + 4 : 40 * k + 4 + side] = k + 1
    return labels


def test_a_giant_is_an_outlier_and_stays_in_the_table() -> None:
    labels = grid([9, 10, 11, 9, 10, 11, 9, 10, 11, 33])
    frame = measured_table(of(labels))
    assert frame["outlier"].tolist() == [False] * 9 + [True]
    assert len(frame) == 10
    few = measured_table(of(grid([9, 10, 33])))
    assert not few["outlier"].any()  # three are too few to tell


def test_a_blurred_object_is_marked() -> None:
    labels = grid([20] * 10)
    image = np.random.default_rng(0).normal(100, 20, labels.shape)
    image[:, 200:240] = ndimage.gaussian_filter(image[:, 200:240], 4)
    frame = measured_table(of(labels), image)
    assert np.flatnonzero(frame["blurred"]).tolist() == [5]
    inside = ndimage.laplace(image.astype(np.float32), mode="mirror")[labels == 3]
    assert frame["sharpness"][2] == pytest.approx(inside.var(), rel=1e-4)


def test_masks_without_a_shape_are_marked() -> None:
    masks = Masks.from_label_image(np.pad(np.array([[1, 0, 3, 3], [0, 0, 3, 3]]), 1), ids=[1, 2, 3])
    frame = measured_table(Instances((4, 6), masks=masks))
    assert frame["degenerate"].tolist() == [True, True, False]
    boxes = measured_table(Instances((9, 9), boxes=np.array([[1.0, 2, 4, 8]], np.float32)))
    assert boxes["degenerate"].tolist() == [True]


@pytest.mark.parametrize("count", [0, 1])
def test_columns_do_not_depend_on_how_many_objects_there_are(count: int) -> None:
    chosen = Groups(True, 9, True, 8, None, 4)
    labels = np.zeros((9, 9), np.int32)
    labels[:count, :3] = 1
    full = np.zeros((9, 9), np.int32)
    full[1:4, 1:4], full[5:8, 5:8] = 1, 2
    image = np.arange(81).reshape(9, 9)
    some = measured_table(of(full), image, 0.5, groups=chosen)
    few = measured_table(of(labels), image, 0.5, groups=chosen)
    assert few.columns.tolist() == some.columns.tolist() and len(few) == count


def test_every_number_has_a_source() -> None:
    labels = np.zeros((9, 9), np.int32)
    labels[1:4, 1:4], labels[5:8, 5:8] = 1, 2
    image = np.arange(81 * 3).reshape(9, 9, 3)
    frame = measured_table(of(labels), image, 0.5, groups=Groups(True, 9, True, 8, None, 4))
    assert set(frame.attrs["sources"]) == set(frame.columns)
    assert frame.attrs["units"]["nearest_distance_um"] == "µm"
    assert frame.attrs["units"]["intensity_mean-2"] == "intensity"
    assert (
        "haralick_contrast-1" in frame and frame["nearest_distance_um"][0] == frame["nearest_distance"][0] / 2
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"radius": -1.0}, "radius: expected"),
        ({"levels": 1}, "levels: expected 2 to 256"),
        ({"background": -3}, "background: expected"),
        ({"value_range": (5.0, 5.0)}, "value_range: expected"),
    ],
)
def test_groups_that_make_no_sense_are_refused(wrong: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Groups(**wrong)


@pytest.mark.parametrize("groups", [Groups(texture=True), Groups(background=2)])
def test_what_needs_an_image_says_so(groups: Groups) -> None:
    with pytest.raises(InputError, match="expected an image for"):
        measured_table(Instances.empty((4, 4)), groups=groups)


def test_parts_of_the_work_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(2)
    labels = random.integers(0, 40, (61, 47)).astype(np.int32)
    labels[10:30, 5:40] = 41  # over several bands
    image = random.normal(0, 100, (61, 47, 2))
    chosen = Groups(texture=True, background=2, neighbours=True)
    objects = Instances(labels.shape, masks=Masks.from_label_image(labels))
    whole = measured_table(objects, image, groups=chosen)
    for module, name, size in (
        ("table", "RUNS_AT_ONCE", 50),
        ("intensity", "PIXELS_AT_ONCE", 40),
        ("texture", "CELLS_AT_ONCE", 3000),
        ("quality", "ROWS_AT_ONCE", 7),
        ("quality", "RUNS_AT_ONCE", 30),
        ("background", "PIXELS_AT_ONCE", 500),
    ):
        monkeypatch.setattr(sys.modules[f"delineate.measurements.{module}"], name, size)
    parts = measured_table(objects, image, groups=chosen)
    pd.testing.assert_frame_equal(whole, parts, rtol=1e-9)
    assert whole.attrs == parts.attrs
