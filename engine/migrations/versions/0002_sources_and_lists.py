"""sources of prospects, identity and lists"""

import sqlalchemy as sa
from alembic import op

from engine.database import BigKey, Json, UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _make_doors()
    with op.batch_alter_table("contacts", schema=None) as batch_op:
        batch_op.add_column(sa.Column("household", sa.String(length=128), nullable=True))
        batch_op.add_column(sa.Column("account", sa.String(length=128), nullable=True))
        batch_op.create_index(batch_op.f("ix_contacts_account"), ["account"], unique=False)
        batch_op.create_index(batch_op.f("ix_contacts_household"), ["household"], unique=False)
        batch_op.add_column(sa.Column("merged_into", sa.BigInteger(), nullable=True))
        batch_op.create_index(batch_op.f("ix_contacts_merged_into"), ["merged_into"], unique=False)
    _follow_consent()
    _identity()
    _undo_imports()

    _lists()


def _undo_imports() -> None:
    with op.batch_alter_table("imports", schema=None) as batch_op:
        for name in ("undo_started_at", "undone_at"):
            batch_op.add_column(sa.Column(name, UtcDateTime(), nullable=True))
        batch_op.add_column(sa.Column("undone", Json, nullable=True))
    op.create_table(
        "import_changes",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("import_id", BigKey, nullable=False),
        sa.Column("table_name", sa.String(length=64), nullable=False),
        sa.Column("how", sa.String(length=8), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("undo_revision", sa.BigInteger(), nullable=True),
        sa.Column("rows", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["import_id"], ["imports.id"], name=op.f("fk_import_changes_import_id_imports"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_changes")),
    )
    op.create_index(op.f("ix_import_changes_import_id"), "import_changes", ["import_id"], unique=False)


def _follow_consent() -> None:
    """The warehouse copies consent and suppressions from now on; rows that are there already are copied whole."""
    for table in ("consents", "suppressions"):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.add_column(sa.Column("revision", sa.BigInteger(), nullable=False, server_default=sa.text("0")))
            batch_op.create_index(batch_op.f(f"ix_{table}_revision"), ["revision"], unique=False)
    with op.batch_alter_table("consents", schema=None) as batch_op:
        batch_op.add_column(sa.Column("confirmed", sa.Boolean(), nullable=False, server_default=sa.false()))


def _identity() -> None:
    with op.batch_alter_table("identities", schema=None) as batch_op:
        batch_op.drop_constraint("uq_identities_kind_value", type_="unique")
        batch_op.create_unique_constraint("uq_identities_kind_value_contact_id", ["kind", "value", "contact_id"])
    visitors = {name: sa.text("kind = 'visitor'") for name in ("sqlite_where", "postgresql_where")}
    op.create_index("uq_identities_visitor", "identities", ["value"], unique=True, **visitors)
    op.create_table(
        "merges",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("merged_id", BigKey, nullable=False),
        sa.Column("kept_id", BigKey, nullable=False),
        sa.Column("how", sa.String(length=16), nullable=False),
        sa.Column("evidence", sa.String(length=500), nullable=False),
        sa.Column("author", sa.String(length=254), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("undone_at", UtcDateTime(), nullable=True),
        sa.Column("undone_by", sa.String(length=254), nullable=True),
        _of_contact("merges", "merged_id"),
        _of_contact("merges", "kept_id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_merges")),
    )
    for column in ("merged_id", "kept_id", "at"):
        op.create_index(op.f(f"ix_merges_{column}"), "merges", [column], unique=False)
    op.create_table(
        "merged_rows",
        sa.Column("table_name", sa.String(length=64), nullable=False),
        sa.Column("row_id", sa.BigInteger(), nullable=False),
        sa.Column("contact_id", BigKey, nullable=False),
        _of_contact("merged_rows", "contact_id"),
        sa.PrimaryKeyConstraint("table_name", "row_id", name=op.f("pk_merged_rows")),
    )
    op.create_index(op.f("ix_merged_rows_contact_id"), "merged_rows", ["contact_id"], unique=False)
    op.create_table(
        "merged_places",
        sa.Column("table_name", sa.String(length=64), nullable=False),
        sa.Column("list_id", BigKey, nullable=False),
        sa.Column("contact_id", BigKey, nullable=False),
        sa.Column("row", Json, nullable=False),
        sa.ForeignKeyConstraint(
            ["list_id"], ["lists.id"], name=op.f("fk_merged_places_list_id_lists"), ondelete="CASCADE"
        ),
        _of_contact("merged_places", "contact_id"),
        sa.PrimaryKeyConstraint("table_name", "list_id", "contact_id", name=op.f("pk_merged_places")),
    )
    for column in ("contact_id", "list_id"):
        op.create_index(op.f(f"ix_merged_places_{column}"), "merged_places", [column], unique=False)
    op.create_table(
        "own_facts",
        sa.Column("contact_id", BigKey, nullable=False),
        sa.Column("own", Json, nullable=False),
        sa.Column("shown", Json, nullable=False),
        _of_contact("own_facts", "contact_id"),
        sa.PrimaryKeyConstraint("contact_id", name=op.f("pk_own_facts")),
    )
    op.create_table(
        "refused_events",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("visitor", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("body", sa.String(length=500), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refused_events")),
    )


def _of_contact(table: str, column: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_{column}_contacts")
    return sa.ForeignKeyConstraint([column], ["contacts.id"], name=name, ondelete="CASCADE")


def _lists() -> None:
    op.create_table(
        "list_versions",
        sa.Column("list_id", BigKey, nullable=False),
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
        sa.Column("list_id", BigKey, nullable=False),
        sa.Column("contact_id", BigKey, nullable=False),
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
        sa.Column("list_id", BigKey, nullable=False),
        sa.Column("rules", sa.String(length=32), nullable=False),
        sa.Column("data", sa.String(length=32), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("looked_at", UtcDateTime(), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["list_id"], ["lists.id"], name=op.f("fk_list_states_list_id_lists"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("list_id", name=op.f("pk_list_states")),
    )
    op.create_table(
        "list_blocks",
        sa.Column("list_id", BigKey, nullable=False),
        sa.Column("block", sa.BigInteger(), nullable=False),
        sa.Column("bits", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["list_id"], ["lists.id"], name=op.f("fk_list_blocks_list_id_lists"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("list_id", "block", name=op.f("pk_list_blocks")),
    )
    op.create_table(
        "list_days",
        sa.Column("list_id", BigKey, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("joined", sa.Integer(), nullable=False),
        sa.Column("left", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["list_id"], ["lists.id"], name=op.f("fk_list_days_list_id_lists"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("list_id", "day", name=op.f("pk_list_days")),
    )
    op.create_table(
        "list_drafts",
        sa.Column("user_id", BigKey, nullable=False),
        sa.Column("list_id", sa.BigInteger(), nullable=False),
        sa.Column("work", sa.String(length=16), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("criteria", sa.Text(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_list_drafts_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "list_id", "work", name=op.f("pk_list_drafts")),
    )


def downgrade() -> None:
    op.drop_table("import_changes")
    with op.batch_alter_table("imports", schema=None) as batch_op:
        for name in ("undone", "undone_at", "undo_started_at"):
            batch_op.drop_column(name)
    for table in ("knocks", "confirmations", "flyers", "forms"):
        op.drop_table(table)
    for table in ("list_drafts", "list_days", "list_blocks", "list_states", "list_picks", "list_versions"):
        op.drop_table(table)
    for table in ("refused_events", "own_facts", "merged_places", "merged_rows", "merges"):
        op.drop_table(table)
    op.drop_index("uq_identities_visitor", table_name="identities")
    op.execute("DELETE FROM identities WHERE kind <> 'visitor'")  # the older table takes one contact for each
    with op.batch_alter_table("identities", schema=None) as batch_op:
        batch_op.drop_constraint("uq_identities_kind_value_contact_id", type_="unique")
        batch_op.create_unique_constraint("uq_identities_kind_value", ["kind", "value"])
    with op.batch_alter_table("contacts", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_contacts_merged_into"))
        batch_op.drop_column("merged_into")
        batch_op.drop_index(batch_op.f("ix_contacts_household"))
        batch_op.drop_index(batch_op.f("ix_contacts_account"))
        batch_op.drop_column("account")
        batch_op.drop_column("household")


def _make_doors() -> None:
    """Forms, flyers, confirmations, knocks."""
    op.create_table(
        "forms",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("key", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("origin", sa.String(length=32), nullable=False),
        sa.Column("definition", Json, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_forms")),
        sa.UniqueConstraint("key", name=op.f("uq_forms_key")),
    )
    op.create_table(
        "flyers",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("target", sa.String(length=1024), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_flyers")),
        sa.UniqueConstraint("code", name=op.f("uq_flyers_code")),
    )
    op.create_table(
        "confirmations",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("contact_id", BigKey, nullable=False),
        sa.Column("form_id", BigKey, nullable=False),
        sa.Column("channel", sa.String(length=8), nullable=False),
        sa.Column("address", sa.String(length=254), nullable=False),
        sa.Column("wording", sa.Text(), nullable=True),
        sa.Column("facts", Json, nullable=False),
        sa.Column("visitor", sa.String(length=64), nullable=True),
        sa.Column("language", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", UtcDateTime(), nullable=True),
        sa.Column("reason", sa.String(length=255), nullable=True),
        sa.Column("asked_at", UtcDateTime(), nullable=False),
        sa.Column("sent_at", UtcDateTime(), nullable=True),
        sa.Column("confirmed_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contacts.id"], name=op.f("fk_confirmations_contact_id_contacts"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["form_id"], ["forms.id"], name=op.f("fk_confirmations_form_id_forms"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_confirmations")),
    )
    for column in ("contact_id", "form_id", "address", "next_at"):
        op.create_index(op.f(f"ix_confirmations_{column}"), "confirmations", [column], unique=False)
    op.create_table(
        "knocks",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("door", sa.String(length=16), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_knocks")),
    )
    op.create_index("ix_knocks_door_address_at", "knocks", ["door", "address", "at"], unique=False)
    op.create_index(op.f("ix_knocks_at"), "knocks", ["at"], unique=False)
