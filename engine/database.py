"""The SQL database: one engine, short transactions, portable insert-or-ignore and change numbers.

SQLite (WAL, synchronous=FULL) and PostgreSQL behave the same to everything above this file:

- `Database.begin()` opens a transaction that may write, `Database.read()` one that may not. On SQLite the
  first takes the write lock at once (BEGIN IMMEDIATE): a transaction that reads and then writes would
  otherwise fail with "database is locked" instead of waiting.
- Every row the warehouse mirrors carries the `revision` of the transaction that wrote it last. Who follows
  changes keeps a mark and asks for what was written since it (engine.marks).
"""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psycopg
from sqlalchemy import (
    ARRAY,
    URL,
    BigInteger,
    ColumnElement,
    CursorResult,
    DateTime,
    Dialect,
    Engine,
    Integer,
    MetaData,
    Table,
    Text,
    bindparam,
    create_engine,
    event,
    func,
    make_url,
    or_,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.sql.expression import SQLColumnExpression
from sqlalchemy.types import JSON, TypeDecorator, TypeEngine

from engine.errors import ConfigError
from engine.grouping import Group, Piece, Result, Write

DRIVERS = ("sqlite", "postgresql", "postgresql+psycopg")  # SQLAlchemy's own choice for postgresql is psycopg too
EXAMPLE = "postgresql+psycopg://user:password@host/name"

# SQLite's own: pages of 4 KiB in the log before they go to their place in the file, and KiB of pages held by each
# connection. Keys of events fall all over an index: with 1,000 and 2,000, SQLite's defaults, a transaction of 500
# events writes its pages twice and takes 25 ms, with these 14 ms (a million events there).
CHECKPOINT: Final = 16_384
CACHE: Final = 32_768

ANY: Final = -1  # connections beyond a pool's size: a thread may hold one and need another, so a limit makes all wait

TURNS: Final = 5  # of a transaction that meets another one
MEETINGS: Final = {"40P01", "40001"}  # PostgreSQL's codes: deadlock detected, serialization failure

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

BigKey = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only for INTEGER
Json = JSON().with_variant(postgresql.JSONB(), "postgresql")


class UtcDateTime(TypeDecorator[datetime]):
    """A moment: zone-aware in Python, timestamptz on PostgreSQL, whole microseconds since 1970 on SQLite
    (8 bytes instead of 26, and copied to the warehouse without parsing).
    """

    impl = BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the column type."""
        kind: TypeEngine[Any] = DateTime(timezone=True) if dialect.name == "postgresql" else BigInteger()
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Refuse moments without a zone: guessing one would shift people's histories."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        return value.astimezone(UTC) if dialect.name == "postgresql" else microseconds(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Give UTC back."""
        if value is None:
            return None
        return value.astimezone(UTC) if isinstance(value, datetime) else EPOCH + timedelta(microseconds=value)


def microseconds(moment: datetime) -> int:
    """Whole microseconds since 1970-01-01 UTC."""
    return (moment - EPOCH) // timedelta(microseconds=1)


class Base(DeclarativeBase):
    """All tables of all packages; fixed constraint names, so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Database:
    """One SQL database. Sessions are short and belong to the edge: a view, a command, a tick."""

    def __init__(self, url: str) -> None:
        self.url = _address(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite and self.url.database:
            _make_folder(Path(self.url.database).parent)
        self.engine = _engine(self.url.render_as_string(hide_password=False), is_sqlite=self.is_sqlite)
        self._writing = sessionmaker(self.engine.execution_options(writes=True), expire_on_commit=False)
        self._reading = sessionmaker(self.engine.execution_options(postgresql_readonly=True))
        self._alone = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self._group = Group(self.begin)

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """A transaction that may write: commits at the end, rolls back on an exception."""
        with self._writing.begin() as session:
            yield session

    def together(self, write: Write[Piece, Result], piece: Piece) -> Result:
        """What `write` makes of the piece; it is committed then. On SQLite pieces that wait for its one writer are
        written in one transaction, those with the same `write` by one call of it; PostgreSQL needs no such help. When
        that fails, each is done again on its own, so `write` must not change anything but the database.
        """
        if self.is_sqlite:
            return self._group.do(write, piece)
        return self.retried(lambda session: write(session, [piece])[0])

    def retried(self, work: Callable[[Session], Result]) -> Result:
        """What `work` gives; it is committed then. A transaction that PostgreSQL took back because two waited for each
        other is done again, up to TURNS times, so `work` must not change anything but the database.
        """
        for turn in range(1, TURNS + 1):
            try:
                with self.begin() as session:
                    return work(session)
            except (DBAPIError, psycopg.Error) as error:
                if turn == TURNS or not _met_another(error):
                    raise
                time.sleep(random.uniform(0, 0.02 * 2**turn))  # noqa: S311  (not both at once again)
        raise AssertionError  # the last turn returns or raises

    @property
    def waiting(self) -> int:
        """Pieces in line for `together`."""
        return self._group.waiting

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that only reads; always rolled back."""
        with self._reading() as session:
            yield session

    @contextmanager
    def driver(self) -> Iterator[Any]:
        """A connection of the driver itself, on which every statement is a transaction of its own."""
        if self.is_sqlite:
            connection = self.engine.raw_connection()
            try:
                yield connection.dbapi_connection
            finally:
                connection.close()
        else:
            with self._alone.connect() as one:
                yield one.connection.dbapi_connection

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


def _met_another(error: DBAPIError | psycopg.Error) -> bool:
    """The transaction came to nothing because of another one, and may well come through the next time."""
    cause = error.orig if isinstance(error, DBAPIError) else error  # COPY goes past SQLAlchemy
    return getattr(cause, "sqlstate", None) in MEETINGS


def _address(url: str) -> URL:
    """Raises ConfigError, which never shows the address: it may hold a password."""
    try:
        found = make_url(url)
    except (ArgumentError, ValueError):  # ValueError: a port that is no number
        raise ConfigError("database.url is no database address; an example: " + EXAMPLE, field="database.url") from None
    if found.drivername not in DRIVERS:
        raise ConfigError(
            f"database.url must start with sqlite:/// or postgresql+psycopg://, not {found.drivername}://; an example: "
            + EXAMPLE,
            field="database.url",
        )
    return found


def shown(url: URL) -> str:
    """The address for a message: without the password and what else stands behind the name of the database."""
    return url.set(query={}).render_as_string(hide_password=True)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"The folder {folder} cannot be made ({error.strerror}): set workspace.path to one that this user may write"
            " to.",
            field="workspace.path",
        ) from error


def _engine(url: str, *, is_sqlite: bool) -> Engine:
    if not is_sqlite:
        return create_engine(url, pool_pre_ping=True, pool_size=10, max_overflow=ANY, hide_parameters=True)
    engine = create_engine(
        url,
        connect_args={"timeout": 30, "check_same_thread": False},
        pool_size=20,
        max_overflow=ANY,
        hide_parameters=True,
        pool_use_lifo=True,  # the one that wrote last holds the pages the next one needs
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _entry: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # transactions are begun below, not by the driver
        for setting in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "temp_store=MEMORY",
            f"wal_autocheckpoint={CHECKPOINT}",
            f"cache_size=-{CACHE}",
        ):
            connection.execute(f"PRAGMA {setting}")
        connection.create_function("sha256_hex", 1, _sha256_hex, deterministic=True)

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _sha256_hex(text: str | None) -> str | None:
    """What PostgreSQL has built in."""
    return None if text is None else hashlib.sha256(text.encode()).hexdigest()


def among(session: Session, column: SQLColumnExpression[Any], values: Sequence[str]) -> ColumnElement[bool]:
    """The column is one of `values`: however many, they are one parameter of one statement."""
    if session.get_bind().dialect.name == "postgresql":
        return column == func.any(bindparam(None, list(values), ARRAY(Text)))
    texts = func.json_each(json.dumps(values)).table_valued("value")
    return column.in_(select(texts.c.value))


def insert_new(session: Session, table: Table, rows: Sequence[Mapping[str, Any]], key: Sequence[str]) -> int:
    """Insert the rows whose `key` columns are not there yet, leave the others alone; how many went in."""
    if not rows:
        return 0
    statement = _insert(session, table).on_conflict_do_nothing(index_elements=list(key))
    return _execute(session, table, statement, rows)


def upsert(session: Session, table: Table, rows: Sequence[Mapping[str, Any]], key: Sequence[str]) -> int:
    """Insert or change the rows by `key`; how many were written. A row that says what is already there is left
    alone, so that the same file twice changes nothing. All rows name the same columns; others keep their value.
    """
    if not rows:
        return 0
    insert = _insert(session, table)
    given = [name for name in rows[0] if name not in key and name not in _STAMPS]
    stamps = [name for name in rows[0] if name in ("updated_at", "revision")]
    changed = or_(*(table.c[name].is_distinct_from(insert.excluded[name]) for name in given)) if given else text("1=0")
    statement = insert.on_conflict_do_update(
        index_elements=list(key),
        set_={name: insert.excluded[name] for name in [*given, *stamps]} or {key[0]: insert.excluded[key[0]]},
        where=changed,
    )
    return _execute(session, table, statement, rows)


_STAMPS = {"revision", "created_at", "updated_at", "bucket"}  # not content: never a reason to write


def _insert(session: Session, table: Table) -> sqlite.Insert | postgresql.Insert:
    dialect = session.get_bind().dialect.name
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def _execute(session: Session, table: Table, statement: Any, rows: Sequence[Mapping[str, Any]]) -> int:
    """Run for all rows and count those written: psycopg counts them only when they are returned."""
    given = [dict(row) for row in rows]
    if session.get_bind().dialect.name == "postgresql":
        return len(session.connection().execute(statement.returning(next(iter(table.primary_key))), given).all())
    result: CursorResult[Any] = session.connection().execute(statement, given)
    return result.rowcount


def next_revision(session: Session) -> int:
    """The change number of this transaction; the same at every call within it."""
    if "revision" not in session.info:
        statement = (
            "SELECT pg_current_xact_id()::text::bigint"
            if session.get_bind().dialect.name == "postgresql"
            else "INSERT INTO revision (id, value) VALUES (1, 1)"
            " ON CONFLICT (id) DO UPDATE SET value = value + 1 RETURNING value"
        )
        session.info["revision"] = session.connection().exec_driver_sql(statement).scalar_one()
    revision: int = session.info["revision"]
    return revision


def take_turn(session: Session, what: str, *, shared: bool = False) -> None:
    """Let nobody else at the same `what` go on until the end of the transaction; `shared`: but for those who share it,
    too. SQLite has one writer.
    """
    if session.get_bind().dialect.name == "postgresql":
        lock = func.pg_advisory_xact_lock_shared if shared else func.pg_advisory_xact_lock
        session.execute(select(lock(func.hashtext(f"rapport: {what}"))))


def database_now(session: Session) -> datetime:
    """The database's clock: the only one that all workers share."""
    if session.get_bind().dialect.name == "postgresql":
        moment: datetime = session.connection().exec_driver_sql("SELECT clock_timestamp()").scalar_one()
        return moment.astimezone(UTC)
    return datetime.now(UTC)  # SQLite lives in this process: its clock is ours


@event.listens_for(Session, "before_flush")
def _stamp(session: Session, _context: Any, _instances: Any) -> None:
    """Objects written through the ORM get the change number; bulk statements set it themselves."""
    for thing in [*session.new, *session.dirty]:
        if hasattr(type(thing), "revision") and session.is_modified(thing):
            thing.revision = next_revision(session)
