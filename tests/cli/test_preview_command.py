"""`delineate preview` as it is typed: files and streams shown, recorded, ended; what is wrong in one line."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import simplejpeg

from delineate.cli import main
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.data.video import VideoWriter, frames

pytest.importorskip("av")
Heard = pytest.CaptureFixture[str]
QUIET = ["--no-browser", "--port", "0"]


class Slow:
    """Finds nothing, in 0.15 seconds."""

    name = "slow"
    classes = Labels(("person",))

    def predict(self, pixels: np.ndarray, **settings: Any) -> Instances:
        time.sleep(0.15)
        return Instances.empty(pixels.shape[:2], self.classes)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("delineate.engine.load.load", lambda *_, **__: Slow())


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    with VideoWriter(tmp_path / "clip.mp4", 20) as writer:
        for t in range(10):
            writer.add(np.full((48, 64, 3), 20 * t, np.uint8), t / 20)
    return tmp_path / "clip.mp4"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["nothing.mp4"], "expected a video file or a folder"),
        (["gopher://a/b"], "expected an address of rtsp"),
        (["{clip}", "--sink", "screen"], "--sink: expected page, mjpeg, none"),
        (["{clip}", "--sink", "/dev/video99"], "/dev/video99: expected a virtual camera"),
        (["{clip}", "--size", "big"], "--size: expected width x height"),
        (["{clip}", "--rate", "0"], "capture, rate: expected frames per second"),
        (["{clip}", "--background", "transparent"], "--background: expected something to show"),
        (["{clip}", "--background", "nocolour"], "expected"),
        (["{clip}", "--effect", "sparkle"], "effect: expected one of outline"),
        (["{clip}", "--effect", "outline:cat"], "'cat': expected one of the classes person"),
        (["{clip}", "--keep", "id:3", "--background", "blur"], "id:3: expected objects with track ids"),
        (["{clip}", "--classes", "cat"], "classes: expected some of person, got 'cat'"),
        (["{clip}", "--track", "--tracker", "dog"], "tracker: expected one of"),
        (["{clip}", "--confidence", "7"], "confidence: expected a number in 0..1"),
        (["{clip}", "--record", "a.gif"], "a.gif: expected a video ending"),
        (["{clip}", "--host", "192.0.2.1"], "expected a free address"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    slow: None, clip: Path, options: list[str], text: str, capsys: Heard
) -> None:
    given = [option.format(clip=clip) for option in options]
    assert main(["preview", *given, *(["--sink", "none"] if "--host" not in given else []), *QUIET[:1]]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert text in said[-1] and len(said) == 1, said


def test_a_file_is_shown_recorded_and_summed_up(
    slow: None, clip: Path, tmp_path: Path, capsys: Heard
) -> None:
    seen = tmp_path / "seen.mp4"
    options = ["--record", str(seen), "--json", "--sink", "none", "--background", "teal", "--track"]
    assert main(["preview", str(clip), *options]) == 0
    whole = json.loads(capsys.readouterr().out)
    got = list(frames(seen))
    assert whole["shown"] == len(got) >= 2 and whole["dropped"] > 0 and whole["arrived"] == 10
    assert whole["source"] == str(clip) and whole["recorded"] == str(seen) and whole["failed"] == []
    assert 0.15 <= whole["age_median"] < 0.6
    assert np.abs(got[0].pixels.mean(axis=(0, 1)) - [0, 128, 128]).max() < 6
    assert got[-1].time == pytest.approx(0.4, abs=0.15)  # as long as the source, not as its frames times rate


def test_without_a_model_and_with_an_end(clip: Path, capsys: Heard) -> None:
    assert main(["preview", str(clip), "--model", "none", "--loop", "--seconds", "0.8", *QUIET]) == 0
    heard = capsys.readouterr()
    assert re.search(
        r"clip.mp4: [1-9]\d* frames shown in \d.\d s \(\d+\.\d frames/s\), \d+ ms old", heard.out
    )
    assert re.match(r"preview: http://127.0.0.1:\d+ \(Ctrl-C ends it\)$", heard.err.strip())


def test_a_sink_that_fails_is_told_and_the_rest_goes_on(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Heard
) -> None:
    from delineate.data.video_write import FilmWriter

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FilmWriter, "add", full)
    options = ["--model", "none", "--record", str(tmp_path / "a.mp4"), "--json"]
    assert main(["preview", str(clip), *options, *QUIET]) == 1
    heard = capsys.readouterr()
    assert json.loads(heard.out)["failed"] == [str(tmp_path / "a.mp4")] and "No space left" in heard.err
    assert main(["preview", str(clip), *options, "--sink", "none"]) == 2  # nothing else to show it
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip.mp4"]


class Door(BaseHTTPRequestHandler):
    """MJPEG at 30 frames a second, each with the moment of its making in 32 columns."""

    left: ClassVar[threading.Event] = threading.Event()

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        while not Door.left.wait(1 / 30):
            moment = int(1000 * time.monotonic()) % (1 << 32)
            bits = np.array([moment >> k & 1 for k in range(32)], np.uint8) * 180 + 40
            row = np.broadcast_to(np.repeat(bits, 8)[None, :, None], (64, 256, 3))
            data = simplejpeg.encode_jpeg(np.ascontiguousarray(row))
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            try:
                self.wfile.write(head.encode() + data + b"\r\n")
            except OSError:
                return


@pytest.fixture
def door() -> Iterator[str]:
    Door.left.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/door"
    Door.left.set()
    server.shutdown()
    server.server_close()


def age(jpeg: bytes) -> float:
    """Seconds since the picture was made, by what is written in it."""
    bright = simplejpeg.decode_jpeg(jpeg)[16:48].mean(axis=(0, 2)).reshape(32, 8).mean(axis=1) > 128
    sent = sum(1 << k for k, bit in enumerate(bright.tolist()) if bit)
    return (int(1000 * time.monotonic()) - sent) % (1 << 32) / 1000


def test_a_stream_through_a_slow_network_to_a_reader_is_never_old(
    slow: None, door: str, capsys: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the making of a picture to its reading: less than twice the network's time."""
    said: list[str] = []
    monkeypatch.setattr("delineate.cli.preview_run.say", said.append)
    codes: list[int] = []
    command = ["preview", door, "--seconds", "5", "--json", *QUIET]
    run = threading.Thread(target=lambda: codes.append(main(command)))
    run.start()
    end = time.monotonic() + 30
    while not said and time.monotonic() < end:
        time.sleep(0.02)
    address = re.search(r"http://\S+", said[0])
    assert address is not None
    ages, number = [], 0
    for _ in range(12):
        with urllib.request.urlopen(f"{address[0]}/api/picture?after={number}", timeout=20) as answer:
            ages.append(age(answer.read()))
            number = int(answer.headers["X-Number"])
    run.join(30)
    whole = json.loads(capsys.readouterr().out)
    assert codes == [0] and whole["dropped"] > whole["shown"] and whole["reconnects"] == 0
    assert 0.15 <= np.median(ages) < 0.3, ages


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_a_polite_end_finish_the_recording(
    number: signal.Signals, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Heard
) -> None:
    class Ended(Slow):
        seen = 0

        def predict(self, pixels: np.ndarray, **settings: Any) -> Instances:
            self.seen += 1
            if self.seen == 4:  # the first only wakes the network
                os.kill(os.getpid(), number)
            return super().predict(pixels, **settings)

    monkeypatch.setattr("delineate.engine.load.load", lambda *_, **__: Ended())
    before = signal.getsignal(number), threading.active_count()
    seen = tmp_path / "seen.mp4"
    assert main(["preview", str(clip), "--loop", "--sink", "none", "--record", str(seen)]) == 0
    found = re.search(r"(\d) frames shown", capsys.readouterr().out)
    assert found is not None and 1 <= int(found[1]) == len(list(frames(seen))) <= 2
    assert (signal.getsignal(number), threading.active_count()) == before
