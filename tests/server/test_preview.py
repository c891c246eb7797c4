"""The page of a live preview, in a real browser and by plain requests."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import simplejpeg

pytest.importorskip("uvicorn")

from delineate.core.errors import InputError
from delineate.server.preview import Preview

FIGURES = {
    "rate": 24.9, "source_rate": 30.0, "age": 0.05, "worst": 0.1, "spent": 0.03, "objects": 7, "shown": 10,
    "arrived": 1200, "dropped": 300, "source": "camera 0", "what": "640 x 480", "plain": False,
    "confidence": 0.5, "reconnects": 0,
}  # fmt: skip


class Settings:
    """What a page may change here."""

    def __init__(self) -> None:
        self.figures = dict(FIGURES)

    def told(self) -> dict[str, Any]:
        return self.figures

    def change(self, wanted: dict[str, Any]) -> None:
        if set(wanted) - {"plain", "confidence"}:
            raise InputError("settings: expected plain or confidence, got others; send one of them")
        self.figures |= wanted


@pytest.fixture
def settings() -> Settings:
    return Settings()


@pytest.fixture
def preview(settings: Settings) -> Iterator[Preview]:
    with Preview(settings.told, settings.change, port=0) as server:
        yield server


def picture(shade: int, height: int = 48, width: int = 64) -> Any:
    return np.full((height, width, 3), shade, np.uint8)


class Asker:
    """One connection, as a browser's."""

    def __init__(self, preview: Preview) -> None:
        parts = urlsplit(preview.address)
        self.connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=15)

    def __call__(
        self, path: str, method: str = "GET", body: Any = None, **headers: str
    ) -> tuple[int, Any, Any]:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request(method, path, json.dumps(body) if body is not None else None, names)
        answer = self.connection.getresponse()
        return answer.status, answer.headers, answer.read()


@pytest.fixture
def ask(preview: Preview) -> Iterator[Asker]:
    asker = Asker(preview)
    yield asker
    asker.connection.close()


def test_a_question_is_answered_with_the_newest_picture_once_there_is_one(
    preview: Preview, ask: Asker
) -> None:
    threading.Timer(0.2, preview.channel.publish, (picture(50), time.monotonic())).start()
    status, headers, data = ask("/api/picture?after=0")
    assert (status, headers["X-Number"]) == (200, "1")
    assert simplejpeg.decode_jpeg(data).mean() == pytest.approx(50, abs=2)
    for shade in (60, 70, 80):
        preview.channel.publish(picture(shade), time.monotonic())
    _, headers, data = ask("/api/picture?after=1&painted=1")
    assert headers["X-Number"] == "4" and simplejpeg.decode_jpeg(data).mean() == pytest.approx(80, abs=2)
    assert (
        headers["Cache-Control"] == "no-store" and "default-src 'none'" in headers["Content-Security-Policy"]
    )


def test_the_age_on_the_screen_is_told(preview: Preview, ask: Asker) -> None:
    assert json.loads(ask("/api/figures")[2])["screen"] is None
    preview.channel.publish(picture(1), time.monotonic() - 0.4)
    ask("/api/picture?after=0")
    preview.channel.publish(picture(2), time.monotonic())
    ask("/api/picture?after=1&painted=1")
    assert json.loads(ask("/api/figures")[2])["screen"] == pytest.approx(0.45, abs=0.2)
    status, headers, _ = ask("/api/picture?after=99999&painted=1")  # as of a server that ran here before
    assert (status, headers["X-Number"]) == (200, "2")


def test_the_end_is_told_to_who_waits(preview: Preview, ask: Asker) -> None:
    threading.Timer(0.2, preview.channel.end).start()
    status, headers, _ = ask("/api/picture?after=0")
    assert (status, headers["X-Over"]) == (204, "1")


def test_settings_and_their_refusals(preview: Preview, settings: Settings, ask: Asker) -> None:
    status, _, data = ask("/api/settings", "POST", {"plain": True})
    assert status == 200 and json.loads(data)["plain"] is True is settings.figures["plain"]
    for body in ({"speed": 3}, [1]):
        status, _, data = ask("/api/settings", "POST", body)
        assert status == 422 and "expected" in json.loads(data)["error"]
    ask.connection.request("POST", "/api/settings", "no JSON")
    answer = ask.connection.getresponse()
    assert answer.status == 422 and b"expected JSON" in answer.read()


@pytest.mark.parametrize(
    ("path", "method", "headers"),
    [
        ("/api/figures", "GET", {"Host": "evil.example"}),
        ("/stream.mjpg", "GET", {"Host": "evil.example:80"}),
        ("/api/settings", "POST", {"Origin": "http://evil.example"}),
        ("/api/settings", "POST", {"Sec_Fetch_Site": "cross-site"}),
    ],
)
def test_other_sites_are_refused(ask: Asker, path: str, method: str, headers: dict[str, str]) -> None:
    body = {"plain": True} if method == "POST" else None
    status, _, data = ask(path, method, body, **headers)
    assert status == 403 and b"expected" in data


def test_elsewhere_a_token_is_asked_for(settings: Settings) -> None:
    with Preview(settings.told, settings.change, host="0.0.0.0", port=0) as server:
        parts = urlsplit(server.address)
        connection = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=15)

        def status(path: str, **headers: str) -> tuple[int, str]:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status, answer.headers.get("Set-Cookie", "")

        assert status("/") == (403, "") == status("/api/figures") == status("/?token=wrong")
        code, cookie = status(f"/?{parts.query}")
        assert code == 200 and "HttpOnly" in cookie and "SameSite=Strict" in cookie
        assert status("/api/figures", Cookie=cookie.split(";")[0])[0] == 200
        assert status("/api/figures", Cookie="delineate_preview=wrong")[0] == 403
        assert server.stream.endswith(parts.query)
        connection.close()


def test_programs_read_mjpeg(preview: Preview) -> None:
    av = pytest.importorskip("av")
    left = threading.Event()

    def publish() -> None:
        shade = 0
        while not left.wait(0.03):
            shade = (shade + 5) % 250
            preview.channel.publish(picture(shade), time.monotonic())

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        with av.open(preview.stream, format="mpjpeg", timeout=10) as file:
            frames = itertools.islice(file.decode(video=0), 8)
            shades = {round(frame.to_ndarray(format="gray").mean()) for frame in frames}
    finally:
        left.set()
        thread.join()
    assert len(shades) == 8


def test_the_stream_alone_has_no_page(settings: Settings) -> None:
    with Preview(settings.told, settings.change, port=0, page=False) as server:
        asker = Asker(server)
        assert server.address.endswith("/stream.mjpg") and asker("/")[0] == 404 == asker("/api/figures")[0]
        asker.connection.close()


def test_a_port_that_is_taken(preview: Preview, settings: Settings) -> None:
    with pytest.raises(InputError, match="expected a free address"):
        Preview(settings.told, settings.change, port=int(urlsplit(preview.address).port or 0))


def test_the_page_shows_what_is_new_and_says_how_old(
    preview: Preview, settings: Settings, new_page: Callable[..., Any]
) -> None:
    page = new_page()
    page.page.goto(preview.address)
    assert "Waiting for the first picture" in page.js("document.body.innerText")
    preview.channel.publish(picture(200, 90, 120), time.monotonic())
    page.until("preview.painted === 1")
    colour = "[...document.getElementById('picture').getContext('2d').getImageData(60, 40, 1, 1).data]"
    assert page.js(colour)[:3] == pytest.approx([200] * 3, abs=2)
    fits = """["picture", "stage"].map((id) => document.getElementById(id).getBoundingClientRect())
        .reduce((a, b) => a.height <= b.height && a.width <= b.width && b.height > 300)"""
    assert page.js(fits)
    preview.channel.publish(picture(20, 30, 40), time.monotonic())
    page.until("preview.painted === 2 && document.getElementById('picture').width === 40")
    page.until("preview.figures && preview.figures.screen !== null")
    said = page.js("document.body.innerText")
    for text in ("live", "camera 0", "640 x 480", "24.9 of 30.0", "300 25 %", "7"):
        assert text in said, said
    page.keys("o")
    page.until("document.getElementById('plain').getAttribute('aria-pressed') === 'true'")
    assert settings.figures["plain"] is True
    page.js("(() => { const c = document.getElementById('confidence'); c.value = 0.7; "
            "c.dispatchEvent(new Event('change')); })()")  # fmt: skip
    page.until("preview.figures.confidence === 0.7")
    page.keys("Space")
    preview.channel.publish(picture(90), time.monotonic())  # the question under way is answered once more
    preview.channel.publish(picture(90), time.monotonic())
    page.page.wait_for_timeout(300)
    held = page.js("preview.number")
    preview.channel.publish(picture(99), time.monotonic())
    page.page.wait_for_timeout(300)
    assert page.js("preview.number") == held and page.js("preview.paused")
    page.keys("Space")
    page.until(f"preview.number > {held}")
    assert all(url.startswith(preview.address) or url.startswith("blob:") for url in page.asked)
    preview.channel.end()
    page.until("document.body.innerText.includes('The source has ended')")


def test_a_page_that_is_slow_gets_the_newest_and_nothing_piles_up(
    preview: Preview, new_page: Callable[..., Any]
) -> None:
    page = new_page()
    page.page.goto(preview.address)
    begin, count = time.monotonic(), 0
    while time.monotonic() - begin < 2:
        count += 1
        preview.channel.publish(picture(count % 250, 480, 640), time.monotonic())
        page.page.wait_for_timeout(4)
    page.until(f"preview.number === {count}", 3)
    assert 1 < page.js("preview.painted") <= count
    screen = preview.channel.on_screen()
    assert screen is not None and screen < 0.5
