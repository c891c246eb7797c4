"""One image's way: admitted, decoded, in the line, looked at, rendered."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from .asked import Asked
from .decoder import Decoders, Picture
from .fetch import Fetcher
from .formats import Answer, Context, render
from .limits import Limits, RefusedError
from .metrics import Metrics
from .queue import Found, Line, Ticket, late
from .shelf import Shelf, Shown
from .tokens import Tokens

if TYPE_CHECKING:
    from .runner import Runner

T = TypeVar("T")
LONGEST_RETRY = 60  # seconds
STUCK = 20.0  # deadlines after which a model that has not moved counts as stuck


@dataclass(eq=False)
class Service:
    """What the API works with.

    Attributes:
        shelf: the models.
        line: their thread.
        decoders: processes that decode.
        limits: how much of everything.
        tokens: who may ask.
        fetcher: for images by address.
        metrics: what is counted.
        runner: works on jobs, where there is a store.
        draining: the server ends; nothing new is begun.
    """

    shelf: Shelf
    line: Line
    decoders: Decoders
    limits: Limits
    tokens: Tokens
    fetcher: Fetcher
    metrics: Metrics
    runner: Runner | None = None
    draining: bool = False
    inside: int = 0
    _clients: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._decoding = ThreadPoolExecutor(self.limits.decoders, thread_name_prefix="decode")
        self._rendering = ThreadPoolExecutor(1, thread_name_prefix="render")
        self.metrics.watch("queue_images", "Images decoded, waiting or looked at.", lambda: self.inside)
        self.metrics.watch("queue_limit", "Most of them.", lambda: self.limits.queue)

    # -- who may come in -------------------------------------------------------------------------------

    def busy(self, count: int = 1) -> RefusedError | None:
        """Why further images would be refused now; None where it would not."""
        wait = self.inside * self.line.seconds
        if self.inside + count > self.limits.queue or wait > self.limits.deadline:
            return RefusedError(
                503,
                f"server: expected room in its queue of {self.limits.queue}, got none; ask again later",
                "queue",
                wait,
            )
        return None

    def closed(self) -> RefusedError | None:
        """Why a new request would be refused now; one that has begun is answered though the server ends."""
        if self.draining:
            return RefusedError(503, "server: it is ending; ask another one", "drain", 1.0)
        return self.busy()

    @contextmanager
    def admitted(self, client: str, count: int = 1) -> Iterator[None]:
        """Room for some images of a client, while the block lasts.

        Raises:
            RefusedError: 503, no room; 429, this client has its share.
        """
        if (refusal := self.busy(count)) is not None:
            raise refusal
        most = self.limits.per_client
        if most and self._clients[client] + count > most:
            raise RefusedError(
                429,
                f"client: expected at most {most} images at once, got more; wait for an answer",
                "client",
                max(1.0, most * self.line.seconds),
            )
        self.inside += count
        self._clients[client] += count
        try:
            yield
        finally:
            self.inside -= count
            self._clients[client] -= count
            if not self._clients[client]:
                del self._clients[client]

    def model(self, name: str) -> Shown:
        """The model that serves under a name.

        Raises:
            RefusedError: 404, none does.
        """
        shown = self.shelf.find(name)
        if shown is None:
            known = ", ".join(self.shelf.names)
            raise RefusedError(404, f"model: expected one of {known}, got another; see /api/models", "model")
        return shown

    @property
    def live(self) -> bool:
        """Whether the models' thread moves."""
        return self.line.alive and self.line.still_for() < max(300.0, STUCK * self.limits.deadline)

    # -- the way ---------------------------------------------------------------------------------------

    async def picture(self, data: bytes, asked: Asked) -> Picture:
        """The decoded image.

        Raises:
            RefusedError: see :meth:`Decoders.decode`.
        """
        loop = asyncio.get_running_loop()
        begin = time.monotonic()
        found = await loop.run_in_executor(
            self._decoding, self.decoders.decode, data, asked.picked, asked.page
        )
        self.metrics.stages.labels("decode").observe(time.monotonic() - begin)
        return found

    async def look(
        self, picture: Picture, asked: Asked, deadline: float, gone: Awaitable[Any] | None = None
    ) -> Found:
        """What the model says of an image.

        Args:
            picture: the image.
            asked: settings.
            deadline: on :func:`time.monotonic`'s clock.
            gone: ends when who asked has gone; then nobody looks.

        Raises:
            RefusedError: 503, too late.
            DelineateError: the model refuses the image.
        """
        ticket = Ticket(asked.model, picture.pixels, asked.finding, deadline)
        answer = asyncio.wrap_future(self.line.put(ticket))
        waiting: set[asyncio.Future[Any]] = {answer}
        if gone is not None:
            waiting.add(asyncio.ensure_future(gone))
        try:
            patience = max(0.0, deadline - time.monotonic()) + 1.0
            await asyncio.wait(waiting, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                ticket.answer.cancel()
                raise late(self.line.seconds)
            found = answer.result()
        finally:
            for each in waiting:
                each.cancel()
        self.metrics.stages.labels("wait").observe(found.waited)
        self.metrics.objects.labels(asked.model or self.shelf.default).inc(len(found.instances))
        return found

    async def render(self, kind: str, found: Found, picture: Picture | None, asked: Asked) -> Answer:
        """The answer in its format."""
        context = Context(
            asked.model or self.shelf.default,
            found.version,
            picture.pixel_size if picture else None,
            picture.notes if picture else (),
            asked.tolerance,
        )
        begin = time.monotonic()
        pixels = picture.pixels if picture else None
        made = await self.in_thread(lambda: render(kind, found.instances, pixels, context))
        self.metrics.stages.labels("render").observe(time.monotonic() - begin)
        return made

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Work of the processor beside the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._rendering, work)

    def close(self) -> None:
        """Ends threads and processes; what waits is answered first."""
        if self.runner is not None:
            self.runner.close()
            self.runner.store.close()
        self.line.close(self.limits.deadline)
        self.decoders.close()
        self._decoding.shutdown(wait=False, cancel_futures=True)
        self._rendering.shutdown(wait=False, cancel_futures=True)


def retry_after(seconds: float) -> str:
    """The header's whole seconds, 1..60."""
    return str(min(max(1, math.ceil(seconds)), LONGEST_RETRY))
