"""A virtual camera: what it is given is what another program reads."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from delineate.core.errors import InputError
from delineate.data.virtual_camera import VirtualCamera

pytest.importorskip("av")


def test_pictures_go_out_as_yuyv(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    small = rng.integers(0, 256, (6, 8, 3), np.uint8)
    picture = np.repeat(np.repeat(small, 8, 0), 8, 1)
    with VirtualCamera(tmp_path / "out.raw", 30, container="rawvideo") as camera:
        camera.add(picture)
        camera.add(picture[::2, ::2])  # of another size: scaled to the first
        camera.add(picture)
    raw = np.frombuffer((tmp_path / "out.raw").read_bytes(), np.uint8).reshape(3, 48, 64, 2)
    back = cv2.cvtColor(raw[0], cv2.COLOR_YUV2RGB_YUYV)  # OpenCV's is BT.601 of limited range
    middle = back.reshape(6, 8, 8, 8, 3)[:, 3:5, :, 3:5].mean(axis=(1, 3))
    assert np.abs(middle - small).max() < 4
    assert (raw[2] == raw[0]).all()
    assert np.abs(raw[1].astype(int) - raw[0])[:, :, 0].mean() < 12


def test_odd_widths_are_made_even(tmp_path: Path) -> None:
    with VirtualCamera(tmp_path / "out.raw", container="rawvideo") as camera:
        camera.add(np.full((5, 7, 3), 128, np.uint8))
    assert len((tmp_path / "out.raw").read_bytes()) == 5 * 8 * 2


def test_what_is_no_camera_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "none", tmp_path / "file"):
        with pytest.raises(InputError, match=r"expected a virtual camera, got .*modprobe"):
            VirtualCamera(path)
    if sys.platform == "linux":
        with VirtualCamera("/dev/null") as camera, pytest.raises(InputError, match="takes pictures"):
            camera.add(np.zeros((4, 4, 3), np.uint8))


def test_elsewhere_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(InputError, match="expected Linux"):
        VirtualCamera(tmp_path / "none")
