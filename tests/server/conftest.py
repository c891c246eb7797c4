"""The studio in a real browser: one Chromium a session, servers as subprocesses, pages that wait."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from delineate.data.write import write_label_tiff, write_png

ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
]
PATIENCE = 60.0  # seconds: machines that test are busy


class Server:
    """`delineate studio` in a process of its own, with what it said at its start."""

    def __init__(self, dataset: Path, *options: str, port: int = 0) -> None:
        command = [sys.executable, "-m", "delineate", "studio", str(dataset), "--no-browser"]
        self.process = subprocess.Popen(
            [*command, "--port", str(port), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "400"},
        )
        self.said = ""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line
            if found := re.search(r"studio: (http://\S+:(\d+))", line):
                self.address, self.port = found[1], int(found[2])
                return
        raise AssertionError(f"the studio did not start:\n{self.said}")

    def token(self, user: str) -> str:
        """The token of a user that was made at the start."""
        found = re.search(rf"^{user}: \S*token=(\S+)", self.said, re.MULTILINE)
        assert found, self.said
        return found[1]

    def kill(self) -> None:
        """As the power cut does: no warning."""
        self.process.kill()
        self.close()

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(20)
        assert self.process.stdout is not None
        self.process.stdout.close()


class Studio:
    """A page of the studio, driven in image pixels."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.troubles: list[str] = []
        self.asked: list[str] = []
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("console", lambda message: message.type == "error" and self.troubles.append(message.text))
        page.on("request", lambda request: self.asked.append(request.url))

    def open(self, address: str, image: int | None = None) -> Studio:
        self.page.goto(f"{address}/" + (f"#image={image}" if image else ""))
        self.until("document.body.classList.contains('ready')")
        self.settle()
        return self

    def js(self, expression: str, given: Any = None) -> Any:
        return self.page.evaluate(expression, given)

    def until(self, expression: str, seconds: float = PATIENCE) -> None:
        """Waits for an expression; the page's policy forbids Playwright's own way."""
        end = time.monotonic() + seconds
        while not self.holds(expression):
            assert time.monotonic() < end, f"never came true: {expression}; {self.troubles}"
            self.page.wait_for_timeout(20)

    def holds(self, expression: str) -> bool:
        """Whether an expression is true; a page that is being left has nothing to say."""
        try:
            return bool(self.page.evaluate(expression))
        except Exception as error:
            if "context was destroyed" not in str(error):
                raise
            return False

    def settle(self) -> Studio:
        """Everything is saved and painted."""
        self.until("studio.edits.waiting === 0 && studio.stage.idle")
        return self

    def keys(self, *names: str) -> Studio:
        for name in names:
            self.page.keyboard.press(name)
        return self

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where a point of the image is on the page."""
        where = """([x, y]) => { const b = document.getElementById('canvas').getBoundingClientRect();
            const [sx, sy] = studio.studio.view.toScreen(x, y).map((at) => at / devicePixelRatio);
            return [b.left + sx, b.top + sy]; }"""
        left, top = self.js(where, [x, y])
        return left, top

    def click(self, x: float, y: float, **options: Any) -> Studio:
        self.page.mouse.click(*self.place(x, y), **options)
        return self

    def drag(self, *points: tuple[float, float]) -> Studio:
        """Press at the first point, go through the others, let go at the last."""
        self.page.mouse.move(*self.place(*points[0]))
        self.page.mouse.down()
        for point in points[1:]:
            self.page.mouse.move(*self.place(*point), steps=6)
        self.page.mouse.up()
        return self.settle()

    def polygon(self, *points: tuple[float, float], key: str = "p") -> Studio:
        self.keys(key)
        for point in points:
            self.click(*point)
        return self.keys("Enter").settle()

    @property
    def objects(self) -> list[dict[str, Any]]:
        """What the page holds, in the order of ids."""
        found: list[dict[str, Any]] = self.js("[...studio.studio.objects.values()]")
        return sorted(found, key=lambda each: each["id"])

    @property
    def selected(self) -> list[int]:
        return list(self.js("[...studio.studio.selected]"))

    @property
    def said(self) -> str:
        """What a screen reader and the messages say."""
        return str(self.js("['said', 'toasts'].map((id) => document.getElementById(id).innerText).join(' ')"))

    def colour(self, x: float, y: float) -> list[int]:
        """The colour of the canvas at a point of the image."""
        at = """([x, y]) => { const [sx, sy] = studio.studio.view.toScreen(x, y);
            return [...studio.stage.context.getImageData(sx, sy, 1, 1).data].slice(0, 3); }"""
        return list(self.js(at, [x, y]))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Debian's Chromium without a screen."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="no playwright; pip install 'delineate[test]'"
    )
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no Chromium; the studio's browser tests need it: apt-get install chromium")
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=ARGS)
        yield browser
        browser.close()


@pytest.fixture
def new_page(chromium: Any) -> Iterator[Callable[..., Studio]]:
    """Makes pages, each with settings and cookies of its own; none may complain by the end."""
    contexts, pages = [], []

    def make(**options: Any) -> Studio:
        contexts.append(chromium.new_context(**{"viewport": {"width": 1280, "height": 800}, **options}))
        pages.append(Studio(contexts[-1].new_page()))
        return pages[-1]

    yield make
    for context in contexts:
        context.close()
    assert [trouble for page in pages for trouble in page.troubles] == []


def cells(folder: Path, images: int) -> Path:
    """Images of 120 x 90 with three bright squares each, of 20 x 20 at (10, 10), (40, 10) and (70, 50)."""
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    for k in range(images):
        labels = np.zeros((90, 120), np.uint16)
        for number, (x, y) in enumerate(((10, 10), (40, 10), (70, 50)), 1):
            labels[y : y + 20, x : x + 20] = number
        pixels = np.where(labels > 0, 180, 40).astype(np.uint8)
        write_png(folder / "images" / f"cell {k:03}.png", np.dstack([pixels, pixels // 2, pixels // 4]))
        write_label_tiff(folder / "labels" / f"cell {k:03}.tif", labels)
    return folder


@pytest.fixture(scope="session")
def make_cells() -> Callable[[Path, int], Path]:
    """:func:`cells`, for tests that start a server of their own."""
    return cells


@pytest.fixture(scope="session")
def make_server() -> Iterator[Callable[..., Server]]:
    """Starts servers; all of them end with the session."""
    started: list[Server] = []

    def make(dataset: Path, *options: str, port: int = 0) -> Server:
        started.append(Server(dataset, *options, port=port))
        return started[-1]

    yield make
    for server in started:
        if server.process.poll() is None:
            server.close()


@pytest.fixture(scope="session")
def cell_server(chromium: Any, make_server: Callable[..., Server], tmp_path_factory: Any) -> Server:
    """One server with 130 images for all tests that draw; each test takes an image of its own."""
    folder = cells(tmp_path_factory.mktemp("studio") / "cells", 130)
    return make_server(folder, "--class", "debris", "--class", "mitosis")


_numbers = iter(range(5, 130, 2))  # the one after is free for objects that are carried on


@pytest.fixture
def drawn(cell_server: Server, new_page: Callable[..., Studio]) -> Studio:
    """A page at an image that no other test touches, with three squares of 400 pixels."""
    return new_page().open(cell_server.address, next(_numbers))


def areas(objects: Sequence[dict[str, Any]]) -> list[int]:
    """Pixels of each object, least first."""
    return sorted(each["area"] for each in objects)
