import numpy as np
import pytest

from delineate.apply.click_regions import grow


def picture(noise=0.0):
    image = np.full((80, 80, 3), 0.2, np.float32)
    rows, columns = np.mgrid[:80, :80]
    disc = (rows - 30) ** 2 + (columns - 30) ** 2 < 15**2
    square = (rows > 52) & (rows < 70) & (columns > 40) & (columns < 70)
    image[disc], image[square] = (0.9, 0.6, 0.3), (0.7, 0.7, 0.7)
    image += np.random.default_rng(0).normal(0, noise, image.shape).astype(np.float32)
    return image, disc, square


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


@pytest.mark.parametrize("noise", [0.0, 0.03, 0.06])
def test_one_click_gives_the_object_under_it(noise):
    image, disc, square = picture(noise)
    assert iou(grow(image, [(30.5, 30.5, True)]), disc) > 0.9
    assert iou(grow(image, [(55.5, 60.5, True)]), square) > 0.9


def test_two_clicks_join_two_parts_and_a_negative_one_keeps_its_pixel_out():
    image, disc, square = picture(0.02)
    both = grow(image, [(30.5, 30.5, True), (55.5, 60.5, True)])
    assert both[30, 30] and both[60, 55]
    corrected = grow(image, [(30.5, 30.5, True), (55.5, 60.5, False)], before=disc | square)
    assert corrected[30, 30] and not corrected[60, 55] and iou(corrected, disc) > 0.8


def test_a_box_alone():
    image, disc, _ = picture(0.02)
    assert iou(grow(image, [], box=(15, 15, 46, 46)), disc) > 0.9


def test_an_empty_picture_gives_no_more_than_the_mask_so_far():
    flat = np.zeros((40, 40, 3), np.float32)
    before = np.zeros((40, 40), bool)
    before[10:20, 10:20] = True
    assert grow(flat, [(30.5, 30.5, True), (2.5, 2.5, False)], before).shape == (40, 40)
    assert grow(flat, [(5.5, 5.5, True)]).all()
