"""Jobs on the disk: what was asked, what has come of it. A result is written once, whoever dies meanwhile."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import and_, delete, func, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from ..store.database import Database
from .job_rows import digest_of, end_image, of_key, same, without_tables
from .limits import RefusedError
from .tables import SCHEME, images, jobs
from .tokens import Caller
from .upload import Sent

T = TypeVar("T")
LEASE = 60.0  # seconds that a server may work on an image before another one may
ATTEMPTS = 25  # an image that was in hand at so many ends of servers is given up


@dataclass(frozen=True)
class Claimed:
    """An image that this server works on; ``attempts`` counts this one and those that ended a server."""

    job: str
    number: int
    attempts: int
    settings: str
    data: bytes


class JobStore:
    """Jobs in a database.

    Args:
        url: as for :class:`~delineate.server.store.database.Database`.
        waiting: most images that wait.
        keep_days: days that a finished job is kept.

    Raises:
        InputError: it cannot be opened.
    """

    def __init__(self, url: str | Path, waiting: int = 10_000, keep_days: float = 7.0) -> None:
        self.database = Database(url, SCHEME)
        self.waiting, self.keep_days = waiting, keep_days
        self.claim_name = secrets.token_hex(8)
        if self.database.is_sqlite:  # it has one server: what an earlier one worked on is free
            with self.database.write() as connection:
                connection.execute(update(images).values(claim=None, claimed_until=0.0))
        self.purge()

    def _do(self, work: Callable[[], T]) -> T:
        """Work on the database; where its tables are gone, they are made anew and it is tried once more."""
        path = self.database.engine.url.database
        if self.database.is_sqlite and path and not Path(path).exists():
            self.database.close()  # connections hold a file that nobody can find any more
            self.database.migrate()
        try:
            return work()
        except IntegrityError:
            raise
        except DBAPIError as error:
            if not without_tables(error):
                raise
            self.database.migrate()
            return work()

    # -- asking ----------------------------------------------------------------------------------------

    def add(self, caller: Caller, sent: Sequence[Sent], settings: str, key: str | None) -> tuple[str, bool]:
        """A new job; with a key that its owner has used, the job of that key.

        Returns:
            its id; whether it is new.

        Raises:
            RefusedError: 409, the key belongs to another request; 503, too many images wait.
        """
        digest = digest_of(sent, settings)

        def put() -> tuple[str, bool]:
            with self.database.write() as connection:
                if key is not None and (known := of_key(connection, caller.name, key)) is not None:
                    return same(known, digest), False
                count = select(func.count()).select_from(images).where(images.c.state == "waiting")
                if int(connection.execute(count).scalar_one()) + len(sent) > self.waiting:
                    raise RefusedError(
                        503, f"jobs: expected room among {self.waiting} waiting images, got none; ask later",
                        "jobs", 30.0,
                    )  # fmt: skip
                number, now = secrets.token_hex(12), time.time()
                row = {
                    "id": number, "owner": caller.name, "key": key, "digest": digest, "settings": settings,
                    "created": now, "images": len(sent), "ended": 0,
                }  # fmt: skip
                connection.execute(insert(jobs).values(row))
                blank = {
                    "job_id": number,
                    "state": "waiting",
                    "attempts": 0,
                    "claimed_until": 0.0,
                    "created": now,
                }
                rows = [
                    {**blank, "number": k, "name": s.name, "error": "", "data": s.data}
                    for k, s in enumerate(sent, 1)
                ]
                connection.execute(insert(images), rows)
            return number, True

        try:
            return self._do(put)
        except IntegrityError:  # the same key came twice at once
            return self._do(put)

    def job(self, number: str, caller: Caller) -> dict[str, Any]:
        """A job's row.

        Raises:
            RefusedError: 404, none of this caller has the number.
        """

        def get() -> Any:
            with self.database.read() as connection:
                return connection.execute(select(jobs).where(jobs.c.id == number)).first()

        row = self._do(get)
        if row is None or not (row.owner == caller.name or caller.may("admin")):
            raise RefusedError(404, "job: expected one of yours, got an unknown number; see /api/jobs", "job")
        return dict(row._mapping)

    def listed(self, caller: Caller, most: int = 100) -> list[dict[str, Any]]:
        """The caller's latest jobs; all for an admin."""

        def get() -> list[dict[str, Any]]:
            query = select(jobs).order_by(jobs.c.created.desc(), jobs.c.id).limit(most)
            if not caller.may("admin"):
                query = query.where(jobs.c.owner == caller.name)
            with self.database.read() as connection:
                return [dict(row._mapping) for row in connection.execute(query)]

        return self._do(get)

    def ended(self, job: str, after: int = 0, most: int = 100) -> list[dict[str, Any]]:
        """Images that ended after the first ``after`` of their job, in the order in which they did."""
        columns = (
            images.c.seq,
            images.c.number,
            images.c.name,
            images.c.state,
            images.c.error,
            images.c.result,
        )

        def get() -> list[dict[str, Any]]:
            query = select(*columns).where(images.c.job_id == job, images.c.seq > after)
            with self.database.read() as connection:
                rows = connection.execute(query.order_by(images.c.seq).limit(most))
                return [dict(row._mapping) for row in rows]

        return self._do(get)

    def image(self, job: str, number: int) -> dict[str, Any] | None:
        """One image of a job, with its bytes and its result."""

        def get() -> Any:
            query = select(images).where(images.c.job_id == job, images.c.number == number)
            with self.database.read() as connection:
                return connection.execute(query).first()

        row = self._do(get)
        return None if row is None else dict(row._mapping)

    def remove(self, job: str) -> None:
        """Takes a job away with all that it has."""

        def take() -> None:
            with self.database.write() as connection:
                connection.execute(delete(images).where(images.c.job_id == job))
                connection.execute(delete(jobs).where(jobs.c.id == job))

        self._do(take)

    def purge(self) -> None:
        """Takes finished jobs away that are older than they are kept."""

        def take() -> None:
            old = select(jobs.c.id).where(jobs.c.finished < time.time() - self.keep_days * 86400)
            with self.database.write() as connection:
                connection.execute(delete(images).where(images.c.job_id.in_(old)))
                connection.execute(delete(jobs).where(jobs.c.id.in_(old)))

        self._do(take)

    # -- working ---------------------------------------------------------------------------------------

    def claim(self) -> Claimed | None:
        """The image that has waited longest and that no server works on; None where there is none."""

        def take() -> Claimed | None:
            now = time.time()
            free = and_(images.c.state == "waiting", images.c.claimed_until < now)
            query = select(images.c.job_id, images.c.number, images.c.attempts).where(free)
            # What was in hand when a server ended comes last: the next end may not be its fault again.
            query = query.order_by(images.c.attempts, images.c.created, images.c.number).limit(1)
            while True:
                with self.database.write() as connection:
                    row = connection.execute(query.with_for_update(skip_locked=True)).first()
                    if row is None:
                        return None
                    this = and_(images.c.job_id == row.job_id, images.c.number == row.number)
                    if row.attempts < ATTEMPTS:
                        values = {"claim": self.claim_name, "claimed_until": now + LEASE}
                        connection.execute(
                            update(images).where(this).values(attempts=row.attempts + 1, **values)
                        )
                        data = connection.execute(select(images.c.data).where(this)).scalar_one()
                        query = select(jobs.c.settings).where(jobs.c.id == row.job_id)
                        settings = connection.execute(query).scalar_one()
                        return Claimed(row.job_id, row.number, row.attempts + 1, settings, bytes(data))
                    reason = "image: expected one that the server survives, got one that ends it"
                    end_image(connection, this, row.job_id, {"state": "failed", "error": reason})

        return self._do(take)

    def renew(self, claimed: Claimed) -> None:
        """Says that the server still works on an image."""

        def put() -> None:
            values = {"claimed_until": time.time() + LEASE}
            with self.database.write() as connection:
                connection.execute(update(images).where(self._own(claimed)).values(**values))

        self._do(put)

    def finish(self, claimed: Claimed, result: bytes | None, error: str = "") -> bool:
        """Writes what came of an image; False where that was written already, or the job is gone."""
        values = {"state": "done" if result is not None else "failed", "result": result, "error": error}

        def put() -> bool:
            with self.database.write() as connection:
                return end_image(connection, self._own(claimed), claimed.job, values)

        return self._do(put)

    def release(self, claimed: Claimed) -> None:
        """Leaves an image to the next server."""

        def put() -> None:
            values = {"claim": None, "claimed_until": 0.0, "attempts": images.c.attempts - 1}
            with self.database.write() as connection:
                connection.execute(update(images).where(self._own(claimed)).values(**values))

        self._do(put)

    def _own(self, claimed: Claimed) -> Any:
        this = and_(images.c.job_id == claimed.job, images.c.number == claimed.number)
        return and_(this, images.c.state == "waiting", images.c.claim == self.claim_name)

    def close(self) -> None:
        """Closes all connections."""
        self.database.close()
