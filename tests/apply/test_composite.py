"""Selections, effects and compositions of frames."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from delineate.apply import effects
from delineate.apply.composite import Blur, Compositor, Effect, Look, Plain, Scenery, union
from delineate.apply.matting import MatteSettings
from delineate.apply.selection import Selection
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks

HARD = MatteSettings("hard")
PEOPLE = Labels(("person", "dog"))


@pytest.fixture
def picture() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8)


@pytest.fixture
def objects() -> Instances:
    """A person, id 3, and a smaller dog, id 8."""
    labels = np.zeros((60, 80), np.int32)
    labels[10:40, 10:30], labels[30:50, 50:70] = 1, 2
    return Instances(
        (60, 80), masks=Masks.from_label_image(labels), labels=[0, 1], ids=[3, 8], classes=PEOPLE
    )


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("person", [True, False]),
        ("Dog", [False, True]),
        ("id:8", [False, True]),
        ("id:3, dog", [True, True]),
        ("all", [True, True]),
        ("largest", [True, False]),
        ("id:5", [False, False]),
    ],
)
def test_selections(text: str, chosen: list[bool], objects: Instances) -> None:
    selection = Selection.parse(text)
    assert selection.of(objects).tolist() == chosen
    assert selection.of(objects[:0]).tolist() == []
    selection.check(PEOPLE)


@pytest.mark.parametrize("text", ["", " , ", "id:", "id:x", "id:-1"])
def test_selections_that_are_none(text: str) -> None:
    with pytest.raises(InputError):
        Selection.parse(text)


def test_selections_that_can_never_be_fulfilled() -> None:
    with pytest.raises(InputError, match="person, dog"):
        Selection.parse("cat").check(PEOPLE)
    with pytest.raises(InputError, match="--tracks"):
        Selection.parse("id:3").check(PEOPLE, tracked=False)


@pytest.mark.parametrize(
    "text",
    ["melt", "outline=nocolour", "spotlight=2", "pixelate=x", "remove=3", "recolour=", "", "outline:"],
)
def test_effects_that_are_none(text: str) -> None:
    if text == "recolour=":
        assert Effect.parse(text).value == "teal"
        return
    with pytest.raises(InputError):
        Effect.parse(text)


def test_a_new_background_leaves_what_is_kept(picture: NDArray[np.uint8], objects: Instances) -> None:
    look = Look(Plain((0, 200, 0)), keep=Selection.parse("person"), matte=HARD)
    made = Compositor(look, video=False).compose(picture, objects)
    inside = union(objects, [True, False])
    assert np.array_equal(made[inside], picture[inside])
    assert (made[~inside] == (0, 200, 0)).all()


def test_transparency(picture: NDArray[np.uint8], objects: Instances) -> None:
    made = Compositor(Look(transparent=True, matte=HARD), video=False).compose(picture, objects)
    inside = union(objects, [True, True])
    assert made.shape == (60, 80, 4)
    assert np.array_equal(made[..., 3] == 255, inside) and not made[~inside].any()
    soft = Compositor(Look(transparent=True), video=False).compose(picture, objects)
    assert ((soft[..., 3] > 0) & (soft[..., 3] < 255)).any()


def test_a_moving_background_is_asked_for_its_time(picture: NDArray[np.uint8], objects: Instances) -> None:
    asked: list[float] = []

    def at(time: float) -> NDArray[np.uint8]:
        asked.append(time)
        return np.full((30, 90, 3), int(time * 10), np.uint8)

    compositor = Compositor(Look(Scenery(at), matte=HARD))
    made = [compositor.compose(picture, objects, t) for t in (0.0, 0.5)]
    assert asked == [0.0, 0.5] and made[1][0, 0].tolist() == [5, 5, 5]


def test_effects_touch_their_objects_alone(picture: NDArray[np.uint8], objects: Instances) -> None:
    person = union(objects, [True, False])
    for text in ("recolour=red:person", "pixelate=10:person", "remove:person"):
        made = Compositor(Look(effects=(Effect.parse(text),), matte=HARD), video=False).compose(
            picture, objects
        )
        changed = (made != picture).any(axis=2)
        assert changed[person].mean() > 0.9, text
        assert not changed[np.roll(person, 40, axis=1) & ~person].any(), text
    made = Compositor(Look(effects=(Effect.parse("outline=#0000ff:dog"),), matte=HARD), video=False)
    ringed = made.compose(picture, objects)
    blue = (ringed == (0, 0, 255)).all(axis=2)
    assert blue.sum() > 60 and not blue[union(objects, [True, True])].any()


def test_the_background_is_made_of_what_effects_left(picture: NDArray[np.uint8], objects: Instances) -> None:
    look = Look(Blur(0.05), keep=Selection.parse("dog"), effects=(Effect.parse("remove:person"),), matte=HARD)
    with_red = picture.copy()
    with_red[union(objects, [True, False])] = (255, 0, 0)
    made = Compositor(look, video=False).compose(with_red, objects)
    assert int(made[15:35, 15:25, 0].astype(int).mean()) < 180  # no red blur where the person was


def test_no_objects_boxes_and_grey_16_bit(picture: NDArray[np.uint8]) -> None:
    look = Look(Plain((1, 2, 3)), effects=(Effect.parse("remove:all"), Effect.parse("outline")), matte=HARD)
    nothing = Compositor(look).compose(picture, Instances.empty((60, 80)))
    assert (nothing == (1, 2, 3)).all()
    boxes = Instances((60, 80), boxes=[[5, 5, 20, 30]])
    kept = Compositor(Look(Plain((1, 2, 3)), matte=HARD), video=False)
    deep = np.random.default_rng(1).integers(0, 60_000, (60, 80)).astype(np.uint16)
    assert (kept.compose(deep, boxes) != (1, 2, 3)).any(axis=2).sum() == pytest.approx(15 * 25, abs=3)


def test_objects_of_another_size(picture: NDArray[np.uint8]) -> None:
    with pytest.raises(InputError, match="found in it"):
        Compositor(Look(Blur())).compose(picture, Instances.empty((50, 80)))


@pytest.mark.parametrize("wrong", [{"steady": 1.0}, {"hold": -1}, {"behind": Blur(), "transparent": True}])
def test_looks_out_of_range(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        Look(**wrong)  # type: ignore[arg-type]


@given(block=st.integers(2, 30), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_pixelated_blocks_hold_one_colour(block: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 256, (50, 61, 3)).astype(np.uint8)
    mask = np.zeros((50, 61), np.bool_)
    mask[tuple(rng.integers(0, 50, (2, 4)))] = True
    made = effects.pixelate(picture, mask, block)
    for top in range(0, 50, block):
        for left in range(0, 61, block):
            here = np.s_[top : top + block, left : left + block]
            if mask[here].any():
                assert len(np.unique(made[here].reshape(-1, 3), axis=0)) == 1
            else:
                assert np.array_equal(made[here], picture[here])


def test_recolouring_keeps_light_and_shade(picture: NDArray[np.uint8]) -> None:
    calm = cv2.GaussianBlur(picture, (0, 0), 6)
    made = effects.recolour(calm, np.ones((60, 80), np.float32), (0, 128, 128))
    before, after = (cv2.cvtColor(p, cv2.COLOR_RGB2LAB)[..., 0].astype(int) for p in (calm, made))
    assert abs(before - after).mean() < 3
    assert made[..., 0].mean() < calm[..., 0].mean()


def test_a_blurred_background_has_no_halo_of_the_object() -> None:
    picture = np.full((80, 80, 3), 100, np.uint8)
    alpha = np.zeros((80, 80), np.float32)
    alpha[30:50, 30:50] = 1
    picture[alpha > 0] = (255, 0, 0)
    made = effects.blurred(picture, 6, alpha)
    assert abs(made[alpha == 0].astype(int) - 100).max() <= 2
    assert abs(effects.blurred(picture, 6)[25:30, 30:50].astype(int) - 100).max() > 30


@pytest.mark.parametrize("size", [(20, 20), (90, 40), (7, 300)])
def test_covering_fills_the_frame(size: tuple[int, int], picture: NDArray[np.uint8]) -> None:
    assert effects.cover(picture, size).shape == (*size, 3)


def test_over_at_its_ends(picture: NDArray[np.uint8]) -> None:
    back = 255 - picture
    zero, one = np.zeros((60, 80), np.float32), np.ones((60, 80), np.float32)
    assert np.array_equal(effects.over(picture, zero, back), back)
    assert np.array_equal(effects.over(picture, one, back), picture)
    half = effects.over(picture, one / 2, back).astype(int)
    assert abs(half - 127.5).max() <= 1


def test_a_spotlight_darkens_all_else(picture: NDArray[np.uint8], objects: Instances) -> None:
    look = Look(effects=(Effect.parse("spotlight=1:person"),), matte=HARD)
    made = Compositor(look, video=False).compose(picture, objects)
    inside = union(objects, [True, False])
    assert np.array_equal(made[inside], picture[inside]) and made[55:, 75:].max() == 0
