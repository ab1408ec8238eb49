"""answers that wait for their confirmation"""

import sqlalchemy as sa
from alembic import op

from engine.database import BigKey, Json, UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

EVENT_INDEXES = {
    "ix_events_contact_id_occurred_at": ["contact_id", "occurred_at"],
    "ix_events_visitor": ["visitor"],
}


def upgrade() -> None:
    op.create_table(
        "suppressed_items",
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_suppressed_items")),
    )
    op.create_table(
        "offered",
        sa.Column("send_id", BigKey, nullable=False),
        sa.Column("items", Json, nullable=False),
        sa.ForeignKeyConstraint(["send_id"], ["sends.id"], name=op.f("fk_offered_send_id_sends"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("send_id", name=op.f("pk_offered")),
    )
    with op.batch_alter_table("confirmations", schema=None) as batch_op:
        batch_op.add_column(sa.Column("answer", sa.String(length=128), nullable=True))
    _narrow_events()


def _narrow_events() -> None:
    """Events of nobody and without a visitor leave the two indexes: they stay smaller."""
    for name, columns in EVENT_INDEXES.items():
        op.drop_index(name, "events")
        known = sa.text(f"{columns[0]} IS NOT NULL")
        op.create_index(name, "events", columns, sqlite_where=known, postgresql_where=known)


def downgrade() -> None:
    for name, columns in EVENT_INDEXES.items():
        op.drop_index(name, "events")
        op.create_index(name, "events", columns)
    op.drop_table("offered")
    op.drop_table("suppressed_items")
    with op.batch_alter_table("confirmations", schema=None) as batch_op:
        batch_op.drop_column("answer")
