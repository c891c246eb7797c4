"""Each image knows the highest and the lowest z of its objects, so that a new one needs no search."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_OF_IMAGE = (
    "(select {extreme}(v.z) from objects o join versions v on v.object_id = o.id"
    " where o.image_id = images.id and v.z is not null)"
)


def upgrade() -> None:
    """Add the two columns, filled from all versions, past ones too."""
    op.add_column("images", sa.Column("top", sa.Integer, nullable=False, server_default="-1"))
    op.add_column("images", sa.Column("bottom", sa.Integer, nullable=False, server_default="0"))
    op.execute(
        f"update images set top = coalesce({_OF_IMAGE.format(extreme='max')}, -1),"
        f" bottom = coalesce({_OF_IMAGE.format(extreme='min')}, 0)"
    )


def downgrade() -> None:
    """Take them away."""
    op.drop_column("images", "bottom")
    op.drop_column("images", "top")
