from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.core.errors import InputError
from delineate.data.synthetic import DetectorSettings, Motion, SceneSettings, Video, crowd_video, detect

PERFECT = DetectorSettings(0, 0, 0, 0, 0, 0, 0)


@pytest.fixture(scope="module")
def video() -> Video:
    scene = SceneSettings(size=(96, 144), objects=24, radius=(6, 10), crowding=0.8)
    return crowd_video(3, scene, frames=40, motion=Motion(speed=2))


def test_a_perfect_detector_gives_the_truth(video: Video) -> None:
    for seen in itertools.islice(detect(video, PERFECT), 5):
        wanted = seen.truth[seen.truth.masks.area >= 8]
        names = np.array([m[0] for m in seen.members])
        order = np.argsort(names)
        assert names[order].tolist() == sorted(wanted.ids.tolist())
        assert seen.found.masks[order] == wanted.masks[np.argsort(wanted.ids)]


def test_the_truth_is_that_of_the_painted_frames(video: Video) -> None:
    truth, visible = video.truth(7)
    assert truth.masks == video[7].truth.masks and truth.ids.tolist() == video[7].truth.ids.tolist()
    np.testing.assert_allclose(visible, video[7].visible)


def test_the_same_seed_gives_the_same_detections(video: Video) -> None:
    one, two, other = ([d.found for d in itertools.islice(detect(video, seed=s), 4)] for s in (1, 1, 2))
    assert all(a.masks == b.masks and (a.scores == b.scores).all() for a, b in zip(one, two, strict=True))
    assert any(a.masks != b.masks for a, b in zip(one, other, strict=True))


def rates(video: Video, settings: DetectorSettings) -> dict[str, float]:
    """Shares of the objects, and how often an error lasts into the next frame."""
    total = missed = weak = merged = doubled = lasting = alarms = 0
    before: set[int] = set()
    for seed in range(3):
        for seen in detect(video, settings, seed):
            under = [k for m in seen.members for k in m]
            gone = set(seen.truth.ids.tolist()) - set(under)
            lasting += len(gone & before)
            before = gone
            total += len(seen.truth)
            missed += len(gone)
            merged += sum(len(m) for m in seen.members if len(m) > 1)
            doubled += len(under) - len(set(under))
            weak += int((seen.found.scores < 0.5).sum())
            alarms += sum(not m for m in seen.members)
    frames = 3 * len(video)
    return {
        "missed": missed / total, "weak": weak / total, "merged": merged / total, "doubled": doubled / total,
        "lasting": lasting / max(missed, 1), "alarms": alarms / frames,
    }  # fmt: skip


def test_errors_come_at_their_rates(video: Video) -> None:
    few = rates(video, DetectorSettings(0.1, 0, 0.2, 0, 0.1, 2.0, 0, memory=0))
    assert few["missed"] == pytest.approx(0.1, abs=0.05)  # and those of fewer than 8 pixels
    assert few["alarms"] == pytest.approx(2, abs=0.3) and few["merged"] == 0
    assert few["doubled"] == pytest.approx(0.09, abs=0.02)
    assert (
        rates(video, DetectorSettings(merge=0.3))["merged"] > rates(video, DetectorSettings())["merged"] > 0
    )


def test_errors_last(video: Video) -> None:
    brief, long = (rates(video, DetectorSettings(miss=0.1, hidden_miss=0, memory=m)) for m in (0.0, 0.95))
    assert long["lasting"] > 2 * brief["lasting"]


@settings(max_examples=15, deadline=None)
@given(jitter=st.floats(0, 3), merge=st.floats(0, 1), seed=st.integers(0, 99))
def test_masks_lie_near_their_objects(video: Video, jitter: float, merge: float, seed: int) -> None:
    settings = DetectorSettings(jitter=jitter, merge=merge)
    seen = next(detect(video, settings, seed))
    assert (seen.found.masks.area > 0).all() and ((seen.found.scores >= 0.1) & (seen.found.scores <= 1)).all()
    place = {k: n for n, k in enumerate(seen.truth.ids.tolist())}
    for mask, members in zip(range(len(seen.found)), seen.members, strict=True):
        if members:
            union = seen.truth.masks[np.array([place[m] for m in members])].union()
            near = jitter < 0.3 and union.area[0] > 60
            assert seen.found.masks[mask].iou(union)[0, 0] > (0.6 if near else 0)


def test_an_empty_picture() -> None:
    video = crowd_video(1, SceneSettings(size=(32, 32), objects=0), frames=2)
    assert [len(d.found) for d in detect(video, DetectorSettings(false_alarms=0))] == [0, 0]


def test_settings_out_of_range() -> None:
    with pytest.raises(InputError, match="merge: expected 0 to 1"):
        DetectorSettings(merge=1.5)
