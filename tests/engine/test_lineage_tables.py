"""Tables and pictures of lineages, and the command that writes them."""

import csv
from pathlib import Path

import numpy as np
import pytest

from delineate.apply.lineage_tree import lineage_tree, rows
from delineate.cli import main
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.lineage import Lineage
from delineate.core.masks import Masks
from delineate.data.formats.ctc_result import ResultWriter
from delineate.data.images import read
from delineate.data.track_files import open_tracks
from delineate.engine.lineage import Units, cell_rows, cells, save, track_rows


def squares(where: dict[int, tuple[int, int]]) -> Instances:
    """A square with its corner at (0, x) of some side for each id."""
    label = np.zeros((12, 40), int)
    for i, (x, side) in where.items():
        label[:side, x : x + side] = i
    return Instances(label.shape, masks=Masks.from_label_image(label, list(where)), ids=list(where))


@pytest.fixture
def result(tmp_path: Path) -> Path:
    """A cell of 8 x 8 that divides in frame 2, another that stays."""
    with ResultWriter(tmp_path / "01_RES") as writer:
        for _ in range(2):
            writer.add(squares({1: (4, 8), 2: (30, 6)}))
        writer.add(squares({2: (30, 6), 3: (0, 5), 4: (12, 5)}), {3: 1, 4: 1})
    return tmp_path / "01_RES"


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_tables_tell_of_every_track_and_cell(result: Path, tmp_path: Path) -> None:
    files = save(cells(open_tracks(result)[0]), tmp_path / "out")
    tracks = table(files["tracks"])
    keys = ("track", "parent", "generation", "begin", "end", "children", "area_px_mean")
    assert [[t[k] for k in keys] for t in tracks] == [
        ["1", "0", "0", "0", "1", "2", "64"],
        ["2", "0", "0", "0", "2", "0", "36"],
        ["3", "1", "1", "2", "2", "0", "25"],
        ["4", "1", "1", "2", "2", "0", "25"],
    ]
    each = table(files["cells"])
    assert [(c["track"], c["frame"]) for c in each] == [
        ("1", "0"), ("1", "1"), ("2", "0"), ("2", "1"), ("2", "2"), ("3", "2"), ("4", "2"),
    ]  # fmt: skip
    assert (each[0]["x_px"], each[0]["y_px"]) == ("8", "4")
    assert read(files["picture"]).pixels.shape[2] == 3


def test_units(result: Path) -> None:
    found, units = cells(open_tracks(result)[0]), Units(pixel=0.5, interval=10)
    first = track_rows(found, units)[0]
    assert (first["area_um2_begin"], first["minutes"], first["cycle"]) == (16.0, 20.0, 0)
    assert cell_rows(found, units)[1] == {
        "track": 1, "parent": 0, "frame": 1, "minutes": 10, "area_um2": 16.0, "x_um": 4.0, "y_um": 2.0
    }  # fmt: skip


@pytest.mark.parametrize("units", [{"pixel": 0}, {"interval": -1}, {"pixel": float("nan")}])
def test_units_that_cannot_be(units: dict[str, float]) -> None:
    with pytest.raises(InputError, match="above 0"):
        Units(**units)


def test_a_mother_stands_between_her_daughters() -> None:
    family = Lineage([1, 2, 3, 4, 5, 9], [0, 3, 3, 5, 5, 0], [2, 9, 4, 9, 9, 4], [0, 1, 1, 3, 3, 0])
    assert rows(family) == {2: 0.0, 4: 1.0, 5: 2.0, 3: 1.5, 1: 0.75, 9: 3.0}
    assert rows(Lineage([], [], [], [])) == {}


def test_pictures_of_none_and_of_many() -> None:
    assert lineage_tree(Lineage([], [], [], [])).size[0] > 400
    many = 900
    none = np.zeros(many, int)
    assert lineage_tree(Lineage(np.arange(1, many + 1), none, none + 5, none)).size[1] < 4000


def test_the_command(result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lineage", str(result), "--out", str(tmp_path / "out"), "--interval", "5"]) == 0
    told = capsys.readouterr().out
    assert "01: 4 tracks in 3 frames, 1 divisions" in told
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "01.cells.csv", "01.lineage.csv", "01.lineage.png",
    ]  # fmt: skip
    assert main(["lineage", str(tmp_path / "nothing")]) == 2
    assert main(["lineage", str(result), "--pixel-size", "0"]) == 2
    assert "expected a number above 0" in capsys.readouterr().err


def test_tracks_without_lineage(tmp_path: Path) -> None:
    text = tmp_path / "walk.txt"
    text.write_text("1,7,10,10,4,6,1,1,1\n2,7,12,10,4,6,1,1,1\n")
    found = cells(open_tracks(text, truth=True)[0])
    assert found.lineage.rows() == [(7, 1, 2, 0)]
    assert found.rows[0][1:] == (1, 24.0, 11.0, 12.0)
