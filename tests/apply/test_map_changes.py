"""What became of objects between two dates."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.affinity import scale, translate

from delineate.apply.change import changes, common_shift
from delineate.core.errors import InputError

NONE = np.zeros(0, dtype=object)


def town(seed: int = 0, count: int = 30) -> np.ndarray:
    """Houses that do not touch, of several sizes."""
    rng = np.random.default_rng(seed)
    places = [(30.0 * (k % 6), 30.0 * (k // 6)) for k in range(count)]
    return np.array([shapely.box(x, y, x + rng.uniform(8, 20), y + rng.uniform(8, 20)) for x, y in places])


def moved(shapes: np.ndarray, dx: float, dy: float) -> np.ndarray:
    return np.array([translate(s, dx, dy) for s in shapes])


@settings(max_examples=20, deadline=None)
@given(st.floats(-5, 5), st.floats(-5, 5))
def test_a_shift_alone_changes_nothing(dx: float, dy: float) -> None:
    before = town()
    found = changes(before, moved(before, dx, dy), tolerance=2)
    assert found.counts == {"same": 30, "changed": 0, "gone": 0, "new": 0}
    assert np.allclose(found.shift, (dx, dy), atol=1e-6)
    assert np.array_equal(found.before, found.after)


def test_each_state_is_found() -> None:
    before = town()
    after = list(moved(before, 3, -1))
    after[4] = scale(after[4], 1.8, 1.2, origin=(after[4].bounds[0], after[4].bounds[1]))
    after[9] = translate(after[9], 1.5, 0)  # leans by itself, within the tolerance
    del after[20]
    after.append(shapely.box(300, 300, 312, 310))
    found = changes(before, np.array(after), tolerance=2)
    assert found.counts == {"same": 28, "changed": 1, "gone": 1, "new": 1}
    row = found.state.index("changed")
    assert found.before[row] == 4 and found.after[row] == 4
    assert found.before[found.state.index("gone")] == 20
    assert found.after[found.state.index("new")] == 29
    assert found.moved[list(found.before).index(9)] == pytest.approx(1.5, abs=0.1)


def test_split_and_merged_are_changed_not_gone_and_new() -> None:
    halves = [shapely.box(0, 0, 10, 8), shapely.box(10.5, 0, 20, 8)]
    whole = shapely.box(0, 0, 20, 8)
    far = shapely.box(100, 0, 110, 8)
    split = changes(np.array([whole, far]), np.array([*halves, far]), tolerance=0)
    assert split.counts == {"same": 1, "changed": 2, "gone": 0, "new": 0}
    merged = changes(np.array([*halves, far]), np.array([whole, far]), tolerance=0)
    assert merged.counts == {"same": 1, "changed": 2, "gone": 0, "new": 0}


@pytest.mark.parametrize(("before", "after", "counts"), [
    (NONE, NONE, (0, 0, 0, 0)), (town(), NONE, (0, 0, 30, 0)), (NONE, town(), (0, 0, 0, 30)),
])  # fmt: skip
def test_dates_without_objects(before: np.ndarray, after: np.ndarray, counts: tuple[int, ...]) -> None:
    assert tuple(changes(before, after, tolerance=2).counts.values()) == counts


def test_unlike_towns_have_no_common_shift() -> None:
    rng = np.random.default_rng(5)
    scattered = np.array([shapely.box(x, y, x + 9, y + 9) for x, y in rng.uniform(0, 400, (12, 2))])
    assert common_shift(town()[:10], scattered, 2) == ((0.0, 0.0), 0)


def test_a_given_shift_is_taken() -> None:
    found = changes(town(), moved(town(), 12, 0), tolerance=1, shift=(12, 0))
    assert found.counts["same"] == 30 and found.agreed == 0


@pytest.mark.parametrize(
    "wrong", [{"tolerance": -1}, {"tolerance": 1, "same": 0.1}, {"tolerance": 1, "least": 0}]
)
def test_settings_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="expected"):
        changes(town(), town(), **wrong)  # type: ignore[arg-type]
