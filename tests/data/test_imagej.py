"""ImageJ regions against roifile, in zips and alone, and bad ones."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import roifile
from roifile import ROI_SUBTYPE, ROI_TYPE, ImagejRoi

from delineate.core.errors import DatasetError
from delineate.core.masks import Masks
from delineate.core.polygons import Polygon
from delineate.data import open_dataset
from delineate.data.formats import imagej
from delineate.data.formats.coco_check import Bad
from delineate.data.formats.drawn import Box
from delineate.data.formats.imagej_roi import decode, encode
from delineate.data.images import write_png
from delineate.data.known_formats import guess

RING = np.array([[3, 2], [9, 2], [9, 8], [5, 8], [5, 5], [3, 5]], np.float64)


def area(data: bytes, side: int = 64) -> int:
    piece = decode(data, "a").piece
    assert isinstance(piece, Polygon | Box)
    part = piece.polygon if isinstance(piece, Box) else piece
    return int(Masks.from_polygons([[part]], (side, side)).area[0])


@pytest.mark.parametrize("shift", [0, 0.5, 40_000, 50_000.25])
def test_roifile_reads_what_we_write(shift: float) -> None:
    found = ImagejRoi.frombytes(
        encode("0001-é", [Polygon(RING + shift)], group=3, color=(1, 2, 3), properties={"class": "a b"})
    )
    assert found.roitype == ROI_TYPE.TRACED and found.name == "0001-é" and found.group == 3
    assert np.array_equal(found.coordinates(), RING + shift)
    assert found.stroke_color == b"\xff\x01\x02\x03" and found.props == "class: a b\n"
    assert found.left == int(3 + shift) and found.bottom == int(np.ceil(8 + shift))


def test_roifile_reads_paths_and_rectangles() -> None:
    hole = RING / 10 + 6
    found = ImagejRoi.frombytes(encode("", [Polygon(RING, (hole,)), Polygon(RING + 20)]))
    assert found.composite and found.roitype == ROI_TYPE.RECT
    rings = found.coordinates(multi=True)
    assert [
        np.allclose(ours, theirs[:-1]) for ours, theirs in zip((RING, hole, RING + 20), rings, strict=True)
    ] == [True] * 3
    whole = ImagejRoi.frombytes(encode("", [], (1, 2, 5, 9)))
    assert (whole.left, whole.top, whole.right, whole.bottom) == (1, 2, 5, 9) and not whole.subpixelrect
    part = ImagejRoi.frombytes(encode("", [], (1.25, 2, 5, 9.5)))
    assert (part.xd, part.yd, part.widthd, part.heightd) == (1.25, 2, 3.75, 7.5)


@pytest.mark.parametrize("shift", [0, 0.5, 33_000])
def test_we_read_what_roifile_writes(shift: float) -> None:
    made = ImagejRoi.frompoints(RING + shift, name="n")
    for kind in (ROI_TYPE.POLYGON, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED):
        made.roitype = kind
        found = decode(made.tobytes(), "a")
        assert isinstance(found.piece, Polygon) and found.name == "n"
        assert np.array_equal(found.piece.exterior, RING + shift)
    for kind in (ROI_TYPE.POLYLINE, ROI_TYPE.FREELINE, ROI_TYPE.ANGLE, ROI_TYPE.POINT):
        made.roitype = kind
        assert decode(made.tobytes(), "a").piece is None


def test_ovals_ellipses_turned_rectangles_and_curves() -> None:
    oval = ImagejRoi(roitype=ROI_TYPE.OVAL, top=10, left=20, bottom=30, right=50)
    assert abs(area(oval.tobytes()) - np.pi * 10 * 15) < 6
    turned = ImagejRoi(roitype=ROI_TYPE.FREEHAND, subtype=ROI_SUBTYPE.ELLIPSE, x1=10, y1=10, x2=40, y2=50)
    data = bytearray(turned.tobytes())
    data[52:56] = np.array(0.5, ">f4").tobytes()
    assert abs(area(bytes(data)) - np.pi * 25 * 12.5) < 8
    data[48:50] = np.array(5, ">i2").tobytes()  # a rectangle 0.5 wide becomes one 12 wide
    data[52:56] = np.array(12, ">f4").tobytes()
    assert abs(area(bytes(data)) - 50 * 12) < 12
    path = np.array([0, 10, 10, 2, 30, 10, 30, 30, 3, 30, 40, 10, 40, 10, 30, 4], np.float32)
    curved = ImagejRoi(roitype=ROI_TYPE.RECT, shape_roi_size=len(path), multi_coordinates=path)
    assert 330 < area(curved.tobytes()) < 470
    rect = ImagejRoi(roitype=ROI_TYPE.RECT, top=1, left=2, bottom=5, right=9)
    assert decode(rect.tobytes(), "a").piece == Box(2, 1, 9, 5)


def test_more_points_than_sixteen_bits_count() -> None:
    angle = np.linspace(0, 2 * np.pi, 70_000, endpoint=False)
    ring = np.stack((np.cos(angle), np.sin(angle)), axis=1) * 500 + 600
    data = encode("", [Polygon(ring)])
    found = decode(data, "a").piece
    assert isinstance(found, Polygon) and np.allclose(found.exterior, ring, atol=1e-3)
    assert ImagejRoi.frombytes(data).n_coordinates == 70_000


def rois(path: Path, *found: ImagejRoi) -> Path:
    roifile.roiwrite(path, list(found), mode="w")
    return path


def some() -> list[ImagejRoi]:
    plain = ImagejRoi.frompoints(RING, name="0001-0005-0006")
    grouped = ImagejRoi.frompoints(RING + 20, name="0002")
    grouped.group = 2
    later = ImagejRoi.frompoints(RING, name="0003")
    later.position = 4
    return [plain, grouped, later]


@pytest.mark.parametrize(
    ("image", "file"),
    [
        ("a.png", "a.zip"),
        ("a.png", "a_RoiSet.zip"),
        ("a.png", "RoiSet_a.zip"),
        ("a.png", "RoiSet.zip"),
        ("images/a.png", "a.zip"),
        ("val/a.png", "val/a-RoiSet.zip"),
        ("images/val/a.png", "val/a.zip"),
    ],
)
def test_which_image_a_zip_belongs_to(tmp_path: Path, image: str, file: str) -> None:
    for name in (image, file):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    write_png(tmp_path / image, np.zeros((40, 50), np.uint8))
    path = rois(tmp_path / file, *some())
    found = guess(tmp_path)
    assert found is not None and found.name == "imagej"
    data = open_dataset(tmp_path)
    truth = data[0].truth
    assert data.names == ["a.png"] and truth.names == ["object", "group 2"]
    assert truth.masks is not None and truth.masks.area.tolist() == [30, 30]
    assert "1 × region of a later slice or frame of a stack left out" in data.notes
    assert data.groups == ({"split": ["val"]} if "val" in file else {})
    if "/" not in image:
        assert len(open_dataset(path).truth(0)) == 2


def test_single_regions_and_unpacked_zips(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", np.zeros((40, 50), np.uint8))
    write_png(tmp_path / "b.png", np.zeros((40, 50), np.uint8))
    (tmp_path / "b").mkdir()
    for number, roi in enumerate(some()[:2]):
        roi.tofile(tmp_path / "b" / f"{number}.roi")
    some()[0].tofile(tmp_path / "a.roi")
    data = open_dataset(tmp_path)
    assert data.names == ["a.png", "b.png"] and [len(data.truth(i)) for i in range(2)] == [1, 2]


def test_other_zips_are_not_taken_for_regions(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr("a.roi", b"Iout")
        packed.writestr("b.txt", b"")
    (tmp_path / "b.zip").write_bytes(b"no zip")
    data = bytearray((tmp_path / "a.zip").read_bytes())
    data[data.index(b"PK\x01\x02") + 6] = 99  # needs a later zip than there is
    (tmp_path / "c.zip").write_bytes(data)
    assert not imagej.recognise(tmp_path) and not imagej.recognise(tmp_path / "nothing")


def test_bad_files(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", np.zeros((40, 50), np.uint8))
    good = some()[0].tobytes()
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr("1.roi", good)
        packed.writestr("2.roi", good[:70])
        packed.writestr("../3.roi", b"nothing of the kind" * 9)
    with pytest.raises(DatasetError, match="a damaged one: it is cut off") as caught:
        imagej.read(tmp_path)
    assert "a.zip: 2.roi" in str(caught.value) and "1 more problem" in str(caught.value)
    data = imagej.read(tmp_path, skip_invalid=True)
    assert len(data.truth(0)) == 1 and not (tmp_path.parent / "3.roi").exists()
    (tmp_path / "a.zip").write_bytes((tmp_path / "a.zip").read_bytes()[:200])
    with pytest.raises(DatasetError, match="expected a zip of regions"):
        imagej.read(tmp_path / "a.zip")
    shutil.move(tmp_path / "a.png", tmp_path / "z.png")
    rois(tmp_path / "a.zip", *some())
    with pytest.raises(DatasetError, match="1 missing"):
        imagej.read(tmp_path)


@pytest.mark.parametrize("cut", range(0, 200, 7))
def test_any_cut_and_any_byte_is_told_in_one_line(cut: int) -> None:
    whole = encode("name", [Polygon(RING, (RING / 10 + 6,))], properties={"class": "a"})
    for data in (whole[:cut], whole[:cut] + b"\xff" + whole[cut + 1 :]):
        try:
            decode(data, "a.roi")
        except Bad as bad:
            assert str(bad).startswith("a.roi: expected") and "\n" not in str(bad)
