from __future__ import annotations

import numpy as np
import pytest

from delineate.core.errors import InputError
from delineate.core.labels import Labels
from delineate.core.semantic import Semantic, positions

CLASSES = Labels(("road", "car"), ids=(7, 26), things=(False, True))


def test_what_it_is() -> None:
    s = Semantic(np.array([[0, 0, 1], [-1, 1, 1]]), CLASSES)
    assert s.size == (2, 3) and s.area.tolist() == [2, 3] and s.void == 1 and s.map.dtype == np.int16
    assert repr(s) == "Semantic(2 x 3: car 50%, road 33%)"
    assert repr(Semantic([[-1]], CLASSES)) == "Semantic(1 x 1: void)"  # type: ignore[arg-type]
    assert s == Semantic(s.map, CLASSES) and s != Semantic(np.zeros((2, 3), int), CLASSES) and s != 1


def test_ids_there_and_back() -> None:
    ids = np.array([[7, 26, 255, 0]], np.uint8)
    s = Semantic.from_ids(ids, CLASSES)
    assert s.map.tolist() == [[0, 1, -1, -1]]
    assert s.to_ids(0).tolist() == [[7, 26, 0, 0]]
    with pytest.raises(InputError, match="no class, got 7"):
        s.to_ids(7)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((2, 2)), "integers"),
        (np.zeros(4, int), "integers"),
        (np.zeros((0, 4), int), "integers"),
        (np.array([[2]]), "in 0..1 or -1"),
        (np.array([[-2]]), "in 0..1 or -1"),
        (np.array([[65536]]), "in 0..1 or -1"),
    ],
)
def test_refuses(image: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Semantic(image, CLASSES)


def test_refuses_ids_that_are_no_integers() -> None:
    with pytest.raises(InputError, match="integers"):
        Semantic.from_ids([[0.5]], CLASSES)


def test_positions() -> None:
    assert positions(np.array([[5, 9], [2, 7]]), [9, 2, 5]).tolist() == [[2, 0], [1, -1]]
    assert positions(np.array([5]), []).tolist() == [-1]
