"""Import of a file: read, stage, check, write in short transactions, and tell what was refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy.orm import Session

from engine.config import Config
from engine.database import Database, database_now
from engine.errors import RapportError
from engine.intake import mapping as headers
from engine.intake import rejects
from engine.intake.bulk import Counts
from engine.intake.kinds import Kind, kind
from engine.intake.parsing import parse
from engine.intake.sources import Source, open_source
from engine.intake.staging import Stage
from engine.intake.values import Rules
from engine.intake.writers import WRITERS
from engine.intake.writers.context import Context
from engine.models import Import

WRITE: Final = 20_000  # records in one transaction: SQLite's only writer is free again within half a second

Progress = Callable[[int, int], None]


def import_file(
    database: Database,
    config: Config,
    kind_name: str,
    path: Path,
    *,
    now: datetime,
    mapping: Mapping[str, str] | None = None,
    dry_run: bool = False,
    refuse_all: bool = False,
    ignore_unknown: bool = False,
    origin: str = "import",
    time_format: str | None = None,
    encoding: str | None = None,
    file_name: str | None = None,
    progress: Progress | None = None,
) -> Import:
    """Take a CSV (plain or gzip) or Parquet file in; the same file twice changes nothing.

    `mapping` {header: column, or "" to leave it out}; `refuse_all` writes nothing if one record is bad; `dry_run`
    counts and writes nothing but the rejects file; `time_format` (strptime) for times that are not ISO 8601;
    `progress` is called with (bytes done, bytes in all). In the answer `rows` and `rejected` count records, and
    `created`, `updated`, `unchanged` things: an order of twenty lines is one.

    Raises Invalid for a header that does not fit, Unreadable and TooLarge for a file that cannot be read.
    """
    wanted = kind(kind_name)
    rules = Rules.of(config, now, time_format)
    source = open_source(path, config.intake, encoding)
    columns = headers.match(wanted, source.header, mapping or {}, ignore_unknown=ignore_unknown)
    name = (file_name or path.name)[:255]
    run = Import(kind=wanted.name, file_name=name, encoding=source.encoding, started_at=now)
    run.rows = run.created = run.updated = run.unchanged = run.rejected = 0
    context = Context(now, config.locale.currency, origin, f"import {name}")
    with _kept(database, run, dry_run=dry_run), Stage(wanted, _staged(wanted, columns), config.folder / "tmp") as stage:
        work = _Work(database, wanted, source, columns, rules, context, stage, progress or (lambda _done, _all: None))
        work.read()
        run.rows = len(stage) + stage.rejected
        if refuse_all and work.anything_wrong():
            run.error = "Nothing was written, because not every record was good."
        else:
            counts = work.write(dry_run=dry_run)
            run.created, run.updated, run.unchanged = counts.created, counts.updated, counts.unchanged
        run.rejected = stage.rejected
        if run.rejected:
            run.rejects_file = rejects.file_name(run.id, name)
            rejects.write(config.folder / "rejects" / run.rejects_file, source, stage.rejects())
    return run


@dataclass(frozen=True)
class _Work:
    """The steps of one import."""

    database: Database
    kind: Kind
    source: Source
    columns: Mapping[int, str]
    rules: Rules
    context: Context
    stage: Stage
    progress: Progress

    def read(self) -> None:
        """Parse the whole file into the stage; half of the progress."""
        for chunk, done in self.source.chunks():
            cells = {name: [record[position] for record in chunk.records] for position, name in self.columns.items()}
            parsed = parse(self.kind, chunk.lines, cells, self.rules)
            self.stage.add(parsed.batch)
            self.stage.reject([*chunk.broken, *parsed.rejects])
            if self.kind.gathers:
                self.stage.refuse(parsed.keys)
            self.progress(done // 2, self.source.size)
        self.stage.settle()

    def anything_wrong(self) -> bool:
        """A record is bad, or a group of records cannot be one thing."""
        for batch in self.stage.batches(WRITE):
            self.stage.reject(WRITERS[self.kind.name].prepare(batch, self.rules.currency)[1])
        return self.stage.rejected > 0

    def write(self, *, dry_run: bool) -> Counts:
        """Write the stage, a transaction for each batch; a dry run takes every one back."""
        writer = WRITERS[self.kind.name]
        size, total, done = self.source.size, max(len(self.stage), 1), 0
        counts = Counts()
        for batch in self.stage.batches(WRITE):
            prepared, wrong = writer.prepare(batch, self.rules.currency)
            self.stage.reject(wrong)
            with _transaction(self.database, keep=not dry_run) as session:
                counts += writer.write(session, prepared, self.context)
            done += len(batch)
            self.progress(size // 2 + (size - size // 2) * done // total, size)
        return counts


def _staged(wanted: Kind, columns: Mapping[int, str]) -> list[str]:
    """Columns the parser gives: the shop's own fields are one, and an event always has a key."""
    names = {wanted.open if wanted.open and "." in name else name for name in columns.values()}
    return sorted({name for name in names if name} | {wanted.key})


@contextmanager
def _kept(database: Database, run: Import, *, dry_run: bool) -> Iterator[None]:
    """The row of this import: there while it runs, with its end or its error afterwards. A dry run leaves none."""
    if dry_run:
        yield
        return
    with database.begin() as session:
        session.add(run)
    try:
        yield
    except RapportError as error:
        run.error = error.message
        raise
    finally:
        with database.begin() as session:
            run.finished_at = database_now(session)
            session.merge(run)


class _Undo(Exception):
    """Takes a dry run's transaction back."""


@contextmanager
def _transaction(database: Database, *, keep: bool) -> Iterator[Session]:
    with suppress(_Undo), database.begin() as session:
        yield session
        if not keep:
            raise _Undo
