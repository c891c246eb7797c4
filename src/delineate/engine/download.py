"""Published weights by name: over https, resumed when broken off, checked by SHA-256, kept in a cache.

Nothing is fetched unasked: a download starts only when a model is named whose weights are not here yet, and
``DELINEATE_OFFLINE=1`` forbids it. The cache is ``DELINEATE_CACHE``, or ``~/.cache/delineate``.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from delineate import __version__
from delineate.core.errors import DelineateError
from delineate.models.zoo import find

CHUNK = 1 << 20  # bytes read at a time
ATTEMPTS = 3  # connections before giving up; each goes on where the one before broke off
LOCALHOST = ("127.0.0.1", "localhost", "::1")


class DownloadError(DelineateError):
    """Weights that could not be fetched, or that are not what was published."""


class _Interrupted(Exception):
    """The connection broke off; what came so far is kept and the next attempt goes on from there."""


def weights_path(name: str) -> Path:
    """The weights file of a model of the zoo, downloaded first where that is needed.

    Args:
        name: a name of the zoo, such as ``"nuclei"``.

    Returns:
        A file on this machine: in the package for embedded weights, else in the cache.

    Raises:
        InputError: unknown name.
        DownloadError: the model has no published weights, or they could not be had.
    """
    entry = find(name)
    if entry.file:
        path = Path(__file__).parents[1] / "weights" / entry.file
        if not path.is_file():
            raise DownloadError(f"model {name}: expected {path}, got no such file; install the package again")
        return path
    if not entry.url:
        raise DownloadError(
            f"model {name}: expected published weights, got an architecture without any; "
            "train it first, or give your own with weights=PATH"
        )
    return fetch(entry.url, entry.sha256)


def cache_folder() -> Path:
    """``DELINEATE_CACHE``, else the folder ``delineate`` in ``XDG_CACHE_HOME`` or ``~/.cache``."""
    if chosen := os.environ.get("DELINEATE_CACHE"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "delineate"


def offline() -> bool:
    """Whether ``DELINEATE_OFFLINE`` forbids the network."""
    return os.environ.get("DELINEATE_OFFLINE", "").strip().lower() not in ("", "0", "no", "false")


def fetch(
    url: str,
    sha256: str,
    *,
    folder: Path | None = None,
    timeout: float = 30.0,
    progress: bool = True,
    insecure_localhost: bool = False,
) -> Path:
    """The file behind ``url``, from the cache or over the network.

    A download lies beside its final name as ``.part`` until its hash is right, so a file under the final name
    is always whole. A broken download goes on where it stopped, now or in the next call, if the server can.
    Several processes may ask for the same file; one downloads and the others wait.

    Args:
        url: https address.
        sha256: the expected SHA-256 in hexadecimal, or its first eight digits or more.
        folder: where to keep the file; default :func:`cache_folder`.
        timeout: seconds without a byte after which a connection counts as broken.
        progress: show a bar, if standard error is a terminal.
        insecure_localhost: allow plain http to this very machine (tests).

    Returns:
        The path of the verified file.

    Raises:
        DownloadError: offline, not https, not found, a web page in place of the file, broken off too often,
            wrong hash (the file is deleted), or nowhere to write.
    """
    if len(sha256) < 8:
        raise DownloadError(f"{url}: expected 8 or more digits of SHA-256, got {sha256!r}; give the hash")
    folder = cache_folder() if folder is None else folder
    path = folder / (Path(unquote(urlsplit(url).path)).name or "weights")
    if _is_right(path, sha256):
        return path
    if offline():
        raise DownloadError(
            f"{path.name}: expected it in {folder}, got nothing, and DELINEATE_OFFLINE forbids the network; "
            f"unset it, or put the file of {url} there"
        )
    _check_address(url, insecure_localhost)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder / f"{path.name}.lock"):
            if not _is_right(path, sha256):  # another process may have brought it meanwhile
                opener = urllib.request.build_opener(_HttpsRedirects(insecure_localhost))
                _download(opener, url, path, sha256, timeout, progress)
    except OSError as error:
        raise DownloadError(
            f"{folder}: expected to write {path.name} there, got {error.strerror or error}; "
            "free some space, or set DELINEATE_CACHE to another folder"
        ) from error
    return path


# -- one download -------------------------------------------------------------------------------------


def _download(
    opener: urllib.request.OpenerDirector, url: str, path: Path, sha256: str, timeout: float, progress: bool
) -> None:
    """Fill ``path.part``, check it, and give it its name."""
    part = path.with_name(f"{path.name}.part")
    resumed = part.exists()
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _receive(opener, url, part, timeout, progress)
            break
        except _Interrupted as broken:
            if attempt == ATTEMPTS:
                raise DownloadError(
                    f"{url}: expected the whole file, got {_megabytes(part)} MB before {broken}; "
                    "run it again to go on from there"
                ) from broken
    digest = _digest(part)
    if digest.startswith(sha256.lower()):
        part.replace(path)
        return
    part.unlink()
    if resumed:  # what lay here was perhaps the beginning of another file: once more from the first byte
        _download(opener, url, path, sha256, timeout, progress)
        return
    raise DownloadError(
        f"{url}: expected SHA-256 {sha256}, got {digest}; the download was deleted, run it again, "
        "and if that repeats, do not trust the source"
    )


def _receive(
    opener: urllib.request.OpenerDirector, url: str, part: Path, timeout: float, progress: bool
) -> None:
    """One connection: bring to ``part`` what it lacks.

    Raises:
        _Interrupted: the connection broke off; ``part`` holds what came.
        DownloadError: the server will not give the file.
    """
    have = part.stat().st_size if part.exists() else 0
    response = _connect(opener, url, have, timeout)
    if response is None:
        return
    with response:
        if response.headers.get_content_type() == "text/html":
            raise DownloadError(
                f"{url}: expected weights, got a web page; a proxy or login page may stand between, "
                "fetch the file with a browser and give weights=PATH"
            )
        start = _start(response)
        if start > have:
            raise _Interrupted("the wrong part of the file")
        length = response.headers.get("Content-Length")
        total = start + int(length) if length and length.isdigit() else None
        with part.open("r+b" if part.exists() else "wb") as out:
            out.truncate(start)  # a server that cannot resume begins anew
            out.seek(start)
            _copy(response, out, total, _bar(url, start, total) if progress else None)


def _connect(
    opener: urllib.request.OpenerDirector, url: str, have: int, timeout: float
) -> HTTPResponse | None:
    """Ask for the file from byte ``have`` on; None: the server says that nothing lies there."""
    request = urllib.request.Request(url, headers={"User-Agent": f"delineate/{__version__}"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        response: HTTPResponse = opener.open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416 and have:
                return None
            if error.code >= 500 or error.code == 429:
                raise _Interrupted(f"the server answered {error.code} {error.reason}") from error
            raise DownloadError(
                f"{url}: expected the file, got {error.code} {error.reason}; "
                "check the address and the network, or give weights=PATH"
            ) from error
    except (OSError, HTTPException) as error:  # URLError is an OSError
        raise _Interrupted(f"no connection ({getattr(error, 'reason', error)})") from error
    return response


def _copy(response: HTTPResponse, out: IO[bytes], total: int | None, bar: Any) -> None:
    """Stream the body to ``out``; ``total`` bytes are expected in the file at the end, None: unknown."""
    try:
        while True:
            try:
                chunk = response.read(CHUNK)
            except (OSError, HTTPException) as error:
                raise _Interrupted(f"the connection broke ({error or type(error).__name__})") from error
            if not chunk:
                break
            out.write(chunk)
            if bar is not None:
                bar.update(bar.task_ids[0], advance=len(chunk))
    finally:
        if bar is not None:
            bar.stop()
    if total is not None and out.tell() < total:
        raise _Interrupted("the connection broke off")


def _start(response: HTTPResponse) -> int:
    """Byte of the file that the body begins with: 0, or what a 206 answer says."""
    if response.status != 206:
        return 0
    found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(found.group(1)) if found else sys.maxsize


# -- addresses, hashes, turns, progress ---------------------------------------------------------------


def _check_address(url: str, insecure_localhost: bool) -> None:
    address = urlsplit(url)
    if address.scheme == "https":
        return
    if insecure_localhost and address.scheme == "http" and address.hostname in LOCALHOST:
        return
    raise DownloadError(
        f"{url}: expected an https address, got {address.scheme or 'none'}; weights travel by https"
    )


class _HttpsRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to allowed addresses only."""

    def __init__(self, insecure_localhost: bool) -> None:
        self.insecure_localhost = insecure_localhost

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        _check_address(newurl, self.insecure_localhost)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _is_right(path: Path, sha256: str) -> bool:
    return path.is_file() and _digest(path).startswith(sha256.lower())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _megabytes(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:.1f}" if path.exists() else "0"


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Hold ``lock`` against other processes of this machine; the system frees it if we are killed."""
    with lock.open("a+b") as file:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
        else:
            import fcntl

            with suppress(OSError):  # some network file systems have no locks; the hash still guards
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _bar(url: str, start: int, total: int | None) -> Any:
    """A running rich progress bar on standard error, or None where that is no terminal."""
    if not sys.stderr.isatty():
        return None
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    bar.add_task(Path(urlsplit(url).path).name, completed=start, total=total)
    bar.start()
    return bar
