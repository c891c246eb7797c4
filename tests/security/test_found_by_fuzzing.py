"""What fuzzing found, each input made here: refused in one line since then."""

from __future__ import annotations

import io
import json
import struct
import sys
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pandas as pd
import pytest
import tifffile

import delineate as dl
from delineate.apply.effects import cover
from delineate.core.errors import DelineateError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.core.polygons import Polygon
from delineate.core.rle import validate
from delineate.data import open_dataset
from delineate.data.archives import unpack
from delineate.data.bop_scene import read_scene
from delineate.data.camera_file import read_camera
from delineate.data.formats.json_file import load_json
from delineate.data.images import read, read_labels, write_png
from delineate.data.known_formats import FORMATS
from delineate.data.losses import Losses
from delineate.data.place import Place
from delineate.data.ply import read_ply
from delineate.data.rasters import open_raster
from delineate.data.records import Dataset, Record
from delineate.data.synthetic.bins import BinSettings
from delineate.data.synthetic.bins_files import write_bins
from delineate.data.track_files import open_tracks
from delineate.data.vectors import Layer, read_layer, write_layer
from delineate.data.video import frames
from delineate.engine import calibration_files
from delineate.engine.measure_stack import read_label_stack
from delineate.engine.track_detections import stored_detections


def refused(call: Callable[[], object], *names: str) -> str:
    """The one line with which it is refused."""
    with pytest.raises(DelineateError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text and len(text) < 1000
    assert all(name in text for name in names), text
    return text


@pytest.mark.parametrize(
    "record",
    [
        {"fx": 10**400, "fy": 1, "cx": 0, "cy": 0},
        {"fx": "9" * 5000, "fy": 1, "cx": 0, "cy": 0},
        {"fx": 5, "fy": 5, "cx": 1, "cy": 1, "depth_scale": 10**400},
        {"intrinsics": {}},
        {"intrinsics": {"K": [[10**400, 0, 0], [0, 1, 0], [0, 0, 1]]}},
    ],
)
def test_cameras(record: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "camera.json"
    path.write_text(json.dumps(record))
    refused(lambda: read_camera(path), "camera.json")


def test_a_yaml_of_shared_parts_is_not_shown_whole(tmp_path: Path) -> None:
    path = tmp_path / "camera.yaml"
    doubled = "".join(f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]\n" for k in range(1, 30))
    path.write_text(f"a0: &a0 [1]\n{doubled}fx: *a29\nfy: 1\ncx: 1\ncy: 1\n")
    refused(lambda: read_camera(path), "camera.yaml", "fx")


def test_calibrations(tmp_path: Path) -> None:
    path = tmp_path / "points.json"
    corners = [[0, 0], [10, 0], [10, 10], [0, 10]]
    for metres in ([[0, 0], [1e308, 0], [1, 1], [0, 1]], [[0, 0], [10**400, 0], [1, 1], [0, 1]]):
        path.write_text(json.dumps({"pixels": corners, "metres": metres}))
        with np.errstate(all="ignore"):
            refused(lambda: calibration_files.read_homography(path), "points.json")
    path.write_text(json.dumps({"focal": [10**400, 1], "center": [1, 1], "height": 1}))
    refused(lambda: calibration_files.read_camera(path), "points.json")


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (
            "element vertex 3\nproperty float x\nproperty float x\nproperty float y\nproperty float z",
            "1 2 3 4",
        ),
        ("element vertex 999999999999\nproperty float x\nproperty float y\nproperty float z", "1 2 3"),
        ("element vertex 1\nproperty float x\nproperty float y\nproperty float z", "a b c"),
    ],
)
def test_point_clouds(head: str, body: str, tmp_path: Path) -> None:
    path = tmp_path / "a.ply"
    path.write_text(f"ply\nformat ascii 1.0\n{head}\nend_header\n{body}\n")
    refused(lambda: read_ply(path), "a.ply")


@pytest.mark.parametrize("key", ["image_id", "category_id"])
def test_detections(key: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    row = {"image_id": 1, "category_id": 1, "score": 1, "bbox": [1, 1, 4, 4], key: [1]}
    path.write_text(json.dumps([row]))
    refused(lambda: stored_detections(path), "a.json", key)


def test_huge_track_numbers(tmp_path: Path) -> None:
    write_png(tmp_path / "0.png", np.zeros((12, 15), np.uint8))
    image = {"id": 1, "file_name": "0.png", "height": 12, "width": 15, "video_id": 1, "frame_id": 0}
    row = {"id": 7, "image_id": 1, "category_id": 1, "bbox": [2, 2, 5, 4], "iscrowd": 0, "track_id": 10**30}
    content = {"videos": [{"id": 1, "name": "s"}], "images": [image], "annotations": [row],
               "categories": [{"id": 1, "name": "a"}]}  # fmt: skip
    (tmp_path / "a.json").write_text(json.dumps(content))
    ids = open_dataset(tmp_path / "a.json").truth(0).ids
    assert ids is not None and ids.tolist() == [7]


def test_tiffs_that_ask_for_more_than_there_is(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    whole = io.BytesIO()
    tifffile.imwrite(whole, np.zeros((64, 64), np.uint8), tile=(16, 16), compression="zlib")
    with tifffile.TiffFile(io.BytesIO(whole.getvalue())) as file:
        counts = file.pages[0].tags["TileByteCounts"]  # type: ignore[union-attr]
        at, size = counts.valueoffset, 2 if counts.dtype == 3 else 4
    data = bytearray(whole.getvalue())
    data[at : at + size] = b"\xff" * size
    path.write_bytes(data)

    def look() -> None:
        with open_raster(path) as raster:
            raster.window(0, 0, 20, 20)

    refused(look, "a.tif")


def shapefile(folder: Path) -> Path:
    box = Polygon([[10.0, 50], [10.1, 50], [10.1, 50.1], [10, 50.1]])
    write_layer(folder / "a.shp", Layer(((box,), (box,)), pd.DataFrame({"n": [1, 2]}), 4326))
    return folder / "a.shp"


@pytest.mark.parametrize(
    ("at", "value"),
    [(104, struct.pack(">i", -4)), (104, struct.pack(">i", 0)), (144, struct.pack("<i", -1)),
     (148, struct.pack("<i", -1)), (152, struct.pack("<i", 90))],
)  # fmt: skip
def test_shapefiles_end(at: int, value: bytes, tmp_path: Path) -> None:
    path = shapefile(tmp_path)
    data = bytearray(path.read_bytes())
    data[at : at + 4] = value
    path.write_bytes(data)
    refused(lambda: read_layer(path), "a.shp")


def test_archives_whose_names_are_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELINEATE_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("b" * 900, b"1")
    data = path.read_bytes()
    path.write_bytes(data.replace(b"b" * 900, b"c" * 900, 1))  # the header and the directory differ
    refused(lambda: unpack(path), "a.zip")


def test_parquet_without_bytes(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet")
    geo = {"primary_column": "geometry", "columns": {"geometry": {"encoding": "WKB"}}}
    table = pa.table({"geometry": [2**40]}).replace_schema_metadata({"geo": json.dumps(geo)})
    pa.parquet.write_table(table, tmp_path / "a.parquet")
    refused(lambda: read_layer(tmp_path / "a.parquet"), "a.parquet")


def test_rings_of_huge_numbers() -> None:
    refused(lambda: Polygon([[10**400, 0], [1, 1], [0, 1]]), "Polygon")


@pytest.mark.parametrize(
    ("body", "length"), [(b'{"inputs": [{"name": "\xff"}]}', None), (b"{}", "9" * 5000), (b"{}", "-1")]
)
def test_bodies_of_tensors(body: bytes, length: str | None) -> None:
    pytest.importorskip("fastapi")
    from delineate.server.predict.kserve_tensors import read
    from delineate.server.predict.limits import RefusedError

    with pytest.raises(RefusedError) as caught:
        read(body, length)
    assert caught.value.status == 400 and "\n" not in str(caught.value)


# -- datasets: written by the program, one value then changed ---------------------------------------------


def written(folder: Path, name: str) -> Path:
    """A dataset of one image with two objects."""
    size, classes = (12, 15), Labels(("car", "person"))
    dense = np.zeros((2, *size), np.bool_)
    dense[0, 2:6, 2:7], dense[1, 7:11, 3:11] = True, True
    truth = Instances(size, masks=Masks.from_dense(dense), labels=[0, 1], ids=[1, 2], classes=classes)
    write_png(folder / "0.png", np.zeros(size, np.uint8))
    groups = {"sequence": "s", "frame": "0", "split": "train"}
    record = Record("0.png", folder / "0.png", 1, size, truth, groups)
    out = folder / "out"
    out.mkdir()
    data = Dataset((record,), classes, lambda record, _: (record.annotation, ()), "made", folder)
    FORMATS[name].write(out, data, Losses(), Place("copy", out))
    return out


@pytest.mark.parametrize(
    ("name", "where", "value"),
    [
        ("bdd100k", (0, "labels", 0, "attributes"), "x"),
        ("bdd100k", (0, "labels", 0, "rle"), [[1]]),
        ("bdd100k", (0, "labels", 0, "score"), {}),
        ("label-studio", (0, "annotations", 0, "result", 0, "id"), {}),
        ("supervisely", ("classes", 0, "id"), [1]),
        ("supervisely", ("classes", 0, "id"), 10**30),
    ],
)
def test_datasets(name: str, where: tuple[Any, ...], value: Any, tmp_path: Path) -> None:
    out = written(tmp_path, name)
    for path in sorted(out.rglob("*.json")):
        content = holder = json.loads(path.read_text())
        try:
            for key in where[:-1]:
                holder = holder[key]
            holder[where[-1]] = value
        except (KeyError, IndexError, TypeError):
            continue  # another of its files
        path.write_text(json.dumps(content))
        break
    else:
        raise AssertionError(f"no {where} in {name}")
    try:
        data = FORMATS[name].read(out)
        data.truth(0)
    except DelineateError as error:
        assert "\n" not in str(error) and len(str(error)) < 1000


def damaged_png() -> bytes:
    """Its pixels do not fit their own checksum."""
    whole = imagecodecs.png_encode(np.random.default_rng(0).integers(0, 255, (20, 24), np.uint8))
    at = whole.index(b"IDAT")
    length = int.from_bytes(whole[at - 4 : at], "big")
    damaged = bytearray(whole)
    damaged[at + 4 + length - 1] ^= 1
    damaged[at + 4 + length : at + 8 + length] = zlib.crc32(damaged[at : at + 4 + length]).to_bytes(4, "big")
    return bytes(damaged)


def test_damaged_pngs_do_not_wear_python_out() -> None:
    """Each used to take a reference from None, of which Python 3.11 has some thousands."""
    damaged = damaged_png()
    before = sys.getrefcount(None)
    for _ in range(1000):
        with pytest.raises(DelineateError):
            read(damaged)
        with pytest.raises(DelineateError):
            read_labels(damaged)
    assert sys.getrefcount(None) > before - 500


def test_nor_do_those_within_a_tiff(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    pieces = iter([damaged_png()])
    tifffile.imwrite(path, pieces, shape=(20, 24), dtype=np.uint8, rowsperstrip=20, compression="png")
    before = sys.getrefcount(None)
    for _ in range(500):
        with pytest.raises(DelineateError):
            read(path)
        with open_raster(path) as raster, pytest.raises(DelineateError):
            raster.window(0, 0, 4, 4)
    assert sys.getrefcount(None) > before - 250


def test_videos_with_titles_in_any_encoding(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as file:
        file.metadata["title"] = "nuclei-in-a-dish"
        stream = file.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        for packet in [*stream.encode(frame), *stream.encode()]:
            file.mux(packet)
    data = path.read_bytes()
    assert b"nuclei-in" in data
    path.write_bytes(data.replace(b"nuclei-in", b"nucl\xe9\x96-in"))
    assert len(list(frames(path))) == 1


@pytest.mark.parametrize("thin", [(8000, 1), (1, 8000), (100_000, 2)])
def test_thin_backgrounds_are_not_blown_up(thin: tuple[int, int]) -> None:
    """A file of a kilobyte, a pixel wide and behind a photograph, once asked for gigabytes."""
    column = np.arange(thin[0] * thin[1], dtype=np.int64).reshape(thin) * 255 // (thin[0] * thin[1])
    picture = np.repeat(column[..., None].astype(np.uint8), 3, axis=2)
    tracemalloc.start()
    covered = cover(picture, (300, 400))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert covered.shape == (300, 400, 3) and most < 50e6
    assert abs(int(np.median(covered)) - 127) < 2  # its middle


@pytest.mark.parametrize("known", [True, False])
def test_archives_whose_names_are_in_no_encoding(
    known: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DELINEATE_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("é.png", b"1")  # its name is told to be UTF-8
    data, name = path.read_bytes(), "é.png".encode()
    last = data.rindex(name)
    wrong = b"\xff\xff" + name[2:]
    path.write_bytes(data[:last] + (wrong if known else name) + data[last + len(name) :])
    if not known:
        path.write_bytes(data.replace(name, wrong, 1))  # in its own header alone
    refused(lambda: unpack(path), "a.zip")


def test_archives_with_a_file_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELINEATE_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zipfile.ZipInfo(""), b"1")
    refused(lambda: unpack(path), "a.zip", "without a name")


def test_graphs_whose_words_are_in_no_encoding(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    given, made = (onnx.helper.make_tensor_value_info(name, 1, [1]) for name in ("a", "b"))
    nodes = [onnx.helper.make_node("Identity", ["a"], ["b"])]
    graph = onnx.helper.make_graph(nodes, "g", [given], [made])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    onnx.helper.set_model_props(model, {"delineate": "{words}"})
    path = tmp_path / "a.onnx"
    path.write_bytes(model.SerializeToString().replace(b"{words}", b"{w\xa0\xffds}"))
    refused(lambda: dl.load(weights=path), "a.onnx")


def test_the_studio_of_two_classes_of_one_name(tmp_path: Path) -> None:
    from delineate.server.source import open_source

    write_png(tmp_path / "0.png", np.zeros((12, 15), np.uint8))
    image = {"id": 1, "file_name": "0.png", "height": 12, "width": 15}
    categories = [{"id": 1, "name": "cell"}, {"id": 2, "name": "cell"}]
    content = {"images": [image], "annotations": [], "categories": categories}
    (tmp_path / "a.json").write_text(json.dumps(content))
    refused(lambda: open_source(str(tmp_path / "a.json")), "a.json", "cell")


@pytest.mark.parametrize("key", ["size", "counts"])
def test_run_lengths_a_thousand_deep(key: str) -> None:
    deep: Any = 1
    for _ in range(5000):
        deep = [deep]
    for value in (deep, 10**6000):
        refused(lambda value=value: validate({"size": [2, 2], "counts": [1, 3], key: value}))


@pytest.mark.parametrize("frame", ["0" * 12 + "9" * 20, "9" * 5000, "9" * 12])
def test_frames_of_many_digits(frame: str, tmp_path: Path) -> None:
    (tmp_path / "0.txt").write_text(f"{frame} 2001 2 12 15 34=0\n")
    refused(lambda: open_tracks(tmp_path / "0.txt"), "0.txt", "line 1")


def test_manifests_with_long_lists() -> None:
    from delineate.runtime.manifest import Manifest

    plain = {"format": 1, "size": [64, 64], "family": "center_offset", "settings": {}, "dynamic": False,
             "classes": {"names": ["a"]}, "input": {"std": [0.25] * 2000}, "outputs": [], "licence": "",
             "weights": ""}  # fmt: skip
    refused(lambda: Manifest.from_json(json.dumps(plain), "a.onnx"), "a.onnx")


def test_zarr_chunks_of_nothing(tmp_path: Path) -> None:
    import zarr

    from delineate.data.rasters import open_raster

    zarr.create_array(tmp_path / "0", shape=(8, 8), chunks=(4, 4), dtype="uint8", zarr_format=2)
    told = json.loads((tmp_path / "0/.zarray").read_text())
    (tmp_path / "0/.zarray").write_text(json.dumps({**told, "chunks": [0, 4]}))
    refused(lambda: open_raster(tmp_path / "0"), "chunk", "0, 4")


def test_image_names_too_long_for_any_file(tmp_path: Path) -> None:
    from delineate.data.formats.image_search import ImageSearch

    search = ImageSearch(tmp_path, None)
    assert search("n" * 5000 + ".png") is None
    assert search.missing == ["n" * 5000 + ".png"]


def test_zarr_archives_whose_names_are_long(tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    path = tmp_path / "a.zarr.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(".zgroup", json.dumps({"zarr_format": 2}))
        archive.writestr(".zattrs", json.dumps({"multiscales": [{"datasets": [{"path": "0" * 9000}]}]}))
        archive.writestr(f"{'0' * 9000}/.zarray", "{}")
    data = path.read_bytes()
    path.write_bytes(data.replace(b"/.zarray", b"?.zarray", 1))  # the header and the directory differ
    refused(lambda: open_raster(path), "a.zarr.zip")


def test_pages_of_a_tiff_in_a_circle(tmp_path: Path) -> None:
    """tifffile would go round four million times."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((3, 8, 8), np.uint8), photometric="minisblack", metadata=None)
    with tifffile.TiffFile(path) as file:
        first, last = file.pages[1].offset, file.pages[2]
        at = last.offset + 2 + 12 * len(file.pages[2].aspage().tags)
    data = bytearray(path.read_bytes())
    assert data[at : at + 4] == bytes(4)  # no page comes after the last
    data[at : at + 4] = struct.pack("<I", first)
    path.write_bytes(data)
    refused(lambda: read(path), "a.tif", "leads back")
    refused(lambda: open_raster(path), "a.tif", "leads back")
    refused(lambda: read_label_stack(path), "a.tif", "leads back")


@pytest.mark.parametrize("place", [(), (0.0,) * 5, (0.0,) * 6])
def test_places_of_too_few_numbers(place: tuple[float, ...], tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tags: list[Any] = [(33550, "d", 3, (1.0, 1.0, 0.0), True), (33922, "d", len(place), place, True)]
    tags.append((34735, "H", 8, (1, 1, 0, 1, 3072, 0, 1, 32633), True))
    tifffile.imwrite(path, np.zeros((8, 8), np.uint8), extratags=tags)
    with open_raster(path) as raster:
        assert (raster.georeference is None) == (len(place) < 6)


# -- formats that are only read ------------------------------------------------------------------------------


def changed(path: Path, where: tuple[Any, ...], value: Any) -> None:
    """One value of a JSON file replaced, or added."""
    content = holder = json.loads(path.read_text())
    for key in where[:-1]:
        holder = holder[key]
    holder[where[-1]] = value
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("file", "where", "value"),
    [
        ("scene_camera.json", ("²",), {}),
        ("scene_camera.json", ("9" * 5000,), {}),
        ("scene_camera.json", ("0", "depth_scale"), 10**400),
        ("scene_camera.json", ("0", "cam_K"), [10**400] * 9),
        ("scene_gt.json", ("0", 0, "obj_id"), 1e300),
        ("scene_gt.json", ("0", 0, "obj_id"), -5),
    ],
)
def test_scenes_of_bop(file: str, where: tuple[Any, ...], value: Any, tmp_path: Path) -> None:
    scene = write_bins(tmp_path / "b", 1, BinSettings(objects=2, size=(24, 32), focal=30)) / "test" / "000001"
    changed(scene / "scene_gt_info.json", ("0", 0, "visib_fract"), 10**400)  # of no weight: as if untold
    assert np.isnan(read_scene(scene)[0].poses[0].visible)
    changed(scene / file, where, value)
    refused(lambda: open_dataset(tmp_path / "b"), file)


def test_classes_of_ade20k_without_number(tmp_path: Path) -> None:
    folder = tmp_path / "training"
    folder.mkdir()
    write_png(folder / "a_seg.png", np.zeros((4, 4, 3), np.uint8))
    write_png(folder / "a.jpg", np.zeros((4, 4, 3), np.uint8))
    row = '{"name": "car", "name_ndx": 1e400, "parts": {"part_level": 0}}'
    (folder / "a.json").write_text(f'{{"annotation": {{"object": [{row}]}}}}')
    refused(lambda: open_dataset(tmp_path), "a.json")


@pytest.mark.parametrize(
    ("key", "value"), [("masklet_id", [2**63]), ("video_id", "v" * 300), ("video_id", "v\0w")]
)
def test_masklets_of_sa_v(key: str, value: Any, tmp_path: Path) -> None:
    masks = Masks.from_dense(np.ones((1, 4, 4), np.bool_)).to_rle()
    told = {"video_id": "v", "video_height": 4, "video_width": 4, "masklet": [masks], "masklet_id": [1]}
    (tmp_path / "a.json").write_text(json.dumps(told | {key: value}))
    refused(lambda: open_dataset(tmp_path / "a.json"), "a.json")


def test_half_a_character_in_json(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text('{"image": {"\\ud83d\\ude00": NaN}}')
    assert list(load_json(file)["image"]) == ["\N{GRINNING FACE}"]
    file.write_text('{"image": {"a\\ud800": 1}}')
    refused(lambda: load_json(file), "a.json", "half a character", r"\ud800")


def test_a_row_of_a_split_with_hundreds_of_columns(tmp_path: Path) -> None:
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
        write_png(tmp_path / kind / "a.png", np.zeros((4, 4), np.uint8))
    (tmp_path / "split.csv").write_text("id,split\na,train" + ",name" * 500 + "\n")
    refused(lambda: FORMATS["label-images"].read(tmp_path), "split.csv", "line 2")
