"""`delineate compare`: its options, its errors; the trainings themselves are tested with the engine."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from delineate.cli import main
from delineate.cli.compare import _minutes, _shares
from delineate.core.errors import InputError


@pytest.fixture
def square(tmp_path: Path) -> Path:
    """Two images of a bright square, one to learn from."""
    labels = np.zeros((48, 48), np.uint16)
    labels[8:30, 10:34] = 1
    for name, pixels in (("images", np.uint8(40 + 150 * labels)), ("labels", labels)):
        (tmp_path / name).mkdir()
        for i in range(2):
            cv2.imwrite(str(tmp_path / name / f"{i}.png"), pixels)
    (tmp_path / "split.csv").write_text("id,split\n0,train\n1,val\n")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "minutes"), [("20m", 20), ("90s", 1.5), ("1.5h", 90), ("5", 5), (" 2min ", 2)]
)
def test_budgets(text: str, minutes: float) -> None:
    assert _minutes(text) == minutes


@pytest.mark.parametrize("text", ["", "m", "20d", "1e", "ten", "2 0m"])
def test_what_is_no_budget(text: str) -> None:
    with pytest.raises(InputError, match=r"expected a time such as 90s, 20m or 1h"):
        _minutes(text)


def test_shares() -> None:
    assert _shares("0.1, 0.5,1") == [0.1, 0.5, 1.0]
    with pytest.raises(InputError, match="numbers with commas"):
        _shares("0.1;1")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data", "x"], "expected --data and --models"),
        (["--data", "nowhere", "--models", "nuclei"], "got nothing there"),
        (["--data", "DATA", "--models", "yolo_seg_q"], "expected a name of the zoo"),
        (["--data", "DATA", "--models", "nuclei", "--budget", "0m"], "minutes above 0"),
        (["--data", "DATA", "--models", "nuclei", "--folds", "9"], "0 or 2 to 2"),
    ],
)
def test_one_line_and_exit_code_2(
    square: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    given = [str(square) if option == "DATA" else option for option in options]
    assert main(["compare", "--quiet", "--out", str(square / "out"), *given]) == 2
    told = capsys.readouterr().err.strip()
    assert message in told and "\n" not in told


def test_json_on_standard_output(square: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["compare", "--data", str(square), "--models", "nuclei", "--out", str(square / "out"), "--json"]
    assert main(given) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["candidates"][0]["name"] == "nuclei"
    assert "0 trainings" in told.err and "nuclei: 1 of 1" in told.err
