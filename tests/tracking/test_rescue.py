from __future__ import annotations

import numpy as np
import pytest

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.tracking import tracker
from delineate.tracking.rescue import RescueSettings

SIZE = (60, 160)


def square(x: int, y: int = 20, side: int = 16) -> Masks:
    image = np.zeros(SIZE, np.int64)
    image[y : y + side, x : x + side] = 1
    return Masks.from_label_image(image, [1])


def seen(*objects: tuple[Masks, float]) -> Instances:
    masks = Masks.concatenate([Masks.empty(SIZE), *(m for m, _ in objects)])
    return Instances(SIZE, masks=masks, scores=np.array([s for _, s in objects]))


@pytest.mark.parametrize(("rescue", "told"), [(True, 1), (False, 0)])
def test_a_lost_track_takes_a_weak_detection_where_it_expects_one(rescue: bool, told: int) -> None:
    follow = tracker("masks", rescue=rescue)
    for t in range(6):
        follow.update(seen((square(10 + 2 * t), 0.9)))
    follow.update(seen())
    follow.update(seen())
    result = follow.update(seen((square(26), 0.2), (square(90), 0.2)))  # one expected, one not
    assert len(result) == told and result.instances.ids.tolist() == [1] * told
    assert result.index.tolist() == [0] * told


def test_a_copy_begins_no_track() -> None:
    follow, plain = tracker("masks"), tracker("masks", rescue=False)
    for t in range(5):
        found = seen((square(10 + 2 * t), 0.9), (square(13 + 2 * t, 22, 12), 0.8))
        if t == 0:
            found = found[:1]
        one, other = follow.update(found), plain.update(found)
    assert one.instances.ids.tolist() == [1] and len(other) == 2


def test_settings_out_of_range() -> None:
    with pytest.raises(InputError, match="RescueSettings, copy: expected 0 to 1"):
        RescueSettings(copy=1.2)


def test_one_behind_another_is_waited_for() -> None:
    """One that stands, while another passes before it; its patience is less than that takes."""
    ids = {}
    for rescue in (True, False):
        follow = tracker("masks", rescue=rescue, patience=8)
        for t in range(60):
            front, behind = square(10 + 2 * t, 5, 45), square(70)
            clear = Masks.from_dense((behind.dense()[0] & ~front.dense()[0])[None])
            objects = [(m, 0.9) for m in (front, clear) if m.area[0] > 40]
            result = follow.update(seen(*objects))
        ids[rescue] = sorted(result.instances.ids.tolist())
    assert ids[True] == [1, 2] and ids[False] != [1, 2]
