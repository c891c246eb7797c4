"""Archives, weights, settings, maps, cameras."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import seeds
from reading import Made, target, tries

# -- archives, weights, settings --------------------------------------------------------------------------


@target
def archives(folder: Path) -> Made:
    """Datasets in ZIP and TAR."""
    import os

    os.environ["DELINEATE_CACHE"] = str(folder / "cache")
    files = {"a/images/0.png": seeds.encoded("PNG"), "a/0.txt": b"0 0.5 0.5 0.2 0.2\n", "a/b.yaml": b"x: 1\n"}
    endings = (".zip", ".tar", ".tar.gz", ".tar.xz", ".tar.bz2")
    made = [seeds.zipped(files), *(seeds.tarred(files, mode) for mode in ("w", "w:gz", "w:xz", "w:bz2"))]

    def read(data: bytes) -> None:
        from delineate.data.archives import unpack

        if not data:
            return
        inside = folder / "inside"
        inside.mkdir(exist_ok=True)
        path = inside / f"a{endings[data[0] % 5]}"
        path.write_bytes(data[1:])
        tries(lambda: unpack(path, max_bytes=10_000_000))
        shutil.rmtree(folder / "cache", ignore_errors=True)
        path.unlink()
        strays = [p for each in (folder.parent, folder, inside) for p in each.glob("x")]
        if strays or Path("/x").exists():
            raise AssertionError(f"written outside: {strays}")

    return [bytes([k]) + data for k, data in enumerate(made)], read


@target
def checkpoints(folder: Path) -> Made:
    """Weights: safetensors with our header, PyTorch's ZIP, old pickles of arrays."""
    import pickle

    import torch

    from delineate.engine import checkpoint
    from delineate.models.zoo import build

    model = build("center_offset", channels=(8, 8))
    ours = checkpoint.save(folder / "a.safetensors", model, record={})
    torch.save({"a": torch.ones(2, 3)}, folder / "a.pt")
    plain = pickle.dumps({"model": {"a": np.ones((2, 3), np.float32)}}, protocol=2)
    made = [ours.read_bytes(), (folder / "a.pt").read_bytes(), plain]

    def read(data: bytes) -> None:
        from delineate.engine import checkpoint as again

        path = folder / "b.weights"
        path.write_bytes(data)
        tries(lambda: again.load(path))
        if data[8:9] == b"{":
            tries(lambda: again.restore(path))

    return made, read


@target
def manifests(_: Path) -> Made:
    """What an exported model says of itself."""
    import torch

    from delineate.models.zoo import build
    from delineate.runtime.manifest import Manifest, shape_of

    with torch.device("meta"):
        model = build("center_offset", channels=(8, 8))
    names = shape_of(model, (64, 64))._fields
    first = Manifest(model.family, dict(model.settings), model.classes, model.input, (64, 64), False, names)
    text = first.to_json().encode()

    def read(data: bytes) -> None:
        def look() -> None:
            found = Manifest.from_json(data.decode("utf-8", "replace"), "a.onnx")
            if max(found.size) <= 512:
                found.skeleton("a.onnx")

        tries(look)

    return [text], read


@target
def graphs(folder: Path) -> Made:
    """ONNX files, whole and not."""
    import delineate as dl
    from delineate.engine.load import Model
    from delineate.models.zoo import build
    from delineate.runtime.export import export

    model = Model(build("center_offset", channels=(8, 8)), "small")
    export(model.segmenter, folder / "a.onnx", size=64)
    made = (folder / "a.onnx").read_bytes()

    def read(data: bytes) -> None:
        path = folder / "b.onnx"
        path.write_bytes(data)
        tries(lambda: dl.load(weights=path))

    return [made], read


@target
def recipes(folder: Path) -> Made:
    """TOML recipes."""
    every = sorted((Path(__file__).parents[1] / "recipes").glob("*.toml"))
    path = folder / "a.toml"

    def read(data: bytes) -> None:
        from delineate.engine.config import read_recipe

        path.write_bytes(data)
        tries(lambda: read_recipe(path))

    return [p.read_bytes() for p in every[:12]], read


# -- maps, cameras, scenes ----------------------------------------------------------------------------------


@target
def maps(folder: Path) -> Made:
    """Vector layers: GeoPackage, GeoJSON, Parquet, Shapefile with its table."""
    import pandas as pd

    from delineate.core.polygons import Polygon
    from delineate.data.vectors import Layer, write_layer

    hole = np.array([[10.02, 50.02], [10.04, 50.02], [10.04, 50.04]])
    box = Polygon([[10.0, 50], [10.1, 50], [10.1, 50.1], [10, 50.1]], (hole,))
    table = pd.DataFrame({"name": ["a", "é"], "area": [1.5, 2], "n": [1, 2], "yes": [True, False]})
    layer = Layer(((box,), (box, box)), table, 4326)
    endings = (".gpkg", ".geojson", ".parquet", ".shp", ".dbf", ".prj")
    for ending in endings[:4]:
        write_layer(folder / f"a{ending}", layer)
    kept = {ending: (folder / f"a{ending}").read_bytes() for ending in endings}

    def read(data: bytes) -> None:
        from delineate.data.vectors import read_layer

        if not data:
            return
        ending = endings[data[0] % len(endings)]
        path = folder / f"a{ending}"
        path.write_bytes(data[1:])
        name = folder / ("a.shp" if ending in (".dbf", ".prj") else f"a{ending}")
        tries(lambda: read_layer(name))
        path.write_bytes(kept[ending])

    return [bytes([k]) + kept[e] for k, e in enumerate(endings)], read


@target
def cameras(folder: Path) -> Made:
    """Calibrations, poses, camera files, point clouds, BOP results and stains."""
    from delineate.data.ply import write_ply

    write_ply(folder / "a.ply", np.zeros((3, 3)), np.zeros((3, 3), np.uint8))
    texts = [
        b"0" + json.dumps({"fx": 500, "fy": 500, "cx": 32, "cy": 24, "depth_scale": 0.001}).encode(),
        b"0" + b"%YAML:1.0\ncamera_matrix: !!opencv-matrix\n   rows: 3\n   cols: 3\n   dt: d\n"
        b"   data: [500, 0, 32, 0, 500, 24, 0, 0, 1]\n",
        b"0" + b"500,500,32,24\n",
        b"1" + b"P0: 7.2e+02 0 6.1e+02 0 0 7.2e+02 1.7e+02 0 0 0 1 0\n"
        b"P2: 7.2e+02 0 6.1e+02 4.4e+01 0 7.2e+02 1.7e+02 2e-01 0 0 1 2e-03\n",
        b"1" + json.dumps({"extrinsic": {"x": 1.7, "y": 0, "z": 1.2, "pitch": 0.04, "roll": 0, "yaw": 0},
                           "intrinsic": {"fx": 2262, "fy": 2265, "u0": 1096, "v0": 513}}).encode(),
        b"2" + b"1 0 0 5 0 1 0 6 0 0 1 7\n1 0 0 5 0 1 0 6 0 0 1 8\n",
        b"2" + b"frame,x,y,yaw\n0,1,2,0.5\n1,2,2,0.6\n",
        b"3" + (folder / "a.ply").read_bytes(),
        b"4" + b"scene_id,im_id,obj_id,score,R,t,time\n1,2,3,0.5,1 0 0 0 1 0 0 0 1,1 2 3,-1\n",
        b"5" + json.dumps({"pixels": [[0, 0], [10, 0], [10, 10], [0, 10]],
                           "metres": [[0, 0], [1, 0], [1, 1], [0, 1]]}).encode(),
        b"5" + b"0 0 0 0\n10 0 1 0\n10 10 1 1\n0 10 0 1\n",
    ]  # fmt: skip

    def read(data: bytes) -> None:
        from delineate.data import bop_scene, camera_file, ply
        from delineate.engine import calibration_files, pose_files

        which = data[:1].decode("latin-1")
        content = data[1:]
        endings = (".json", ".yaml", ".txt", ".csv")
        path = folder / f"b{endings[0] if content[:1] in (b'{', b'[') else endings[len(content) % 4]}"
        path.write_bytes(content)
        readers: dict[str, Callable[[], object]] = {
            "0": lambda: camera_file.read_camera(path),
            "1": lambda: calibration_files.read_camera(path),
            "2": lambda: pose_files.read_poses(path, [0, 1]),
            "3": lambda: ply.read_ply(path),
            "4": lambda: bop_scene.read_results(path),
            "5": lambda: calibration_files.read_homography(path),
        }
        tries(readers.get(which, readers["0"]))
        path.unlink()

    return texts, read
