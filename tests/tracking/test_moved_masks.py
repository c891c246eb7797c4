import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.core.masks import Masks
from delineate.tracking.moved_masks import moved

SIZE = (40, 50)


def blob(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return cv2.GaussianBlur(rng.normal(0, 1, SIZE), (0, 0), 3) > 0.05


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 1000), st.integers(-60, 60), st.integers(-60, 60))
def test_whole_pixels_are_a_shift(seed: int, dx: int, dy: int) -> None:
    masks = Masks.from_label_image(blob(seed).astype(int), [1])
    before = masks.boxes.astype(np.float64)
    assert moved(masks, before, before + np.array([dx, dy, dx, dy])) == masks.shift(dx, dy)


def test_each_mask_goes_its_own_way() -> None:
    image = np.zeros(SIZE, dtype=int)
    image[5:9, 5:9], image[20:24, 30:36] = 1, 2
    masks = Masks.from_label_image(image)
    before = masks.boxes.astype(np.float64)
    after = before + np.array([[3, 0, 3, 0], [-4, 2, -4, 2]])
    np.testing.assert_array_equal(moved(masks, before, after).boxes, after)


def test_a_stretched_mask_has_the_stretched_area_without_gaps() -> None:
    image = np.zeros((100, 100), dtype=np.uint8)
    cv2.circle(image, (50, 50), 15, 1, -1)
    masks = Masks.from_label_image(image)
    x1, y1, x2, y2 = masks.boxes[0].tolist()
    before = np.array([[x1, y1, x2, y2]])
    for factor in (0.5, 0.77, 1.3, 2.0):
        half = (x2 - x1) / 2 * factor
        after = np.array([[50.5 - half, 50.5 - half, 50.5 + half, 50.5 + half]])
        result = moved(masks, before, after)
        assert abs(result.area[0] / (masks.area[0] * factor**2) - 1) < 0.06
        parts, _ = cv2.connectedComponents(result.dense()[0].astype(np.uint8))
        assert parts == 2  # one part and the background
        np.testing.assert_allclose(result.boxes, after, atol=1)


def test_a_mask_that_leaves_the_image_is_empty() -> None:
    masks = Masks.from_label_image(blob(0).astype(int), [1])
    before = masks.boxes.astype(np.float64)
    assert moved(masks, before, before + 1e12).area.tolist() == [0]


def test_no_masks_and_empty_masks() -> None:
    none = np.zeros((0, 4))
    assert len(moved(Masks.empty(SIZE), none, none)) == 0
    empty = Masks.from_label_image(np.zeros(SIZE, dtype=int), [1])
    assert moved(empty, np.zeros((1, 4)), np.ones((1, 4))).area.tolist() == [0]
