from __future__ import annotations

import json
from pathlib import Path

import pytest

from delineate.cli import main


@pytest.fixture
def boxes(tmp_path: Path) -> Path:
    """Results and truth of two sequences of boxes."""
    for name in ("a", "b"):
        (tmp_path / "truth" / name / "gt").mkdir(parents=True)
        lines = [f"{t},{k},{20 * k},10,15,30,1,1,1\n" for k in (1, 2) for t in range(1, 5)]
        (tmp_path / "truth" / name / "gt" / "gt.txt").write_text("".join(lines))
    (tmp_path / "found").mkdir()
    (tmp_path / "found" / "a.txt").write_text("".join(line.replace(",1,1\n", "\n") for line in lines))
    return tmp_path


def test_a_missing_sequence_gives_exit_code_1(boxes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate-tracks", str(boxes / "found"), str(boxes / "truth")]) == 1
    told = capsys.readouterr()
    assert "IDF1" in told.out
    assert "not scored: b: no results of this sequence" in told.out
    assert told.err == ""


def test_json_and_files(boxes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = [
        str(boxes / "found" / "a.txt"),
        str(boxes / "truth" / "a"),
        "--metrics",
        "hota, identity",
        "--json",
    ]
    assert main(["evaluate-tracks", *given, "--out", str(boxes / "scores")]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["scores"]["hota/HOTA"] == 1
    assert set(record["details"]) == {"hota", "identity"}
    assert (boxes / "scores" / "report.csv").is_file()
    assert main(["evaluate-tracks", *given[:2], "--quiet", "--out", str(boxes / "one.txt")]) == 0
    assert capsys.readouterr() == ("", "")
    assert "HOTA" in (boxes / "one.txt").read_text()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["none", "none"], "none: expected tracked objects, got no such file or folder"),
        (["found/a.txt", "truth/a", "--metrics", "vace"], "expected some of"),
        (
            ["found/a.txt", "truth/a", "--metrics", "ctc"],
            "expected the truth in folders of the Cell Tracking",
        ),
        (["found/a.txt", "truth/a", "--by", "point"], "expected 'mask' or 'box'"),
        (["found/a.txt"], "Missing argument 'truth'"),
    ],
)
def test_bad_usage_is_an_error_of_one_line(
    boxes: Path,
    given: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(boxes)
    assert main(["evaluate-tracks", *given]) == 2
    told = capsys.readouterr()
    assert message in told.err
    assert len(told.err.strip().splitlines()) == 1
    assert told.out == ""


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate-tracks", "--help"]) == 0
    told = capsys.readouterr().out
    assert "01_RES 01_GT" in told
    assert "Exit codes" in told
