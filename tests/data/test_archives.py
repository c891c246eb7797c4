"""Archives that attack, that are damaged, and datasets in plain ones."""

from __future__ import annotations

import io
import json
import shutil
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from delineate.core.errors import DatasetError
from delineate.data import archives, open_dataset
from delineate.data.archives import is_archive, unpack
from delineate.data.images import write_png


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DELINEATE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def left(cache: Path) -> list[Path]:
    return list((cache / "unpacked").iterdir()) if (cache / "unpacked").is_dir() else []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tar_device_node.tar.gz", "a link or device"),
        ("tar_hardlink_passwd.tar.gz", "a link or device"),
        ("tar_traversal.tar.gz", "leads outside"),
        ("zip_absolute_path.zip", "leads outside"),
        ("zip_slip_dotdot.zip", "leads outside"),
        ("zip_symlink_to_etc.zip", "a link or device"),
        ("zip_duplicate_names.zip", "two files of one name"),
        ("zip_bomb_200MB_zeros.zip", "200 MB out of"),
    ],
)
def test_refused_whole(bad_inputs: Path, cache: Path, name: str, said: str) -> None:
    with pytest.raises(DatasetError, match=said) as told:
        unpack(bad_inputs / "archives" / name)
    assert left(cache) == [] and not Path("/tmp/seg_bad_input_escaped").exists()
    assert "\n" not in str(told.value)


def test_harmless_ones(bad_inputs: Path) -> None:
    many = unpack(bad_inputs / "archives/zip_5000_empty_entries.zip").folder
    assert len(list(many.iterdir())) == 5000
    assert "letter case" in unpack(bad_inputs / "archives/zip_case_collision.zip").notes[0]
    with pytest.raises(DatasetError, match=r"zip_no_images\.zip.*expected"):
        open_dataset(bad_inputs / "archives/zip_no_images.zip")


def dataset(folder: Path) -> Path:
    folder.mkdir(parents=True)
    write_png(folder / "a.png", np.zeros((20, 30), np.uint8))
    rows = {
        "images": [{"id": 3, "file_name": "a.png", "width": 30, "height": 20}],
        "categories": [{"id": 2, "name": "cell"}],
        "annotations": [{"id": 1, "image_id": 3, "category_id": 2, "segmentation": [[1, 1, 9, 1, 9, 9]]}],
    }
    (folder / "annotations.json").write_text(json.dumps(rows))
    return folder


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar", "bztar", "xztar"])
@pytest.mark.parametrize("inside", [True, False])
def test_a_dataset_in_an_archive(tmp_path: Path, cache: Path, kind: str, inside: bool) -> None:
    folder = dataset(tmp_path / "in" / "set")
    base = {"root_dir": folder.parent, "base_dir": "set"} if inside else {"root_dir": folder}
    path = Path(shutil.make_archive(str(tmp_path / "data.v1"), kind, **base))  # type: ignore[arg-type]
    assert is_archive(path)
    data = open_dataset(path)
    assert (data.format, data.image_ids, data.source) == ("COCO", [3], path)
    assert data[0].image.shape == (20, 30) and len(data[0].truth) == 1
    before = left(cache)
    assert open_dataset(path).records[0].path == data.records[0].path and left(cache) == before
    assert data.records[0].path.is_relative_to(cache)


def test_damaged(tmp_path: Path, cache: Path) -> None:
    path = Path(shutil.make_archive(str(tmp_path / "a"), "zip", dataset(tmp_path / "set")))
    data = path.read_bytes()
    for name, bad in (("cut.zip", data[: len(data) // 2]), ("no.zip", b"text"), ("no.tar.gz", b"\x1f\x8bxx")):
        (tmp_path / name).write_bytes(bad)
        with pytest.raises(DatasetError, match=r"damaged|readable"):
            unpack(tmp_path / name)
    flipped = bytearray(data)
    flipped[60] ^= 255  # inside the first file's data
    (tmp_path / "crc.zip").write_bytes(flipped)
    with pytest.raises(DatasetError, match="damaged"):
        unpack(tmp_path / "crc.zip")
    assert left(cache) == []


def test_a_file_that_is_longer_than_the_archive_says(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.bin", bytes(100_000))
    data = path.read_bytes()
    path.write_bytes(data.replace(struct.pack("<I", 100_000), struct.pack("<I", 10)))
    with pytest.raises(DatasetError, match="expected"):
        unpack(path)
    assert left(cache) == []


@pytest.mark.parametrize("name", ["C:\\x.png", "a\\..\\..\\x.png", "/x.png", "x" * 2000])
def test_names(tmp_path: Path, name: str) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        member = tarfile.TarInfo(name)
        member.size = 1
        tar.addfile(member, io.BytesIO(b"x"))
    with pytest.raises(DatasetError, match="leads outside"):
        unpack(tmp_path / "a.tar")


def test_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(shutil.make_archive(str(tmp_path / "a"), "gztar", dataset(tmp_path / "set")))
    with pytest.raises(DatasetError, match="GiB"):
        unpack(path, max_bytes=100)
    monkeypatch.setattr(archives, "MAX_ENTRIES", 1)
    with pytest.raises(DatasetError, match="at most 1 files"):
        unpack(path)


def test_a_file_inside_a_file(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a", "x")
        archive.writestr("a/b", "y")
    with pytest.raises(DatasetError, match="a file inside a file"):
        unpack(tmp_path / "a.zip")
