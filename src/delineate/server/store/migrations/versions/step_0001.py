"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables of the first edition; written out, so that later changes do not alter this step."""
    _project()
    _images()
    _objects()


def downgrade() -> None:
    """Drop them."""
    for table in ("comments", "versions", "objects", "edits", "images", "classes", "users", "settings"):
        op.drop_table(table)


def _project() -> None:
    settings = op.create_table(
        "settings",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.bulk_insert(settings, [{"key": "clock", "value": "0"}])
    op.create_table(
        "users",
        sa.Column("id", _NUMBER, primary_key=True),
        sa.Column("name", sa.String(120), nullable=False, unique=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("token_hash", sa.String(64), nullable=False, unique=True),
    )
    op.create_table(
        "classes",
        sa.Column("id", _NUMBER, primary_key=True),
        sa.Column("name", sa.String(200), nullable=False, unique=True),
        sa.Column("color", sa.String(7), nullable=False),
        sa.Column("dataset_id", _NUMBER, nullable=False, unique=True),
        sa.Column("thing", sa.Boolean, nullable=False),
    )


def _images() -> None:
    op.create_table(
        "images",
        sa.Column("id", _NUMBER, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("dataset_id", _NUMBER, nullable=False),
        sa.Column("record", sa.Integer, nullable=False),
        sa.Column("columns", sa.Text, nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("imported", sa.Boolean, nullable=False),
        sa.Column("fault", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("clock", _NUMBER, nullable=False),
        sa.Column("updated", sa.Float, nullable=False),
        sa.Column("objects", sa.Integer, nullable=False),
        sa.Column("suggested", sa.Integer, nullable=False),
        sa.Column("comments", sa.Integer, nullable=False),
    )
    op.create_index("images_by_clock", "images", ["clock"])
    op.create_index("images_by_state", "images", ["state"])
    op.create_table(
        "comments",
        sa.Column("id", _NUMBER, primary_key=True),
        sa.Column("image_id", _NUMBER, sa.ForeignKey("images.id"), nullable=False),
        sa.Column("user", sa.String(120), nullable=False),
        sa.Column("time", sa.Float, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
    )
    op.create_index("comments_by_image", "comments", ["image_id"])


def _objects() -> None:
    op.create_table(
        "edits",
        sa.Column("id", _NUMBER, primary_key=True),
        sa.Column("image_id", _NUMBER, sa.ForeignKey("images.id"), nullable=False),
        sa.Column("user", sa.String(120), nullable=False),
        sa.Column("op", sa.String(24), nullable=False),
        sa.Column("time", sa.Float, nullable=False),
        sa.Column("summary", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("status", sa.String(8), nullable=False),
        sa.Column("target", _NUMBER),
    )
    op.create_index("edits_by_image", "edits", ["image_id", "revision"])
    op.create_table(
        "objects",
        sa.Column("id", _NUMBER, primary_key=True),
        sa.Column("image_id", _NUMBER, sa.ForeignKey("images.id"), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
    )
    op.create_index("objects_by_image", "objects", ["image_id"])
    op.create_table(
        "versions",
        sa.Column("object_id", _NUMBER, sa.ForeignKey("objects.id"), primary_key=True, autoincrement=False),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("edit_id", _NUMBER, sa.ForeignKey("edits.id"), nullable=False),
        sa.Column("root", sa.Integer, nullable=False),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("class_id", _NUMBER, sa.ForeignKey("classes.id")),
        sa.Column("mask", sa.LargeBinary),
        sa.Column("rings", sa.Text),
        *(sa.Column(side, sa.Float) for side in ("x1", "y1", "x2", "y2")),
        sa.Column("area", _NUMBER),
        sa.Column("score", sa.Float),
        sa.Column("source", sa.String(8)),
        sa.Column("suggested", sa.Boolean),
        sa.Column("z", sa.Integer),
        sa.Column("crowd", sa.Boolean),
        sa.Column("track", _NUMBER),
        sa.Column("author", sa.String(120)),
        sa.Column("comment", sa.Text),
    )
    op.create_index("versions_by_edit", "versions", ["edit_id"])
    op.create_index("versions_by_class", "versions", ["class_id"])
