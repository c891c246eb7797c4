"""Cameras, streams and files played: what is shown is new, what is lost is counted."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from delineate.core.errors import InputError
from delineate.data.capture import is_live, open_capture
from delineate.data.capture_clock import Clock
from delineate.data.capture_source import CaptureSettings, capture_source, without_secrets

av = pytest.importorskip("av")


@pytest.mark.parametrize(
    ("given", "change", "text"),
    [
        ("ftp://host/a", {}, "expected an address of rtsp"),
        ("file:///etc/passwd", {}, "expected an address of rtsp"),
        ("nothing.mp4", {}, "expected a video file or a folder"),
        ("camera:77", {}, "expected a camera at /dev/video77"),
        ("http://127.0.0.1:9/a", {"listen": True}, "expected an rtsp address to listen at"),
        ("http://ada:secret@127.0.0.1:9/a?key=1", {}, "http://127.0.0.1:9/a: expected a stream that answers"),
        ("a.mp4", {"transport": "pigeon"}, "expected tcp or udp"),
        ("a.mp4", {"rate": 0.0}, "expected frames per second"),
        ("a.mp4", {"size": (0, 5)}, "expected pixels"),
        ("a.mp4", {"timeout": 0.0}, "expected seconds"),
        ("a.mp4", {"patience": -1.0}, "expected seconds"),
        ("a.mp4", {"speed": 2}, "expected fields of CaptureSettings"),
    ],
)
def test_what_cannot_be_opened_is_told_in_one_line(given: str, change: dict[str, object], text: str) -> None:
    with pytest.raises(InputError, match="expected") as told:
        open_capture(given, **change)
    assert text in str(told.value) and "secret" not in str(told.value) and "\n" not in str(told.value)


def write_video(path: Path, count: int = 6, rate: int = 20) -> Path:
    """Grey frames, each 40 brighter than the one before."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=rate, bit_rate=4_000_000)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for k in range(count):
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 40 * k, np.uint8), format="rgb24")
            file.mux(stream.encode(picture))
        file.mux(stream.encode())
    return path


def test_a_file_is_played_at_its_own_rate_and_a_slow_reader_gets_the_newest(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 6, rate=20)
    with open_capture(path) as capture:
        begin, ages, numbers = time.monotonic(), [], []
        for frame in capture:
            ages.append(time.monotonic() - frame.taken)
            numbers.append(frame.number)
            time.sleep(0.11)
    assert time.monotonic() - begin > 0.25
    assert numbers[0] == 0 and numbers == sorted(set(numbers)) and numbers[-1] == 5
    assert capture.arrived == 6 == len(numbers) + capture.dropped and capture.dropped > 0
    assert capture.rate == 20 and capture.reconnects == 0 == capture.damaged


def test_every_frame_is_given_where_that_is_asked(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 6, rate=1)
    with open_capture(path, every=True) as capture:
        got = [(f.number, f.time, round(float(f.pixels.mean()) / 40)) for f in capture]
    assert got == [(k, float(k), k) for k in range(6)] and capture.dropped == 0


def test_a_file_may_begin_again(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 3, rate=10)
    times = []
    with open_capture(path, every=True, loop=True) as capture:
        for frame in capture:
            times.append(round(frame.time, 6))
            if len(times) == 7:
                break
    assert times == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]


def test_leaving_early_ends_the_thread(tmp_path: Path) -> None:
    with open_capture(write_video(tmp_path / "a.mp4", 6, rate=1)) as capture:
        for _ in capture:
            break
    assert not capture._thread.is_alive()


@pytest.mark.parametrize("source", [0, "3", "camera", "camera:Front door", "CAMERA:1", "rtsp://a/b"])
def test_what_is_live(source: str | int) -> None:
    assert is_live(source) and is_live("/dev/video0")


@pytest.mark.parametrize("source", ["clip.mp4", "", "cameras", "12345"])
def test_what_is_not_live(source: str) -> None:
    assert not is_live(source)


def test_a_file_named_as_a_camera_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(Path("7.mp4")).rename("7")
    assert not is_live("7") and is_live(7)


@pytest.mark.parametrize(
    ("system", "name", "url", "kind"),
    [
        ("darwin", "camera:1", "1", "avfoundation"),
        ("darwin", "camera:FaceTime HD", "FaceTime HD", "avfoundation"),
        ("win32", "camera:Brio", "video=Brio", "dshow"),
    ],
)
def test_cameras_of_other_systems(
    system: str, name: str, url: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", system)
    found = capture_source(name, CaptureSettings(size=(480, 640), rate=15))
    assert (found.url, found.format) == (url, kind)
    assert found.options == {"video_size": "640x480", "framerate": "15"}


def test_no_camera_on_an_unknown_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "plan9")
    with pytest.raises(InputError, match="expected Linux, macOS or Windows"):
        capture_source("camera", CaptureSettings())


def test_a_stream_may_not_open_files_of_this_machine() -> None:
    options = capture_source("http://host/list.m3u8", CaptureSettings()).options
    assert "file" not in options["protocol_whitelist"].split(",")
    assert capture_source("rtsp://h/a", CaptureSettings(listen=True)).options["rtsp_flags"] == "listen"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://h/a", "rtsp://h/a"),
        ("rtsp://u:p@h:5/a?b=c#d", "rtsp://h:5/a"),
        ("http://[::1]:80/", "http://[::1]:80/"),
    ],
)
def test_addresses_are_shown_without_secrets(address: str, shown: str) -> None:
    assert without_secrets(address) == shown


def test_the_clock_tells_which_frames_waited() -> None:
    clock = Clock()
    taken = [clock.tell(5 + k / 10, 100 + k / 10 + late)[1] for k, late in enumerate((0.2, 0.0, 0.3, 0.0))]
    assert taken[0] == pytest.approx(100.2) and taken[1:] == pytest.approx([100.1, 100.2, 100.3], abs=2e-3)


def test_the_clock_follows_a_source_that_runs_slow_and_starts_anew_after_a_leap() -> None:
    clock = Clock()
    for k in range(0, 4000):  # the source's second is 1.0002 of ours
        _, taken = clock.tell(k / 1.0002, float(k))
    assert abs(taken - 3999) < 1e-2
    assert clock.tell(1e6, 4000.0)[1] == 4000.0 == clock.tell(None, 4000.0)[1]
    assert clock.seconds == pytest.approx(3999 / 1.0002 + 1)  # the stream's own, and what the leap took
    clock.set_anew()
    assert clock.tell(0.0, 4010.0) == (pytest.approx(3999 / 1.0002 + 11), 4010.0)


def test_a_camera_that_stamps_more_frames_than_it_gives_is_not_taken_for_late() -> None:
    clock = Clock()
    taken = [clock.tell(k / 30, k / 20, waited=k > 0)[1] for k in range(200)]
    assert np.abs(np.array(taken) - np.arange(200) / 20).max() < 0.02
    clock = Clock()
    late = [k / 20 - clock.tell(k / 30, k / 20)[1] for k in range(200)]  # the same, but frames lay ready
    assert late[-1] > 3


def test_a_camera_that_stamps_with_our_clock_is_believed() -> None:
    clock = Clock(ours=True)
    assert clock.tell(99.9, 100.0)[1] == 99.9
    assert clock.tell(3.0, 101.0)[1] == 101.0  # it does not, after all
