"""Live objects: however slow the network or the caller is, what is given is new."""

from __future__ import annotations

import itertools
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.data.newest import Newest
from delineate.data.video import VideoWriter, frames
from delineate.engine.live import Live, LiveObjects
from delineate.engine.live_draw import LiveDrawing
from delineate.engine.live_figures import Figures
from delineate.engine.live_record import Recording
from delineate.tracking.choose import tracker

pytest.importorskip("av")

from delineate.data.capture import open_capture

SIZE = (48, 64)
AB = Labels(("a", "b"))


def two(image: Any) -> Instances:
    """An object of each class, at the same places in every frame."""
    boxes = [[4, 4, 20, 20], [30, 10, 50, 40]]
    return Instances(image.shape[:2], boxes=boxes, labels=[0, 1], scores=[0.9, 0.8], classes=AB)


def slow(seconds: float) -> Any:
    def find(image: Any) -> Instances:
        time.sleep(seconds)
        return two(image)

    return find


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds at 30 frames a second."""
    path = tmp_path_factory.mktemp("live") / "clip.mp4"
    with VideoWriter(path, 30) as writer:
        for k in range(60):
            writer.add(np.full((*SIZE, 3), 4 * k, np.uint8), k / 30)
    return path


@pytest.mark.parametrize(("model", "caller"), [(0.15, 0.0), (0.15, 0.1), (0.02, 0.2)])
def test_what_is_given_is_new(clip: Path, model: float, caller: float) -> None:
    ages = []
    with LiveObjects(open_capture(clip), slow(model)) as objects:
        for live in objects:
            ages.append(live.age)
            assert live.spent >= model
            time.sleep(caller)
        now = objects.figures.now()
    assert model <= np.median(ages) < 2 * model + 0.1, ages
    assert now.shown == len(ages) and now.arrived == 60
    assert objects.dropped + now.shown == pytest.approx(60, abs=3)  # the last ones are under way
    assert objects.figures.quantile(0.5) >= max(model, caller)


def test_every_frame_where_that_is_asked(clip: Path) -> None:
    with LiveObjects(open_capture(clip, every=True), slow(0.001)) as objects:
        numbers = [live.number for live in objects]
    assert numbers == list(range(60)) and objects.dropped == 0


def test_identities_and_classes(clip: Path) -> None:
    with LiveObjects(open_capture(clip, every=True), two, tracker=tracker("sort"), classes=["B"]) as objects:
        seen = list(itertools.islice(objects, 8))
    assert {tuple(live.instances.names) for live in seen[3:]} == {("b",)}
    ids = [live.instances.ids for live in seen[3:]]
    assert all(i is not None and i.tolist() == [1] for i in ids)


def test_settings_change_from_the_next_frame_on(clip: Path) -> None:
    asked = []

    class Model:
        def predict(self, image: Any, **settings: Any) -> Instances:
            asked.append(settings["confidence"])
            return two(image)

    with LiveObjects(open_capture(clip, every=True), Model(), confidence=0.5) as objects:
        for k, _ in enumerate(objects):
            if k == 3:
                objects.set(confidence=0.7)
        with pytest.raises(InputError, match="confidence"):
            objects.set(confidence=2.0)
    assert asked[0] == 0.5 and asked[-1] == 0.7


def test_what_the_network_raises_is_raised_and_threads_end(clip: Path) -> None:
    def fail(image: Any) -> Instances:
        raise InputError("network: expected another picture, got this; change it")

    before = threading.active_count()
    with pytest.raises(InputError, match="expected another picture"):
        list(LiveObjects(open_capture(clip), fail))
    with LiveObjects(open_capture(clip), slow(0.01)) as objects:
        next(iter(objects))
    assert threading.active_count() == before
    with pytest.raises(InputError, match="confidence"):
        LiveObjects(open_capture(clip), two, confidence=7.0)


def test_closing_from_elsewhere_ends_the_waiting(clip: Path) -> None:
    with LiveObjects(open_capture(clip, loop=True), slow(0.05)) as objects:
        threading.Timer(0.5, objects.close).start()
        assert 1 <= len(list(objects)) < 20


def live_of(shape: tuple[int, int], ids: list[int] | None = None) -> Live:
    found = Instances(shape, boxes=[[4, 4, 20, 20]], ids=ids)
    return Live(0, 0.0, 0.0, np.full((*shape, 3), 99, np.uint8), found, (), 0.0)


def test_drawing_survives_another_size() -> None:
    from delineate.apply.composite import Look, Plain

    for drawing in (LiveDrawing(), LiveDrawing(Look(Plain((255, 0, 0))))):
        for shape in (SIZE, (30, 40), SIZE):
            for ids in (None, [1]):
                assert drawing.draw(live_of(shape, ids)).shape == (*shape, 3)
    assert drawing.draw(live_of(SIZE))[-1, -1].tolist() == [255, 0, 0]
    drawing.plain = True
    assert (drawing.draw(live_of(SIZE)) == 99).all()


def test_a_recording_has_its_own_times_and_takes_another_size(tmp_path: Path) -> None:
    path = tmp_path / "seen.mp4"
    with Recording(path, 10) as recording:
        for time_, shape in ((5.0, SIZE), (5.1, SIZE), (5.5, (30, 40)), (5.6, SIZE)):
            recording.add(np.full((*shape, 3), 90, np.uint8), time_)
            assert not path.exists()
            time.sleep(0.02)
    got = list(frames(path))
    assert [round(f.time, 3) for f in got] == [0.0, 0.1, 0.5, 0.6]
    assert {f.pixels.shape for f in got} == {(*SIZE, 3)} and recording.written == 4
    assert [p.name for p in tmp_path.iterdir()] == ["seen.mp4"]
    recording.close()


def test_a_recording_never_holds_up_and_needs_a_place(tmp_path: Path) -> None:
    with Recording(tmp_path / "a.webm") as recording:
        begin = time.monotonic()
        for k in range(60):
            recording.add(np.zeros((240, 320, 3), np.uint8), k / 30)
        assert time.monotonic() - begin < 1
    assert recording.written + recording.dropped == 60 and recording.written >= 8
    with Recording(tmp_path / "none.mp4"):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["a.webm"]  # nothing shown, nothing left
    for path, text in (("a.avi", "ending"), ("folder", "ending"), ("no/a.mp4", "expected a folder")):
        with pytest.raises(InputError, match=text):
            Recording(tmp_path / path)


@given(st.lists(st.floats(0, 30), max_size=60), st.floats(0, 1))
def test_quantiles_are_numpys_to_a_millisecond(ages: list[float], share: float) -> None:
    figures = Figures()
    for age in ages:
        figures.shown(age, 0.0, 0)
    capped = np.minimum(np.round(np.array(ages), 3), 19.999)
    want = np.quantile(capped, share, method="inverted_cdf") if ages else 0.0
    assert figures.quantile(share) == pytest.approx(want, abs=1.1e-3)


def test_figures_of_nothing() -> None:
    now = Figures().now()
    assert (now.rate, now.age, now.shown, now.source_rate) == (0, 0, 0, 0)
    assert Figures().summary()["rate"] == 0


@given(st.lists(st.sampled_from(["put", "take"]), max_size=40), st.booleans())
def test_the_newest_is_taken_and_the_rest_counted(steps: list[str], ended: bool) -> None:
    place: Newest[int] = Newest()
    place.take(timeout=0)
    waiting: int | None = None
    put = taken = 0
    for step in steps:
        if step == "put":
            place.put(put)
            waiting, put = put, put + 1
        else:
            got = place.take(timeout=0)
            assert got == waiting
            taken += got is not None
            waiting = None
    if ended:
        place.end()
        place.put(99)
        assert place.take() == waiting and (waiting is None or place.take() is None)
        taken, waiting = taken + (waiting is not None), None
    assert place.put_in == put == taken + place.dropped + (waiting is not None)


def test_an_error_is_raised_after_what_came_before_it() -> None:
    place: Newest[int] = Newest()
    place.put(1)
    place.end(ValueError("gone"))
    place.end()
    assert place.take() == 1
    with pytest.raises(ValueError, match="gone"):
        place.take()
