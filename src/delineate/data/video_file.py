"""A video file opened by PyAV (FFmpeg): by its content, in known containers only, packet by packet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from delineate.core.errors import InputError, MissingDependencyError

from .sniff import foreign, sniff

# First bytes -> FFmpeg's name of the container.
CONTAINERS: tuple[tuple[bytes, str], ...] = (
    (b"\x1a\x45\xdf\xa3", "matroska"),  # WebM too
    (b"\0\0\x01\xba", "mpeg"),
    (b"\0\0\x01\xb3", "mpegvideo"),
    (b"FLV\x01", "flv"),
    (b"OggS", "ogg"),
    (b"\x30\x26\xb2\x75", "asf"),
    (b"YUV4MPEG2 ", "yuv4mpegpipe"),
)


def container(head: bytes) -> str:
    """FFmpeg's name of a video file's container from its first bytes (512 are enough); empty: no video."""
    for magic, name in CONTAINERS:
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "avi"
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return "" if foreign(head).startswith("HEIC") else "mov"
    if len(head) > 376 and head[0] == head[188] == head[376] == 0x47:
        return "mpegts"
    return ""


def pyav(where: str | Path) -> ModuleType:
    """PyAV.

    Args:
        where: what it is wanted for, for the message.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import av
    except ImportError:
        raise MissingDependencyError(
            f"{where}: expected the package av to read and write video, got none; "
            "pip install 'delineate[video]'"
        ) from None
    module: ModuleType = av
    return module


def any_title(av: ModuleType) -> dict[str, Any]:
    """What ``av.open`` needs to take titles in any encoding; from version 19 on it does so by itself."""
    return {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "replace"}


def started(file: Any) -> float:
    """Seconds on the own clock of an open file at its start; recordings of broadcasts begin at any time."""
    return max(0.0, float(file.start_time or 0) / 1e6)


@contextmanager
def opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """The open file and its first video stream.

    Raises:
        InputError: nothing there, no video, one that is cut off before its index, or one without pictures.
        MissingDependencyError: PyAV is not installed.
    """
    if not path.is_file():
        raise InputError(f"{path}: expected a video file or a folder, got nothing there; check the path")
    head = head_of(path)
    kind = container(head)
    if not kind:
        raise InputError(
            f"{path}: expected a video, got {_other(head)}; convert it to MP4, or name an image as one"
        )
    av = pyav(path)
    try:
        file = av.open(str(path), format=kind, **any_title(av))
    except (av.error.FFmpegError, OSError) as error:
        cut = "its index missing (no whole moov atom), as where a copy or recording was cut short"
        reason = cut if kind == "mov" else getattr(error, "strerror", None) or error
        raise InputError(f"{path}: expected a whole video, got {reason}; copy it again") from None
    with file:
        if not file.streams.video:
            raise InputError(f"{path}: expected a video, got a file without pictures; choose another")
        yield file, file.streams.video[0]


def packets(av: ModuleType, file: Any, stream: Any) -> Iterator[Any]:
    """The stream's packets, as far as the file can be read."""
    left = iter(file.demux(stream))
    while True:
        try:
            packet = next(left, None)
        except av.error.FFmpegError:
            return
        if packet is None:
            return
        yield packet


def _other(head: bytes) -> str:
    """What a file that is no video is, from its first bytes."""
    if not head:
        return "an empty file"
    try:
        return f"an image ({sniff(head, '')})"
    except InputError:
        return foreign(head)


def head_of(path: Path) -> bytes:
    """The first 512 bytes of a file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(512)
    except OSError as error:
        raise InputError(
            f"{path}: expected a readable file, got {error.strerror or error}; check the path"
        ) from None
