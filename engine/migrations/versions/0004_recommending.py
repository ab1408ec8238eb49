"""comparisons of placements, keys of browsers, bundles"""

import sqlalchemy as sa
from alembic import op

from engine.database import BigKey, Json, UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "comparisons",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("placement", sa.String(length=64), nullable=False),
        sa.Column("variant_a", Json, nullable=False),
        sa.Column("variant_b", Json, nullable=False),
        sa.Column("share_b", sa.Float(), nullable=False),
        sa.Column("holdout", sa.Float(), nullable=False),
        sa.Column("salt", sa.String(length=32), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("started_by", sa.String(length=254), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("adopted", sa.String(length=8), nullable=True),
        sa.Column("before", Json, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_comparisons")),
    )
    op.create_index(op.f("ix_comparisons_placement"), "comparisons", ["placement"])
    running = sa.text("ended_at IS NULL")
    op.create_index(
        "uq_comparisons_running",
        "comparisons",
        ["placement"],
        unique=True,
        sqlite_where=running,
        postgresql_where=running,
    )
    op.create_table(
        "bundles",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("items", Json, nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=True),
        sa.Column("discount", sa.Float(), nullable=True),
        sa.Column("since", sa.Date(), nullable=True),
        sa.Column("until", sa.Date(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bundles")),
        sa.UniqueConstraint("key", name=op.f("uq_bundles_key")),
    )
    with op.batch_alter_table("offered", schema=None) as batch_op:
        batch_op.add_column(sa.Column("recommendation_id", sa.String(length=64), nullable=True))
    with op.batch_alter_table("api_keys", schema=None) as batch_op:
        batch_op.add_column(sa.Column("origins", Json, nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("offered", schema=None) as batch_op:
        batch_op.drop_column("recommendation_id")
    op.drop_table("bundles")
    op.drop_table("comparisons")
    with op.batch_alter_table("api_keys", schema=None) as batch_op:
        batch_op.drop_column("origins")
