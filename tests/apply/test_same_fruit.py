"""One fruit in several pictures: numbers that agree, and registration against a homography that is known."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.apply.plane_scale import transformed
from delineate.apply.same_fruit import features_of, grouped, joined_tracks, moved, register, same_objects
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.data.synthetic.produce import ProduceSettings, produce_scene


def test_two_views_of_one_table() -> None:
    scene = produce_scene(ProduceSettings(size=(450, 600), focal=650, markers=4, ruler=True, fruit=16), 2)
    half = np.array([[1, 0, -120.0], [0, 1, -40.0], [0, 0, 1]])
    turn = half @ np.vstack([cv2.getRotationMatrix2D((300, 225), 9, 1.1), [0, 0, 1]])
    turn[2, 0] = 2e-4
    image = cv2.warpPerspective(scene.image, turn, (480, 400), borderMode=cv2.BORDER_REFLECT)
    masks = moved(scene.instances, turn, (400, 480))
    kept = np.flatnonzero(np.asarray(masks.area) > 20)
    other = Instances((400, 480), masks=masks[kept])
    found = register(features_of(scene.image), features_of(image))
    assert found is not None
    spots = np.array([[150.0, 100], [500, 120], [300, 300], [520, 400]])
    assert np.abs(transformed(found, spots) - transformed(turn, spots)).max() < 2
    pairs = same_objects(scene.instances, other, found)
    assert {(i, int(kept[j])) for i, j, _ in pairs} == {(int(k), int(k)) for k in kept}


def test_two_scenes_are_not_one() -> None:
    rng = np.random.default_rng(0)
    one, other = (rng.integers(0, 255, (200, 200, 3), dtype=np.uint8) for _ in range(2))
    assert register(features_of(one), features_of(other)) is None
    plain = np.full((100, 100, 3), 90, np.uint8)
    assert register(features_of(plain), features_of(one)) is None
    assert same_objects(Instances.empty((5, 5)), Instances.empty((5, 5)), np.eye(3)) == []


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=5),
    st.lists(
        st.tuples(*[st.integers(0, 4), st.integers(0, 3)] * 2, st.floats(0.25, 1)),
        max_size=12,
    ),
)  # fmt: skip
def test_no_photograph_has_one_fruit_twice(counts: list[int], drawn: list[tuple]) -> None:
    links = [k for k in drawn if k[0] < k[2] < len(counts) and k[1] < counts[k[0]] and k[3] < counts[k[2]]]
    numbers = grouped(counts, links)
    assert [len(n) for n in numbers] == counts
    assert all(len(set(n.tolist())) == len(n) for n in numbers)
    every = {int(n) for one in numbers for n in one}
    assert every == set(range(1, len(every) + 1))
    if not links:
        assert len(every) == sum(counts)


def test_tracks_that_come_back_are_one_and_others_are_not() -> None:
    where = np.array([[10.0, 10], [10.5, 10], [10, 10], [60, 10], [60, 10.2]])
    first, last = np.array([0, 20, 400, 0, 3]), np.array([9, 30, 420, 9, 12])
    found = joined_tracks(where, np.full(5, 8.0), first, last, 50)
    assert found[0] == found[1]
    assert found[2] != found[0]  # too late
    assert found[3] != found[4]  # both are there at once
    assert joined_tracks(np.zeros((0, 2)), *np.zeros((3, 0)), 5).tolist() == []


def test_parts_behind_the_camera_are_left_out() -> None:
    masks = Masks.from_dense(np.ones((1, 10, 10), bool))
    folded = np.array([[1, 0, 0], [0, 1, 0], [-0.2, 0, 1.0]])
    assert np.asarray(moved(Instances((10, 10), masks=masks), folded, (10, 10)).area).tolist() == [0]
