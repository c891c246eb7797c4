"""SORT, ByteTrack and OC-SORT do what their papers say, and what the package ``trackers`` makes of them."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from delineate.core.instances import Instances
from delineate.tracking import tracker

SIZE = (400, 600)


def crossing(gap: range = range(0), frames: int = 30, bend: float = 0.0) -> list[Instances]:
    """Two boxes that move towards each other on neighbouring lines; the first is not found in ``gap``."""
    found = []
    for k in range(frames):
        boxes = np.array(
            [
                [20 + 10 * k, 100 + bend * max(k - 10, 0), 60 + 10 * k, 160 + bend * max(k - 10, 0)],
                [500 - 10 * k, 250, 540 - 10 * k, 310],
            ]
        )
        found.append(Instances(SIZE, boxes=boxes[1:] if k in gap else boxes))
    return found


def last_ids(name: str, frames: list[Instances], **settings: float) -> list[int]:
    follow = tracker(name, **settings)
    for found in frames:
        result = follow.update(found)
    return result.instances.ids[np.argsort(result.index)].tolist()


@pytest.mark.parametrize("name", ["sort", "bytetrack", "ocsort"])
def test_a_straight_walk_and_a_short_gap(name: str) -> None:
    assert last_ids(name, crossing()) == [1, 2]
    assert last_ids(name, crossing(range(15, 16))) == [1, 2]


def test_sort_gives_up_after_two_frames_the_others_do_not() -> None:
    gap = crossing(range(15, 20))
    assert last_ids("sort", gap) == [3, 2]
    assert last_ids("bytetrack", gap) == [1, 2]
    assert last_ids("ocsort", gap) == [1, 2]


def test_bytetrack_keeps_a_track_by_weak_detections() -> None:
    weak = [f.replace(scores=[0.3 if 10 <= k < 20 else 0.9, 0.9]) for k, f in enumerate(crossing())]
    follow = tracker("bytetrack")
    assert [len(follow.update(f)) for f in weak] == [2] * 30
    assert last_ids("bytetrack", [f.replace(scores=[0.3, 0.9]) for f in crossing()]) == [1]  # begins none
    assert last_ids("sort", weak) == [3, 2]


def test_ocsort_finds_a_track_where_it_was_last_seen() -> None:
    """It stood still behind something while the filter went on: recovery by the last observation."""
    found = []
    for k in range(40):
        x = 20 + 12.0 * min(k, 15)
        boxes = np.array([[x, 100, x + 40, 160]])
        found.append(Instances(SIZE, boxes=boxes[:0] if 16 <= k < 24 else boxes))
    assert last_ids("ocsort", found) == [1]
    assert last_ids("bytetrack", found) == [2]


def test_after_a_gap_ocsort_believes_what_it_would_have_seen_on_a_straight_way() -> None:
    """It turned while it was hidden: the filter is then that of a track that was seen all along (ORU)."""

    def box(k: int) -> np.ndarray:
        x, y = (20 + 8.0 * k, 100.0) if k <= 12 else (116.0, 100.0 + 3 * (k - 12))
        return np.array([[x, y, x + 64, y + 64]])

    gap, seen = tracker("ocsort"), tracker("ocsort")
    for k in range(21):
        gap.update(Instances(SIZE, boxes=box(k)[:0] if 13 <= k < 20 else box(k)))
        seen.update(Instances(SIZE, boxes=box(k)))
    np.testing.assert_allclose(gap.tracks.kalman.state, seen.tracks.kalman.state, atol=1e-6)
    assert gap.tracks.kalman.speed[0, 1] > 1.5


def test_ocsort_prefers_what_lies_ahead() -> None:
    """Two detections overlap the expected box alike; momentum chooses the one in the way of travel."""
    frames = [Instances(SIZE, boxes=[[20 + 10.0 * k, 100, 60 + 10 * k, 140]]) for k in range(10)]
    both = Instances(SIZE, boxes=[[120.0, 108, 160, 148], [128, 100, 168, 140]])
    for momentum, chosen in ((0.2, [1]), (0.0, [0])):
        follow = tracker("ocsort", at_once=1, momentum=momentum)
        for found in frames:
            follow.update(found)
        assert follow.update(both).index.tolist() == chosen


# -- held against roboflow's trackers (Apache-2.0) -------------------------------------------------------


def crowd(seed: int, objects: int = 12, frames: int = 50, miss: float = 0.06) -> list[Instances]:
    """Boxes that drift about, not found now and then, in any order."""
    rng = np.random.default_rng(seed)
    centre, speed = rng.uniform([60, 60], [540, 340], (objects, 2)), rng.normal(0, 2, (objects, 2))
    side = rng.uniform(35, 60, (objects, 2))
    seen = []
    for _ in range(frames):
        centre = centre + speed
        speed = np.where((centre < 50) | (centre > np.array([550, 350])), -speed, speed)
        middle, half = centre + rng.normal(0, 0.7, centre.shape), side / 2
        boxes = np.concatenate((middle - half, middle + half), axis=1)
        rows = rng.permutation(np.flatnonzero(rng.random(objects) > miss))
        seen.append(Instances(SIZE, boxes=boxes[rows]))
    return seen


@pytest.fixture(scope="module")
def peers():
    """The package's trackers with the settings of ours; SORT and OC-SORT on the state of their papers."""
    there = pytest.importorskip("trackers", reason="pip install --no-deps trackers: held against it")
    from trackers.utils.state_representations import XCYCSRStateEstimator as CentreArea

    return {
        "sort": lambda: there.SORTTracker(
            lost_track_buffer=1,
            track_activation_threshold=0.5,
            minimum_consecutive_frames=3,
            minimum_iou_threshold=0.3,
            state_estimator_class=CentreArea,
        ),
        "bytetrack": lambda: there.ByteTrackTracker(
            track_activation_threshold=0.7, minimum_iou_threshold=0.2, high_conf_det_threshold=0.6
        ),
        "ocsort": lambda: there.OCSORTTracker(),
    }


@pytest.mark.parametrize("name", ["sort", "bytetrack", "ocsort"])
@pytest.mark.parametrize("seed", range(3))
def test_ids_are_the_packages_up_to_renaming(peers, name: str, seed: int) -> None:
    """Of the boxes that both tell of. Who is told of when differs: theirs keeps silent again after a gap."""
    sv = pytest.importorskip("supervision")
    ours, theirs = tracker(name), peers[name]()
    pairs: dict[tuple[int, int], int] = {}
    for found in crowd(seed):
        result = ours.update(found)
        mine = dict(zip(result.index.tolist(), result.instances.ids.tolist(), strict=True))
        there = theirs.update(
            sv.Detections(
                xyxy=found.boxes.copy(), confidence=found.scores.copy(), data={"at": np.arange(len(found))}
            )
        )
        for at, i in zip(there.data["at"].tolist(), there.tracker_id.tolist(), strict=True):
            if i >= 0 and at in mine:
                pairs[mine[at], i] = pairs.get((mine[at], i), 0) + 1
    a, b = (np.unique([p[k] for p in pairs], return_inverse=True)[1] for k in (0, 1))
    table = np.zeros((a.max() + 1, b.max() + 1))
    table[a, b] = list(pairs.values())
    total, same = sum(pairs.values()), table[linear_sum_assignment(table, maximize=True)].sum()
    assert total > 200
    assert same / total > 0.97
