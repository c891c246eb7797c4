"""What a text such as ``camera:1`` or ``rtsp://...`` names, and what FFmpeg has to be told to open it."""

from __future__ import annotations

import math
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from delineate.core.errors import InputError

from .limits import MAX_PIXELS

SCHEMES = ("rtsp", "rtsps", "http", "https", "udp", "tcp", "rtp", "rtmp", "rtmps", "srt")
"""Addresses that are opened."""

# What a stream may open in its turn, as a playlist does: the network, never a file of this machine.
PROTOCOLS = "rtsp,rtsps,rtp,srtp,udp,tcp,tls,crypto,http,https,httpproxy,hls,rtmp,rtmps,srt"
CAMERA = re.compile(r"camera(?::(?P<name>.+))?$|(?P<number>\d{1,3})$", re.IGNORECASE)
TRANSPORTS = ("tcp", "udp")
# Inputs of FFmpeg that are cameras, by the start of `sys.platform`.
DEVICES = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}


@dataclass(frozen=True)
class CaptureSettings:
    """How a source is opened and kept open.

    Attributes:
        size: (height, width) asked of a camera; None takes its own.
        rate: frames per second asked of a camera; None takes its own.
        pixel_format: what a camera is asked to send, such as ``"mjpeg"`` or ``"yuyv422"``; empty: its own.
        transport: ``"tcp"`` or ``"udp"``, for RTSP. UDP has less delay and loses packets.
        listen: RTSP only: wait for a sender to connect here, rather than connect.
        timeout: seconds without an answer, or without a frame, after which a connection counts as lost.
        patience: seconds for which a lost connection is tried again; 0 ends at the first loss.
        loop: files only: begin again at the end.
        every: give every frame and let the source wait, rather than the newest alone.
        max_pixels: larger frames are refused.
    """

    size: tuple[int, int] | None = None
    rate: float | None = None
    pixel_format: str = ""
    transport: str = "tcp"
    listen: bool = False
    timeout: float = 5.0
    patience: float = 30.0
    loop: bool = False
    every: bool = False
    max_pixels: int = MAX_PIXELS

    def __post_init__(self) -> None:
        """Refuses what cannot be.

        Raises:
            InputError: a setting out of range.
        """
        if self.transport not in TRANSPORTS:
            raise InputError(f"capture, transport: expected tcp or udp, got {self.transport!r}; use tcp")
        if self.rate is not None and not 0 < self.rate <= 1000:
            raise InputError(f"capture, rate: expected frames per second in 0..1000, got {self.rate}; try 30")
        if self.size is not None and not all(0 < side <= 32768 for side in self.size):
            raise InputError(f"capture, size: expected pixels in 1..32768, got {self.size}; try (480, 640)")
        if not 0 < self.timeout <= 3600:
            raise InputError(f"capture, timeout: expected seconds in 0..3600, got {self.timeout}; try 5")
        if not self.patience >= 0:
            raise InputError(f"capture, patience: expected seconds from 0, got {self.patience}; try 30")


@dataclass(frozen=True)
class CaptureSource:
    """A source, named.

    Attributes:
        kind: ``"camera"``, ``"stream"`` or ``"file"`` (a video file or a folder of images).
        shown: its name for messages: of an address without the password and what follows a ``?``.
        url: what FFmpeg opens.
        format: FFmpeg's name of the input; None lets it look.
        options: FFmpeg's settings.
    """

    kind: str
    shown: str
    url: str
    format: str | None = None
    options: dict[str, str] = field(default_factory=dict)


def is_live(source: str | Path | int) -> bool:
    """Whether a source names a camera or a stream: not a file, not a folder.

    Example:
        >>> [is_live(s) for s in (0, "camera", "/dev/video2", "rtsp://10.0.0.7/door", "clip.mp4")]
        [True, True, True, True, False]
    """
    if isinstance(source, int):
        return True
    text = str(source)
    if "://" in text:
        return True
    if Path(text).is_file() or Path(text).is_dir():
        return False
    return bool(CAMERA.match(text)) or text.startswith("/dev/video")


def capture_source(source: str | Path | int, settings: CaptureSettings) -> CaptureSource:
    """Names a source.

    Args:
        source: ``camera``, ``camera:1``, ``camera:Name``, ``1``, ``/dev/video1``; an address of
            :data:`SCHEMES`; or a video file or folder.
        settings: how to open it.

    Raises:
        InputError: an address of another kind, or a camera on a system where none can be asked.
    """
    text = str(source)
    if not is_live(source):
        return CaptureSource("file", text, text)
    if "://" in text:
        return _stream(text, settings)
    found = CAMERA.match(text)
    return _camera(text if found is None else found["name"] or found["number"] or "0", settings)


def _stream(text: str, settings: CaptureSettings) -> CaptureSource:
    scheme, shown = urlsplit(text).scheme.lower(), without_secrets(text)
    if scheme not in SCHEMES:
        raise InputError(
            f"{shown}: expected an address of {', '.join(SCHEMES)}, got {scheme or 'none'}; give one of them"
        )
    options = {"protocol_whitelist": PROTOCOLS}
    if not settings.every:
        options["fflags"] = "nobuffer"  # what was read to find out the format is thrown away: it is old
    options |= {"analyzeduration": "1000000"}  # microseconds that FFmpeg looks before the first frame
    if scheme in ("rtsp", "rtsps"):
        options |= {"rtsp_transport": settings.transport, "max_delay": "500000"}
        if settings.listen:
            wait = math.ceil(max(settings.timeout, settings.patience))
            options |= {"rtsp_flags": "listen", "listen_timeout": str(wait)}
    elif settings.listen:
        raise InputError(f"{shown}: expected an rtsp address to listen at, got {scheme}; leave listen out")
    return CaptureSource("stream", shown, text, options=options)


def _camera(name: str, settings: CaptureSettings) -> CaptureSource:
    device = next((d for system, d in DEVICES.items() if sys.platform.startswith(system)), None)
    if device is None:
        raise InputError(f"camera {name}: expected Linux, macOS or Windows, got {sys.platform}; use a stream")
    options = {}
    if settings.size is not None:
        options["video_size"] = f"{settings.size[1]}x{settings.size[0]}"
    rate = settings.rate or (30.0 if device == "avfoundation" else None)  # which refuses its own default
    if rate is not None:
        options["framerate"] = f"{rate:g}"
    if settings.pixel_format:
        options["input_format" if device == "v4l2" else "pixel_format"] = settings.pixel_format
    url = name
    if device == "v4l2":
        url = name if name.startswith("/") else f"/dev/video{name}"
        if not Path(url).exists():
            raise InputError(f"camera {name}: expected a camera at {url}, got nothing there; {_others()}")
    elif device == "dshow":
        url = f"video={_named(name)}"
    return CaptureSource("camera", f"camera {name}", url, device, options)


def _others() -> str:
    """The cameras that there are, in words."""
    found = sorted(str(path) for path in Path("/dev").glob("video*"))
    return f"there are {', '.join(found)}" if found else "this machine has none, or may not show any"


def _named(name: str) -> str:
    """Windows knows cameras by name only: the name of a number."""
    if not name.isdecimal():
        return name
    import av

    names = [d.name for d in av.enumerate_input_devices("dshow") if "video" in d.media_types]
    if int(name) >= len(names):
        raise InputError(
            f"camera {name}: expected a camera, got {len(names)} of them, counted from 0; connect one"
        )
    return str(names[int(name)])


def without_secrets(address: str) -> str:
    """An address for messages, without user, password and what follows a ``?``.

    Example:
        >>> without_secrets("rtsp://ada:secret@10.0.0.7:554/door?key=1")
        'rtsp://10.0.0.7:554/door'
    """
    parts = urlsplit(address)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
