from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delineate.core import rle
from delineate.core.rle_sums import sums

COUNTS = st.lists(st.integers(0, 2**20) | st.integers(0, 40), min_size=1, max_size=60)


@given(st.lists(COUNTS, max_size=8))
def test_sums_are_those_of_the_counts(counts: list[list[int]]) -> None:
    offsets = np.cumsum([0, *map(len, counts)])
    texts = rle.write(np.array([c for row in counts for c in row], np.int64), offsets)
    found = sums("".join(texts).encode(), np.array([len(t) for t in texts], np.int64))
    assert found is not None
    assert found.covered.tolist() == [sum(row) for row in counts]
    assert found.area.tolist() == [sum(row[1::2]) for row in counts]


@pytest.mark.parametrize("text", ["", "Zd0d0\\10f", "é", "2 ", "a" + "o" * 7 + "0", "22p"])
def test_what_is_no_such_string_is_told(text: str) -> None:
    data = text.encode()
    assert sums(b"22" + data, np.array([2, len(data)])) is None
