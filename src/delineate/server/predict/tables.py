"""The tables of jobs: a job, and each of its images with its result."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import (
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from ..store.migrate import Scheme

metadata = MetaData()

jobs = Table(
    "serve_jobs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("owner", String(120), nullable=False),
    Column("key", String(200)),  # the client's own, so that asking twice makes one job
    Column("digest", String(64), nullable=False),  # of what was asked with that key
    Column("settings", Text, nullable=False),  # JSON
    Column("created", Float, nullable=False),  # seconds since 1970
    Column("finished", Float),
    Column("images", Integer, nullable=False),
    Column("ended", Integer, nullable=False),  # images that are done or failed
    UniqueConstraint("owner", "key", name="serve_jobs_key"),
    Index("serve_jobs_by_owner", "owner", "created"),
)

images = Table(
    "serve_images",
    metadata,
    Column("job_id", String(32), ForeignKey("serve_jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),  # 1..images
    Column("name", String(200), nullable=False),
    Column("state", String(8), nullable=False),  # waiting, done, failed
    Column("seq", Integer),  # the how-manyth of its job to end
    Column("attempts", Integer, nullable=False),
    Column("claim", String(32)),  # the server that works on it
    Column("claimed_until", Float, nullable=False),
    Column("created", Float, nullable=False),
    Column("error", Text, nullable=False),
    Column("result", LargeBinary),
    Column("data", LargeBinary, nullable=False),
    Index("serve_images_waiting", "state", "created", "number"),
    Index("serve_images_by_seq", "job_id", "seq"),
)

SCHEME = Scheme(Path(__file__).parent / "migrations", metadata, "serve_version")
