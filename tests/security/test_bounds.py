"""What is small and asks for much, and what leads outside: refused before memory or files are touched."""

from __future__ import annotations

import base64
import io
import json
import pickle
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from delineate.core.errors import DelineateError
from delineate.data import open_dataset
from delineate.data.archives import unpack
from delineate.data.formats.xml_file import root
from delineate.data.formats.yaml_file import load_yaml
from delineate.data.images import read, read_labels, read_size, write_png
from delineate.data.rasters import open_raster
from delineate.engine.checkpoint import load


class Payload:
    """Run by whoever unpickles it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("ran"),))


def refused(call: Callable[[], object], most: float = 30e6) -> str:
    """The line, and that it took little memory to say it."""
    tracemalloc.start()
    try:
        with pytest.raises(DelineateError) as caught:
            call()
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    text = str(caught.value)
    assert "\n" not in text and len(text) < 1000
    assert taken < most, f"{taken / 1e6:.0f} MB for: {text}"
    return text


def png(width: int, height: int) -> bytes:
    """A PNG of one grey level that unpacks a thousandfold."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = zlib.compress(bytes(1_000_000), 9)
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(100_000, 100_000), (2**31 - 1, 2**31 - 1), (1, 2**31 - 1)])
def test_pictures_that_claim_to_be_huge(size: tuple[int, int]) -> None:
    assert "--max-pixels" in refused(lambda: read(png(*size)))
    refused(lambda: read_labels(png(*size)))
    assert read_size(png(*size)) == size[::-1]


def test_a_picture_inside_a_dataset(tmp_path: Path) -> None:
    """labelme keeps a picture in its JSON."""
    record = {"version": "5", "imagePath": "a.png", "imageHeight": 100_000, "imageWidth": 100_000,
              "shapes": [], "imageData": base64.b64encode(png(100_000, 100_000)).decode()}  # fmt: skip
    (tmp_path / "a.json").write_text(json.dumps(record))
    refused(lambda: open_dataset(tmp_path)[0].image)


def test_tiffs_that_claim_to_be_huge(tmp_path: Path) -> None:
    tags = [(256, 4, 1, 2**31 - 1), (257, 4, 1, 2**31 - 1), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
            (273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, 2**31 - 1), (279, 4, 1, 2**32 - 1)]  # fmt: skip
    entries = b"".join(struct.pack("<HHI", *t[:3]) + struct.pack("<I", t[3]) for t in tags)
    path = tmp_path / "a.tif"
    path.write_bytes(b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4))
    refused(lambda: read(path))

    def look() -> None:
        with open_raster(path) as raster:
            raster.window(0, 0, 1000, 1000)

    refused(look)


def zipped(name: str, data: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr(name, data)
    return target.getvalue()


def tarred(name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        about = tarfile.TarInfo(name)
        about.size, about.type, about.linkname = len(data), kind, link
        archive.addfile(about, io.BytesIO(data))
    return target.getvalue()


@pytest.mark.parametrize(
    ("ending", "data"),
    [
        (".zip", zipped("../outside", b"1")),
        (".zip", zipped("/tmp/outside", b"1")),
        (".zip", zipped("a\\..\\..\\outside", b"1")),
        (".zip", zipped("C:/outside", b"1")),
        (".zip", zipped("bomb", bytes(200_000_000))),
        (".tar.gz", tarred("../outside", b"1")),
        (".tar.gz", tarred("link", kind=tarfile.SYMTYPE, link="/etc/passwd")),
        (".tar.gz", tarred("link", kind=tarfile.LNKTYPE, link="/etc/passwd")),
        (".tar.gz", tarred("device", kind=tarfile.CHRTYPE)),
        (".tar.gz", tarred("pipe", kind=tarfile.FIFOTYPE)),
    ],
    ids=range(10),
)
def test_archives(ending: str, data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELINEATE_CACHE", str(tmp_path / "cache"))
    path = tmp_path / f"a{ending}"
    path.write_bytes(data)
    refused(lambda: unpack(path))
    assert not [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]
    assert not (tmp_path / "outside").exists() and not Path("/tmp/outside").exists()


OUTSIDE = [
    "../secret.png",
    "/etc/passwd",
    "a/../../secret.png",
    "..\\secret.png",
    "C:\\secret.png",
    "a\0.png",
]


@pytest.mark.parametrize("name", [*OUTSIDE, "file:///etc/passwd", "http://169.254.169.254/a.png"])
def test_names_in_coco_that_lead_outside(name: str, tmp_path: Path) -> None:
    write_png(tmp_path / "secret.png", np.zeros((4, 4), np.uint8))
    inside = tmp_path / "data"
    inside.mkdir()
    content = {"images": [{"id": 1, "file_name": name, "height": 4, "width": 4}], "annotations": [],
               "categories": [{"id": 1, "name": "a"}]}  # fmt: skip
    (inside / "a.json").write_text(json.dumps(content))
    refused(lambda: open_dataset(inside / "a.json")[0])


@pytest.mark.parametrize("name", OUTSIDE[:5])
def test_names_in_labelme_and_voc_that_lead_outside(name: str, tmp_path: Path) -> None:
    write_png(tmp_path / "secret.png", np.full((4, 4), 200, np.uint8))
    labelme, voc = tmp_path / "labelme", tmp_path / "voc"
    labelme.mkdir()
    record = {"version": "5", "imagePath": name, "imageHeight": 4, "imageWidth": 4, "shapes": []}
    (labelme / "a.json").write_text(json.dumps(record))
    refused(lambda: open_dataset(labelme)[0])
    for part in ("Annotations", "JPEGImages"):
        (voc / part).mkdir(parents=True)
    size = "<size><width>4</width><height>4</height><depth>3</depth></size>"
    text = f"<annotation><filename>{name.replace(chr(0), '')}</filename>{size}</annotation>"
    (voc / "Annotations" / "a.xml").write_text(text)
    refused(lambda: open_dataset(voc)[0])  # its own picture, a.jpg, is not there; the other is never opened


BOMBS = {
    "laughs": "<!DOCTYPE a [<!ENTITY b 'ha'><!ENTITY c '&b;&b;&b;&b;'>]><a>&c;</a>",
    "file": "<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>",
    "fetched": "<!DOCTYPE a SYSTEM 'http://127.0.0.1:1/a.dtd'><a/>",
    "parameter": "<!DOCTYPE a [<!ENTITY % b SYSTEM 'file:///etc/passwd'> %b;]><a/>",
    "deep": "<a>" * 100_000,
}


@pytest.mark.parametrize("kind", BOMBS)
def test_xml(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text(BOMBS[kind])
    said = refused(lambda: root(path))
    assert "root:" not in said  # nothing of /etc/passwd


def test_yaml(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    aliases = "a0: &a0 [x]\n" + "".join(f"a{k}: &a{k} [{f'*a{k - 1}, ' * 9}]\n" for k in range(1, 12))
    for text in (aliases, "a: !!python/object/apply:os.system [ls]", "[" * 1000):
        path.write_text(text)
        refused(lambda: load_yaml(path))


def test_json(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for text in ("[" * 1_000_000, '{"images": ' * 100_000, f'{{"images": {"9" * 100_000}}}'):
        path.write_text(text)
        refused(lambda: open_dataset(path))


def test_pickles_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.chdir(tmp_path)
    raw, zipped_, array = tmp_path / "a.pkl", tmp_path / "a.pt", tmp_path / "a.npy"
    raw.write_bytes(pickle.dumps({"a": Payload()}, protocol=2))
    torch.save({"a": Payload()}, zipped_)
    np.save(array, np.array([Payload()], object), allow_pickle=True)
    for path in (raw, zipped_, array):
        refused(lambda path=path: load(path))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("length", [2**63, 2**40, 10])
def test_weights_that_declare_more_than_they_are(length: int, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    entry = json.dumps({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
    path.write_bytes(struct.pack("<Q", len(entry) if length == 10 else length) + entry)
    refused(lambda: load(path))
