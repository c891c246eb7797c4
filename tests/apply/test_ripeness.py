"""Colours against scikit-image, grades against their thresholds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.color import rgb2lab

from delineate.apply.ripeness import GRADES, Grades, colours, hue_chroma, lab
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.data.synthetic.produce import ProduceSettings, produce_scene


def test_lab_is_scikit_images() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    assert np.abs(lab(pixels) - rgb2lab(pixels)).max() < 0.35


def test_the_ripe_share_of_rendered_fruit() -> None:
    scene = produce_scene(ProduceSettings(fruit=10), 3)
    seen = colours(scene.instances, scene.image, GRADES["tomato"])
    assert np.abs(seen.ripe - scene.ripe).max() < 0.06
    assert (seen.judged > 0.99).all()


def test_one_colour_is_told_as_it_is() -> None:
    image = np.full((30, 40, 3), (200, 30, 30), np.uint8)
    whole = Instances((30, 40), masks=Masks.from_dense(np.ones((1, 30, 40), bool)))
    seen = colours(whole, image, GRADES["strawberry"])
    expected = rgb2lab(image)[0, 0]
    assert (seen.lightness[0], seen.a[0], seen.b[0]) == pytest.approx(expected, abs=0.3)
    assert seen.ripe[0] == 1 and GRADES["strawberry"].grade(1.0) == "No. 1"
    hue, chroma = hue_chroma(expected[1], expected[2])
    assert seen.hue[0] == pytest.approx(float(hue), abs=0.3) and seen.chroma[0] == pytest.approx(
        float(chroma), abs=0.3
    )


def test_reflections_and_darkness_are_not_judged() -> None:
    image = np.zeros((20, 20, 3), np.uint8)
    image[:10] = 255
    half = Instances((20, 20), masks=Masks.from_dense(np.ones((1, 20, 20), bool)))
    seen = colours(half, image, GRADES["tomato"])
    assert seen.judged[0] == 0 and np.isnan(seen.ripe[0]) and GRADES["tomato"].grade(float("nan")) == ""


def test_nothing_and_wrong_sizes() -> None:
    assert len(colours(Instances.empty((5, 5)), np.zeros((5, 5, 3), np.uint8)).hue) == 0
    hollow = Instances((5, 5), masks=Masks.from_dense(np.zeros((1, 5, 5), bool)))
    assert np.isnan(colours(hollow, np.zeros((5, 5, 3), np.uint8)).lightness).all()
    with pytest.raises(InputError, match="the image of the objects"):
        colours(hollow, np.zeros((6, 5, 3), np.uint8))
    with pytest.raises(InputError, match="expected masks"):
        colours(Instances((5, 5), boxes=[[0, 0, 2, 2]]), np.zeros((5, 5, 3), np.uint8))


@pytest.mark.parametrize(
    "share, grade",
    [(0, "green"), (0.05, "breakers"), (0.1, "breakers"), (0.2, "turning"), (0.3, "turning"), (0.5, "pink"),
     (0.6, "pink"), (0.9, "light red"), (0.95, "red"), (1, "red")],
)  # fmt: skip
def test_tomatoes_by_the_standards_bounds(share: float, grade: str) -> None:
    assert GRADES["tomato"].grade(share) == grade


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_riper_fruit_has_no_lower_grade(one: float, other: float) -> None:
    for grades in GRADES.values():
        order = [name for name, _ in grades.steps]
        low, high = sorted((one, other))
        assert order.index(grades.grade(low)) <= order.index(grades.grade(high))


@pytest.mark.parametrize(
    "values, message",
    [
        ({"steps": ()}, "shares rising from 0"),
        ({"steps": (("a", 0.1),)}, "shares rising from 0"),
        ({"steps": (("a", 0.0), ("b", 0.0))}, "shares rising from 0"),
        ({"hue": (0.0, 400.0)}, "hue of 0 to 360"),
        ({"chroma": -1.0}, "chroma of 0 to 200"),
    ],
)
def test_grades_that_are_none(values: dict, message: str) -> None:
    right = {"name": "x", "source": "y", "hue": (0.0, 50.0), "chroma": 10.0, "steps": (("a", 0.0),)}
    with pytest.raises(InputError, match=message):
        Grades(**{**right, **values})
