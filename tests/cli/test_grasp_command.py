"""`delineate grasp` as it is typed: on real frames of a shelf, on synthetic bins, on bad input."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import delineate as dl
from delineate.cli import main
from delineate.data.bop_scene import read_results
from delineate.data.ply import read_ply
from delineate.data.synthetic.bins import BinSettings
from delineate.data.synthetic.bins_files import write_bins
from delineate.data.write import write_png

SMALL = BinSettings(objects=4, size=(240, 320), focal=300)


@pytest.fixture(scope="module")
def bins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bins(tmp_path_factory.mktemp("bop") / "bins", 2, SMALL, seed=1, noise=0.001)


def test_a_shelf(data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = data_dir / "apc_rgbd", tmp_path / "out"
    frames = tmp_path / "frames"
    frames.mkdir()
    for name in ("frame-000000.color.png", "frame-000000.depth.png"):
        shutil.copy(source / name, frames)
    code = main(
        ["grasp", str(frames), str(frames), "--camera", str(source / "cam.info.txt"), "--masks",
         str(source / "segm"), "--out", str(out)]
    )  # fmt: skip
    assert code == 0 and "4 objects" in capsys.readouterr().out
    objects, grasps = pd.read_csv(out / "objects.csv"), pd.read_csv(out / "grasps.csv")
    assert sorted(objects["label"]) == [48, 114, 132, 144] and sorted(objects["pick"]) == [1, 2, 3, 4]
    box = objects.set_index("label").loc[132]  # a cube of paper tissues, a little over 11 cm wide
    assert 0.10 < box["length"] < 0.15 and 0.55 < box["z"] < 0.70
    assert {"suction"} <= set(grasps["kind"])
    poses = json.loads((out / "grasps.json").read_text())
    one = poses["frames"]["frame-000000.color.png"]["grasps"][0]
    assert (
        np.linalg.det(np.array(one["pose"])[:3, :3]) == pytest.approx(1)
        and "z forward" in poses["convention"]
    )
    cloud, tints = read_ply(out / "clouds" / "frame-000000.color" / "132.ply")
    assert len(cloud) == box["points"] and tints is not None
    assert np.median(cloud[:, 2]) == pytest.approx(box["z"], abs=1e-4)
    for name in ("overlays", "depth"):
        assert (out / name / "frame-000000.color.png").stat().st_size > 10_000
    page = (out / "pages" / "frame-000000.color.html").read_text()
    assert "132" in page and objects["link"].iloc[0].startswith("pages/frame-000000.color.html#")
    columns = pd.read_csv(out / "columns.csv", keep_default_na=False)
    written = {
        table: list(pd.read_csv(out / f"{table}.csv").columns) for table in ("objects", "grasps", "frames")
    }
    for table, names in written.items():
        assert columns[columns["table"] == table]["column"].tolist() == names
    assert (columns["source"] != "").all()
    assert set(columns[columns["column"].isin(["x", "width", "height", "pose_03"])]["unit"]) == {"m"}


def test_scenes_of_bop_in_and_results_out(bins: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    out = tmp_path / "out"
    save = ["--save", "csv,parquet,bop", "--quiet", "--out", str(out)]
    assert main(["grasp", str(bins), *save]) == 0
    masks = json.loads((out / "bop_masks.json").read_text())
    assert {row["scene_id"] for row in masks} == {1, 2} and all(
        row["segmentation"]["counts"] for row in masks
    )
    boxes = read_results(out / "bop_boxes.csv")
    assert {(b.scene_id, b.obj_id) for b in boxes} == {(m["scene_id"], m["category_id"]) for m in masks}
    assert all(np.linalg.det(b.pose[:3, :3]) == pytest.approx(1, abs=1e-6) for b in boxes)
    frame = pd.read_parquet(out / "grasps.parquet")
    assert len(frame) == len(pd.read_csv(out / "grasps.csv"))
    import pyarrow.parquet as pq

    schema = pq.read_schema(out / "grasps.parquet")
    assert schema.field("pose_03").metadata[b"unit"] == b"m" and schema.field("margin").metadata[b"source"]
    assert not list(out.glob("overlays"))


def test_json_alone_and_the_same_from_python(
    bins: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = bins / "test" / "000001"
    out = tmp_path / "out"
    code = main(
        ["grasp", str(scene / "rgb"), str(scene / "depth"), "--camera", str(bins / "camera.json"), "--masks",
         _labels(scene, tmp_path), "--gripper", "width=0.09", "--suction", "none", "--best", "2", "--save",
         "csv,json", "--out", str(out), "--json"]
    )  # fmt: skip
    assert code == 0
    told = json.loads(capsys.readouterr().out)
    assert told["frames"][0]["status"] == "done" and "0.0001 m a unit" in told["frames"][0]["depth"]
    grasps = pd.read_csv(out / "grasps.csv")
    assert set(grasps["kind"]) == {"fingers"} and grasps.groupby("label").size().max() <= 2
    from delineate.apply.grasp import GraspSettings
    from delineate.apply.gripper import Gripper
    from delineate.data.formats.label_image import read_ids

    settings = GraspSettings(Gripper(width=0.09), None, best=2)
    labels = read_ids(Path(_labels(scene, tmp_path)))
    found = dl.grasp(scene / "depth" / "000000.png", bins / "camera.json", labels, settings=settings)
    np.testing.assert_allclose(found.grasps["grasp_score"], grasps["grasp_score"], atol=1e-9)
    assert found.objects.attrs["units"]["height"] == "m" and set(found.clouds()) == set(
        found.objects["label"]
    )


def _labels(scene: Path, tmp_path: Path) -> str:
    """The scene's masks as one label image."""
    from delineate.data.dataset import open_dataset

    write_png(tmp_path / "000000.png", open_dataset(scene).truth(0).to_label_image().astype(np.uint16))
    return str(tmp_path / "000000.png")


def test_one_bad_frame_stops_nothing(bins: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "bins"
    shutil.copytree(bins, copy)
    write_png(copy / "test" / "000001" / "depth" / "000000.png", np.zeros((240, 320), np.uint16))
    out = tmp_path / "out"
    assert main(["grasp", str(copy), "--save", "csv", "--out", str(out)]) == 1
    assert "got none" in capsys.readouterr().err
    frames = pd.read_csv(out / "frames.csv")
    assert frames["status"].tolist() == ["failed", "done"] and "depth" in frames["reason"][0]
    assert set(pd.read_csv(out / "objects.csv")["image"]) == {"000002/000000"}
    write_png(copy / "test" / "000002" / "depth" / "000000.png", np.full((10, 10), 700, np.uint16))
    assert main(["grasp", str(copy), "--save", "csv", "--out", str(out)]) == 2
    assert "one size" in capsys.readouterr().err


def test_no_objects_is_an_answer(bins: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene = bins / "test" / "000001"
    write_png(tmp_path / "m.png", np.zeros((240, 320), np.uint16))
    code = main(
        ["grasp", str(scene / "rgb"), str(scene / "depth"), "--camera", "300,300,159.5,119.5",
         "--depth-scale", "0.0001", "--masks", str(tmp_path / "m.png"), "--out", str(tmp_path / "out")]
    )  # fmt: skip
    assert code == 0 and "0 objects, 0 grasps" in capsys.readouterr().out
    assert pd.read_csv(tmp_path / "out" / "grasps.csv").empty


def test_a_deadline_is_told(bins: Path, tmp_path: Path) -> None:
    arguments = [
        "grasp",
        str(bins),
        "--deadline",
        "0.000001",
        "--save",
        "csv",
        "--out",
        str(tmp_path),
        "--quiet",
    ]
    assert main(arguments) == 0
    assert pd.read_csv(tmp_path / "frames.csv")["status"].tolist() == ["late", "late"]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ([], "expected DEPTH and --camera"),
        (["d.png", "--camera", "1,1,1,1"], "--masks or --model"),
        (["d.png", "--camera", "1,1", "--masks", "c.png"], "expected a file, or four numbers"),
        (["d.png", "--camera", "1,1,1,1", "--masks", "m.png", "--model", "nuclei"], "got both"),
        (["d.png", "--gripper", "width=80"], "not mm"),
        (["d.png", "--gripper", "none", "--suction", "none"], "leave one out"),
        (["d.png", "--approach", "down"], "expected x,y,z"),
        (["d.png", "--deadline", "-1"], "above 0"),
        (["d.png", "--save", "everything"], "expected some of csv"),
        (["d.png", "--camera", "1,1,1,1", "--masks", "nothing.png"], "got nothing there"),
    ],
)
def test_wrong_usage_is_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    more: list[str],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_png(tmp_path / "c.png", np.zeros((4, 4), np.uint8))
    write_png(tmp_path / "d.png", np.full((4, 4), 700, np.uint16))
    code = main(["grasp", "c.png", *more])
    error = capsys.readouterr().err.strip()
    assert code == 2 and told in error and len(error.splitlines()) == 1, error
    assert not list(tmp_path.glob("grasps"))


def test_files_that_would_go_with_one_frame_are_refused(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = data_dir / "apc_rgbd"
    for folder in ("frames", "masks"):
        (tmp_path / folder).mkdir()
    for kind in ("color", "depth"):
        shutil.copy(source / f"frame-000000.{kind}.png", tmp_path / "frames" / f"1.{kind}.png")
    for name in ("1.segm.png", "1.png"):
        shutil.copy(source / "segm" / "frame-000000.segm.png", tmp_path / "masks" / name)
    words = ["grasp", str(tmp_path / "frames"), str(tmp_path / "frames"), "--camera"]
    words += [str(source / "cam.info.txt"), "--out", str(tmp_path / "out"), "--masks"]
    assert main([*words, str(tmp_path / "masks")]) == 2
    assert "1.png and 1.segm.png" in capsys.readouterr().err
    shutil.copy(tmp_path / "frames" / "1.color.png", tmp_path / "frames" / "1.rgb.png")
    assert main([*words, str(source / "segm")]) == 2
    assert "1.color.png and 1.rgb.png" in capsys.readouterr().err


def test_masks_beside_scenes_of_bop_are_refused(bins: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["grasp", str(bins), "--masks", "labels.png"]) == 2
    assert "expected no DEPTH, --camera and --masks" in capsys.readouterr().err


def test_counts_stay_whole_where_a_frame_failed(data_dir: Path, tmp_path: Path) -> None:
    source, frames = data_dir / "apc_rgbd", tmp_path / "frames"
    frames.mkdir()
    for k in (0, 1):
        for kind in ("color", "depth"):
            shutil.copy(source / f"frame-00000{k}.{kind}.png", frames)
    write_png(frames / "frame-000001.depth.png", np.zeros((480, 640), np.uint16))
    words = ["grasp", str(frames), str(frames), "--camera", str(source / "cam.info.txt"), "--save", "csv"]
    assert main([*words, "--masks", str(source / "segm"), "--out", str(tmp_path / "out")]) == 1
    table = pd.read_csv(tmp_path / "out" / "frames.csv", dtype=str, keep_default_na=False)
    assert table["objects"].tolist() == ["4", ""] and table["status"].tolist() == ["done", "failed"]


def test_a_model_finds_the_objects(data_dir: Path, tmp_path: Path) -> None:
    source, out = data_dir / "apc_rgbd", tmp_path / "out"
    color, depth = (str(source / f"frame-000005.{kind}.png") for kind in ("color", "depth"))
    words = ["--camera", str(source / "cam.info.txt"), "--model", "nuclei", "--confidence", "0.05"]
    assert main(["grasp", color, depth, *words, "--out", str(out), "--save", "csv,bop,page"]) == 0
    objects = pd.read_csv(out / "objects.csv")  # what the model takes for nuclei on a shelf
    assert len(objects) and set(objects["class"]) == {"nucleus"} and (objects["score"] > 0.05).all()
    assert len(json.loads((out / "bop_masks.json").read_text())) == len(objects)
