"""Films written and read back: times, colours, alpha, sound."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.data.sound import Sound
from delineate.data.video import frames
from delineate.data.video_write import FILMS, FilmWriter, FolderWriter, check_film

av = pytest.importorskip("av")

TIMES = [k * 0.04 + (0.013 if k % 3 else 0) for k in range(30)]  # a rate that varies
RATE = 44_100


def picture(side: tuple[int, int] = (60, 80)) -> NDArray[np.uint8]:
    made = np.empty((*side, 3), np.uint8)
    made[:] = (200, 30, 60)
    made[10:40, 20:60] = (10, 120, 240)
    return made


def movie(path: Path, codec: str = "aac", container: str = "mp4") -> Path:
    """A film of 30 frames, with a tone that grows."""
    with av.open(str(path), "w", format=container) as file:
        video = file.add_stream("libx264" if "libx264" in av.codecs_available else "mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 80, 60, "yuv420p"
        video.codec_context.time_base = Fraction(1, 90_000)
        audio = file.add_stream(codec, rate=RATE, layout="mono") if codec else None
        for time in TIMES:
            frame = av.VideoFrame.from_ndarray(picture(), format="rgb24")
            frame.pts, frame.time_base = round(time * 90_000), Fraction(1, 90_000)
            file.mux(video.encode(frame))
        file.mux(video.encode())
        if audio is not None:
            count = round((TIMES[-1] + 0.04) * RATE)
            tone = np.sin(np.arange(count) * 2 * np.pi * 440 / RATE) * np.linspace(0.1, 0.9, count)
            for k in range(0, count, 1024):
                samples = (tone[None, k : k + 1024] * 20_000).astype(np.int16)
                sound = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
                sound.sample_rate, sound.pts, sound.time_base = RATE, k, Fraction(1, RATE)
                file.mux(audio.encode(sound))
            file.mux(audio.encode(None))
    return path


def heard(path: Path) -> tuple[float, float, NDArray[np.float32]]:
    """Begin and end of the sound in seconds, and its samples."""
    with av.open(str(path)) as file:
        decoded = list(file.decode(audio=0))
    samples = np.concatenate([f.to_ndarray().astype(np.float32).reshape(-1) for f in decoded])
    return (
        float(decoded[0].time),
        float(decoded[-1].time + decoded[-1].samples / decoded[-1].sample_rate),
        samples,
    )


def seen(path: Path, alpha: bool) -> tuple[list[float], NDArray[np.uint8], int]:
    """Times, the first picture and FFmpeg's number of the colour matrix."""
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        whole = alpha and stream.codec_context.name == "vp9"  # FFmpeg's own VP9 decoder leaves alpha out
        decoder = av.CodecContext.create("libvpx-vp9", "r") if whole else None
        found = [f for p in file.demux(stream) for f in (decoder.decode(p) if decoder else p.decode())]
        times = [float(f.pts * stream.time_base) for f in found]
        return times, found[0].to_ndarray(format="rgba" if alpha else "rgb24"), int(found[0].colorspace)


@pytest.mark.parametrize(
    ("ending", "alpha", "near"),
    [(".mp4", False, 4), (".mov", False, 3), (".mov", True, 2), (".webm", False, 4), (".webm", True, 4)],
)
def test_colours_alpha_and_times_come_back(tmp_path: Path, ending: str, alpha: bool, near: int) -> None:
    path = tmp_path / f"film{ending}"
    share = np.tile(np.linspace(0, 255, 80).astype(np.uint8), (60, 1))
    given = np.dstack([picture(), share]) if alpha else picture()
    with FilmWriter(path, 25, alpha=alpha) as writer:
        for time in TIMES:
            writer.add(given, time)
    times, got, matrix = seen(path, alpha)
    assert matrix == 1  # BT.709, as it is tagged and as it was converted
    assert np.allclose(times, TIMES, atol=6e-4)
    for place in ((25, 40), (50, 70)):
        assert abs(got[place][:3].astype(int) - given[place][:3]).max() <= near
    if alpha:
        assert abs(got[30, :, 3].astype(int) - share[30]).max() <= 4


@pytest.mark.parametrize("ending", sorted(FILMS))
def test_odd_sides_are_padded_or_kept(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"odd{ending}"
    with FilmWriter(path, 25) as writer:
        writer.add(picture()[:37, :51], 0.0)
        with pytest.raises(InputError, match="film of each size"):
            writer.add(picture(), 0.04)
    got = next(iter(frames(path))).pixels
    assert got.shape[0] in (37, 38) and got.shape[1] in (51, 52)


@pytest.mark.parametrize(
    ("codec", "container", "ending", "copied"),
    [
        ("aac", "mp4", ".mp4", True),
        ("mp3", "mp4", ".mov", True),
        ("pcm_s16le", "mov", ".mov", True),
        ("pcm_s16le", "mov", ".mp4", False),
        ("aac", "mpegts", ".mp4", True),
        ("aac", "mp4", ".webm", False),
    ],
)
@pytest.mark.parametrize("start", [0.0, 0.4])
def test_sound_is_kept_in_step(
    tmp_path: Path, codec: str, container: str, ending: str, copied: bool, start: float
) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no {codec} encoder")
    source = movie(tmp_path / "source.bin", codec, container)
    sound = Sound(source, start)
    with FilmWriter(tmp_path / f"film{ending}", 25, sound=sound) as writer:
        for time in TIMES:
            if time >= start:
                writer.add(picture(), time - start)
    assert bool(sound.note) != copied
    begin, end, samples = heard(tmp_path / f"film{ending}")
    assert abs(begin) < 0.05 and abs(end - (TIMES[-1] + 0.04 - start)) < 0.07
    # the tone's loudness grows from 0.1 to 0.9 over the source, so that it tells when a sample was
    middle = np.abs(samples[len(samples) // 2 - 4000 : len(samples) // 2 + 4000]).max()
    whole = np.abs(samples).max()
    expected = (0.1 + 0.8 * (start + TIMES[-1]) / 2 / TIMES[-1]) / 0.9
    assert middle / whole == pytest.approx(expected, abs=0.12)


def test_copied_sound_is_the_same_bytes(tmp_path: Path) -> None:
    source = movie(tmp_path / "source.mp4")
    with FilmWriter(tmp_path / "film.mp4", 25, sound=Sound(source)) as writer:
        for time in TIMES:
            writer.add(picture(), time)

    def packets(path: Path) -> list[bytes]:
        with av.open(str(path)) as file:
            return [bytes(p) for p in file.demux(audio=0) if p.size]

    before, after = packets(source), packets(tmp_path / "film.mp4")
    assert after == before[: len(after)] and len(before) - len(after) <= 2


def test_a_silent_source_gives_a_silent_film(tmp_path: Path) -> None:
    source = movie(tmp_path / "source.mp4", codec="")
    with FilmWriter(tmp_path / "film.mp4", 25, sound=Sound(source)) as writer:
        writer.add(picture(), 0.0)
    with av.open(str(tmp_path / "film.mp4")) as file:
        assert not file.streams.audio


@pytest.mark.parametrize(
    ("name", "alpha"), [("a.avi", False), ("a.mp4", True), ("a.m4v", True), ("a.txt", False)]
)
def test_endings_that_cannot_hold_it(tmp_path: Path, name: str, alpha: bool) -> None:
    with pytest.raises(InputError, match=r"\.webm"):
        check_film(tmp_path / name, alpha)


def test_a_folder_of_pictures_with_their_times(tmp_path: Path) -> None:
    with FolderWriter(tmp_path / "made" / "here") as writer:
        for time in TIMES[:3]:
            writer.add(np.dstack([picture(), np.full((60, 80), 7, np.uint8)]), time)
    lines = (tmp_path / "made" / "here" / "times.csv").read_text().splitlines()
    assert lines[:3] == ["file,seconds", "000000.png,0.000000", "000001.png,0.053000"]
    assert len(list(frames(tmp_path / "made" / "here"))) == 3
    with FolderWriter(tmp_path / "empty"):
        pass
    assert not (tmp_path / "empty").exists()
