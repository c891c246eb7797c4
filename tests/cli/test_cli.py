"""The command line as a whole: help, version, one-line errors, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from delineate.cli import main


@pytest.mark.parametrize("command", ["predict", "train", "evaluate", "models"])
def test_each_help_has_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Examples" in shown and f"delineate {command}" in shown


def test_help_version_and_module_are_quick_to_start() -> None:
    """Neither asks for torch or pandas."""
    code = (
        "import sys; from delineate.cli import main; code = main(['--help'])\n"
        "assert not {'torch', 'pandas', 'cv2', 'scipy'} & set(sys.modules), 'heavy imports'\n"
        "sys.exit(code)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120).returncode == 0
    done = subprocess.run([sys.executable, "-m", "delineate", "--version"], capture_output=True, timeout=120)
    assert done.stdout.startswith(b"delineate ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["frobnicate"], "error: No such command 'frobnicate'; see `delineate --help`"),
        (["predict", "--frob"], "error: No such option: --frob; see `delineate predict --help`"),
        (["predict", "a.png", "--confidence", "high"], "error: Invalid value for '--confidence'"),
        (["predict", "/nowhere/a.png"], "error: /nowhere/a.png: expected a file, folder or pattern"),
        (["evaluate"], None),
        ([], None),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(
    arguments: list[str], message: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    shown = capsys.readouterr()
    if message is not None:
        assert shown.err.startswith(message)
        assert shown.err.count("\n") == 1 and shown.out == ""


@pytest.mark.parametrize(
    ("raised", "code", "text"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 2, "error: not enough memory"),
        (PermissionError(13, "Permission denied", "/locked/x"), 2, "error: /locked/x: Permission denied"),
    ],
)
def test_what_ends_a_command_ends_in_one_line(
    raised: BaseException,
    code: int,
    text: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise raised

    monkeypatch.setattr("delineate.cli.outputs.parse_kinds", fail)
    assert main(["predict", "a.png"]) == code
    shown = capsys.readouterr().err
    assert text in shown and "Traceback" not in shown


def test_models_for_people_and_machines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    assert "nuclei\tembedded" in capsys.readouterr().out
    assert main(["models", "--json"]) == 0
    models = {m["name"]: m for m in json.loads(capsys.readouterr().out)["models"]}
    assert models["nuclei"]["weights"] == "embedded"
    assert models["maskrcnn_resnet50_fpn_coco"]["megabytes"] > 100
    assert all(m["licence"] for m in models.values())
