"""sources of prospects, identity and lists"""

import sqlalchemy as sa
from alembic import op

from engine.database import Json, UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("contacts", schema=None) as batch_op:
        batch_op.add_column(sa.Column("household", sa.String(length=128), nullable=True))
        batch_op.add_column(sa.Column("account", sa.String(length=128), nullable=True))
        batch_op.create_index(batch_op.f("ix_contacts_account"), ["account"], unique=False)
        batch_op.create_index(batch_op.f("ix_contacts_household"), ["household"], unique=False)

    _lists()


def _lists() -> None:
    op.create_table(
        "list_versions",
        sa.Column("list_id", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("criteria", Json, nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("author", sa.String(length=128), nullable=False),
        sa.ForeignKeyConstraint(
            ["list_id"], ["lists.id"], name=op.f("fk_list_versions_list_id_lists"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("list_id", "version", name=op.f("pk_list_versions")),
    )
    op.execute(
        "INSERT INTO list_versions (list_id, version, name, criteria, at, author)"
        " SELECT id, version, name, criteria, updated_at, '' FROM lists"
    )
    op.create_table(
        "list_picks",
        sa.Column("list_id", sa.BigInteger(), nullable=False),
        sa.Column("contact_id", sa.BigInteger(), nullable=False),
        sa.Column("added", sa.Boolean(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("author", sa.String(length=128), nullable=False),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contacts.id"], name=op.f("fk_list_picks_contact_id_contacts"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["list_id"], ["lists.id"], name=op.f("fk_list_picks_list_id_lists"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("list_id", "contact_id", name=op.f("pk_list_picks")),
    )
    with op.batch_alter_table("list_picks", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_list_picks_contact_id"), ["contact_id"], unique=False)
    op.create_table(
        "list_states",
        sa.Column("list_id", sa.BigInteger(), nullable=False),
        sa.Column("rules", sa.String(length=32), nullable=False),
        sa.Column("data", sa.String(length=32), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("looked_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["list_id"], ["lists.id"], name=op.f("fk_list_states_list_id_lists"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("list_id", name=op.f("pk_list_states")),
    )
    op.create_table(
        "list_blocks",
        sa.Column("list_id", sa.BigInteger(), nullable=False),
        sa.Column("block", sa.BigInteger(), nullable=False),
        sa.Column("bits", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["list_id"], ["lists.id"], name=op.f("fk_list_blocks_list_id_lists"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("list_id", "block", name=op.f("pk_list_blocks")),
    )
    op.create_table(
        "list_days",
        sa.Column("list_id", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("joined", sa.Integer(), nullable=False),
        sa.Column("left", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["list_id"], ["lists.id"], name=op.f("fk_list_days_list_id_lists"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("list_id", "day", name=op.f("pk_list_days")),
    )
    op.create_table(
        "list_drafts",
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("list_id", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("criteria", sa.Text(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_list_drafts_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "list_id", name=op.f("pk_list_drafts")),
    )


def downgrade() -> None:
    for table in ("list_drafts", "list_days", "list_blocks", "list_states", "list_picks", "list_versions"):
        op.drop_table(table)
    with op.batch_alter_table("contacts", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_contacts_household"))
        batch_op.drop_index(batch_op.f("ix_contacts_account"))
        batch_op.drop_column("account")
        batch_op.drop_column("household")
