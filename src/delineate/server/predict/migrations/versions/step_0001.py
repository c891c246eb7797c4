"""The first tables of jobs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "serve_jobs",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("owner", sa.String(120), nullable=False),
        sa.Column("key", sa.String(200)),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("settings", sa.Text, nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("finished", sa.Float),
        sa.Column("images", sa.Integer, nullable=False),
        sa.Column("ended", sa.Integer, nullable=False),
        sa.UniqueConstraint("owner", "key", name="serve_jobs_key"),
    )
    op.create_index("serve_jobs_by_owner", "serve_jobs", ["owner", "created"])
    job = sa.ForeignKey("serve_jobs.id", ondelete="CASCADE")
    op.create_table(
        "serve_images",
        sa.Column("job_id", sa.String(32), job, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("seq", sa.Integer),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("claim", sa.String(32)),
        sa.Column("claimed_until", sa.Float, nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("result", sa.LargeBinary),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
    op.create_index("serve_images_waiting", "serve_images", ["state", "created", "number"])
    op.create_index("serve_images_by_seq", "serve_images", ["job_id", "seq"])


def downgrade() -> None:
    """Drop them."""
    op.drop_table("serve_images")
    op.drop_table("serve_jobs")
