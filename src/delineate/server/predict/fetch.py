"""Fetching an image from an address, only from places that the operator has named.

The name is resolved once, every address that it has must be public (unless the operator says otherwise), and
the connection goes to an address that was checked, so that a name cannot mean one machine when it is checked
and another when it is asked. A redirect counts as a new address and is checked as one.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

from delineate.core.errors import InputError

from .limits import RefusedError

MOST_REDIRECTS = 3
PORTS = {"http": 80, "https": 443}
PART = 1 << 16


@dataclass(frozen=True)
class Place:
    """Addresses that may be fetched: scheme, host, port, and how the path begins."""

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def of(cls, text: str) -> Place:
        """Of ``https://images.example.org/public/``.

        Raises:
            InputError: not such an address.
        """
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError:
            parts, host, port = SplitResult("", "", "", "", ""), None, None
        if parts.scheme not in PORTS or not host or parts.username or parts.query or parts.fragment:
            raise InputError(
                f"--allow-url {text}: expected http(s)://HOST/PATH, got another; write https://a.example/"
            )
        path = parts.path or "/"
        return cls(
            parts.scheme, host, port or PORTS[parts.scheme], path if path.endswith("/") else path + "/"
        )

    def holds(self, parts: SplitResult) -> bool:
        """Whether an address lies in it."""
        path = parts.path or "/"
        odd = any(step in ("..", ".") for step in path.replace("%2e", ".").replace("%2E", ".").split("/"))
        return (
            parts.scheme == self.scheme
            and parts.hostname == self.host
            and (parts.port or PORTS[parts.scheme]) == self.port
            and not odd
            and path.startswith(self.path)
        )


class Fetcher:
    """Fetches images; a server without places fetches none.

    Args:
        places: where from.
        max_bytes: largest file.
        seconds: in all.
        private: also from addresses that are not public.
        resolve: as :func:`socket.getaddrinfo`.
    """

    def __init__(
        self,
        places: Sequence[Place],
        max_bytes: int,
        seconds: float,
        private: bool = False,
        resolve: Callable[..., Any] = socket.getaddrinfo,
    ) -> None:
        self.places = tuple(places)
        self.max_bytes, self.seconds, self.private, self._resolve = max_bytes, seconds, private, resolve

    def fetch(self, url: str) -> bytes:
        """The bytes of a file. Blocks the thread.

        Raises:
            RefusedError: 400, fetching is off or the address not on the list; 413, too large; 422, it cannot
                be had.
        """
        end = time.monotonic() + self.seconds
        for _ in range(MOST_REDIRECTS + 1):
            parts = self._check(url)
            status, location, data = self._ask(parts, end)
            if location is None:
                if status != 200:
                    raise RefusedError(
                        422, f"image_url: expected an image, got status {status}; check the address", "url"
                    )
                return data
            url = urljoin(url, location)
        raise RefusedError(
            422, f"image_url: expected at most {MOST_REDIRECTS} redirects, got more; name the end", "url"
        )

    def _check(self, url: str) -> SplitResult:
        if not self.places:
            raise RefusedError(
                400,
                "image_url: expected an upload, got an address, which is not fetched here; send the bytes",
                "url",
            )
        try:
            parts = urlsplit(url)
            known = (
                parts.scheme in PORTS
                and "@" not in parts.netloc
                and url.isascii()
                and url.isprintable()
                and any(place.holds(parts) for place in self.places)
            )
        except ValueError:
            known = False
        if not known:
            raise RefusedError(
                400, "image_url: expected an address of this server's list, got another; ask an admin", "url"
            )
        return parts

    def _address(self, host: str, port: int) -> str:
        """One of the name's addresses, after all of them were found public."""
        try:
            found = {entry[4][0] for entry in self._resolve(host, port, type=socket.SOCK_STREAM)}
        except (OSError, UnicodeError):
            raise RefusedError(
                422, "image_url: expected a name that resolves, got none; check the address", "url"
            ) from None
        if not self.private and not all(public(address) for address in found):
            raise RefusedError(
                400, "image_url: expected a public address, got a private one; send the bytes", "url"
            )
        return str(min(found, key=lambda a: (":" in str(a), str(a))))

    def _ask(self, parts: SplitResult, end: float) -> tuple[int, str | None, bytes]:
        host, port = str(parts.hostname), parts.port or PORTS[parts.scheme]
        connection = _Pinned(host, port, self._address(host, port), parts.scheme == "https", _left(end))
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            connection.request("GET", target, headers={"Accept": "image/*", "User-Agent": "delineate"})
            with connection.getresponse() as answer:
                if answer.status in (301, 302, 303, 307, 308):
                    return answer.status, answer.getheader("Location") or "", b""
                return answer.status, None, self._body(answer, connection, end)
        except (OSError, http.client.HTTPException) as error:
            raise RefusedError(
                422, f"image_url: expected an answer, got {type(error).__name__}; ask again", "url"
            ) from None
        finally:
            connection.close()

    def _body(
        self, answer: http.client.HTTPResponse, connection: http.client.HTTPConnection, end: float
    ) -> bytes:
        data = bytearray()
        while part := answer.read1(PART):
            data += part
            if len(data) > self.max_bytes:
                raise RefusedError(
                    413, f"image_url: expected at most {self.max_bytes} bytes, got more; send less", "bytes"
                )
            if connection.sock is not None:
                connection.sock.settimeout(_left(end))
            _left(end)
        return bytes(data)


class _Pinned(http.client.HTTPConnection):
    """A connection to one address, which speaks to the host by its name."""

    def __init__(self, host: str, port: int, address: str, secure: bool, seconds: float) -> None:
        super().__init__(host, port, timeout=seconds)
        self._to, self._secure = address, secure

    def connect(self) -> None:
        """Opens it."""
        self.sock = socket.create_connection((self._to, self.port), self.timeout)
        if self._secure:
            self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self.host)


def public(address: str) -> bool:
    """Whether an address belongs to the open internet, also where it hides an IPv4 address in an IPv6 one.

    Example:
        >>> public("93.184.216.34"), public("169.254.169.254"), public("::ffff:127.0.0.1")
        (True, False, False)
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if found in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return inner.is_global and not inner.is_multicast
    return found.is_global and not found.is_multicast


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise RefusedError(
            422, "image_url: expected the file in time, got too little of it; send the bytes", "url"
        )
    return left
