"""The command as typed: every source, every kind of table, a kill and going on, bad files, exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import h5py
import numpy as np
import openpyxl
import pandas as pd
import pyarrow.parquet as pq
import pytest
import tifffile
from PIL import Image

from delineate.cli import main
from delineate.engine.measure_journal import MeasureJournal


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    """Five label images with their images, one of them damaged, one with a name like a formula."""
    for folder in ("labels", "images"):
        (tmp_path / folder).mkdir()
    random = np.random.default_rng(0)
    for k, stem in enumerate(("=A01", "p_A02", "p_B01", "p_B02")):
        labels = np.zeros((60, 80), np.uint16)
        for n in range(k + 1):
            labels[5 + 12 * n : 14 + 12 * n, 8 : 20 + 4 * n] = 10 * (n + 1)
        Image.fromarray(labels).save(tmp_path / "labels" / f"{stem}.png")
        image = random.integers(0, 200, labels.shape).astype(np.uint8)
        tifffile.imwrite(
            tmp_path / "images" / f"{stem}.tif", image, resolution=(20000, 20000), resolutionunit=3
        )
    (tmp_path / "labels" / "z.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    return tmp_path


def run(*arguments: object) -> int:
    return main(["measure", *map(str, arguments)])


def test_a_folder_of_labels(cells: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = cells / "out"
    chosen = ("--neighbours", "--radius", 30, "--plate", "--plots", "--by", "well")
    assert run(cells / "labels", "--out", out, *chosen) == 1
    told = capsys.readouterr()
    assert "z.png" in told.err and "5 images, 10 objects, 1 failed" in told.out
    objects, images = pd.read_csv(out / "objects.csv"), pd.read_csv(out / "images.csv")
    assert objects["label"].tolist() == [10, 10, 20, 10, 20, 30, 10, 20, 30, 40]
    assert images["status"].tolist() == ["done"] * 4 + ["failed"] and images["count"].tolist()[:4] == [
        1,
        2,
        3,
        4,
    ]
    assert "damaged" in images["reason"].iloc[4]
    assert pd.read_csv(out / "wells.csv")["well"].tolist() == ["A01", "A02", "B01", "B02"]
    assert pd.read_csv(out / "groups.csv")["count"].tolist() == [1, 2, 3, 4]
    for name in ("plate.svg", "histogram_area.svg"):
        ElementTree.parse(out / name)
    about = pd.read_csv(out / "columns.csv").set_index("column")
    assert about.loc["area", "unit"] == "px^2" and "scikit-image" in about.loc["area", "source"]
    with Image.open(out / objects["overlay"].iloc[0]) as overlay:
        assert overlay.size[0] >= 80 and overlay.size[0] % 80 == 0


def test_no_text_is_a_formula(cells: Path) -> None:
    run(cells / "labels" / "=A01.png", "--out", cells / "t.csv")
    assert (cells / "t.csv").read_text().splitlines()[1].startswith("'=A01.png,")
    run(cells / "labels" / "=A01.png", "--out", cells / "t.xlsx")
    cell = openpyxl.load_workbook(cells / "t.xlsx")["objects"]["A2"]
    assert cell.value == "'=A01.png" and cell.data_type == "s"


def test_images_bring_brightness_and_the_pixels_size(cells: Path) -> None:
    (cells / "labels" / "z.png").unlink()
    assert run(cells / "labels", "--images", cells / "images", "--out", cells / "t.parquet", "--texture") == 0
    frame = pq.read_table(cells / "t.parquet").to_pandas()
    assert frame["area_um2"].to_numpy() == pytest.approx(frame["area"] / 4)
    assert frame["intensity_mean"].between(50, 150).all() and frame["haralick_contrast"].notna().all()
    schema = pq.read_schema(cells / "t.parquet")
    assert schema.field("area_um2").metadata[b"unit"].decode() == "µm^2"
    record = json.loads(schema.metadata[b"delineate"])
    assert record["settings"]["texture"]["levels"] == 32 and "perimeter" in record["sources"]
    images = pd.read_parquet(cells / "t.images.parquet")
    assert images["pixel_size"].tolist() == pytest.approx([0.5] * 4)
    assert images["pixel_size_source"].str.startswith("TIFF tags of").all()


def test_anndata_has_its_layout(cells: Path) -> None:
    (cells / "labels" / "z.png").unlink()
    assert run(cells / "labels", "--out", cells / "t.h5ad", "--neighbours", "--pixel-size", 2) == 0
    with h5py.File(cells / "t.h5ad") as file:
        assert file.attrs["encoding-type"] == "anndata"
        assert file["X"].shape == (10, len(file["var/_index"]))
        names = [n.decode() for n in file["var/_index"]]
        units = [u.decode() for u in file["var/unit"]]
        assert units[names.index("area_um2")] == "µm^2"
        assert file["obsm/spatial"][0].tolist() == [2 * 13.5, 2 * 9.0]
        assert file["uns/spatialdata_attrs/instance_key"][()].decode() == "label"
        assert list(file["obsp/spatial_connectivities"].attrs["shape"]) == [10, 10]
    anndata = pytest.importorskip("anndata", reason="anndata is not installed; its layout alone was checked")
    assert anndata.read_h5ad(cells / "t.h5ad").n_obs == 10


def test_a_stack(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stack = np.zeros((6, 20, 22), np.uint16)
    stack[1:5, 3:9, 4:10], stack[2:4, 12:18, 12:20] = 3, 8
    tifffile.imwrite(tmp_path / "s.tif", stack)
    assert run(tmp_path / "s.tif", "--pixel-size", 0.5, "--z-step", 2, "--out", tmp_path / "o") == 0
    frame = pd.read_csv(tmp_path / "o" / "objects.csv")
    assert frame["volume_um3"].tolist() == [72.0, 48.0]
    assert "median volume 60 µm³" in capsys.readouterr().out
    assert run(tmp_path / "s.tif", "--pages", "--out", tmp_path / "p.csv") == 0
    assert pd.read_csv(tmp_path / "p.images.csv")["count"].tolist() == [0, 1, 2, 2, 1, 0]
    labels = tmp_path / "s.ome.tif"
    size = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 2}
    tifffile.imwrite(labels, stack, metadata={"axes": "ZYX", **size})
    assert run(labels, "--out", tmp_path / "q.csv") == 0
    assert pd.read_csv(tmp_path / "q.csv")["volume_um3"].tolist() == [72.0, 48.0]
    assert pd.read_csv(tmp_path / "q.images.csv")["pixel_size_source"][0] == "OME-XML of s.ome.tif"


def test_a_dataset_and_results_for_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    square = [[2, 2, 10, 2, 10, 12, 2, 12]]
    truth = {
        "images": [{"id": 4, "file_name": "a.png", "width": 20, "height": 16}],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {"id": 9, "image_id": 4, "category_id": 2, "segmentation": square,
             "bbox": [2, 2, 8, 10], "area": 80, "iscrowd": 0}
        ],
    }  # fmt: skip
    (tmp_path / "t.json").write_text(json.dumps(truth))
    found = [{"image_id": 4, "category_id": 1, "segmentation": square, "score": 0.5}]
    (tmp_path / "r.json").write_text(json.dumps(found))
    out = tmp_path / "o"
    assert run(tmp_path / "t.json", "--out", out, "--by", "class") == 0
    frame = pd.read_csv(out / "objects.csv")
    assert frame[["label", "id", "class", "area"]].values.tolist() == [[1, 9, "dog", 80]]
    assert tifffile.imread(out / frame["label_image"][0]).sum() == 80
    assert run(tmp_path / "r.json", "--data", tmp_path / "t.json", "--out", tmp_path / "r.csv") == 0
    assert pd.read_csv(tmp_path / "r.csv")[["class", "score"]].values.tolist() == [["cat", 0.5]]
    capsys.readouterr()
    assert run(tmp_path / "r.json", "--out", tmp_path / "x.csv") == 2
    assert "--data DATASET" in capsys.readouterr().err


def test_what_is_done_is_not_done_again(cells: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = cells / "out"
    assert run(cells / "labels", "--out", out, "--no-pictures") == 1
    first = (out / "objects.csv").read_bytes()
    assert run(cells / "labels", "--out", out, "--no-pictures") == 2
    assert "go on with it by --resume" in capsys.readouterr().err
    assert run(cells / "labels", "--out", out, "--no-pictures", "--resume", "--neighbours") == 2
    assert "one with others" in capsys.readouterr().err
    Image.fromarray(np.eye(9, dtype=np.uint8)).save(cells / "labels" / "z.png")
    assert run(cells / "labels", "--out", out, "--no-pictures", "--resume") == 0
    assert (out / "objects.csv").read_bytes().startswith(first)
    assert not (out / ".measure.journal").exists()


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    (tmp_path / "l").mkdir()
    for k in range(40):
        labels = np.kron(np.arange(1, 26).reshape(5, 5), np.ones((9 + k % 3, 11))).astype(np.uint8)
        Image.fromarray(labels).save(tmp_path / "l" / f"{k:03d}.png")
    command = [sys.executable, "-m", "delineate", "measure", str(tmp_path / "l"), "--out"]
    journal = tmp_path / "killed" / ".measure.journal"
    with subprocess.Popen([*command, str(tmp_path / "killed")], stdout=subprocess.DEVNULL) as process:
        while not (journal.is_file() and journal.read_bytes().count(b"\n") > 5):
            assert process.poll() is None
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    with journal.open("ab") as file:
        file.write(b'{"name": "half')  # as a line may be cut
    done = journal.read_bytes().count(b"\n") - 1
    assert 5 <= done < 40
    assert run(tmp_path / "l", "--out", tmp_path / "killed", "--resume") == 0
    assert run(tmp_path / "l", "--out", tmp_path / "whole") == 0
    for name in ("objects.csv", "images.csv"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_changed_file_is_measured_anew(tmp_path: Path) -> None:
    with MeasureJournal(tmp_path / "j", {"a": 1}) as journal:
        journal.add("x", "10-20", {"count": 3})
        assert journal.get("x", "10-20") is None  # of this run: it is not asked for twice
    with MeasureJournal(tmp_path / "j", {"a": 1}, resume=True) as journal:
        assert journal.get("x", "10-20") == {"count": 3}
        assert journal.get("x", "10-21") is None and journal.get("y", "") is None


def test_a_model_finds_the_objects(data_dir: Path, tmp_path: Path) -> None:
    file = sorted((data_dir / "dsb2018" / "images").glob("*.png"))[0]
    assert run(file, "--model", "nuclei", "--out", tmp_path / "o") == 0
    frame = pd.read_csv(tmp_path / "o" / "objects.csv")
    labels = tifffile.imread(tmp_path / "o" / frame["label_image"][0])
    assert sorted(np.unique(labels))[1:] == frame["label"].tolist()
    assert (np.bincount(labels.ravel())[1:] <= frame["area"]).all() and frame["score"].between(0.5, 1).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.png"], "expected a file, folder or pattern"),
        (["{}", "--out", "t.docx"], "expected a folder, or a file ending in .csv"),
        (["{}", "--pixel-size", "0"], "pixel_size: expected a positive number"),
        (["{}", "--levels", "1"], "levels: expected 2 to 256"),
        (["{}", "--images", "nowhere"], "expected a folder with images"),
        (["{}", "--model", "nuclei", "--data", "x"], "expected --model or --data, got both"),
        (["{}", "--channels", "red"], "--channels: expected numbers from 0"),
        (["{}", "--by", "colour", "--out", "o"], "--by: expected a column among"),
        (["{}", "--texture", "--out", "o"], "--texture: expected images, got labels alone"),
    ],
)
def test_wrong_usage_is_one_line_and_2(
    cells: Path,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(cells)
    assert main(["measure", *(a.format("labels/p_A02.png") for a in arguments)]) == 2
    told = capsys.readouterr().err
    assert message in told and len(told.strip().splitlines()) == 1


def test_json_on_standard_output(cells: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cells / "labels", "--out", cells / "t.csv", "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert found["objects"] == 10 and len(found["images"]) == 5
    assert found["images"][0]["sphericity_q50"] == pytest.approx(0.88, abs=0.1)
