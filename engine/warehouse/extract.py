"""One SQL snapshot, read as Arrow tables of BATCH rows.

A `mark` names what a snapshot sees. On SQLite it is the change counter. On PostgreSQL it is the snapshot itself
("xmin:xmax:xip_list"): a lower transaction number can commit after a higher one was read, so "greater than the
largest seen" loses rows, and "up to the oldest open transaction" would hold everything back for as long as anyone
on the server (any database of it) has a transaction open. What is new since a mark is exactly what its snapshot
did not see.
"""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.json
from sqlalchemy import JSON, Column, Connection, Float

from engine.database import Database
from engine.warehouse.pipeline import ahead
from engine.warehouse.tables import Mirror

BATCH = 200_000  # rows in memory at once,
BATCH_BYTES = 2**26  # or fewer when they are long
BLOCK_BYTES = 2**20  # parsed at once by one thread; must hold a whole row
PAGE = 5_000  # taken from SQLite's cursor at once
EXACT = "exact_number"  # our function in SQLite


class Extract(ABC):
    """Reads one snapshot of the SQL database: `mark` is what it sees, every change up to number `bound` is in it,
    `as_of` is its moment by the database's clock. Marks mean nothing on another `server`.
    """

    server: str
    mark: str
    bound: int
    as_of: datetime

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._driver: Any = connection.connection.driver_connection

    @abstractmethod
    def rows(self, mirror: Mirror, since: str | None = None) -> Iterator[pa.Table]:
        """All rows, or those written since a mark, by id and in batches."""

    @abstractmethod
    def _since(self, mark: str) -> str:
        """The SQL condition for rows written after a mark."""

    def changed(self, mirrors: Sequence[Mirror], marks: Mapping[str, str]) -> set[str]:
        """Names of the mirrors with rows written or deleted since their marks."""
        if not mirrors:
            return set()
        since = {mirror.name: self._since(marks[mirror.name]) for mirror in mirrors}
        probes = (
            f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM {name} WHERE {new})"
            f" OR EXISTS (SELECT 1 FROM deletions WHERE {new} AND table_name = '{name}')"
            for name, new in since.items()
        )
        return {row[0] for row in self._driver.execute(" UNION ALL ".join(probes)).fetchall()}

    def deleted(self, mirror: Mirror, since: str) -> np.ndarray:
        """Ids deleted since a mark, or written since and no longer among those copied."""
        new = self._since(since)
        found = self._driver.execute(
            f"SELECT row_id FROM deletions WHERE {new} AND table_name = '{mirror.name}'"
            f" UNION SELECT id FROM {mirror.name} WHERE {new} AND NOT ({mirror.where})"
        )
        return np.array([row[0] for row in found.fetchall()], dtype=np.int64)

    def count(self, mirror: Mirror) -> int:
        """How many rows there are."""
        rows: int = self._driver.execute(f"SELECT count(*) FROM {mirror.name} WHERE {mirror.where}").fetchone()[0]
        return rows


class SqliteExtract(Extract):
    """SQLite: one counter, rows as JSON."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.bound = (self._driver.execute("SELECT value FROM revision").fetchone() or (0,))[0]
        self.server, self.mark = "", str(self.bound)
        self.as_of = datetime.now(UTC)  # SQLite lives in this process: its clock is ours

    def rows(self, mirror: Mirror, since: str | None = None) -> Iterator[pa.Table]:
        """Each row as JSON, which SQLite writes and Arrow reads faster than Python makes ten objects of it."""
        columns = ", ".join(f"'{place}', {_json(column)}" for place, column in enumerate(mirror.fields))
        # "+id": sort the few that are new instead of walking all rows in id order.
        which = "true ORDER BY id" if since is None else f"{self._since(since)} ORDER BY +id"
        rows = f"SELECT json_object({columns}) FROM {mirror.name} WHERE {mirror.where} AND {which}"
        self._driver.create_function(EXACT, 1, lambda number: None if number is None else repr(number))
        return ahead(lambda lines: _from_json(lines, mirror), self._lines(rows))

    def _lines(self, query: str) -> Iterator[list[str]]:
        """In batches."""
        cursor = self._driver.execute(query)
        lines: list[str] = []
        size = 0
        while page := cursor.fetchmany(PAGE):
            lines += [line for (line,) in page]
            size += sum(map(len, lines[-len(page) :]))
            if len(lines) >= BATCH or size > BATCH_BYTES:
                yield lines
                lines, size = [], 0
        if lines:
            yield lines

    def _since(self, mark: str) -> str:
        return f"revision > {int(mark)}"


class PostgresqlExtract(Extract):
    """PostgreSQL: snapshots as marks, rows through COPY."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._driver.execute("SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO'")  # moments as Arrow reads them
        self.server, self.mark, self._end, self.as_of = self._driver.execute(
            "SELECT system_identifier::text, s::text, pg_snapshot_xmax(s)::text::bigint, clock_timestamp()"
            " FROM pg_current_snapshot() AS s, pg_control_system()"
        ).fetchone()
        self.as_of = self.as_of.astimezone(UTC)
        self.bound = int(self.mark.split(":")[0]) - 1

    def rows(self, mirror: Mirror, since: str | None = None) -> Iterator[pa.Table]:
        """Through COPY."""
        which = "true" if since is None else self._since(since)
        names = ", ".join(column.name for column in mirror.fields)
        query = f"SELECT {names} FROM {mirror.name} WHERE {mirror.where} AND {which} ORDER BY id"
        with self._driver.cursor() as cursor, cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT csv)") as copy:
            lines: list[Any] = []
            size = 0
            for line in copy:  # one row each
                lines.append(line)
                size += len(line)
                if len(lines) == BATCH or size > BATCH_BYTES:
                    yield _from_csv(lines, mirror)
                    lines, size = [], 0
            if lines:
                yield _from_csv(lines, mirror)

    def _since(self, mark: str) -> str:
        # The upper end leaves out rows that a restored backup brought along with another server's numbers.
        xmin, xmax, running = mark.split(":")
        seen = f"{int(xmin)}:{int(xmax)}:{','.join(str(int(number)) for number in running.split(',') if number)}"
        return (
            f"revision >= {int(xmin)} AND revision < {self._end}"
            f" AND NOT pg_visible_in_snapshot(revision::text::xid8, '{seen}'::pg_snapshot)"
        )


@contextmanager
def snapshot(database: Database) -> Iterator[Extract]:
    """One read transaction over all tables."""
    isolation = {} if database.is_sqlite else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with database.engine.connect().execution_options(**isolation) as connection, connection.begin() as transaction:
        yield SqliteExtract(connection) if database.is_sqlite else PostgresqlExtract(connection)
        transaction.rollback()


def _json(column: Column[Any]) -> str:
    """A column as json_object shall write it."""
    if isinstance(column.type, JSON):  # numeric affinity: a bare number is stored as one
        return f"CAST({column.name} AS TEXT)"
    if isinstance(column.type, Float):  # json_object keeps 15 digits of the 17, and printf errs in the last
        return f"{EXACT}({column.name})"
    return str(column.name)


def _from_json(lines: list[str], mirror: Mirror) -> pa.Table:
    """An Arrow table from one object a line, whose keys are the places of the columns."""
    whole = [pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_timestamp(kind)
             for kind in mirror.schema.types]  # fmt: skip
    stored = pa.schema([(str(place), pa.int64() if is_whole else pa.string()) for place, is_whole in enumerate(whole)])
    data = "\n".join(lines).encode()
    table = pyarrow.json.read_json(
        io.BytesIO(data),
        read_options=pyarrow.json.ReadOptions(use_threads=False, block_size=len(data) + 1),
        parse_options=pyarrow.json.ParseOptions(explicit_schema=stored, unexpected_field_behavior="error"),
    )
    return table.select(stored.names).rename_columns(mirror.schema.names).cast(mirror.schema)


def _from_csv(lines: list[Any], mirror: Mirror) -> pa.Table:
    """An Arrow table from PostgreSQL's CSV: nothing between the commas is NULL, "" is the empty text."""
    schema = mirror.schema
    return pyarrow.csv.read_csv(
        io.BytesIO(b"".join(lines)),
        read_options=pyarrow.csv.ReadOptions(
            column_names=schema.names, block_size=max(BLOCK_BYTES, 2 * max(map(len, lines)))
        ),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=schema,
            null_values=[""],
            true_values=["t"],
            false_values=["f"],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
