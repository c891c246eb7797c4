import numpy as np
import pytest

from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.tracking import tracker
from delineate.tracking.appearance_memory import AppearanceMemory, Cosines

SIZE = (80, 240)


def look(kind: int, rng: np.random.Generator, spread: float = 0.1) -> np.ndarray:
    """A feature of an object: its own direction and noise, over a part that all share."""
    own = np.random.default_rng(kind).normal(0, 1, 16)
    vector = np.concatenate((own + spread * rng.normal(0, 4, 16), np.full(16, 1.5)))
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def frame(places: dict[int, int]) -> Instances:
    """Objects (kind -> x) side by side, in order of their kinds."""
    image = np.zeros(SIZE, dtype=int)
    for row, (kind, x) in enumerate(sorted(places.items())):
        image[5 + 18 * row : 19 + 18 * row, x : x + 12] = kind
    return Instances(SIZE, masks=Masks.from_label_image(image, sorted(places)))


def test_running_moments_are_those_of_all_values() -> None:
    values = np.random.default_rng(0).normal(0.4, 0.1, 900)
    running = Cosines()
    for part in np.split(values, [100, 101, 400]):
        running.add(part)
    running.add(np.zeros(0))
    assert running.count == 900
    assert running.mean == pytest.approx(values.mean())
    assert running.variance == pytest.approx(values.var())


def test_an_object_that_comes_back_elsewhere_is_known_by_its_looks() -> None:
    def ids(with_looks: bool) -> list[int]:
        rng = np.random.default_rng(5)
        follow = tracker("masks", confirm=1)
        for k in range(25):
            places = {1: 10 + 2 * k, 2: 100, 3: 200 - 2 * k, 4: 150}
            if 14 <= k < 22:
                places.pop(4)
            elif k >= 22:
                places[4] = 165  # stepped aside while nobody looked
            found = frame(places)
            looks = np.stack([look(kind, rng) for kind in sorted(places)])
            result = follow.update(found, features=looks if with_looks else None)
        return result.instances.ids.tolist()

    assert ids(True) == [1, 2, 3, 4]
    assert ids(False)[:3] == [1, 2, 3]


def test_what_comes_up_beside_a_lost_track_is_another_if_it_looks_otherwise() -> None:
    def last_id(kind: int) -> int:
        rng = np.random.default_rng(6)
        follow = tracker("masks", confirm=1)
        for k in range(30):
            kinds = {1: 10 + 2 * k, 2: 100, 3: 200 - 2 * k}
            if not 15 <= k < 25:
                kinds[4 if k < 15 else kind] = 150 if k < 15 else 152
            looks = np.stack([look(i, rng) for i in sorted(kinds)])
            result = follow.update(frame(kinds), features=looks)
        return result.instances.ids[result.index == 3].item()

    assert last_id(4) == 4
    assert last_id(9) == 5


def test_looks_that_tell_nothing_change_nothing() -> None:
    rng = np.random.default_rng(1)
    results = []
    for features in (False, True):
        follow = tracker("masks")
        ids = []
        for k in range(30):
            found = frame({1: 10 + 2 * k, 2: 60 + k, 3: 200 - 2 * k})
            looks = rng.normal(0, 1, (3, 8)).astype(np.float32)
            looks /= np.linalg.norm(looks, axis=1, keepdims=True)
            ids.append(follow.update(found, features=looks if features else None).instances.ids.tolist())
        results.append(ids)
    assert results[0] == results[1]


def test_likeness_is_even_before_anything_is_known() -> None:
    memory = AppearanceMemory()
    assert memory.probability(np.array([-1.0, 0.0, 1.0])).tolist() == [0.5, 0.5, 0.5]
    memory.same.add(np.full(50, 0.9) + np.linspace(-0.05, 0.05, 50))
    memory.other.add(np.full(50, 0.5) + np.linspace(-0.05, 0.05, 50))
    low, even, high = memory.probability(np.array([0.5, 0.7, 0.9]))
    assert low < 0.01
    assert even == pytest.approx(0.5)
    assert high > 0.99
