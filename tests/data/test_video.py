"""Videos are written and read by PyAV; the pixels are compared with those that went in."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from delineate.core.errors import InputError, MissingDependencyError
from delineate.data.video import VideoWriter, frames, is_video
from delineate.data.video_file import container

av = pytest.importorskip("av")


def pictures(count: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    """A bright bar that moves over a grey ground, and shows where up is."""
    made = []
    for t in range(count):
        picture = np.full((height, width, 3), 60, np.uint8)
        picture[: height // 4] = 120
        picture[:, 4 * t : 4 * t + 8] = 220
        made.append(picture)
    return made


def clip(path: Path, count: int = 8, rate: float = 10, **size: int) -> Path:
    with VideoWriter(path, rate) as writer:
        for t, picture in enumerate(pictures(count, **size)):
            writer.add(picture, t / rate)
    return path


@pytest.mark.parametrize("height, width", [(48, 64), (47, 63)])
def test_what_is_written_is_read(tmp_path: Path, height: int, width: int) -> None:
    source = frames(clip(tmp_path / "a.mp4", height=height, width=width))
    read = list(source)
    assert (source.count, source.rate, source.damaged, source.notes()) == (8, 10.0, [], "")
    assert [f.number for f in read] == list(range(8))
    np.testing.assert_allclose([f.time for f in read], np.arange(8) / 10, atol=1e-4)
    for frame, picture in zip(read, pictures(8, height, width), strict=True):
        assert frame.pixels.shape == (height + height % 2, width + width % 2, 3)
        error = np.abs(frame.pixels[:height, :width].astype(int) - picture)
        assert error.mean() < 4
    assert [f.number for f in source] == list(range(8))  # a second time


def test_uneven_times_are_kept(tmp_path: Path) -> None:
    times = [0, 0.1, 0.5, 0.50001, 3]
    with VideoWriter(tmp_path / "a.mp4", 10) as writer:
        for picture, time in zip(pictures(5), times, strict=True):
            writer.add(picture, time)
    np.testing.assert_allclose([f.time for f in frames(tmp_path / "a.mp4")], times, atol=1e-3)


def test_frames_of_another_size_are_refused(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", 10) as writer:
        writer.add(pictures(1)[0], 0)
        with pytest.raises(InputError, match="expected frames of 48 x 64, got 50 x 64"):
            writer.add(pictures(1, height=50)[0], 0.1)


def test_damage_in_the_middle(bad_inputs: Path) -> None:
    source = frames(bad_inputs / "video" / "corrupt_middle_frames.mp4")
    whole = frames(bad_inputs / "video" / "valid_control.mp4")
    read, expected = list(source), list(whole)
    assert source.damaged == [0] and len(expected) == 12 and not whole.damaged
    assert [f.number for f in read] == list(range(1, 12))
    assert source.notes() == "1 damaged frame left out: 0"
    for frame in read:
        assert frame.time == expected[frame.number].time


def test_a_file_cut_short_gives_what_is_there(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.avi"), "w") as file:  # its index, at the end, is lost; its frames are not
        stream = file.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for picture in np.random.default_rng(0).integers(0, 255, (12, 48, 64, 3), dtype=np.uint8):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode())
    data = (tmp_path / "a.avi").read_bytes()
    (tmp_path / "a.avi").write_bytes(data[: len(data) * 3 // 4])
    source = frames(tmp_path / "a.avi")
    read = list(source)
    assert (
        3 <= len(read) < 12 and source.short and source.notes().endswith("the file ends before its 12 frames")
    )


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("none.mp4", None, "nothing there"),
        ("empty.mp4", b"", "an empty file"),
        ("picture.mp4", b"\x89PNG\r\n\x1a\n" + bytes(99), r"an image \(PNG\)"),
        ("text.mkv", b"hello", "expected a video"),
        ("list.mp4", b"#EXTM3U\nhttp://example.org/a.ts\n", "expected a video"),
        ("cut.mp4", b"\0\0\0\x20ftypisom" + bytes(40), "no whole moov atom"),
        ("cut.webm", b"\x1a\x45\xdf\xa3" + bytes(40), "expected a whole video"),
    ],
)
def test_what_is_no_video(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        frames(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_large_frames_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at most 100 pixels a frame, got 64 x 48"):
        list(frames(clip(tmp_path / "a.mp4"), max_pixels=100))


def test_a_video_is_known_by_its_content_or_its_name(tmp_path: Path) -> None:
    clip(tmp_path / "a.mp4").rename(tmp_path / "a.bin")
    Image.new("RGB", (8, 8)).save(tmp_path / "b.png")
    assert is_video(tmp_path / "a.bin") and is_video("missing.MP4") and not is_video(tmp_path / "b.png")
    assert container(b"\0\0\0\x1cftypheic") == "" and container(b"RIFF\0\0\0\0WEBP") == ""


def test_a_folder_is_its_images_in_natural_order(tmp_path: Path) -> None:
    for name, value in (("t2", 2), ("t10", 10), ("t1", 1)):
        Image.fromarray(np.full((4, 6), value, np.uint8)).save(tmp_path / f"{name}.png")
    (tmp_path / "t3.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    source = frames(tmp_path, rate=2)
    assert [(f.number, f.time, int(f.pixels.max())) for f in source] == [(0, 0, 1), (1, 0.5, 2), (3, 1.5, 10)]
    assert source.damaged == [2] and source.count == 4


def test_without_pyav(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = clip(tmp_path / "a.mp4")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingDependencyError, match=r"delineate\[video\]"):
        frames(path)
