"""SEG, TRA, DET and LNK against py-ctcmetrics, digit by digit."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.lineage import Lineage
from delineate.core.masks import Masks
from delineate.metrics.ctc_seg import CtcSeg
from delineate.metrics.ctc_tra import CtcTra

Video = tuple[list[np.ndarray], list[list[int]]]  # label images, rows L B E P


def instances(labels: np.ndarray) -> Instances:
    ids = np.unique(labels[labels > 0]).astype(np.int64)
    return Instances(labels.shape, masks=Masks.from_label_image(labels, ids), ids=ids)


def lineage(rows: list[list[int]]) -> Lineage:
    table = np.array(rows, dtype=np.int64).reshape(-1, 4)
    return Lineage(*table.T)


def scored(found: Video, true: Video) -> dict[str, Any]:
    seg, tra = CtcSeg(), CtcTra()
    tra.lineage(lineage(found[1]), lineage(true[1]))
    for number, (labels, reference) in enumerate(zip(found[0], true[0], strict=True)):
        for metric in (seg, tra):
            metric.update(instances(labels), instances(reference), number)
    return {**seg.compute().scores, **tra.compute().scores}


def write(folder: Path, video: Video, text: str, prefix: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, labels in enumerate(video[0]):
        tifffile.imwrite(folder / f"{prefix}{number:03d}.tif", labels.astype(np.uint16))
    (folder / text).write_text("".join(" ".join(map(str, row)) + "\n" for row in video[1]))
    return folder


def reference_scores(found: Video, true: Video, folder: Path) -> dict[str, Any]:
    evaluate = pytest.importorskip("ctc_metrics", reason="py-ctcmetrics is not installed")
    write(folder / "01_RES", found, "res_track.txt", "mask")
    write(folder / "01_GT" / "TRA", true, "man_track.txt", "man_track")
    write(folder / "01_GT" / "SEG", (true[0], []), "none.txt", "man_seg")
    with contextlib.redirect_stdout(io.StringIO()):
        result: dict[str, Any] = evaluate.evaluate_sequence(
            str(folder / "01_RES"), str(folder / "01_GT"), ["SEG", "TRA", "DET", "LNK"], threads=1
        )
    return result


def rows_of(frames: list[np.ndarray]) -> list[list[int]]:
    """Tracks without parents, and the same labels after a gap renamed."""
    seen: dict[int, list[int]] = {}
    for number, labels in enumerate(frames):
        for i in np.unique(labels[labels > 0]).tolist():
            seen.setdefault(i, []).append(number)
    return [[i, times[0], times[-1], 0] for i, times in sorted(seen.items())]


def whole_tracks(frames: list[np.ndarray]) -> list[np.ndarray]:
    """After a gap a track gets a new id, so that the challenge takes it."""
    fresh, names, last = 1 + max((int(f.max()) for f in frames), default=0), {}, {}
    result = []
    for number, labels in enumerate(frames):
        new = np.zeros_like(labels)
        for i in np.unique(labels[labels > 0]).tolist():
            if i in last and last[i] < number - 1:
                names[i], fresh = fresh, fresh + 1
            last[i] = number
            new[labels == i] = names.get(i, i)
        result.append(new)
    return result


def random_video(rng: np.random.Generator, frames: int, like: Video | None = None) -> Video:
    """Squares that come and go; some tracks descend from others. ``like``: the same, disturbed."""
    images = []
    for number in range(frames):
        labels = np.zeros((16, 16), int)
        if like is not None:
            labels = like[0][number].copy()
            for i in np.unique(labels[labels > 0]):
                if rng.random() < 0.3:  # lost, grown into another, or cut
                    labels[labels == i] = rng.choice([0, *np.unique(labels)])
            labels = np.roll(labels, rng.integers(0, 2), axis=rng.integers(0, 2))
            labels[:, 0] = 0
            if rng.random() < 0.4:
                a, b = rng.integers(1, 7, 2)
                labels = np.select([labels == a, labels == b], [b, a], labels)
        else:
            for i in range(1, 6):
                if rng.random() < 0.8:
                    y, x = rng.integers(1, 13, 2)
                    labels[y : y + 3, x : x + 3] = i
        images.append(labels)
    images = whole_tracks(images)
    rows = rows_of(images)
    for row in rows:
        older = [r[0] for r in rows if r[2] < row[1]]
        if older and rng.random() < 0.6:
            row[3] = int(rng.choice(older))
    return images, rows


NAMES = {
    **{name: name for name in ("SEG", "TRA", "DET", "LNK", "AOGM", "AOGM_0")},
    **{name: f"AOGM_{name}" for name in ("NS", "FN", "FP", "ED", "EA", "EC")},
}


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 5))
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_random_videos(tmp_path_factory: pytest.TempPathFactory, seed: int, frames: int) -> None:
    rng = np.random.default_rng(seed)
    true = random_video(rng, frames)
    found = random_video(rng, frames, true)
    if not true[1] or not found[1]:
        return
    ours = scored(found, true)
    expected = reference_scores(found, true, tmp_path_factory.mktemp("ctc"))
    if np.isnan(ours["LNK"]):  # the reference divides by zero
        return
    assert {name: ours[name] for name in NAMES} == {name: expected[theirs] for name, theirs in NAMES.items()}


A, B, SPLIT = np.zeros((3, 4, 9), int)
A[1:3, 1:4], A[1:3, 5:8] = 1, 2
B[1:3, 1:8] = 1
SPLIT[1:3, 1:4], SPLIT[1:3, 5:8] = 3, 4
NONE = np.zeros((4, 9), int)
TRACKS = [[1, 0, 2, 0], [2, 0, 2, 0]]


@pytest.mark.parametrize(
    ("found", "true", "expected"),
    [
        pytest.param(
            ([A] * 3, TRACKS), ([A] * 3, TRACKS), {"SEG": 1, "TRA": 1, "DET": 1, "LNK": 1}, id="itself"
        ),
        pytest.param(
            ([NONE] * 3, []),
            ([A] * 3, TRACKS),
            {"SEG": 0, "TRA": 0, "DET": 0, "LNK": 0, "FN": 6},
            id="nothing",
        ),
        pytest.param(
            ([B] * 3, TRACKS[:1]), ([A] * 3, TRACKS), {"NS": 3, "FN": 0, "EA": 4, "ED": 0}, id="merged"
        ),
        pytest.param(([A] * 3, TRACKS), ([NONE] * 3, []), {"FP": 6, "AOGM_0": 0}, id="nothing true"),
        pytest.param(
            ([B, SPLIT], [[1, 0, 0, 0], [3, 1, 1, 1], [4, 1, 1, 1]]),
            ([B, SPLIT], [[1, 0, 0, 0], [3, 1, 1, 0], [4, 1, 1, 1]]),
            {"ED": 1, "EA": 0, "EC": 0},
            id="a parent too many",
        ),
        pytest.param(
            ([A, A], [[1, 0, 1, 0], [2, 0, 1, 0]]),
            ([A, SPLIT], [[1, 0, 0, 0], [2, 0, 0, 0], [3, 1, 1, 1], [4, 1, 1, 2]]),
            {"EC": 2, "ED": 0, "EA": 0, "LNK": 1 - 2 / 3},
            id="a link where a parent is",
        ),
    ],
)
def test_written_out(found: Video, true: Video, expected: dict[str, float]) -> None:
    ours = scored(found, true)
    assert {name: ours[name] for name in expected} == expected
    json.dumps(CtcTra().compute().to_dict(), allow_nan=False)


def test_no_frames_and_an_undefined_score() -> None:
    assert np.isnan(CtcSeg().compute().scores["SEG"])
    ours = scored(([A], TRACKS_OF_ONE), ([NONE], []))
    assert np.isnan([ours["SEG"], ours["TRA"], ours["DET"], ours["LNK"]]).all()


TRACKS_OF_ONE = [[1, 0, 0, 0], [2, 0, 0, 0]]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_shards_give_the_identical_result(seed: int) -> None:
    rng = np.random.default_rng(seed)
    true = random_video(rng, 6)
    found = random_video(rng, 6, true)
    for make in (CtcSeg, CtcTra):
        shards = [make() for _ in range(4)]
        for number in rng.permutation(6):
            for metric in (shards[0], shards[rng.integers(1, 4)]):
                metric.update(instances(found[0][number]), instances(true[0][number]), int(number))
        if make is CtcTra:
            for metric in shards[:2]:
                metric.lineage(lineage(found[1]), lineage(true[1]))
        for shard in shards[2:]:
            shards[1].merge(shard)
        assert repr(shards[1].compute().to_dict()) == repr(shards[0].compute().to_dict())
        with pytest.raises(InputError, match="in both"):
            shards[0].merge(shards[1])


def test_overlapping_results_and_empty_masks() -> None:
    true = instances(B)
    found = Instances(
        (4, 9), masks=Masks.from_dense(np.stack([B > 0, (B > 0) & (np.arange(9) < 6), B < 0])), ids=[7, 3, 9]
    )
    seg, tra = CtcSeg(), CtcTra()
    for metric in (seg, tra):
        metric.update(found, true, 0)
    assert seg.compute().scores["SEG"] == 1  # the one that covers more
    assert tra.compute().scores["FP"] == 1  # the mask without a pixel is no object


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [[1, 0, 0, 0]],
            "expected track 1 in just the frames it tells of, got one that it does not tell of in frame 1",
        ),
        (
            [[1, 0, 1, 0], [5, 0, 0, 0]],
            "expected track 5 in just the frames it tells of, got none in frame 0",
        ),
        ([[1, 0, 10**9, 0]], "expected frames up to 1"),
    ],
)
def test_a_lineage_that_does_not_fit(rows: list[list[int]], message: str) -> None:
    metric = CtcTra()
    metric.lineage(lineage(rows), None)
    for number in (0, 1):
        metric.update(instances(B), instances(B), number)
    with pytest.raises(InputError, match=message):
        metric.compute()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[1, 0, 4, 0], [1, 5, 6, 0]], "distinct ids above 0, got 1"),
        ([[0, 0, 4, 0]], "distinct ids above 0, got 0"),
        ([[1, 4, 3, 0]], "got 4 and 3"),
        ([[1, 0, 4, 9]], "got 9, an unknown one"),
        ([[1, 0, 4, 0], [2, 4, 6, 1]], "got 1, one that ends in frame 4"),
        ([[1, 0, 4, 1]], "got 1, one that ends in frame 4"),
    ],
)
def test_a_lineage_that_cannot_be(rows: list[list[int]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        lineage(rows)


def test_update_says_what_is_wrong() -> None:
    metric = CtcTra()
    metric.update(instances(B), instances(B), 0)
    with pytest.raises(InputError, match="every frame once"):
        metric.update(instances(B), instances(B), 0)
    with pytest.raises(InputError, match="the frame's size"):
        metric.update(instances(B[:3]), instances(B), 1)
    with pytest.raises(InputError, match="expected masks in the result"):
        metric.update(Instances((4, 9), boxes=[[0, 0, 2, 2]], ids=[1]), instances(B), 1)
    with pytest.raises(InputError, match="each id once in the reference"):
        metric.update(instances(B), instances(A).replace(ids=[1, 1]), 1)


def disturbed(frames: list[np.ndarray]) -> list[np.ndarray]:
    """A real sequence as a bad tracker might see it: lost, merged, cut, switched, shifted, invented."""
    rng = np.random.default_rng(1)
    result = []
    for labels in frames:
        labels = labels.astype(int)
        for i in rng.permutation(np.unique(labels[labels > 0]))[:6]:
            kind = rng.integers(5)
            rows, columns = np.nonzero(labels == i)
            if kind == 0:
                labels[labels == i] = 0
            elif kind == 1:
                labels[labels == i] = rng.choice(np.unique(labels[labels > 0]))
            elif kind == 2:
                labels[rows[rows > np.median(rows)], columns[rows > np.median(rows)]] = 900 + i
            elif kind == 3:
                labels[rows[: len(rows) // 3], columns[: len(rows) // 3]] = 0
            else:
                j = rng.choice(np.unique(labels[labels > 0]))
                labels = np.select([labels == i, labels == j], [j, i], labels)
        labels[3:9, 3:9] = 2000
        result.append(np.roll(labels, 1, axis=1))
    return whole_tracks(result)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_real_sequence(data_dir: Path, tmp_path: Path) -> None:
    truth = data_dir / "ctc" / "Fluo-N2DH-SIM+" / "01_GT"
    first, last = 18, 21  # ten children are born in these frames, which are counted from 0 here
    frames = range(first, last + 1)
    images = [tifffile.imread(truth / "TRA" / f"man_track{n:03d}.tif") for n in frames]
    rows = [
        list(map(int, line.split())) for line in (truth / "TRA" / "man_track.txt").read_text().splitlines()
    ]
    there = {int(i) for labels in images for i in np.unique(labels)}
    rows = [
        [i, max(b, first) - first, min(e, last) - first, p if p in there and b > first else 0]
        for i, b, e, p in rows
        if i in there
    ]
    assert sum(row[3] > 0 for row in rows) >= 2
    itself = scored((images, rows), (images, rows))
    assert [itself[name] for name in ("SEG", "TRA", "DET", "LNK")] == [1, 1, 1, 1]
    found = disturbed(images)
    ours = scored((found, rows_of(found)), (images, rows))
    expected = reference_scores((found, rows_of(found)), (images, rows), tmp_path)
    assert {name: ours[name] for name in NAMES} == {name: expected[theirs] for name, theirs in NAMES.items()}
    assert 0.3 < ours["SEG"] < 0.95
    assert 0.3 < ours["TRA"] < 0.95
