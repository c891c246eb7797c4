"""Several training processes on this machine: started together, ended together, started again together.

What `torchrun` does for many machines, for one. A process that is killed takes all others with it, for their
gradients wait for it; all are started anew and go on from the last checkpoint.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LEASH = "DELINEATE_LEASH"
"""Set for processes whose standard input ends when the one that started them does."""

RESTARTS = "TORCHELASTIC_RESTART_COUNT"
"""How often `torchrun`, or :func:`launch`, has started the processes anew; as in :mod:`.processes`, which
imports torch."""

GRACE = 5.0  # seconds that the others have to end by themselves after one failed
USAGE = 2  # exit code of an error that a new start does not mend


def launch(
    command: Sequence[str], processes: int, *, restarts: int, folder: Path, say: Callable[[str], None]
) -> int:
    """Run a command in several processes that know of each other, until all are done.

    Args:
        command: what each of them runs.
        processes: how many.
        restarts: how often all are started anew after one of them was killed or failed.
        folder: takes the output of a process that failed, ``process-1.log``; the first one writes to the
            terminal.
        say: takes a line for the user.

    Returns:
        0 done; 1 interrupted, or given up; 2 an error that the user must mend.
    """
    with tempfile.TemporaryDirectory(prefix="delineate-") as logs, _signals() as caught:
        for attempt in range(restarts + 1):
            codes = _once(command, processes, attempt, Path(logs), caught)
            if not any(codes):
                return 0
            if caught:
                return 1
            at = next((i for i, code in enumerate(codes) if code == USAGE), None)
            first = at if at is not None else _first_to_fail(codes)
            told = _told(Path(logs), first, folder)
            if at is not None:
                if first:
                    say(told)
                return USAGE
            left = restarts - attempt
            then = f"all start again, {left} more times at most" if left else "given up; --resume goes on"
            say(f"{_how(first, codes[first])}{told and ': ' + told}; {then}")
    return 1


def leashed() -> None:
    """End this process when the one that started it has ended, however it did."""
    if os.environ.get(LEASH) != "1":
        return

    def watch() -> None:
        while os.read(0, 1024):
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def restarted(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether these processes run in place of others that failed."""
    return int(environment.get(RESTARTS, "0") or 0) > 0


def among_others(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether something has started this process as one of several."""
    return "RANK" in environment and "WORLD_SIZE" in environment


def _once(command: Sequence[str], count: int, attempt: int, logs: Path, caught: list[int]) -> list[int]:
    """Exit codes of all, by rank; negative: the signal that killed it, or by which it was ended here."""
    running = [
        _start(command, rank, count, attempt, port, logs) for port in [_port()] for rank in range(count)
    ]
    passed = 0
    deadline = None
    try:
        while any(p.poll() is None for p in running):
            for number in caught[passed:]:
                passed += 1
                for p in running:
                    p.send_signal(number)
            # Asked once to end, they may take as long as the checkpoint does.
            failed = any(p.poll() not in (None, 0) for p in running)
            if deadline is None and failed and len(caught) != 1:
                deadline = time.monotonic() + GRACE
            if deadline is not None and time.monotonic() > deadline:
                return _end(running)
            time.sleep(0.05)
        return [p.returncode for p in running]
    finally:
        _end(running)


def _end(running: Sequence[subprocess.Popen[bytes]]) -> list[int]:
    """Kill what runs still; their exit codes, 0 for those killed here."""
    alive = [p for p in running if p.poll() is None]
    for p in alive:
        p.kill()
    for p in running:
        p.wait()
        if p.stdin is not None:
            p.stdin.close()
    return [0 if p in alive else p.returncode for p in running]


def _start(
    command: Sequence[str], rank: int, count: int, attempt: int, port: int, logs: Path
) -> subprocess.Popen[bytes]:
    """One of them."""
    threads = max(1, (os.cpu_count() or 1) // count)
    place = {
        "RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, RESTARTS: attempt, LEASH: 1,
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
    }  # fmt: skip
    kindly = {"OMP_NUM_THREADS": str(threads), "TORCH_CPP_LOG_LEVEL": "ERROR"}
    environment = {**kindly, **os.environ, **{name: str(value) for name, value in place.items()}}
    output: dict[str, Any] = {}
    with (logs / f"{rank}.log").open("wb") as log:
        if rank:
            output = {"stdout": log, "stderr": subprocess.STDOUT}
        # A session of its own: Ctrl-C reaches this process alone, which passes it on once.
        return subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, start_new_session=True, **output
        )


def _port() -> int:
    """One that is free."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _first_to_fail(codes: Sequence[int]) -> int:
    """Who began: one that was killed before those that lost their connection to it."""
    killed = [i for i, code in enumerate(codes) if code < 0]
    return killed[0] if killed else next(i for i, code in enumerate(codes) if code)


def _how(rank: int, code: int) -> str:
    if code >= 0:
        return f"process {rank} failed"
    try:
        return f"process {rank} was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"process {rank} was ended by signal {-code}"


def _told(logs: Path, rank: int, folder: Path) -> str:
    """The last line of a process's output, which is kept; empty for the first, whose terminal has it."""
    text = (logs / f"{rank}.log").read_text(encoding="utf-8", errors="replace").strip()
    if not text:
        return ""
    kept = folder / f"process-{rank}.log"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(logs / f"{rank}.log", kept)
    return f"{text.splitlines()[-1]} (all of it: {kept})"


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Ctrl-C and SIGTERM, as they come in."""
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return
    before = {n: signal.signal(n, lambda n, _: caught.append(n)) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def this_program() -> list[str]:
    """The command that runs delineate in a new process, with this Python."""
    return [sys.executable, "-m", "delineate"]
