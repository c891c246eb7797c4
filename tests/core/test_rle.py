from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask as coco
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from delineate.core import rle
from delineate.core.errors import MaskError
from delineate.core.masks import Masks

# pycocotools 2.0.11 makes arrays the old way
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_one_mask_both_ways(mask: Any) -> None:
    ours, theirs = rle.encode(mask), coco.encode(np.asfortranarray(mask.view(np.uint8)))
    assert ours["counts"].encode() == theirs["counts"] and ours["size"] == theirs["size"]
    np.testing.assert_array_equal(rle.decode(theirs), mask)
    np.testing.assert_array_equal(coco.decode(ours), mask)


@given(st.lists(st.lists(st.integers(0, 2**31 - 1), max_size=8), max_size=5))
def test_strings_hold_any_counts(lists: list[list[int]]) -> None:
    counts = np.array([c for many in lists for c in many], dtype=np.int64)
    offsets = np.cumsum([0, *map(len, lists)])
    texts = rle.write(counts, offsets)
    back, cuts = rle._read_strings([t.encode() for t in texts], ["rle"] * len(texts))
    np.testing.assert_array_equal(back, counts)
    np.testing.assert_array_equal(cuts, offsets)


@pytest.mark.parametrize("counts", [[2, 2], (2, 2), np.array([2, 2]), [0, 0, 2, 2], [2, 1, 0, 1], [2, 2, 0]])
def test_lists_with_empty_runs(counts: Any) -> None:
    assert rle.decode({"size": [2, 2], "counts": counts}).tolist() == [[False, True], [False, True]]
    assert Masks.from_rle([{"size": [2, 2], "counts": counts}]).to_rle()[0]["counts"] == "22"


def test_strings_and_lists_mixed() -> None:
    masks = Masks.from_rle(
        [
            {"size": [2, 2], "counts": [4]},
            {"size": [2, 2], "counts": "22"},
            {"size": (2, 2), "counts": [0, 4]},
            {"size": [2, 2], "counts": b"22"},
        ]
    )
    assert masks.area.tolist() == [0, 2, 4, 2]


CASES = {
    "not a dict": [1, 2],
    "no size": {"counts": [4]},
    "no counts": {"size": [2, 2]},
    "bool size": {"size": [True, 4], "counts": [4]},
    "text size": {"size": "22", "counts": [4]},
    "float size": {"size": [2.0, 2], "counts": [4]},
    "three sizes": {"size": [2, 2, 1], "counts": [4]},
    "zero": {"size": [0, 2], "counts": []},
    "huge": {"size": [10**30, 1], "counts": []},
    "bool counts": {"size": [2, 2], "counts": [True, 3]},
    "huge counts": {"size": [2, 2], "counts": [10**40]},
    "negative by string": {"size": [2, 2], "counts": "O4"},
    "cut": {"size": [2, 2], "counts": "2R"},
    "too long a count": {"size": [2, 2], "counts": "oooooooooooooo0"},
    "not ascii": {"size": [2, 2], "counts": "2é"},
    "high bytes": {"size": [2, 2], "counts": b"\xff\xfe"},
    "float array": {"size": [2, 2], "counts": np.array([2.0, 2.0])},
}


@pytest.mark.parametrize("case", CASES)
def test_malformed(case: str) -> None:
    with pytest.raises(MaskError, match=r"rle.*expected .*got "):
        rle.validate(CASES[case], "rle of annotation 7")


def test_the_bad_one_is_named() -> None:
    good = {"size": [2, 2], "counts": "22"}
    for bad in (
        {"size": [2, 2], "counts": "2"},
        {"size": [2, 2], "counts": [1, 1]},
        {"size": [1, 4], "counts": [4]},
    ):
        with pytest.raises(MaskError, match=r"annotation 5"):
            Masks.from_rle(
                [good, good, bad, good], names=["annotation 3", "annotation 4", "annotation 5", "6"]
            )


def test_a_few_bytes_do_not_become_gigabytes() -> None:
    wide = {"size": [1, 2**20], "counts": [0, 2**20]}
    assert Masks.from_rle([wide]).area.tolist() == [2**20]
    with pytest.raises(MaskError, match=r"fewer"):
        Masks.from_rle([wide] * 200)


def test_a_million_characters() -> None:
    text = rle.write(np.array([1] * 999_999 + [1]), np.array([0, 1_000_000]))[0]
    assert rle.decode({"size": [1000, 1000], "counts": text}).sum() == 500_000


def test_bad_input_files(bad_inputs: Path) -> None:
    files = sorted((bad_inputs / "rle").glob("*.json"))
    assert files
    for path in files:
        value = json.loads(path.read_text())
        read_correctly = {"00_valid_control", "40_poly_outside_huge", "41_poly_outside_1e6"}
        read_correctly |= {"44_poly_self_intersecting", "45_poly_outside_negative"}
        try:
            if "poly" in path.stem:
                masks = Masks.from_polygons([value], (64, 64))
            else:
                masks = Masks.from_rle([value])
        except MaskError as error:
            assert path.stem not in read_correctly, error
            assert "\n" not in str(error) and len(str(error)) < 300
            continue
        assert path.stem in read_correctly
        if path.stem == "00_valid_control":
            np.testing.assert_array_equal(masks.dense()[0], coco.decode(value))
        if path.stem.startswith(("40", "41")):  # a triangle over everything but the lower left half
            assert abs(masks.area[0] - 64 * 65 // 2) <= 64
        if path.stem.startswith("45"):
            assert masks.area.tolist() == [0]
