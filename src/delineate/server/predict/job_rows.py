"""Rows of jobs: an image's end, a key's owner, and what a job was asked with."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, select, update
from sqlalchemy.exc import DBAPIError

from .limits import RefusedError
from .tables import images, jobs
from .upload import Sent


def end_image(connection: Any, this: Any, job: str, values: dict[str, Any]) -> bool:
    """An image ends: its state, its place in the order, and its job's count, in one transaction."""
    if connection.execute(update(images).where(this).values(**values)).rowcount != 1:
        return False
    count = update(jobs).where(jobs.c.id == job).values(ended=jobs.c.ended + 1)
    row = connection.execute(count.returning(jobs.c.ended, jobs.c.images)).one()
    state = images.c.state == values["state"]
    last = and_(images.c.job_id == job, state, images.c.seq.is_(None))
    connection.execute(update(images).where(last).values(seq=row.ended, claim=None))
    if row.ended == row.images:
        connection.execute(update(jobs).where(jobs.c.id == job).values(finished=time.time()))
    return True


def of_key(connection: Any, owner: str, key: str) -> Any:
    """The job of an owner's key; None where there is none."""
    query = select(jobs.c.id, jobs.c.digest).where(jobs.c.owner == owner, jobs.c.key == key)
    return connection.execute(query).first()


def same(known: Any, digest: str) -> str:
    """The job of a key, if it was asked with the same.

    Raises:
        RefusedError: 409, it was not.
    """
    if known.digest != digest:
        raise RefusedError(
            409, "Idempotency-Key: expected the request that it came with, got another; choose a new key",
            "job",
        )  # fmt: skip
    return str(known.id)


def digest_of(sent: Sequence[Sent], settings: str) -> str:
    """A job's images and settings as one short text."""
    hashed = hashlib.sha256(settings.encode())
    for each in sent:
        hashed.update(f"\0{len(each.data)}\0{each.name}\0".encode())
        hashed.update(each.data)
    return hashed.hexdigest()


def without_tables(error: DBAPIError) -> bool:
    """Whether a query failed because its tables are gone."""
    text = str(error.orig).lower()
    return "no such table" in text or "42p01" in text or "undefined_table" in text
