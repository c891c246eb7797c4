"""Fetching images by address: only from the list, only public machines, however the address is dressed up."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from delineate.core.errors import InputError
from delineate.server.predict.fetch import Fetcher, Place, public
from delineate.server.predict.limits import RefusedError

SECRET = b"a secret of the inner network"


class Web:
    """A small web server on loopback, which counts who came."""

    def __init__(self, image: bytes) -> None:
        asked = self.asked = []  # type: ignore[var-annotated]

        class Answers(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                moved = {"/in/there": "/in/a.png", "/in/out": "/secret", "/in/loop": "/in/loop"}.get(
                    self.path
                )
                self.send_response(302 if moved else 404 if self.path == "/in/none" else 200)
                if moved:
                    self.send_header("Location", moved)
                self.end_headers()
                self.wfile.write(b"" if moved else SECRET if self.path == "/secret" else image)

            def log_message(self, *_: Any) -> None: ...

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def web(kit: SimpleNamespace) -> Iterator[Web]:
    made = Web(kit.picture())
    yield made
    made.server.shutdown()
    made.server.server_close()


def refused(fetcher: Fetcher, url: str) -> int:
    with pytest.raises(RefusedError) as error:
        fetcher.fetch(url)
    assert not url or url not in str(error.value)
    return error.value.status


def test_places_on_the_list_are_fetched(web: Web, kit: SimpleNamespace) -> None:
    base = f"http://127.0.0.1:{web.port}"
    fetcher = Fetcher([Place.of(f"{base}/in/")], 1 << 20, 5.0, private=True)
    assert fetcher.fetch(f"{base}/in/a.png?x=1") == kit.picture() == fetcher.fetch(f"{base}/in/there")
    assert [refused(fetcher, f"{base}{path}") for path in ("/secret", "/in/out", "/in/loop", "/in/none")] == [
        400, 400, 422, 422,
    ]  # fmt: skip
    assert "/secret" not in web.asked
    fetcher.max_bytes = 100
    assert refused(fetcher, f"{base}/in/a.png") == 413


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "http://2130706433:9/",
        "http://169.254.169.254/latest/meta-data/",
        "http://images.example@127.0.0.1:9/",
        "https://images.example:444/",
        "http://images.example/",
        "https://images.example.evil.example/",
        "https://images.example/../secret",
        "https://images.example/public/..%2f..%2fsecret".replace("..%2f", "%2e%2e/"),
        "https://images.example/public\r\nHost: evil/",
        "https://[::1",
        "gopher://images.example/",
        "",
    ],
)
def test_nothing_else_is_asked(url: str) -> None:
    def resolve(*_: Any, **__: Any) -> Any:
        raise AssertionError("a name was looked up")

    listed = Fetcher([Place.of("https://images.example/public/")], 100, 1.0, resolve=resolve)
    assert refused(listed, url) == 400
    with pytest.raises(RefusedError, match="not fetched here"):
        Fetcher([], 100, 1.0, resolve=resolve).fetch("https://images.example/public/a.png")


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["93.184.216.34", "10.0.0.1"], ["::ffff:169.254.169.254"], ["fe80::1%eth0"]]
)
def test_a_name_may_not_mean_a_private_machine(addresses: list[str]) -> None:
    fetcher = Fetcher(
        [Place.of("https://a.example/")], 100, 1.0, resolve=lambda *_, **__: _entries(addresses)
    )
    with pytest.raises(RefusedError, match="a private one"):
        fetcher.fetch("https://a.example/x.png")


def test_a_name_is_resolved_once_and_the_connection_goes_there(web: Web, kit: SimpleNamespace) -> None:
    """Whoever changes the name's address after the check changes nothing."""
    looked: list[str] = []

    def resolve(host: str, *_: Any, **__: Any) -> Any:
        looked.append(host)
        return _entries(["127.0.0.1"] if len(looked) == 1 else ["10.0.0.1"])

    place = Place.of(f"http://images.example:{web.port}/")
    fetcher = Fetcher([place], 1 << 20, 5.0, private=True, resolve=resolve)
    assert fetcher.fetch(f"http://images.example:{web.port}/a.png") == kit.picture()
    assert looked == ["images.example"]


def _entries(addresses: list[str]) -> list[Any]:
    return [(2, 1, 6, "", (address, 443)) for address in addresses]


@pytest.mark.parametrize(
    ("address", "want"),
    [
        ("8.8.8.8", True),
        ("2606:4700:4700::1111", True),
        ("10.1.2.3", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fd00::1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("::ffff:8.8.8.8", True),
    ],
)
def test_which_addresses_are_public(address: str, want: bool) -> None:
    assert public(address) is want


@pytest.mark.parametrize(
    "text", ["images.example", "ftp://a/", "https://u@a/", "https://a/?q", "https://a:x/"]
)
def test_places_are_checked(text: str) -> None:
    with pytest.raises(InputError, match="--allow-url"):
        Place.of(text)
