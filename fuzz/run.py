"""Fuzz every reader: changed files into each, watched from outside.

    python fuzz/run.py --seconds 60                  a minute of CPU for each target
    python fuzz/run.py --only png,tiff --seconds 600
    python fuzz/run.py --again OUT/found/png/NAME    read one input again, with its traceback
    python fuzz/run.py --list

A finding is a process that dies, an exception that is no refusal, an input that takes more than ten seconds
of CPU or more than a minute, or more than 2 GB. Each is kept, with what it said, in OUT/found/TARGET;
OUT/report.json counts.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from worker import Slot, has_atheris

HERE = Path(__file__).parent
HANG, STILL, FLOOD = 10.0, 60.0, 2 << 30
TICK = os.sysconf("SC_CLK_TCK")
STARTS = 60


@dataclass
class Told:
    """What came of one target."""

    name: str
    inputs: int = 0
    cpu_seconds: float = 0.0
    start_cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    largest_mb: float = 0.0
    starts: int = 0
    findings: list[str] = field(default_factory=list)


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / TICK


def memory_of(pid: int) -> int:
    """Bytes that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def keep(found: Path, kind: str, data: bytes) -> str:
    """Keeps the input of a crash, a hang or a flood."""
    found.mkdir(parents=True, exist_ok=True)
    name = f"{kind}-{len(list(found.glob(kind + '-*')))}"
    (found / name).write_bytes(data)
    return name


def watch(name: str, out: Path, seconds: float, way: str, seed: int, scratch: Path) -> Told:
    """One target for so many seconds of CPU; a worker that dies is followed by another."""
    told, slot = Told(name), Slot(out / f"{name}.slot")
    found, began = out / "found" / name, time.monotonic()
    while told.cpu_seconds < seconds and told.starts < STARTS:
        with (out / f"{name}.log").open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, str(HERE / "worker.py"), name, str(out), str(seed + told.starts), way],
                stdout=log, stderr=log, cwd=scratch,
                env={**os.environ, "OMP_NUM_THREADS": "1", "FUZZ_SCRATCH": str(scratch)},
            )  # fmt: skip
        told.starts += 1
        ended = _until_it_ends(worker, slot, seconds - told.cpu_seconds, told)
        if ended:
            told.findings.append(keep(found, ended, slot.data))
            print(f"  {name}: {told.findings[-1]}", flush=True)
        if ended.startswith("nostart"):  # the target itself is broken; its log says how
            break
    told.inputs = slot.count
    told.wall_seconds = time.monotonic() - began
    told.findings += sorted(p.stem for p in found.glob("*.txt")) if found.is_dir() else []
    return told


def _until_it_ends(worker: subprocess.Popen[bytes], slot: Slot, seconds: float, told: Told) -> str:
    """Why a worker ended: a signal, ``hang``, ``memory``; empty: its time was up."""
    count, since, at, used, started = slot.count, 0.0, time.monotonic(), 0.0, 0.0
    first = count
    try:
        while worker.poll() is None:
            time.sleep(0.1)
            try:
                used, held = cpu_of(worker.pid), memory_of(worker.pid)
            except (OSError, IndexError):
                continue
            told.largest_mb = max(told.largest_mb, held / 1e6)
            if slot.count != count:
                count, since, at = slot.count, used, time.monotonic()
            begun = count > first
            started = started if begun else used
            if begun and held > FLOOD:
                return "memory"
            if begun and (used - since > HANG or time.monotonic() - at > STILL + HANG):
                return "hang"
            if used - started > seconds:
                return ""
        return f"died{worker.returncode}" if slot.count > first else f"nostart{worker.returncode}"
    finally:
        worker.kill()
        worker.wait()
        told.cpu_seconds += used - started
        told.start_cpu_seconds += started


def again(path: Path) -> None:
    """One kept input, read by its target in this process."""
    import targets

    with tempfile.TemporaryDirectory() as folder:
        _, read = targets.TARGETS[path.parent.name](Path(folder))
        read(path.read_bytes())
    print("read or refused in one line")


def main() -> None:
    """The command line."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("--seconds", type=float, default=60, help="of CPU for each target")
    parser.add_argument("--only", default="", help="names of targets, with commas between")
    parser.add_argument("--out", type=Path, default=Path("fuzz-output"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--chance", action="store_true", help="without Atheris, though it is installed")
    parser.add_argument("--again", type=Path)
    parser.add_argument("--list", action="store_true")
    given = parser.parse_args()
    if given.again:
        return again(given.again)
    import targets

    if given.list:
        return print("\n".join(targets.TARGETS))
    way = "atheris" if has_atheris() and not given.chance else "chance"
    names = [n for n in given.only.split(",") if n] or list(targets.TARGETS)
    out = given.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    shared = Path("/dev/shm")
    scratch = Path(tempfile.mkdtemp(prefix="fuzz-", dir=shared if shared.is_dir() else None))
    every = []
    try:
        for name in names:
            every.append(watch(name, out, given.seconds, way, given.seed, scratch))
            print(json.dumps(asdict(every[-1])), flush=True)
            (out / "report.json").write_text(json.dumps([asdict(t) for t in every], indent=1) + "\n")
            for left in scratch.iterdir():
                shutil.rmtree(left, ignore_errors=True)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return None


if __name__ == "__main__":
    main()
