"""Streams from servers that run here: MJPEG and MPEG-TS by HTTP, RTSP both ways; and what befalls them."""

from __future__ import annotations

import contextlib
import itertools
import logging
import socket
import subprocess
import sys
import threading
import time
import types
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import simplejpeg
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.data.capture import open_capture
from delineate.data.capture_decode import Decoder

av = pytest.importorskip("av")

RATE = 30
BITS = 32  # of the moment of sending in milliseconds, as columns that are bright or dark


def stamped(moment: float | None = None) -> NDArray[np.uint8]:
    """A (64, 256, 3) picture that tells when it was made."""
    number = int(1000 * (time.monotonic() if moment is None else moment)) % (1 << BITS)
    bright = np.array([number >> k & 1 for k in range(BITS)], np.uint8) * 180 + 40
    return np.ascontiguousarray(np.broadcast_to(np.repeat(bright, 8)[None, :, None], (64, 256, 3)))


def age(pixels: NDArray[np.uint8]) -> float:
    """Seconds since a picture was made."""
    bright = pixels[16:48].mean(axis=(0, 2)).reshape(BITS, 8).mean(axis=1) > 128
    sent = sum(1 << k for k, bit in enumerate(bright.tolist()) if bit)
    return (int(1000 * time.monotonic()) - sent) % (1 << BITS) / 1000


class Sender(BaseHTTPRequestHandler):
    """``/mjpeg`` and ``/ts`` send for good, or so many frames as ``limit`` says; ``/silent`` none."""

    limit: ClassVar[list[int]] = []
    left: ClassVar[threading.Event] = threading.Event()

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        if self.path == "/text":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"no pictures here " * 100)
            return
        count = Sender.limit.pop(0) if Sender.limit else 100_000
        if count == 0:
            self.send_error(503)
            return
        kind = {"/mjpeg": "multipart/x-mixed-replace; boundary=frame", "/ts": "video/mp2t"}
        self.send_response(200)
        self.send_header("Content-Type", kind.get(self.path, "video/mp2t"))
        self.end_headers()
        with contextlib.suppress(OSError, av.error.FFmpegError):
            {"/mjpeg": self.jpegs, "/ts": self.transport}.get(self.path, self.silent)(count)

    def jpegs(self, count: int) -> None:
        for _ in self.paced(count):
            data = simplejpeg.encode_jpeg(stamped())
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            self.wfile.write(head.encode() + data + b"\r\n")

    def transport(self, count: int) -> None:
        with av.open(self.wfile, "w", format="mpegts", options={"flush_packets": "1"}) as file:
            stream = file.add_stream("mpeg2video", rate=RATE, bit_rate=4_000_000)
            stream.width, stream.height, stream.pix_fmt, stream.gop_size = 256, 64, "yuv420p", 10
            stream.codec_context.max_b_frames = 0
            for _ in self.paced(count):
                file.mux(stream.encode(av.VideoFrame.from_ndarray(stamped(), format="rgb24")))

    def silent(self, _: int) -> None:
        Sender.left.wait(20)

    @staticmethod
    def paced(count: int) -> Iterator[int]:
        for k in range(count):
            if Sender.left.wait(1 / RATE):
                return
            yield k


@pytest.fixture
def web() -> Iterator[str]:
    """The address of a running :class:`Sender`."""
    Sender.left.clear()
    Sender.limit.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sender)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    Sender.left.set()
    server.shutdown()
    server.server_close()


def ages(capture: Any, count: int, pause: float) -> tuple[list[float], list[int]]:
    """True ages and numbers of the frames that a reader gets who needs ``pause`` seconds for each."""
    seen: list[float] = []
    numbers: list[int] = []
    for frame in itertools.islice(capture, count):
        seen.append(age(frame.pixels))
        numbers.append(frame.number)
        assert frame.pixels.shape[2] == 3 and frame.pixels.dtype == np.uint8
        time.sleep(pause)
    return seen, numbers


@pytest.mark.parametrize("path", ["/mjpeg", "/ts"])
def test_a_slow_reader_sees_new_frames(web: str, path: str) -> None:
    with open_capture(web + path) as capture:
        assert capture.size == (64, 256)
        time.sleep(0.4)  # what piles up before anybody asks is not shown either
        seen, numbers = ages(capture, 8, pause=0.2)
    assert max(seen[-3:]) < 0.6, seen  # the reader's own 0.2 s are not added up: 1.3 s
    assert capture.dropped >= 8 and np.diff(numbers).min() > 1
    assert capture.reconnects == 0 == capture.damaged


def test_a_machine_that_cannot_decode_it_all_skips_to_key_frames(
    web: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Decoder, "_check", lambda *_: time.sleep(0.08))  # 12 frames a second, of 30
    with open_capture(web + "/ts") as capture:
        begin, seen = time.monotonic(), []
        for frame in capture:
            seen.append(age(frame.pixels))
            if time.monotonic() - begin > 4:
                break
        assert capture.dropped > 15
        told = (capture.dropped, len(seen), capture.arrived)
    assert max(seen[len(seen) // 2 :]) < 1.0, seen  # it would be 2.4 s
    assert told[0] + told[1] == pytest.approx(told[2], abs=3)


def test_every_frame_is_given_all_the_same_where_that_is_asked(
    web: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Decoder, "_check", lambda *_: time.sleep(0.05))
    with open_capture(web + "/ts", every=True) as capture:
        numbers = [frame.number for frame in itertools.islice(capture, 40)]
    assert numbers == list(range(40)) and capture.dropped == 0


def test_a_damaged_jpeg_is_left_out_and_counted() -> None:
    stream = types.SimpleNamespace(codec_context=types.SimpleNamespace(name="mjpeg"))
    decoder = Decoder(av, stream, "here", 10_000_000, every=False)
    whole = simplejpeg.encode_jpeg(stamped())
    shapes = []
    for data in (whole, whole[:40], b"no picture", whole):
        packet = av.Packet(data)
        packet.pts, packet.time_base = 3, Fraction(1, 4)
        ((seconds, make),) = decoder.pictures(packet)
        pixels = make()
        shapes.append(None if pixels is None else pixels.shape)
        assert seconds == 0.75
    assert shapes == [(64, 256, 3), None, None, (64, 256, 3)] and decoder.damaged == 2


def test_times_of_a_stream_are_its_own(web: str) -> None:
    with open_capture(web + "/ts", every=True) as capture:
        times = [frame.time for frame in itertools.islice(capture, 12)]
    assert times[0] == 0 and times[-1] == pytest.approx(11 / RATE, abs=0.1)
    assert np.median(np.diff(times)) == pytest.approx(1 / RATE, abs=2e-3)


def test_a_lost_connection_is_made_again(web: str, caplog: pytest.LogCaptureFixture) -> None:
    Sender.limit[:] = [6, 0, 6, 100_000]  # lost, refused once, lost again
    with open_capture(f"{web}/mjpeg", timeout=2) as capture, caplog.at_level(logging.WARNING):
        frames = list(itertools.islice(capture, 20))
    assert capture.reconnects == 2 and Sender.limit == []
    assert [r.getMessage().split(" (")[0] for r in caplog.records] == [
        f"{web}/mjpeg: the connection is lost"
    ] * 2
    times = [f.time for f in frames]
    assert times == sorted(times) and [f.number for f in frames] == sorted({f.number for f in frames})
    assert max(np.diff(times)) > 0.2  # the time without a connection is in them


def test_patience_ends_with_one_warning(web: str, caplog: pytest.LogCaptureFixture) -> None:
    Sender.limit[:] = [5, *[0] * 50]
    with open_capture(f"{web}/mjpeg", patience=0.8) as capture, caplog.at_level(logging.WARNING):
        assert 1 <= len(list(capture)) <= 5
    assert "no connection any more" in caplog.records[-1].getMessage() and len(caplog.records) == 2


@pytest.mark.parametrize(
    ("path", "text"), [("/silent", "no answer in time"), ("/text", "got"), ("/none\n", "got")]
)
def test_what_is_no_stream_is_refused(web: str, path: str, text: str) -> None:
    begin = time.monotonic()
    with pytest.raises(InputError, match="expected a stream that answers") as told:
        open_capture(web + path, timeout=0.5)
    assert text in str(told.value) and time.monotonic() - begin < 5


def test_a_reader_that_waits_can_be_let_go(web: str) -> None:
    Sender.limit[:] = [3, *[0] * 50]
    with open_capture(f"{web}/mjpeg") as capture:
        threading.Timer(0.6, capture.close).start()
        assert len(list(capture)) <= 3  # no frame ever comes again, and no error
    assert not capture._thread.is_alive()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_recording_from_the_web_is_played_at_its_own_rate(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as file:
        stream = file.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 256, 64, "yuv420p"
        for k in range(10):
            picture = np.full((64, 256, 3), 20 * k, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode())

    class Files(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=tmp_path))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        begin = time.monotonic()
        with open_capture(f"http://127.0.0.1:{server.server_port}/a.mkv") as capture:
            times = [frame.time for frame in capture]
        assert time.monotonic() - begin > 0.6 and 8 <= capture.arrived <= 10  # and it ends where it ends
        assert times[-1] == pytest.approx(0.1 * (capture.arrived - 1), abs=0.01) and capture.reconnects == 0
        with open_capture(f"http://127.0.0.1:{server.server_port}/a.mkv", every=True) as capture:
            assert [frame.number for frame in capture] == list(range(10))
    finally:
        server.shutdown()
        server.server_close()


PUSH = """
import sys, time, av, numpy as np
time.sleep(0.3)
with av.open(sys.argv[1], "w", format="rtsp", options={"rtsp_transport": "tcp"}) as file:
    stream = file.add_stream("mpeg4", rate=30, bit_rate=4_000_000)
    stream.width, stream.height, stream.pix_fmt, stream.gop_size = 256, 64, "yuv420p", 5
    for _ in range(300):
        ms = time.monotonic_ns() // 1_000_000
        row = np.repeat(np.array([ms >> k & 1 for k in range(32)], np.uint8) * 180 + 40, 8)
        picture = np.ascontiguousarray(np.broadcast_to(row[None, :, None], (64, 256, 3)))
        file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        time.sleep(1 / 30)
"""


def test_a_sender_may_connect_to_us() -> None:
    address = f"rtsp://127.0.0.1:{free_port()}/push"
    sender = subprocess.Popen([sys.executable, "-c", PUSH, address], stderr=subprocess.DEVNULL)
    try:
        with open_capture(address, listen=True, patience=0, timeout=20) as capture:
            seen, _ = ages(capture, 10, pause=0.05)
    finally:
        sender.kill()
        sender.wait(10)
    assert np.median(seen) < 0.6, seen


RTSP_SERVER = """
import time, gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
for name in ("x264enc", "rtph264pay"):
    if Gst.ElementFactory.find(name) is None: raise SystemExit(f"no {name}")
def push(source):
    ms = time.monotonic_ns() // 1_000_000 & 0xFFFFFFFF
    row = b"".join((b"\\xdc" if ms >> k & 1 else b"\\x28") * 8 for k in range(32))
    source.emit("push-buffer", Gst.Buffer.new_wrapped(row * 64))
    return True
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch("( appsrc name=src is-live=true do-timestamp=true format=time "
    "caps=video/x-raw,format=GRAY8,width=256,height=64,framerate=30/1 ! videoconvert ! "
    "video/x-raw,format=I420 ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 ! "
    "rtph264pay name=pay0 pt=96 )")
factory.set_shared(True)
factory.connect("media-configure", lambda _, media:
    GLib.timeout_add(33, push, media.get_element().get_by_name_recurse_up("src")))
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1"); server.set_service("0")
server.get_mount_points().add_factory("/door", factory)
server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
"""


@pytest.fixture(scope="module")
def rtsp() -> Iterator[str]:
    """The address of GStreamer's RTSP server, where this machine has it."""
    python = Path("/usr/bin/python3")
    if sys.platform != "linux" or not python.exists():
        pytest.skip("no system Python with GStreamer's RTSP server")
    process = subprocess.Popen(
        [str(python), "-c", RTSP_SERVER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    port = process.stdout.readline().strip()
    try:
        if not port.isdecimal():
            pytest.skip(
                "no RTSP server; apt-get install gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-ugly"
            )
        yield f"rtsp://127.0.0.1:{port}/door"
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_rtsp_by_a_server_that_is_not_ours(rtsp: str, transport: str) -> None:
    with open_capture(rtsp, transport=transport, patience=0) as capture:
        assert capture.size == (64, 256) and capture.rate == RATE
        seen, numbers = ages(capture, 8, pause=0.2)
    assert max(seen[-3:]) < 0.6 and np.diff(numbers).min() > 1, seen
    told = [capture.dropped, capture.damaged]
    assert told[0] >= 8 and told[1] <= 2


def test_rtsp_of_nobody(rtsp: str) -> None:
    with pytest.raises(InputError, match=r"expected a stream that answers, got .*not found"):
        open_capture(rtsp + "less", timeout=2)
