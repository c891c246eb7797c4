from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from delineate.cli import main


@pytest.fixture
def crowds(tmp_path: Path) -> Path:
    out = tmp_path / "crowds"
    given = ["--images", "3", "--val", "1", "--size", "40", "--objects", "3", "--quiet"]
    assert main(["synthesize", str(out), *given]) == 0
    return out


def test_a_page(crowds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "page.html"
    assert main(["view", str(crowds), "--out", str(out), "--split", "val", "--size", "64"]) == 0
    told = capsys.readouterr().err
    assert told.startswith(f"wrote {out}: 1 image with ") and told.count("\n") == 1
    assert out.read_text("utf-8").count("<figure") == 1
    assert main(["view", str(crowds), "--out", str(out), "--per-page", "3", "--quiet"]) == 0
    assert capsys.readouterr().err == "" and (tmp_path / "page-2.html").is_file()


def test_channels_of_a_microscope(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    tifffile.imwrite(
        tmp_path / "images" / "a.tif", np.zeros((5, 20, 30), np.uint16), metadata={"axes": "CYX"}
    )
    tifffile.imwrite(tmp_path / "labels" / "a.tif", np.eye(20, 30, dtype=np.uint16))
    out = ["--out", str(tmp_path / "page.html")]
    assert main(["view", str(tmp_path), *out]) == 1 and "got 5" in capsys.readouterr().err
    assert main(["view", str(tmp_path), *out, "--channels", "4,0,2"]) == 0


def test_a_bad_image_is_told_and_the_rest_drawn(
    crowds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = sorted(crowds.rglob("*.png"))[0]
    picture.write_bytes(picture.read_bytes()[:60])
    out = tmp_path / "page.html"
    assert main(["view", str(crowds), "--out", str(out)]) == 1
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2 and told[0].startswith(f"error: {picture.name}: ") and "4 images" in told[1]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--sort", "colour"], "--sort: expected one of given, name"),
        (["--class", "dog"], "class 'dog'"),
        (["--channels", "red"], "--channels: expected numbers from 0"),
        (["--split", "test"], "test"),
        (["--out", "page.png"], "ending in .html"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    crowds: Path, capsys: pytest.CaptureFixture[str], given: list[str], told: str
) -> None:
    assert main(["view", str(crowds), *given]) == 2
    error = capsys.readouterr().err
    assert told in error and error.startswith("error: ") and error.count("\n") == 1
