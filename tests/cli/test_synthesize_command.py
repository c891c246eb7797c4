from __future__ import annotations

from pathlib import Path

import pytest

from delineate.cli import main
from delineate.data import open_dataset


def test_a_dataset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "crowds"
    given = ["--images", "3", "--val", "1", "--size", "40", "--objects", "4", "--crowding", "0,1", "--whole"]
    assert main(["synthesize", str(out), *given, "--seed", "5", "--set", "noise=0"]) == 0
    assert f"wrote {out}: 4 images" in capsys.readouterr().err
    back = open_dataset(out)
    assert back.groups["split"] == ["train"] * 3 + ["val"]
    named = open_dataset("synthetic:crowds?images=3&val=1&size=40&objects=4&crowding=0,1&seed=5&noise=0")
    assert all(back.truth(i).masks == named.truth(i).masks for i in range(4))


def test_a_video(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "street"
    given = ["--video", "3", "--size", "40,60", "--objects", "5", "--shapes", "person", "--set", "speed=3"]
    assert main(["synthesize", str(out), *given, "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    assert len(open_dataset(out)) == 3 and (out / "objects.csv").is_file()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--crowding", "2"], "crowding: expected 0 to 1"),
        (["--size", "a"], "size: expected a whole number"),
        (["--shapes", "star"], "expected some of cell"),
        (["--images", "0"], "expected some images"),
        (["--seed", "-1"], "a seed >= 0"),
        (["--set", "noise"], "expected name=value"),
        (["--set", "likness=1"], "did you mean 'likeness'"),
        (["--set", "speed=1"], "expected --video"),
        (["--video", "3", "--set", "speed=x"], "expected numbers for speed"),
        (["--video", "3", "--set", "speed=-1"], "speed: expected 0 to 100"),
        (["--video", "3", "--crowding", "0,1"], "one value for a video"),
        (["--video", "999999"], "make it shorter or slower"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given: list[str], told: str
) -> None:
    out = tmp_path / "out"
    assert main(["synthesize", str(out), *given]) == 2
    error = capsys.readouterr().err
    assert told in error and error.startswith("error: ") and error.count("\n") == 1
    assert not out.exists()


def test_what_is_there_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    assert main(["synthesize", str(tmp_path), "--images", "1"]) == 2
    assert "expected an empty folder" in capsys.readouterr().err
    assert (tmp_path / "mine.txt").read_text() == "precious"


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["synthesize", "--help"]) == 0
    assert "delineate synthesize crowds --images 200" in " ".join(capsys.readouterr().out.split())
