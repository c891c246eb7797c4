"""`delineate map`, `map-change` and `map-score`, typed on real and on wrong input."""

import json
import warnings
from pathlib import Path

import geopandas
import numpy as np
import pytest
import tifffile
from PIL import Image

from delineate.cli import main
from delineate.data.vectors import ENDINGS


@pytest.fixture
def scene(data_dir: Path) -> Path:
    return data_dir / "spacenet_geotiff"


def run(*words: object) -> int:
    return main([str(word) for word in words])


@pytest.mark.parametrize("ending", ENDINGS)
def test_real_labels_become_a_map(
    ending: str, scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / f"b{ending}"
    words = ["map", scene / "sample_geotiff.tif", "--labels", scene / "geotiff_labels.geojson", "--out", out]
    assert run(*words, "--regularise", "--min-area", 20) == 0
    told = capsys.readouterr()
    assert "EPSG:32616" in told.out and "m² in all" in told.out
    seen = geopandas.read_parquet(out) if ending == ".parquet" else geopandas.read_file(out)
    assert len(seen) == 42 and seen.geometry.is_valid.all()  # one is of 18 m²
    assert (tmp_path / "new" / "b.columns.csv").read_text().startswith("column,unit,source\n")


def test_picture_and_page(scene: Path, tmp_path: Path) -> None:
    words = ["map", scene / "sample_geotiff.tif", "--labels", scene / "geotiff_labels.geojson"]
    views = ["--picture", tmp_path / "m.png", "--page", tmp_path / "m.html"]
    assert run(*words, "--out", tmp_path / "b.gpkg", *views, "--quiet") == 0
    picture = np.asarray(Image.open(tmp_path / "m.png"))
    assert picture.shape == (900 + 40 + 84, 900 + 64 + 16, 3)
    assert (picture[2:10] == 255).all()  # paper above the frame
    page = (tmp_path / "m.html").read_text()
    assert "sample_geotiff.tif" in page and "area_m2" in page


def test_red_numbers_on_the_page_are_the_picture_s(scene: Path, tmp_path: Path) -> None:
    words = ["map", scene / "sample_geotiff.tif", "--labels", scene / "geotiff_labels.geojson", "--quiet"]
    out = tmp_path / "b.gpkg"
    assert run(*words, "--regularise", "--out", out, "--page", tmp_path / "m.html") == 0
    page = (tmp_path / "m.html").read_text()
    marks = geopandas.read_file(out)["mark"]
    doubtful = marks.str.contains("poor") | marks.str.contains("tiny")
    data = json.loads(page.split('type="application/json" id="data">')[1].split("</script>")[0])
    assert 0 < doubtful.sum() < 20 and data["marked"] == doubtful.astype(int).tolist()
    heads = {head["name"]: head for head in data["columns"]}
    assert all(head["source"] for head in heads.values()) and heads["squared"]["kind"] == "text"


def test_labels_that_all_lie_elsewhere_are_refused(
    scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["map", scene / "sample_geotiff.tif", "--labels", scene / "gt.geojson"]
    assert run(*words, "--out", tmp_path / "b.gpkg") == 2
    assert "all lie elsewhere" in capsys.readouterr().err and not (tmp_path / "b.gpkg").exists()


def test_an_image_that_is_cut_off_is_refused_though_labels_need_its_place_alone(
    scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (scene / "sample_geotiff.tif").read_bytes()
    (tmp_path / "half.tif").write_bytes(whole[: len(whole) // 2])
    words = ["map", tmp_path / "half.tif", "--labels", scene / "geotiff_labels.geojson"]
    assert run(*words, "--out", tmp_path / "b.gpkg") == 2
    assert "half.tif" in capsys.readouterr().err and not (tmp_path / "b.gpkg").exists()


def test_negative_labels_name_their_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "l.tif"
    tifffile.imwrite(path, np.full((8, 8), -3, np.int16))
    assert run("map", path, "--labels", path, "--out", tmp_path / "b.gpkg") == 2
    assert "l.tif: expected labels of 0 or more, got -3" in capsys.readouterr().err


def test_two_bands_are_shown_by_the_first(tmp_path: Path) -> None:
    labels = np.kron([[0, 1], [2, 0]], np.ones((20, 20))).astype(np.uint8)
    bands = np.stack([labels * 90, labels])
    tifffile.imwrite(tmp_path / "two.tif", bands, photometric="minisblack", planarconfig="separate")
    Image.fromarray(labels).save(tmp_path / "l.png")
    words = ["map", tmp_path / "two.tif", "--labels", tmp_path / "l.png", "--out", tmp_path / "b.gpkg"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert run(*words, "--picture", tmp_path / "m.png", "--page", tmp_path / "m.html", "--quiet") == 0
    assert np.asarray(Image.open(tmp_path / "m.png")).std() > 20


def test_two_dates(scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = geopandas.read_file(scene / "geotiff_labels.geojson")[["geometry"]]
    later = frame.drop(index=[3, 10]).assign(geometry=lambda f: f.geometry.translate(2.5, -1.0))
    frame.to_file(tmp_path / "old.gpkg")
    later.to_crs(4326).to_file(tmp_path / "new.geojson")
    out = tmp_path / "c.gpkg"
    words = ["map-change", tmp_path / "old.gpkg", tmp_path / "new.geojson", "--out", out]
    assert run(*words, "--picture", tmp_path / "c.png") == 0
    told = capsys.readouterr().out
    assert "41 same, 0 changed, 2 gone, 0 new" in told and "taken out" in told
    seen = geopandas.read_file(out)
    gone = seen[seen["state"] == "gone"]
    assert gone["before"].tolist() == [4, 11] and gone["after"].isna().all()
    assert seen["area_change_m2"].abs().max() < 1e-3
    assert (tmp_path / "c.png").is_file()


def test_the_same_layer_twice_and_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nothing = geopandas.GeoDataFrame({"n": []}, geometry=[], crs=32616)
    nothing.to_file(tmp_path / "n.gpkg", geometry_type="Polygon")
    out = ["--out", tmp_path / "c.geojson", "--picture", tmp_path / "c.png"]
    assert run("map-change", tmp_path / "n.gpkg", tmp_path / "n.gpkg", *out) == 0
    assert "0 same, 0 changed, 0 gone, 0 new" in capsys.readouterr().out


def test_spacenets_score(scene: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("map-score", scene / "pred.geojson", scene / "gt.geojson") == 0
    assert "8 hits, 20 false, 20 missed" in capsys.readouterr().out
    assert run("map-score", scene / "SN2_sample_preds.csv", scene / "SN2_sample_truth.csv", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["tp"], found["fp"], found["fn"]) == (87, 57, 82)
    assert found["by_name"]["AOI_2_Vegas_img3457"] == {"tp": 28, "fp": 2, "fn": 6}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["map", "x.tif"], "--model or --labels"),
        (["map", "x.tif", "--labels", "y.tif", "--out", "z.doc"], "ending in .gpkg"),
        (["map", "x.tif", "--labels", "y.tif", "--picture", "z.jpg"], "ending in .png"),
        (["map", "x.tif", "--labels", "y.tif", "--stretch", "2"], "two percentiles"),
        (["map", "x.tif", "--labels", "y.tif", "--channels", "a"], "numbers from 0"),
        (["map", "missing.tif", "--labels", "y.tif"], "missing.tif"),
        (["map-change", "a.gpkg", "b.gpkg"], "none there"),
        (["map-change", "a.txt", "b.gpkg"], "ending in .gpkg"),
        (["map-change", "a.gpkg", "b.gpkg", "--shift", "1"], "east and north"),
        (["map-score", "a.csv", "b.gpkg"], "two map layers or two"),
    ],
)
def test_wrong_use_is_one_line(
    words: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*words) == 2
    error = capsys.readouterr().err
    assert said in error and len(error.strip().splitlines()) == 1


def test_damaged_images(bad_inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever the file, one line or a map."""
    out = ["--out", tmp_path / "m.gpkg"]
    for path in sorted((bad_inputs / "images").iterdir(), key=lambda p: p.stat().st_size)[:12]:
        code = run("map", path, "--labels", path, *out)
        error = capsys.readouterr().err
        assert code in (0, 2) and "Traceback" not in error
        assert code == 0 or error.strip(), path
