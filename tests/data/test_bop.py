"""BOP's scenes: written of synthetic bins and read back; results as CSV; what is malformed is told."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from delineate.core.errors import DatasetError
from delineate.data.bop_scene import BopResult, read_results, read_scene, scene_folders, write_results
from delineate.data.dataset import open_dataset
from delineate.data.ply import read_ply
from delineate.data.rgbd import read_depth
from delineate.data.synthetic.bins import BinSettings, bin_scene
from delineate.data.synthetic.bins_files import write_bins

SMALL = BinSettings(objects=4, size=(90, 120), focal=112)


@pytest.fixture(scope="module")
def bins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bins(tmp_path_factory.mktemp("bop") / "bins", 2, SMALL, seed=5)


def test_a_scene_comes_back(bins: Path) -> None:
    true = bin_scene(6, SMALL)
    (image,) = read_scene(bins / "test" / "000002")
    assert (image.scene_id, image.im_id, image.name) == (2, 0, "000002/000000")
    np.testing.assert_allclose(image.camera, true.camera)
    assert image.depth is not None
    depth = read_depth(image.depth, image.depth_scale, 0).metres
    np.testing.assert_allclose(depth, true.depth, atol=0.6e-4)
    for pose, body, share in zip(image.poses, true.solids, true.visible, strict=True):
        np.testing.assert_allclose(pose.pose, body.pose, atol=1e-9)
        assert pose.visible == pytest.approx(share)
    # A model, put where its pose says, has the surface that the depth shows.
    points, _ = read_ply(bins / "models" / f"obj_{image.poses[0].obj_id:06d}.ply")
    placed = points / 1000 @ image.poses[0].pose[:3, :3].T + image.poses[0].pose[:3, 3]
    assert np.abs(true.solids[0].distance(placed)).max() < 1e-6


def test_as_a_dataset(bins: Path) -> None:
    for place, count in ((bins, 2), (bins / "test", 2), (bins / "test" / "000001", 1)):
        data = open_dataset(place)
        assert data.format == "BOP" and len(data) == count
    data = open_dataset(bins)
    true = bin_scene(5, SMALL)
    sample = data[0]
    assert data.groups == {"scene": ["000001", "000002"], "split": ["test", "test"]}
    assert true.truth.masks is not None and (sample.image == true.color).all()
    seen = np.flatnonzero(true.truth.masks.area > 0)
    assert sample.truth.masks == true.truth.masks[seen] and sample.truth.ids is not None
    assert sample.truth.ids.tolist() == (seen + 1).tolist()
    assert sample.truth.names[0] == "obj_000001"
    assert scene_folders(bins.parent / "none") == []
    with pytest.raises(DatasetError, match="keeps them"):
        open_dataset(bins, images=bins)


def test_results_come_back(tmp_path: Path) -> None:
    pose = np.eye(4)
    pose[:3, :3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    pose[:3, 3] = 0.1, -0.2, 0.75
    path = write_results(tmp_path / "method_set-test.csv", [BopResult(1, 3, 7, 0.5, pose, 0.25)])
    with path.open() as file:
        (row,) = csv.DictReader(file)
    assert row["R"] == "0 -1 0 1 0 0 0 0 1" and row["t"] == "100 -200 750" and row["scene_id"] == "1"
    (back,) = read_results(path)
    assert (back.scene_id, back.im_id, back.obj_id, back.score, back.time) == (1, 3, 7, 0.5, 0.25)
    np.testing.assert_allclose(back.pose, pose)
    write_results(path, [])
    assert read_results(path) == []


@pytest.mark.parametrize(
    "content",
    ["", "a,b\n1,2\n", "scene_id,im_id,obj_id,score,R,t,time\n1,2,3,0.5,1 0 0,0 0 0,1\n",
     "scene_id,im_id,obj_id,score,R,t,time\n1,2,3\n"],
)  # fmt: skip
def test_malformed_results_are_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "r.csv").write_text(content)
    with pytest.raises(DatasetError, match=r"r\.csv"):
        read_results(tmp_path / "r.csv")
    with pytest.raises(DatasetError, match="none"):
        read_results(tmp_path / "none.csv")


def _camera(entry: dict[str, Any]) -> None:
    entry["0"]["cam_K"] = [1, 2]


def _turn(entry: dict[str, Any]) -> None:
    entry["0"][0]["cam_R_m2c"][0] = 7


def _place(entry: dict[str, Any]) -> None:
    del entry["0"][1]["cam_t_m2c"]


def _list(entry: dict[str, Any]) -> None:
    entry["0"] = 5


def _extra(entry: dict[str, Any]) -> None:
    entry["9"] = entry["0"]


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("scene_camera.json", _camera, "cam_K as 9 numbers"),
        ("scene_camera.json", _extra, "rgb/000009"),
        ("scene_gt.json", _turn, "a rotation"),
        ("scene_gt.json", _place, "cam_t_m2c as 3 numbers"),
        ("scene_gt.json", _list, "list of objects"),
    ],
)
def test_malformed_scenes_are_told(
    tmp_path: Path, name: str, change: Callable[[dict[str, Any]], None], told: str
) -> None:
    scene = write_bins(tmp_path / "b", 1, SMALL) / "test" / "000001"
    record = json.loads((scene / name).read_text())
    change(record)
    (scene / name).write_text(json.dumps(record))
    with pytest.raises(DatasetError, match=told):
        read_scene(scene)


def test_masks_that_are_missing_or_of_another_size(tmp_path: Path) -> None:
    folder = write_bins(tmp_path / "b", 1, SMALL)
    masks = folder / "test" / "000001" / "mask_visib"
    first = sorted(masks.iterdir())[0]
    first.write_bytes((folder.parent / "b" / "test" / "000001" / "rgb" / "000000.png").read_bytes())
    assert open_dataset(folder).truth(0)  # colours: the first channel
    from delineate.data.write import write_png

    write_png(first, np.ones((5, 5), np.uint8))
    with pytest.raises(DatasetError, match="as its picture"):
        open_dataset(folder).truth(0)
    first.unlink()
    with pytest.raises(DatasetError, match="mask_visib"):
        open_dataset(folder)
    assert len(open_dataset(folder, skip_invalid=True)) == 0
    (folder / "test" / "000001" / "scene_camera.json").write_text("[]")
    with pytest.raises(DatasetError, match="image number"):
        read_scene(folder / "test" / "000001")
