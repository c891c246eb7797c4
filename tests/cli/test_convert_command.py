from __future__ import annotations

import json
from pathlib import Path

import pytest

from delineate.cli import main
from delineate.data import open_dataset
from delineate.data.known_formats import FORMATS


@pytest.fixture
def crowds(tmp_path: Path) -> Path:
    out = tmp_path / "crowds"
    assert main(["synthesize", str(out), "--images", "3", "--size", "40", "--objects", "3", "--quiet"]) == 0
    return out


def test_says_what_it_found_and_what_it_wrote(
    crowds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "yolo"
    assert main(["convert", str(crowds), str(out), "--to", "yolo", "--images", "link"]) == 0
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith(f"read {crowds / 'annotations.json'}: COCO, 3 images")
    assert told[-1] == f"wrote {out}: YOLO, 3 images, 9 objects"
    assert main(["convert", str(out), str(tmp_path / "a.json"), "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    assert [row["id"] for row in json.loads((tmp_path / "a.json").read_text())["images"]] == [1, 2, 3]
    assert (
        open_dataset(tmp_path / "a.json", images=out / "images" / "train").names == open_dataset(crowds).names
    )


def test_losses(crowds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = crowds / "annotations.json"
    rows = json.loads(file.read_text())
    rows["annotations"][0]["iscrowd"] = 1
    file.write_text(json.dumps(rows))
    out = str(tmp_path / "out")
    assert main(["convert", str(crowds), out, "--to", "yolo", "--on-loss", "error", "--quiet"]) == 2
    line = capsys.readouterr().err
    assert line.startswith("error: ") and "1 crowd region" in line and line.count("\n") == 1
    assert not Path(out).exists()
    assert main(["convert", str(crowds), out, "--to", "yolo", "--quiet"]) == 0
    assert capsys.readouterr().err.startswith("warning: YOLO: 1 crowd region could not be kept as one")


def test_bad_images_are_left_out(crowds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(crowds), str(tmp_path / "yolo"), "--to", "yolo", "--quiet"]) == 0
    bad = next((tmp_path / "yolo" / "labels").rglob("*.txt"))
    bad.write_text("0 a b c d e f\n")
    arguments = ["convert", str(tmp_path / "yolo"), str(tmp_path / "a.json")]
    assert main(arguments) == 2 and not (tmp_path / "a.json").exists()
    capsys.readouterr()
    assert main([*arguments, "--skip-invalid"]) == 1
    told = capsys.readouterr().err
    assert f"left out: {bad.stem}.png" in told and "2 images, 6 objects" in told


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", "--list"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in shown] == ["name", *FORMATS]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["IN"], "expected IN and OUT"),
        (["IN", "OUT"], "name of a format"),
        (["IN", "OUT", "--to", "nonsense"], "expected a format, one of"),
        (["IN", "IN", "--to", "yolo"], "that is there already"),
        (["IN", "OUT", "--to", "yolo", "--from", "voc"], "expected"),
        (["IN", "OUT", "--to", "yolo", "--split", "val"], "without splits"),
        (["nothing", "OUT", "--to", "yolo"], "nothing there"),
        (["IN", "OUT", "--to", "ctc"], "frames of videos"),
        (["IN", "OUT", "--to", "cityscapes"], "classes of Cityscapes"),
    ],
)
def test_one_line_for_what_is_wrong(
    crowds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    paths = {"IN": str(crowds), "OUT": str(tmp_path / "out"), "nothing": str(tmp_path / "nothing")}
    assert main(["convert", *(paths.get(a, a) for a in arguments), "--quiet"]) == 2
    line = capsys.readouterr().err
    assert told in line and line.startswith("error: ") and line.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_folder_of_the_images(crowds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (crowds / "images").rename(tmp_path / "elsewhere")
    arguments = ["convert", str(crowds), str(tmp_path / "out"), "--to", "voc", "--quiet"]
    assert main(arguments) == 2
    assert "`--image-folder`" in capsys.readouterr().err
    assert main([*arguments, "--image-folder", str(tmp_path / "elsewhere")]) == 0
    assert len(list((tmp_path / "out" / "JPEGImages").iterdir())) == 3
    assert main(["convert", str(crowds), str(tmp_path / "a.json"), "--images", "none", "--quiet"]) == 0
