"""The threads that look with the models, and the bounded line before them.

Images that come one by one wait in the line; images of jobs wait behind them and have a turn after eight
looks at others at the latest; a large one lets others pass between two of its tiles. Images of one model, one
size and the same settings are looked at together.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from delineate.core.errors import DelineateError
from delineate.core.instances import Instances

from .limits import RefusedError
from .shelf import Shelf, Shown

IN_A_ROW = 8  # batches of people before a job has its turn
LOG = logging.getLogger("delineate.serve")


@dataclass(frozen=True)
class Finding:
    """Settings of :meth:`delineate.engine.load.Model.predict`."""

    confidence: float | None = None
    iou: float | None = None
    max_det: int | None = None
    tile: int | str = "auto"


@dataclass(frozen=True)
class Found:
    """What the model says of an image.

    Attributes:
        instances: the objects.
        version: of the model that looked.
        waited: seconds in the line.
        seconds: that the model took, for the whole batch.
        batch: images in it.
    """

    instances: Instances
    version: str
    waited: float
    seconds: float
    batch: int


@dataclass(eq=False)
class Ticket:
    """An image in the line.

    Attributes:
        model: its name.
        pixels: the image.
        finding: settings.
        deadline: on :func:`time.monotonic`'s clock; later it is no longer looked at.
        urgent: somebody waits for it; jobs do not.
        progress: called with (tiles done, tiles in all).
        answer: comes to hold a :class:`Found`.
    """

    model: str
    pixels: NDArray[Any]
    finding: Finding
    deadline: float
    urgent: bool = True
    progress: Callable[[int, int], object] | None = None
    answer: Future[Found] = field(default_factory=Future)
    entered: float = field(default_factory=time.monotonic)


class Line:
    """The line and its threads.

    Args:
        shelf: the models.
        batch: most images in one look.
        workers: threads, each with a look of its own.
        seen: called with each batch's model, number of images and seconds, for the metrics.
    """

    def __init__(
        self,
        shelf: Shelf,
        batch: int = 4,
        workers: int = 1,
        seen: Callable[[str, int, float], object] = lambda *_: None,
    ) -> None:
        self.shelf, self.batch, self._seen = shelf, batch, seen
        self._urgent: deque[Ticket] = deque()
        self._patient: deque[Ticket] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._since: dict[int, float] = {}  # when a thread last moved, while it looks
        self.seconds = 0.0  # a moving mean: after so many the line is shorter by an image
        self._threads = [
            threading.Thread(target=self._run, name=f"models-{k}", daemon=True) for k in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def __len__(self) -> int:
        """Images that wait and that somebody waits for."""
        return len(self._urgent)

    @property
    def alive(self) -> bool:
        """Whether all threads look at images."""
        return all(thread.is_alive() for thread in self._threads)

    def still_for(self) -> float:
        """Seconds since the slowest thread that looks last finished a tile or an image; 0: none looks."""
        since = min(self._since.copy().values(), default=None)
        return 0.0 if since is None else time.monotonic() - since

    def _moved(self) -> None:
        self._since[threading.get_ident()] = time.monotonic()

    def put(self, ticket: Ticket) -> Future[Found]:
        """Enters the line. The queue's bound is kept by who admits requests.

        Raises:
            RefusedError: 503, the server ends.
        """
        with self._wake:
            if self._closing:
                raise RefusedError(503, "server: it is ending; ask another one", "drain", 1.0)
            (self._urgent if ticket.urgent else self._patient).append(ticket)
            self._wake.notify()
        return ticket.answer

    def close(self, seconds: float = 30.0) -> None:
        """Answers the urgent ones that wait, drops the patient ones, and ends the threads."""
        with self._wake:
            self._closing = True
            left = [self._patient.popleft() for _ in range(len(self._patient))]
            self._wake.notify_all()
        for ticket in left:
            ticket.answer.cancel()
        end = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(timeout=max(0.0, end - time.monotonic()))

    # -- in a thread ----------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._wake:
                while not (self._urgent or self._patient or self._closing):
                    self._wake.wait()
                if self._closing and not self._urgent:
                    return
            self._serve_urgent()
            with self._wake:
                patient = self._patient.popleft() if self._patient else None
            if patient is not None:
                self._look([patient])

    def _serve_urgent(self, working: bool = False) -> None:
        """Looks at those who wait; a job that waits, or is worked on, has its turn after some of them."""
        looks = 0
        while not (looks >= IN_A_ROW and (working or self._patient)) and (batch := self._next_urgent()):
            self._look(batch)
            looks += 1

    def _next_urgent(self) -> list[Ticket]:
        """The one that waits longest, and others like it; as many as leave some to the other threads."""
        with self._wake:
            if not self._urgent:
                return []
            share = min(self.batch, math.ceil(len(self._urgent) / len(self._threads)))
            first = self._urgent.popleft()
            taken, key = [first], self._likeness(first)
            if key is not None and share > 1:
                alike = [t for t in self._urgent if self._likeness(t) == key][: share - 1]
                for ticket in alike:
                    self._urgent.remove(ticket)
                taken += alike
        return taken

    def _likeness(self, ticket: Ticket) -> Hashable | None:
        """Images with the same one may be looked at together; None: alone."""
        shown = self.shelf.find(ticket.model)
        if shown is None or not shown.together(ticket.pixels.shape, ticket.finding.tile):
            return None
        return (shown.version, shown.grid(ticket.pixels.shape), ticket.finding)

    def _look(self, tickets: list[Ticket]) -> None:
        now = time.monotonic()
        ready = []
        for ticket in tickets:
            if not ticket.answer.set_running_or_notify_cancel():
                continue  # who asked has gone
            if now > ticket.deadline:
                ticket.answer.set_exception(late(self.seconds * (len(self) + 1)))
            else:
                ready.append(ticket)
        if not ready:
            return
        shown = self.shelf.find(ready[0].model)
        self._moved()
        try:
            if shown is None:
                raise RefusedError(503, f"model {ready[0].model}: it was taken away; ask again", "model", 1.0)
            found = self._ask(shown, ready)
        except BaseException as error:  # whatever a model meets, who asked is told and the thread goes on
            self._fail(ready, error)
            return
        finally:
            self._since.pop(threading.get_ident(), None)
        seconds = time.monotonic() - now
        each = seconds / len(ready)
        if ready[0].urgent:
            gained = each / len(self._threads)
            self.seconds = gained if self.seconds == 0 else 0.9 * self.seconds + 0.1 * gained
        self._seen(ready[0].model, len(ready), seconds)
        for ticket, instances in zip(ready, found, strict=True):
            ticket.answer.set_result(
                Found(instances, shown.version, now - ticket.entered, seconds, len(ready))
            )

    def _ask(self, shown: Shown, tickets: list[Ticket]) -> list[Instances]:
        finding = tickets[0].finding
        limits: dict[str, Any] = {
            "confidence": finding.confidence,
            "iou": finding.iou,
            "max_det": finding.max_det,
        }
        if len(tickets) > 1:
            return shown.model.predict_together([t.pixels for t in tickets], **limits)
        ticket = tickets[0]

        def tick(done: int, of: int) -> None:
            self._moved()
            if ticket.progress is not None:
                ticket.progress(done, of)
            if done < of and time.monotonic() > ticket.deadline:
                raise late(self.seconds)
            if done < of and not ticket.urgent:
                self._serve_urgent(working=True)
                self._moved()

        return [shown.model.predict(ticket.pixels, tile=finding.tile, progress=tick, **limits)]

    def _fail(self, tickets: list[Ticket], error: BaseException) -> None:
        if not isinstance(error, RefusedError | DelineateError):
            LOG.error("model_failed", exc_info=error, extra={"facts": {"model": tickets[0].model}})
        for ticket in tickets:
            ticket.answer.set_exception(error)


def late(seconds: float) -> RefusedError:
    """What is said where the deadline has passed."""
    return RefusedError(
        503,
        "server: expected to answer within the deadline, got too much work; ask again later",
        "deadline",
        max(1.0, seconds),
    )
