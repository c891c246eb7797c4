from __future__ import annotations

import numpy as np
import pytest

from delineate.apply.draw_tracks import PALETTE, TrackDrawing, id_colors
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.masks import Masks

SIZE = (60, 90)
GREY = np.full((*SIZE, 3), 90, np.uint8)


def squares(*corners: tuple[int, int], ids: list[int], masks: bool = True) -> Instances:
    boxes = np.array([(x, y, x + 10, y + 10) for x, y in corners], np.float32).reshape(-1, 4)
    dense = np.zeros((len(boxes), *SIZE), bool)
    for k, (x, y) in enumerate(corners):
        dense[k, y : y + 10, x : x + 10] = True
    return Instances(SIZE, boxes=boxes, masks=Masks.from_dense(dense) if masks else None, ids=np.array(ids))


def test_a_colour_stays_with_its_id() -> None:
    drawing = TrackDrawing(trail=0, numbers=False)
    one = drawing.draw(squares((10, 30), (40, 30), ids=[3, 8]), GREY)
    two = drawing.draw(squares((44, 30), (70, 30), ids=[8, 5]), GREY)
    assert (one[30, 40] == two[30, 44]).all() and (one[30, 40] == id_colors(np.array([8]))[0]).all()
    assert (one[30, 10] != one[30, 40]).any()


def test_neighbouring_ids_differ() -> None:
    tints = id_colors(np.arange(1, 30)).astype(int)
    assert np.abs(np.diff(tints, axis=0)).sum(axis=1).min() > 60
    assert (id_colors(np.array([1 + PALETTE])) == id_colors(np.array([1]))).all()


def test_a_trail_follows_and_ends() -> None:
    drawing = TrackDrawing(trail=3, numbers=False)
    for x in (10, 20, 30, 40, 50):
        picture = drawing.draw(squares((x, 30), ids=[1]), GREY)
    tint = id_colors(np.array([1]))[0].astype(int)
    near = np.abs(picture[35].astype(int) - tint).sum(axis=1) < 150
    assert near[36:49].all() and not near[:34].any()  # three points back, not five
    picture = drawing.draw(squares(ids=[]), GREY, ended=(1,))
    assert (picture == 90).all() and not drawing._ways


@pytest.mark.parametrize("masks", [True, False])
def test_numbers_stand_above(masks: bool) -> None:
    plain = TrackDrawing(numbers=False).draw(squares((40, 30), ids=[12], masks=masks), GREY)
    with_number = TrackDrawing().draw(squares((40, 30), ids=[12], masks=masks), GREY)
    rows = np.flatnonzero((plain != with_number).any(axis=(1, 2)))
    assert len(rows) and rows.max() < 31 and rows.min() > 10


@pytest.mark.parametrize(
    "image", [np.zeros(SIZE, np.uint16), np.zeros((*SIZE, 1)), np.zeros((*SIZE, 3), np.uint8)]
)
def test_any_image(image: np.ndarray) -> None:
    drawn = TrackDrawing().draw(squares((0, 0), (80, 50), ids=[1, 2]), image)
    assert drawn.shape == (*SIZE, 3) and drawn.dtype == np.uint8 and drawn.any()


def test_empty_and_wrong() -> None:
    assert (TrackDrawing().draw(Instances.empty(SIZE), GREY) == GREY).all()
    with pytest.raises(InputError, match="the image of the objects, 60 x 90, got 60 x 60"):
        TrackDrawing().draw(squares((0, 0), ids=[1]), GREY[:, :60])
