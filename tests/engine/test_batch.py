"""Runs over many images: killed and taken up again, byte by byte as in one go; notes, tables, totals."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from delineate.cli import main
from delineate.core.errors import InputError
from delineate.data.images import write_png
from delineate.engine.batch_ahead import ahead
from delineate.engine.batch_journal import BatchJournal
from delineate.engine.batch_outputs import JOURNAL_FILE
from delineate.engine.batch_tables import Schema, packed, unpacked, write_csv, write_parquet
from delineate.engine.batch_totals import totals_table

KINDS = "overlay,numbers,coco,labels,csv,parquet,qupath,rois"
MODEL = """
import time
import cv2
import numpy as np
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks

pause = 0

class Bright:
    name, classes = "bright", Labels(("a", "b"))
    def predict(self, pixels, **settings):
        time.sleep(pause)
        grey = pixels if pixels.ndim == 2 else pixels[:, :, 0]
        masks = Masks.from_label_image(cv2.connectedComponents((grey > 100).astype(np.uint8))[1])
        return Instances(grey.shape, labels=np.arange(len(masks)) % 2, masks=masks, classes=self.classes)
"""
RUN = f"""
{MODEL}
import sys
from delineate.cli import main
import delineate.engine.load as load
pause = 0.15
load.load = lambda *_, **__: Bright()
raise SystemExit(main(sys.argv[1:]))
"""


def scene(seed: int, colour: bool = False) -> np.ndarray:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 40, (48, 64)).astype(np.uint8)
    for _ in range(rng.integers(1, 6)):
        y, x = rng.integers(2, 36), rng.integers(2, 50)
        image[y : y + 9, x : x + 8] = rng.integers(120, 255)
    return np.dstack([image] * 3) if colour else image


@pytest.fixture
def plate(tmp_path: Path) -> Path:
    """Grey and colour images in four wells, a stack of two pages, a file that is broken."""
    folder = tmp_path / "in"
    folder.mkdir()
    for k in range(10):
        write_png(folder / f"p_{'AB'[k % 2]}0{k % 3 + 1}_s{k}.png", scene(k, k % 4 == 3))
    tifffile.imwrite(folder / "z_C05.tif", np.stack([scene(50), scene(51)]), photometric="minisblack")
    (folder / "p_A01_torn.png").write_bytes((folder / "p_A01_s0.png").read_bytes()[:90])
    return folder


@pytest.fixture
def predict(plate: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command on the plate, with the stand-in for the model, in this process."""
    known: dict[str, Any] = {}
    exec(MODEL, known)
    monkeypatch.setattr("delineate.engine.load.load", lambda *_, **__: known["Bright"]())
    return lambda out, *more: main(arguments(plate, out, *more))


def arguments(plate: Path, out: Path, *more: str) -> list[str]:
    return ["predict", str(plate), "--out", str(out), "--save", KINDS, "--plate", "--quiet", *more]


def content(folder: Path) -> dict[str, bytes]:
    files = (p for p in folder.rglob("*") if p.is_file() and p.name != JOURNAL_FILE)
    return {str(p.relative_to(folder)): p.read_bytes().replace(str(folder).encode(), b"OUT") for p in files}


def test_a_run_that_was_killed_goes_on_to_the_same_bytes(
    plate: Path, predict: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    process = subprocess.Popen([sys.executable, "-c", RUN, *arguments(plate, cut)], stderr=subprocess.DEVNULL)
    assert predict(whole) == 1
    begin = time.monotonic()
    while len(list(cut.glob("*_RoiSet.zip"))) < 4 and time.monotonic() - begin < 120:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (cut / "measurements.csv").exists()
    assert predict(cut) == 2 and "--resume" in capsys.readouterr().err
    assert predict(cut, "--resume", "--confidence", "0.1") == 2
    assert "(confidence)" in capsys.readouterr().err
    before = {p.name: p.stat().st_mtime_ns for p in cut.glob("*.labels.tif")}
    with (cut / JOURNAL_FILE).open("ab") as file:  # half a line, as a power cut leaves it
        file.write(zlib.compress(b'{"source":')[:-3])
    assert predict(cut, "--resume") == 1
    kept = [p for p in cut.glob("*.labels.tif") if before.get(p.name) == p.stat().st_mtime_ns]
    assert len(kept) >= 3  # were not done anew
    assert content(cut) == content(whole)


def test_a_mended_file_is_all_that_is_done_anew(plate: Path, predict: Any, tmp_path: Path) -> None:
    out, whole = tmp_path / "out", tmp_path / "whole"
    assert predict(out) == 1
    write_png(plate / "p_A01_torn.png", scene(99))
    before = {p: p.stat().st_mtime_ns for p in out.glob("*.labels.tif")}
    assert predict(out, "--resume") == 0
    assert not (out / JOURNAL_FILE).exists()
    assert all(p.stat().st_mtime_ns == time for p, time in before.items())
    assert predict(whole) == 0
    assert content(out) == content(whole)


def test_tables_agree_with_each_other(predict: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert predict(out) == 1
    rows = pd.read_csv(out / "measurements.csv")
    pd.testing.assert_frame_equal(rows, pd.read_parquet(out / "measurements.parquet"), check_dtype=False)
    images = pd.read_csv(out / "images.csv")
    done = images[images["status"] == "done"]
    assert len(done) == 12 and images["reason"].notna().sum() == 1
    assert (
        done["count"].sum()
        == len(rows)
        == len(json.loads((out / "predictions.json").read_text())["annotations"])
    )
    assert (done["count a"].fillna(0) + done["count b"].fillna(0) == done["count"]).all()
    totals = pd.read_csv(out / "totals.csv").set_index("class")
    assert totals["count"].tolist() == [*rows["class"].value_counts()[["a", "b"]], len(rows)]
    assert totals.loc["a", "area_q50"] == rows.loc[rows["class"] == "a", "area"].median()
    assert totals.loc["every class", "per_image_max"] == done["count"].max()
    wells = pd.read_csv(out / "wells.csv").set_index("well")
    assert wells["images"].sum() == 12 and wells["count"].sum() == len(rows)
    expected = rows[rows["well"] == "B02"]["area"].mean()
    np.testing.assert_allclose(wells.loc["B02", "area_mean"], expected)
    described = pd.read_csv(out / "columns.csv")
    for name, table in {
        "measurements": rows,
        "images": images,
        "totals": totals.reset_index(),
        "wells": wells.reset_index(),
    }.items():
        told = described[described["table"] == name]
        assert told["column"].tolist() == list(table.columns)
        assert told["source"].notna().all(), told[told["source"].isna()]
    assert "<svg" in (out / "plate.svg").read_text()
    stack = tifffile.imread(out / "z_C05.page1.labels.tif")
    assert stack.max() == done[(done["image"] == "z_C05.tif") & (done["page"] == 1)]["count"].item()


# -- notes -----------------------------------------------------------------------------------------------


def test_notes_are_found_again(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "notes"
    with BatchJournal(path, {"a": 1}) as notes:
        assert not path.exists()  # nothing was noted yet
        notes.add("x", 0, 2, "s", {"n": 1})
        notes.add("x", 1, 2, "s", {"n": 2})
        notes.add("y", 0, 1, "t", {"n": 3})
    with BatchJournal(path, {"a": 1}, resume=True) as notes:
        assert [e["n"] for _, _, e in notes.entries({"y": "t", "x": "s", "z": ""})] == [3, 1, 2]
        assert notes.get("x", 0, "changed") is None and notes.units("x", "s") == 2
        notes.add("y", 0, 1, "u", {"n": 4})
        assert [e["n"] for _, _, e in notes.entries({"y": "u"})] == [4]
        notes.end(whole=False)
    with BatchJournal(path, {"a": 2}) as notes:  # a run that came to its end is no obstacle
        assert len(notes) == 0 and not path.exists()


@given(st.integers(0, 400))
def test_notes_that_were_cut_off_anywhere_are_as_many_as_are_whole(tmp_path_factory: Any, cut: int) -> None:
    path = tmp_path_factory.mktemp("cut") / "notes"
    with BatchJournal(path, {}) as notes:
        for k in range(4):
            notes.add("x", k, 4, "s", {"n": k})
    data = path.read_bytes()
    path.write_bytes(data[: min(cut, len(data))])
    with BatchJournal(path, {}, resume=True) as notes:
        numbers = [e["n"] for _, _, e in notes.entries({"x": "s"})]
        assert numbers == list(range(len(numbers)))
        notes.add("x", len(numbers), 4, "s", {"n": len(numbers)})
    with BatchJournal(path, {}, resume=True) as notes:
        assert len(notes) == len(numbers) + 1


# -- tables ----------------------------------------------------------------------------------------------


def test_tables_of_different_columns_are_joined(tmp_path: Path) -> None:
    first = pd.DataFrame({"n": [1, 2], "name": ["=x", "y"], "v": [0.1, np.nan]})
    second = pd.DataFrame({"n": [3], "name": ["z"], "w": [True]})
    tables = [packed(first), packed(first.iloc[:0]), packed(second)]
    again = unpacked(json.loads(json.dumps(tables[0])))
    pd.testing.assert_frame_equal(again, first, check_dtype=False)
    schema = Schema(tables, lambda name: ("px", "somebody") if name == "v" else ("", ""))
    assert schema.kinds == {"n": "i", "name": "O", "v": "f", "w": "B"}
    write_csv(tmp_path / "a.csv", tables, schema)
    with (tmp_path / "a.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["n", "name", "v", "w"], ["1", "'=x", "0.1", ""], ["2", "y", "", ""], ["3", "z", "", "True"],
        ]  # fmt: skip
    write_parquet(tmp_path / "a.parquet", tables, schema)
    import pyarrow.parquet as pq

    field = pq.read_schema(tmp_path / "a.parquet").field("v")
    assert field.metadata == {b"unit": b"px", b"source": b"somebody"}
    assert pq.read_table(tmp_path / "a.parquet").column("n").to_pylist() == [1, 2, 3]


def test_totals_of_nothing() -> None:
    frame = totals_table([], failed=3)
    assert frame[["class", "images", "images_failed", "count"]].values.tolist() == [["every class", 0, 3, 0]]
    assert np.isnan(frame["area_q50"].item())


# -- reading ahead ---------------------------------------------------------------------------------------


def test_what_is_read_ahead_comes_in_order_and_errors_at_their_place() -> None:
    def items() -> Any:
        yield 1
        yield 2
        raise InputError("three")

    found = ahead(items())
    assert [next(found), next(found)] == [1, 2]
    with pytest.raises(InputError, match="three"):
        next(found)


def test_a_reader_that_nobody_listens_to_stops() -> None:
    made = []

    def items() -> Any:
        for k in range(1000):
            made.append(k)
            yield k

    found = ahead(items(), depth=2)
    assert next(found) == 0
    found.close()  # type: ignore[attr-defined]
    assert len(made) <= 5
