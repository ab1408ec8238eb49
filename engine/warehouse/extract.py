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
from sqlalchemy import JSON, Connection

from engine.database import Database
from engine.warehouse.tables import Mirror

BATCH = 200_000  # rows in memory at once,
BATCH_BYTES = 2**26  # or fewer when they are long
BLOCK_BYTES = 2**20  # parsed at once by one thread; must hold a whole row
PAGE = 1_000  # rows as Python objects at once: 2 M events take 3.8 s, with 200,000 of them 5.5 s


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
        """Ids deleted since a mark."""
        found = self._driver.execute(
            f"SELECT row_id FROM deletions WHERE {self._since(since)} AND table_name = '{mirror.name}'"
        )
        return np.array([row[0] for row in found.fetchall()], dtype=np.int64)

    def count(self, mirror: Mirror) -> int:
        """How many rows there are."""
        rows: int = self._driver.execute(f"SELECT count(*) FROM {mirror.name}").fetchone()[0]
        return rows


class SqliteExtract(Extract):
    """SQLite: one counter, rows through the driver's own cursor."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.bound = (self._driver.execute("SELECT value FROM revision").fetchone() or (0,))[0]
        self.server, self.mark = "", str(self.bound)
        self.as_of = datetime.now(UTC)  # SQLite lives in this process: its clock is ours

    def rows(self, mirror: Mirror, since: str | None = None) -> Iterator[pa.Table]:
        """Through the driver's own cursor."""
        # JSON columns have numeric affinity: a bare number comes back as one.
        names = ", ".join(f"CAST({c.name} AS TEXT)" if isinstance(c.type, JSON) else c.name for c in mirror.fields)
        # "+id": sort the few that are new instead of walking all rows in id order.
        where = "ORDER BY id" if since is None else f"WHERE {self._since(since)} ORDER BY +id"
        cursor = self._driver.execute(f"SELECT {names} FROM {mirror.name} {where}")
        pages: list[pa.Table] = []
        size = 0
        while rows := cursor.fetchmany(PAGE):
            columns = zip(zip(*rows, strict=True), mirror.schema, strict=True)
            arrays = [_array(values, field.type) for values, field in columns]
            pages.append(pa.Table.from_arrays(arrays, schema=mirror.schema))
            size += pages[-1].nbytes
            if len(pages) * PAGE >= BATCH or size > BATCH_BYTES:
                yield pa.concat_tables(pages)
                pages, size = [], 0
        if pages:
            yield pa.concat_tables(pages)

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
        where = "" if since is None else f"WHERE {self._since(since)}"
        names = ", ".join(column.name for column in mirror.fields)
        query = f"SELECT {names} FROM {mirror.name} {where} ORDER BY id"
        with self._driver.cursor() as cursor, cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT csv)") as copy:
            lines: list[Any] = []
            size = 0
            for line in copy:  # one row each
                lines.append(line)
                size += len(line)
                if len(lines) == BATCH or size > BATCH_BYTES:
                    yield _parse(lines, mirror)
                    lines, size = [], 0
            if lines:
                yield _parse(lines, mirror)

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


def _array(values: Sequence[Any], kind: Any) -> Any:
    """An Arrow column from SQLite's storage classes."""
    if pa.types.is_boolean(kind):
        return pa.array(values, pa.int8()).cast(kind)
    if pa.types.is_date(kind):
        return pa.array(values, pa.string()).cast(kind)
    return pa.array(values, kind)


def _parse(lines: list[Any], mirror: Mirror) -> pa.Table:
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
