"""The wheel is the same wherever it is built; what an audit says, and where nobody answers."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PACKAGING = Path(__file__).parents[2] / "packaging"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"packaging_{name}", PACKAGING / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_wheel_is_the_same_twice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("hatchling")
    monkeypatch.setattr(sys, "argv", ["wheel_twice.py"])
    code = script("wheel_twice").main()
    said = capsys.readouterr().out
    assert code == 0 and "is the same twice" in said, said


HOLE = {"id": "PYSEC-1", "fix_versions": ["2.0"]}


@pytest.mark.parametrize(
    ("packages", "said", "code"),
    [
        ([{"name": "a", "version": "1", "vulns": []}], "1 packages, no known hole", 0),
        ([{"name": "a", "version": "1", "vulns": [HOLE]}], "a 1: PYSEC-1, mended in 2.0", 1),
        ([{"name": "a", "skip_reason": "not found"}], "no answer; nothing was audited", 0),
        ([], "no answer; nothing was audited", 0),
        ([{"name": "a", "version": "1", "vulns": []}, {"name": "b", "skip_reason": "x"}], "1 not known", 0),
    ],
)
def test_what_an_audit_comes_to(packages: list[dict[str, Any]], said: str, code: int) -> None:
    text, told = script("audit").told({"dependencies": packages})
    assert told == code and said in text


def test_an_audit_without_an_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert script("audit").main([sys.executable, str(tmp_path)]) == 0  # which knows no --path
    assert capsys.readouterr().out == "audit: the service of advisories gave no answer; nothing was audited\n"
