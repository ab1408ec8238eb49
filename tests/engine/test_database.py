"""The database behaves the same on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, select

from engine import schema
from engine.database import (
    Base,
    Database,
    insert_new,
    next_revision,
    snapshot_mark,
    upsert,
    written_since,
)
from engine.models import Contact


def contact(key: str, now: datetime, **given: Any) -> dict[str, Any]:
    """A row of contacts."""
    return {"key": key, "attributes": {}, "bucket": 1, "created_at": now, "updated_at": now, **given}


def test_models_and_migrations_agree(database: Database) -> None:
    """Migrating an empty database gives exactly the tables of the models."""
    schema.check(database)
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_a_deletion_that_takes_rows_along_finds_them_by_an_index(database: Database) -> None:
    """Every ON DELETE CASCADE has an index that begins with its column: erasing a person scans no table."""
    look = inspect(database.engine)
    scanned = []
    for table in look.get_table_names():
        indexed = [index["column_names"] for index in look.get_indexes(table)]
        indexed += [look.get_pk_constraint(table)["constrained_columns"]]
        indexed += [unique["column_names"] for unique in look.get_unique_constraints(table)]
        for key in look.get_foreign_keys(table):
            column = key["constrained_columns"][0]
            if key["options"].get("ondelete") == "CASCADE" and column not in {names[0] for names in indexed if names}:
                scanned.append(f"{table}.{column}")
    assert scanned == []


def test_moments_keep_their_instant(database: Database, now: datetime) -> None:
    """A stored moment comes back equal, aware, in UTC; one without a zone is refused."""
    with database.begin() as session:
        session.add(Contact(key="a", created_at=now, updated_at=now))
    with database.read() as session:
        stored = session.scalars(select(Contact)).one().created_at
    assert stored == now
    assert stored.utcoffset() is not None
    with pytest.raises(Exception, match="no time zone"), database.begin() as session:
        session.add(Contact(key="b", created_at=now.replace(tzinfo=None), updated_at=now))


def test_insert_new_leaves_what_is_there(database: Database, now: datetime) -> None:
    """Only rows with a new key go in, and only they are counted."""
    with database.begin() as session:
        row = {"revision": next_revision(session)}
        table = Contact.__table__
        assert insert_new(session, table, [contact("a", now, email="a@x.example", **row)], ["key"]) == 1
        rows = [contact("a", now, email="other@x.example", **row), contact("b", now, email=None, **row)]
        assert insert_new(session, table, rows, ["key"]) == 1
        assert session.scalars(select(Contact.email).order_by(Contact.key)).all() == ["a@x.example", None]


def test_upsert_counts_only_changes(database: Database, now: datetime) -> None:
    """The same rows twice change nothing, not even their revision."""
    rows = [contact("a", now, email="a@x.example"), contact("b", now, email=None)]
    for expected in (2, 0):
        with database.begin() as session:
            stamped = [row | {"revision": next_revision(session)} for row in rows]
            assert upsert(session, Contact.__table__, stamped, ["key"]) == expected
    with database.begin() as session:
        changed = [row | {"email": "new@x.example", "revision": next_revision(session)} for row in rows]
        assert upsert(session, Contact.__table__, changed, ["key"]) == 2


def test_written_since_misses_nothing(database: Database, now: datetime) -> None:
    """What a mark saw is not told again, what was open at that moment is, however low its number."""

    def since(mark: str) -> set[str]:
        with database.read() as session:
            rows = select(Contact.key).where(written_since(session, mark, Contact.__table__.c.revision))
            return set(session.scalars(rows))

    def mark() -> str:
        with database.read() as session:
            return snapshot_mark(session)

    def add(*keys: str) -> None:
        with database.begin() as session:
            session.add_all(Contact(key=key, created_at=now, updated_at=now) for key in keys)

    empty = mark()
    add("a")
    first = mark()
    assert (since(""), since(empty), since(first)) == ({"a"}, {"a"}, set())
    if database.is_sqlite:  # one writer at a time
        add("b")
        assert since(first) == {"b"}
        return
    with database.begin() as slow:
        slow.add(Contact(key="slow", created_at=now, updated_at=now))
        slow.flush()
        add("fast")
        between = mark()
    assert since(first) == {"slow", "fast"}
    assert since(between) == {"slow"}
