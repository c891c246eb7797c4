"""Every malformed image, label image and COCO file: a clear one-line error or a right result."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from delineate.core.errors import DatasetError, InputError
from delineate.data import open_dataset, read
from delineate.data.formats.coco_results import read_results
from delineate.data.formats.label_image import decode, read_ids
from delineate.data.records import Record

# What the readers make of each file; None is an error.
IMAGES = {
    "UPPER CASE and space.JPG": "",
    "all_black.png": "",
    "bigtiff.tif": "",
    "exif_orientation_3.jpg": "",
    "exif_orientation_6.jpg": "",
    "exif_orientation_8.jpg": "",
    "extreme_aspect_1x8000.png": "",
    "gray12_in_16.png": "",
    "gray16.png": "",
    "gray8.jpg": "",
    "icc_corrupt.jpg": "",
    "one_pixel_1x1.png": "",
    "palette.png": "",
    "planar_separate.tif": "",
    "png_named_jpg.jpg": "",
    "polyglot_html.png": "",
    "unicode_é中文_🔬.jpg": "",
    "valid_control.jpg": "",
    "animated.gif": "first of several frames",
    "animated_apng.png": "first of 4 frames",
    "cmyk.jpg": "CMYK converted to RGB",
    "corrupt_middle.jpg": "suspect",
    "rgba.png": "alpha dropped",
    "int32_negative.tif": "int32 converted to float32",
    "lab.tif": "CIELAB converted to RGB",
}
LIMITED = {
    "bomb_20000x20000_1bit.png",
    "huge_dims_100000x100000_header.png",
    "huge_dims_4e9.tif",
    "huge_dims_65500x65500_header.jpg",
}
COCO_READ = {
    "area_missing": "area computed",
    "bbox_disagrees_with_mask": "disagrees",
    "bbox_xyxy_instead_of_xywh": "disagrees",
    "category_name_csv_formula": "",
    "category_name_newline_comma": "",
    "category_name_xss": "",
    "duplicate_category_names": "several ids",
    "id_zero_annotation": "id 0",
    "no_annotations_empty_list": "no annotations",
    "polygon_clockwise_hole": "hole",
    "polygon_huge_1e7": "disagrees",
    "polygon_outside_image": "without any pixel",
    "polygon_self_intersecting_bowtie": "even-odd",
    "polygon_zero_area_line": "without any pixel",
    "utf8_bom": "",
    "width_height_missing": "read from the file",
}


def test_images(bad_inputs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    files = sorted((bad_inputs / "images").iterdir())
    assert len(files) == 45
    for path in files:
        try:
            image = read(path)
        except InputError as error:
            assert path.name not in IMAGES, error
            assert str(error).startswith(f"{path}: expected")
            assert "\n" not in str(error)
            assert ("--max-pixels" in str(error)) == (path.name in LIMITED)
        else:
            assert image.notes == () if IMAGES[path.name] == "" else IMAGES[path.name] in image.notes[0]
            assert image.suspect == (path.name == "corrupt_middle.jpg")
            assert image.pixels.dtype in (np.uint8, np.uint16, np.float32)
    assert capfd.readouterr().err == ""  # decoders print nothing of their own


@pytest.mark.parametrize("number", [3, 6, 8])
def test_upright_as_pillow(bad_inputs: Path, number: int) -> None:
    path = bad_inputs / "images" / f"exif_orientation_{number}.jpg"
    with Image.open(path) as image:
        np.testing.assert_array_equal(read(path).pixels, np.asarray(ImageOps.exif_transpose(image)))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("all_background.png", 0),
        ("valid_control.png", 6),
        ("palette_index_mask.png", 6),
        ("id_reused_disconnected.png", 6),
        ("ids_above_65535.tif", 420000),
        ("float_ids.tif", "fractions"),
        ("negative_ids.tif", r"got -3\.\.3"),
        ("rgb_colours_not_ids.png", "3 colour channels"),
    ],
)
def test_label_images(bad_inputs: Path, name: str, message: int | str) -> None:
    path = bad_inputs / "masks" / name
    if isinstance(message, int):
        assert read_ids(path).max() == message
    else:
        with pytest.raises(DatasetError, match=message):
            read_ids(path)


def test_label_images_with_an_image(bad_inputs: Path) -> None:
    from delineate.core.labels import Labels

    image = bad_inputs / "images" / "valid_control.jpg"

    def record(name: str) -> Record:
        return Record("a", image, 1, None, bad_inputs / "masks" / name)

    _, notes = decode(record("id_reused_disconnected.png"), Labels(("object",)))
    assert notes[0].startswith("1 ids have several separate parts (1")
    with pytest.raises(DatasetError, match="never resized"):
        decode(record("wrong_size.png"), Labels(("object",)))


def test_coco(bad_inputs: Path) -> None:
    files = sorted((bad_inputs / "coco").glob("*.json"))
    assert len(files) == 66
    for path in files:
        for skip in (False, True):
            try:
                data = open_dataset(path, images=bad_inputs / "images", skip_invalid=skip)
                samples = list(data)
            except DatasetError as error:
                assert path.stem not in COCO_READ, error
                assert "expected" in str(error)
                assert "\n" not in str(error)
            else:
                assert len(samples) == 1
                if skip and path.stem not in COCO_READ:
                    assert "invalid entries left out" in data.notes[-1]
                else:
                    assert COCO_READ[path.stem] in " ".join(data.notes)
                    assert bool(data.notes) == bool(COCO_READ[path.stem])


def test_results(bad_inputs: Path) -> None:
    data = open_dataset(bad_inputs / "coco" / "utf8_bom.json", images=bad_inputs / "images")
    for name, message in [
        ("results_image_id_unknown", "image_id"),
        ("results_score_nan", "score: .* got NaN"),
    ]:
        with pytest.raises(DatasetError, match=message):
            read_results(bad_inputs / "coco" / f"{name}.json", data)


def test_rle_and_polygons(bad_inputs: Path, tmp_path: Path) -> None:
    """The malformed encodings of ``rle/`` as an annotation of a COCO file."""
    import json

    for path in sorted((bad_inputs / "rle").glob("*.json")):
        try:
            encoding = json.loads(path.read_text())
        except ValueError:
            continue
        row = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": encoding}
        size = encoding.get("size") if isinstance(encoding, dict) else None
        known = (
            isinstance(size, list)
            and len(size) == 2
            and all(isinstance(v, int) and 0 < v < 5000 for v in size)
        )
        height, width = size if known else (192, 256)
        image = {"id": 1, "file_name": "a.png", "width": width, "height": height}
        content = {"images": [image], "categories": [{"id": 1, "name": "a"}], "annotations": [row]}
        (tmp_path / "a.json").write_text(json.dumps(content))
        try:
            truth = open_dataset(tmp_path / "a.json", images=False).truth(0)
        except DatasetError as error:
            assert "annotations[0].segmentation" in str(error), path.name
        else:
            assert path.name.startswith(("00", "40", "41", "44", "45")), path.name
            assert truth.masks is not None and truth.masks.size == (height, width)


def test_everything_else_opens_or_is_one_line(bad_inputs: Path) -> None:
    with (bad_inputs / "manifest.csv").open(encoding="utf-8") as file:
        names = [row["file"] for row in csv.DictReader(file)]
    for name in names:
        if name.startswith(("coco/", "images/")):
            continue
        with pytest.raises(DatasetError, match="expected") as error:
            open_dataset(bad_inputs / name)
        assert "\n" not in str(error.value)
