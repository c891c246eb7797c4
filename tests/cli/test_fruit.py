"""`delineate fruit` from the command line: markers, video, overlaps, plots, and what cannot be done."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from delineate.cli import main
from delineate.data.images import read, write_png
from delineate.data.synthetic.produce import Produce, ProduceSettings, produce_scene
from delineate.engine.crops_tags import photo_tags

Write = Callable[..., Path]


@pytest.fixture(scope="module")
def scene() -> Produce:
    return produce_scene(ProduceSettings(size=(450, 600), focal=650, fruit=9, markers=2), 1)


@pytest.fixture
def photos(scene: Produce, tmp_path: Path) -> tuple[Path, Path]:
    """A folder of one photograph, and one of its label image."""
    images, labels = tmp_path / "images", tmp_path / "labels"
    images.mkdir()
    labels.mkdir()
    Image.fromarray(scene.image).save(images / "table.png")
    write_png(labels / "table.png", scene.instances.to_label_image().astype(np.uint16))
    return images, labels


def run(*arguments: object) -> int:
    return main([str(a) for a in ("fruit", *arguments)])


def test_sizes_with_a_marker(scene: Produce, photos: tuple[Path, Path], tmp_path: Path) -> None:
    images, labels = photos
    out = tmp_path / "out"
    scale = ("--scale", "aruco:4X4_50:30", "--shape", "flat")
    assert run(images, "--labels", labels, *scale, "--grades", "tomato", "--out", out) == 0
    table = pd.read_csv(out / "objects.csv")
    assert len(table) == len(scene.instances)
    assert np.abs(table["diameter_mm"] / scene.diameters - 1).max() < 0.02
    assert (np.abs(table["diameter_mm"] - scene.diameters) < 2 * table["diameter_error_mm"]).all()
    assert np.abs(table["ripe_share"] - scene.ripe).max() < 0.1
    assert read(out / "overlays" / "table.png").size[0] >= 450
    assert list(table["link"]) == [f"pages/table.html#{n}" for n in table["number"]]
    page = (out / "pages" / "table.html").read_text("utf-8")
    assert page.count("<path ") == len(table) and "ArUco 4X4_50" in page and '"unit":"mm"' in page
    assert 'href="pages/table.html"' in (out / "index.html").read_text("utf-8")
    assert "thumbnail" not in pd.read_csv(out / "images.csv")
    told = pd.read_csv(out / "columns.csv", keep_default_na=False)
    assert (told["source"] != "").all()
    units = dict(zip(told["column"], told["unit"], strict=True))
    assert (units["diameter_mm"], units["area_mm2"], units["volume_cm3"], units["hue"]) == (
        "mm", "mm^2", "cm^3", "deg",
    )  # fmt: skip
    line = pd.read_csv(out / "images.csv").iloc[0]
    assert line["count"] == len(table) and line["scale_source"].startswith("ArUco 4X4_50")
    assert sum(line[c] for c in line.index if c.startswith("grade_")) == len(table)


def test_round_fruit_are_measured_by_the_focal_length(tmp_path: Path, photos: tuple[Path, Path]) -> None:
    picture = produce_scene(
        ProduceSettings(size=(450, 600), focal=650, fruit=5, markers=2, balls=True, diameters=(28, 34)), 1
    )
    images, labels = photos
    Image.fromarray(picture.image).save(images / "table.png")
    write_png(labels / "table.png", picture.instances.to_label_image().astype(np.uint16))
    rest = (
        images,
        "--labels",
        labels,
        "--scale",
        "aruco:4X4_50:30",
        "--no-pictures",
        "--no-page",
        "--out",
        tmp_path / "o",
    )
    tables = []
    for more in (("--focal", 650), (), ("--shape", "flat")):
        assert run(*rest, *more) == 0
        tables.append(pd.read_csv(tmp_path / "o" / "objects.csv"))
    given, assumed, flat = (np.array(table["diameter_mm"] / picture.diameters - 1) for table in tables)
    assert np.abs(given).max() < 0.01 and np.abs(assumed).max() < 0.03 < flat.min()
    assert (np.abs(assumed) < 2 * tables[1]["diameter_error_mm"] / picture.diameters).all()
    assert (tables[1]["diameter_error_mm"] > tables[0]["diameter_error_mm"]).all()
    assert run(*rest) == 0
    line = pd.read_csv(tmp_path / "o" / "images.csv").iloc[0]
    assert line["focal_px"] == 600 and line["focal_source"].startswith("assumed")
    assert "give --focal" in line["warning"]


def test_parquet_tells_units_and_settings(photos: tuple[Path, Path], tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    images, labels = photos
    out = tmp_path / "fruit.parquet"
    assert (
        run(images, "--labels", labels, "--scale", "0.5", "--diameter", "feret", "--out", out, "--quiet") == 0
    )
    schema = parquet.read_table(out).schema
    assert schema.field("diameter_mm").metadata[b"unit"] == b"mm"
    assert json.loads(schema.metadata[b"delineate"])["settings"]["diameter"] == "feret"


def test_no_marker_is_a_warning_and_the_fruit_counts(
    photos: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, labels = photos
    out = tmp_path / "out"
    assert (
        run(
            images,
            "--labels",
            labels,
            "--scale",
            "aruco:5X5_50:30",
            "--out",
            out,
            "--no-pictures",
            "--no-page",
        )
        == 0
    )
    assert "no size in mm: --scale aruco: expected a marker" in capsys.readouterr().err
    table = pd.read_csv(out / "objects.csv")
    assert (
        len(table)
        and "diameter_mm" not in table
        and not (out / "overlays").exists()
        and not (out / "pages").exists()
    )


def test_one_bad_photograph_stops_nothing(photos: tuple[Path, Path], tmp_path: Path) -> None:
    images, labels = photos
    (images / "torn.png").write_bytes((images / "table.png").read_bytes()[:400])
    write_png(labels / "torn.png", np.ones((450, 600), np.uint16))
    out = tmp_path / "out"
    assert run(images, "--labels", labels, "--out", out) == 1
    states = pd.read_csv(out / "images.csv").set_index("image")["status"].to_dict()
    assert states == {"table.png": "done", "torn.png": "failed"}
    assert run(images, "--labels", labels, "--out", out, "--resume", "--quiet") == 1


def test_a_picture_without_fruit(tmp_path: Path) -> None:
    images, labels = tmp_path / "i", tmp_path / "l"
    images.mkdir()
    labels.mkdir()
    Image.new("RGB", (40, 30), (90, 90, 90)).save(images / "a.png")
    write_png(labels / "a.png", np.zeros((30, 40), np.uint16))
    out = tmp_path / "out"
    assert run(images, "--labels", labels, "--scale", "0.5", "--grades", "strawberry", "--out", out) == 0
    table = pd.read_csv(out / "objects.csv")
    assert not len(table) and {"diameter_mm", "grade", "ripe_share"} <= set(table)


def test_overlapping_photographs_and_plots(scene: Produce, tmp_path: Path) -> None:
    images, labels = tmp_path / "i", tmp_path / "l"
    images.mkdir()
    labels.mkdir()
    whole = scene.instances.to_label_image().astype(np.uint16)
    for name, x, north in (("a", 0, 10.0), ("b", 150, 20.0)):
        exif = Image.Exif()
        exif.get_ifd(0x8825).update({1: "N", 2: (45.0, 0.0, north), 3: "E", 4: (7.0, 30.0, 0.0)})
        Image.fromarray(scene.image[:, x : x + 450]).save(images / f"{name}.jpg", quality=95, exif=exif)
        write_png(labels / f"{name}.png", whole[:, x : x + 450])
    assert photo_tags(images / "a.jpg").latitude == pytest.approx(45 + 10 / 3600)
    square = [[7.49, 45.0], [7.51, 45.0], [7.51, 45.0042], [7.49, 45.0042], [7.49, 45.0]]
    field = {"type": "Polygon", "coordinates": [square]}
    feature = {"type": "Feature", "properties": {"plot": "P1"}, "geometry": field}
    plots = tmp_path / "plots.geojson"
    plots.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    out = tmp_path / "out"
    arguments = (
        images,
        "--labels",
        labels,
        "--overlapping",
        "--plots",
        plots,
        "--scale",
        "0.5",
        "--density",
        "1",
    )
    assert run(*arguments, "--out", out) == 0
    table = pd.read_csv(out / "objects.csv")
    assert table["counted"].sum() == table["fruit"].nunique() == len(scene.instances) < len(table)
    once = table[table["counted"]]
    assert set(once[once["seen_in"] == 2]["fruit"]) == {
        f for f, n in table["fruit"].value_counts().items() if n == 2
    }
    by_plot = pd.read_csv(out / "plots.csv", keep_default_na=False).set_index("plot")
    assert set(by_plot.index) == {"P1", ""} and by_plot["count"].sum() == len(scene.instances)
    assert float(by_plot.loc["P1", "plot_area_m2"]) == pytest.approx(1572 * 467, rel=0.01)
    assert float(by_plot["mass_kg"].astype(float).sum()) == pytest.approx(once["volume_cm3"].sum() / 1000)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--scale", "aruco:30"), "--scale: expected aruco:DICTIONARY:MM"),
        (("--scale", "aruco:9X9:30"), "expected a dictionary among"),
        (("--scale", "coin:-3"), "--scale: expected"),
        (("--scale", "coin:25@4"), "--scale: expected"),
        (("--scale", "ruler:1@1,2,3"), "--scale: expected"),
        (("--scale", "camera:nan"), "--scale: expected"),
        (("--scale", "a mile"), "--scale: expected"),
        (("--scale-error", "200"), "--scale-error: expected 0 to 100 %"),
        (("--edge-error", "-1"), "--edge-error: expected 0 to 100 pixels"),
        (("--diameter", "girth"), "diameter: expected one of"),
        (("--grades", "pear"), "--grades: expected tomato, strawberry or a file"),
        (("--plots", "-3"), "metres above 0"),
        (("--plots", "nowhere.geojson"), "expected GeoJSON of plots, got No such file"),
        (("--density", "0"), "g/cm3 above 0"),
        (("--out", "x.pdf"), "expected a folder, or a file ending in"),
        (("--model", "nuclei"), "expected --model or --labels, got both"),
        (("--frames",), "expected one video and --model"),
    ],
)
def test_wrong_usage_is_one_line(
    arguments: tuple[str, ...], message: str, photos: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    images, labels = photos
    assert run(images, "--labels", labels, *arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith("error: ") and error.count("\n") == 1


def test_grades_of_ones_own(
    photos: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, labels = photos
    grades = tmp_path / "pepper.toml"
    grade = '[[grade]]\nname = "{}"\nleast = {}\n'
    steps = grade.format("raw", 0.0) + grade.format("ready", 0.5)
    grades.write_text("hue = [330, 60]\nchroma = 20\n" + steps)
    out = tmp_path / "out"
    assert run(images, "--labels", labels, "--grades", grades, "--out", out) == 0
    table = pd.read_csv(out / "objects.csv")
    assert (table["grade"] == np.where(table["ripe_share"] >= 0.5, "ready", "raw")).all()
    for text, message in (
        ("hue = [1]", "got others"), ("colour = 3", "unknown 'colour'"), ("hue = ", "expected TOML"),
        ('hue=[1,2]\n[[grade]]\nname="a"\nleast=0.5', "rising from 0"),
    ):  # fmt: skip
        grades.write_text(text)
        assert run(images, "--labels", labels, "--grades", grades) == 2
        assert message in capsys.readouterr().err


def test_tags_of_files_without_any(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_bytes(b"\xff\xd8\xff\xe1 torn")
    for path in (None, tmp_path / "none.jpg", tmp_path / "a.jpg", tmp_path / "b.jpg"):
        tags = photo_tags(path)
        assert (tags.latitude, tags.focal_px) == (None, None)
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 26
    exif.get_ifd(0x8825).update({1: "N", 2: (0.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)})
    Image.new("RGB", (360, 240)).save(tmp_path / "c.jpg", exif=exif)
    tags = photo_tags(tmp_path / "c.jpg")
    assert tags.latitude is None and tags.focal_px == pytest.approx(260)
