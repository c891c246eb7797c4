"""Downloads against a server of our own: whole, broken off, wrong, forbidden."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from delineate.engine import download
from delineate.engine.download import DownloadError, cache_folder, fetch, weights_path
from delineate.models import zoo
from delineate.models.zoo import Entry

BODY = np.random.default_rng(0).bytes(3_000_000)
SHA256 = hashlib.sha256(BODY).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves BODY; the first part of the path says how it misbehaves."""

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        manner = self.path.split("/")[1]
        self.server.seen.append((manner, self.headers.get("Range")))  # type: ignore[attr-defined]
        getattr(self, f"answer_{manner}")()

    def send(self, status: int, body: bytes, said: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if said is None else said))
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def answer_whole(self) -> None:
        self.send(200, BODY)

    def answer_ranged(self, most: int = len(BODY)) -> None:
        """Resumes; sends at most ``most`` bytes and then hangs up."""
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(wanted.group(1)) if wanted else 0
        if start >= len(BODY):
            self.send(416, b"", Content_Range=f"bytes */{len(BODY)}")
            return
        span = f"bytes {start}-{len(BODY) - 1}/{len(BODY)}"
        rest = BODY[start:]
        self.send(206 if wanted else 200, rest[:most], said=len(rest), Content_Range=span)

    def answer_stingy(self) -> None:
        self.answer_ranged(most=1_200_000)

    def answer_breaking(self) -> None:
        """Cannot resume, and breaks off the first time."""
        first = len(self.server.seen) == 1  # type: ignore[attr-defined]
        self.send(200, BODY[:1_000_000] if first else BODY, said=len(BODY))

    def answer_mute(self) -> None:
        self.send(200, b"", said=len(BODY))

    def answer_chunked(self) -> None:
        """No Content-Length: the end of the connection is the end of the file."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(BODY)

    def answer_html(self) -> None:
        self.send(200, b"<html>please log in</html>", Content_Type="text/html; charset=utf-8")

    def answer_missing(self) -> None:
        self.send(404, b"no")

    def answer_busy(self) -> None:
        if len(self.server.seen) == 1:  # type: ignore[attr-defined]
            self.send(503, b"")
        else:
            self.answer_whole()

    def answer_redirect(self) -> None:
        self.send(302, b"", Location="/whole/w.pth")

    def answer_elsewhere(self) -> None:
        self.send(302, b"", Location="http://example.org/w.pth")


class Server(ThreadingHTTPServer):
    """Remembers what was asked."""

    seen: list[tuple[str, str | None]]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("DELINEATE_OFFLINE", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    http = Server(("127.0.0.1", 0), Handler)
    http.seen = []
    thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield http
    http.shutdown()
    http.server_close()
    thread.join()


def get(server: Server, manner: str, folder: Path, sha256: str = SHA256, **options: Any) -> Path:
    url = f"http://127.0.0.1:{server.server_address[1]}/{manner}/w.pth"
    return fetch(url, sha256, folder=folder, insecure_localhost=True, **{"timeout": 5, **options})


@pytest.mark.parametrize("manner", ["whole", "ranged", "chunked", "redirect", "busy", "breaking", "stingy"])
@pytest.mark.parametrize("digits", [8, 64])
def test_the_file_arrives_whole(server: Server, tmp_path: Path, manner: str, digits: int) -> None:
    path = get(server, manner, tmp_path / "new", SHA256[:digits].upper())
    assert path.read_bytes() == BODY
    assert path.name == "w.pth"
    assert not path.with_name("w.pth.part").exists()


def test_a_second_call_asks_no_server(server: Server, tmp_path: Path) -> None:
    first = get(server, "whole", tmp_path)
    assert get(server, "whole", tmp_path) == first
    assert len(server.seen) == 1


def test_a_broken_download_goes_on_within_a_call(server: Server, tmp_path: Path) -> None:
    get(server, "stingy", tmp_path)
    assert server.seen == [("stingy", None), ("stingy", "bytes=1200000-"), ("stingy", "bytes=2400000-")]


@pytest.mark.parametrize(("manner", "kept"), [("ranged", True), ("whole", False)])
def test_a_broken_download_goes_on_in_a_later_call(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, manner: str, kept: bool
) -> None:
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    with pytest.raises(DownloadError, match=r"got 1\.2 MB before the connection broke off; run it again"):
        get(server, "stingy", tmp_path)
    assert (tmp_path / "w.pth.part").read_bytes() == BODY[:1_200_000]
    assert not (tmp_path / "w.pth").exists()
    assert get(server, manner, tmp_path).read_bytes() == BODY
    assert server.seen[-1] == (manner, "bytes=1200000-")


@pytest.mark.parametrize("left", [BODY, BODY + b"more", bytes(1000)], ids=["complete", "too long", "another"])
@pytest.mark.parametrize("manner", ["ranged", "whole"])
def test_what_a_part_held_does_not_matter_in_the_end(
    server: Server, tmp_path: Path, left: bytes, manner: str
) -> None:
    (tmp_path / "w.pth.part").write_bytes(left)
    assert get(server, manner, tmp_path).read_bytes() == BODY


def test_a_server_that_says_nothing_is_given_up(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"got 0\.0 MB before"):
        get(server, "mute", tmp_path)
    assert len(server.seen) == download.ATTEMPTS


def test_a_wrong_hash_deletes_the_download(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=f"got {SHA256}; the download was deleted"):
        get(server, "whole", tmp_path, "00000000")
    assert [p.name for p in tmp_path.iterdir()] == ["w.pth.lock"]


def test_a_damaged_file_in_the_cache_is_fetched_anew(server: Server, tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(BODY[:-1] + b"?")
    assert get(server, "whole", tmp_path).read_bytes() == BODY


@pytest.mark.parametrize(
    ("manner", "message"),
    [
        ("missing", "got 404 Not Found"),
        ("html", "got a web page"),
        ("elsewhere", "expected an https address, got http"),
    ],
)
def test_a_server_without_the_file(server: Server, tmp_path: Path, manner: str, message: str) -> None:
    with pytest.raises(DownloadError, match=message):
        get(server, manner, tmp_path)
    assert not (tmp_path / "w.pth").exists()
    assert len(server.seen) == 1


def test_no_server_at_all(tmp_path: Path, server: Server) -> None:
    with pytest.raises(DownloadError, match="no connection"):
        fetch("http://127.0.0.1:9/w.pth", SHA256, folder=tmp_path, insecure_localhost=True, timeout=5)


@pytest.mark.parametrize("url", ["http://example.org/w", "ftp://example.org/w", "file:///etc/passwd", "w"])
@pytest.mark.parametrize("insecure_localhost", [False, True])
def test_only_https(tmp_path: Path, url: str, insecure_localhost: bool) -> None:
    with pytest.raises(DownloadError, match="expected an https address"):
        fetch(url, SHA256, folder=tmp_path, insecure_localhost=insecure_localhost)


def test_http_to_this_machine_must_be_asked_for(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="expected an https address"):
        fetch("http://127.0.0.1:9/w.pth", SHA256, folder=tmp_path)


def test_a_hash_is_required(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="8 or more digits"):
        fetch("https://example.org/w.pth", "", folder=tmp_path)


def test_offline_forbids_but_uses_the_cache(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DELINEATE_OFFLINE", "1")
    with pytest.raises(DownloadError, match="DELINEATE_OFFLINE forbids the network"):
        get(server, "whole", tmp_path)
    assert not server.seen
    (tmp_path / "w.pth").write_bytes(BODY)
    assert get(server, "whole", tmp_path).read_bytes() == BODY


def test_two_at_once_download_once(server: Server, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        paths = set(pool.map(lambda _: get(server, "whole", tmp_path), range(4)))
    assert [p.read_bytes() == BODY for p in paths] == [True]
    assert len(server.seen) == 1


def test_a_cache_that_cannot_be_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DownloadError, match="set DELINEATE_CACHE"):
        get(server, "whole", tmp_path / "file")


def test_the_bar_shows_on_a_terminal(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    get(server, "whole", tmp_path)
    shown = capsys.readouterr()
    assert "w.pth" in shown.err
    assert not shown.out


def test_where_the_cache_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DELINEATE_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("DELINEATE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "delineate"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "delineate"


def test_weights_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DELINEATE_CACHE", str(tmp_path))
    monkeypatch.setenv("DELINEATE_OFFLINE", "1")
    kept = {"url": "https://example.org/w.pth", "sha256": SHA256[:8]}
    monkeypatch.setitem(zoo.ZOO, "kept", Entry("a:b", "a test", **kept))  # type: ignore[arg-type]
    monkeypatch.setitem(zoo.ZOO, "lost", Entry("a:b", "a test", file="lost.safetensors"))
    with pytest.raises(DownloadError, match="DELINEATE_OFFLINE"):
        weights_path("kept")
    (tmp_path / "w.pth").write_bytes(BODY)
    assert weights_path("kept") == tmp_path / "w.pth"
    with pytest.raises(DownloadError, match="install the package again"):
        weights_path("lost")
    with pytest.raises(DownloadError, match="train it first"):
        weights_path("mask_rcnn")
