from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.draw import ellipse, polygon

from delineate.core.errors import InputError
from delineate.data.synthetic import Scene, SceneSettings, crowd_scene
from delineate.data.synthetic.layout import Layout, arrange, draw, reaches, spacings
from delineate.data.synthetic.paint import paint, style
from delineate.data.synthetic.pixels import cover, front_to_back
from delineate.data.synthetic.scene import crowd_truth
from delineate.data.synthetic.shapes import FORM, SHAPES

SMALL = SceneSettings(size=(72, 96), objects=14)
PINNED = [456, 151, 143, 191, 76]  # pixels that show


def touching(scene: Scene) -> int:
    """Pairs of objects with a pixel beside a pixel of the other."""
    labels = scene.truth.masks.to_label_image()
    pairs = set()
    for a, b in ((labels[:, 1:], labels[:, :-1]), (labels[1:], labels[:-1])):
        meet = (a > 0) & (b > 0) & (a != b)
        pairs |= {tuple(sorted(p)) for p in zip(a[meet].tolist(), b[meet].tolist(), strict=True)}
    return len(pairs)


scenes = st.builds(
    SceneSettings,
    size=st.tuples(st.integers(8, 80), st.integers(8, 80)),
    objects=st.integers(0, 25),
    radius=st.sampled_from([(2.0, 2.5), (4.0, 12.0), (20.0, 30.0)]),
    crowding=st.floats(0, 1),
    shapes=st.sets(st.sampled_from(sorted(SHAPES)), min_size=1).map(lambda s: tuple(sorted(s))),
    min_visible=st.sampled_from([0.0, 0.1, 0.6, 1.0]),
    blur=st.sampled_from([0.0, 0.7]),
)


@settings(max_examples=40, deadline=None)
@given(scenes, st.integers(0, 10**6))
def test_visible_and_hidden_parts_make_the_whole(chosen: SceneSettings, seed: int) -> None:
    scene = crowd_scene(seed, chosen)
    assert scene.image.shape == (*chosen.size, 3) and scene.image.dtype == np.uint8
    whole, visible = scene.full.dense(), scene.truth.masks.dense()
    assert (visible.sum(axis=0) <= 1).all()  # no pixel belongs to two
    in_front = np.zeros(chosen.size, dtype=bool)
    for mask, shown in zip(whole, visible, strict=True):
        np.testing.assert_array_equal(shown, mask & ~in_front)  # an object hides all that come after it
        in_front |= mask
    assert (scene.truth.masks.area >= 8).all()
    assert (scene.visible >= chosen.min_visible).all() and (scene.visible <= 1).all()
    assert scene.truth.classes.names == chosen.shapes


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(sorted(SHAPES)), st.integers(0, 10**6), st.floats(3, 40))
def test_boxes_hold_the_whole_outline(name: str, seed: int, radius: float) -> None:
    rng = np.random.default_rng(seed)
    layout = dataclasses.replace(
        draw(SceneSettings(objects=3, radius=(radius, radius), shapes=(name,)), rng),
        centers=rng.uniform(95, 105, (3, 2)),
    )
    found = cover(layout, (200, 200))
    for i in range(3):
        inside = found.crop(found.distance, i) < 0
        assert inside.any()
        assert not (inside[0].any() or inside[-1].any() or inside[:, 0].any() or inside[:, -1].any())


def one(name: str, radius: float, angle: float, form: np.ndarray, center: tuple[float, float]) -> Layout:
    return Layout(
        (name,),
        np.zeros(1, dtype=np.int64),
        np.array([center]),
        np.array([radius]),
        np.array([angle]),
        form[None],
        np.zeros((1, 8)),
    )


@pytest.mark.parametrize("angle", [0.0, 0.6, 2.0])
def test_an_ellipse_is_that_of_scikit_image(angle: float) -> None:
    form = np.full(FORM, 0.5)
    mask = cover(one("ellipse", 20.0, angle, form, (40.5, 36.5)), (80, 90)).masks().dense()[0]
    theirs = np.zeros((80, 90), dtype=bool)
    theirs[ellipse(36, 40, 0.75 * 20, 1.2 * 20, shape=theirs.shape, rotation=-angle)] = True
    assert np.count_nonzero(mask ^ theirs) <= 4


@pytest.mark.parametrize("name", ["cell", "polygon", "ring"])
def test_the_reach_is_the_outline(name: str) -> None:
    layout = one(name, 25.0, 0.3, np.random.default_rng(3).random(FORM), (40.5, 40.5))
    mask = cover(layout, (81, 81)).masks().dense()[0]
    turn = np.arange(32) * (2 * np.pi / 32)
    reach = reaches(layout)[0]
    theirs = np.zeros(mask.shape, dtype=bool)
    theirs[polygon(40 + reach * np.sin(turn), 40 + reach * np.cos(turn), mask.shape)] = True
    filled = ndimage.binary_fill_holes(mask)
    assert np.count_nonzero(filled ^ theirs) < 0.06 * np.count_nonzero(filled)
    assert (filled != mask).any() == (name == "ring")


@pytest.mark.parametrize("level", [0.0, 0.25, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_crowding_is_the_spacing_of_neighbours(level: float, shape: str) -> None:
    chosen = SceneSettings(size=(300, 300), objects=40, crowding=level, shapes=(shape,))
    layout = arrange(chosen, np.random.default_rng(5))
    reach = reaches(layout)
    apart = spacings(layout.centers, reach, layout.centers, reach)
    np.fill_diagonal(apart, np.inf)
    nearest = apart.min(axis=1)
    assert (nearest > (1.5 - level) * 0.92).all()
    assert np.median(nearest) == pytest.approx(1.5 - level, rel=0.05)


def test_the_crowding_dial() -> None:
    """Touching pairs rise and what shows falls, over eight scenes at each step."""
    levels = (0.0, 0.25, 0.5, 0.75, 1.0)
    pairs, shown = [], []
    for level in levels:
        some = [crowd_scene(i, SceneSettings(size=(160, 160), objects=18, crowding=level)) for i in range(8)]
        pairs.append(sum(touching(s) for s in some) / sum(len(s.truth) for s in some))
        shown.append(np.mean([s.visible.mean() for s in some]))
    assert pairs[0] == 0 and shown[0] == 1
    assert pairs == sorted(pairs) and shown == sorted(shown, reverse=True)
    assert pairs[2] > 0.3 and pairs[4] > 0.8 and shown[4] < 0.8


def test_what_lies_behind_does_not_touch_what_is_in_front() -> None:
    plain = SceneSettings(size=(128, 128), objects=20, crowding=1, blur=0, noise=0)
    layout = arrange(plain, np.random.default_rng(2))
    look = style(plain, np.random.default_rng(0))
    with_all, front = cover(layout, plain.size), layout.take(slice(0, 12))
    alone = cover(front, plain.size)
    images = [
        paint(one, found, look, plain, np.random.default_rng(0))
        for one, found in ((layout, with_all), (front, alone))
    ]
    labels = front_to_back(alone, 0, 1)[0]
    inner = ndimage.binary_erosion(labels > 0, iterations=2)  # the very edge mixes with what is behind
    np.testing.assert_array_equal(images[0][inner], images[1][inner])
    assert (images[0] != images[1]).any()


def test_the_same_seed_gives_the_same_scene() -> None:
    first, again, other = crowd_scene(3, SMALL), crowd_scene(3, SMALL), crowd_scene(4, SMALL)
    np.testing.assert_array_equal(first.image, again.image)
    assert first.truth.masks == again.truth.masks == crowd_truth(3, SMALL).masks
    assert first.truth.masks != other.truth.masks


def test_seeds_are_integers_of_any_kind() -> None:
    assert crowd_truth(np.int64(3), SMALL).masks == crowd_truth([3], SMALL).masks
    with pytest.raises(InputError, match="expected integers >= 0, got -1"):
        crowd_scene(-1)


def test_the_picture_does_not_decide_the_truth() -> None:
    dull = dataclasses.replace(SMALL, contrast=0.1, likeness=1, blur=2, noise=0)
    assert crowd_truth((3, 1), dull).masks == crowd_truth((3, 1), SMALL).masks


def test_a_pinned_scene() -> None:
    """Outlines are made of sums, products and roots only, so these hold on any platform."""
    truth = crowd_truth(1, SceneSettings(size=(64, 64), objects=5, crowding=1))
    assert truth.masks.area.tolist() == PINNED


def test_an_empty_scene() -> None:
    scene = crowd_scene(0, dataclasses.replace(SMALL, objects=0))
    assert len(scene.truth) == len(scene.full) == len(scene.visible) == 0
    assert scene.truth.size == SMALL.size and scene.image.std() > 0 and not scene.notes


def test_no_room_is_told() -> None:
    scene = crowd_scene(0, SceneSettings(size=(32, 32), objects=30, crowding=0))
    assert 0 < len(scene.truth) < 30
    assert scene.notes == (f"{30 - len(scene.truth)} of 30 objects had no room or were hidden",)


def test_people_who_stand_lower_are_nearer() -> None:
    layout = crowd_scene(0, SceneSettings(shapes=("person",), radius=(14, 20), crowding=0.9)).layout
    feet = layout.centers[:, 1] + layout.radii
    assert (np.diff(feet) <= 0).all()


def test_likeness_makes_objects_alike() -> None:
    """The spread of the objects' mean grey values falls; what remains is light and texture."""

    def spread(likeness: float) -> float:
        found = []
        for seed in range(5):
            scene = crowd_scene(seed, SceneSettings(likeness=likeness))
            labels, grey = scene.truth.masks.to_label_image(), scene.image.mean(axis=2)
            found.append(np.std(ndimage.mean(grey, labels, np.arange(1, len(scene.truth) + 1))))
        return float(np.mean(found))

    assert spread(1) < 0.6 * spread(0)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"crowding": 1.1}, "crowding: expected 0 to 1"),
        ({"crowding": float("nan")}, "crowding: expected 0 to 1"),
        ({"objects": -1}, "objects"),
        ({"size": (7, 100)}, "size: expected height and width"),
        ({"size": (100,)}, "size: expected height and width"),
        ({"radius": (9, 8)}, "radius: expected least and greatest"),
        ({"shapes": ("star",)}, "shapes: expected some of cell, "),
        ({"shapes": ()}, "got none"),
        ({"shapes": ("cell", "cell")}, "each once"),
        ({"noise": -0.1}, "noise"),
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        SceneSettings(**wrong)
