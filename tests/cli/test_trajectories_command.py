"""`delineate trajectories` and `delineate misses` as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from delineate.cli import main
from delineate.core.errors import InputError
from delineate.data.images import write_png
from delineate.data.synthetic.traffic import TrafficSettings, traffic
from delineate.engine.calibration_files import read_camera, read_homography, save_ground
from delineate.tracking.ground import Camera, Ground

CAMERA = Camera((900.0, 900.0), (639.5, 359.5), 6.0, pitch=12.0)
GROUND = Ground.of_camera(CAMERA)
PLACES = np.array([[12.0, -4], [12, 4], [30, -6], [30, 6], [20, 0], [45, 3]])


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A street as MOTS text (truth, and results without what is small), its camera, its points, images."""
    folder = tmp_path_factory.mktemp("street")
    texts: dict[str, list[str]] = {"truth": [], "found": []}
    (folder / "images").mkdir()
    for frame in traffic(CAMERA.projection, 3, TrafficSettings(frames=50, participants=8)):
        rles = frame.truth.masks.to_rle()
        for k, number in enumerate(frame.truth.ids.tolist()):
            kind = 2 if frame.truth.labels[k] == 0 else 1
            line = f"{frame.number} {1000 * kind + number} {kind} 720 1280 {rles[k]['counts']}"
            texts["truth"].append(line)
            if frame.truth.masks.area[k] > 400:
                texts["found"].append(line)
        if frame.number < 3:
            write_png(folder / "images" / f"{frame.number:06d}.png", np.full((720, 1280, 3), 99, np.uint8))
    for name, lines in texts.items():
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
    (folder / "camera.json").write_text(json.dumps(save_ground(GROUND)))
    pixels = GROUND.to_image(PLACES)
    rows = [",".join(f"{v:.3f}" for v in row) for row in np.hstack([pixels, PLACES])]
    (folder / "points.csv").write_text("u,v,x,y\n" + "\n".join(rows) + "\n")
    return folder


def test_on_the_ground(street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pyarrow")
    arguments = [
        str(street / "truth.txt"),
        "--camera",
        str(street / "camera.json"),
        "--rate",
        "25",
        "--forecast",
        "1",
    ]
    assert main(["trajectories", *arguments, "--out", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    assert "participants in 50 frames" in told and "constant position" in told
    names = {path.name for path in (tmp_path / "out").iterdir()}
    tables = {
        f"{n}.{e}"
        for n in ("trajectories", "participants", "encounters", "forecasts")
        for e in ("csv", "parquet")
    }
    assert names == tables | {"birds-eye.png", "report.json"}
    rows = pd.read_parquet(tmp_path / "out" / "trajectories.parquet")
    again = pd.read_csv(tmp_path / "out" / "trajectories.csv")
    assert len(rows) == len(again) and rows.columns.tolist() == again.columns.tolist()
    assert rows["speed_m_s"].between(0, 40).all()
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["units"]["trajectories"]["speed_m_s"] == "m/s" and report["rate"] == 25
    errors = report["forecast_errors"]
    assert errors["model"]["ade"] < errors["constant position"]["ade"]


def test_units_stand_in_the_parquet_files(street: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    arguments = [str(street / "truth.txt"), "--save", "parquet", "--out", str(tmp_path), "--quiet"]
    assert main(["trajectories", *arguments]) == 0
    schema = parquet.read_schema(tmp_path / "trajectories.parquet")
    assert schema.field("speed_px_s").metadata[b"unit"] == b"px/s"
    assert b"unit" not in (schema.field("track").metadata or {})


def test_points_are_a_calibration(street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(street / "truth.txt"), "--homography", str(street / "points.csv"), "--save", "csv"]
    assert main(["trajectories", *arguments, "--forecast", "0", "--out", str(tmp_path / "a")]) == 0
    assert "6 points: residuals 0.00" in capsys.readouterr().err
    arguments[2] = str(tmp_path / "a" / "ground.json")
    assert main(["trajectories", *arguments, "--forecast", "0", "--out", str(tmp_path / "b"), "--quiet"]) == 0
    one, two = (pd.read_csv(tmp_path / name / "trajectories.csv") for name in "ab")
    pd.testing.assert_frame_equal(one, two)
    assert not len(pd.read_csv(tmp_path / "b" / "forecasts.csv"))


def test_a_camera_that_rides(street: Path, tmp_path: Path) -> None:
    poses = tmp_path / "poses.csv"
    poses.write_text("frame,x,y,heading\n" + "".join(f"{k},{0.4 * k},0,0\n" for k in range(50)))
    arguments = [
        str(street / "truth.txt"),
        "--camera",
        str(street / "camera.json"),
        "--rate",
        "25",
        "--save",
        "csv",
    ]
    more = ["--forecast", "0", "--quiet", "--out"]
    assert main(["trajectories", *arguments, *more, str(tmp_path / "a")]) == 0
    assert main(["trajectories", *arguments, "--poses", str(poses), *more, str(tmp_path / "b")]) == 0
    one, two = (pd.read_csv(tmp_path / name / "trajectories.csv") for name in "ab")
    np.testing.assert_allclose(two["x_m"] - one["x_m"], 0.4 * one["frame"], atol=0.5)


def test_only_some_classes(street: Path, tmp_path: Path) -> None:
    arguments = [str(street / "truth.txt"), "--classes", "pedestrian", "--save", "csv", "--quiet"]
    assert main(["trajectories", *arguments, "--out", str(tmp_path)]) == 0
    assert set(pd.read_csv(tmp_path / "participants.csv")["class"]) == {"pedestrian"}


def test_one_bad_sequence_does_not_stop_the_others(
    street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "good.txt").write_bytes((street / "truth.txt").read_bytes())
    (folder / "bad.txt").write_text("1 2001 2 48 64 rubbish~~\n")
    arguments = ["trajectories", str(folder), "--save", "csv", "--out", str(tmp_path / "out"), "--quiet"]
    assert main(arguments) == 1
    assert "bad:" in capsys.readouterr().err
    assert (tmp_path / "out" / "good" / "trajectories.csv").is_file()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--rate", "0"], "rate"),
        (["--forecast", "99"], "--forecast"),
        (["--classes", "dragon"], "dragon"),
        (["--save", "gold"], "gold"),
        (["--camera", "nowhere.json"], "nowhere.json"),
        (["--poses", "poses.csv"], "--poses"),
        (["--camera", "a.json", "--homography", "b.csv"], "both"),
    ],
)
def test_wrong_usage(
    more: list[str], told: str, street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["trajectories", str(street / "truth.txt"), "--out", str(tmp_path), *more]
    assert main(arguments) == 2
    error = capsys.readouterr().err.strip()
    assert told in error and len(error.splitlines()) == 1


def test_misses(street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sides = [str(street / "found.txt"), str(street / "truth.txt")]
    more = [
        "--camera",
        str(street / "camera.json"),
        "--images",
        str(street / "images"),
        "--out",
        str(tmp_path),
    ]
    assert main(["misses", *sides, *more]) == 0
    told = capsys.readouterr().out
    assert "distance_m" in told and "tracks are never found" in told
    report = json.loads((tmp_path / "report.json").read_text())
    heights = report["groups"]["height_px"]
    assert heights["below 25"]["recall"] < 0.5 < heights["50 to 100"]["recall"]
    rows = pd.read_csv(tmp_path / "misses.csv")
    assert len(rows) == report["objects"] and (rows["fate"] == "found").mean() == pytest.approx(
        report["recall"]
    )
    assert len(list(tmp_path.glob("*.png"))) <= 3


def test_misses_with_other_classes(street: Path, tmp_path: Path) -> None:
    sides = [str(street / "found.txt"), str(street / "truth.txt")]
    arguments = ["misses", *sides, "--class-map", "mots20", "--by", "box", "--out", str(tmp_path), "--quiet"]
    assert main(arguments) == 0
    assert set(pd.read_csv(tmp_path / "misses.csv")["class"]) == {"pedestrian"}


def test_misses_told_in_one_line(street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sides = [str(street / "found.txt"), str(street / "truth.txt")]
    for more, told in (
        (["--by", "pixel"], "--by"), (["--iou", "0.1"], "iou"), (["--class-map", "no"], "class map"),
        (["--images", str(street)], "--images"),
    ):  # fmt: skip
        assert main(["misses", *sides, *more]) == 2
        error = capsys.readouterr().err.strip()
        assert told in error and len(error.splitlines()) == 1


MATRIX = GROUND.homography


@pytest.mark.parametrize("ending", ["txt", "csv", "json", "object.json", "npy"])
def test_homographies_of_every_kind(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"h.{ending}"
    if ending == "npy":
        np.save(path, -MATRIX)
    elif ending.endswith("json"):
        path.write_text(
            json.dumps({"homography": MATRIX.tolist()} if "object" in ending else MATRIX.tolist())
        )
    else:
        np.savetxt(path, -2 * MATRIX, delimiter="," if ending == "csv" else " ")
    ground, fit = read_homography(path)
    assert fit is None
    np.testing.assert_allclose(ground.to_ground(GROUND.to_image(PLACES)), PLACES, atol=1e-6)


def test_points_as_json_and_without_names(tmp_path: Path) -> None:
    pixels = GROUND.to_image(PLACES)
    path = tmp_path / "p.json"
    path.write_text(json.dumps({"pixels": pixels.tolist(), "metres": PLACES.tolist()}))
    assert read_homography(path)[1].metres.max() < 1e-6
    np.savetxt(tmp_path / "p.txt", np.hstack([pixels, PLACES]))
    assert read_homography(tmp_path / "p.txt")[1].metres.max() < 1e-6


def test_cameras_of_every_make(tmp_path: Path) -> None:
    own = tmp_path / "own.json"
    own.write_text(json.dumps(save_ground(GROUND)))
    city = tmp_path / "city.json"
    city.write_text(json.dumps({
        "extrinsic": {"baseline": 0.2, "pitch": np.radians(12), "roll": 0, "x": 0, "y": 0, "yaw": 0, "z": 6},
        "intrinsic": {"fx": 900, "fy": 900, "u0": 639.5, "v0": 359.5},
    }))  # fmt: skip
    for path in (own, city):
        np.testing.assert_allclose(read_camera(path).to_ground(GROUND.to_image(PLACES)), PLACES, atol=1e-6)
    kitti = tmp_path / "calib.txt"
    kitti.write_text("P0: 1\nP2: 721.5 0 609.6 44.9 0 721.5 172.9 0.2 0 0 1 0.003\nR_rect 1 0 0\n")
    level = Ground.of_camera(Camera((721.5, 721.5), (609.6, 172.9), 1.65))
    np.testing.assert_allclose(read_camera(kitti).homography, level.homography)


def test_real_calibration_of_kitti(data_dir: Path) -> None:
    file = data_dir / "formats/datumaro_assets/kitti_dataset/kitti_3d/calib/000001.txt"
    assert read_camera(file).camera.height == 1.65


@pytest.mark.parametrize(
    ("name", "content", "reader"),
    [
        ("h.txt", "1 2 3\n4 5 6\n", read_homography),
        ("h.txt", "one two\n", read_homography),
        ("h.txt", "", read_homography),
        ("h.json", "{", read_homography),
        ("h.json", '{"pixels": [[1, 2]], "metres": [[1]]}', read_homography),
        ("h.npy", "no array", read_homography),
        ("p.csv", "u,v,x,y\n1,2,3,4\n", read_homography),
        ("c.json", '{"focal": [1, 1]}', read_camera),
        ("c.json", '{"focal": 1, "center": [1, 1], "height": 1}', read_camera),
        ("c.json", '{"focal": [1, 1], "center": [1, 1], "height": "high"}', read_camera),
        ("c.json", '{"focal": [1, 1], "center": [1, 1], "height": 1, "tilt": 3}', read_camera),
        ("c.txt", "P1: 1 2 3\n", read_camera),
    ],
)
def test_wrong_calibrations_name_their_file(name: str, content: str, reader, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        reader(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
