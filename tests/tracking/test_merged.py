from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.data.synthetic import DetectorSettings, Motion, SceneSettings, crowd_video, detect
from delineate.tracking import tracker
from delineate.tracking.merged import MergeSettings, divide, suspects

SIZE = (60, 90)


def discs(*places: tuple[float, float, float]) -> Masks:
    """Discs (x, y, radius); later ones lie behind earlier ones."""
    image = np.zeros(SIZE, np.int64)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    for k, (x, y, r) in reversed(list(enumerate(places, 1))):
        image[(columns - x) ** 2 + (rows - y) ** 2 < r * r] = k
    return Masks.from_label_image(image, np.arange(1, len(places) + 1))


def found(masks: Masks) -> Instances:
    return Instances(SIZE, masks=masks)


def test_a_merged_pair_is_cut_near_its_border() -> None:
    truth = discs((30, 30, 12), (52, 30, 12))
    rows, parts = divide(truth.union(), discs((28, 31, 12), (54, 29, 12)), MergeSettings())
    assert rows == [0, 1]
    assert parts.iou(truth).diagonal().min() > 0.9 > 0.6 > truth.union().iou(truth).max()


def test_a_hidden_object_takes_nothing() -> None:
    front = discs((40, 30, 14))
    assert divide(front, Masks.concatenate([front, discs((42, 31, 10))]), MergeSettings()) is None


@pytest.mark.parametrize(
    ("expected", "wanted"),
    [
        ([], {}),
        ([(30, 30, 12)], {}),
        ([(30, 30, 12), (52, 30, 12)], {0: [0, 1]}),
        ([(30, 30, 12), (52, 30, 12), (75, 50, 6)], {0: [0, 1]}),
        ([(30, 30, 12), (75, 50, 6)], {}),
    ],
)
def test_who_is_suspected(expected: list[tuple[float, float, float]], wanted: dict[int, list[int]]) -> None:
    merged = discs((30, 30, 12), (52, 30, 12)).union()
    masks = Masks.concatenate([merged, discs((75, 50, 6))])
    shapes = Masks.concatenate([Masks.empty(SIZE), *(discs(e) for e in expected)])
    result = suspects(found(masks), shapes, np.zeros(len(shapes), np.int64), MergeSettings())
    assert {k: sorted(v.tolist()) for k, v in result.items()} == wanted


def test_tracks_of_another_class_are_not_looked_for() -> None:
    two = discs((30, 30, 12), (52, 30, 12))
    assert suspects(found(two.union()), two, np.array([0, 1]), MergeSettings()) == {}


@settings(max_examples=40, deadline=None)
@given(
    places=st.lists(
        st.tuples(st.integers(10, 80), st.integers(10, 50), st.integers(3, 14)), min_size=2, max_size=5
    ),
    seed=st.integers(0, 99),
)
def test_parts_tile_the_mask(places: list[tuple[float, float, float]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    shapes = Masks.concatenate(
        [discs((x + rng.normal(), y + rng.normal(), r)) for x, y, r in places]  # some hide others
    )
    merged = discs(*places).union()
    cut = divide(merged, shapes, MergeSettings())
    if cut is not None:
        rows, parts = cut
        assert len(rows) == len(parts) >= 2 and len(set(rows)) == len(rows)
        assert (parts.area > 0).all() and parts.union() == merged and parts.area.sum() == merged.area[0]


def test_two_that_meet_keep_their_masks_and_ids() -> None:
    """The tracker sees one mask while the two touch."""
    follow, plain = tracker("masks"), tracker("masks", split_merged=False)
    ids, split = [], []
    for t in range(14):
        truth = discs((20 + 2 * t, 28, 11), (74 - 2 * t, 34, 11))
        meet = truth.boxes[0, 2] >= truth.boxes[1, 0]
        seen = found(truth.union() if meet else truth)
        one, other = follow.update(seen), plain.update(seen)
        ids.append(one.instances.ids.tolist())
        if meet and t < 12:
            order = np.argsort(one.instances.ids)
            cut, whole = one.instances.masks[order].iou(truth), other.instances.masks.iou(truth)
            assert cut.diagonal().min() > 0.7 and cut.diagonal().sum() > whole.max(axis=0).sum()
            assert one.index.tolist() == [0, 0] and one.split.all()
            split.append(t)
    assert len(split) >= 3 and all(sorted(i) == [1, 2] for i in ids[:12])


def test_merged_masks_of_a_crowd_come_nearer_to_the_truth() -> None:
    scene = SceneSettings(size=(120, 180), objects=24, radius=(8, 12), crowding=0.6, shapes=("cell",))
    video = crowd_video(4, scene, frames=30, motion=Motion(speed=2.5))
    follow, before, after = tracker("masks"), [], []
    for seen in detect(video, DetectorSettings(merge=0.2), seed=4):
        result = follow.update(seen.found)
        place = {k: n for n, k in enumerate(seen.truth.ids.tolist())}
        for k in np.unique(result.index[result.split]).tolist():
            truth = seen.truth.masks[np.array([place[m] for m in seen.members[k]])]
            before += seen.found.masks[k].iou(truth)[0].tolist()
            after += result.instances.masks[result.index == k].iou(truth).max(axis=0).tolist()
    assert len(after) > 40 and np.mean(after) > np.mean(before) + 0.2


def test_boxes_alone_are_left_as_they_are() -> None:
    follow = tracker("masks")
    boxes = np.array([[10, 10, 30, 40], [32, 10, 50, 40]], float)
    for seen in (boxes, boxes + np.array([2, 0, -2, 0]), np.array([[10, 10, 50, 40]], float)):
        result = follow.update(Instances(SIZE, boxes=seen))
    assert not result.split.any() and len(result) <= 1


def test_labels_of_another_number_are_told() -> None:
    with pytest.raises(InputError, match="one label a shape"):
        suspects(found(discs((9, 9, 5))), discs((9, 9, 5)), np.zeros(2, np.int64), MergeSettings())


def test_no_detections() -> None:
    follow = tracker("masks")
    follow.update(found(discs((30, 30, 12), (52, 30, 12))))
    assert len(follow.update(Instances.empty(SIZE, Labels(("class 0",))))) == 0


@pytest.mark.parametrize("settings", [{"gain": -0.1}, {"inside": 2}, {"most": 1}])
def test_settings_out_of_range(settings: dict[str, float]) -> None:
    with pytest.raises(InputError, match="MergeSettings"):
        MergeSettings(**settings)
