"""How long the command line takes to answer before any work: wall and processor time, median and spread.

    python benchmarks/startup.py [--repeat 20]

Each command is a process of its own, after one run that is not counted, so its files are in the system cache.
One thread works: on an idle machine the clock and the processor's time agree; on a busy one the latter tells.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from importlib.metadata import version

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import delineate": ["-c", "import delineate"],
    "delineate --version": ["-m", "delineate", "--version"],
    "delineate --help": ["-m", "delineate", "--help"],
    "delineate predict --help": ["-m", "delineate", "predict", "--help"],
    "delineate train --help": ["-m", "delineate", "train", "--help"],
    "delineate models": ["-m", "delineate", "models"],
}
GOAL = 0.300  # seconds of `delineate --help`


def once(arguments: list[str]) -> tuple[float, float]:
    """Seconds by the clock, and of the processor (user and system), of one process."""
    before, start = os.times(), time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], capture_output=True, check=False)
    wall, after = time.perf_counter() - start, os.times()
    if done.returncode:
        raise SystemExit(done.stderr.decode())
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return wall, used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeat", type=int, default=20)
    repeat = parser.parse_args().repeat
    told = ", ".join(f"{name} {version(name)}" for name in ("typer", "rich"))
    print(
        f"Python {sys.version.split()[0]}, {told}; median of {repeat}, in ms; load {os.getloadavg()[0]:.1f}"
    )
    print(f"{'':26}{'wall':>6}{'p95':>6}{'CPU':>6}")
    cost = {}
    for name, arguments in COMMANDS.items():
        once(arguments)
        walls, used = zip(*(once(arguments) for _ in range(repeat)), strict=True)
        wall, cost[name] = statistics.median(walls), statistics.median(used)
        late = sorted(walls)[int(0.95 * (repeat - 1))]
        print(f"{name:26}{wall * 1e3:6.0f}{late * 1e3:6.0f}{cost[name] * 1e3:6.0f}")
    fine = cost["delineate --help"] < GOAL
    print(f"delineate --help: {'under' if fine else 'NOT under'} {GOAL * 1e3:.0f} ms of the processor")


if __name__ == "__main__":
    main()
