"""The database behaves the same on SQLite and PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from threading import Event
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import insert, inspect, select, text
from sqlalchemy.orm import Session

from engine import schema
from engine.database import (
    Base,
    Database,
    insert_new,
    next_revision,
    upsert,
)
from engine.marks import snapshot_mark, written_since
from engine.models import Contact
from engine.models import Event as Happened


def contact(key: str, now: datetime, **given: Any) -> dict[str, Any]:
    """A row of contacts."""
    return {"key": key, "attributes": {}, "bucket": 1, "created_at": now, "updated_at": now, **given}


def test_models_and_migrations_agree(database: Database) -> None:
    """Migrating an empty database gives exactly the tables of the models."""
    schema.check(database)
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_events_are_found_by_narrow_indexes(database: Database, now: datetime) -> None:
    """Those of nobody stand in neither index; what was there before it was narrowed is there and found after."""
    with database.begin() as session:
        session.execute(insert(Contact), [contact(f"c{number}", now, id=number, revision=1) for number in range(1, 4)])
        common = {"type": "item_view", "occurred_at": now, "properties": {}, "revision": 1}
        who = [(1, None), (2, "v2"), (None, "v2"), (None, None)]
        rows = [{"key": f"e{n}", "contact_id": one, "visitor": name, **common} for n, (one, name) in enumerate(who)]
        session.execute(insert(Happened), rows)
    move(database, "0002")
    move(database, "head")
    found = {"contact_id": {"e0", "e1"}, "visitor": {"e1", "e2"}}
    values = {"contact_id": [1, 2, 3], "visitor": ["v2", "v3"]}
    with database.read() as session:
        if not database.is_sqlite:
            session.execute(text("SET LOCAL enable_seqscan = off"))
        for name, keys in found.items():
            asked = select(Happened.key).where(getattr(Happened, name).in_(values[name]))
            assert set(session.scalars(asked)) == keys
            plain = str(asked.compile(session.connection(), compile_kwargs={"literal_binds": True}))
            explain = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN "
            assert f"ix_events_{name}" in str(session.execute(text(explain + plain)).all())
    narrow = [index["dialect_options"] for index in inspect(database.engine).get_indexes("events")]
    assert sum(any(name.endswith("_where") for name in options) for options in narrow) == 2


def move(database: Database, revision: str) -> None:
    """Bring the tables to the shape of a version, whichever way that is."""
    config = schema._alembic()
    way = command.upgrade if revision == "head" else command.downgrade
    with database.engine.execution_options(writes=True).begin() as connection:
        config.attributes["connection"] = connection
        way(config, revision)


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


def each(session: Session, pieces: Sequence[Callable[[Session], int]]) -> list[int]:
    """The pieces, one after the other."""
    return [piece(session) for piece in pieces]


def while_one_writes(database: Database, pieces: list[Callable[[Session], int]]) -> list[Future[int]]:
    """Pieces of work that come while another is written; SQLite's wait until all are there."""
    with ThreadPoolExecutor(len(pieces) + 1) as threads, holding(database, threads):
        futures = [threads.submit(database.together, each, piece) for piece in pieces]
        wait_for_line(database, len(pieces))
    return futures


@contextmanager
def holding(database: Database, threads: ThreadPoolExecutor) -> Iterator[None]:
    """Somebody writes meanwhile."""
    entered, leave = Event(), Event()

    def first(session: Session) -> int:
        entered.set()
        leave.wait(30)
        return next_revision(session)

    threads.submit(database.together, each, first)
    entered.wait(30)
    yield
    leave.set()


def wait_for_line(database: Database, count: int) -> None:
    """Until all stand in SQLite's line."""
    end = time.monotonic() + 30
    while database.is_sqlite and database.waiting < count and time.monotonic() < end:
        time.sleep(0.01)


def test_work_that_waits_shares_a_transaction(database: Database) -> None:
    """One for all of them on SQLite, whose writers stand in line; PostgreSQL's go side by side."""
    done = while_one_writes(database, [next_revision] * 5)
    assert len({piece.result() for piece in done}) == (1 if database.is_sqlite else 5)


def test_work_alike_is_done_by_one_call(database: Database) -> None:
    """What waits for SQLite's one writer with the same `write` reaches it together."""
    sizes: list[int] = []

    def count(session: Session, pieces: Sequence[int]) -> Sequence[int]:
        sizes.append(len(pieces))
        return pieces

    with ThreadPoolExecutor(5) as threads, holding(database, threads):
        done = [threads.submit(database.together, count, piece) for piece in range(4)]
        wait_for_line(database, len(done))
    assert sorted(one.result() for one in done) == [0, 1, 2, 3]
    assert sizes == ([4] if database.is_sqlite else [1] * 4)


def test_work_that_fails_costs_no_other(database: Database, now: datetime) -> None:
    """It alone hears of it, and the rows of the others carry the number of the transaction they are in."""

    def add(number: int) -> Callable[[Session], int]:
        def work(session: Session) -> int:
            session.add(Contact(key=f"c{number}", created_at=now, updated_at=now))
            session.flush()
            if number == 3:
                raise ValueError("three")
            return next_revision(session)

        return work

    done = while_one_writes(database, [add(number) for number in range(5)])
    assert [number for number, piece in enumerate(done) if isinstance(piece.exception(), ValueError)] == [3]
    with database.read() as session:
        rows = session.execute(select(Contact.key, Contact.revision))
        there = {row.key: row.revision for row in rows}
    assert there == {f"c{number}": piece.result() for number, piece in enumerate(done) if number != 3}
