"""Malformed YOLO and VOC files, each in a dataset of its own: a right result or one clear line."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from delineate.core.errors import DelineateError
from delineate.data import open_dataset
from delineate.data.images import write_png

READ = {
    "voc/box_float.xml": 1,
    "voc/filename_traversal.xml": 1,  # the image is found by the annotation's own name
    "voc/valid_control.xml": 1,
    "yolo/coords_slightly_over_1.txt": 1,
    "yolo/crlf_and_trailing_spaces.txt": 1,
    "yolo/data_yaml_norway_names.yaml": 0,
    "yolo/duplicate_rows.txt": 2,
    "yolo/empty_file.txt": 0,
    "yolo/odd_number_of_coords.txt": 1,
    "yolo/two_points.txt": 1,  # four numbers are a box
    "yolo/valid_control.txt": 1,
}
"""What is read, and how many objects it has."""
SAID = {
    "voc/billion_laughs.xml": "without a DTD",
    "voc/box_reversed.xml": "xmin <= xmax",
    "voc/deep_nesting_50k.xml": "nested",
    "voc/external_dtd.xml": "without a DTD",
    "voc/size_missing.xml": "bndbox",
    "voc/truncated.xml": "line 1, column 151",
    "voc/xxe_file.xml": "without a DTD",
    "voc/xxe_http_loopback.xml": "without a DTD",
    "yolo/absolute_pixels.txt": "divide them",
    "yolo/class_float.txt": "'0.5'",
    "yolo/class_negative.txt": "'-1'",
    "yolo/class_out_of_range.txt": "'99'",
    "yolo/data_yaml_alias_bomb.yaml": "an alias",
    "yolo/data_yaml_names_missing.yaml": "no YOLO with names",
    "yolo/data_yaml_nc_mismatch.yaml": "nc 5 and 2 names",
    "yolo/data_yaml_python_object.yaml": "a tag",
    "yolo/mixed_box_and_polygon.txt": "one kind in a file",
    "yolo/nan_coord.txt": "finite",
}


def dataset(file: Path, folder: Path) -> Path:
    voc = file.suffix == ".xml"
    for name in ("JPEGImages", "Annotations") if voc else ("images", "labels"):
        (folder / name).mkdir()
    write_png(folder / ("JPEGImages" if voc else "images") / "a.png", np.zeros((60, 80), np.uint8))
    target = {".xml": "Annotations/a.xml", ".txt": "labels/a.txt"}.get(file.suffix, "data.yaml")
    shutil.copy(file, folder / target)
    if file.suffix == ".txt":
        (folder / "data.yaml").write_text("train: images\nnames: [a, b, c]\n")
    return folder


@pytest.mark.parametrize("kind", ["voc", "yolo"])
def test_each_file(kind: str, bad_inputs: Path, tmp_path: Path) -> None:
    files = sorted((bad_inputs / kind).iterdir())
    assert {f"{kind}/{file.name}" for file in files} <= {*READ, *SAID}
    for file in files:
        name = f"{kind}/{file.name}"
        folder = tmp_path / file.name
        folder.mkdir()
        dataset(file, folder)
        if name in READ:
            assert len(open_dataset(folder).truth(0)) == READ[name], name
        else:
            with pytest.raises(DelineateError, match=SAID[name]) as error:
                open_dataset(folder).truth(0)
            assert "\n" not in str(error.value) and str(folder) in str(error.value)
    assert not Path("/tmp/seg_bad_input_executed").exists()


def test_names_stay_words(bad_inputs: Path, tmp_path: Path) -> None:
    folder = dataset(bad_inputs / "yolo" / "data_yaml_norway_names.yaml", tmp_path)
    assert open_dataset(folder).classes.names == ("no", "yes", "1e3", "012")
