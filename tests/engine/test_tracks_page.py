"""The page of an evaluation of tracks, and the timeline on it, against scenes that are known."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.data.tracks import TrackedFrame, TrackSequence
from delineate.engine.evaluate_tracks import evaluate_tracks
from delineate.engine.track_timeline import Span, timeline
from delineate.metrics.clear_mot import ClearMOT
from delineate.metrics.track_frames import TrackFrames

CLASSES = Labels(("<b>car</b>",))
SIZE = (60, 80)


def objects(places: dict[int, int]) -> Instances:
    """Boxes 10 wide by id and left edge, each id in a row of its own if the truth's."""
    boxes = [[x, 5, x + 10, 15] for x in places.values()]
    return Instances(
        SIZE, boxes=np.array(boxes).reshape(-1, 4), ids=np.array(list(places), np.int64), classes=CLASSES
    )


def sequence(name: str, frames: list[dict[int, int]]) -> TrackSequence:
    def decode(number: int) -> TrackedFrame:
        return TrackedFrame(number, objects(frames[number]))

    known = tuple(range(len(frames)))
    return TrackSequence(name, known, CLASSES, decode, Path(name), kind="box", size=SIZE, complete=True)


TRUTH = [{1: 10 + k, 2: 50} for k in range(6)]
FOUND = [{7: 10, 8: 50}, {7: 11, 8: 50}, {8: 50, 3: 70}, {9: 13, 8: 50}, {9: 14, 8: 50}, {9: 15}]


def test_who_was_followed_when() -> None:
    frames = TrackFrames("box")
    for k in range(6):
        frames.update(objects(FOUND[k]), objects(TRUTH[k]), k, "a")
    line = timeline(frames, "a", range(6))
    assert line.ways[0].spans == (Span(0, 1, 7), Span(2, 2, -1), Span(3, 5, 9))
    assert line.ways[1].spans == (Span(0, 4, 8), Span(5, 5, -1))
    assert [(w.missed, w.switches) for w in line.ways] == [(1, 1), (1, 0)]
    assert line.missed.tolist() == [0, 0, 1, 0, 0, 1] and line.false.tolist() == [0, 0, 1, 0, 0, 0]
    assert line.switched.tolist() == [0, 0, 0, 1, 0, 0]
    assert line.worst(3, apart=1) == [2, 3, 5] and line.worst(3, apart=10) == [2]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_sums_are_those_of_mota(seed: int) -> None:
    rng = np.random.default_rng(seed)
    metric = ClearMOT("box")
    for k in range(8):
        true = {i: int(rng.integers(0, 60)) for i in range(1, 4) if rng.random() < 0.8}
        found = {i + int(rng.random() < 0.2): x + int(rng.integers(-3, 4)) for i, x in true.items()}
        metric.update(objects(found), objects(true), k, "a")
    line, scores = timeline(metric, "a", range(8)), metric.compute().scores
    assert int(line.missed.sum()) == scores["FN"] and int(line.false.sum()) == scores["FP"]
    assert int(line.switched.sum()) == scores["IDSW"] == sum(way.switches for way in line.ways)


def test_the_page(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    for k in range(6):
        Image.new("RGB", SIZE[::-1], (40, 40, 40)).save(tmp_path / "frames" / f"{k:06d}.png")
    report = evaluate_tracks(
        sequence("street", FOUND), sequence("street", TRUTH), images=tmp_path / "frames", progress=False
    )
    assert report.save(tmp_path / "page.html") == [tmp_path / "page.html"]
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>") and "<script" not in page and "http" not in page
    assert "<b>car</b>" not in page and "1 changes of id" in page and "2 objects missed, 1 false" in page
    assert page.count("data:image/jpeg") == len(report.worst) == 1 and "frame 2: 1 missed, 1 false" in page
    ElementTree.fromstring(page.removeprefix("<!doctype html>\n"))  # well formed
    assert "timelines" not in report.to_dict()


def test_without_images_and_without_errors(tmp_path: Path) -> None:
    report = evaluate_tracks(sequence("a", TRUTH), sequence("a", TRUTH), progress=False)
    page = report.to_html()
    assert report.worst == () and "Worst frames" not in page and "0 objects missed, 0 false" in page
    with pytest.raises(InputError, match="folder with the frames"):
        evaluate_tracks(sequence("a", TRUTH), sequence("a", TRUTH), images=tmp_path / "none", progress=False)
    with pytest.raises(InputError, match=r"\.html"):
        report.save(tmp_path / "page.pdf")


def test_a_video_without_objects() -> None:
    empty = [dict[int, int]() for _ in range(3)]
    page = evaluate_tracks(sequence("a", empty), sequence("a", empty), progress=False).to_html()
    assert "0 true tracks, 3 frames" in page
