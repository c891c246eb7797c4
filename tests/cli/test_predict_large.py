"""`delineate predict` on large images: by windows, against kills, and with damaged files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

from delineate.cli import main

KINDS = "csv,geojson,qupath,parquet"


@pytest.fixture(scope="module")
def nuclei(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mosaic of real nuclei, larger than one window, as a tiled TIFF."""
    import delineate as dl

    files = sorted((data_dir / "dsb2018" / "images").glob("*.png"))
    tiles = [p for p in (dl.read(f).pixels for f in files[:60]) if p.shape == (256, 256)][:4]
    mosaic = np.concatenate([np.concatenate(tiles[k : k + 2], axis=1) for k in (0, 2)])
    path = tmp_path_factory.mktemp("large") / "nuclei.tif"
    tifffile.imwrite(path, mosaic, tile=(128, 128), compression="zlib", metadata=None)
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


def test_a_run_that_is_killed_goes_on_to_the_same_bytes(
    nuclei: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--tile", "256", "--workers", "1", "--save", KINDS]
    once, twice = tmp_path / "once", tmp_path / "twice"
    code, out, _ = run(capsys, "predict", str(nuclei), "--out", str(once), *options)
    assert code == 0 and "windows" in out
    command = [sys.executable, "-m", "delineate.cli", "predict", str(nuclei), "--out", str(twice), *options]
    journal = twice / ".nuclei.tiles.journal"
    process = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})
    while process.poll() is None and not (journal.is_file() and journal.stat().st_size > 1500):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert journal.is_file(), "the run was over before it was killed"
    assert not [p for p in twice.iterdir() if not p.name.startswith(".")]

    code, _, err = run(capsys, "predict", str(nuclei), "--out", str(twice), *options)
    assert code == 2 and "--resume" in err
    code, out, _ = run(capsys, "predict", str(nuclei), "--out", str(twice), *options, "--resume", "--json")
    document = json.loads(out)
    assert code == 0 and document["images"][0]["windows"]["resumed"] >= 1
    names = sorted(p.name for p in once.iterdir())
    assert names == sorted(p.name for p in twice.iterdir() if not p.name.endswith(".part"))
    for name in names:
        if name.endswith(".done.json"):  # which has the times
            continue
        assert (once / name).read_bytes() == (twice / name).read_bytes(), name


def test_a_region_as_json(nuclei: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(
        capsys, "predict", str(nuclei), "--out", str(tmp_path), "--region", "100,150,300,200", "--json"
    )
    image = json.loads(out)["images"][0]
    assert code == 0 and (image["height"], image["width"]) == (200, 300)
    assert image["count"] == sum(image["classes"].values()) > 0
    assert set(image["files"]) == {"overlay", "labels", "csv", "geojson"}


def test_one_bad_file_is_told_and_the_rest_is_done(
    nuclei: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.tif"
    bad.write_bytes(nuclei.read_bytes()[:1000])
    code, out, err = run(
        capsys, "predict", str(bad), str(nuclei), "--out", str(tmp_path / "o"), "--region", "0,0,99,99"
    )
    assert code == 1 and "1 image" in out and "1 failed" in out
    assert err.count("\n") == 1 and "bad.tif" in err


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--region", "1,2,3"), "--region: expected x,y,width,height"),
        (("--region", "5000,0,10,10"), "region: expected x, y inside 512 x 512"),
        (("--overlap", "0"), "overlap: expected 1 or more"),
        (("--workers", "0"), "workers: expected 1 or more"),
        (("--tissue",), "use --no-tissue"),
    ],
)
def test_wrong_usage_is_one_line(
    option: tuple[str, ...], said: str, nuclei: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "predict", str(nuclei), "--out", str(tmp_path), "--save", "csv", *option)
    assert code == 2 and said in err and err.count("\n") == 1


def test_large_images_go_by_windows_by_themselves(
    nuclei: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("delineate.cli.large.LARGE", 100_000)
    small = tmp_path / "small.tif"
    tifffile.imwrite(small, np.zeros((200, 300), np.uint8))
    code, out, _ = run(
        capsys, "predict", str(nuclei), str(small), "--out", str(tmp_path / "o"), "--save", "csv", "--json"
    )
    images = {Path(image["file"]).name: image for image in json.loads(out)["images"]}
    assert code == 0 and "windows" in images["nuclei.tif"] and "windows" not in images["small.tif"]


def test_damage_is_told_with_its_place(
    nuclei: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "torn.tif"
    with tifffile.TiffFile(nuclei) as file:
        offset = file.pages[0].dataoffsets[-1]  # the tile at the lower right
    data = bytearray(nuclei.read_bytes())
    data[offset : offset + 16] = b"\0" * 16
    bad.write_bytes(data)
    code, out, err = run(
        capsys, "predict", str(bad), "--out", str(tmp_path / "o"), "--save", "csv", "--overlap", "64"
    )
    assert code == 1 and "torn.tif" in out
    assert "1 of 1 windows are damaged (1 blocks)" in err and err.count("\n") == 1


def test_a_large_and_a_small_image_of_one_name_keep_their_own_files(
    nuclei: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("delineate.cli.large.LARGE", 100_000)
    (tmp_path / "small").mkdir()
    small, out = tmp_path / "small" / "nuclei.tif", tmp_path / "out"
    tifffile.imwrite(small, tifffile.imread(nuclei)[:128, :128])
    code, _, err = run(
        capsys, "predict", str(nuclei), str(small), "--out", str(out), "--save", "overlay,csv", "--plate"
    )
    assert code == 0 and "left out of the plate" in err
    pictures = sorted(p.name for p in out.glob("*.overlay.png"))
    assert pictures == ["nuclei-2.overlay.png", "nuclei.overlay.png"]
    assert (out / "nuclei-2.measurements.csv").is_file() and (out / "measurements.csv").is_file()


def test_windows_are_for_objects_and_out_is_tried_first(
    nuclei: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "predict", str(nuclei), "--task", "semantic", "--region", "0,0,9,9")
    assert code == 2 and "--task semantic: expected no --region" in err
    taken = tmp_path / "taken"
    taken.write_text("")
    code, _, err = run(capsys, "predict", str(nuclei), str(nuclei), "--out", str(taken))
    assert code == 2 and err.count("expected a folder to write in") == 1
