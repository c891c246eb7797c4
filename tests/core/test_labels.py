from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from delineate.core.errors import DelineateError, InputError
from delineate.core.labels import Labels, distinct_colors


def test_ids_with_gaps_and_back() -> None:
    labels = Labels(("person", "car", "sky"), (1, 3, 90), (True, True, False))
    assert [labels.index(labels.id(i)) for i in range(3)] == [0, 1, 2]
    assert labels.name(2) == "sky" and len(labels) == 3
    assert Labels.from_dict(labels.to_dict()) == labels
    assert labels.colors.shape == (3, 3)


def test_defaults() -> None:
    labels = Labels(("a", "b"))
    assert labels.ids == (1, 2) and labels.things == (True, True)
    assert len(Labels(())) == 0 and Labels(()).colors.shape == (0, 3)


@pytest.mark.parametrize("given", [{"ids": (1,)}, {"ids": (1, 1)}, {"things": (True,)}])
def test_malformed(given: Any) -> None:
    with pytest.raises(InputError, match=r"Labels: expected .*got "):
        Labels(("a", "b"), **given)


def test_an_unknown_id_lists_the_known() -> None:
    with pytest.raises(DelineateError, match=r"class id 9: expected one of 1, 2"):
        Labels(("a", "b")).index(9)
    with pytest.raises(InputError, match=r"20 in all"):
        Labels(tuple("abcdefghijklmnopqrst")).index(99)


def test_colours_differ() -> None:
    colours = distinct_colors(60)
    assert colours.dtype == np.uint8 and len(np.unique(colours, axis=0)) == 60
    steps = np.abs(np.diff(colours.astype(int), axis=0)).sum(1)
    assert steps.min() > 60
