from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.data.synthetic import DetectorSettings, Motion, SceneSettings, crowd_video, detect
from delineate.tracking import tracker
from delineate.tracking.laid import Shape, Window, worth
from delineate.tracking.masks_tracker import MasksTracker
from delineate.tracking.whole import WholeSettings

SIZE = (60, 160)


def square(x: int, y: int = 20, side: int = 16) -> Masks:
    image = np.zeros(SIZE, np.int64)
    image[max(y, 0) : y + side, max(x, 0) : x + side] = 1
    return Masks.from_label_image(image, [1])


def walk(t: int) -> tuple[Masks, Masks]:
    """One walks behind a pillar, hidden but for its feet: the pillar, and what shows of the walker."""
    pillar, behind = square(60, 0, 40), square(30 + 2 * t, 30)
    clear = behind.dense()[0] & ~pillar.dense()[0]
    return pillar, Masks.from_dense(clear[None])


@pytest.mark.parametrize("whole", [True, False])
def test_the_filter_follows_the_whole_object(whole: bool) -> None:
    follow = tracker("masks", whole=whole)
    wide = []
    for t in range(36):
        result = follow.update(Instances(SIZE, masks=Masks.concatenate(walk(t))))
        assert result.instances.masks[1] == walk(t)[1]  # what is told of is what was found
        wide.append(int(follow.tracks.masks.area.min()))
    assert result.instances.ids.tolist() == [1, 2]
    assert (min(wide) > 200) is whole and wide[-1] > 200


def test_who_is_in_front_is_remembered_and_forgotten() -> None:
    follow = MasksTracker()
    for t in range(20):
        follow.update(Instances(SIZE, masks=Masks.concatenate(walk(t))))
    assert list(follow._whole._front) == [(1, 0)]
    for t in range(60, 95):
        follow.update(Instances(SIZE, masks=Masks.concatenate([square(60, 0, 40), square(t + 5, 42)])))
    assert not follow._whole._front


def test_an_object_that_shrinks_by_itself_is_not_held_to_be_hidden() -> None:
    follow = tracker("masks")
    for t in range(8):
        follow.update(Instances(SIZE, masks=Masks.concatenate([square(20, 20, 16 - t), square(100)])))
    assert follow.tracks.masks.area.tolist() == [81, 256]


def test_masks_of_hidden_objects_lie_nearer_to_the_whole_ones() -> None:
    """Remembered masks against the true whole ones, over a crowd that a perfect detector sees."""
    scene = SceneSettings(size=(100, 140), objects=12, radius=(8, 12), crowding=0.3, shapes=("cell",))
    video = crowd_video(5, scene, frames=20, motion=Motion(speed=2.5))
    score = {}
    for whole in (True, False):
        follow, ious = tracker("masks", whole=whole), []
        for t, seen in enumerate(detect(video, DetectorSettings(0, 0, 0, 0, 0, 0, 0))):
            result = follow.update(seen.found)
            full, ids = video[t].full, video[t].truth.ids
            rows = {identity: row for row, identity in enumerate(follow.tracks.ids.tolist())}
            for identity, column in zip(result.instances.ids.tolist(), result.index.tolist(), strict=True):
                k = int(np.flatnonzero(ids == seen.members[column][0])[0])
                if 0.3 < seen.truth.masks.area[k] / full.area[k] < 0.9:
                    ious.append(follow.tracks.masks[rows[identity]].iou(full[k])[0, 0])
        score[whole] = float(np.mean(ious))
    assert len(ious) > 15 and score[True] > score[False] + 0.02


@settings(max_examples=60, deadline=None)
@given(
    x=st.integers(-12, 60), y=st.integers(-12, 60), side=st.integers(1, 14),
    dx=st.integers(-3, 3), dy=st.integers(-3, 3),
)  # fmt: skip
def test_a_shape_is_laid_where_it_was_moved_to(x: int, y: int, side: int, dx: int, dy: int) -> None:
    window = Window(0, 0, 50, 50)
    shape = Shape(np.ones((side, side), np.bool_), (x, y), window.size)
    target = shape.moved(dx, dy).drawn()
    laid = shape.laid(worth(target, np.zeros_like(target)), 1.0)
    assert max(abs(laid.at[0] - x), abs(laid.at[1] - y)) <= max(1, side)
    if target.sum() == side * side and max(abs(dx), abs(dy)) <= side / 3:
        assert (laid.drawn() == target).all()
    assert laid.drawn().shape == (50, 50) and laid.area == side * side


def test_settings_out_of_range() -> None:
    with pytest.raises(InputError, match="WholeSettings, behind: expected 0 to 1"):
        WholeSettings(behind=-1)
