import numpy as np
import pytest

from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.tracking.doubt import coast, doubt_sizes
from delineate.tracking.motion import CentreSize
from delineate.tracking.round import Round
from delineate.tracking.tracks import Tracks

SIZE = (40, 60)


def block(width: int) -> Masks:
    image = np.zeros(SIZE, dtype=int)
    image[10:30, 10 : 10 + width] = 1
    return Masks.from_label_image(image, [1])


def paired(before: int, now: int) -> Round:
    tracks = Tracks(CentreSize(), SIZE)
    tracks.add(Instances(SIZE, masks=block(before)), np.array([0]))
    tracks.predict(1.0)
    play = Round(tracks, Instances(SIZE, masks=block(now)))
    play.pair(np.array([0]), np.array([0]))
    return play


@pytest.mark.parametrize(("before", "now", "factor"), [(20, 20, 1), (20, 10, 6), (10, 20, 6), (0, 20, 1)])
def test_a_size_that_jumps_is_doubted(before: int, now: int, factor: float) -> None:
    play = paired(before, now)
    doubt_sizes(play)
    assert play.doubt.tolist() == [factor]


def test_what_is_doubted_moves_the_track_less() -> None:
    speeds = []
    for doubted in (False, True):
        play = paired(20, 10)
        if doubted:
            doubt_sizes(play)
        play.tracks.meet(np.array([0]), play.found, np.array([0]), play.doubt)
        speeds.append(abs(play.tracks.kalman.speed[0, 0]))
    assert speeds[1] < 0.9 * speeds[0]


def test_nothing_was_found() -> None:
    play = paired(20, 20)
    play.part_ways(0)
    doubt_sizes(play)
    assert play.doubt.tolist() == [1]


def test_a_sliver_beside_another_leaves_the_track_as_it_was_expected() -> None:
    image = np.zeros(SIZE, dtype=int)
    image[10:30, 10:30] = 1
    image[5:35, 34:58] = 2
    tracks = Tracks(CentreSize(), SIZE)
    tracks.add(Instances(SIZE, masks=Masks.from_label_image(image)), np.arange(2))
    tracks.confirmed[:] = True
    image[5:35, 12:58] = 2  # it came forward: of the first, two columns are left
    image[10:30, 10:12] = 1
    play = Round(tracks, Instances(SIZE, masks=Masks.from_label_image(image)))
    play.pair(np.arange(2), np.arange(2))
    doubt_sizes(play)
    coast(play)
    assert play.remembered is not None
    assert play.remembered.masks[0] == play.masks[0]
    assert play.remembered.masks[1] == play.found.masks[1]
    before = tracks.boxes
    tracks.meet(np.arange(2), play.remembered, np.arange(2), play.doubt)
    np.testing.assert_allclose(tracks.boxes[0], before[0], atol=1e-3)
    assert (np.abs(tracks.boxes[1] - before[1]) > 0.1).any()


def test_a_sliver_with_nothing_before_it_is_what_it_is() -> None:
    play = paired(20, 2)
    play.tracks.confirmed[:] = True
    coast(play)
    assert play.remembered is None
