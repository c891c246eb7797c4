"""What `delineate serve` does when the world around it fails; each case prints what came of it.

python benchmarks/serve_faults.py IMAGE [CASE ...]

kills N      (kills:20) kill -9 the server N times in the middle of jobs: every image ends once, none is lost
decoder      kill -9 a decoder every five seconds under load: every request is answered
disk         the store on a tmpfs of 4 MB that fills up and is emptied (root, Linux)
slow         clients that send their headers, their body, or take their answer, one byte at a time
model        the weights file replaced by damaged ones under load
database     PostgreSQL stopped, started, and its database dropped and made anew, under load
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np

import delineate as dl
from delineate.client import Client, ServerError


class Server:
    """`delineate serve` in a process of its own."""

    def __init__(self, *options: str) -> None:
        command = [sys.executable, "-m", "delineate", "serve", "--port", "0", "--threads", "1", *options]
        self.log = Path(tempfile.mkstemp(prefix="serve-faults-")[1])
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        with self.log.open("wb") as file:
            self.process = subprocess.Popen(command, stderr=file, env=env)
        while not (found := re.search(r"^serve: (\S+:(\d+))", self.log.read_text(), re.MULTILINE)):
            if self.process.poll() is not None:
                raise SystemExit(self.log.read_text())
            time.sleep(0.1)
        self.url, self.port = found[1], int(found[2])

    def decoders(self) -> list[int]:
        tasks = Path(f"/proc/{self.process.pid}/task")
        return [int(n) for t in tasks.iterdir() for n in (t / "children").read_text().split()]

    def end(self, sign: int = signal.SIGTERM) -> int:
        self.process.send_signal(sign)
        code = self.process.wait(90)
        self.log.unlink()
        return code


class Load:
    """Clients that ask on and on; what they were answered."""

    def __init__(self, server: Server, image: bytes, clients: int = 2) -> None:
        self.answers: Counter[str] = Counter()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(server.url, image)) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _ask(self, url: str, image: bytes) -> None:
        with Client(url, patience=0) as client:
            while not self._stop.is_set():
                try:
                    self.answers[str(len(client.predict(image)["objects"]))] += 1
                except ServerError as error:
                    self.answers[f"error {error.status} {error}"] += 1
                    time.sleep(0.1)

    def end(self) -> str:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        return ", ".join(f"{n} x {what}" for what, n in self.answers.most_common(4))


def kills(image: bytes, count: int) -> None:
    """Six images a job, submitted again and again while the server dies."""
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        options = ("--db", str(Path(folder) / "jobs.sqlite"))
        jobs: list[str] = []
        for number in range(count):
            server = Server(*options)
            with Client(server.url) as client:
                jobs.append(client.submit([image] * 6, key=f"key {number}").id)
                time.sleep(rng.uniform(0.0, 1.5))
            server.end(signal.SIGKILL)
        server = Server(*options)
        lost = doubled = failed = 0
        with Client(server.url, patience=600) as client:
            for number, job in enumerate(jobs):
                again = client.submit([image] * 6, key=f"key {number}")
                results = again.wait()
                doubled += again.id != job or [r["seq"] for r in results] != [1, 2, 3, 4, 5, 6]
                lost += {r["number"] for r in results} != {1, 2, 3, 4, 5, 6}
                failed += sum(r["state"] != "done" for r in results)
        print(
            f"{count} kills, {len(jobs)} jobs of 6: lost {lost}, doubled {doubled}, failed {failed}", end="; "
        )
        print(f"exit code {server.end()}")


def decoder(image: bytes) -> None:
    server = Server()
    load = Load(server, image)
    killed = 0
    for _ in range(8):
        time.sleep(5)
        for pid in server.decoders():
            os.kill(pid, signal.SIGKILL)
            killed += 1
    print(f"{killed} decoders killed; answers: {load.end()}; exit code {server.end()}")


def disk(image: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], check=True)
        try:
            server = Server("--db", str(Path(folder) / "jobs.sqlite"))
            load = Load(server, image, 1)
            taken: list[str] = []
            with Client(server.url, patience=0) as client:
                until_full = _until(lambda: taken.append(client.submit([image] * 4).id))
                full = f"after {len(taken)} jobs: {until_full}"
                predicted, ready = client.predict(image)["count"], client.ready()
            with Client(server.url, patience=300) as client:
                subprocess.run(["mount", "-o", "remount,size=64m", folder], check=True)
                done = [sum(r["state"] == "done" for r in job.wait()) for job in map(client.job, taken)]
                after = client.submit([image])
                more = [r["state"] for r in after.wait()]
            print(f"{full}; meanwhile predict found {predicted}, ready {ready}")
            print(f"  with room again: {sum(done)} of {4 * len(taken)} images done, a new job {more}")
            print(f"  predictions all along: {load.end()}; exit code {server.end()}")
        finally:
            subprocess.run(["umount", folder], check=True)


def _until(work: Callable[[], Any]) -> str:
    for _ in range(1000):
        try:
            work()
        except ServerError as error:
            return f"{error.status} {error} (Retry-After {error.retry_after})"
    return "never refused"


def slow(image: bytes) -> None:
    server = Server("--read-seconds", "3")
    load = Load(server, image)
    head = f"POST /api/predict?format=overlay HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(image)}\r\n"
    noise = np.random.default_rng(0).integers(0, 255, (1400, 1400, 3), dtype=np.uint8)
    large = bytes(imagecodecs.png_encode(noise))  # its overlay is more than the system's own buffers hold
    whole = head.replace(str(len(image)), str(len(large)))
    cases = {"headers": b"", "body": f"{head}\r\n".encode(), "answer": f"{whole}\r\n".encode() + large}
    counts = {"headers": 30, "body": 30, "answer": 4}

    async def drip(case: str, sent: bytes) -> str:
        begin = time.monotonic()
        link = socket.socket()
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        link.setblocking(False)
        await asyncio.get_running_loop().sock_connect(link, ("127.0.0.1", server.port))
        reader, writer = await asyncio.open_connection(sock=link, limit=1024)
        writer.write(sent)
        try:
            for k in range(1200):
                if case != "answer":
                    writer.write(b"x" if case == "body" else head.encode()[k : k + 1])
                    await writer.drain()
                elif not await reader.read(1):
                    break
                await asyncio.sleep(0.1)
                if reader.at_eof() or (case == "body" and reader._buffer):  # type: ignore[attr-defined]
                    break
        except OSError:
            pass
        status = bytes(reader._buffer[:12]).decode() if case == "body" else "cut off"  # type: ignore[attr-defined]
        writer.close()
        return f"{case}: {status} after {time.monotonic() - begin:.0f} s"

    async def all_() -> list[str]:
        return await asyncio.gather(*(drip(c, s) for c, s in cases.items() for _ in range(counts[c])))

    told = Counter(asyncio.run(all_()))
    print(f"30, 30 and 4 clients of each kind: {dict(told)}")
    print(f"  others meanwhile: {load.end()}; exit code {server.end()}")


def model(image: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = dl.load("nuclei").save(Path(folder) / "w.safetensors")
        whole = path.read_bytes()
        server = Server("--model", str(path))
        load = Load(server, image)
        told = []
        with Client(server.url) as client:
            for damaged in (b"", whole[:100], whole[: len(whole) // 2], bytes(reversed(whole))):
                path.write_bytes(damaged)  # in place, as a copy that is cut off
                time.sleep(6)
                told.append(client.models()["models"][0]["fault"][:60])
            path.unlink()
            time.sleep(3)
            path.write_bytes(whole)
            time.sleep(6)
            last = client.models()["models"][0]["fault"]
        print(f"faults told: {told}, at last {last!r}; answers: {load.end()}; exit code {server.end()}")


def database(image: bytes) -> None:
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
    folder = Path(tempfile.mkdtemp(prefix="serve-postgres-"))
    before = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []
    if before:
        shutil.chown(folder, "nobody", "nogroup")

    def run(*words: object) -> None:
        subprocess.run([*before, *map(str, words)], check=True, capture_output=True, cwd="/")

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = folder / "data"
    run(programs / "initdb", "-D", data, "-U", "studio", "-A", "trust", "--no-sync", "-E", "UTF8")
    control = (programs / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", f"-p {port} -k {folder} -F")
    sql = ("psql", "-h", "127.0.0.1", "-p", port, "-U", "studio", "-d", "postgres", "-c")
    run(*control, "start")
    try:
        run(*sql, "create database jobs")
        server = Server("--db", f"postgresql://studio@127.0.0.1:{port}/jobs")
        load = Load(server, image, 1)
        with Client(server.url, patience=60) as client, Client(server.url, patience=0) as hasty:
            job = client.submit([image] * 8)
            time.sleep(0.5)
            run(*control, "-m", "immediate", "stop")
            stopped = _until(lambda: hasty.submit([image]))
            time.sleep(3)
            run(*control, "start")
            seqs = [r["seq"] for r in job.wait()]
            right = seqs == list(range(1, 9))
            print(f"stopped: {stopped[:100]}; started again: {len(seqs)} of 8 images, each once {right}")
            run(*sql, "drop database jobs with (force)")
            dropped = _until(lambda: hasty.submit([image]))
            run(*sql, "create database jobs")
            states = [r["state"] for r in client.submit([image] * 2).wait()]
            print(f"dropped: {dropped[:100]}; made anew: a new job {states}")
        print(f"  predictions all along: {load.end()}; exit code {server.end()}")
    finally:
        run(*control, "-m", "fast", "stop")
        shutil.rmtree(folder, ignore_errors=True)


CASES: dict[str, Callable[[bytes], None]] = {
    "decoder": decoder,
    "disk": disk,
    "slow": slow,
    "model": model,
    "database": database,
}


def main() -> None:
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    image = Path(sys.argv[1]).read_bytes()
    for case in sys.argv[2:] or ["kills:20", *CASES]:
        name, _, count = case.partition(":")
        print(f"-- {name}", flush=True)
        if name == "kills":
            kills(image, int(count or 20))
        else:
            CASES[name](image)
        sys.stdout.flush()


if __name__ == "__main__":
    main()
