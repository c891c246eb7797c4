"""A fault of the program is one line too: where its details lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from delineate import cli


def broken(**_: Any) -> None:
    raise ZeroDivisionError("one\ntwo " + "x" * 1000)


def test_a_fault_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(cli, "app", broken)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("DELINEATE_TRACEBACK", raising=False)
    assert cli.main([]) == 70
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and len(said.err) < 600
    assert said.err.startswith("error: a fault of delineate, ZeroDivisionError: one two")
    (kept,) = tmp_path.iterdir()
    assert str(kept) in said.err and "in broken" in kept.read_text()
    assert kept.stat().st_mode & 0o077 == 0  # it may tell of private paths


def test_the_traceback_for_those_who_want_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "app", broken)
    monkeypatch.setenv("DELINEATE_TRACEBACK", "1")
    assert cli.main([]) == 70
    assert "in broken" in capsys.readouterr().err
