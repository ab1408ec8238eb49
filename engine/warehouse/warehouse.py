"""The warehouse as the rest of the program sees it."""

from __future__ import annotations

import glob
import logging
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import ibis
import pyarrow as pa
from deltalake.exceptions import DeltaError

from engine.config import Config
from engine.database import Database
from engine.errors import ConfigError, Unavailable
from engine.warehouse import current as switch
from engine.warehouse import descent, parts, tables
from engine.warehouse.current import Current
from engine.warehouse.extract import Extract, snapshot
from engine.warehouse.fill import Filling, Progress
from engine.warehouse.guard import Guard
from engine.warehouse.reader import SPILL, Reader, clear_spill

log = logging.getLogger(__name__)

WAIT_MS = 200  # for another writer of SQLite at a refresh: pages refresh too; its token follows with the next one,
BUILD_WAIT_MS = 30_000  # and after a build, which has none yet
TRIES = 3  # a reader whose files another process deleted meanwhile starts again with the new ones
ABSENT = ("", -1)
AGE = timedelta(seconds=1)  # of `as_of` in the file while nothing changes; to write it at each letter takes 1 ms
PASSING: dict[type[duckdb.Error], str] = {  # what is another the next time, by what its message says
    duckdb.IOException: "",  # a file went while we read
    duckdb.InvalidInputException: ".parquet",  # or is cut
    duckdb.CatalogException: "Table with name",  # many refreshes went by
}
Place = tuple[str, int]  # generation and version of a Delta table
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Refreshed:
    """What a refresh moved: rows written or deleted for each table that changed, and the moment the copy shows."""

    rows: dict[str, int]
    seconds: float
    as_of: datetime


@dataclass(frozen=True)
class Pin:
    """All tables as they stood at one moment, whatever is refreshed meanwhile."""

    as_of: datetime | None
    names: Mapping[str, str]  # of these states of the tables: the same rows have the same name
    reader: Reader
    deadline: float | None = None  # of what is asked of it

    def bound(self, sql: str, tables: Iterable[str]) -> str:
        """SQL over `tables` by their plain names, of these states of them."""
        states = ", ".join(f'"{name}" AS NOT MATERIALIZED (SELECT * FROM "{self.names[name]}")' for name in tables)
        return f"WITH {states} SELECT * FROM ({sql})" if states else sql

    def query(self, sql: str, rows: Mapping[str, Any] | None = None) -> pa.Table:
        """Run the SQL of an expression, over Arrow tables of the caller's own too."""
        return self.reader.query(sql, rows, self.deadline)


class Warehouse:
    """The columnar copy in `folder`. One for each process, for all its threads; several processes may share it."""

    def __init__(self, database: Database, folder: Path, config: Config) -> None:
        self.database, self._folder, self.config = database, folder.resolve(), config
        if glob.has_magic(str(self._folder)):
            raise ConfigError("workspace.path may hold none of * ? [, which DuckDB reads as a pattern.")
        self._folder.mkdir(parents=True, exist_ok=True)
        self._source = database.url.set(username=None, password=None, query={}).render_as_string()
        self._reader = Reader(self._folder, config.warehouse)
        self.guard = Guard()
        self._following = threading.Lock()
        self._current: Current | None = None
        self._checked: Current | None = None  # what was found to be still so
        self._shown: dict[str, Place | None] = {}
        self._names: dict[str, str] = {}
        self._parts: dict[str, frozenset[str]] = {}
        self._shapes: dict[tables.Mirror | tables.Derived, str] = {}

    @property
    def as_of(self) -> datetime | None:
        """The moment the copy shows; None before the first refresh."""
        self._follow()
        return self._current.as_of if self._current else None

    def table(self, name: str) -> ibis.Table:
        """A table to build expressions on; it always means the newest refreshed rows. Raises NotFound."""
        return tables.unbound(name)

    def parts(self, name: str) -> frozenset[str]:
        """The files a table is made of now. What a file holds never changes: others are there after a change."""
        self._follow()
        return self._parts[name]

    def execute(self, expression: ibis.Expr) -> pa.Table:
        """Run an expression over `table`s, all showing the same moment. A scalar gives one row of one column."""
        return self._asked(lambda pin: self._reader.execute(expression, pin.deadline))

    def query(self, sql: str) -> pa.Table:
        """Run SQL over the tables; of each row, `part` is the file it is in."""
        return self._asked(lambda pin: pin.query(sql))

    def pinned(self, ask: Callable[[Pin], Answer]) -> Answer:
        """What `ask` finds in the tables as they stand now; it may run several queries, and runs again from its start
        when another process deletes their files meanwhile. Raises Busy, and Unavailable after the guard's deadline.
        """
        with self.guard.turn():
            return self._asked(ask)

    def refresh(self) -> Refreshed:
        """Bring the copy up to everything committed by now; build it when there is none that fits the database.
        Raises Unavailable when its files cannot be read or written.
        """
        with self._explained():
            while (refreshed := self._catch_up()) is None:
                with switch.locked(self._folder / "rebuild.lock"):
                    if misfit := self._misfit():  # else another process built it while we waited
                        is_first = not (self._folder / "current").exists()
                        log.log(logging.INFO if is_first else logging.WARNING, "The warehouse is built: %s.", misfit)
                        return self._build(None)
            return refreshed

    def rebuild(self, progress: Progress | None = None) -> Refreshed:
        """Copy everything anew beside the present files, then switch; readers and refreshes go on meanwhile. Raises
        Unavailable when the files cannot be written.
        """
        with self._explained(), switch.locked(self._folder / "rebuild.lock"):
            return self._build(progress)

    def close(self) -> None:
        """Let go of DuckDB's memory."""
        self._reader.close()

    def _asked(self, ask: Callable[[Pin], Answer]) -> Answer:
        deadline = self.guard.deadline()
        for _ in range(TRIES):
            try:
                return ask(replace(self._follow(), deadline=deadline))
            except tuple(PASSING) as error:
                if PASSING[type(error)] not in str(error):
                    raise
                gone = error
        raise Unavailable(f"The warehouse cannot be read ({gone}): run `rapport warehouse rebuild`.")

    def _catch_up(self) -> Refreshed | None:
        start = time.perf_counter()
        with switch.locked(self._folder / "lock"), snapshot(self.database) as extract:
            present = switch.read(self._folder)
            if present is None or self._why_not(present, extract):
                return None
            filling = self._filling(present, extract)
            self._publish(filling)
        return self._refreshed(filling.rows, start)

    def _misfit(self) -> str:
        present = switch.read(self._folder)
        if present is None:
            return "there is none that can be read"
        with snapshot(self.database) as extract:
            return self._why_not(present, extract)

    def _why_not(self, present: Current, extract: Extract) -> str:
        """Why the copy does not fit what `extract` sees; "" when it does."""
        if present.source != self._origin(extract):
            return "it is a copy of another database"
        if not descent.holds(extract.connection, present.generation, present.token):
            return "the database went back to an older state"
        known = [mirror for mirror in tables.mirrors() if mirror.name in present.tables]
        if any(present.tables[mirror.name].shape != self._shape(mirror) for mirror in known):
            return "its columns are no longer those of the tables"
        return ""

    def _origin(self, extract: Extract) -> str:
        return f"{self._source} {extract.server}".rstrip()

    def _build(self, progress: Progress | None) -> Refreshed:
        start = time.perf_counter()
        self._tidy()
        with snapshot(self.database) as extract:
            empty = Current(generation=uuid.uuid4().hex[:12], source=self._origin(extract))
            first = self._filling(empty, extract, progress)
            built = first.run()
        with switch.locked(self._folder / "lock"):
            with snapshot(self.database) as extract:  # what changed while we copied
                self._publish(self._filling(built, extract))
            self._tidy()
        return self._refreshed(first.rows, start)

    def _publish(self, filling: Filling) -> None:
        """Run it and switch readers to its files. After deletions all older files go at once, so that the bytes of
        people who were erased are gone; the marks move after that, so that a crash in between repeats it.
        """
        before, after = filling.current.tables, filling.run()
        if filling.current.signed and not filling.rows:  # marks may not run ahead of the token
            self._checked = replace(filling.current, as_of=after.as_of)
            if abs(self._checked.later(filling.current)) >= AGE:
                switch.write(self._folder, self._checked)
            return
        after = self._sign(after)
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

    def _sign(self, after: Current) -> Current:
        """Leave a fresh token in the database: what `after` shows was there before it."""
        token, first = uuid.uuid4().hex, not after.token
        former = switch.read(self._folder) if first else None
        signed = descent.leave(
            self.database,
            after.generation,
            token,
            after.token,
            former=former.generation if former else "",
            wait_ms=BUILD_WAIT_MS if first else WAIT_MS,
        )
        if first and not signed:
            raise Unavailable("Something else has been writing to the database for half a minute: try again after it.")
        return replace(after, token=token, signed=True) if signed else replace(after, signed=False)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say of what files can raise what to do about it."""
        try:
            yield
        except (OSError, DeltaError, duckdb.Error, pa.ArrowException) as error:
            raise Unavailable(
                f"The warehouse cannot be refreshed ({error}): see that the disk has room and that this user may write"
                f" to {self._folder}; if it has and may, run `rapport warehouse rebuild`."
            ) from error

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

    def _follow(self) -> Pin:
        """Show the files that `current` names, where they are others than those shown."""
        with self._following:
            for _ in range(TRIES):
                current = switch.read(self._folder)
                if current and self._checked and self._checked.later(current) > timedelta():
                    current = self._checked
                places = {name: _place(current, name) for name in tables.TABLES}
                news = {name: place for name, place in places.items() if self._shown.get(name, ABSENT) != place}
                try:
                    if news:
                        files = {name: self._files(name, place) for name, place in news.items()}
                        self._names |= self._reader.show(files)
                        self._parts |= {name: frozenset(paths) for name, (_, paths) in files.items()}
                except (DeltaError, OSError, duckdb.IOException) as error:  # another process switched meanwhile
                    gone = error
                    continue
                self._current, self._shown = current, places
                return Pin(current.as_of if current else None, dict(self._names), self._reader)
        raise Unavailable(f"The warehouse cannot be read ({gone}): run `rapport warehouse rebuild`.")

    def _files(self, name: str, place: Place | None) -> tuple[pa.Schema, list[str]]:
        files = parts.files(self._folder / place[0] / name, place[1]) if place else []
        return tables.TABLES[name].schema, files


def _place(current: Current | None, name: str) -> Place | None:
    return (current.generation, current.tables[name].version) if current and name in current.tables else None
