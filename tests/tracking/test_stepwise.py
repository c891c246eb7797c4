import numpy as np
import pytest

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.tracking.motion import CentreSize
from delineate.tracking.round import Round
from delineate.tracking.stepwise import Life, Stepwise
from delineate.tracking.tracked import Tracked
from delineate.tracking.tracks import Tracks

SIZE = (60, 90)


def boxes(*corners: tuple[float, float], side: float = 10, scores: float = 1.0) -> Instances:
    corner = np.array(corners, dtype=float).reshape(-1, 2)
    return Instances(
        SIZE,
        boxes=np.concatenate((corner, corner + side), axis=1),
        scores=np.full(len(corner), scores, np.float32),
    )


def in_order(play: Round) -> None:
    """A step that pairs the first free track with the first free detection, and so on."""
    rows, columns = np.flatnonzero(play.free_tracks), np.flatnonzero(play.free_found)
    count = min(len(rows), len(columns))
    play.pair(rows[:count], columns[:count])


def a_round(tracked: Masks, found: Masks) -> Round:
    tracks = Tracks(CentreSize(), tracked.size)
    tracks.add(Instances(tracked.size, masks=tracked), np.arange(len(tracked)))
    tracks.last_index = np.full(len(tracked), -1)
    return Round(tracks, Instances(found.size, masks=found), np.eye(len(found), 4, dtype=np.float32))


def test_a_track_is_told_of_once_it_is_confirmed() -> None:
    follow = Stepwise([in_order], Life(confirm=3, at_once=0))
    ids = [follow.update(boxes((5, 5))).instances.ids.tolist() for _ in range(4)]
    assert ids == [[], [], [1], [1]]


@pytest.mark.parametrize(("at_once", "first"), [(0, [[], []]), (1, [[1], [1]]), (2, [[1], [1, 2]])])
def test_in_the_first_frames_at_once(at_once: int, first: list[list[int]]) -> None:
    follow = Stepwise([in_order], Life(confirm=3, at_once=at_once))
    seen = [boxes((5, 5)), boxes((5, 5), (40, 40))]
    assert [follow.update(found).instances.ids.tolist() for found in seen] == first


def test_a_weak_detection_begins_nothing() -> None:
    follow = Stepwise([], Life(begin=0.6, confirm=1))
    assert len(follow.update(boxes((5, 5), scores=0.5))) == 0
    assert len(follow.update(boxes((5, 5), scores=0.7))) == 1


def test_frames_that_are_missing_count_by_time() -> None:
    """At twice the usual interval a track ages two frames and moves twice as far."""
    follow = Stepwise([in_order], Life(patience=3))
    for k in range(10):
        follow.update(boxes((5 + 2.0 * k, 5)), time=0.04 * k)
    follow.update(Instances.empty(SIZE), time=0.04 * 9 + 0.08)
    assert follow.tracks.missing.tolist() == pytest.approx([2.0])
    centre = follow.tracks.boxes[0, [0, 2]].mean()
    assert centre == pytest.approx(10 + 2 * 11, abs=0.5)
    assert follow.update(Instances.empty(SIZE), time=0.04 * 9 + 0.16).ended == (1,)


def test_a_known_interval_is_taken() -> None:
    follow = Stepwise([in_order], Life(interval=0.5))
    follow.update(boxes((5, 5)), time=3.0)
    follow.update(Instances.empty(SIZE), time=4.0)
    assert follow.tracks.missing.tolist() == [2.0]


@pytest.mark.parametrize("later", [1.0, 0.5])
def test_times_must_rise(later: float) -> None:
    follow = Stepwise([], Life())
    follow.update(boxes(), time=1.0)
    with pytest.raises(InputError, match="time"):
        follow.update(boxes(), time=later)


def test_what_does_not_belong() -> None:
    follow = Stepwise([], Life())
    follow.update(boxes((1, 1)))
    with pytest.raises(InputError, match="frames of"):
        follow.update(Instances.empty((5, 5)))
    with pytest.raises(InputError, match="features"):
        follow.update(boxes((1, 1)), features=np.ones((2, 4), np.float32))


def test_a_division() -> None:
    def divide(play: Round) -> None:
        if len(play.found) == 2 and len(play.tracks) == 1:
            play.end(0)
            play.begin(0, 0)
            play.begin(1, 0)
        else:
            in_order(play)

    follow = Stepwise([divide], Life())
    follow.update(boxes((20, 20)))
    result = follow.update(boxes((15, 20), (27, 20)))
    assert result.instances.ids.tolist() == [2, 3]
    assert result.parents == {2: 1, 3: 1}
    assert result.ended == (1,)
    assert follow.update(boxes((13, 20), (29, 20))).parents == {}


def test_a_split_gives_each_track_its_part() -> None:
    image = np.zeros(SIZE, dtype=int)
    image[10:30, 10:20], image[10:30, 20:30], image[40:50, 60:70] = 1, 2, 3
    apart = Masks.from_label_image(image)
    together = Masks.from_label_image(np.where(image == 2, 1, image))
    play = a_round(apart, together)
    play.pair(np.array([2]), np.array([1]))
    play.split(0, apart[:2], np.array([0, 1]))
    assert play.of_track.tolist() == [0, 2, 1]
    assert play.source.tolist() == [0, 1, 0]
    assert play.part.tolist() == [True, False, True]
    assert play.found.masks[[0, 2]] == apart[:2]
    assert play.found.masks[1] == apart[2]
    np.testing.assert_array_equal(play.features, np.eye(2, 4)[[0, 1, 0]])
    np.testing.assert_allclose(play.mask_iou, [[1, 0, 0], [0, 0, 1], [0, 1, 0]])
    assert play.surprise.shape == play.refused.shape == (3, 3)


def test_what_is_set_aside_begins_nothing() -> None:
    follow = Stepwise([lambda play: play.drop(0)], Life(confirm=1))
    assert follow.update(boxes((5, 5), (40, 40))).index.tolist() == [1]


def test_a_dropped_detection_sets_its_track_free() -> None:
    apart = Masks.from_label_image(np.eye(4, dtype=int) * np.arange(1, 5))
    play = a_round(apart, apart)
    play.pair(np.arange(4), np.arange(4))
    play.drop(2)
    play.end(3)
    assert play.free_tracks.tolist() == [False, False, True, False]
    assert play.free_found.tolist() == [False, False, False, True]


def test_iou_that_forgives_what_is_hidden() -> None:
    """Half of the object behind is covered: what shows of it is all that can be found."""
    image = np.zeros(SIZE, dtype=int)
    image[10:30, 10:30] = 1
    behind = Masks.from_label_image(image)
    image[10:30, 20:40] = 2
    play = a_round(behind, Masks.from_label_image(image))
    np.testing.assert_allclose(play.mask_iou, [[0.5, 1 / 3]])
    np.testing.assert_allclose(play.seen_iou, [[1.0, 0.5]])


def test_columns_of_ones_own_live_with_their_tracks() -> None:
    follow = Stepwise([in_order], Life(confirm=1, patience=0))
    follow.update(boxes((5, 5), (40, 40)))
    column = follow.tracks.column("age", (2,), -1.0)
    column[:] = [[1, 2], [3, 4]]
    follow.update(boxes((5, 5)))
    follow.update(boxes((5, 5), (60, 10)))
    assert follow.tracks.column("age", (2,), -1.0).tolist() == [[1, 2], [-1, -1]]
    assert follow.tracks.serial.tolist() == [0, 2]


def test_tracks_move_with_the_camera() -> None:
    tracks = Tracks(CentreSize(), SIZE)
    tracks.add(boxes((10, 20), side=8), np.array([0]))
    tracks.kalman.speed[:] = [[2.0, 0, 0, 0]]
    quarter = np.array([[0, -2.0, 50], [2.0, 0, 3]])  # turned by 90 degrees, twice as large, moved
    tracks.warp(quarter)
    np.testing.assert_allclose(tracks.boxes, [[50 - 48 - 8, 3 + 28 - 8, 50 - 48 + 8, 3 + 28 + 8]])
    np.testing.assert_allclose(tracks.seen, tracks.boxes)
    np.testing.assert_allclose(tracks.kalman.speed, [[0, 4, 0, 0]])


@pytest.mark.parametrize(
    ("ids", "index"), [(None, [0]), ([0], [0]), ([1], [0, 1])], ids=["none", "zero", "too many"]
)
def test_a_result_that_cannot_be(ids: list[int] | None, index: list[int]) -> None:
    with pytest.raises(InputError, match="Tracked"):
        Tracked(boxes((1, 1)).replace(ids=ids), np.array(index), np.zeros(len(index), np.bool_))
