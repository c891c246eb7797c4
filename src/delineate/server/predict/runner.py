"""Jobs go on by themselves: one thread takes images from the store while nobody else needs the model."""

from __future__ import annotations

import logging
import math
import threading
import time
from concurrent.futures import CancelledError

from sqlalchemy.exc import DBAPIError

from delineate.core.errors import DelineateError

from ..store.database import reason_of
from .alone import look_alone
from .asked import Asked
from .formats import Context
from .job_store import LEASE, Claimed, JobStore
from .kept import packed
from .limits import RefusedError
from .queue import Ticket
from .service import Service

LOG = logging.getLogger("delineate.serve")
LOOK_SECONDS = 2.0  # between looks for images that another server has left
PURGE_SECONDS = 3600.0
LONGEST_PAUSE = 30.0  # seconds between tries while the store fails
TRUSTED = 2  # an image that was in hand at so many ends of servers is looked at in a process of its own


class _StoppedError(Exception):
    """The job was taken away, or the server ends, while an image was looked at."""


class Runner:
    """The thread.

    Args:
        store: the jobs.
        service: decoders, models and figures.
    """

    def __init__(self, store: JobStore, service: Service) -> None:
        self.store, self.service = store, service
        self._news = threading.Event()
        self._closing = threading.Event()
        self._removed: set[str] = set()
        self._now: tuple[str, float] = ("", 0.0)  # the job in hand, and how much of its image is done
        self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def wake(self) -> None:
        """There is a new job."""
        self._news.set()

    def stop_job(self, job: str) -> None:
        """The job was taken away: what is looked at of it ends at the next tile."""
        self._removed.add(job)

    def part(self, job: str) -> float:
        """How much of the image in hand is done, 0..1, where it belongs to this job."""
        current, part = self._now
        return part if current == job else 0.0

    def close(self, seconds: float = 10.0) -> None:
        """Leaves the image in hand to the next start, and ends."""
        self._closing.set()
        self._news.set()
        self._thread.join(timeout=seconds)

    # -- in the thread ---------------------------------------------------------------------------------

    def _run(self) -> None:
        purged, pause = time.monotonic(), 1.0
        while not self._closing.is_set():
            try:
                if time.monotonic() - purged > PURGE_SECONDS:
                    self.store.purge()
                    purged = time.monotonic()
                self._news.clear()
                claimed = self.store.claim()
                if claimed is None:
                    self._removed.clear()
                    self._news.wait(LOOK_SECONDS)
                else:
                    self._one(claimed)
                pause = 1.0
            except DBAPIError as error:
                self._trouble(error)
                self._closing.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            except Exception:
                LOG.exception("job_failed")
                self._closing.wait(pause)

    def _one(self, claimed: Claimed) -> None:
        self._now = (claimed.job, 0.0)
        try:
            result, error = self._look(claimed), ""
        except (_StoppedError, CancelledError):
            self.store.release(claimed)
            return
        except RefusedError as refusal:
            if refusal.retry_after is not None:  # not the image's fault
                self.store.release(claimed)
                self._closing.wait(min(refusal.retry_after, LONGEST_PAUSE))
                return
            result, error = None, str(refusal)
        except DelineateError as fault:
            result, error = None, str(fault)
        except MemoryError:
            result, error = None, "image: expected one that fits into memory, got a larger one; crop it"
        except DBAPIError:
            raise
        except Exception as fault:  # a fault of ours on one image must not hold up the others
            LOG.exception("job_image_failed")
            result, error = None, f"the server failed on it ({type(fault).__name__}); its log tells more"
        finally:
            self._now = ("", 0.0)
        self._write(claimed, result, error)

    def _write(self, claimed: Claimed, result: bytes | None, error: str) -> None:
        """Writes what came of an image; while the store fails, again and again."""
        pause = 1.0
        while True:
            try:
                if self.store.finish(claimed, result, error):
                    self.service.metrics.items.labels("failed" if error else "done").inc()
                return
            except DBAPIError as trouble:
                self._trouble(trouble)
                if self._closing.wait(pause):
                    return  # it stays claimed, and is looked at again at the next start
                pause = min(2 * pause, LONGEST_PAUSE)

    def _trouble(self, error: DBAPIError) -> None:
        self.service.metrics.store.inc()
        LOG.error("store_failed", extra={"facts": {"reason": reason_of(error)}})

    def _look(self, claimed: Claimed) -> bytes:
        asked = Asked.model_validate_json(claimed.settings)
        if (shown := self.service.shelf.find(asked.model)) is None:
            raise RefusedError(
                422, f"model: expected one that is still served, got {asked.model!r}; ask again"
            )
        picture = self.service.decoders.decode(claimed.data, asked.picked, asked.page)
        renewed = time.monotonic()

        def tick(done: int, of: int) -> None:
            nonlocal renewed
            if self._closing.is_set() or claimed.job in self._removed:
                raise _StoppedError
            self._now = (claimed.job, done / max(1, of))
            if time.monotonic() - renewed > LEASE / 4:
                self.store.renew(claimed)
                renewed = time.monotonic()

        if claimed.attempts > TRUSTED:
            return look_alone(shown, self.service.shelf, asked, picture, lambda: tick(0, 1))
        ticket = Ticket(asked.model, picture.pixels, asked.finding, math.inf, urgent=False, progress=tick)
        found = self.service.line.put(ticket).result()
        context = Context(
            asked.model or self.service.shelf.default, found.version, picture.pixel_size, picture.notes
        )
        return packed(found.instances, context)
