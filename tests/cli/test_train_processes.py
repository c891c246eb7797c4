"""`delineate train --processes` hands all that it was told to each process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from delineate.cli import main


def test_each_process_gets_the_same_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def launch(command: list[str], processes: int, **rest: Any) -> int:
        seen.update(rest, command=command, processes=processes)
        return 0

    monkeypatch.setattr("delineate.engine.launch.launch", launch)
    words = [
        "train", "--data", "d", "--model", "center_offset", "--out", str(tmp_path), "--epochs", "3",
        "--set", "train.lr=1", "--set", "train.seed=2", "--resume", "--device", "cpu", "--quiet",
    ]  # fmt: skip
    assert main([*words, "--processes", "4", "--restarts", "2"]) == 0
    assert seen["processes"] == 4 and seen["restarts"] == 2 and seen["folder"] == tmp_path
    given = seen["command"][seen["command"].index("train") :]
    assert sorted(given) == sorted(words)
    for option in ("--data", "--model", "--out", "--epochs", "--device"):
        assert given[given.index(option) + 1] == words[words.index(option) + 1]
    assert [given[i + 1] for i, w in enumerate(given) if w == "--set"] == ["train.lr=1", "train.seed=2"]


def test_what_the_processes_end_with_is_the_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("delineate.engine.launch.launch", lambda *_, **__: 2)
    assert main(["train", "recipe.toml", "--out", str(tmp_path), "--processes", "2"]) == 2


def test_a_process_that_others_started_starts_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr("delineate.engine.launch.launch", lambda *_, **__: pytest.fail("a second start"))
    assert main(["train", str(tmp_path / "none.toml"), "--processes", "2"]) == 2
    assert "none.toml" in capsys.readouterr().err
