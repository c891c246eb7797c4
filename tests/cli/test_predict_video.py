"""`delineate predict` on videos: overlay, COCO of the frames, damage, codes; a stand-in for the model."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from delineate.cli import main
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.data.video import VideoWriter, frames

pytest.importorskip("av")
Capture = pytest.CaptureFixture[str]


class Bright:
    """One object: the bright pixels. Frame 5 stands for what a user interrupts, where asked for."""

    name = "bright"

    def __init__(self, interrupted: bool = False) -> None:
        self.seen, self.interrupted = 0, interrupted

    def predict(self, pixels: np.ndarray, **settings: Any) -> Instances:
        self.seen += 1
        if self.interrupted and self.seen == 5:
            raise KeyboardInterrupt
        masks = Masks.from_dense((pixels.mean(axis=2) > 150)[None])
        return Instances(pixels.shape[:2], masks=masks, scores=[0.75], classes=Labels(("bar",), ids=(7,)))


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("delineate.engine.load.load", lambda *_, **__: Bright())
    with VideoWriter(tmp_path / "clip.mp4", 10) as writer:
        for t in range(8):
            picture = np.full((48, 64, 3), 40, np.uint8)
            picture[:, 6 * t : 6 * t + 8] = 230
            writer.add(picture, t / 10)
    return tmp_path / "clip.mp4"


def test_a_warning_of_every_frame_is_told_once(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    class Crowded(Bright):
        def predict(self, pixels: np.ndarray, **settings: Any) -> Instances:
            logging.getLogger("delineate").warning("kept the %d best of more", self.seen)
            return super().predict(pixels, **settings)

    monkeypatch.setattr("delineate.engine.load.load", lambda *_, **__: Crowded())
    for name in ("one", "two"):  # each command tells it anew
        assert main(["predict", str(clip), "--out", str(tmp_path / name)]) == 0
        assert capsys.readouterr().err.count("kept the") == 1


def test_overlay_and_frames(clip: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "out"
    assert main(["predict", str(clip), "--out", str(out)]) == 0
    assert sorted(p.name for p in out.iterdir()) == ["clip.frames.json", "clip.overlay.mp4"]
    drawn = list(frames(out / "clip.overlay.mp4"))
    assert len(drawn) == 8 and drawn[7].pixels.shape == (48, 64, 3)
    record = json.loads((out / "clip.frames.json").read_text())
    assert [(i["frame"], i["time"]) for i in record["images"]] == [(t, t / 10) for t in range(8)]
    assert [a["image_id"] for a in record["annotations"]] == list(range(1, 9))
    assert [a["id"] for a in record["annotations"]] == list(range(1, 9))
    left = [a["bbox"][0] for a in record["annotations"]]
    np.testing.assert_allclose(left, np.arange(8) * 6, atol=1)
    assert record["categories"] == [{"id": 7, "name": "bar"}]
    told = capsys.readouterr().out
    assert "8 frames, 8 objects on 64 x 48" in told and "1 video, 8 objects" in told


def test_json_record(clip: Path, tmp_path: Path, capsys: Capture) -> None:
    assert main(["predict", str(clip), "--save", "none", "--json", "--out", str(tmp_path / "out")]) == 0
    document = json.loads(capsys.readouterr().out)
    record = document["images"][0]
    assert (record["frames"], record["count"], record["damaged"], record["files"]) == (8, 8, [], {})
    assert not (tmp_path / "out").exists()


def test_an_interrupt_keeps_what_is_done(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("delineate.engine.load.load", lambda *_, **__: Bright(interrupted=True))
    out = tmp_path / "out"
    assert main(["predict", str(clip), "--out", str(out)]) == 130
    assert sorted(p.name for p in out.iterdir()) == ["clip.frames.json", "clip.overlay.mp4"]
    assert len(json.loads((out / "clip.frames.json").read_text())["images"]) == 4
    assert len(list(frames(out / "clip.overlay.mp4"))) == 4


@pytest.mark.parametrize("arguments", [["--save", "csv"], ["--page", "1"], ["--channels", "0"]])
def test_what_does_not_fit_a_video(clip: Path, tmp_path: Path, arguments: list[str], capsys: Capture) -> None:
    assert main(["predict", str(clip), "--out", str(tmp_path / "out"), *arguments]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1 and not (tmp_path / "out").exists()


def test_damaged_files(clip: Path, bad_inputs: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "out"
    files = [str(p) for p in sorted((bad_inputs / "video").iterdir())]
    assert main(["predict", *files, "--out", str(out)]) == 1
    told = capsys.readouterr()
    assert len(told.err.splitlines()) == 3 and "1 damaged frame left out: 0" in told.err
    assert "2 videos" in told.out and "3 failed" in told.out
    record = json.loads((out / "corrupt_middle_frames.frames.json").read_text())
    assert [i["frame"] for i in record["images"]] == list(range(1, 12))
