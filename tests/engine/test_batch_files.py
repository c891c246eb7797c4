"""The files of an image, read back by programs that did not write them, and by our own readers."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import roifile
import tifffile
import zarr

import delineate as dl
from delineate.cli import main
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.data.formats import qupath
from delineate.data.images import write_png
from delineate.data.rasters import open_raster

LABELS = np.zeros((40, 60), np.int32)
LABELS[3:12, 4:20] = 1
LABELS[5:9, 8:14] = 0  # a hole
LABELS[20:35, 30:50] = 2
LABELS[38:40, 58:60] = 3
LABELS[1, 50] = 3  # two parts
KINDS = "numbers,page,coco,labels,zarr,csv,parquet,geojson,qupath,rois"


def found(pixels: np.ndarray) -> Instances:
    scores = np.array([0.9, 0.8, 0.7])
    classes = Labels(("round", "long"))
    masks = Masks.from_label_image(LABELS)
    return Instances(LABELS.shape, labels=np.array([0, 1, 0]), scores=scores, masks=masks, classes=classes)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    (folder / "in").mkdir()
    write_png(folder / "in" / "a.png", (np.arange(2400).reshape(40, 60) % 251).astype(np.uint8))
    report = dl.predict_many(folder / "in", folder / "out", found, save=KINDS, pixel_size=0.5)
    assert (report.images, report.objects, report.failed) == (1, 3, ())
    return folder / "out"


def test_imagej_regions(out: Path) -> None:
    regions = roifile.roiread(out / "a_RoiSet.zip")
    assert [r.name for r in regions] == ["00001", "00002", "00003"]
    second = regions[1]
    assert (second.left, second.top, second.right, second.bottom) == (30, 20, 50, 35)
    assert second.group == 2 and second.properties["class"] == "long"


def test_qupath_objects(out: Path) -> None:
    document = json.loads((out / "a.qupath.geojson").read_text())
    rows = pd.read_csv(out / "measurements.csv")
    for feature, row in zip(document["features"], rows.to_dict("records"), strict=True):
        own = feature["properties"]
        assert own["objectType"] == "detection" and own["name"] == str(row["label"])
        assert own["classification"]["name"] == row["class"]
        assert own["measurements"]["Area px^2"] == row["area"]
        assert own["measurements"]["Area µm^2"] == row["area_um2"]
        np.testing.assert_allclose(own["measurements"]["Intensity mean"], row["intensity_mean"], atol=1e-6)
    data = qupath.read(out / "a.qupath.geojson", images=False)
    again = data.truth(0).masks
    assert again is not None and data.records[0].name == "a.png"
    np.testing.assert_array_equal(again.area, rows["area"])


@pytest.mark.parametrize("kind", ["labels", "zarr"])
def test_label_images(out: Path, kind: str) -> None:
    if kind == "labels":
        stored = tifffile.imread(out / "a.labels.tif")
    else:
        group = zarr.open_group(str(out / "a.objects.ome.zarr"), mode="r")
        stored = group["labels/objects/0"][:]
        ome = dict(group["labels"].attrs)["ome"]
        assert ome["labels"] == ["objects"]
        with open_raster(out / "a.objects.ome.zarr") as raster:
            assert raster.size == (40, 60) and raster.pixel_size == 0.5
    assert stored.dtype == np.uint16
    np.testing.assert_array_equal(stored, LABELS)


def test_every_row_names_where_its_number_stands(out: Path) -> None:
    rows = pd.read_csv(out / "measurements.csv")
    assert set(rows["label_image"]) == {"a.labels.tif"} and set(rows["overlay"]) == {"a.numbers.png"}
    assert set(rows["link"]) == {"a.html"}
    for name in ("a.labels.tif", "a.numbers.png", "a.html"):
        assert (out / name).is_file()
    stored = tifffile.imread(out / "a.labels.tif")
    for row in rows.to_dict("records"):
        assert (stored == row["label"]).sum() == row["area"]


def test_labels_are_measured_again_to_the_same_table(out: Path, tmp_path: Path) -> None:
    images = str(out.parent / "in")
    arguments = ["measure", str(out / "a.labels.tif"), "--images", images, "--pixel-size", "0.5", "--quiet"]
    assert main([*arguments, "--no-pictures", "--out", str(tmp_path / "m")]) == 0
    ours, again = pd.read_csv(out / "measurements.csv"), pd.read_csv(tmp_path / "m" / "objects.csv")
    shared = [
        c for c in ours if c in again and c not in ("image", "class", "score", "label_image", "overlay")
    ]
    assert len(shared) > 40
    pd.testing.assert_frame_equal(ours[shared], again[shared], check_dtype=False)


def test_more_objects_than_sixteen_bits_hold(tmp_path: Path) -> None:
    labels = np.arange(1, 70_001).reshape(280, 250)
    (tmp_path / "in").mkdir()
    write_png(tmp_path / "in" / "b.png", np.zeros((280, 250), np.uint8))
    classes = Labels(("dot",))
    dots = Instances(labels.shape, masks=Masks.from_label_image(labels), classes=classes)
    dl.predict_many(tmp_path / "in", tmp_path / "out", lambda _: dots, save="labels")
    stored = tifffile.imread(tmp_path / "out" / "b.labels.tif")
    assert stored.dtype == np.uint32 and (stored == labels).all()


def test_an_empty_image_is_an_answer(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_png(tmp_path / "in" / "b_C03.png", np.zeros((20, 30), np.uint8))
    nothing = Instances.empty((20, 30), Labels(("dot",)))
    report = dl.predict_many(tmp_path / "in", tmp_path / "out", lambda _: nothing, save=KINDS, plate=True)
    assert (report.images, report.objects) == (1, 0)
    assert pd.read_csv(tmp_path / "out" / "images.csv")["count"].tolist() == [0]
    assert pd.read_csv(tmp_path / "out" / "wells.csv")["count_per_image"].tolist() == [0.0]
    assert len(pd.read_csv(tmp_path / "out" / "measurements.csv")) == 0
    assert tifffile.imread(tmp_path / "out" / "b_C03.labels.tif").max() == 0


def test_the_command_brings_stains_and_stacks_to_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[np.ndarray] = []

    class Looks:
        name = "looks"

        def predict(self, pixels: np.ndarray, **_: Any) -> Instances:
            seen.append(pixels)
            return Instances.empty(pixels.shape[:2], Labels(("dot",)))

    monkeypatch.setattr("delineate.engine.load.load", lambda *_, **__: Looks())
    stack = np.random.default_rng(0).integers(0, 200, (3, 24, 32)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "s.tif", stack, photometric="minisblack")
    out = ["--out", str(tmp_path / "out"), "--save", "csv"]
    assert main(["predict", str(tmp_path / "s.tif"), "--z", "max", *out]) == 0
    np.testing.assert_array_equal(seen[-1], stack.max(axis=0))
    rng = np.random.default_rng(1)
    amount = rng.uniform(0, 1, (60, 60, 2)) ** 2
    slide = 239 * np.exp(-amount @ np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]]))
    write_png(tmp_path / "slide.png", slide.astype(np.uint8))
    assert main(["predict", str(tmp_path / "slide.png"), "--stain", "macenko", *out]) == 0
    assert "colours by macenko" in capsys.readouterr().out
    assert np.abs(seen[-1].astype(int) - slide).mean() > 5
    for wrong, message in (
        (["--stain", "ruifrok"], "--stain: expected one of"),
        (["--stain-reference", str(tmp_path / "s.tif")], "expected --stain"),
        (["--stain", "macenko", "--stain-reference", str(tmp_path / "s.tif"), "--page", "0"], "got none"),
        (["--z", "median"], "z: expected max, mean, focus"),
        (["--save", "labels,qpath"], "--save: expected some of"),
        (["--plate", "--save", "none"], "--plate: expected objects"),
    ):
        assert main(["predict", str(tmp_path / "slide.png"), *out, *wrong]) == 2
        told = capsys.readouterr().err
        assert message in told and told.count("\n") == 1


def test_predict_many_refuses_what_makes_no_sense(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    write_png(tmp_path / "a.png", LABELS.astype(np.uint8))
    with pytest.raises(InputError, match="no settings with a function"):
        dl.predict_many(tmp_path, tmp_path / "out", found, confidence=0.2)
    (tmp_path / "v.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
    report = dl.predict_many([tmp_path / "v.mp4", tmp_path / "a.png"], tmp_path / "out", found, save="labels")
    assert report.images == 1 and "video" in report.failed[0]["reason"]
