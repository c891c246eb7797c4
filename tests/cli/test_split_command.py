from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from delineate.cli import main
from delineate.data import open_dataset


@pytest.fixture
def crowds(tmp_path: Path) -> Path:
    out = tmp_path / "crowds"
    assert main(["synthesize", str(out), "--images", "10", "--size", "40", "--objects", "3", "--quiet"]) == 0
    return out


def test_a_table_and_a_csv(crowds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "split.csv"
    assert main(["split", str(crowds), "--parts", "train=0.7,val=0.3", "--out", str(out)]) == 0
    shown = capsys.readouterr()
    assert "70.0" in shown.out and shown.err == f"wrote {out}\n"
    with out.open(newline="") as file:
        parts = [row["split"] for row in csv.DictReader(file)]
    assert sorted(parts) == ["train"] * 7 + ["val"] * 3
    assert main(["split", str(crowds), "--json", "--folds", "5"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [part["images"] for part in document["parts"].values()] == [2] * 5
    assert len(document["images"]) == 10 and set(document["images"].values()) == set(document["parts"])


def test_a_folder_that_opens_with_its_splits(
    crowds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "shared-out"
    assert main(["split", str(crowds), "--out", str(out), "--to", "label-images", "--quiet"]) == 0
    back, first = open_dataset(out), open_dataset(crowds)
    assert sorted(back.groups["split"]) == ["train"] * 8 + ["val"] * 2
    masks = {r.name: first.truth(i).masks for i, r in enumerate(first.records)}
    assert all(back.truth(i).masks == masks[r.name] for i, r in enumerate(back.records))
    assert main(["split", str(crowds), "--out", str(out), "--to", "coco"]) == 2
    assert "a folder that is new or empty" in capsys.readouterr().err


def test_copies_stay_together(crowds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = sorted(crowds.rglob("*.png"))
    for picture in pictures[1:4]:
        picture.write_bytes(pictures[0].read_bytes())
    assert main(["split", str(crowds), "--parts", "train=1,val=1", "--group-alike"]) == 0
    assert "4 images look like another one and were kept together" in capsys.readouterr().out
    assert main(["split", str(crowds), "--parts", "train=1,val=1", "--group-alike", "--json"]) == 0
    images = json.loads(capsys.readouterr().out)["images"]
    assert len({images[picture.name] for picture in pictures[:4]}) == 1


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--parts", "train"], "--parts: expected names and shares"),
        (["--parts", "train=1,train=2"], "--parts: expected names and shares"),
        (["--parts", "train=x"], "--parts: expected names and shares"),
        (["--folds", "1"], "--folds: expected 2 or more"),
        (["--group", "patient"], "a column 'patient' to group by"),
        (["--group", "a", "--group-pattern", "b"], "got both"),
        (["--out", "new", "--images", "move"], "'move' is not one of"),
        (["--out", "new", "--to", "papyrus"], "'papyrus'"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    crowds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    given: list[str], told: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["split", str(crowds), *given, "--quiet"]) == 2
    error = capsys.readouterr().err
    assert told in error and error.startswith("error: ") and error.count("\n") == 1
    assert not (tmp_path / "new").exists()
