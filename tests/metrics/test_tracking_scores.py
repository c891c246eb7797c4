"""HOTA, CLEAR MOT and identity against TrackEval, digit by digit, on random videos."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.metrics.clear_mot import ClearMOT
from delineate.metrics.hota import ALPHAS, HOTA
from delineate.metrics.hota_report import RATIOS, HotaCounts
from delineate.metrics.identity import Identity
from delineate.metrics.pairwise_sum import sparse_sum

reference = pytest.importorskip("trackeval.metrics", reason="TrackEval is not installed; `make test` does it")

Frame = tuple[np.ndarray, np.ndarray, np.ndarray]  # true ids, predicted ids, (T, P) similarity
CLASS = Labels(("thing",))


def boxes(ids: np.ndarray, labels: Any = None, classes: Labels = CLASS) -> Instances:
    return Instances(
        (9, 9), boxes=np.tile([0.0, 0, 1, 1], (len(ids), 1)), ids=ids, labels=labels, classes=classes
    )


@st.composite
def videos(draw: st.DrawFn, most_tracks: int = 6, most_frames: int = 8) -> list[Frame]:
    """Frames of a video: ids come and go, many similarities are equal, zero, or exactly at a threshold."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    steps = draw(st.sampled_from([2, 4, 20, 97]))  # coarse steps make ties
    frames = []
    for _ in range(draw(st.integers(0, most_frames))):
        true = rng.permutation(most_tracks)[: draw(st.integers(0, most_tracks))]
        said = rng.permutation(most_tracks)[: draw(st.integers(0, most_tracks))]
        similarity = rng.integers(0, steps + 1, (len(true), len(said))) / steps
        similarity[rng.random(similarity.shape) < draw(st.sampled_from([0.0, 0.5, 0.9]))] = 0
        frames.append((true, said, similarity))
    return frames


def crowd_video(rng: np.random.Generator, frames: int, tracks: int) -> list[Frame]:
    """A long video in which predictions follow the truth, with misses, switches and strays."""
    names = rng.permutation(tracks * 2)[:tracks]
    result = []
    for _ in range(frames):
        if rng.random() < 0.2:
            i, j = rng.integers(0, tracks, 2)
            names[[i, j]] = names[[j, i]]
        true = np.flatnonzero(rng.random(tracks) < 0.8)
        found = true[rng.random(len(true)) < 0.9]
        similarity = np.where(
            rng.random((len(true), len(found))) < 0.1, rng.random((len(true), len(found))), 0
        )
        similarity[np.searchsorted(true, found), np.arange(len(found))] = 0.4 + 0.6 * rng.random(len(found))
        result.append((true, names[found], similarity))
    return result


def fed(metric: Any, videos: dict[str, list[Frame]]) -> Any:
    for sequence, frames in videos.items():
        for number, (true, said, similarity) in enumerate(frames):
            metric.update(boxes(said), boxes(true), number, sequence, similarity=similarity.T)
    return metric


def trackeval_data(frames: list[Frame]) -> dict[str, Any]:
    """A video as TrackEval's metrics take it."""
    true_ids = np.unique(np.concatenate([np.zeros(0, int), *(f[0] for f in frames)]))
    said_ids = np.unique(np.concatenate([np.zeros(0, int), *(f[1] for f in frames)]))
    return {
        "gt_ids": [np.searchsorted(true_ids, f[0]) for f in frames],
        "tracker_ids": [np.searchsorted(said_ids, f[1]) for f in frames],
        "similarity_scores": [f[2].copy() for f in frames],
        "num_gt_ids": len(true_ids),
        "num_tracker_ids": len(said_ids),
        "num_gt_dets": sum(len(f[0]) for f in frames),
        "num_tracker_dets": sum(len(f[1]) for f in frames),
        "num_timesteps": len(frames),
        "seq": "video",
    }


def trackeval_results(metric: Any, videos: dict[str, list[Frame]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """TrackEval's numbers of each sequence, and of all, sequences in sorted order."""
    each = {name: metric.eval_sequence(trackeval_data(videos[name])) for name in sorted(videos)}
    return each, metric.combine_sequences(each)


HOTA_NAMES = dict(zip(RATIOS, RATIOS, strict=True))
CLEAR_NAMES = {
    **{
        name: name
        for name in ("MOTA", "MOTP", "sMOTA", "MODA", "IDSW", "Frag", "MT", "PT", "ML", "MTR", "PTR")
    },
    **{
        "recall": "CLR_Re",
        "precision": "CLR_Pr",
        "F1": "CLR_F1",
        "TP": "CLR_TP",
        "FN": "CLR_FN",
        "FP": "CLR_FP",
    },
}
IDENTITY_NAMES = ("IDF1", "IDP", "IDR", "IDTP", "IDFN", "IDFP")
QUIET = {"PRINT_CONFIG": False}


def same_hota(found: HotaCounts, expected: dict[str, Any]) -> None:
    for name, values in zip(("tp", "fn", "fp"), ("HOTA_TP", "HOTA_FN", "HOTA_FP"), strict=True):
        np.testing.assert_array_equal(getattr(found, name), expected[values], err_msg=name)
    if found.empty:
        assert np.isnan(found.scores["HOTA"])
        return
    for name in RATIOS:
        np.testing.assert_array_equal(found.ratios[name], expected[name], err_msg=name)
        assert found.scores[name] == np.mean(expected[name])
    for name in ("HOTA(0)", "LocA(0)", "HOTALocA(0)"):
        assert found.scores[name] == expected[name]


def check(sequences: dict[str, list[Frame]]) -> None:
    """All three, each sequence and all together."""
    hota = fed(HOTA("box"), sequences).compute()
    each, total = trackeval_results(reference.HOTA(), sequences)
    same_hota(hota.total, total)
    for name, by_class in hota.sequences.items():
        for counts in by_class.values():
            same_hota(counts, {**each[name], **reference.HOTA._compute_final_fields(dict(each[name]))})

    clear = fed(ClearMOT("box"), sequences).compute()
    judge = reference.CLEAR(dict(QUIET))
    each, total = trackeval_results(judge, sequences)
    rows = [(clear.total.scores, total)]
    rows += [(c.scores, judge.combine_sequences({"": each[name]})) for name, c in only(clear.sequences)]
    for found, expected in rows:
        if found["TP"] + found["FN"] + found["FP"]:
            assert {ours: found[ours] for ours in CLEAR_NAMES} == {
                ours: expected[theirs] for ours, theirs in CLEAR_NAMES.items()
            }

    identity = fed(Identity("box"), sequences).compute()
    each, total = trackeval_results(reference.Identity(dict(QUIET)), sequences)
    rows = [(identity.total.scores, total)]
    rows += [(c.scores, each[name]) for name, c in only(identity.sequences)]
    for found, expected in rows:
        if found["IDTP"] + found["IDFN"] + found["IDFP"]:
            assert {name: found[name] for name in IDENTITY_NAMES} == {
                name: expected[name] for name in IDENTITY_NAMES
            }


def only(sequences: dict[str, dict[str, Any]]) -> list[tuple[str, Any]]:
    return [(name, counts) for name, each in sequences.items() for counts in each.values()]


@settings(max_examples=150, deadline=None)
@given(st.lists(videos(), min_size=1, max_size=3))
def test_random_videos(given_videos: list[list[Frame]]) -> None:
    check({f"seq{i}": frames for i, frames in enumerate(given_videos)})


@pytest.mark.parametrize(("frames", "tracks"), [(60, 12), (40, 90)])
def test_longer_videos(frames: int, tracks: int) -> None:
    """So many pairs of tracks that NumPy's sum is cut into halves."""
    rng = np.random.default_rng(frames)
    check({"a": crowd_video(rng, frames, tracks), "b": crowd_video(rng, frames // 2, tracks // 2)})


NOBODY = np.zeros(0, int)
ONE = np.array([1])
FULL, HALF = np.ones((1, 1)), np.full((1, 1), 0.5)


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param([], id="no frames"),
        pytest.param([(NOBODY, NOBODY, np.zeros((0, 0)))], id="an empty frame"),
        pytest.param([(ONE, NOBODY, np.zeros((1, 0)))], id="nothing predicted"),
        pytest.param([(NOBODY, ONE, np.zeros((0, 1)))], id="nothing true"),
        pytest.param([(ONE, ONE, HALF)] * 2, id="IoU exactly 0.5"),
        pytest.param([(ONE, ONE, FULL), (ONE, ONE + 1, FULL), (ONE, ONE, FULL)], id="switched and back"),
        pytest.param(
            [(ONE, ONE, FULL), (ONE, NOBODY, np.zeros((1, 0))), (ONE, ONE + 1, FULL)], id="a gap, another id"
        ),
        pytest.param([(ONE, ONE, FULL), (ONE, ONE, FULL * 0.4), (ONE, ONE, FULL)], id="lost and found"),
        pytest.param([(np.arange(2), np.arange(2), np.full((2, 2), 0.75))] * 3, id="all tied"),
        pytest.param([(np.arange(2), np.arange(2), np.zeros((2, 2)))] * 2, id="no overlap"),
    ],
)
def test_written_out(frames: list[Frame]) -> None:
    check({"one": frames})
    check({"one": frames, "two": [(ONE, ONE, FULL)] * 3})


@settings(max_examples=30, deadline=None)
@given(videos(most_frames=10), st.integers(0, 2**32 - 1))
def test_shards_give_the_identical_result(frames: list[Frame], seed: int) -> None:
    rng = np.random.default_rng(seed)
    for make in (HOTA, ClearMOT, Identity):
        whole = fed(make("box"), {"a": frames, "b": frames[::-1]})
        shards = [make("box") for _ in range(3)]
        jobs = [("a", n, f) for n, f in enumerate(frames)] + [("b", n, f) for n, f in enumerate(frames[::-1])]
        for k in rng.permutation(len(jobs)):
            sequence, number, (true, said, similarity) = jobs[k]
            shard = shards[rng.integers(3)]
            shard.update(boxes(said), boxes(true), number, sequence, similarity=similarity.T)
        for shard in shards[1:]:
            shards[0].merge(shard)
        if jobs:
            assert repr(shards[0].compute().to_dict()) == repr(whole.compute().to_dict())


def test_several_classes_are_combined_as_the_reference_does() -> None:
    rng = np.random.default_rng(3)
    names = Labels(("car", "bus", "tram"))
    by_class = {label: {s: crowd_video(rng, 12, 5) for s in "ab"} for label in (0, 1)}
    ours = [HOTA("box"), ClearMOT("box"), Identity("box")]
    for sequence in "ab":
        for number in range(12):
            cars, buses = (by_class[label][sequence][number] for label in (0, 1))
            sizes = [(len(f[0]), len(f[1])) for f in (cars, buses)]
            similarity = np.zeros((sum(s[0] for s in sizes), sum(s[1] for s in sizes)))
            similarity[: sizes[0][0], : sizes[0][1]] = cars[2]
            similarity[sizes[0][0] :, sizes[0][1] :] = buses[2]
            true, said = (
                boxes(np.r_[cars[k], buses[k] + 50], np.repeat([0, 1], [s[k] for s in sizes]), names)
                for k in (0, 1)
            )
            for metric in ours:
                metric.update(said, true, number, sequence, similarity=similarity.T)
    judges = [reference.HOTA(), reference.CLEAR(dict(QUIET)), reference.Identity(dict(QUIET))]
    for metric, judge, main in zip(ours, judges, ("HOTA", "MOTA", "IDF1"), strict=True):
        report = metric.compute()
        assert list(report.classes) == ["car", "bus"]
        combined = {label: trackeval_results(judge, by_class[label])[1] for label in (0, 1)}
        by_detections = judge.combine_classes_det_averaged(combined)
        by_classes = judge.combine_classes_class_averaged(combined)
        assert report.scores[main] == np.mean(by_detections[main])
        assert report.scores[f"m{main}"] == np.mean(by_classes[main])
        assert report.class_means[main] == report.scores[f"m{main}"]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5000), st.integers(0, 2**32 - 1))
def test_sparse_sum_has_the_dense_sums_digits(size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    at = np.flatnonzero(rng.random(size) < rng.choice([0.01, 0.3, 1.0]))
    dense = np.zeros(size)
    dense[at] = rng.random(len(at))
    assert sparse_sum(at, dense[at], size) == dense.sum()


def test_thresholds() -> None:
    np.testing.assert_array_equal(ALPHAS, reference.HOTA().array_labels)
