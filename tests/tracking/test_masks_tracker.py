import cv2
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


def test_a_camera_that_jerks_does_not_change_ids() -> None:
    """Each jerk is as wide as an object; the background tells of it."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (200, 320), dtype=np.uint8)
    world = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)
    size = (120, 200)

    def last_ids(pixels: bool) -> list[int]:
        follow = tracker("masks")
        for k in range(12):
            x, y = (40 + 14 * (k % 2), 40 - 10 * (k % 3))
            frame = world[y : y + size[0], x : x + size[1]].copy()
            image = np.zeros(size, dtype=int)
            for i, (left, top) in enumerate(((110 + k, 70), (160 - k, 100)), start=1):
                image[top - y : top - y + 12, left - x : left - x + 12] = i
            frame[image > 0] = 255
            found = Instances(size, masks=Masks.from_label_image(image, [1, 2]))
            result = follow.update(found, frame if pixels else None)
        return result.instances.ids.tolist()

    assert last_ids(True) == [1, 2]
    assert last_ids(False) != [1, 2]


def test_an_object_behind_another_keeps_its_id() -> None:
    """It passes behind: seen in part, then not at all for some frames, then in part again."""
    follow = tracker("masks")
    for k in range(40):
        image = np.zeros((80, 160), dtype=int)
        image[30:50, 10 + 3 * k : 26 + 3 * k] = 1
        image[20:60, 60:84] = 2
        found = Instances((80, 160), masks=Masks.from_label_image(image))
        result = follow.update(found)
        if k == 0:
            walker, post = result.instances.ids.tolist()
    assert result.instances.ids.tolist() == [walker, post]


@pytest.mark.parametrize("settings", [{"mask_weight": 1.5}, {"again": -0.1}, {"views": 0}])
def test_settings_out_of_range(settings: dict[str, float]) -> None:
    with pytest.raises(InputError, match="tracker"):
        tracker("masks", **settings)
