"""What holds for all trackers behind the same face, whatever they are given."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.tracking import TRACKERS, Tracked, tracker
from delineate.tracking.choose import settings_of

SIZE = (50, 70)
CLASSES = Labels(("one", "two"))
each = pytest.mark.parametrize("name", TRACKERS)


def noise(seed: int, masks: bool, frames: int = 12) -> list[Instances]:
    """Frames of detections that come, go, overlap, merge and leave; some without any."""
    rng = np.random.default_rng(seed)
    centres, speeds = rng.uniform(5, 45, (6, 2)), rng.normal(0, 4, (6, 2))
    given = []
    for _ in range(frames):
        centres = centres + speeds
        rows = np.flatnonzero(rng.random(6) < rng.choice([0.0, 0.7, 1.0]))
        crops, corners = [], []
        for row in rows:
            height, width = rng.integers(1, 14, 2)
            crops.append(rng.random((height, width)) < 0.9)
            corners.append(np.clip(centres[row].astype(int), 0, [SIZE[1] - width, SIZE[0] - height]))
        found = Masks.from_crops(crops, np.array(corners, dtype=int).reshape(-1, 2), SIZE)
        given.append(
            Instances(
                SIZE,
                boxes=found.boxes,
                masks=found if masks else None,
                scores=rng.uniform(0, 1, len(rows)).astype(np.float32),
                labels=rng.integers(0, 2, len(rows)),
                classes=CLASSES,
            )
        )
    return given


def followed(name: str, frames: list[Instances], **settings: object) -> list[Tracked]:
    one = tracker(name, **settings)
    return [one.update(found) for found in frames]


@each
@settings(deadline=None, max_examples=8)
@given(st.integers(0, 10_000), st.booleans())
def test_the_contract(name: str, seed: int, masks: bool) -> None:
    frames = noise(seed, masks)
    over: set[int] = set()
    known: set[int] = set()
    for found, result in zip(frames, followed(name, frames, patience=3), strict=True):
        objects = result.instances
        ids = set(objects.ids.tolist())
        assert len(ids) == len(objects)
        assert not ids & over
        assert not set(result.ended) & over
        assert set(result.ended) <= known | ids | set(result.parents.values())
        known |= ids
        over |= set(result.ended)
        source = found[result.index]
        np.testing.assert_array_equal(objects.scores, source.scores)
        np.testing.assert_array_equal(objects.labels, source.labels)
        whole = ~result.split
        np.testing.assert_array_equal(objects.boxes[whole], source.boxes[whole])
        if masks:
            assert objects.masks[whole] == source.masks[whole]
            parts = np.flatnonzero(result.split)
            inside = [objects.masks[i].intersection_pairs(source.masks[i])[2].sum() for i in parts]
            assert inside == objects.masks[parts].area.tolist()
        assert all(child in ids for child in result.parents)


@each
def test_the_same_calls_give_the_same_ids(name: str) -> None:
    frames = noise(3, True, 20)
    first, second = followed(name, frames), followed(name, frames)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.instances.ids, b.instances.ids)
        np.testing.assert_array_equal(a.index, b.index)
        assert (a.ended, a.parents) == (b.ended, b.parents)


@each
def test_the_order_of_detections_does_not_matter(name: str) -> None:
    frames = [f[f.scores > 0.5] for f in noise(8, True, 15)]
    rng = np.random.default_rng(0)
    orders = [rng.permutation(len(f)) for f in frames]
    straight = followed(name, frames, confirm=1)
    mixed = followed(name, [f[o] for f, o in zip(frames, orders, strict=True)], confirm=1)
    pairs = set()
    for a, b, order in zip(straight, mixed, orders, strict=True):
        if not a.split.any():
            ours = dict(zip(a.index.tolist(), a.instances.ids.tolist(), strict=True))
            theirs = dict(zip(order[b.index].tolist(), b.instances.ids.tolist(), strict=True))
            assert ours.keys() == theirs.keys()
            pairs |= {(i, theirs[k]) for k, i in ours.items()}
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


@each
@pytest.mark.parametrize("masks", [True, False])
def test_one_object_and_nothing_else(name: str, masks: bool) -> None:
    follow = tracker(name)
    image = np.zeros(SIZE, dtype=int)
    image[10:22, 10:22] = 1
    one = Instances(SIZE, masks=Masks.from_label_image(image))
    one = one if masks else one.replace(masks=None)
    ids = [follow.update(found).instances.ids.tolist() for found in [Instances.empty(SIZE), *[one] * 6]]
    assert ids[0] == []
    assert ids[-1] == [1]


@each
def test_five_hundred_objects(name: str) -> None:
    x, y = np.meshgrid(np.arange(25) * 20, np.arange(20) * 20)
    corner = np.stack((x.ravel(), y.ravel()), axis=1) + 4.0
    follow = tracker(name)
    for k in range(4):
        shifted = corner + k
        boxes = np.concatenate((shifted, shifted + 11), axis=1)
        result = follow.update(Instances((420, 520), boxes=boxes))
    assert sorted(result.instances.ids.tolist()) == list(range(1, 501))
    np.testing.assert_array_equal(result.instances.ids[np.argsort(result.index)], np.arange(1, 501))


@each
def test_memory_does_not_grow(name: str) -> None:
    rng = np.random.default_rng(0)
    follow = tracker(name, patience=5)
    for _ in range(50):
        corner = rng.uniform(0, 30, (4, 2))
        result = follow.update(Instances(SIZE, boxes=np.concatenate((corner, corner + 10), axis=1)))
    assert len(follow.tracks) < 40
    assert result.instances.ids.size <= 4


@each
def test_settings_are_told_and_checked(name: str) -> None:
    text = settings_of(name).__doc__
    assert "Attributes:" in text
    own = [field for field in settings_of(name).__annotations__ if f"{field}:" not in text]
    assert [f for f in own if f not in ("begin", "confirm", "at_once", "patience", "patience_new")] == []
    with pytest.raises(InputError, match="expected settings among"):
        tracker(name, colour=3)


def test_a_name_that_is_none() -> None:
    with pytest.raises(InputError, match="expected one of masks"):
        tracker("deepsort")


@each
def test_an_object_keeps_its_class(name: str) -> None:
    box = np.array([[10.0, 10, 24, 24]])
    follow = tracker(name, confirm=1)
    for label in (0, 0, 0, 1, 1):
        result = follow.update(Instances(SIZE, boxes=box, labels=[label], classes=CLASSES))
    assert result.instances.ids.tolist() == [2]
    follow = tracker(name, confirm=1, by_class=False)
    for label in (0, 0, 0, 1, 1):
        result = follow.update(Instances(SIZE, boxes=box, labels=[label], classes=CLASSES))
    assert result.instances.ids.tolist() == [1]
