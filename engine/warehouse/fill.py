"""Bring the tables of one generation up to a SQL snapshot: load what is missing, replace what changed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from deltalake import DeltaTable

from engine.config import Config
from engine.warehouse import parts
from engine.warehouse.current import Current, State
from engine.warehouse.extract import Extract
from engine.warehouse.pipeline import ahead
from engine.warehouse.reader import Reader
from engine.warehouse.tables import Derived, Mirror, compiled, derived, mirrors

Progress = Callable[[str, int, int], None]  # table, rows done, rows in all


@dataclass
class Filling:
    """One pass over all tables: from `current` to what `extract` sees."""

    folder: Path
    config: Config
    current: Current
    extract: Extract
    shapes: Mapping[str, str]
    progress: Progress | None = None
    rows: dict[str, int] = field(default_factory=dict)  # written or deleted, for each table that changed
    deleted: bool = False

    def run(self) -> Current:
        """The state after it. The files stand beside those in use: nothing is visible before the switch."""
        tables = dict(self.current.tables)
        known = {name: state.mark for name, state in tables.items()}
        changed = self.extract.changed([mirror for mirror in mirrors() if mirror.name in known], known)
        for mirror in mirrors():
            if mirror.name not in tables:
                tables[mirror.name] = self._load(mirror)
            elif mirror.name in changed:
                tables[mirror.name] = self._apply(mirror, known[mirror.name])
            else:
                tables[mirror.name] = replace(tables[mirror.name], mark=self.extract.mark)
        for table in derived():
            if self._is_stale(table):
                tables[table.name] = self._compute(table, tables)
        return replace(self.current, tables=tables, as_of=self.extract.as_of)

    def _load(self, mirror: Mirror) -> State:
        table = self._create(mirror)
        change = parts.Change(table, self._path(mirror.name), mirror.schema)
        total = self.extract.count(mirror) if self.progress else 0
        done = 0
        for added in ahead(change.add, self.extract.rows(mirror)):
            done += added
            self._tell(mirror.name, done, total)
        self._tell(mirror.name, done, done)
        self.rows[mirror.name] = done
        return self._state(mirror.name, change.commit(self.extract.bound))

    def _apply(self, mirror: Mirror, since: str) -> State:
        change = parts.Change(DeltaTable(self._path(mirror.name)), self._path(mirror.name), mirror.schema)
        gone = self.extract.deleted(mirror, since)
        if len(gone):  # before the rows: SQLite gives the number of a deleted last row to the next one
            change.replace(mirror.schema.empty_table(), gone)
            self.deleted = True
        self.rows[mirror.name] = len(gone)
        for batch in self.extract.rows(mirror, since):
            change.replace(batch)
            self.rows[mirror.name] += batch.num_rows
        return self._state(mirror.name, change.commit(self.extract.bound))

    def _is_stale(self, table: Derived) -> bool:
        state = self.current.tables.get(table.name)
        return not state or state.shape != self.shapes[table.name] or bool(self.rows.keys() & set(table.sources))

    def _compute(self, table: Derived, tables: Mapping[str, State]) -> State:
        known = {mirror.name: mirror.schema for mirror in mirrors()}
        with Reader(self.folder, self.config.warehouse) as reader:
            reader.show(
                {name: (known[name], parts.files(self._path(name), tables[name].version)) for name in table.sources}
            )
            rows = reader.query(compiled(table, self.config.locale))
        target = DeltaTable(self._path(table.name)) if table.name in self.current.tables else self._create(table)
        change = parts.Change(target, self._path(table.name), table.schema)
        change.clear()
        change.add(rows)
        self.rows[table.name] = rows.num_rows
        return self._state(table.name, change.commit(self.extract.bound))

    def _create(self, table: Mirror | Derived) -> DeltaTable:
        shutil.rmtree(self._path(table.name), ignore_errors=True)  # left by a killed process
        return parts.create(self._path(table.name), table.schema)

    def _state(self, name: str, version: int) -> State:
        return State(version, self.extract.mark, self.shapes[name])

    def _path(self, name: str) -> Path:
        return self.folder / self.current.generation / name

    def _tell(self, name: str, done: int, total: int) -> None:
        if self.progress:
            self.progress(name, done, total)
