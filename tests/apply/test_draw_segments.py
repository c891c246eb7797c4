from __future__ import annotations

import numpy as np
import pytest

from delineate.apply.draw_segments import STUFF_WASH, panoptic_overlay, semantic_overlay
from delineate.core.errors import InputError
from delineate.core.labels import Labels
from delineate.core.panoptic import Panoptic

CLASSES = Labels(("car", "sky"), things=(True, False))
GREY = np.full((12, 16, 3), 100, np.uint8)


def scene() -> Panoptic:
    image = np.zeros((12, 16), int)
    image[6:] = 1  # sky
    image[8:11, 4:9] = 2  # car
    return Panoptic(image, labels=[1, 0], classes=CLASSES)


def test_stuff_is_washed_and_things_are_outlined() -> None:
    p = scene()
    picture = np.asarray(panoptic_overlay(p, GREY)).astype(float)
    car, sky = CLASSES.colors.astype(float)
    assert (picture[5, 15] == 100).all()  # void
    np.testing.assert_allclose(picture[7, 15], 100 * (1 - STUFF_WASH) + sky * STUFF_WASH, atol=1)
    assert (picture[8, 5] == car).all()  # its outline
    assert np.abs(picture[9, 6] - (75 + car / 4)).max() <= 1  # a light wash inside
    assert np.array_equal(np.asarray(p.plot(GREY)), picture)


def test_classes_are_washed() -> None:
    picture = np.asarray(semantic_overlay(scene().to_semantic())).astype(float)
    assert not picture[:6].any()
    np.testing.assert_allclose(picture[9, 6], CLASSES.colors[0] * STUFF_WASH, atol=1)


def test_nothing_to_draw() -> None:
    nothing = Panoptic(np.zeros((12, 16), int), labels=[], classes=CLASSES)
    assert np.array_equal(np.asarray(panoptic_overlay(nothing, GREY)), GREY)


def test_another_image() -> None:
    with pytest.raises(InputError, match="expected the image of the segments, 12 x 16"):
        panoptic_overlay(scene(), GREY[:5])
