"""Detections that are kept: read back exactly, whatever moment the run was cut off at."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.data.video import Frame
from delineate.engine.track import Detections, track
from delineate.engine.track_journal import Journal, is_finished

SIZE = (20, 30)
CLASSES = Labels(("a", "b"), ids=(3, 8))
WHAT = {"source": ["a.mp4", 12], "to": None, "every": 1}


def frame(number: int) -> Frame:
    return Frame(number, number / 10, np.zeros((*SIZE, 3), np.uint8))


class Detector:
    """Random objects, the same for the same frame; counts how often it was asked."""

    def __init__(self, masks: bool = True, width: int = 0) -> None:
        self.masks, self.width, self.asked = masks, width, 0

    def __call__(self, frame: Frame) -> Detections:
        self.asked += 1
        rng = np.random.default_rng(frame.number)
        count = int(rng.integers(0, 4))
        scores, labels = rng.random(count).astype(np.float32), rng.integers(0, 2, count)
        masks, boxes = None, None
        if self.masks:
            masks = Masks.from_dense(rng.random((count, *SIZE)) > 0.8)
        else:
            corners = rng.random((count, 4)).astype(np.float32) * 9
            boxes = np.concatenate((corners[:, :2], corners[:, :2] + corners[:, 2:]), axis=1)
        found = Instances(SIZE, boxes=boxes, masks=masks, scores=scores, labels=labels, classes=CLASSES)
        features = rng.standard_normal((count, self.width)).astype(np.float32) if self.width else None
        return Detections(found, features)


def same(a: Detections, b: Detections) -> bool:
    one, two = a.instances, b.instances
    columns = all(np.array_equal(getattr(one, k), getattr(two, k)) for k in ("boxes", "labels", "scores"))
    if (a.features is None) != (b.features is None) or one.classes != two.classes or one.size != two.size:
        return False
    looks = a.features is None or np.array_equal(a.features, b.features)
    return bool(columns and looks and one.masks == two.masks)


@pytest.mark.parametrize("masks", [True, False])
@pytest.mark.parametrize("width", [0, 5])
def test_what_is_kept_is_read_back(tmp_path: Path, masks: bool, width: int) -> None:
    path, detector = tmp_path / "j.gz", Detector(masks, width)
    with Journal(path, WHAT) as journal:
        first = [journal.detections(detector, frame(k)) for k in range(9)]
    assert (journal.added, journal.replayed, detector.asked) == (9, 0, 9) and is_finished(path)
    with Journal(path, WHAT, resume=True) as journal:
        again = [journal.detections(detector, frame(k)) for k in range(9)]
        more = journal.detections(detector, frame(9))
    assert (journal.added, journal.replayed, detector.asked) == (1, 9, 10)
    assert all(same(a, b) for a, b in zip(first, again, strict=True))
    assert len(more.instances) == len(detector(frame(9)).instances) and is_finished(path)


def test_it_is_readable(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.gz", WHAT) as journal:
        for k in range(3):
            journal.detections(Detector(), frame(k))
    text = gzip.decompress((tmp_path / "j.gz").read_bytes())
    lines = [json.loads(line) for line in text.splitlines()]
    assert lines[0]["what"] == WHAT and lines[0]["classes"]["names"] == ["a", "b"]
    assert [line["frame"] for line in lines[1:4]] == [0, 1, 2] and lines[4] == {"end": True}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("journal") / "j.gz"
    with Journal(path, WHAT) as journal:
        for k in range(8):
            journal.detections(Detector(), frame(k))
    return path.read_bytes()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_cut_off_at_any_byte(tmp_path: Path, whole: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(whole)))
    rubbish = data.draw(st.binary(max_size=40))
    path, detector = tmp_path / "j.gz", Detector()
    path.write_bytes(whole[:cut] + rubbish)
    with Journal(path, WHAT, resume=True) as journal:
        found = [journal.detections(detector, frame(k)) for k in range(8)]
    assert journal.replayed + journal.added == 8 and detector.asked == journal.added
    assert all(same(f, Detector()(frame(k))) for k, f in enumerate(found))
    assert path.read_bytes() == whole  # as if nothing had happened


def test_an_unfinished_run_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "j.gz"
    journal = Journal(path, WHAT)
    journal.detections(Detector(), frame(0))
    journal.close()
    assert not is_finished(path)
    with pytest.raises(InputError, match="--resume"):
        Journal(path, WHAT)
    with Journal(path, WHAT, resume=True) as journal:
        journal.detections(Detector(), frame(0))
    with Journal(path, {"other": 1}) as journal:  # a finished one is
        journal.detections(Detector(), frame(5))
    assert journal.added == 1


def test_ctrl_c_leaves_it_unfinished(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Journal(tmp_path / "j.gz", WHAT) as journal:
        journal.detections(Detector(), frame(0))
        raise KeyboardInterrupt
    assert not is_finished(tmp_path / "j.gz")


@pytest.mark.parametrize("change", [{"every": 2}, {"source": ["b.mp4", 12]}, {"model": "x"}])
def test_another_run_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    with Journal(tmp_path / "j.gz", WHAT) as journal:
        journal.detections(Detector(), frame(0))
    with pytest.raises(InputError, match=f"expected a run with {next(iter(change))}"):
        Journal(tmp_path / "j.gz", WHAT | change, resume=True)


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "j.gz").write_bytes(gzip.compress(b'{"name": 1}\n'))
    with pytest.raises(InputError, match="another file"):
        Journal(tmp_path / "j.gz", WHAT, resume=True)
    with pytest.raises(InputError, match="expected to write here"):
        Journal(tmp_path / "none" / "j.gz", WHAT)


def test_a_source_that_has_changed(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.gz", WHAT) as journal:
        journal.detections(Detector(), frame(0))
        journal.detections(Detector(), frame(1))
    with Journal(tmp_path / "j.gz", WHAT, resume=True) as journal:
        journal.detections(Detector(), frame(0))
        with pytest.raises(InputError, match="expected frame 2 next"):
            journal.detections(Detector(), frame(2))


def test_the_same_tracks_after_a_cut(tmp_path: Path) -> None:
    """The tracker sees the kept detections again, features and all."""

    def film() -> list[Frame]:
        return [frame(k) for k in range(20)]

    def boxes(image: np.ndarray) -> Instances:
        rng = np.random.default_rng(int(calls.pop(0)))
        corner = rng.random((3, 2)) * 3 + [[2, 2], [15, 4], [4, 12]]
        return Instances(SIZE, boxes=np.concatenate((corner, corner + 5), axis=1), scores=[0.9] * 3)

    calls = list(range(20))
    expected = [f.instances.ids.tolist() for f in track(film(), boxes)]  # type: ignore[union-attr]
    calls = list(range(20))
    with Journal(tmp_path / "j.gz", WHAT) as journal:
        for found in track(film(), boxes, journal=journal, ahead=0):
            if found.number == 11:
                journal.close()
                break
    calls = list(range(12, 20))
    with Journal(tmp_path / "j.gz", WHAT, resume=True) as journal:
        again = [f.instances.ids.tolist() for f in track(film(), boxes, journal=journal)]  # type: ignore[union-attr]
    assert again == expected and journal.replayed == 12
