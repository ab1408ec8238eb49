"""DuckDB over the files of the warehouse: one instance in the process, one cursor for each thread.

Nothing is downloaded: extensions are neither installed nor loaded by themselves, and DuckDB may open files in the
warehouse's folder only.
"""

from __future__ import annotations

import shutil
import threading
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

import duckdb
import ibis
import pyarrow as pa
from ibis.expr import operations

from engine.config import WarehouseConfig
from engine.warehouse.current import locked
from engine.warehouse.guard import Watch
from engine.warehouse.tables import PART, digest

SPILL = "temp"  # where DuckDB puts what does not fit into memory: a folder for each reader
IN_USE = "in-use"
STATES = 8  # of a table that can still be asked after newer ones: whoever counts slowly is overtaken by refreshes
DUCKDB_TYPES = {
    pa.int64(): "BIGINT",
    pa.float64(): "DOUBLE",
    pa.string(): "VARCHAR",
    pa.bool_(): "BOOLEAN",
    pa.date32(): "DATE",
    pa.timestamp("us", "UTC"): "TIMESTAMPTZ",
}


class Reader:
    """Runs Ibis expressions over named lists of Parquet files. Safe to use from many threads."""

    def __init__(self, folder: Path, config: WarehouseConfig) -> None:
        settings = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
        threads = {"threads": config.threads} if config.threads else {}
        self._turn = threading.Lock()  # DuckDB refuses a connection that another thread is just using
        self._duckdb = duckdb.connect(
            ":memory:", config={**settings, **threads, "memory_limit": f"{config.memory_mb}MiB"}
        )
        self._own, self._files = folder / SPILL / uuid.uuid4().hex, ExitStack()
        self._own.mkdir(parents=True)
        self._files.enter_context(locked(self._own / IN_USE))
        inside = {
            "temp_directory": _quoted(self._own / "spill"),  # two instances in one folder overwrite each other's files
            "extension_directory": _quoted(self._own),
            "custom_extension_repository": _quoted(self._own),  # instead of an address on the Internet
            "allowed_directories": f"[{_quoted(folder)}]",
            "enable_external_access": "false",
        }
        for name, value in inside.items():
            self._duckdb.execute(f"SET {name} = {value}")
        self._duckdb.execute("SET GLOBAL timezone = 'UTC'")  # what Ibis sets for its own cursors
        self._states: dict[str, list[str]] = {}
        self._watch = Watch()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def show(self, files: Mapping[str, tuple[pa.Schema, Sequence[str]]]) -> dict[str, str]:
        """From now on these tables are made of these files; all switch at once. Gives each the name of this state of
        it, which goes on to mean these files; the same files have the same name. One caller at a time.
        """
        names = {name: f"{name} {digest(' '.join(sorted(paths)))}" for name, (_, paths) in files.items()}
        with self._cursor() as cursor:
            cursor.begin()
            for name, (schema, paths) in files.items():
                cursor.execute(f'CREATE OR REPLACE VIEW "{names[name]}" AS {_select(schema, paths)}')
                cursor.execute(f'CREATE OR REPLACE VIEW "{name}" AS SELECT * FROM "{names[name]}"')
                known = [*(old for old in self._states.get(name, []) if old != names[name]), names[name]]
                for old in known[:-STATES]:
                    cursor.execute(f'DROP VIEW "{old}"')
                self._states[name] = known[-STATES:]
            cursor.commit()
        return names

    def execute(self, expression: ibis.Expr, deadline: float | None = None) -> pa.Table:
        """Run it; a scalar or column comes back as a table of one column. Raises Unavailable after the deadline."""
        table = expression.as_table()
        schema = table.schema().to_pyarrow()
        return self.query(*written(table), deadline).select(schema.names).cast(schema)  # a bare view also has `part`

    def query(self, sql: str, tables: Mapping[str, Any] | None = None, deadline: float | None = None) -> pa.Table:
        """Run an expression that is compiled already, over Arrow `tables` of the caller's own too. Raises Unavailable
        after the deadline.
        """
        with self._cursor() as cursor, self._watch.over(cursor, deadline):
            for name, rows in (tables or {}).items():
                cursor.register(name, rows)
            return cursor.sql(sql).to_arrow_table()

    def close(self) -> None:
        """Let go of the memory and the spilled files."""
        self._watch.close()
        with self._turn:
            self._duckdb.close()
        self._files.close()
        shutil.rmtree(self._own, ignore_errors=True)

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        with self._turn:
            return self._duckdb.cursor()


def written(expression: ibis.Expr) -> tuple[str, dict[str, pa.Table]]:
    """In DuckDB's SQL, and the rows in memory it names; their names are never used again.

    Not by a connection of Ibis's own for each thread: one that had held rows in memory crashed the process when its
    thread ended, as the server's threads do after 30 s without work.
    """
    memory = expression.op().find(operations.InMemoryTable)
    rows = {table.name: table.data.to_pyarrow(table.schema) for table in memory}
    return str(ibis.to_sql(expression, dialect="duckdb", pretty=False)), rows


def clear_spill(folder: Path) -> None:
    """Delete what readers spilled whose process was killed."""
    for own in (folder / SPILL).iterdir():
        with suppress(FileNotFoundError), locked(own / IN_USE, wait=False) as free:  # its reader may close meanwhile
            if free:
                shutil.rmtree(own, ignore_errors=True)


def _select(schema: pa.Schema, paths: Sequence[str]) -> str:
    if paths:
        names = ", ".join(f'"{name}"' for name in schema.names)
        return f"SELECT {names}, filename AS {PART} FROM read_parquet([{listed(paths)}], filename = true)"
    columns = ", ".join(f'CAST(NULL AS {DUCKDB_TYPES[field.type]}) AS "{field.name}"' for field in schema)
    return f"SELECT {columns}, CAST(NULL AS VARCHAR) AS {PART} WHERE false"


def listed(texts: Iterable[object]) -> str:
    """Literals of SQL between commas."""
    return ", ".join(map(_quoted, texts))


def _quoted(text: object) -> str:
    return "'" + str(text).replace("'", "''") + "'"
