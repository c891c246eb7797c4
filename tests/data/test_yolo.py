from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from delineate.core.errors import DatasetError
from delineate.core.labels import Labels
from delineate.data.formats.yolo import read_objects

CLASSES = Labels(("cat", "dog"))
SIZE = (50, 100)
OUTLINE = "0.1 0.2 0.3 0.2 0.3 0.6 0.1 0.6"


def read(tmp_path: Path, text: str) -> object:
    path = tmp_path / "a.txt"
    path.write_text(text)
    return read_objects(path, SIZE, CLASSES)


def test_outlines_and_boxes_with_and_without_confidence(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(f"1 {OUTLINE} 0.25  \r\n\n0 {OUTLINE} 1\r\n")
    found = read_objects(path, SIZE, CLASSES)
    assert found.masks is not None
    assert (found.masks.area.tolist(), found.labels.tolist()) == ([400, 400], [1, 0])
    assert found.scores.tolist() == [0.25, 1.0]
    assert found.boxes[0].tolist() == [10, 10, 30, 30]
    path.write_text("1 0.2 0.4 0.2 0.4 0.5\n")
    found = read_objects(path, SIZE, CLASSES)
    assert (found.masks, found.scores.tolist()) == (None, [0.5])
    assert np.allclose(found.boxes, [[10, 10, 30, 30]])
    path.write_text("\n")
    assert len(read_objects(path, SIZE, CLASSES)) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"2 {OUTLINE}", r"a.txt:1: expected a class number in 0..1, got '2'"),
        (f"-1 {OUTLINE}", "class number"),
        (f"0.5 {OUTLINE}", "class number"),
        (f"{'9' * 400} {OUTLINE}", "class number"),
        ("0 0.1 0.2", "got 2 numbers"),
        (f"0 {OUTLINE}\n0 0.1 x 0.2 0.3", r"a.txt:2: expected finite numbers"),
        ("0 nan 0.1 0.3 0.1 0.3 0.3", "finite"),
        (f"0 {OUTLINE} 1.5", "expected a confidence in 0..1 as the last of 9 numbers, got 1.5"),
        ("0 10 10 30 10 30 30", "divide them"),
        (f"0 {OUTLINE}\n0 0.5 0.5 0.1 0.1", r"a.txt:2: expected an outline .* got a box"),
        (f"0 {OUTLINE}\n0 {OUTLINE} 0.5", "got an outline with confidence"),
        ("\0\0\0", "class number"),
    ],
)
def test_malformed_lines_are_refused_with_their_number(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_malformed_files(bad_inputs: Path) -> None:
    refused = {"absolute_pixels", "class_float", "class_negative", "class_out_of_range", "nan_coord"}
    refused |= {"mixed_box_and_polygon"}
    for path in sorted((bad_inputs / "yolo").glob("*.txt")):
        if path.stem in refused:
            with pytest.raises(DatasetError, match=f"{path.name}:[12]: expected") as caught:
                read_objects(path, SIZE, CLASSES)
            assert "\n" not in str(caught.value)
        else:
            read_objects(path, SIZE, CLASSES)
    with pytest.raises(DatasetError, match="check the path"):
        read_objects(bad_inputs / "yolo" / "none.txt", SIZE, CLASSES)
