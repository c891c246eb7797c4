"""What is mended a few frames later."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.tracking.between import covered, expected, without
from delineate.tracking.finish import Finish, Finished
from delineate.tracking.tracked import Tracked

SIZE = (40, 60)
Window = tuple[int, int, int, int]  # y0, y1, x0, x1


def tracked(
    objects: dict[int, Window], ended: tuple[int, ...] = (), parents: dict[int, int] | None = None
) -> Tracked:
    dense = np.zeros((len(objects), *SIZE), bool)
    for plane, (y0, y1, x0, x1) in zip(dense, objects.values(), strict=True):
        plane[y0:y1, x0:x1] = True
    count = len(objects)
    found = Instances(SIZE, masks=Masks.from_dense(dense), ids=np.array(list(objects), np.int64))
    return Tracked(found, np.arange(count), np.zeros(count, bool), ended, parents or {})


def run(frames: list[Tracked], **options: int) -> tuple[list[Finished], list[tuple[int, int, int, int]]]:
    finish = Finish(**options)
    given_out = [f for frame in frames for f in finish.add(frame)] + list(finish.close())
    assert [f.number for f in given_out] == list(range(len(frames)))
    return given_out, finish.lineage.rows()


CELL = (10, 20, 10, 20)


def test_a_gap_is_filled_on_the_straight_way() -> None:
    frames, rows = run([tracked({1: CELL}), tracked({}), tracked({}), tracked({1: (10, 20, 16, 26)})])
    assert [f.filled.tolist() for f in frames] == [[False], [True], [True], [False]]
    assert frames[1].objects.boxes.tolist() == [[12, 10, 22, 20]]
    assert frames[2].objects.boxes.tolist() == [[14, 10, 24, 20]]
    assert rows == [(1, 0, 3, 0)]


def test_a_longer_gap_makes_a_child() -> None:
    frames, rows = run([tracked({1: CELL}), tracked({}), tracked({}), tracked({1: CELL})], gap=1)
    fresh = int(frames[3].objects.ids[0])
    assert [len(f.objects) for f in frames] == [1, 0, 0, 1]
    assert fresh != 1
    assert rows == [(1, 0, 0, 0), (fresh, 3, 3, 1)]
    assert frames[3].parents == {fresh: 1}


def test_a_mask_over_both_gives_up_what_is_the_lost_one_s() -> None:
    apart = {1: (10, 20, 10, 20), 2: (10, 20, 20, 30)}
    frames, rows = run([tracked(apart), tracked({1: (10, 20, 10, 30)}), tracked(apart)])
    assert frames[1].objects.boxes.tolist() == [[10, 10, 20, 20], [20, 10, 30, 20]]
    assert rows == [(1, 0, 2, 0), (2, 0, 2, 0)]


def test_a_neighbour_of_its_usual_size_gives_up_nothing() -> None:
    frames, _ = run(
        [tracked({1: CELL, 2: (10, 20, 25, 35)}), tracked({2: (10, 20, 15, 25)}), tracked({1: CELL})]
    )
    kept = dict(zip(frames[1].objects.ids.tolist(), frames[1].objects.boxes.tolist(), strict=True))
    assert kept == {1: [10, 10, 15, 20], 2: [15, 10, 25, 20]}


def test_a_mother_lives_until_her_daughters_are_seen() -> None:
    daughters = {2: (10, 20, 4, 12), 3: (10, 20, 18, 26)}
    frames, rows = run([tracked({1: CELL}), tracked({}), tracked(daughters, (1,), {2: 1, 3: 1})])
    assert frames[1].objects.ids.tolist() == [1]
    assert rows == [(1, 0, 1, 0), (2, 2, 2, 1), (3, 2, 2, 1)]


HALVES = {2: (10, 20, 10, 14), 3: (10, 20, 14, 20)}


def test_a_division_that_was_none_is_undone() -> None:
    frames, rows = run(
        [
            tracked({1: CELL}),
            tracked(HALVES, (1,), {2: 1, 3: 1}),
            tracked(HALVES),
            tracked({3: CELL}),
            tracked({3: CELL}, (2,)),
        ]
    )
    assert rows == [(1, 0, 4, 0)]
    assert [f.objects.masks.area.tolist() for f in frames] == [[100]] * 5
    assert not any(f.parents for f in frames)


def test_a_crumb_goes_back_to_its_cell_and_a_true_division_stays() -> None:
    crumb = {1: (10, 20, 10, 17), 2: (10, 20, 17, 20)}
    frames, rows = run([tracked({1: CELL}), tracked(crumb), tracked({1: CELL}), tracked({1: CELL}, (2,))])
    assert rows == [(1, 0, 3, 0)]
    assert frames[1].objects.masks.area.tolist() == [100]
    _, rows = run([tracked({1: CELL}), tracked(HALVES, (1,), {2: 1, 3: 1}), *[tracked(HALVES)] * 4])
    assert rows == [(1, 0, 0, 0), (2, 1, 5, 1), (3, 1, 5, 1)]


def test_a_cell_that_dies_in_the_open_stays() -> None:
    _, rows = run([tracked({1: CELL}), tracked({1: CELL, 2: (25, 35, 40, 50)}), tracked({1: CELL}, (2,))])
    assert rows == [(1, 0, 2, 0), (2, 1, 1, 0)]


def test_daughters_of_a_daughter_that_was_none() -> None:
    later = {4: (10, 20, 4, 12), 5: (10, 20, 18, 26)}
    _, rows = run(
        [
            tracked({1: CELL}),
            tracked(HALVES, (1,), {2: 1, 3: 1}),
            tracked({3: CELL}),
            tracked({3: CELL}, (2,)),
            tracked(later, (3,), {4: 3, 5: 3}),
        ]
    )
    assert rows == [(1, 0, 3, 0), (4, 4, 4, 1), (5, 4, 4, 1)]


def test_no_frames_and_nobody() -> None:
    assert run([]) == ([], [])
    frames, rows = run([tracked({}), tracked({})])
    assert ([len(f.objects) for f in frames], rows) == ([0, 0], [])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sets(st.integers(1, 4)), min_size=1, max_size=12), st.integers(0, 3), st.integers(0, 4),
    st.integers(4, 8),
)  # fmt: skip
def test_a_lineage_tells_of_just_what_is_given_out(
    seen: list[set[int]], gap: int, piece: int, lag: int
) -> None:
    """Whoever comes and goes: tracks without gaps, frames in order, nobody detected is lost."""
    where = {i: (4, 12, 12 * i, 12 * i + 9) for i in range(1, 5)}
    frames, rows = run(
        [tracked({i: where[i] for i in sorted(s)}) for s in seen], gap=gap, piece=piece, lag=lag
    )
    told = {(i, t) for i, begin, end, _ in rows for t in range(begin, end + 1)}
    assert told == {(int(i), f.number) for f in frames for i in f.objects.ids}
    for frame, s in zip(frames, seen, strict=True):
        assert (~frame.filled).sum() == len(s)


def test_memory_is_bounded() -> None:
    finish = Finish()
    for k in range(200):
        list(finish.add(tracked({k + 1: CELL}, (k,) if k else ())))
    assert max(len(v) for v in (finish._held, finish._seen, finish._alias, finish._parents)) <= finish.lag + 1


@pytest.mark.parametrize("options", [{"gap": -1}, {"piece": -1}, {"gap": 4, "lag": 4}])
def test_settings_that_cannot_be(options: dict[str, int]) -> None:
    with pytest.raises(InputError, match="Finish"):
        Finish(**options)


def test_masks_between() -> None:
    cell = tracked({1: CELL}).instances.masks
    nobody = Masks.from_dense(np.zeros((1, *SIZE), bool))
    assert expected(cell, nobody, 0.3) == cell
    assert without(cell, Masks.empty(SIZE)) == cell
    assert without(cell, cell).area.tolist() == [0]
    assert covered(nobody, cell).tolist() == [0.0]
