"""Parts of videos: what is passed over is not decoded, and numbers and times stay what they are."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from delineate.core.errors import InputError
from delineate.data.video import Frame, VideoWriter, frames
from delineate.data.video_part import Part, seconds

av = pytest.importorskip("av")
TURNS = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}  # clockwise, as a player shows it


def numbered(number: int, height: int = 48, width: int = 64) -> np.ndarray:
    """A picture that says its number in eight grey squares, and where up is."""
    picture = np.zeros((height, width, 3), np.uint8)
    for bit in range(8):
        picture[20:36, 8 * bit : 8 * bit + 8] = 230 if number >> bit & 1 else 20
    picture[:12, :12], picture[-10:, :12] = (255, 0, 0), (0, 0, 255)
    return picture


def number_in(picture: np.ndarray) -> int:
    return sum(1 << bit for bit in range(8) if picture[24:32, 8 * bit + 2 : 8 * bit + 6].mean() > 125)


def film(path: Path, times: Sequence[float], start: float = 0, **options: str) -> Path:
    """An H.264 file made by PyAV alone, its frames at these times in seconds."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=10, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for number, time in enumerate(times):
            picture = av.VideoFrame.from_ndarray(numbered(number), format="rgb24")
            picture.pts, picture.time_base = round(1000 * (start + time)), Fraction(1, 1000)
            file.mux(stream.encode(picture))
        file.mux(stream.encode())
    return path


def turned(path: Path, degrees: int) -> Path:
    """The same MP4 with another matrix in its track's header, as a telephone held upright writes it."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    a, b, c, d = TURNS[degrees]
    data[at : at + 36] = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("degrees, red, blue", [(90, "tr", "tl"), (180, "br", "tr"), (270, "bl", "br")])
def test_frames_are_upright(tmp_path: Path, degrees: int, red: str, blue: str) -> None:
    picture = next(iter(frames(turned(film(tmp_path / "a.mp4", [0, 0.1]), degrees)))).pixels
    assert picture.shape == ((64, 48, 3) if degrees % 180 else (48, 64, 3))
    corner = {"tl": picture[4, 4], "tr": picture[4, -5], "bl": picture[-5, 4], "br": picture[-5, -5]}
    assert corner[red][0] > 200 > 60 > corner[red][2] and corner[blue][2] > 200 > 60 > corner[blue][0]


@pytest.mark.parametrize("ending", ["mp4", "mkv", "mov"])
def test_uneven_times(tmp_path: Path, ending: str) -> None:
    times = [0, 0.1, 0.15, 0.7, 0.73, 2]
    read = list(frames(film(tmp_path / f"a.{ending}", times)))
    np.testing.assert_allclose([frame.time for frame in read], times, atol=1e-3)
    assert [number_in(frame.pixels) for frame in read] == list(range(6))


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts"])
def test_a_clock_that_begins_late_begins_at_nought(tmp_path: Path, ending: str) -> None:
    times = np.arange(12) / 10  # FFmpeg looks at some frames before it says when a file begins
    read = list(frames(film(tmp_path / f"a.{ending}", times, start=5000)))
    np.testing.assert_allclose([frame.time for frame in read], times, atol=1e-3)


def test_times_rise_where_a_file_says_otherwise(tmp_path: Path) -> None:
    film(tmp_path / "a.avi", np.arange(12) / 10)  # B-frames, whose times AVI cannot hold
    times = [frame.time for frame in frames(tmp_path / "a.avi")]
    assert len(times) == 12 and (np.diff(times) > 0).all()


LAYOUTS = {
    "closed": {"g": "10", "sc_threshold": "0"},
    "open": {"bf": "3", "x264-params": "keyint=10:min-keyint=10:open-gop=1:scenecut=0:b-adapt=0"},
    "one": {"g": "999"},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts"])
def test_a_later_part_is_what_a_whole_reading_gives(tmp_path: Path, layout: str, ending: str) -> None:
    times = np.cumsum(np.random.default_rng(0).uniform(0.04, 0.3, 90)) - 0.04
    path = film(tmp_path / f"a.{ending}", times, start=3, **LAYOUTS[layout])
    whole = {frame.number: frame for frame in frames(path)}
    assert list(whole) == list(range(90))
    for begin in (0.5, 2.0, 4.4, float(whole[50].time), 9.9, 14.0, 60.0):
        for every in (1, 4):
            first = min((n for n, frame in whole.items() if frame.time >= begin), default=90)
            part = list(Part(frames(path), begin, every=every))
            assert [frame.number for frame in part] == list(range(first, 90, every))
            for frame in part:
                assert frame.time == whole[frame.number].time
                assert number_in(frame.pixels) == frame.number
                assert np.abs(frame.pixels.astype(int) - whole[frame.number].pixels).mean() < 3


def test_what_lies_before_is_not_decoded(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", np.arange(200) / 10, **LAYOUTS["closed"])
    seen: list[int] = []
    source = frames(path)
    list(source.select(15.0, lambda number, time: bool(seen.append(number))))
    assert seen[0] == 150 and seen[-1] == 199


def test_a_folder(tmp_path: Path) -> None:
    for i in range(8):
        Image.fromarray(np.full((4, 6), i, np.uint8)).save(tmp_path / f"{i}.png")
    (tmp_path / "1.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    source = frames(tmp_path, rate=2)
    assert [frame.number for frame in Part(source, 1.0, 3.5, 2)] == [2, 4, 6] and not source.damaged
    assert [frame.number for frame in Part(source, 0.2, every=3)] == [4, 7] and source.damaged == [1]


@given(
    st.lists(st.floats(0.001, 3), max_size=30),
    st.floats(0, 20),
    st.none() | st.floats(0.001, 20),
    st.integers(1, 5),
)
def test_any_frames(steps: list[float], begin: float, length: float | None, every: int) -> None:
    film = [Frame(k, float(time), np.zeros((1, 1, 3), np.uint8)) for k, time in enumerate(np.cumsum(steps))]
    end = None if length is None else begin + length
    inside = [f.number for f in film if f.time >= begin and (end is None or f.time < end)]
    assert [frame.number for frame in Part(film, begin, end, every)] == inside[::every]


def test_leaving_early_closes_the_source(tmp_path: Path) -> None:
    closed = []

    def source() -> object:
        try:
            yield from (Frame(k, k / 10, np.zeros((1, 1, 3), np.uint8)) for k in range(9))
        finally:
            closed.append(True)

    assert [frame.number for frame in Part(source(), end=0.35)] == [0, 1, 2, 3] and closed  # type: ignore[arg-type]


@pytest.mark.parametrize("settings", [(-1.0,), (float("nan"),), (2.0, 2.0), (0.0, None, 0)])
def test_parts_that_cannot_be(settings: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="expected"):
        Part([], *settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "x", "1:", "-1", "1.5:00", "1:2:3:4", "nan", "inf", "1e99"])
def test_no_times(text: str) -> None:
    with pytest.raises(InputError, match="expected seconds"):
        seconds(text)


def test_writer_begins_where_it_is_told(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", 10) as writer:
        for k in (30, 31, 33):
            writer.add(numbered(k), k / 10)
    assert [number_in(frame.pixels) for frame in frames(tmp_path / "a.mp4")] == [30, 31, 33]
