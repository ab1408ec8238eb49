"""One Delta table as parts: Parquet files of up to PART_ROWS rows in id order.

A change rewrites only the parts that hold a changed or deleted row, adds new rows as new parts, merges small
parts, and becomes visible by one Delta commit. We write the files ourselves: Delta's MERGE rewrites the same parts
in several times the time (docs/why.md), and its statistics would keep the smallest and largest
e-mail address of every file in the log, where no erasure reaches. Ours tell the range of ids only.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction, RemoveAction

from engine.errors import Conflict

PART_ROWS = 200_000  # one part is rewritten in about 0.1 s; 20 M events are 100 of them
SMALL_PARTS = 30  # more than so many half-empty parts are merged
KEEP_SECONDS = 60  # files that left the table stay so long for readers in the middle of a query
THREADS = 4  # parts rewritten at the same time, each of some 50 MB in memory
VARIED = {"id", "key", "contact_id", "order_id"}  # hardly a value twice in a part: a dictionary is no help,
DELTAS = "DELTA_BINARY_PACKED"  # differences are, also among moments; they are read in a fifth of the time
APPLICATION = "rapport"
CONFIGURATION = {
    "delta.checkpointInterval": "25",
    "delta.logRetentionDuration": "interval 10 minutes",
    "delta.deletedFileRetentionDuration": "interval 10 minutes",
}


@dataclass(frozen=True)
class Part:
    """One Parquet file: its name, rows, bytes and range of ids."""

    name: str
    rows: int
    size: int
    low: int
    high: int


def create(folder: Path, schema: pa.Schema) -> DeltaTable:
    """An empty Delta table; a folder left behind by a killed process must be gone before."""
    return DeltaTable.create(folder, schema=Schema.from_arrow(schema), configuration=CONFIGURATION)


def files(folder: Path, version: int) -> list[str]:
    """The Parquet files of one version of the table at `folder`."""
    return [str(folder / part.name) for part in _parts(DeltaTable(folder, version=version))]


def sweep(folder: Path, seconds: float) -> None:
    """Delete the files that left the table so long ago, and those that killed processes never added; after 0 seconds
    all of them, also when the clock went back since.
    """
    current = {part.name for part in _parts(DeltaTable(folder))}
    for path in folder.glob("*.parquet"):
        if path.name not in current and (not seconds or path.stat().st_mtime <= time.time() - seconds):
            path.unlink()


class Change:
    """Changes to one Delta table, made visible together by `commit`. One at a time for each table."""

    def __init__(self, table: DeltaTable, folder: Path, schema: pa.Schema) -> None:
        self._table, self._folder, self._schema = table, folder, schema
        self._before = {part.name: part for part in _parts(table)}
        self._parts = dict(self._before)
        self._key = schema.names[0]

    def add(self, rows: pa.Table) -> int:
        """Rows that are not there yet, in id order; how many."""
        for start in range(0, rows.num_rows, PART_ROWS):
            self._write(rows.slice(start, PART_ROWS))
        return len(rows)

    def clear(self) -> None:
        """All rows go."""
        self._parts.clear()

    def replace(self, rows: pa.Table, gone: np.ndarray | None = None) -> None:
        """Rows, in id order, take the place of their older selves or are new; the ids in `gone` go."""
        ids = rows[self._key].to_numpy()
        leaving = np.unique(ids if gone is None else np.concatenate([ids, gone]))
        touched = [
            part for part in self._parts.values() if np.diff(np.searchsorted(leaving, [part.low, part.high + 1]))
        ]
        new = np.ones(len(ids), dtype=bool)
        with ThreadPoolExecutor(THREADS) as pool:
            for first, back in pool.map(lambda part: self._renew(part, rows, ids, leaving), touched):
                new[first : first + len(back)] &= ~back
        self.add(rows.filter(new))

    def _renew(self, part: Part, rows: pa.Table, ids: np.ndarray, leaving: np.ndarray) -> tuple[int, np.ndarray]:
        """Rewrite a part if it holds rows that leave. Gives the first of the `rows` in its range and which of the
        rows from there on went back into it.
        """
        first, last = (int(place) for place in np.searchsorted(ids, [part.low, part.high + 1]))
        held = self._read(part, [self._key])[self._key].to_numpy()
        hit = np.isin(held, leaving)
        back = np.isin(ids[first:last], held)
        if hit.any():
            returning = rows.slice(first, last - first).filter(back)
            self._rewrite([part], [self._read(part).filter(~hit), returning])
        return first, back

    def commit(self, bound: int) -> int:
        """Make the changes visible; the new version of the table. The app transaction makes a second process that
        started from the same version fail, even without our lock (Delta protocol, transaction identifiers).
        """
        self._merge_small()
        added = [part for name, part in self._parts.items() if name not in self._before]
        removed = [part for name, part in self._before.items() if name not in self._parts]
        if added or removed:
            moment = time.time_ns() // 1_000_000
            actions = [_add(part, moment, self._key) for part in added] + [
                RemoveAction(part.name, True, moment, part.size, {}) for part in removed
            ]
            properties = CommitProperties(app_transactions=[Transaction(APPLICATION, bound)])
            try:
                self._table.create_write_transaction(
                    actions, "append", self._table.schema(), commit_properties=properties
                )
            except CommitFailedError as error:
                raise Conflict(f"Another process changed the warehouse at the same time: {error}") from error
            self._table.update_incremental()
            for part in removed:
                (self._folder / part.name).touch()  # `sweep` counts from now
        version: int = self._table.version()
        return version

    def _merge_small(self) -> None:
        small = sorted((part for part in self._parts.values() if part.rows < PART_ROWS // 2), key=lambda part: part.low)
        if len(small) <= SMALL_PARTS:
            return
        for group in (group for group in _groups(small) if len(group) > 1):
            self._rewrite(group, [self._read(part) for part in group])

    def _rewrite(self, parts: Iterable[Part], tables: list[pa.Table]) -> None:
        for part in parts:
            del self._parts[part.name]
            if part.name not in self._before:
                (self._folder / part.name).unlink()
        self.add(pa.concat_tables(tables).sort_by(self._key))

    def _read(self, part: Part, columns: list[str] | None = None) -> pa.Table:
        return pq.read_table(self._folder / part.name, columns=columns)

    def _write(self, rows: pa.Table) -> None:
        path = self._folder / f"{uuid.uuid4().hex}.parquet"
        pq.write_table(rows.cast(self._schema), path, **_written(self._schema))
        ends = pc.min_max(rows[self._key]).as_py()
        self._parts[path.name] = Part(path.name, rows.num_rows, path.stat().st_size, ends["min"], ends["max"])


def _written(schema: pa.Schema) -> dict[str, Any]:
    """How the columns are packed: text small, numbers and moments quick to read."""
    text = {field.name for field in schema if pa.types.is_string(field.type)}
    varied = {field.name for field in schema if field.name in VARIED or pa.types.is_timestamp(field.type)}
    return {
        "compression": {name: "zstd" if name in text else "snappy" for name in schema.names},
        "use_dictionary": [name for name in schema.names if name not in varied],
        "column_encoding": dict.fromkeys(varied - text, DELTAS),
    }


def _groups(parts: list[Part]) -> list[list[Part]]:
    """Neighbours together, up to PART_ROWS rows."""
    groups: list[list[Part]] = [[]]
    for part in parts:
        if sum(other.rows for other in groups[-1]) + part.rows > PART_ROWS:
            groups.append([])
        groups[-1].append(part)
    return groups


def _parts(table: DeltaTable) -> list[Part]:
    stream = table.get_add_actions(flatten=True)
    rows = pa.RecordBatchReader.from_stream(stream).read_all()  # pa.table would import pandas: 27 MB in each process
    key = table.schema().fields[0].name
    names = ("path", "num_records", "size_bytes", f"min.{key}", f"max.{key}")
    if rows.num_rows == 0:
        return []
    return [Part(*values) for values in zip(*(rows[name].to_pylist() for name in names), strict=True)]


def _add(part: Part, moment: int, key: str) -> Any:
    stats = {"numRecords": part.rows, "minValues": {key: part.low}, "maxValues": {key: part.high}}
    return AddAction(part.name, part.size, {}, moment, True, json.dumps(stats))
