"""Several processes, started, ended and restarted together; what they run imports nothing."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from delineate.engine.launch import LEASH, RESTARTS, among_others, launch, restarted

SPEAK = f"import os, sys, time; rank, again = (int(os.environ[n]) for n in ('RANK', '{RESTARTS}'))\n"


def run(code: str, folder: Path, processes: int = 2, restarts: int = 0) -> tuple[int, list[str]]:
    told: list[str] = []
    command = [sys.executable, "-c", SPEAK + code]
    return launch(command, processes, restarts=restarts, folder=folder, say=told.append), told


def test_all_know_their_place(tmp_path: Path) -> None:
    code = (
        "names = ('RANK', 'LOCAL_RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT', 'OMP_NUM_THREADS')\n"
        f"open(r'{tmp_path}/' + str(rank), 'w').write(' '.join(os.environ[n] for n in names))"
    )
    assert run(code, tmp_path, processes=3) == (0, [])
    rows = [(tmp_path / str(rank)).read_text().split() for rank in range(3)]
    assert [row[:4] for row in rows] == [[str(r), str(r), "3", "127.0.0.1"] for r in range(3)]
    assert len({row[4] for row in rows}) == 1 and int(rows[0][5]) >= 1


def test_one_that_is_killed_takes_the_others_along_and_all_start_again(tmp_path: Path) -> None:
    code = (
        "if again == 0 and rank == 1: os.kill(os.getpid(), 9)\n"
        "if again == 0: sys.exit(1)\n"  # as one does whose connection is gone
        f"open(r'{tmp_path}/done' + str(rank), 'w')"
    )
    result, told = run(code, tmp_path, restarts=2)
    assert result == 0
    assert told == ["process 1 was ended by SIGKILL; all start again, 2 more times at most"]
    assert (tmp_path / "done0").exists() and (tmp_path / "done1").exists()


def test_it_is_given_up_in_the_end_and_the_reason_is_kept(tmp_path: Path) -> None:
    result, told = run("print('first'); print('last words'); sys.exit(rank)", tmp_path, restarts=1)
    assert result == 1 and len(told) == 2
    log = tmp_path / "process-1.log"
    assert told[0].startswith(f"process 1 failed: last words (all of it: {log}); all start again, 1 more")
    assert told[1].endswith("given up; --resume goes on")
    assert log.read_text().split() == ["first", "last", "words"]


def test_what_a_new_start_does_not_mend_is_told_once(tmp_path: Path) -> None:
    result, told = run(
        "print('recipe: wrong') if rank else None; sys.exit(2 if rank else 0)", tmp_path, restarts=5
    )
    assert result == 2
    assert told == [f"recipe: wrong (all of it: {tmp_path / 'process-1.log'})"]


def test_a_process_that_hangs_beside_a_failed_one_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("delineate.engine.launch.GRACE", 0.2)
    result, told = run("time.sleep(60) if rank else sys.exit(1)", tmp_path)
    assert result == 1 and told == ["process 0 failed; given up; --resume goes on"]


LAUNCHER = """
import sys
import time
from pathlib import Path
from delineate.engine import launch
launch.GRACE = 0.2
folder = Path(sys.argv[1])
sys.exit(launch.launch([sys.executable, "-c", sys.argv[2]], 2, restarts=3, folder=folder, say=print))
"""
SAVING = """
import os, signal, sys, time
def end(number, _):
    if os.environ["RANK"] == "0":
        time.sleep(1)  # writes the checkpoint, while the other is gone
        open(sys.argv[-1] + "saved", "w").close()
    sys.exit(1)
signal.signal(signal.SIGTERM, end)
open(sys.argv[-1] + os.environ["RANK"], "w").close()
signal.pause()
"""


def test_who_writes_its_checkpoint_when_all_are_asked_to_end_is_waited_for(tmp_path: Path) -> None:
    code = SAVING.replace("sys.argv[-1]", repr(f"{tmp_path}/"))
    launcher = subprocess.Popen([sys.executable, "-c", LAUNCHER, str(tmp_path), code], stdout=subprocess.PIPE)
    while not ((tmp_path / "0").exists() and (tmp_path / "1").exists()):
        assert launcher.poll() is None
        time.sleep(0.02)
    launcher.terminate()
    said, _ = launcher.communicate(timeout=60)
    assert launcher.returncode == 1 and said == b""  # nothing is started again
    assert (tmp_path / "saved").exists()


def test_a_leashed_process_ends_with_the_one_that_started_it(tmp_path: Path) -> None:
    code = "from delineate.engine.launch import leashed; leashed(); import time; time.sleep(60)"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, env={LEASH: "1", "PATH": ""}
    )
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(timeout=60) == 1


def test_who_was_started_by_others_is_known_by_the_environment() -> None:
    assert among_others({"RANK": "0", "WORLD_SIZE": "2"}) and not among_others({})
    assert restarted({RESTARTS: "1"}) and not restarted({RESTARTS: "0"}) and not restarted({})
