"""A whole database into an empty one of either kind: how a shop that began on SQLite moves to PostgreSQL.

Ids stay, so that links, cookies and the storefront's numbers stay good; so do the key of links, log-ins and API keys.
Nobody else writes in either database meanwhile, and all rows go in by one transaction: a copy that is killed leaves
nothing behind.

Change numbers are not carried over, because each database counts by itself: all rows get the number of the transaction
that writes them, and everything written later has a larger one. Who follows changes begins at nothing: the warehouse is
built anew, and all orders are credited anew, which changes no credit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.types.json import Jsonb
from sqlalchemy import JSON, Row, Table, func, insert, literal, select, text, union_all
from sqlalchemy.orm import Session

from engine.database import Base, Database, next_revision, shown
from engine.errors import Conflict, Invalid
from engine.models import Deletion, Revision, Watermark

BATCH: Final = 5_000  # rows in memory at once: an outbox message has up to 100 KB
OWN: Final = {model.__tablename__ for model in (Deletion, Revision, Watermark)}  # of each database's change numbers
PATIENCE: Final = "30s"  # as long as SQLite waits for its lock
LOOPBACK: Final = frozenset({"", "127.0.0.1", "::1"})  # other names of localhost; "": its socket

Progress = Callable[[str, int, int], None]  # table, rows done, rows in all


def refuse_itself(source: Database, target: Database) -> None:
    """Raise Conflict when both addresses name one database: it would wait for its own lock until PATIENCE ends."""
    if _place(source) == _place(target):
        raise Conflict(f"{shown(target.url)} is the database to copy from: make a new one and name it.")


def hold(session: Session) -> None:
    """Let nobody else write until this transaction ends; reading goes on."""
    if _is_postgresql(session):
        session.execute(text(f"SET LOCAL lock_timeout = '{PATIENCE}'"))
        session.execute(text(f"LOCK TABLE {', '.join(Base.metadata.tables)} IN EXCLUSIVE MODE"))
    else:
        session.connection()  # SQLite's transaction, now begun, lets nobody else write


def copy(reading: Session, writing: Session, progress: Progress = lambda *_: None) -> dict[str, int]:
    """All rows of all tables from one database to the other, both of this version; how many of each table. Both
    sessions are of `Database.begin`. Raises Conflict for a database that holds rows, Invalid for a row that the other
    database cannot hold.
    """
    hold(reading)
    hold(writing)
    _refuse_rows(writing)
    copied = {table.name: _copy(reading, writing, table, progress) for table in _tables()}
    if _is_postgresql(writing):  # else its planner would guess until the next autovacuum
        writing.execute(text(f"ANALYZE {', '.join(copied)}"))
    return copied


def _place(database: Database) -> tuple[object, ...]:
    """Where a database is, however its address is spelled."""
    if database.is_sqlite:
        return (Path(database.url.database or "").resolve(),)
    _, given = database.url.get_dialect()().create_connect_args(database.url)
    host = str(given.get("host", "")).lower()
    port, name = str(given.get("port", 5432)), given.get("dbname", given.get("user"))
    return "localhost" if host in LOOPBACK else host, port, name


def _refuse_rows(session: Session) -> None:
    found = (select(literal(table.name)).where(select(literal(1)).select_from(table).exists()) for table in _tables())
    if names := sorted(session.scalars(union_all(*found))):
        raise Conflict(f"The database to copy to is not empty (it has {', '.join(names)}): make a new one and name it.")


def _tables() -> list[Table]:
    """In the order of their foreign keys."""
    return [table for table in Base.metadata.sorted_tables if table.name not in OWN]


def _copy(reading: Session, writing: Session, table: Table, progress: Progress) -> int:
    total = reading.scalar(select(func.count()).select_from(table)) or 0
    done = 0
    try:
        for rows in _batches(reading, writing, table):
            _append(writing, table, rows)
            done += len(rows)
            progress(table.name, done, total)
    except psycopg.DataError as error:  # SQLite measures no text and takes a NUL
        reason = str(error).partition("\n")[0]
        raise Invalid(
            f"A row of {table.name} cannot be stored there ({reason}): correct it, then copy again."
        ) from None
    _count_on(writing, table)
    return done


def _batches(reading: Session, writing: Session, table: Table) -> Iterator[Sequence[Row[Any]]]:
    """The rows in the order of their key, with the number of the transaction that writes them."""
    number = literal(next_revision(writing))
    columns = (number.label("revision") if column.name == "revision" else column for column in table.c)
    statement = select(*columns).order_by(*table.primary_key)
    return reading.connection().execute(statement, execution_options={"yield_per": BATCH}).partitions()


def _append(writing: Session, table: Table, rows: Sequence[Row[Any]]) -> None:
    connection = writing.connection()
    if not _is_postgresql(writing):
        connection.execute(insert(table), [dict(row._mapping) for row in rows])
        return
    names = ", ".join(f'"{column.name}"' for column in table.c)
    documents = [number for number, column in enumerate(table.c) if isinstance(column.type, JSON)]
    driver: Any = connection.connection.driver_connection
    with driver.cursor().copy(f"COPY {table.name} ({names}) FROM STDIN") as copying:
        for row in rows:
            values = list(row)
            for number in documents:
                values[number] = Jsonb(values[number])
            copying.write_row(values)


def _count_on(writing: Session, table: Table) -> None:
    """PostgreSQL numbers new rows from a sequence, which does not see the ids of ours."""
    key = table.autoincrement_column
    if key is None or not _is_postgresql(writing):
        return
    sequence = func.pg_get_serial_sequence(table.name, key.name)
    last = select(func.max(key)).scalar_subquery()
    writing.execute(select(func.setval(sequence, func.coalesce(last, 1), last.is_not(None))))


def _is_postgresql(session: Session) -> bool:
    return session.get_bind().dialect.name == "postgresql"
