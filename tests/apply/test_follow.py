import numpy as np
import pytest
from scipy import ndimage

from delineate.apply.follow import follow
from delineate.core.errors import InputError
from delineate.core.masks import Masks
from delineate.engine.propagate import propagate


def frames(dx, dy, channels=0):
    rng = np.random.default_rng(0)
    texture = ndimage.gaussian_filter(rng.random((140, 160)), 2)
    rows, columns = np.mgrid[:140, :160]
    pair, labels = [], []
    for x, y in ((0, 0), (dx, dy)):
        marks = np.zeros((140, 160), int)
        marks[(columns - 50 - x) ** 2 + (rows - 60 - y) ** 2 < 18**2] = 1
        marks[(abs(columns - 110 - x) < 12) & (abs(rows - 80 - y) < 9)] = 2
        image = np.where(marks > 0, 0.5 + np.roll(texture, (y, x), (0, 1)), 0.1)
        image = (image * 40000).clip(0, 65535).astype(np.uint16)
        pair.append(np.repeat(image[..., None], channels, axis=2) if channels else image)
        labels.append(Masks.from_label_image(marks))
    return pair, labels


@pytest.mark.parametrize(("dx", "dy", "channels"), [(0, 0, 0), (4, -3, 0), (7, 5, 3)])
def test_objects_are_found_where_they_went(dx, dy, channels):
    (before, after), (old, new) = frames(dx, dy, channels)
    moved = follow(old, before, after)
    assert np.diag(moved.iou(new)).min() > 0.93
    assert propagate(old, before, after) == moved


def test_no_objects_and_empty_ones_stay_so():
    (before, after), (old, _) = frames(2, 2)
    assert len(follow(old[:0], before, after)) == 0
    empty = Masks.from_label_image(np.zeros(old.size, int), [5])
    assert follow(empty, before, after).area.tolist() == [0]


def test_frames_of_two_sizes_are_refused():
    (before, after), (old, _) = frames(1, 1)
    with pytest.raises(InputError, match="of one size"):
        follow(old, before, after[1:])
