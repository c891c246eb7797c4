"""`delineate track` with a stand-in for the model: files, parts, stored detections, kill -9, damage."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from delineate.cli import main
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.data.formats import mots
from delineate.data.video import VideoWriter, frames

pytest.importorskip("av")
Capture = pytest.CaptureFixture[str]
FRAMES = 24


class Bright:
    """Each bright patch is an object. A frame stands for what a user interrupts, where asked for."""

    name = "bright"

    def __init__(self, interrupted: int | None = None, pause: float = 0) -> None:
        self.seen, self.interrupted, self.pause = 0, interrupted, pause

    def predict(self, pixels: np.ndarray, **settings: Any) -> Instances:
        self.seen += 1
        time.sleep(self.pause)
        if self.interrupted == self.seen:
            raise KeyboardInterrupt
        _, labels = cv2.connectedComponents((pixels.mean(axis=2) > 120).astype(np.uint8))
        masks = Masks.from_label_image(labels)
        return Instances(pixels.shape[:2], masks=masks, scores=[0.9] * len(masks), classes=Labels(("bar",)))


def scene(t: int) -> np.ndarray:
    picture = np.full((48, 64, 3), 20, np.uint8)
    picture[6:16, 2 * t : 2 * t + 10] = 230
    picture[30:42, 50 - 2 * t if t < 25 else 0 : 60 - 2 * t] = 200
    return picture


def film(path: Path) -> Path:
    with VideoWriter(path, 10) as writer:
        for t in range(FRAMES):
            writer.add(scene(t), t / 10)
    return path


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("delineate.engine.load.load", lambda *_, **__: Bright())
    return film(tmp_path / "clip.mp4")


def interrupt(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    monkeypatch.setattr("delineate.engine.load.load", lambda *_, **__: Bright(at))


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_video(clip: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "out"
    assert main(["track", str(clip), "--out", str(out), "--save", "overlay,coco,mots,mot,table"]) == 0
    assert names(out) == [
        "clip.journal.gz", "clip.mot.txt", "clip.mots.txt", "clip.tracks.csv", "clip.tracks.json",
        "clip.tracks.mp4", "labels.txt",
    ]  # fmt: skip
    drawn = list(frames(out / "clip.tracks.mp4"))
    np.testing.assert_allclose([f.time for f in drawn], np.arange(FRAMES) / 10, atol=1e-3)
    assert drawn[9].pixels.shape == (48, 64, 3) and np.ptp(drawn[9].pixels, axis=2).max() > 60  # colours
    tracks = mots.read_text(out / "clip.mots.txt")
    assert len(tracks) == FRAMES and {int(i) for f in tracks for i in f.objects.ids} == {1, 2}  # type: ignore[union-attr]
    told = capsys.readouterr().out
    assert f"{FRAMES} frames, 2 tracks, {2 * FRAMES} objects" in told and "clip.tracks.mp4" in told


def test_a_part_of_it(clip: Path, tmp_path: Path) -> None:
    part = ["--from", "0.5", "--to", "0:01.3", "--every", "2", "--save", "coco,overlay"]
    assert main(["track", str(clip), "--out", str(tmp_path / "o"), "--quiet", *part]) == 0
    document = json.loads((tmp_path / "o" / "clip.tracks.json").read_text())
    assert [i["frame"] for i in document["images"]] == [5, 7, 9, 11]
    times = [f.time for f in frames(tmp_path / "o" / "clip.tracks.mp4")]
    np.testing.assert_allclose(times, [0, 0.2, 0.4, 0.6], atol=1e-3)


def test_a_folder_keeps_its_numbers(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "seq").mkdir()
    for t in range(5):
        Image.fromarray(scene(t)).save(tmp_path / "seq" / f"{t:06d}.png")
    run = ["track", str(tmp_path / "seq"), "--out", str(tmp_path / "o"), "--rate", "2"]
    assert main([*run, "--save", "mots,table"]) == 0
    assert mots.read_text(tmp_path / "o" / "seq.mots.txt").frames == (0, 1, 2, 3, 4)
    assert "\n4,2.0000," in (tmp_path / "o" / "seq.tracks.csv").read_text()


def test_stored_detections_and_another_tracker(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["predict", str(clip), "--out", str(tmp_path / "p"), "--save", "coco", "--quiet"]) == 0
    monkeypatch.setattr("delineate.engine.load.load", None)  # no model is loaded
    stored = ["--detections", str(tmp_path / "p" / "clip.frames.json"), "--out", str(tmp_path / "o")]
    for tracker in ("masks", "sort"):
        assert main(["track", str(clip), *stored, "--tracker", tracker, "--save", "mots"]) == 0
        found = mots.read_text(tmp_path / "o" / "clip.mots.txt")
        assert len({int(i) for f in found for i in f.objects.ids}) == 2  # type: ignore[union-attr]
    assert names(tmp_path / "o") == ["clip.mots.txt", "labels.txt"]


def test_a_camera(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """A file stands for the camera; its frames come one by one, and there is nothing to go on with."""
    from delineate.data import capture

    opened = capture.open_capture
    monkeypatch.setattr(capture, "is_live", lambda source: source == "camera:3")
    monkeypatch.setattr(capture, "open_capture", lambda _: opened(clip, every=True))
    run = ["track", "camera:3", "--out", str(tmp_path / "o"), "--save", "mots,coco"]
    assert main([*run, "--to", "1.5"]) == 0
    assert names(tmp_path / "o") == ["camera_3.mots.txt", "camera_3.tracks.json", "labels.txt"]
    assert "15 frames, 2 tracks" in capsys.readouterr().out
    assert main([*run, "--resume"]) == 2 and "a camera or stream" in capsys.readouterr().err


def test_trajectories_on_the_ground(clip: Path, tmp_path: Path, capsys: Capture) -> None:
    """The upper bar goes 2 pixels a frame, 10 frames a second; a pixel is 5 cm: 1 m/s."""
    plain = tmp_path / "plain.txt"
    plain.write_text("0.05 0 0\n0 0.05 0\n0 0 1\n")
    arguments = ["track", str(clip), "--save", "trajectories", "--homography", str(plain), "--quiet"]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    folder = tmp_path / "out" / f"{clip.stem}.trajectories"
    rows = pd.read_parquet(folder / "participants.parquet")
    assert len(rows) == 2 and rows["speed_median_m_s"].tolist() == pytest.approx([1, 1], abs=0.05)


def test_settings_of_the_tracker(clip: Path, tmp_path: Path, capsys: Capture) -> None:
    run = ["track", str(clip), "--out", str(tmp_path / "o"), "--save", "none"]
    assert main([*run, "--confidence", "0.95"]) == 0
    assert f"{FRAMES} frames, 0 tracks" in capsys.readouterr().out
    assert main([*run, "--set", "patience=2", "--set", "confirm=1"]) == 0
    assert not (tmp_path / "o").exists()
    assert main([*run, "--set", "patienc=2"]) == 2
    assert "patience" in capsys.readouterr().err


def test_ctrl_c_and_resume(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    run = ["track", str(clip), "--save", "overlay,mots,ctc"]
    assert main([*run, "--out", str(tmp_path / "whole")]) == 0
    interrupt(monkeypatch, 10)
    out = tmp_path / "out"
    assert main([*run, "--out", str(out)]) == 130
    assert names(out) == ["clip.journal.gz", "clip.mots.txt", "clip.tracks.mp4", "clip_RES", "labels.txt"]
    done = len(mots.read_text(out / "clip.mots.txt"))
    assert 5 <= done <= 9 and len(list(frames(out / "clip.tracks.mp4"))) == done
    capsys.readouterr()
    assert main([*run, "--out", str(out)]) == 2  # what was done is not thrown away
    assert "--resume" in capsys.readouterr().err
    monkeypatch.setattr("delineate.engine.load.load", lambda *_, **__: Bright())
    assert main([*run, "--out", str(out), "--every", "2", "--resume"]) == 2
    assert "expected a run with every 1, got 2" in capsys.readouterr().err
    assert main([*run, "--out", str(out), "--resume"]) == 0
    assert "9 taken from the run before" in capsys.readouterr().out
    same_files(out, tmp_path / "whole")


def same_files(one: Path, other: Path) -> None:
    files = [p.relative_to(other) for p in other.rglob("*") if p.is_file()]
    assert files
    for file in files:
        if file.suffix == ".mp4":  # x264 does not give the same bytes each time
            pairs = list(zip(frames(one / file), frames(other / file), strict=True))
            assert len(pairs) == FRAMES and all(a.time == b.time for a, b in pairs)
            assert max(np.abs(a.pixels.astype(int) - b.pixels).mean() for a, b in pairs) < 2
        else:
            assert (one / file).read_bytes() == (other / file).read_bytes(), file


SLOW = """
import sys
sys.path.insert(0, {here!r})
import test_track_command as t
import delineate.engine.load
delineate.engine.load.load = lambda *_, **__: t.Bright(pause=0.05)
from delineate.cli import main
sys.exit(main({arguments!r}))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9 on this system")
def test_kill_and_resume(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run = ["track", str(clip), "--save", "overlay,coco,mots,table"]
    text = SLOW.format(here=str(Path(__file__).parent), arguments=[*run, "--out", str(out)])
    process = subprocess.Popen([sys.executable, "-c", text])
    journal, end = out / "clip.journal.gz", time.monotonic() + 120
    while not journal.exists() or journal.stat().st_size < 1500:
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (out / "clip.mots.txt").exists()
    model = Bright()
    import delineate.engine.load as loading

    kept, loading.load = loading.load, lambda *_, **__: model  # type: ignore[assignment]
    try:
        assert main([*run, "--out", str(out), "--resume"]) == 0
    finally:
        loading.load = kept
    assert 0 < model.seen < FRAMES - 3
    assert main([*run, "--out", str(tmp_path / "whole")]) == 0
    same_files(out, tmp_path / "whole")
    assert not [name for name in names(out) if name.startswith(".")]


def test_damaged_videos(clip: Path, bad_inputs: Path, tmp_path: Path, capsys: Capture) -> None:
    video = bad_inputs / "video"
    run = ["--out", str(tmp_path / "o"), "--save", "mots,coco"]
    assert main(["track", str(video / "corrupt_middle_frames.mp4"), *run]) == 1
    told = capsys.readouterr()
    assert told.err.count("1 damaged frame left out: 0") == 1 and "11 frames" in told.out
    document = json.loads((tmp_path / "o" / "corrupt_middle_frames.tracks.json").read_text())
    assert [i["frame"] for i in document["images"]] == list(range(1, 12))
    for name in ("image_named_mp4.mp4", "truncated_no_moov.mp4"):
        assert main(["track", str(video / name), *run]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--save", "gif"], "--save: expected some of overlay"),
        (["--tracker", "best"], "expected one of masks"),
        (["--from", "x"], "--from: expected seconds"),
        (["--from", "5", "--to", "4"], "expected seconds after 5"),
        (["--from", "900"], "expected frames in the part that was chosen"),
        (["--every", "0"], "expected 1 or more"),
        (["--rate", "5"], "expected a folder of images"),
        (["--confidence", "7"], "--confidence"),
        (["--set", "patience"], "name=value"),
        (["--classes", "dog"], "expected some of bar"),
        (["--detections", "none.json"], "no such file"),
        (["--detections", "none.json", "--model", "nuclei"], "got both"),
        (["--resume", "--save", "none"], "--resume"),
        (["--homography", "points.csv"], "expected --save trajectories with a ground"),
        (["--homography", "a", "--camera", "b", "--save", "trajectories"], "got both"),
        (["--camera", "none.json", "--save", "trajectories"], "none.json"),
    ],
)  # fmt: skip
def test_wrong_usage(clip: Path, tmp_path: Path, capsys: Capture, arguments: list[str], message: str) -> None:
    out = tmp_path / "out"
    assert main(["track", str(clip), "--out", str(out), *arguments]) == 2
    told = capsys.readouterr().err
    assert message in told and len(told.splitlines()) == 1
    assert not out.exists() or not [n for n in names(out) if "journal" not in n]


def test_no_source(capsys: Capture) -> None:
    assert main(["track", "none.mp4"]) == 2 and "nothing there" in capsys.readouterr().err
