"""Depth images, cameras' files, clouds as PLY; on real frames the depth's unit by what views agree on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from delineate.core.errors import InputError
from delineate.data.camera_file import read_camera
from delineate.data.formats.label_image import read_ids
from delineate.data.ply import read_ply, write_ply
from delineate.data.rgbd import read_depth
from delineate.data.write import write_png

MATRIX = [[600.0, 0, 320], [0, 610.0, 240], [0, 0, 1]]
FLAT = [v for row in MATRIX for v in row]


@pytest.mark.parametrize(
    "content",
    [
        json.dumps({"fx": 600, "fy": 610, "cx": 320, "cy": 240}),
        json.dumps({"K": FLAT}),
        json.dumps({"cam_K": FLAT, "depth_scale": 0.1}),
        json.dumps({"camera_matrix": MATRIX}),
        json.dumps({"camera_matrix": {"rows": 3, "cols": 3, "data": FLAT}}),
        json.dumps({"intrinsic_matrix": np.array(MATRIX).T.reshape(-1).tolist()}),
        json.dumps({"intrinsics": {"fx": 600, "fy": 610, "cx": 320, "cy": 240}}),
        "image_width: 640\nK: [600, 0, 320, 0, 610, 240, 0, 0, 1]\n",
        "# intrinsics\n600 0 320\n0 610 240\n0 0 1\n",
        "600,0,320\n0,610,240\n0,0,1",
    ],
)
def test_cameras_of_many_tools(tmp_path: Path, content: str) -> None:
    (tmp_path / "camera").write_text(content)
    found = read_camera(tmp_path / "camera")
    assert found.matrix.tolist() == MATRIX
    assert found.depth_scale == (0.0001 if "depth_scale" in content else None)
    assert read_camera("600, 610, 320, 240").matrix.tolist() == MATRIX


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "JSON or YAML"),
        ("{}", "expected a camera's numbers"),
        (json.dumps({"K": [1, 2]}), "3 x 3"),
        (json.dumps({"K": "wide"}), "camera's numbers"),
        (json.dumps({"fx": True, "fy": 1, "cx": 1, "cy": 1}), "fx as a number"),
        (json.dumps({"fx": 0, "fy": 1, "cx": 1, "cy": 1}), "calibrate"),
        ("1 2 3", "3 x 3"),
        ("a b c d e f g h i", "3 x 3"),
        ("0 0 0 0 0 0 0 0 0", "calibrate"),
        ("", "3 x 3"),
    ],
)
def test_what_is_no_camera_is_told(tmp_path: Path, content: str, told: str) -> None:
    (tmp_path / "camera").write_text(content)
    with pytest.raises(InputError, match=told):
        read_camera(tmp_path / "camera")


def test_cameras_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a camera file"):
        read_camera(tmp_path / "none.json")
    with pytest.raises(InputError, match="four numbers"):
        read_camera("1,2,3")
    (tmp_path / "raw").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(InputError, match="other bytes"):
        read_camera(tmp_path / "raw")


def test_depth_of_many_kinds_is_the_same_metres(tmp_path: Path) -> None:
    metres = np.array([[0.5, 0.75, 0], [1.0, 1.25, 2.0]], np.float32)
    write_png(tmp_path / "mm.png", (metres * 1000).astype(np.uint16))
    write_png(tmp_path / "tenths.png", (metres * 10000).astype(np.uint16))
    tifffile.imwrite(tmp_path / "m.tif", metres)
    np.save(tmp_path / "m.npy", np.where(metres > 0, metres, np.nan))
    np.save(tmp_path / "mm.npy", (metres * 1000).astype(np.int32))
    stored = (metres * 10000).astype(np.uint16)
    write_png(tmp_path / "turned.png", (stored << 3) | (stored >> 13))
    expected = np.where(metres > 0, metres, np.nan)
    for name, scale, turned in (
        ("mm.png", None, None), ("tenths.png", 1e-4, 0), ("m.tif", None, None), ("m.npy", None, None),
        ("mm.npy", None, None), ("turned.png", 1e-4, 3),
    ):  # fmt: skip
        found = read_depth(tmp_path / name, scale, turned)
        np.testing.assert_allclose(found.metres, expected, rtol=1e-4, err_msg=name)
        assert "83 % of pixels have a depth" in found.told


def test_depth_that_cannot_be_right_is_told(tmp_path: Path) -> None:
    def told(array: np.ndarray, message: str, scale: float | None = None, turned: int | None = None) -> None:
        path = tmp_path / "d.npy"
        np.save(path, array)
        with pytest.raises(InputError, match=message):
            read_depth(path, scale, turned)

    told(np.zeros((4, 4), np.uint16), "got none")
    told(np.full((4, 4), np.nan), "got none")
    told(np.full((4, 4), 40_000, np.uint16), "got 40 m")
    told(np.full((4, 4), 600.0), "got 600 m")
    told(np.full((4, 4), 3, np.uint16), "got 0.003 m")
    told(np.full((4, 4), 700, np.uint16), "above 0", scale=0)
    told(np.full((4, 4), 0.7), "16-bit", turned=3)
    told(np.full((4, 4), 70, np.uint8), "8 bits")
    told(np.full((4, 4, 2), 0.7), "one channel")
    told(np.full((40, 40), 1200 * 8, np.uint16), "rotated")
    (tmp_path / "d.npy").write_bytes(b"\x93NUMPY damaged")
    with pytest.raises(InputError, match="save it again"):
        read_depth(tmp_path / "d.npy")
    with pytest.raises(InputError):
        read_depth(tmp_path / "none.png")
    (tmp_path / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n1234")
    with pytest.raises(InputError):
        read_depth(tmp_path / "cut.png")


def test_real_depth_agrees_between_views_in_this_unit_alone(data_dir: Path) -> None:
    """Points of one frame, moved by the recorded poses of the camera, lie on the surface of another."""
    folder = data_dir / "apc_rgbd"
    told = read_camera(folder / "cam.info.txt")
    assert (told.depth_scale, told.turned) == (1e-4, 3)
    text = (folder / "cam.info.txt").read_text()
    poses = {}
    for block in text.split("#"):
        if "frame-0000" in block:
            head, *lines = block.strip().splitlines()
            poses[int(head[-2:])] = np.array([line.split() for line in lines if line.strip()], float)
    masks = [read_ids(folder / "segm" / f"frame-{k:06d}.segm.png") for k in (0, 1)]

    def apart(scale: float) -> float:
        one, two = (read_depth(folder / f"frame-{k:06d}.depth.png", scale, 3).metres for k in (0, 1))
        v, u = np.nonzero((masks[0] > 0) & np.isfinite(one))
        (fx, _, cx), (_, fy, cy), _ = told.matrix
        z = one[v, u]
        points = np.column_stack([(u - cx) / fx * z, (v - cy) / fy * z, z, np.ones(len(z))])
        moved = points @ (np.linalg.inv(poses[1]) @ poses[0]).T
        x = np.rint(moved[:, 0] / moved[:, 2] * fx + cx).astype(int)
        y = np.rint(moved[:, 1] / moved[:, 2] * fy + cy).astype(int)
        inside = (x >= 0) & (x < 640) & (y >= 0) & (y < 480)
        return float(np.nanmedian(np.abs(two[y[inside], x[inside]] - moved[inside, 2])))

    assert apart(1e-4) < 0.004
    assert min(apart(0.9e-4), apart(1.1e-4), apart(2e-4)) > 0.008
    with pytest.raises(InputError, match="rotated"):
        read_depth(folder / "frame-000000.depth.png")


def test_clouds_come_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    points, colors = rng.normal(size=(7, 3)), rng.integers(0, 256, (7, 3)).astype(np.uint8)
    write_ply(tmp_path / "a.ply", points, colors, "a note\nof two lines")
    back, tints = read_ply(tmp_path / "a.ply")
    np.testing.assert_allclose(back, points, rtol=1e-6)
    assert tints is not None and (tints == colors).all()
    head = (tmp_path / "a.ply").read_bytes().split(b"end_header\n")[0].decode().splitlines()
    assert head[:4] == [
        "ply",
        "format binary_little_endian 1.0",
        "comment a note of two lines",
        "element vertex 7",
    ]
    empty, none = read_ply(write_ply(tmp_path / "b.ply", np.zeros((0, 3))))
    assert len(empty) == 0 and none is None
    (tmp_path / "c.ply").write_text(
        "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\n"
        "end_header\n1 2 3\n"
    )
    assert read_ply(tmp_path / "c.ply")[0].tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(
    "content",
    [
        b"", b"ply", b"nothing\nend_header\n", b"ply\nformat ascii 1.0\nend_header\n",
        b"ply\nformat binary_little_endian 1.0\nelement vertex 9\nproperty float x\nproperty float y\n"
        b"property float z\nend_header\n1234",
        b"ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nproperty float y\nproperty float z\n"
        b"end_header\n1 2 3\n",
        b"ply\nformat binary_big_endian 1.0\nelement vertex 0\nproperty float x\nproperty float y\n"
        b"property float z\nend_header\n",
    ],
)  # fmt: skip
def test_what_is_no_cloud_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.ply").write_bytes(content)
    with pytest.raises(InputError, match=r"x\.ply"):
        read_ply(tmp_path / "x.ply")
    with pytest.raises(InputError):
        write_ply(tmp_path / "y.ply", np.zeros((2, 2)))
    with pytest.raises(InputError, match="finite"):
        write_ply(tmp_path / "y.ply", np.full((2, 3), np.nan))
