"""The studio's server under load: opening large images, tiles, edits, thousands of images; times and memory.

python benchmarks/studio_server.py big IMAGE          open one large image
python benchmarks/studio_server.py many COUNT         a folder of so many small images
python benchmarks/studio_server.py edits              brush strokes on an image with 5,000 objects
"""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from delineate.data.write import write_label_tiff, write_png


class Server:
    """`delineate studio` in a process of its own, with a fresh database."""

    def __init__(self, dataset: Path, database: str | Path) -> None:
        command = [sys.executable, "-m", "delineate", "studio", str(dataset), "--no-browser", "--port", "0"]
        begin = time.perf_counter()
        self.process = subprocess.Popen([*command, "--db", str(database)], stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        self.port = 0
        for line in self.process.stderr:
            if found := re.match(r"studio: http://[^:]+:(\d+)", line):
                self.port = int(found[1])
                break
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port)
        self.ask("GET", "/api/project")
        self.started = time.perf_counter() - begin

    def ask(self, method: str, path: str, body: Any = None) -> bytes:
        """The answer's bytes; anything but success ends the benchmark."""
        data = None if body is None else json.dumps(body)
        self.connection.request(method, path, data, {"content-type": "application/json"})
        answer = self.connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{method} {path}: {answer.status} {content[:300]!r}")
        return content

    def get(self, path: str) -> Any:
        return json.loads(self.ask("GET", path))

    def memory(self) -> str:
        """Peak of all memory, and what of it now is the process's own, in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        kept = {k: int(v) // 1024 for k, v in re.findall(r"(VmHWM|RssAnon):\s+(\d+)", status)}
        return f"peak {kept['VmHWM']} MB, own now {kept['RssAnon']} MB"

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=20)


def timed(server: Server, paths: list[str]) -> str:
    times = []
    for path in paths:
        begin = time.perf_counter()
        server.ask("GET", path)
        times.append((time.perf_counter() - begin) * 1000)
    return f"median {np.median(times):.1f} ms, slowest {max(times):.1f} ms of {len(times)}"


def big(image: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = Server(image, Path(folder) / "studio.sqlite")
        print(f"started in {server.started:.1f} s; {server.memory()}")
        begin = time.perf_counter()
        told = server.get("/api/images/1")
        seconds = time.perf_counter() - begin
        print(f"opened {told['width']} x {told['height']} in {seconds:.1f} s; {server.memory()}")
        rng = np.random.default_rng(0)
        for level in range(told["levels"]):
            wide, tall = (-(-told[side] // (256 << level)) for side in ("width", "height"))
            some = rng.permutation(wide * tall)[:40]
            paths = [f"/api/images/1/tiles/{level}/{k % wide}/{k // wide}" for k in some]
            print(f"tiles of level {level}: {timed(server, paths)}")
        print(f"thumbnail: {timed(server, ['/api/images/1/thumbnail'])}")
        print(f"after that: {server.memory()}")
        server.close()
        server = Server(image, Path(folder) / "studio.sqlite")
        begin = time.perf_counter()
        server.get("/api/images/1")
        print(f"opened again by a new server in {time.perf_counter() - begin:.2f} s; {server.memory()}")
        server.close()


def many(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        for name in ("images", "labels"):
            (data / name).mkdir(parents=True)
        rng = np.random.default_rng(0)
        pixels = rng.integers(0, 255, (256, 256), dtype=np.uint8)
        labels = np.zeros((256, 256), np.uint16)
        for k in range(36):
            labels[k // 6 * 42 + 3 : k // 6 * 42 + 30, k % 6 * 42 + 3 : k % 6 * 42 + 30] = k + 1
        for k in range(count):
            write_png(data / "images" / f"{k:05d}.png", np.roll(pixels, k))
            write_label_tiff(data / "labels" / f"{k:05d}.tif", labels)
        server = Server(data, Path(folder) / "studio.sqlite")
        print(f"{count} images: started in {server.started:.1f} s; {server.memory()}")
        print(f"first page of the list while objects come in: {timed(server, ['/api/images'] * 20)}")
        begin = time.perf_counter()
        while not all(
            i["imported"] for i in server.get(f"/api/images?limit=50&offset={count - 50}")["images"]
        ):
            time.sleep(0.5)
        print(f"all {count * 36} objects in after {time.perf_counter() - begin:.0f} s; {server.memory()}")
        for query in ("", "?search=123", "?sort=objects", "?class_id=1", f"?offset={count - 200}"):
            print(f"list {query or '(plain)'}: {timed(server, [f'/api/images{query}'] * 20)}")
        paths = [f"/api/images/{k + 1}/thumbnail" for k in rng.permutation(count)[:200]]
        print(f"thumbnails, new: {timed(server, paths)}")
        print(f"thumbnails, kept: {timed(server, paths)}; {server.memory()}")
        server.close()
        server = Server(data, Path(folder) / "studio.sqlite")
        print(f"started again in {server.started:.1f} s")
        server.close()


def strokes() -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "image.png"
        write_png(data, np.zeros((4000, 4000), np.uint8))
        server = Server(data, Path(folder) / "studio.sqlite")
        shape = [[0, 0, 30, 0, 40, 20, 30, 40, 0, 40]]
        begin = time.perf_counter()
        for k in range(5000):
            x, y = k % 71 * 55 + 5, k // 71 * 55 + 5
            rings = [[v + (x, y)[i % 2] for i, v in enumerate(ring)] for ring in shape]
            server.ask(
                "POST", "/api/images/1/edits", {"op": "add", "class_id": 1, "geometry": {"rings": rings}}
            )
        print(f"5,000 objects added one by one: {(time.perf_counter() - begin) / 5:.2f} ms each")
        begin = time.perf_counter()
        content = server.ask("GET", "/api/images/1/objects")
        milliseconds = (time.perf_counter() - begin) * 1000
        print(f"all objects asked for: {milliseconds:.0f} ms, {len(content) / 1e6:.1f} MB")
        times, version = [], 1
        for k in range(200):
            body = {"op": "brush", "id": 1, "points": [[20, 20], [60 + k, 60]], "radius": 8}
            begin = time.perf_counter()
            server.ask("POST", "/api/images/1/edits", body | {"versions": {1: version}})
            times.append((time.perf_counter() - begin) * 1000)
            version += 1
        print(f"brush: median {np.median(times):.1f} ms, slowest {max(times):.1f} ms of {len(times)}")
        print(server.memory())
        server.close()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["big", path]:
            big(Path(path))
        case ["many", number]:
            many(int(number))
        case ["edits"]:
            strokes()
        case _:
            raise SystemExit(__doc__)
