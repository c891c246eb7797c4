"""`delineate serve` under load: what it can do, and what it does when four times as much is asked.

python benchmarks/serve_load.py IMAGE [--minutes 1] [--factors 0.6,4] [--server delineate|plain]

Requests arrive as they do in life, at random and whether or not earlier ones are answered (an open loop).
Each is a new connection. Told are: answers a second, their times, refusals, whether every request had an
answer, how fast /health/live answered meanwhile, and the memory of the server with its decoders. `plain` is
FastAPI with the same model in its thread pool.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
PATIENCE = 60.0  # seconds after which a request counts as unanswered
PORT = 8177
SERVERS = {
    "delineate": [sys.executable, "-m", "delineate", "serve", "--model", "nuclei", "--port", str(PORT)],
    "plain": [sys.executable, str(HERE / "peers" / "serve_plain.py"), str(PORT)],
}


@dataclass
class Seen:
    """What came of the requests of one run."""

    statuses: Counter[int] = field(default_factory=Counter)
    times: dict[int, list[float]] = field(default_factory=dict)
    troubles: Counter[str] = field(default_factory=Counter)
    without_retry: int = 0

    def note(self, status: int, seconds: float, retry: bool) -> None:
        self.statuses[status] += 1
        self.times.setdefault(status, []).append(seconds)
        self.without_retry += status in (429, 503) and not retry


async def ask(method: str, path: str, body: bytes = b"") -> tuple[int, bool]:
    """One request on a connection of its own: the status, and whether Retry-After came along."""
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
    try:
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        head += f"Content-Type: application/octet-stream\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answer = await reader.read()
        first, _, _ = answer.partition(b"\r\n\r\n")
        return int(first.split(None, 2)[1]), b"retry-after" in first.lower()
    finally:
        writer.close()


async def noted(seen: Seen, method: str, path: str, body: bytes = b"") -> None:
    begin = time.perf_counter()
    try:
        async with asyncio.timeout(PATIENCE):
            status, retry = await ask(method, path, body)
        seen.note(status, time.perf_counter() - begin, retry)
    except (OSError, ValueError, IndexError, TimeoutError) as error:
        seen.troubles[type(error).__name__] += 1


async def closed(body: bytes, seconds: float, clients: int) -> tuple[float, Seen]:
    """Answers a second while so many clients each ask again as soon as they are answered."""
    seen, end = Seen(), time.perf_counter() + seconds

    async def client() -> None:
        while time.perf_counter() < end:
            await noted(seen, "POST", "/api/predict", body)

    begin = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return seen.statuses[200] / (time.perf_counter() - begin), seen


async def opened(body: bytes, rate: float, seconds: float, pid: int) -> tuple[Seen, Seen, list[float]]:
    """Requests at a rate, looks at the health, and the memory in MB every two seconds."""
    seen, health, memory = Seen(), Seen(), [rss(pid)]
    tasks: set[asyncio.Task[None]] = set()
    rng = random.Random(0)
    begin = time.perf_counter()
    due = looked = weighed = 0.0
    while (now := time.perf_counter() - begin) < seconds:
        if now >= due:
            tasks.add(asyncio.create_task(noted(seen, "POST", "/api/predict", body)))
            due += rng.expovariate(rate)
        if now >= looked:
            tasks.add(asyncio.create_task(noted(health, "GET", "/health/live")))
            looked += 0.25
        if now >= weighed:
            memory.append(rss(pid))
            weighed += 2.0
        tasks = {task for task in tasks if not task.done()}
        await asyncio.sleep(max(0.0, min(due, looked) - (time.perf_counter() - begin)))
    await asyncio.gather(*tasks)
    return seen, health, memory


def family(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += family(int(child))
    return found


def rss(pid: int) -> float:
    pages = sum(int(Path(f"/proc/{p}/statm").read_text().split()[1]) for p in family(pid))
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def cpu(pid: int) -> float:
    """Seconds of processor time of a process and all below it, so far."""
    total = 0.0
    for p in family(pid):
        fields = Path(f"/proc/{p}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def start(kind: str, options: list[str], log: Path) -> subprocess.Popen[bytes]:
    """The server, once it answers."""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    with log.open("wb") as file:
        process = subprocess.Popen([*SERVERS[kind], *options], stderr=file, stdout=file, env=env)
    for _ in range(600):
        try:
            if asyncio.run(ask("GET", "/health/live"))[0] == 200:
                return process
        except (OSError, IndexError):
            time.sleep(0.2)
        if process.poll() is not None:
            break
    raise SystemExit(f"the server did not start: {log.read_text()[-2000:]}")


def told(seen: Seen, status: int) -> str:
    times = seen.times.get(status)
    if not times:
        return "none"
    p50, p99 = np.percentile(times, (50, 99)) * 1000
    return f"{len(times)} in {p50:.0f} ms (median), {p99:.0f} ms (p99)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("image", type=Path)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--factors", default="0.6,4")
    parser.add_argument("--server", default="delineate", choices=tuple(SERVERS))
    parser.add_argument("--clients", type=int, default=4, help="of the closed loop that finds the capacity")
    parser.add_argument("--options", default="--queue 16 --threads 1", help="of delineate serve")
    given = parser.parse_args()
    body = given.image.read_bytes()
    options = given.options.split() if given.server == "delineate" else []
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        process = start(given.server, options, log)
        try:
            asyncio.run(closed(body, 3.0, 1))  # warm
            used = cpu(process.pid)
            capacity, seen = asyncio.run(closed(body, 15.0, given.clients))
            used = (cpu(process.pid) - used) / max(1, seen.statuses[200])
            print(f"{given.server}: capacity {capacity:.1f}/s, {used * 1000:.0f} ms of CPU each")
            print(f"   {given.clients} clients: {told(seen, 200)}")
            if not capacity:
                raise SystemExit(f"no answers: {dict(seen.statuses)}, {dict(seen.troubles)}")
            for factor in map(float, given.factors.split(",")):
                report(factor, capacity, body, given.minutes * 60, process.pid)
            print(f"load average at the end: {os.getloadavg()[0]:.1f}")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        failures = re.findall(r'"level": "error"[^\n]*', log.read_text(errors="replace"))
        print(f"exit code {process.returncode}, {len(failures)} errors in the log", *failures[:3], sep="\n")


def report(factor: float, capacity: float, body: bytes, seconds: float, pid: int) -> None:
    used, begin = cpu(pid), time.perf_counter()
    seen, health, memory = asyncio.run(opened(body, factor * capacity, seconds, pid))
    took = time.perf_counter() - begin
    sent = sum(seen.statuses.values()) + sum(seen.troubles.values())
    print(f"-- {factor:g} x capacity for {seconds:.0f} s: {sent / seconds:.1f} asked/s")
    good = seen.statuses[200] / took
    print(f"   answers {good:.1f}/s ({good / capacity:.0%} of capacity)")
    print(f"   200: {told(seen, 200)}; 503: {told(seen, 503)}, {seen.without_retry} without Retry-After")
    others = {status: n for status, n in seen.statuses.items() if status not in (200, 503)}
    print(f"   no answer: {json.dumps(seen.troubles)}; other statuses: {json.dumps(others)}")
    print(f"   health: {told(health, 200)}, unanswered {sum(health.troubles.values())}")
    quarter = max(1, len(memory) // 4)
    first, last = np.mean(memory[:quarter]), np.mean(memory[-quarter:])
    most = max(memory)
    print(f"   MB: {memory[0]:.0f} before, first quarter {first:.0f}, last {last:.0f}, most {most:.0f}")
    print(f"   CPU {cpu(pid) - used:.0f} s")


if __name__ == "__main__":
    main()
