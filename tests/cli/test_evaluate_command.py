from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from delineate.cli.evaluate import EPILOG, evaluate_command
from delineate.core.errors import InputError
from delineate.engine.metric_registry import METRICS


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer()
    made.command("evaluate", epilog=EPILOG)(evaluate_command)
    return made


@pytest.fixture
def nuclei(tmp_path: Path) -> Path:
    """Two images and their labels; the second label image is also a bad prediction of the first."""
    labels = np.kron(np.arange(4).reshape(2, 2), np.ones((5, 5), int)).astype(np.uint16)
    for folder in ("images", "labels", "found"):
        (tmp_path / folder).mkdir()
    for name in ("a", "b"):
        Image.fromarray((labels * 60).astype(np.uint8)).save(tmp_path / "images" / f"{name}.png")
        Image.fromarray(labels).save(tmp_path / "labels" / f"{name}.png")
    Image.fromarray(labels).save(tmp_path / "found" / "a.png")
    Image.fromarray(labels[:4]).save(tmp_path / "found" / "b.png")
    (tmp_path / "split.csv").write_text("id,split,modality\na,val,grey\nb,train,stained\n")
    return tmp_path


def test_predictions_in_json(app: typer.Typer, nuclei: Path) -> None:
    done = CliRunner().invoke(
        app, ["--predictions", str(nuclei / "labels"), "--data", str(nuclei), "--json", "--by", "modality"]
    )
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record["images"] == 1  # val is scored where there is one
    assert record["scores"]["cells/AP"] == 1
    assert list(record["groups"]) == ["grey"]


def test_one_bad_image_gives_exit_code_1(app: typer.Typer, nuclei: Path) -> None:
    given = [
        "--predictions",
        str(nuclei / "found"),
        "--data",
        str(nuclei),
        "--split",
        "all",
        "--metrics",
        "cells",
    ]
    done = CliRunner().invoke(app, [*given, "--out", str(nuclei / "scores")])
    assert done.exit_code == 1, done.output
    assert "not scored: b.png" in done.stdout
    assert (nuclei / "scores" / "report.json").is_file()
    quiet = CliRunner().invoke(app, [*given, "--quiet"])
    assert (quiet.exit_code, quiet.stdout) == (1, "")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "expected --model or --weights"),
        (["--model", "nuclei", "--predictions", "x.json"], "expected --model or --weights"),
        (["--model", "nuclei"], "expected --data"),
        (["--predictions", "none.json", "--data", "."], "expected"),
    ],
)
def test_bad_usage_is_an_error_of_one_line(
    app: typer.Typer, given: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, given)
    assert isinstance(done.exception, InputError)
    assert message in str(done.exception)
    assert "\n" not in str(done.exception)


def test_help_has_examples(app: typer.Typer) -> None:
    done = CliRunner().invoke(app, ["--help"])
    assert done.exit_code == 0
    assert "Exit codes" in done.stdout


def test_help_names_every_metric_and_a_page_has_all_of_them(app: typer.Typer, nuclei: Path) -> None:
    shown = " ".join(CliRunner().invoke(app, ["--help"], env={"COLUMNS": "400"}).stdout.split())
    assert all(f"{name}: " in shown for name in METRICS)
    given = ["--predictions", str(nuclei / "labels"), "--data", str(nuclei), "--split", "all"]
    done = CliRunner().invoke(app, [*given, "--out", str(nuclei / "a.html")])
    assert done.exit_code == 0, done.output
    page = (nuclei / "a.html").read_text()
    assert "Kinds of errors" in page and "<h2>Calibration</h2>" in page and "95 % intervals" in page


def test_crowd_errors_of_stored_predictions_with_pictures(app: typer.Typer, nuclei: Path) -> None:
    joined = np.asarray(Image.open(nuclei / "labels" / "a.png")).copy()
    joined[joined == 3] = 2
    Image.fromarray(joined).save(nuclei / "found" / "a.png")
    given = ["--predictions", str(nuclei / "found"), "--data", str(nuclei), "--metrics", "crowd"]
    done = CliRunner().invoke(app, [*given, "--pictures", str(nuclei / "worst")])
    assert done.exit_code == 0, done.output
    assert "Crowd: what became of each true object" in done.stdout
    assert [file.name for file in (nuclei / "worst").iterdir()] == ["01_a.png"]
    done = CliRunner().invoke(app, [*given[:-1], "cells", "--pictures", str(nuclei / "worst")])
    assert isinstance(done.exception, InputError)
    assert "'crowd' among the metrics" in str(done.exception)
