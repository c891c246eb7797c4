"""Names of classes and files that are markup or formulas, through every command that writes tables or pages.

A name must arrive as a name: no cell of a table that a spreadsheet would work out, and no page that runs it.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from delineate import cli
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.data.images import write_png
from delineate.data.known_formats import FORMATS
from delineate.data.losses import Losses
from delineate.data.place import Place
from delineate.data.records import Dataset, Record

RUNS = '<img src=x onerror="window.hit=1"></script><script>window.hit=1</script>'
CLASSES = Labels((f"=1+1{RUNS}", f"@SUM(A1){RUNS}", f"-2+3{RUNS}"))
NAMES = ('=2+2<img src=x onerror="window.hit=1">1.png', '+3<svg onload="window.hit=1">2.png')
SEQUENCE = '=4+4<img src=x onerror="window.hit=1">'
SIZE = (48, 64)


def truth(shift: int) -> Instances:
    dense = np.zeros((3, *SIZE), np.bool_)
    for k in range(3):
        dense[k, 10 + shift : 20 + shift, 5 + 20 * k : 17 + 20 * k] = True
    return Instances(SIZE, masks=Masks.from_dense(dense), labels=[0, 1, 2], ids=[1, 2, 3], classes=CLASSES)


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A COCO dataset, the same by another hand, its tracks, and its photographs."""
    folder = tmp_path_factory.mktemp("named")
    photos = folder / "photos"
    photos.mkdir()
    records = []
    for frame, name in enumerate(NAMES):
        pixels = np.random.default_rng(frame).integers(0, 90, (*SIZE, 3), np.uint8)
        write_png(photos / name, pixels)
        columns = {"split": "val", "sequence": SEQUENCE, "frame": str(frame), "=5+5": f"=6+6{RUNS}"}
        records.append(Record(name, photos / name, frame + 1, SIZE, truth(frame), columns))
    data = Dataset(tuple(records), CLASSES, lambda record, _: (record.annotation, ()), "made", folder)
    made = {"photos": photos}
    one = replace(data, records=data.records[:1])
    for key, name, part in (
        ("coco", "coco", data), ("again", "coco", data), ("tracks", "bdd100k", data),
        ("shapes", "geojson", one),
    ):  # fmt: skip
        made[key] = folder / key
        made[key].mkdir()
        FORMATS[name].write(made[key], part, Losses(), Place("copy", made[key]))
    made["shapes"] = next(made["shapes"].rglob("*.geojson"))
    made["photo"] = photos / NAMES[0]
    made["json"] = next(made["coco"].rglob("*.json"))
    made["tracks"] = next(made["tracks"].rglob("*.json"))
    made["plane"] = folder / "plane.txt"
    made["plane"].write_text("0.1 0 0\n0 0.1 0\n0 0 1\n")
    return made


COMMANDS = {
    "measure": "measure {coco} --out {out}/m --page --plots --neighbours",
    "measure-xlsx": "measure {coco} --out {out}/m.xlsx",
    "evaluate": "evaluate --predictions {json} --data {coco} --by =5+5 --out {out} --quiet",
    "doctor": "doctor {coco} --out {out}/d.html",
    "doctor-fix": "doctor {coco} --fix {out}/fixed",
    "view": "view {coco} --out {out}/v.html",
    "agreement": "agreement {coco} {again} --out {out}/a.html",
    "fruit": "fruit {coco} --scale 0.1 --out {out} --page",
    "leaves": "leaves {coco} --leaves {first} --out {out} --page",
    "trajectories": "trajectories {tracks} --rate 5 --homography {plane} --out {out}",
    "misses": "misses {tracks} {tracks} --out {out}",
    "evaluate-tracks": "evaluate-tracks {tracks} {tracks} --out {out}",
    "track": "track {photos} --detections {json} --out {out} --save overlay,table,mots",
    "split": "split {coco} --parts train=0.5,val=0.5",
    "map": "map {photo} --labels {shapes} --out {out}/m.geojson --page {out}/m.html",
}
SHOW = ("agreement", "map", "measure", "view")
"""Commands whose pages show names of classes before anything is clicked; ``view`` makes the contact sheet."""


@pytest.fixture(scope="module")
def written(named: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What all commands wrote."""
    folder = tmp_path_factory.mktemp("written")
    codes = {}
    for name, command in COMMANDS.items():
        out = folder / name
        out.mkdir()
        given = {**named, "out": out, "first": CLASSES.name(0)}
        codes[name] = cli.main([word.format(**given) for word in command.split()])
    assert set(codes.values()) == {0}, codes
    return folder


def cells(path: Path) -> list[str]:
    with path.open(newline="", encoding="utf-8") as file:
        return [cell for row in csv.reader(file) for cell in row]


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def test_no_cell_is_a_formula(written: Path) -> None:
    tables = sorted(written.rglob("*.csv"))
    assert len({path.relative_to(written).parts[0] for path in tables}) > 5
    for path in tables:
        for cell in cells(path):
            assert cell[:1] not in ("=", "+", "-", "@", "\t", "\r") or is_number(cell), f"{path}: {cell}"


def test_no_cell_of_a_workbook_is_a_formula(written: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    (path,) = written.rglob("*.xlsx")
    sheets = openpyxl.load_workbook(path).worksheets
    values = [cell for sheet in sheets for row in sheet.iter_rows() for cell in row]
    assert not [cell.value for cell in values if cell.data_type == "f" or cell.hyperlink]
    assert any("1+1" in str(cell.value) for cell in values)


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    """A page of a real Chromium."""
    sync_api: Any = pytest.importorskip("playwright.sync_api")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no Chromium: apt-get install chromium")
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser.new_page()
        browser.close()


MARK = "[window.hit, document.querySelectorAll('img[src=x], svg[onload]').length, document.body.innerText]"


def test_no_page_runs_a_name(written: Path, page: Any) -> None:
    pages = sorted(written.rglob("*.html"))
    assert len({path.relative_to(written).parts[0] for path in pages}) > 5
    shown = set()
    for path in pages:
        page.goto(path.as_uri())
        page.wait_for_timeout(50)  # for pictures that do not load
        hit, elements, text = page.evaluate(MARK)
        assert (hit, elements) == (None, 0), path
        if any(name in text for name in CLASSES.names):
            shown.add(path.relative_to(written).parts[0])
    assert shown >= set(SHOW), shown  # as text, every letter of it


def test_nor_does_the_studio(named: dict[str, Path], page: Any, tmp_path: Path) -> None:
    pytest.importorskip("fastapi")
    command = [sys.executable, "-m", "delineate", "studio", str(named["coco"]), "--no-browser", "--port", "0"]
    with subprocess.Popen(
        [*command, "--db", str(tmp_path / "a.sqlite")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, env={**os.environ, "COLUMNS": "400"},
    ) as server:  # fmt: skip
        try:
            assert server.stdout is not None
            told = (re.search(r"studio: (http://\S+:\d+)", line) for line in server.stdout)
            address = next(filter(None, told))[1]
            page.goto(address)
            for _ in range(600):
                if page.evaluate("document.body.classList.contains('ready')"):
                    break
                page.wait_for_timeout(100)
            page.wait_for_timeout(500)
            hit, elements, text = page.evaluate(MARK)
        finally:
            server.terminate()
    assert (hit, elements) == (None, 0)
    assert all(name in text for name in CLASSES.names) and NAMES[0] in text, text


def test_names_come_back_as_they_were(named: dict[str, Path]) -> None:
    """Datasets are not made for spreadsheets: a name is kept to the letter."""
    content = json.loads(named["json"].read_text())
    assert [row["name"] for row in content["categories"]] == list(CLASSES.names)
