"""Where a cluster's run reads and writes: a folder, or what fsspec reaches by a URI such as ``s3://``."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from functools import cached_property
from pathlib import Path
from typing import Any

from delineate.core.errors import InputError, MissingDependencyError
from delineate.data.write import atomic

from ..atomic import write_atomically

_URI = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)


def is_uri(text: str) -> bool:
    """Whether it names a place by a protocol.

    Example:
        >>> is_uri("s3://bucket/a"), is_uri("C:/a"), is_uri("a/b")
        (True, False, False)
    """
    return _URI.match(text) is not None


def as_written(path: str | Path) -> str:
    """A URI as it was typed, where a ``Path`` was made of it: ``s3:/bucket`` becomes ``s3://bucket``.

    Example:
        >>> as_written(Path("s3://bucket/out")), as_written("out"), as_written("file:///a")
        ('s3://bucket/out', 'out', 'file:///a')
    """
    text = str(path)
    if is_uri(text):
        return text
    found = re.match(r"([a-z][a-z0-9+.-]+):/", text)
    if found is None:
        return text
    slashes = "///" if found[1] in ("file", "local", "memory") else "//"
    return f"{found[1]}:{slashes}{text[found.end() :]}"


def filesystem(where: str) -> tuple[Any, str]:
    """The file system of a path or URI, and the path in it.

    Raises:
        MissingDependencyError: no package knows the protocol.
        InputError: the place cannot be reached.
    """
    try:
        import fsspec
    except ImportError:
        raise MissingDependencyError(
            f"{where}: expected fsspec to be installed, got none; pip install 'delineate[scale]'"
        ) from None
    try:
        system, path = fsspec.core.url_to_fs(where)
    except ImportError as error:
        raise MissingDependencyError(
            f"{where}: expected a package for its protocol, got {error}; install it on every machine"
        ) from None
    except Exception as error:  # each protocol has its own
        raise InputError(f"{where}: expected a place, got {_said(error)}; check the URI") from None
    return system, str(path)


class Place:
    """A folder to write in, local or not; a file in it is whole or absent.

    Args:
        where: a path or a URI.
    """

    def __init__(self, where: str) -> None:
        self.where = where.rstrip("/") if is_uri(where) else str(Path(where).absolute())

    def __reduce__(self) -> Any:
        return Place, (self.where,)

    @property
    def local(self) -> Path | None:
        """The folder where it is one of this machine (or of a shared file system), else None."""
        if not is_uri(self.where):
            return Path(self.where)
        return Path(self._root) if self.where.startswith(("file://", "local://")) else None

    @cached_property
    def _system(self) -> Any:
        return filesystem(self.where)[0]

    @cached_property
    def _root(self) -> str:
        return filesystem(self.where)[1].rstrip("/")

    def uri(self, name: str) -> str:
        """The whole name of a file in it."""
        return f"{self.where}/{name}"

    def write(self, name: str, data: bytes) -> None:
        """Makes or replaces a file.

        Raises:
            InputError: nothing can be written there.
        """
        try:
            if self.local is not None:
                write_atomically(self.local / name, lambda file: file.write(data))
            else:
                self._system.pipe_file(self._at(name), data)
        except Exception as error:  # each protocol has its own
            raise InputError(
                f"{self.uri(name)}: expected to write here, got {_said(error)}; choose another place"
            ) from None

    def create(self, name: str, data: bytes) -> None:
        """Makes a file that is not there yet.

        Raises:
            FileExistsError: it is.
        """
        if self.local is None:
            try:
                self._system.pipe_file(self._at(name), data, mode="create")
            except (TypeError, NotImplementedError, ValueError):  # this protocol cannot promise it
                if self.exists(name):
                    raise FileExistsError(name) from None
                self._system.pipe_file(self._at(name), data)
            return
        path = self.local / name
        beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        write_atomically(beside, lambda file: file.write(data))
        try:
            os.link(beside, path)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            with path.open("xb") as file:
                file.write(data)
        finally:
            beside.unlink(missing_ok=True)

    def read(self, name: str) -> bytes:
        """A file's content.

        Raises:
            FileNotFoundError: it is not there.
        """
        if self.local is not None:
            return (self.local / name).read_bytes()
        return bytes(self._system.cat_file(self._at(name)))

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""
        if self.local is not None:
            return (self.local / name).exists()
        self._system.invalidate_cache()
        return bool(self._system.exists(self._at(name)))

    def names(self, folder: str) -> list[str]:
        """The files in one of its folders, sorted, without the folder's name; none where it is not there."""
        if self.local is not None:
            place = self.local / folder
            return sorted(p.name for p in place.iterdir()) if place.is_dir() else []
        self._system.invalidate_cache()
        try:
            found = self._system.ls(self._at(folder), detail=False)
        except FileNotFoundError:
            return []
        return sorted(name for name in (str(one).rstrip("/").rpartition("/")[2] for one in found) if name)

    def remove(self, name: str) -> None:
        """Takes a file, or a folder with all that is in it, away; nothing where it is not there."""
        if self.local is not None:
            path = self.local / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
            return
        with contextlib.suppress(FileNotFoundError):
            self._system.rm(self._at(name), recursive=True)

    def put(self, path: Path, name: str) -> str:
        """Copies a local file, or a folder with all that is in it, here; its URI."""
        if path.is_dir():
            for file in sorted(p for p in path.rglob("*") if p.is_file()):
                self.put(file, f"{name}/{file.relative_to(path).as_posix()}")
        elif self.local is not None:
            (self.local / name).parent.mkdir(parents=True, exist_ok=True)
            with atomic(self.local / name) as beside:
                shutil.copyfile(path, beside)
        else:
            self._system.put_file(str(path), self._at(name))
        return self.uri(name)

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root


def _said(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())
