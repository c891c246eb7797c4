"""`delineate serve` under load: what it can do, and what it does when four times as much is asked.

python benchmarks/serve_load.py IMAGE [--minutes 1] [--factors 0.6,4] [--server delineate]

Requests arrive as they do in life, at random and whether or not earlier ones are answered (an open loop).
Each is a new connection. Told are: answers a second, their times, refusals, whether every request had an
answer; how fast /health/live answered a process that asks nothing else, and an idle server beside it, which
tells what the machine has a part in; by quarters of the run the answers, what they cost, the memory of the
server with its decoders and the load of the machine. The capacity is measured again afterwards.

Other servers of the same model: `plain` is FastAPI with the model in its thread pool, `async` with the model
in its event loop, `litserve` LitServe with one worker (pip install litserve).
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import Process
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
PATIENCE = 60.0  # seconds after which a request counts as unanswered
with socket.create_server(("127.0.0.1", 0)) as free, socket.create_server(("127.0.0.1", 0)) as other_free:
    PORT, IDLE_PORT = free.getsockname()[1], other_free.getsockname()[1]
PEERS = HERE / "peers"
SERVERS = {
    "delineate": [sys.executable, "-m", "delineate", "serve", "--model", "nuclei", "--port", str(PORT)],
    "plain": [sys.executable, str(PEERS / "serve_plain.py"), str(PORT)],
    "async": [sys.executable, str(PEERS / "serve_plain.py"), str(PORT), "async"],
    "litserve": [sys.executable, str(PEERS / "serve_lit.py"), str(PORT)],
}
BYTES, JSON = "application/octet-stream", "application/json"


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


async def ask(method: str, path: str, body: bytes = b"", port: int = PORT) -> tuple[int, bool]:
    """One request on a connection of its own: the status, and whether Retry-After came along."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        kind = JSON if body[:1] == b"{" else BYTES
        head += f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answer = await reader.read()
        first, _, _ = answer.partition(b"\r\n\r\n")
        return int(first.split(None, 2)[1]), b"retry-after" in first.lower()
    finally:
        writer.close()


async def noted(seen: Seen, method: str, path: str, body: bytes = b"", port: int = PORT) -> None:
    begin = time.perf_counter()
    try:
        async with asyncio.timeout(PATIENCE):
            status, retry = await ask(method, path, body, port)
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


@dataclass
class Quarter:
    """What was seen in one part of a run: the server's answers and CPU seconds so far, MB, load average."""

    answers: int
    cpu: float
    memory: float
    load: float


async def opened(body: bytes, rate: float, seconds: float, pid: int) -> tuple[Seen, list[Quarter]]:
    """Requests at a rate; what was seen every two seconds."""
    seen = Seen()
    looks: list[Quarter] = []
    tasks: set[asyncio.Task[None]] = set()
    rng = random.Random(0)
    begin = time.perf_counter()
    due = looked = 0.0
    while (now := time.perf_counter() - begin) < seconds:
        if now >= due:
            tasks.add(asyncio.create_task(noted(seen, "POST", "/api/predict", body)))
            due += rng.expovariate(rate)
        if now >= looked:
            looks.append(Quarter(seen.statuses[200], cpu(pid), rss(pid), os.getloadavg()[0]))
            looked += 2.0
            if len(looks) % 60 == 0:
                told = f"{dict(seen.statuses)}, {dict(seen.troubles)}"
                print(
                    f"   {now:.0f} s: {told}, {looks[-1].memory:.0f} MB, load {looks[-1].load:.1f}",
                    flush=True,
                )
        tasks = {task for task in tasks if not task.done()}
        await asyncio.sleep(max(0.0, min(due, looked) - (time.perf_counter() - begin)))
    await asyncio.gather(*tasks)
    return seen, looks


def idle(port: int) -> None:
    """A server that does nothing but answer: what it takes is the machine's doing."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async def serve() -> None:
        async with await asyncio.start_server(answer, "127.0.0.1", port) as server:
            await server.serve_forever()

    asyncio.run(serve())


def probed(seconds: float, port: int) -> tuple[Seen, Seen]:
    """Looks at the health, four a second, and each time at the idle server too."""

    async def probe() -> tuple[Seen, Seen]:
        health, control, end = Seen(), Seen(), time.perf_counter() + seconds
        while time.perf_counter() < end:
            await asyncio.gather(noted(health, "GET", "/health/live"), asyncio.sleep(0.25))
            await noted(control, "GET", "/", port=port)
        return health, control

    return asyncio.run(probe())


def family(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    with contextlib.suppress(OSError):  # threads and processes end while they are listed
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                for child in (task / "children").read_text().split():
                    found += family(int(child))
    return found


def rss(pid: int) -> float:
    pages = 0
    for p in family(pid):
        with contextlib.suppress(OSError):
            pages += int(Path(f"/proc/{p}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def cpu(pid: int) -> float:
    """Seconds of processor time of a process and all below it, so far, those that have ended too."""
    total = 0.0
    for p in family(pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{p}/stat").read_text().rpartition(")")[2].split()
            total += sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
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
    if given.server == "litserve":
        body = json.dumps({"image": base64.b64encode(body).decode()}).encode()
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
            print(f"capacity afterwards {asyncio.run(closed(body, 15.0, given.clients))[0]:.1f}/s")
        finally:
            below = family(process.pid)
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:  # it works on what nobody waits for any more
                for pid in below:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                process.wait()
        failures = re.findall(r'"level": "error"[^\n]*', log.read_text(errors="replace"))
        print(f"exit code {process.returncode}, {len(failures)} errors in the log", *failures[:3], sep="\n")


def report(factor: float, capacity: float, body: bytes, seconds: float, pid: int) -> None:
    begin = time.perf_counter()
    other = Process(target=idle, args=(IDLE_PORT,), daemon=True)
    other.start()
    with ProcessPoolExecutor(1) as beside:
        asked = beside.submit(probed, seconds, IDLE_PORT)
        seen, looks = asyncio.run(opened(body, factor * capacity, seconds, pid))
        took = time.perf_counter() - begin
        health, control = asked.result()
    other.kill()
    sent = sum(seen.statuses.values()) + sum(seen.troubles.values())
    print(f"-- {factor:g} x capacity for {seconds:.0f} s: {sent} asked, {sent / seconds:.1f} a second")
    good = seen.statuses[200] / took
    print(f"   answers {good:.1f}/s ({good / capacity:.0%} of capacity)")
    print(f"   200: {told(seen, 200)}; 503: {told(seen, 503)}, {seen.without_retry} without Retry-After")
    others = {status: n for status, n in seen.statuses.items() if status not in (200, 503)}
    print(f"   no answer: {json.dumps(seen.troubles)}; other statuses: {json.dumps(others)}")
    print(f"   health: {told(health, 200)}, unanswered {sum(health.troubles.values())}")
    print(f"   an idle server meanwhile: {told(control, 200)}")
    for number, part in enumerate(np.array_split(np.arange(len(looks)), min(4, len(looks))), start=1):
        first, last = looks[part[0]], looks[min(part[-1] + 1, len(looks) - 1)]
        answers, memory = last.answers - first.answers, [looks[k].memory for k in part]
        each = (last.cpu - first.cpu) / max(1, answers) * 1000
        print(
            f"   quarter {number}: {answers} answers, {each:.0f} ms of CPU each,"
            f" {np.mean(memory):.0f} MB ({max(memory):.0f} at most),"
            f" load average {np.mean([looks[k].load for k in part]):.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
