"""Many rows at once: into a temporary table by the fastest road, from there by two set-based statements.

Measured with 1.07 M order lines, 20,000 at a time: see docs/why.md.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import chain
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv
from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    CursorResult,
    Integer,
    MetaData,
    Table,
    Text,
    and_,
    case,
    cast,
    exists,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    text,
    type_coerce,
    update,
)
from sqlalchemy import Column as SqlColumn
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session
from sqlalchemy.schema import CreateTable
from sqlalchemy.types import JSON, TypeEngine

from engine.database import UtcDateTime, among, next_revision
from engine.intake.journal import Journal
from engine.intake.parsing import CLEARS

Columns = Mapping[str, Sequence[Any]]  # name -> values of one length; moments as microseconds, JSON as text

# Rows in one INSERT of SQLite: 1 us a row instead of the 2 of executemany, which also gives other threads the turn
# after every row and waits for it again. With 60 columns it takes 30,000 of the 32,766 parameters there may be.
TOGETHER: Final = 500

ANALYSE: Final = 1000  # rows from which PostgreSQL is told what is in the temporary table

# A batch is looked up by index even when PostgreSQL would rather read all of a big table: 20,000 keys among a million
# contacts take 0.06 s instead of 0.3-0.8 s, fifty times over in one import. Until the end of the transaction.
_BY_INDEX = text(
    "SELECT set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),"
    " set_config('jit', 'off', true)"
)


@dataclass(frozen=True)
class Counts:
    """How many things were new, changed, and said nothing new."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.created + other.created, self.updated + other.updated, self.unchanged + other.unchanged)


class Staged:
    """Rows of `table` in a temporary table, from where they are inserted or merged by `key`."""

    def __init__(self, session: Session, table: Table, columns: Columns, journal: Journal | None = None) -> None:
        """Load the columns; they hold `key`, unique among them, in order. What is done is noted in `journal`."""
        self._session, self._table, self._journal = session, table, journal
        self._names, self._clears = [name for name in columns if name != CLEARS], CLEARS in columns
        self.rows = len(columns["key"])
        self._locked = self._all_new = False
        self.stage = _stage(table)
        _prepare(session, self.stage)
        load(session, self.stage, columns)
        if self.rows >= ANALYSE and _is_postgresql(session):
            session.execute(text(f"ANALYZE {self.stage.name}"))
            session.execute(_BY_INDEX)

    def insert(self, defaults: dict[str, Any], now: datetime) -> int:
        """Add the rows whose key is new; `defaults` stand in for what is None. How many went in."""
        table, stage = self._table, self.stage
        given: dict[str, ColumnElement[Any]] = {name: self._fresh(name) for name in self._names}
        for name, default in (defaults | self._stamps(("created_at", "updated_at"), now)).items():
            constant = literal(default, table.c[name].type)
            given[name] = func.coalesce(given[name], constant) if name in given else constant
        new = ~exists().where(table.c.key == stage.c.key)
        rows = select(*given.values()).where(new).order_by(stage.c.key)
        insert = postgresql.insert(table) if _is_postgresql(self._session) else sqlite.insert(table)
        statement = insert.from_select(list(given), rows).on_conflict_do_nothing(index_elements=["key"])
        if self._journal is None:
            inserted = self._run(statement)
        else:
            ids = self._session.scalars(statement.returning(table.c.id)).all()
            self._journal.created(table, ids)
            inserted = len(ids)
        self._all_new = inserted == self.rows
        return inserted

    def update(self, now: datetime, *, when: str | None = None) -> int:
        """Change the rows that say something new; how many were changed.

        None says nothing unless the column CLEARS names it, and the shop's own fields are merged one by one (null
        takes one back). With `when`, a row is replaced as a whole if that column differs.
        """
        names = self._content()
        if not names or self._all_new:
            return 0
        self.lock(when=when)
        given = {name: self._value(name) if when else self._merged(name) for name in names}
        if self._journal is not None and not when:
            self._note(self._journal, given)
        return self._run(
            update(self._table)
            .where(self._table.c.key == self.stage.c.key, self._changed(when))
            .values(given | self._stamps(("updated_at",), now))
        )

    def _note(self, journal: Journal, given: Mapping[str, ColumnElement[Any]]) -> None:
        """What is there, and what will be."""
        kinds = self._table.c
        after = [type_coerce(value, kinds[name].type).label(f"after_{name}") for name, value in given.items()]
        rows = select(kinds.id, *(kinds[name] for name in given), *after)
        rows = rows.join(self.stage, kinds.key == self.stage.c.key).where(self._changed(None))
        for row_id, *values in self._session.execute(rows):
            before, after_ = values[: len(given)], values[len(given) :]
            was, will = dict(zip(given, before, strict=True)), dict(zip(given, after_, strict=True))
            journal.changed(self._table, row_id, was, will)

    def lock(self, *, when: str | None = None) -> None:
        """PostgreSQL: lock the rows that will change in the order of their keys, so that two writers of the same keys
        wait for each other instead of ending in a deadlock. SQLite has one writer.
        """
        if self._locked or self._all_new or not _is_postgresql(self._session) or not self._content():
            return
        rows = select(self._table.c.id).join(self.stage, self._table.c.key == self.stage.c.key)
        rows = (
            rows.where(self._changed(when)).order_by(self._table.c.key).with_for_update(of=self._table, key_share=True)
        )
        self._session.execute(rows).all()
        self._locked = True

    def _content(self) -> list[str]:
        return [name for name in self._names if name not in ("key", "bucket")]

    def _changed(self, when: str | None) -> ColumnElement[bool]:
        if when:
            return self._table.c[when].is_distinct_from(self.stage.c[when])
        return or_(*(self._changes(name) for name in self._content()))

    def _stamps(self, moments: Sequence[str], now: datetime) -> dict[str, Any]:
        return {name: now for name in moments if name in self._table.c} | {"revision": next_revision(self._session)}

    def _value(self, name: str) -> ColumnElement[Any]:
        """The staged value as the table's type."""
        staged: ColumnElement[Any] = self.stage.c[name]
        kind = self._table.c[name].type
        if not _is_postgresql(self._session):
            return type_coerce(staged, kind)
        if isinstance(kind, UtcDateTime):  # whole microseconds stay exact, to_timestamp() would go through a float
            epoch: ColumnElement[Any] = literal_column("TIMESTAMPTZ 'epoch'")
            return type_coerce(epoch + staged * literal_column("INTERVAL '1 microsecond'"), kind)
        return cast(staged, kind) if isinstance(kind, JSON) else staged

    def _fresh(self, name: str) -> ColumnElement[Any]:
        """The staged value of a new row."""
        is_json = isinstance(self._table.c[name].type, JSON)
        return self._patched(name, literal_column("'{}'", Text())) if is_json else self._value(name)

    def _merged(self, name: str) -> ColumnElement[Any]:
        there, staged = self._table.c[name], self.stage.c[name]
        if isinstance(there.type, JSON):
            return case((staged.is_(None), there), else_=self._patched(name, there))
        known = func.coalesce(self._value(name), there)
        return case((self._cleared(name), null()), else_=known) if self._clears else known

    def _changes(self, name: str) -> ColumnElement[bool]:
        there, staged = self._table.c[name], self.stage.c[name]
        if isinstance(there.type, JSON):
            now = there if _is_postgresql(self._session) else func.json(there)
            return and_(staged.is_not(None), now.is_distinct_from(self._patched(name, there)))
        news = and_(staged.is_not(None), there.is_distinct_from(self._value(name)))
        return or_(news, and_(self._cleared(name), there.is_not(None))) if self._clears else news

    def _cleared(self, name: str) -> ColumnElement[bool]:
        return self.stage.c[CLEARS].contains(f",{name},", autoescape=True)

    def _patched(self, name: str, there: ColumnElement[Any]) -> ColumnElement[Any]:
        """RFC 7396: what is staged goes over what is there, null takes it away. Own fields are flat."""
        if _is_postgresql(self._session):
            return func.jsonb_strip_nulls(cast(there, postgresql.JSONB).op("||")(self._value(name)))
        return func.json_patch(there, self.stage.c[name])

    def _run(self, statement: Any) -> int:
        result: CursorResult[Any] = self._session.connection().execute(
            statement, execution_options={"preserve_rowcount": True}
        )
        return result.rowcount


def append(session: Session, table: Table, columns: Columns, now: datetime, journal: Journal | None = None) -> int:
    """Add the rows whose key is new, for a table of which no row is ever changed; how many went in.

    SQLite takes them straight away: through a temporary table every key would be looked up twice.
    """
    if _is_postgresql(session):
        return Staged(session, table, columns, journal).insert({}, now)
    revision = next_revision(session)
    stamped = {**columns, "revision": [revision] * len(columns["key"])}
    count = load(session, table, stamped, "ON CONFLICT (key) DO NOTHING")
    if journal is not None:
        found = ids(session, table, columns["key"], table.c.revision).values()
        journal.created(table, (row.id for row in found if row.revision == revision))
    return count


def load(session: Session, table: Table, columns: Columns, conflict: str = "") -> int:
    """Append rows as they are, with nothing checked but the table's constraints: COPY, or INSERTs of many rows; how
    many went in. `conflict`: what SQLite does about those that are there.

    Columns hold what the driver stores: moments as microseconds are for SQLite and temporary tables only.
    """
    names = ", ".join(f'"{name}"' for name in columns)
    driver: Any = session.connection().connection.driver_connection
    if _is_postgresql(session):
        with driver.cursor().copy(f"COPY {table.name} ({names}) FROM STDIN (FORMAT csv)") as copy:
            copy.write(_csv(table, columns))
        return len(next(iter(columns.values())))
    rows, loaded = list(zip(*columns.values(), strict=True)), 0
    for start in range(0, len(rows), TOGETHER):
        part = rows[start : start + TOGETHER]
        marks = ", ".join([f"({', '.join('?' * len(columns))})"] * len(part))
        insert = f"INSERT INTO {table.name} ({names}) VALUES {marks} {conflict}"
        loaded += driver.execute(insert, list(chain.from_iterable(part))).rowcount
    return loaded


def ids(session: Session, table: Table, keys: Sequence[str], *columns: Any) -> dict[str, Any]:
    """key -> row of (key, id, *columns) for the keys that are there."""
    if not keys:
        return {}
    statement = select(table.c.key, table.c.id, *columns).where(among(session, table.c.key, keys))
    return {row.key: row for row in session.execute(statement)}


def _csv(table: Table, columns: Columns) -> memoryview:
    """CSV as COPY reads it: None is an empty cell, empty text is a quoted one."""
    arrays = {name: pa.array(values, _arrow(table.c[name])) for name, values in columns.items()}
    buffer = io.BytesIO()
    pyarrow.csv.write_csv(pa.table(arrays), buffer, pyarrow.csv.WriteOptions(include_header=False))
    return buffer.getbuffer()


def _arrow(column: SqlColumn[Any]) -> Any:
    if isinstance(column.type, Boolean):
        return pa.bool_()
    return pa.int64() if isinstance(column.type, (Integer, BigInteger)) else pa.string()


@cache
def _stage(table: Table) -> Table:
    """The temporary table for rows of `table`: the same columns, nothing required, no index."""
    columns = [
        SqlColumn(column.name, _staged_type(column.type))
        for column in table.columns
        if column.name not in ("id", "created_at", "updated_at", "revision")
    ]
    return Table(
        f"stage_{table.name}",
        MetaData(),
        *columns,
        SqlColumn(CLEARS, Text()),
        prefixes=["TEMPORARY"],
        postgresql_on_commit="DELETE ROWS",  # nobody vacuums a temporary table
    )


def _staged_type(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    if isinstance(kind, UtcDateTime):
        return BigInteger()
    return Text() if isinstance(kind, JSON) else kind


def _prepare(session: Session, stage: Table) -> None:
    """An empty temporary table; it lives as long as the connection, so that small calls make no new one."""
    session.execute(CreateTable(stage, if_not_exists=True))
    session.execute(stage.delete())


def _is_postgresql(session: Session) -> bool:
    return session.get_bind().dialect.name == "postgresql"
