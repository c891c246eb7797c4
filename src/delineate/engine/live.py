"""Objects of a source that runs in real time: what is given is new, and what there is no time for is dropped.

Three stages run at once: a thread receives frames, a thread runs the network (and the tracker), and the
caller draws and shows. Between them lies one frame, the newest. So however slow the network is, a frame that
is given is at most as old as the network and the caller need for it, and one frame of waiting.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.image_model import ImageModel
from delineate.core.instances import Instances
from delineate.data.capture import Capture, Captured
from delineate.data.newest import Newest
from delineate.tracking.tracked import Tracker

from .live_figures import Figures
from .predict import check_settings, predict
from .track import of_classes


@dataclass(frozen=True, eq=False)
class Live:
    """A frame and what is in it.

    Attributes:
        number: its place among all frames that arrived, from 0; dropped frames keep theirs.
        time: seconds since the first frame, by the source's own clock.
        taken: when it was taken, as near as that is known, in seconds of :func:`time.monotonic`.
        frame: (H, W, 3) uint8 RGB; of a folder whatever its images hold.
        instances: N objects; with ``ids`` where they are tracked.
        ended: ids that will not come again.
        spent: seconds that the network and the tracker took.
    """

    number: int
    time: float
    taken: float
    frame: NDArray[Any]
    instances: Instances
    ended: tuple[int, ...]
    spent: float

    @property
    def age(self) -> float:
        """Seconds since it was taken."""
        return time.monotonic() - self.taken


class LiveObjects:
    """The objects of a capture's newest frames; an iterable, once, and a context manager.

    Attributes:
        capture: where frames come from.
        figures: how fast, how old, how many were dropped.

    Args:
        capture: see :func:`delineate.data.capture.open_capture`.
        model: a loaded model, a network, or any callable from image to :class:`Instances`.
        tracker: gives the objects identities; None: no identities.
        classes: names of the classes to look for; none: all.
        settings: of :func:`delineate.engine.predict.predict`, such as ``confidence``; for a callable none.

    Raises:
        InputError: a setting out of range.

    Example:
        >>> import tempfile, numpy as np
        >>> from pathlib import Path
        >>> from delineate.data.capture import open_capture
        >>> from delineate.data.write import write_png
        >>> blob = lambda image: Instances((8, 8), boxes=[[1, 1, 4, 4]])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = write_png(Path(folder) / "a.png", np.zeros((8, 8), np.uint8))
        ...     with LiveObjects(open_capture(folder), blob) as objects:
        ...         [(live.number, len(live.instances)) for live in objects]
        [(0, 1)]
    """

    def __init__(
        self,
        capture: Capture,
        model: Any,
        *,
        tracker: Tracker | None = None,
        classes: Iterable[str] = (),
        **settings: Any,
    ) -> None:
        check_settings(**{k: v for k, v in settings.items() if k in ("confidence", "iou", "max_det", "tile")})
        self.capture, self.figures = capture, Figures()
        self._model, self._tracker = model, tracker
        self._classes, self._settings = tuple(classes), settings
        self._found: Newest[Live] = Newest(capture.settings.every)
        self._thread = threading.Thread(target=self._work, name="live", daemon=True)

    @property
    def dropped(self) -> int:
        """Frames that were dropped so far, because the network or the caller had no time for them."""
        return self.capture.dropped + self._found.dropped

    def set(self, **settings: Any) -> None:
        """Changes settings of :func:`delineate.engine.predict.predict`, from the next frame on.

        Raises:
            InputError: one is out of range.
        """
        check_settings(**settings)
        self._settings = self._settings | settings

    def warm(self) -> None:
        """Runs the network once on nothing, so that the first frame does not wait for its awakening."""
        height, width = self.capture.size or (480, 640)
        self._find(np.zeros((height, width, 3), np.uint8))

    def __enter__(self) -> LiveObjects:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def end(self) -> None:
        """No frame more is given, even to who waits for one. From any thread, or a signal's handler."""
        self._found.end(drop=True)

    def close(self) -> None:
        """Ends the threads and lets go of the source; a call while a frame is waited for ends the waiting."""
        self.end()
        self.capture.close()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def __iter__(self) -> Iterator[Live]:
        """Each the newest that there is, until the source ends.

        Raises:
            InputError: the source cannot be read, or what the network raises.
        """
        self._thread.start()
        try:
            while (live := self._found.take()) is not None:
                yield live
                self.figures.shown(live.age, live.spent, len(live.instances))
        finally:
            self.close()

    def _work(self) -> None:
        failed: BaseException | None = None
        try:
            for frame in self.capture:
                self.figures.arrived(self.capture.arrived, self.dropped)
                self._found.put(self._look(frame))
                if self._found.over:
                    break
        except BaseException as error:
            failed = error
        finally:
            self.capture.close()
            self._found.end(failed)

    def _look(self, frame: Captured) -> Live:
        begin = time.monotonic()
        instances, ended = self._find(frame.pixels), ()  # type: Instances, tuple[int, ...]
        if self._classes:
            instances = of_classes(instances, self._classes)
        if self._tracker is not None:
            tracked = self._tracker.update(instances, frame.pixels, time=frame.time)
            instances, ended = tracked.instances, tracked.ended
        spent = time.monotonic() - begin
        return Live(frame.number, frame.time, frame.taken, frame.pixels, instances, ended, spent)

    def _find(self, pixels: NDArray[Any]) -> Instances:
        if isinstance(self._model, ImageModel):
            return predict(self._model, pixels, **self._settings)
        find: Callable[..., Instances] = getattr(self._model, "predict", self._model)
        return find(pixels, **self._settings)
