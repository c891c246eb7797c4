import numpy as np
import pytest

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.tracking import tracker

SIZE = (60, 80)


def two_walkers(k: int, seen: tuple[int, ...] = (1, 2)) -> Instances:
    image = np.zeros(SIZE, dtype=int)
    image[10:20, 5 + 3 * k : 15 + 3 * k] = 1
    image[30:45, 50 - 3 * k : 60 - 3 * k] = 2
    return Instances(SIZE, masks=Masks.from_label_image(image, seen))


def test_ids_stay_through_a_gap() -> None:
    follow = tracker("masks")
    ids = [
        follow.update(two_walkers(k, (1,) if k in (3, 4) else (2, 1))).instances.ids.tolist()
        for k in range(7)
    ]
    assert ids == [[1, 2], [1, 2], [1, 2], [2], [2], [1, 2], [1, 2]]


def test_the_masks_are_the_detections() -> None:
    follow = tracker("masks")
    for k in range(3):
        found = two_walkers(k)
        result = follow.update(found)
        assert result.instances.masks == found[result.index].masks
        assert not result.split.any()


def test_a_track_that_is_gone_is_told_once_and_forgotten() -> None:
    follow = tracker("masks", patience=2)
    follow.update(two_walkers(0))
    ended = [follow.update(Instances.empty(SIZE)).ended for _ in range(5)]
    assert ended == [(), (), (1, 2), (), ()]
    assert follow.update(two_walkers(0)).instances.ids.tolist() == []
    assert follow.update(two_walkers(0)).instances.ids.tolist() == [3, 4]


@pytest.mark.parametrize("settings", [{"patience": -1}, {"confirm": 0}, {"interval": 0.0}, {"speed": 3}])
def test_settings_that_cannot_be(settings: dict[str, float]) -> None:
    with pytest.raises(InputError, match="tracker"):
        tracker("masks", **settings)
