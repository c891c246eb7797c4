"""A prediction server for tests: one decoder, limits that a test chooses."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import imagecodecs
import numpy as np
import pytest
from starlette.testclient import TestClient

import delineate as dl
from delineate.core.batch import InputSpec
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.engine import checkpoint
from delineate.server.predict.app import create_app
from delineate.server.predict.launch import Settings, open_service
from delineate.server.predict.limits import Limits

PATIENCE = 60.0  # seconds: machines that test are busy


def picture(seed: int = 0, size: tuple[int, int] = (64, 80)) -> bytes:
    """A PNG with some bright discs, which the embedded model takes for nuclei."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(10, 30, (*size, 3), dtype=np.uint8)
    for y in range(16, size[0] - 8, 24):
        for x in range(16, size[1] - 8, 24):
            cv2.circle(pixels, (x, y), int(rng.integers(6, 9)), (170, 170, 170), -1)
    return bytes(imagecodecs.png_encode(cv2.GaussianBlur(pixels, (3, 3), 0)))


def until(holds: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """Waits for something to become true, and gives it."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)
    return found


def save_tiny(path: Path, record: str = "") -> Path:
    """The embedded model with another note in its file, which therefore has another version."""
    model = dl.load("nuclei")
    return checkpoint.save(path, model.segmenter, record={"note": record}, licence=model.licence)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that load at once."""
    return save_tiny(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


@pytest.fixture(scope="module")
def make_page(tiny: Path) -> Iterator[Callable[..., TestClient]]:
    """Makes servers in this process, and clients of theirs."""
    with ExitStack() as stack:

        def make(watch: float = 0.0, limits: dict[str, Any] | None = None, **settings: Any) -> TestClient:
            settings = {"models": (f"tiny={tiny}",), "limits": Limits(**(limits or {})), **settings}
            app = create_app(open_service(Settings(**settings)), watch=watch)
            return stack.enter_context(TestClient(app, raise_server_exceptions=False))

        yield make


@pytest.fixture(scope="module")
def page(make_page: Callable[..., TestClient]) -> TestClient:
    """A server with no settings but its model."""
    return make_page()


@dataclass
class FakeModel:
    """Finds one square of 4 pixels in every image, when it is let.

    Attributes:
        gate: it looks while this is set.
        seen: images of each look.
        fault: raised instead.
        tiles: an image has so many.
    """

    gate: threading.Event = field(default_factory=threading.Event)
    seen: list[int] = field(default_factory=list)
    fault: Exception | None = None
    tiles: int = 1

    def __post_init__(self) -> None:
        self.segmenter = SimpleNamespace(input=InputSpec(None, None, divisor=32), family="fake")

    def predict(self, pixels: Any, progress: Any = None, tile: Any = "auto", **_: Any) -> Instances:
        for k in range(self.tiles):
            assert self.gate.wait(PATIENCE)
            if progress is not None:
                progress(k + 1, self.tiles)
        return self.predict_together([pixels])[0]

    def predict_together(self, images: list[Any], **_: Any) -> list[Instances]:
        assert self.gate.wait(PATIENCE)
        if self.fault is not None:
            raise self.fault
        self.seen.append(len(images))
        return [_square(image.shape[:2]) for image in images]


def _square(size: tuple[int, int]) -> Instances:
    labels = np.zeros(size, np.int32)
    labels[:2, :2] = 1
    return Instances(size, masks=Masks.from_label_image(labels))


class Process:
    """`delineate serve` in a process of its own."""

    def __init__(self, *options: str) -> None:
        command = [sys.executable, "-m", "delineate", "serve", "--port", "0", *options]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        self.said: list[str] = []
        self.url = ""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line)
            if found := re.match(r"serve: (\S+)", line):
                self.url = found[1]
                break
        assert self.url, "".join(self.said)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.said.extend(self.process.stderr)

    def children(self) -> list[int]:
        """The decoders' process numbers."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        found = [int(n) for n in path.read_text().split()]
        tasks = Path(f"/proc/{self.process.pid}/task")
        return found or [int(n) for t in tasks.iterdir() for n in (t / "children").read_text().split()]

    def kill(self) -> None:
        """As a lack of memory does: no warning."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.close()

    def close(self) -> int:
        if self.process.poll() is None:
            self.process.terminate()
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code


@pytest.fixture
def serve() -> Iterator[Callable[..., Process]]:
    """Starts servers; all of them end with the test."""
    started: list[Process] = []

    def start(*options: str) -> Process:
        started.append(Process(*options))
        return started[-1]

    yield start
    for process in started:
        if not process.process.stderr.closed:  # type: ignore[union-attr]
            process.close()


@pytest.fixture(scope="session")
def kit() -> SimpleNamespace:
    """What tests share."""
    return SimpleNamespace(picture=picture, until=until, save_tiny=save_tiny, FakeModel=FakeModel)
