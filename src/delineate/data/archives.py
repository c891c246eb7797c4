"""Datasets in .zip and .tar archives: unpacked once into the cache, never outside it, never beyond a bound.

All names are looked at before the first byte is written: an archive with a path that leads outside, a link, a
device, a name twice, or with more than it may have is refused whole. What is written is counted, whatever the
archive says of itself. Archives inside archives stay closed.
"""

from __future__ import annotations

import hashlib
import lzma
import shutil
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from delineate.core.errors import DatasetError

from .formats.embedded_image import cache_folder

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
"""Endings of archives that are opened."""
MAX_BYTES = 64 * 2**30
"""Most bytes that an archive may hold, unpacked."""
MAX_ENTRIES = 2_000_000
"""Most files and folders in an archive."""
MAX_RATIO = 500
"""Most bytes out of one byte in, above the first 100 MB; deflate's own limit is 1032."""
_FREELY = 100 * 10**6
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Unpacked:
    """An archive's content on disk.

    Attributes:
        folder: where it lies; if all of it lies in one folder, that one.
        notes: what is in doubt.
    """

    folder: Path
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Entry:
    """One file or folder of an archive, its name checked."""

    name: PurePosixPath
    size: int
    folder: bool
    open: Callable[[], IO[bytes]]


def is_archive(path: Path) -> bool:
    """Whether it is a file with one of :data:`SUFFIXES`."""
    return path.name.lower().endswith(SUFFIXES) and path.is_file()


def unpack(path: Path, max_bytes: int = MAX_BYTES) -> Unpacked:
    """The content of an archive, in ``unpacked`` of the cache (``DELINEATE_CACHE``); there already: as it is.

    The folder may be deleted at any time. It is made anew when the archive's size or date changes.

    Args:
        path: the archive.
        max_bytes: the most that it may hold.

    Raises:
        DatasetError: damaged, encrypted, or refused (see the module); nothing of it stays on disk.
    """
    path = path.resolve()
    about = path.stat()
    key = hashlib.sha256(f"{path}\0{about.st_size}\0{about.st_mtime_ns}".encode()).hexdigest()[:24]
    store = cache_folder() / "unpacked"
    target = store / f"{path.name.split('.')[0][:40]}-{key}"
    with _entries(path) as entries:
        notes = _checked(path, entries, about.st_size, max_bytes)
        if not target.is_dir():
            _write(path, entries, target, max_bytes)
    return Unpacked(_inner(target), notes)


def _inner(folder: Path) -> Path:
    """The one folder that holds everything, or the folder itself."""
    inside = [p for p in folder.iterdir() if p.name not in ("__MACOSX", ".DS_Store")]
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else folder


@contextmanager
def _entries(path: Path) -> Iterator[list[_Entry]]:
    """The archive's entries while it is open."""
    try:
        if path.name.lower().endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                yield [_from_zip(path, archive, info) for info in archive.infolist()]
        else:
            with tarfile.open(path) as tar:
                yield [_from_tar(path, tar, member) for member in _few(path, tar)]
    except DatasetError:
        raise
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,  # of names that are in no encoding, and of dates
        OverflowError,
        struct.error,
        lzma.LZMAError,
    ) as error:
        kind = (
            "ZIP" if path.suffix.lower() == ".zip" else "gzip" if path.name.lower().endswith("gz") else "TAR"
        )
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(":")[:160]
        raise DatasetError(
            f"{path}: expected a whole {kind} archive, got a damaged or unknown one ({reason}); fetch it "
            "again or unpack it yourself"
        ) from None
    except OSError as error:
        raise DatasetError(f"{path}: expected a readable archive, got {error.strerror or error}") from None


def _few(path: Path, tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for count, member in enumerate(tar, 1):
        if count > MAX_ENTRIES:
            raise DatasetError(
                f"{path}: expected at most {MAX_ENTRIES:,} files, got more; unpack it and check it yourself"
            )
        yield member


def _from_zip(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Entry:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _refused(path, info.filename, "a link or device")
    if info.flag_bits & 1:
        raise _refused(path, info.filename, "an encrypted file")
    if not info.filename:
        raise _refused(path, info.orig_filename, "a file without a name")
    name = _name(path, info.orig_filename)
    return _Entry(name, info.file_size, info.is_dir(), lambda: archive.open(info))


def _from_tar(path: Path, tar: tarfile.TarFile, member: tarfile.TarInfo) -> _Entry:
    if not (member.isreg() or member.isdir()):
        raise _refused(path, member.name, "a link or device")

    def opened() -> IO[bytes]:
        stream = tar.extractfile(member)
        assert stream is not None  # it is a regular file
        return stream

    return _Entry(_name(path, member.name), member.size, member.isdir(), opened)


def _name(path: Path, given: str) -> PurePosixPath:
    """An entry's name as a path inside."""
    text = given.replace("\\", "/")
    name = PurePosixPath(text)
    if "\0" in text or name.is_absolute() or text[1:2] == ":" or ".." in name.parts or len(text) > 1000:
        raise _refused(path, given, "a path that leads outside")
    return name


def _refused(path: Path, name: str, what: str) -> DatasetError:
    shown = "".join(c if c.isprintable() else "?" for c in name[:80])
    return DatasetError(f"{path}: expected files alone, got {what} ({shown!r}); nothing was unpacked")


def _checked(path: Path, entries: Sequence[_Entry], packed: int, max_bytes: int) -> tuple[str, ...]:
    """Refuses what may not be unpacked; notes what is in doubt."""
    if len(entries) > MAX_ENTRIES:
        raise DatasetError(
            f"{path}: expected at most {MAX_ENTRIES:,} files, got {len(entries):,}; unpack it "
            "and check it yourself"
        )
    total = sum(entry.size for entry in entries)
    if total > max_bytes or (total > _FREELY and total > MAX_RATIO * packed):
        raise DatasetError(
            f"{path}: expected at most {max_bytes / 2**30:g} GiB, and {MAX_RATIO} bytes out of one, got "
            f"{total / 1e6:,.0f} MB out of {packed / 1e6:,.2f} MB; if you trust it unpack it yourself"
        )
    files = [entry.name for entry in entries if not entry.folder]
    if len(set(files)) < len(files):
        twice = Counter(files).most_common(1)[0][0]
        raise _refused(path, str(twice), "two files of one name")
    known = set(files)
    for name in files:
        if any(parent in known for parent in name.parents):
            raise _refused(path, str(name), "a file inside a file")
    alike = len(known) - len({str(name).lower() for name in known})
    return (f"{alike} names in the archive differ in letter case alone",) if alike else ()


def _write(path: Path, entries: Sequence[_Entry], target: Path, max_bytes: int) -> None:
    """Unpacks into a folder beside ``target``, which takes its name when all is there."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(target.parent).free
    except OSError as error:
        raise DatasetError(
            f"{target.parent}: expected a cache folder, got {error.strerror}; set DELINEATE_CACHE"
        ) from None
    total = sum(entry.size for entry in entries)
    if total > free:
        raise DatasetError(
            f"{path}: expected {total / 1e9:,.1f} GB free in {target.parent}, got {free / 1e9:,.1f} GB; free "
            "some, or set DELINEATE_CACHE to another disk"
        )
    working = Path(tempfile.mkdtemp(prefix=".", dir=target.parent))
    try:
        room = min(max_bytes, total)
        for entry in entries:
            place = working / entry.name
            if entry.folder:
                place.mkdir(parents=True, exist_ok=True)
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            room -= _copy(path, entry, place, room)
        working.chmod(0o755)
        if not target.is_dir():  # else another process was faster
            working.rename(target)
    finally:
        shutil.rmtree(working, ignore_errors=True)


def _copy(path: Path, entry: _Entry, place: Path, room: int) -> int:
    """Writes one file, no more than it said it had; the bytes written."""
    written = 0
    with entry.open() as source, place.open("xb") as file:
        while block := source.read(_BLOCK):
            written += len(block)
            if written > min(entry.size, room):
                raise _refused(path, str(entry.name), "a file that is longer than the archive says")
            file.write(block)
    return written
