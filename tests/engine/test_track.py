"""`track`: decoding, a model and a tracker joined; trackers themselves are tested beside them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

import delineate as dl
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.data.video import Frame
from delineate.data.video_part import Part
from delineate.engine.track import FoundTracks, of_classes, track
from delineate.tracking.choose import TRACKERS, tracker

SIZE = (40, 64)


def scene(t: int) -> np.ndarray:
    """Two squares that move towards each other on two rows, the lower one a little darker."""
    picture = np.zeros((*SIZE, 3), np.uint8)
    picture[6:14, 4 + 2 * t : 12 + 2 * t] = 250
    picture[24:34, 48 - 2 * t : 58 - 2 * t] = 200
    return picture


def film(count: int = 12) -> list[Frame]:
    return [Frame(t, t / 10, scene(t)) for t in range(count)]


def blobs(image: np.ndarray) -> Instances:
    """Bright ones are of class 0, darker ones of class 1."""
    _, labels = cv2.connectedComponents((image[:, :, 0] > 100).astype(np.uint8))
    masks = Masks.from_label_image(labels)
    shade = [int(image[labels == k + 1].max()) for k in range(len(masks))]
    kinds = np.array([0 if s > 225 else 1 for s in shade], np.int64)
    return Instances(SIZE, masks=masks, labels=kinds, scores=[0.9] * len(masks), classes=Labels(("a", "b")))


def ids(found: list[FoundTracks]) -> list[list[int]]:
    return [f.instances.ids.tolist() for f in found]  # type: ignore[union-attr]


@pytest.mark.parametrize("name", TRACKERS)
@pytest.mark.parametrize("ahead", [0, 2])
def test_every_tracker_follows_two_squares(name: str, ahead: int) -> None:
    found = list(track(film(), blobs, tracker=name, ahead=ahead))
    assert [f.number for f in found] == list(range(12))
    last = found[-1].instances
    assert ids(found)[-1] == ids(found)[5] and len(last) == 2
    rows = {int(i): float(box[1]) for i, box in zip(last.ids, last.boxes, strict=True)}  # type: ignore[arg-type]
    early = found[5].instances
    assert rows == {int(i): float(b[1]) for i, b in zip(early.ids, early.boxes, strict=True)}  # type: ignore[arg-type]
    assert len(found[3].detections) == 2 and found[3].tracked.instances is found[3].instances


def test_the_python_call(tmp_path: Path) -> None:
    for frame in film(4):
        Image.fromarray(frame.pixels).save(tmp_path / f"{frame.number:03d}.png")
    found = list(dl.track(tmp_path, blobs))
    assert ids(found) == [[1, 2]] * 4 and found[1].time == 1 / 25


def test_some_classes_and_some_frames() -> None:
    found = list(track(Part(film(), begin=0.3, every=2), blobs, classes=["B"]))
    assert [f.number for f in found] == [3, 5, 7, 9, 11] and ids(found) == [[1]] * 5
    assert found[0].instances.classes.names == ("b",) and found[0].instances.names == ["b"]
    with pytest.raises(InputError, match="expected some of a, b, got 'c'"):
        list(track(film(), blobs, classes=["c"]))


def test_classes_keep_their_ids() -> None:
    three = Labels(("x", "y", "z"), ids=(7, 9, 4), things=(True, False, True))
    objects = Instances((4, 4), boxes=[[0, 0, 1, 1]] * 3, labels=[2, 1, 0], classes=three)
    kept = of_classes(objects, ("z", "X"))
    assert kept.names == ["z", "x"] and kept.classes == Labels(("x", "z"), ids=(7, 4))
    assert len(of_classes(objects[:0], ("y",))) == 0


def test_weak_detections_reach_the_tracker() -> None:
    class Asked:
        def predict(self, image: np.ndarray, **settings: Any) -> Instances:
            assert settings == {"confidence": 0.1, "max_det": 9}
            return blobs(image)

    assert len(list(track(film(3), Asked(), max_det=9))) == 3


def test_a_tracker_of_ones_own_is_told_all() -> None:
    told: list[Any] = []

    class Mine:
        def update(self, found: Instances, frame: Any = None, **given: Any) -> Any:
            told.append((len(found), frame.shape, given["time"]))
            return inner.update(found, frame, **given)

    inner = tracker("masks")
    list(track(film(3), blobs, tracker=Mine()))
    assert told == [(2, (*SIZE, 3), t / 10) for t in range(3)]


@pytest.mark.parametrize("ahead", [0, 2])
def test_what_fails_ends_all(ahead: int) -> None:
    def failing(image: np.ndarray) -> Instances:
        if image[10, 10, 0] == 0:
            raise InputError("no")
        return blobs(image)

    before, seen = threading.active_count(), []
    with pytest.raises(InputError, match="no"):
        seen.extend(f.number for f in track(film(), failing, ahead=ahead))
    assert seen == [0, 1, 2, 3] and threading.active_count() == before


def test_leaving_early_ends_the_threads_and_the_source() -> None:
    closed = threading.Event()

    def source() -> Iterator[Frame]:
        try:
            yield from film(100)
        finally:
            closed.set()

    before = threading.active_count()
    followed = track(source(), blobs)
    assert next(followed).number == 0
    followed.close()  # type: ignore[attr-defined]
    assert closed.wait(5) and threading.active_count() == before


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"tracker": "best"}, "expected one of masks"),
        ({"detections": "x.json", "model": blobs}, "a model or detections, got both"),
        ({"detections": "x.json"}, "no such file"),
        ({"model": "nothing"}, "nothing"),
        ({"model": blobs, "confidence": 2}, "0..1"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        list(track(film(2), **settings))


def test_a_clock_that_stumbles() -> None:
    times = [0, 0.1, 0.1, 0.05, 0.2]
    stumbling = [Frame(t, time, scene(t)) for t, time in enumerate(times)]
    found = list(track(stumbling, blobs))
    assert [f.time for f in found] == pytest.approx([0, 0.1, 0.101, 0.102, 0.2]) and ids(found) == [
        [1, 2]
    ] * 5


def test_no_frames() -> None:
    assert list(track([], blobs)) == []
