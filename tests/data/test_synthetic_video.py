from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.core.errors import InputError
from delineate.data import open_dataset
from delineate.data.synthetic import Motion, SceneSettings, Video, crowd_video
from delineate.data.synthetic.files import write_video

SMALL = SceneSettings(size=(64, 96), objects=14, radius=(5, 9), crowding=0.8)


@pytest.fixture(scope="module")
def video() -> Video:
    return crowd_video(2, SMALL, frames=40, motion=Motion(speed=3, shake=0.5))


def test_identities_persist(video: Video) -> None:
    """An identity keeps its shape, size and place in the order; its centre moves as its stream does."""
    seen: dict[int, list[int]] = {}
    order = {}
    for t, frame in enumerate(video):
        assert len(set(frame.truth.ids.tolist())) == len(frame.truth)
        for place, identity in enumerate(frame.truth.ids.tolist()):
            seen.setdefault(identity, []).append(t)
            assert order.setdefault(identity, frame.layout.radii[place]) == frame.layout.radii[place]
        assert (np.diff(frame.truth.ids) > 0).all()  # front to back, always the same way
    for identity, frames in seen.items():
        away = set(range(frames[0], frames[-1] + 1)) - set(frames)
        spans = video.hidden.get(identity, [])
        assert away <= {t for a, b in spans for t in range(a, b + 1)}


def test_two_streams_cross(video: Video) -> None:
    moves: dict[int, list[float]] = {}
    for frame in video:
        for identity, x in zip(frame.truth.ids.tolist(), frame.layout.centers[:, 0], strict=True):
            moves.setdefault(identity, []).append(float(x))
    speeds = [(xs[-1] - xs[0]) / (len(xs) - 1) for xs in moves.values() if len(xs) > 20]
    assert min(speeds) < -1.5 and max(speeds) > 1.5
    first, last = set(video[0].truth.ids.tolist()), set(video[-1].truth.ids.tolist())
    assert first - last and last - first  # some leave, some enter


def test_frames_are_exact(video: Video) -> None:
    for t in (0, 17, 39):
        frame = video[t]
        whole, shown = frame.full.dense(), frame.truth.masks.dense()
        assert (shown.sum(axis=0) <= 1).all() and not (shown & ~whole).any()
        assert (frame.truth.masks.area > 0).all()
        ids, visible, full = video.states(t)
        np.testing.assert_array_equal(ids[visible > 0], frame.truth.ids)
        np.testing.assert_array_equal(visible[visible > 0], frame.truth.masks.area)
        np.testing.assert_array_equal(full[visible > 0], frame.full.area)
    assert sum(1 for t in range(40) for v in video.states(t)[1] if v == 0) == sum(
        b - a + 1 for spans in video.hidden.values() for a, b in spans
    )


def test_objects_hide_each_other(video: Video) -> None:
    least: dict[int, float] = {}
    for t in range(len(video)):
        for identity, shown, whole in zip(*video.states(t), strict=True):
            if whole > 60:
                least[int(identity)] = min(least.get(int(identity), 1.0), shown / whole)
    assert min(least.values()) < 0.3


def test_masks_move_little_between_frames(video: Video) -> None:
    one, two = video[10], video[11]
    same, i, j = np.intersect1d(one.truth.ids, two.truth.ids, return_indices=True)
    assert len(same) > 5
    overlap = one.full[i].iou(two.full[j])[np.arange(len(same)), np.arange(len(same))]
    assert np.median(overlap) > 0.4


def test_the_camera_shakes_all_alike() -> None:
    people = SceneSettings(size=(64, 96), objects=8, radius=(12, 16), shapes=("person",))
    still, shaken = (crowd_video(1, people, 5, Motion(speed=0, wander=0, shake=s)) for s in (0, 2))
    assert still[0].truth.masks == still[4].truth.masks
    offset = shaken.layout(4).centers - still.layout(4).centers
    assert np.ptp(offset, axis=0).max() < 1e-9 and abs(offset[0]).max() > 0.1


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 12), st.sampled_from(["cell", "person", "ring"]))
def test_any_video_is_the_same_twice(seed: int, objects: int, shape: str) -> None:
    chosen = SceneSettings(size=(32, 40), objects=objects, radius=(5, 8), shapes=(shape,))
    one, two = (crowd_video(seed, chosen, 3)[2] for _ in range(2))
    np.testing.assert_array_equal(one.image, two.image)
    assert one.truth.masks == two.truth.masks and one.truth.ids.tolist() == two.truth.ids.tolist()


def test_as_a_sequence(video: Video) -> None:
    assert len(video) == 40 and [f.name for f in video[:2]] == ["000001.png", "000002.png"]
    np.testing.assert_array_equal(video[-1].image, video[39].image)
    with pytest.raises(IndexError):
        video[40]


def test_what_cannot_be_made_is_refused() -> None:
    with pytest.raises(InputError, match="expected 1 to"):
        crowd_video(0, SMALL, 0)
    with pytest.raises(InputError, match="expected 1 to 2714 frames at 5 pixels"):
        crowd_video(0, SMALL, 10_000, Motion(speed=5))
    with pytest.raises(InputError, match="speed: expected 0 to 100"):
        Motion(speed=-1)


@pytest.mark.parametrize("with_av", [True, False])
def test_files_are_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_av: bool) -> None:
    if with_av:
        pytest.importorskip("av")
    else:
        monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    video = crowd_video(4, SceneSettings(size=(33, 47), objects=6, radius=(4, 6)), 4)
    write_video(tmp_path / "film", video)
    back = open_dataset(tmp_path / "film")
    for ours, theirs in zip(video, back, strict=True):
        np.testing.assert_array_equal(ours.image, theirs.image)
        order = np.argsort(ours.truth.ids)
        assert ours.truth.masks[order] == theirs.truth.masks
        np.testing.assert_array_equal(ours.truth.ids[order], theirs.truth.ids)
    with (tmp_path / "film" / "objects.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {int(r["frame"]) for r in rows} == {1, 2, 3, 4}
    assert sum(int(r["visible"]) for r in rows) == sum(int(f.truth.masks.area.sum()) for f in video)
    assert (tmp_path / "film" / "video.mp4").exists() == with_av


def test_the_movie_looks_like_the_frames(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    video = crowd_video(4, SceneSettings(size=(64, 80), objects=6, noise=0), 5)
    write_video(tmp_path / "film", video)
    with av.open(str(tmp_path / "film" / "video.mp4")) as file:
        frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    assert len(frames) == 5 and frames[0].shape == (64, 80, 3)
    assert np.abs(frames[2].astype(int) - video[2].image).mean() < 8
