"""The command itself: what it tells, and how it refuses."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from delineate.cli import main
from delineate.data.write import write_png


def test_help_needs_no_server(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom delineate.cli import main\nmain(['studio', '--help'])\n"
        "heavy = {'fastapi', 'sqlalchemy', 'numpy', 'torch', 'cv2', 'uvicorn'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "delineate studio my-dataset" in done.stdout and "annotator" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["missing"], "nothing there"),
        (["data", "--port", "{taken}"], "expected a free address"),
        (["data", "--port", "99999"], "expected a free address"),
        (["data", "--host", "no.such.host.invalid"], "expected a free address"),
        (["data", "--user", "ada:queen"], "expected a name and a role"),
        (["data", "--db", "data/a.png/x.sqlite"], "expected a place"),
        (["data", "--split", "val"], "split"),
        (["data/broken.json"], "broken.json"),
        (["synthetic:crowds?images=3"], "delineate synthesize"),
    ],
)
def test_refusals_are_one_line_and_exit_code_two(
    arguments: list[str],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "data").mkdir()
    write_png(tmp_path / "data" / "a.png", np.zeros((8, 9), np.uint8))
    if arguments[0].endswith(".json"):
        (tmp_path / arguments[0]).write_text("{")
    monkeypatch.chdir(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        full = [a.replace("{taken}", port) for a in arguments]
        if "--port" not in full:
            full += ["--port", "0"]
        assert main(["studio", *full, "--no-browser"]) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("error: ") and told in said and "\n" not in said
    assert not (tmp_path / "data" / ".delineate" / "cache").exists()


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    code = (
        "import sys\nsys.modules['uvicorn'] = None\nfrom delineate.cli import main\n"
        f"sys.exit(main(['studio', {str(tmp_path)!r}, '--no-browser']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "pip install 'delineate[serve]'" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
