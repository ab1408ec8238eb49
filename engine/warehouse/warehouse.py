"""The warehouse as the rest of the program sees it."""

from __future__ import annotations

import glob
import shutil
import threading
import time
import uuid
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import duckdb
import ibis
import pyarrow as pa
from deltalake.exceptions import DeltaError

from engine.config import Config
from engine.database import Database
from engine.errors import ConfigError, Unavailable
from engine.warehouse import current as switch
from engine.warehouse import parts, tables
from engine.warehouse.current import Current
from engine.warehouse.extract import Extract, snapshot
from engine.warehouse.fill import Filling, Progress
from engine.warehouse.reader import SPILL, Reader, clear_spill

TRIES = 3  # a reader whose files another process deleted meanwhile starts again with the new ones
ABSENT = ("", -1)
Place = tuple[str, int]  # generation and version of a Delta table


@dataclass(frozen=True)
class Refreshed:
    """What a refresh moved: rows written or deleted for each table that changed, and the moment the copy shows."""

    rows: dict[str, int]
    seconds: float
    as_of: datetime


class Warehouse:
    """The columnar copy in `folder`. One for each process, for all its threads; several processes may share it."""

    def __init__(self, database: Database, folder: Path, config: Config) -> None:
        self._database, self._folder, self.config = database, folder.resolve(), config
        if glob.has_magic(str(self._folder)):
            raise ConfigError("workspace.path may hold none of * ? [, which DuckDB reads as a pattern.")
        self._folder.mkdir(parents=True, exist_ok=True)
        self._source = database.url.set(username=None, password=None).render_as_string()
        self._reader = Reader(self._folder, config.warehouse)
        self._following = threading.Lock()
        self._current: Current | None = None
        self._shown: dict[str, Place | None] = {}
        self._shapes: dict[tables.Mirror | tables.Derived, str] = {}

    @property
    def as_of(self) -> datetime | None:
        """The moment the copy shows; None before the first refresh."""
        self._follow()
        return self._current.as_of if self._current else None

    def table(self, name: str) -> ibis.Table:
        """A table to build expressions on; it always means the newest refreshed rows. Raises NotFound."""
        return tables.unbound(name)

    def execute(self, expression: ibis.Expr) -> pa.Table:
        """Run an expression over `table`s, all showing the same moment. A scalar gives one row of one column."""
        for _ in range(TRIES):
            self._follow()
            try:
                return self._reader.execute(expression)
            except duckdb.IOException as error:  # a file went while we read
                gone = error
        raise Unavailable(f"The warehouse cannot be read ({gone}): run `rapport warehouse rebuild`.")

    def refresh(self) -> Refreshed:
        """Bring the copy up to everything committed by now; build it when there is none that fits the database."""
        while (refreshed := self._catch_up()) is None:
            with switch.locked(self._folder / "rebuild.lock"):
                if not self._exists():  # else another process built it while we waited
                    return self._build(None)
        return refreshed

    def rebuild(self, progress: Progress | None = None) -> Refreshed:
        """Copy everything anew beside the present files, then switch; readers and refreshes go on meanwhile."""
        with switch.locked(self._folder / "rebuild.lock"):
            return self._build(progress)

    def close(self) -> None:
        """Let go of DuckDB's memory."""
        self._reader.close()

    def _catch_up(self) -> Refreshed | None:
        start = time.perf_counter()
        with switch.locked(self._folder / "lock"), snapshot(self._database) as extract:
            present = switch.read(self._folder)
            if present is None or not self._fits(present, extract):
                return None
            filling = self._filling(present, extract)
            self._publish(filling)
        return self._refreshed(filling.rows, start)

    def _exists(self) -> bool:
        present = switch.read(self._folder)
        with snapshot(self._database) as extract:
            return present is not None and self._fits(present, extract)

    def _fits(self, present: Current, extract: Extract) -> bool:
        """False when the copy is of another database, of one that came back from an older backup, or its columns
        are no longer those of the tables.
        """
        states = ((mirror, present.tables.get(mirror.name)) for mirror in tables.mirrors())
        return present.source == self._source and all(
            state is None or (state.shape == self._shape(mirror) and extract.covers(state.mark))
            for mirror, state in states
        )

    def _build(self, progress: Progress | None) -> Refreshed:
        start = time.perf_counter()
        self._tidy()
        empty = Current(generation=uuid.uuid4().hex[:12], source=self._source)
        with snapshot(self._database) as extract:
            first = self._filling(empty, extract, progress)
            built = first.run()
        with switch.locked(self._folder / "lock"):
            with snapshot(self._database) as extract:  # what changed while we copied
                self._publish(self._filling(built, extract))
            self._tidy()
        return self._refreshed(first.rows, start)

    def _publish(self, filling: Filling) -> None:
        """Run it and switch readers to its files. After deletions all older files go at once, so that the bytes of
        people who were erased are gone; the marks move after that, so that a crash in between repeats it.
        """
        before, after = filling.current.tables, filling.run()
        folder = self._folder / after.generation
        if filling.deleted:
            marks = {name: replace(state, mark=before.get(name, state).mark) for name, state in after.tables.items()}
            switch.write(self._folder, replace(after, tables=marks))
            for name in after.tables:
                parts.sweep(folder / name, seconds=0)
            with switch.locked(self._folder / "rebuild.lock", wait=False) as free:
                if free:
                    self._tidy()
        switch.write(self._folder, after)
        for name in filling.rows:
            parts.sweep(folder / name, parts.KEEP_SECONDS)

    def _tidy(self) -> None:
        """Delete the folders of other generations (only while no other process builds one) and what killed
        processes spilled.
        """
        present = switch.read(self._folder)
        clear_spill(self._folder)
        for folder in self._folder.iterdir():
            if folder.is_dir() and folder.name not in {SPILL, present.generation if present else None}:
                shutil.rmtree(folder, ignore_errors=True)

    def _filling(self, present: Current, extract: Extract, progress: Progress | None = None) -> Filling:
        shapes = {name: self._shape(table) for name, table in tables.TABLES.items()}
        return Filling(self._folder, self.config, present, extract, shapes, progress)

    def _shape(self, table: tables.Mirror | tables.Derived) -> str:
        if table not in self._shapes:
            self._shapes[table] = table.shape(self.config.locale)
        return self._shapes[table]

    def _refreshed(self, rows: dict[str, int], start: float) -> Refreshed:
        self._follow()
        assert self._current is not None
        assert self._current.as_of is not None
        return Refreshed(rows, time.perf_counter() - start, self._current.as_of)

    def _follow(self) -> None:
        """Show the files that `current` names, where they are others than those shown."""
        with self._following:
            for _ in range(TRIES):
                current = switch.read(self._folder)
                places = {name: _place(current, name) for name in tables.TABLES}
                news = {name: place for name, place in places.items() if self._shown.get(name, ABSENT) != place}
                try:
                    if news:
                        self._reader.show({name: self._files(name, place) for name, place in news.items()})
                except (DeltaError, OSError, duckdb.IOException) as error:  # another process switched meanwhile
                    gone = error
                    continue
                self._current, self._shown = current, places
                return
        raise Unavailable(f"The warehouse cannot be read ({gone}): run `rapport warehouse rebuild`.")

    def _files(self, name: str, place: Place | None) -> tuple[pa.Schema, list[str]]:
        files = parts.files(self._folder / place[0] / name, place[1]) if place else []
        return tables.TABLES[name].schema, files


def _place(current: Current | None, name: str) -> Place | None:
    return (current.generation, current.tables[name].version) if current and name in current.tables else None
