"""Pickles of arrays are read, and nothing in a pickle is run."""

from __future__ import annotations

import codecs
import collections
import io
import os
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.core.errors import CheckpointError
from delineate.engine import checkpoint
from delineate.engine.plain_pickle import read_arrays

CONTENT: dict[str, Any] = {
    "model": collections.OrderedDict(
        a=np.arange(6, dtype=np.float32).reshape(2, 3),
        b=np.asfortranarray(np.arange(6, dtype=np.int64).reshape(3, 2)),
        c=np.array(2.5, dtype=np.float16),
        d=np.zeros((0, 4), np.float64),
        e=np.array([1, 2], dtype=">i4"),
        f=np.array([True, False]),
    ),
    "__author__": "someone",
    "matching_heuristics": True,
}


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_come_back(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "model_final.pkl"
    path.write_bytes(pickle.dumps(CONTENT, protocol=protocol))
    assert read_arrays(path)["__author__"] == "someone"
    weights = checkpoint.load(path).weights
    assert set(weights) == set("abcdef")
    for name, wanted in CONTENT["model"].items():
        np.testing.assert_array_equal(weights[name].numpy(), wanted)
    assert weights["b"].dtype == torch.int64


class Attack:
    def __init__(self, call: Any, *arguments: Any) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self) -> Any:
        return self.call, self.arguments


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Attack(os.system, "false"), "posix.system|nt.system"),
        (Attack(eval, "1"), "eval"),
        (Attack(np.fromfile, "x"), "numpy.*fromfile"),
        ({"a": np.array([object()], dtype=object)}, "an array of 'O8'"),
        ({"a": np.array(["text"])}, "an array of 'U4'"),
        ({"a": {1, 2}}, "expected tensors by name"),
        ([1, 2], "expected a state dict"),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(CheckpointError, match=message):
        checkpoint.load(path)


@pytest.mark.parametrize(
    "program",
    [
        b"\x80\x04ccollections\nOrderedDict\n}b.",  # a state for a class
        b"\x80\x04cnumpy.core.multiarray\n_reconstruct\n}b.",  # and for a function
        b"\x80\x04cnumpy\nndarray.tofile\n.",
        b"\x80\x04\x8c\x05numpy\x8c\x0bdtype.names\x93.",
        b"\x80\x04K\x01r\xff\xff\xff\x7f.",  # a memo of two thousand million places
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",  # bytes beyond the file's end
        b"\x80\x04" + b"]" * 2000 + b"a" * 1999 + b".",
    ],
)
def test_programs(tmp_path: Path, program: bytes) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(program)
    with pytest.raises(CheckpointError):
        checkpoint.load(path)


FROM_BUFFER = np.arange(3).__reduce_ex__(5)[0]


@pytest.mark.parametrize(
    "arguments",
    [
        (codecs.encode, "a" * 2**16, "latin1"),
        (FROM_BUFFER, bytearray(2**16), np.dtype("u1"), (2**16,), "C"),
    ],
)
def test_little_that_would_become_much(tmp_path: Path, arguments: tuple[Any, ...]) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps([Attack(*arguments) for _ in range(1000)], protocol=5))
    assert path.stat().st_size < 2**17
    with pytest.raises(CheckpointError, match="more numbers than its own bytes hold"):
        read_arrays(path)


def test_what_is_named_many_times_is_read_once(tmp_path: Path) -> None:
    content: Any = np.ones(3, np.float32)
    for _ in range(15):
        content = [content] * 100  # 100 ** 15 arrays, were each its own
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(content))
    found = read_arrays(path)
    assert found[0] is found[99]


def test_a_shape_that_the_bytes_do_not_fill(tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    content = pickle.dumps({"a": np.zeros(5, np.uint8)}, protocol=2)
    short = content.replace(b"K\x05\x85", b"K\xff\x85")
    assert short != content and any(op.name == "BUILD" for op, _, _ in pickletools.genops(short))
    path.write_bytes(short)
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoint.load(path)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_damage_is_told(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    stream = io.BytesIO(pickle.dumps(CONTENT, protocol=4))
    content = bytearray(stream.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(2, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damage") / "x.pkl"
    path.write_bytes(content)
    try:
        checkpoint.load(path)
    except CheckpointError as error:
        assert str(error).startswith(str(path)) and "\n" not in str(error)
