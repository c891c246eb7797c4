"""Decoding in processes of their own, which are killed when an image takes too long."""

from __future__ import annotations

import json
import logging
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .decode_child import READY
from .limits import RefusedError

LOG = logging.getLogger("delineate.serve")
MEMORY_MB = 4096  # address space of a decoder
START_SECONDS = 60.0  # that a decoder may take to begin
BEGINNINGS = 4  # decoders tried until one begins


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded image.

    Attributes:
        pixels: (H, W) or (H, W, 3) uint8, uint16 or float32.
        pixel_size: side of a pixel in µm, or None.
        pages: of its file.
        notes: what was converted or left out.
    """

    pixels: NDArray[Any]
    pixel_size: float | None = None
    pages: int = 1
    notes: tuple[str, ...] = ()


class _DiedError(Exception):
    """The process ended in the middle of an image."""


class _Child:
    """One process."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "delineate.server.predict.decode_child", str(MEMORY_MB)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.ready = False
        self.overdue = False

    def await_ready(self) -> None:
        """Waits until it can decode.

        Raises:
            _DiedError: it ended, or took too long to begin.
        """
        if not self.ready:
            with self._watched(START_SECONDS) as (_, source):
                if source.readline() != READY:
                    raise EOFError
            self.ready = True

    def ask(self, request: dict[str, Any], data: bytes, seconds: float) -> tuple[dict[str, Any], bytearray]:
        """One image's answer.

        Raises:
            _DiedError: the process has ended, or had to be.
        """
        with self._watched(seconds) as (sink, source):
            sink.write(json.dumps({**request, "length": len(data)}).encode() + b"\n")
            sink.write(data)
            sink.flush()
            told = json.loads(source.readline())
            pixels = bytearray(told["length"])
            if source.readinto(pixels) != len(pixels):
                raise EOFError
        return told, pixels

    @contextmanager
    def _watched(self, seconds: float) -> Iterator[tuple[Any, Any]]:
        """Both pipes, while a clock runs that ends the process."""
        watch = threading.Timer(seconds, self._late)
        watch.daemon = True
        watch.start()
        try:
            yield self.process.stdin, self.process.stdout
        except (OSError, ValueError, EOFError):
            raise _DiedError from None
        finally:
            watch.cancel()

    def _late(self) -> None:
        self.overdue = True
        self.process.kill()

    def close(self) -> None:
        """Ends the process."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:  # what was not yet written has no reader any more
                    LOG.debug("a decoder's pipe was broken")


class Decoders:
    """Several such processes; each decodes one image at a time.

    Args:
        count: how many.
        seconds: that one image may take.
        max_pixels: larger images are refused by their header.
        lost: called with ``killed`` (too slow) or ``died`` when a process had to be replaced.
    """

    def __init__(
        self, count: int, seconds: float, max_pixels: int, lost: Callable[[str], object] = lambda _: None
    ) -> None:
        self.seconds, self.max_pixels, self._lost = seconds, max_pixels, lost
        self._free: queue.LifoQueue[_Child] = queue.LifoQueue()
        self._all: set[_Child] = set()
        self._lock = threading.Lock()
        self._closed = False
        for _ in range(count):
            self._free.put(self._new())

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes' numbers."""
        with self._lock:
            return tuple(child.process.pid for child in self._all)

    def _new(self) -> _Child:
        with self._lock:
            child = _Child()
            self._all.add(child)
            return child

    def decode(self, data: bytes, channels: Sequence[int] | None = None, page: int | None = None) -> Picture:
        """The pixels of a file. Blocks the thread.

        A process that ends by itself gives the image a second chance in a new one, for somebody may have
        killed it; one that is too slow does not.

        Raises:
            RefusedError: 422, not an image, damaged, too large, too slow, or deadly; 503, no decoder begins.
        """
        request = {"channels": channels, "page": page, "max_pixels": self.max_pixels}
        for _ in range(2):
            child = self._ready_child()
            try:
                told, pixels = child.ask(request, data, self.seconds)
            except _DiedError:
                self._free.put(self._instead(child))
                if child.overdue:
                    raise RefusedError(
                        422,
                        f"image: expected one that decodes in {self.seconds:g} s, got a slow one; convert it",
                    ) from None
                continue
            self._free.put(child)
            if "error" in told:
                raise RefusedError(422, told["error"], "pixels" if "megapixels" in told["error"] else "image")
            array = np.frombuffer(pixels, np.dtype(told["dtype"])).reshape(told["shape"])
            return Picture(array, told["pixel_size"], told["pages"], tuple(told["notes"]))
        raise RefusedError(
            422, "image: expected one that can be decoded, got one that ends its decoder; save it again"
        )

    def _ready_child(self) -> _Child:
        """A process that has begun; one that ended before it saw an image is nobody's fault."""
        child = self._free.get()
        for _ in range(BEGINNINGS):
            if self._closed:
                break
            try:
                child.await_ready()
                return child
            except _DiedError:
                child = self._instead(child)
        self._free.put(child)
        raise RefusedError(503, "server: expected a decoder that begins, got none; ask again", "decoder", 1.0)

    def _instead(self, child: _Child) -> _Child:
        """Another process for one that has ended."""
        with self._lock:
            self._all.discard(child)
        child.close()
        self._lost("killed" if child.overdue else "died")
        return self._new()

    def close(self) -> None:
        """Ends all processes."""
        self._closed = True
        with self._lock:
            children = list(self._all)
            self._all.clear()
        for child in children:
            child.close()
