"""Parsed records wait here, sorted by key, before anything is written: DuckDB as an external sort in bounded memory.

That lets the whole file be refused, gathers an order's lines wherever they stand, and gives every key to the writer
once and in order, so that two writers lock rows in the same order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from engine.intake import leftovers
from engine.intake.kinds import Kind
from engine.intake.parsing import Batch, Reject

MEMORY: Final = "256MB"
_ARROW = {"string": pa.string(), "int64": pa.int64(), "bool": pa.bool_()}


class Stage:
    """A file's records on their way; a context manager that leaves nothing behind."""

    def __init__(self, kind: Kind, names: Sequence[str], folder: Path) -> None:
        """`names`: the columns that will come, the shop's own fields as one."""
        self._kind = kind
        self._fields = [("row", pa.int64()), *((name, _ARROW[_arrow(kind, name)]) for name in names)]
        self._folder = ExitStack()
        spill = self._folder.enter_context(leftovers.scratch(folder))
        settings: dict[str, Any] = {"memory_limit": MEMORY, "threads": 2, "temp_directory": str(spill)}
        self._duck = duckdb.connect(config=settings)  # in memory, what does not fit spills to the folder
        self._create("records", self._fields)
        self._create("rejects", [("row", pa.int64()), ("field", pa.string()), ("message", pa.string())])
        self._create("refused", [("key", pa.string()), ("row", pa.int64())])

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_error: object) -> None:
        self._duck.close()
        self._folder.close()

    def add(self, batch: Batch) -> None:
        """Keep good records."""
        self._insert("records", {"row": batch.rows, **batch.columns})

    def reject(self, rejects: Sequence[Reject]) -> None:
        """Keep what is wrong."""
        rows, fields, messages = ([getattr(reject, name) for reject in rejects] for name in ("row", "field", "message"))
        self._insert("rejects", {"row": rows, "field": fields, "message": messages})

    def refuse(self, keys: Mapping[str, int]) -> None:
        """Every record of these keys is refused, because the one in this row was."""
        self._insert("refused", {"key": list(keys), "row": list(keys.values())})

    def settle(self) -> None:
        """Move the records of refused keys to the rejects; call it once all are here."""
        key = _quoted(self._kind.key)
        self._duck.execute(
            "INSERT INTO rejects SELECT r.row, $field, 'Line ' || f.row || ' of the same ' || $field || ' was refused.'"
            f" FROM records r JOIN (SELECT key, min(row) AS row FROM refused GROUP BY key) f ON f.key = r.{key}",
            {"field": self._kind.key},
        )
        self._duck.execute(f"DELETE FROM records WHERE {key} IN (SELECT key FROM refused)")

    def __len__(self) -> int:
        return self._number("SELECT count(*) FROM records")

    @property
    def rejected(self) -> int:
        """Records that were refused."""
        return self._number("SELECT count(DISTINCT row) FROM rejects")

    def batches(self, size: int) -> Iterator[Batch]:
        """The records by key, then in the order of the file; a key is never cut in two."""
        key = self._kind.key
        left: pa.Table | None = None
        query = f"SELECT * FROM records ORDER BY {_quoted(key)}, row"
        for part in self._duck.cursor().sql(query).to_arrow_reader(size):
            table = pa.Table.from_batches([part])
            table = table if left is None else pa.concat_tables([left, table])
            cut = _start_of_last(table.column(key).to_pylist())
            left = table.slice(cut)
            if cut:
                yield _batch(table.slice(0, cut))
        if left is not None and len(left):
            yield _batch(left)

    def rejects(self) -> Iterator[Reject]:
        """What is wrong, by line; one for each record."""
        query = "SELECT row, arg_min(field, rowid), arg_min(message, rowid) FROM rejects GROUP BY row ORDER BY row"
        for part in self._duck.cursor().sql(query).to_arrow_reader(10_000):
            for row, field, message in zip(*(column.to_pylist() for column in part.columns), strict=True):
                yield Reject(row, field, message)

    def _create(self, table: str, fields: Sequence[tuple[str, Any]]) -> None:
        empty = pa.schema(fields).empty_table()
        self._duck.register("empty", empty)
        self._duck.execute(f"CREATE TABLE {table} AS SELECT * FROM empty")
        self._duck.unregister("empty")

    def _insert(self, table: str, columns: Mapping[str, Sequence[Any]]) -> None:
        if not columns["row"]:
            return
        types = dict(self._fields)
        arrays = {name: pa.array(values, types.get(name, pa.string())) for name, values in columns.items()}
        self._duck.register("given", pa.table(arrays))
        self._duck.execute(f"INSERT INTO {table} BY NAME SELECT * FROM given")
        self._duck.unregister("given")

    def _number(self, query: str) -> int:
        ((number,),) = self._duck.execute(query).fetchall()
        return int(number)


def _arrow(kind: Kind, name: str) -> str:
    column = kind.column(name)
    return column.type.arrow if column else "string"


def _quoted(name: str) -> str:
    return f'"{name}"'


def _start_of_last(keys: Sequence[str]) -> int:
    """Where the last key of a sorted column begins."""
    start = len(keys)
    while start and keys[start - 1] == keys[-1]:
        start -= 1
    return start


def _batch(table: pa.Table) -> Batch:
    columns = {name: table.column(name).to_pylist() for name in table.column_names}
    return Batch(columns.pop("row"), columns)
