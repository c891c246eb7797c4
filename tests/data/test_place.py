"""Where written images go: never outside, never twice; names that stay apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delineate.core.errors import DatasetError
from delineate.core.polygons import Polygon
from delineate.data.images import read, write_png
from delineate.data.place import Place, safe_name, stems
from delineate.data.records import Record
from delineate.data.rings import apart, single_ring


def record(name: str, path: Path) -> Record:
    return Record(name, path, 1, None, None)


def test_places_and_remembers(tmp_path: Path) -> None:
    source = write_png(tmp_path / "a.png", np.full((2, 3), 7, np.uint8))
    for how in ("copy", "link", "none"):
        place = Place(how, tmp_path / how)  # type: ignore[arg-type]
        place(record("a", source), tmp_path / how / "images" / "b.png")
        assert list(place.placed) == ["images/b.png"]
        assert (tmp_path / how / "images" / "b.png").is_file() == (how != "none")
    assert (tmp_path / "link" / "images" / "b.png").stat().st_ino == source.stat().st_ino


def test_refuses(tmp_path: Path) -> None:
    source = write_png(tmp_path / "a.png", np.zeros((2, 3), np.uint8))
    place = Place("copy", tmp_path / "out")
    with pytest.raises(DatasetError, match="inside the dataset"):
        place(record("a", source), tmp_path / "out" / ".." / "b.png")
    place(record("a", source), tmp_path / "out" / "b.png")
    with pytest.raises(DatasetError, match="two of this name"):
        place(record("a", source), tmp_path / "out" / "b.png")
    with pytest.raises(DatasetError, match="got none"):
        place(record("a", tmp_path / "none.png"), tmp_path / "out" / "c.png")


def test_png_where_the_format_wants_it(tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(np.full((4, 5, 3), 90, np.uint8)).save(tmp_path / "a.jpg")
    place = Place("link", tmp_path / "out")
    place(record("a", tmp_path / "a.jpg"), tmp_path / "out" / "a.png")
    np.testing.assert_array_equal(read(tmp_path / "out" / "a.png").pixels, read(tmp_path / "a.jpg").pixels)


@given(st.lists(st.text(max_size=8), max_size=6))
def test_names_stay_inside_and_apart(names: list[str]) -> None:
    for name in names:
        safe = safe_name(name)
        assert safe and ".." not in safe.split("/") and not Path(safe).is_absolute() and safe.isprintable()
        assert safe_name(safe) == safe
    found = stems([record(name, Path("x")) for name in names])
    assert len({stem.lower() for stem in found}) == len(names)
    assert all(stem and "/" not in stem for stem in found)


def test_bridges() -> None:
    square = np.array([[0.0, 0], [9, 0], [9, 9], [0, 9]])
    parts = [Polygon(square, (square / 9 + 2, square / 9 + 5)), Polygon(square + 20)]
    ring = single_ring(parts)
    assert len(ring) == 16 + 3 * 2 + 2 * sum(1 for _ in range(3))
    assert apart(parts, (40, 40)) and not apart([*parts, Polygon(square + 4)], (40, 40))
    assert apart([], (4, 4)) and apart(parts[:1], (4, 4))
