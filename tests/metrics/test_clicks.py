import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from delineate.core.errors import InputError
from delineate.metrics.clicks import Click, Clicked, click_through, next_click

masks = arrays(bool, (9, 11))


@settings(max_examples=60, deadline=None)
@given(found=masks, truth=masks)
def test_the_next_click_falls_on_a_wrong_pixel_and_the_deepest_one(found, truth):
    click = next_click(found, truth)
    if (found == truth).all():
        assert click is None
        return
    y, x = int(click.y), int(click.x)
    assert truth[y, x] == click.positive and found[y, x] != click.positive
    wrong = (truth & ~found) if click.positive else (found & ~truth)
    depths = [ndimage.distance_transform_edt(np.pad(w, 1)).max() for w in (truth & ~found, found & ~truth)]
    own = ndimage.distance_transform_edt(np.pad(wrong, 1))[1:-1, 1:-1][y, x]
    assert own >= max(depths) - 0.5  # OpenCV's distances are approximate


def test_no_pixel_is_clicked_twice():
    truth = np.zeros((5, 5), bool)
    truth[2, 2] = True
    nothing = np.zeros_like(truth)
    first = next_click(nothing, truth)
    assert first == Click(2.5, 2.5, True)
    assert next_click(nothing, truth, [first]) is None


def test_clicking_ends_when_the_mask_is_good_or_patience_is_gone():
    truth = np.zeros((20, 20), bool)
    truth[4:16, 4:16] = True

    def painter(clicks, before):
        after = before.copy()
        y, x = int(clicks[-1].y), int(clicks[-1].x)
        after[max(0, y - 3) : y + 4, max(0, x - 3) : x + 4] = clicks[-1].positive
        return after

    done = click_through(painter, truth, wanted=0.5)
    assert done.ious[-1] >= 0.5 and all(v < 0.5 for v in done.ious[:-1])
    assert len(click_through(lambda clicks, before: before, truth, most=3).ious) == 3
    assert click_through(painter, np.zeros((4, 4), bool)).ious == ()


@pytest.mark.parametrize(
    ("ious", "wanted", "count"),
    [((), 0.8, 20), ((0.9,), 0.8, 1), ((0.2, 0.7, 0.9), 0.85, 3), ((0.2, 0.7), 0.85, 20)],
)
def test_clicks_to(ious, wanted, count):
    assert Clicked(ious, ()).clicks_to(wanted) == count


def test_masks_of_two_sizes_are_refused():
    with pytest.raises(InputError, match="one size"):
        next_click(np.zeros((3, 3), bool), np.zeros((3, 4), bool))
