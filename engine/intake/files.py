"""Import of a file: read, stage, check, write in short transactions, and tell what was refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from sqlalchemy.orm import Session

from engine.config import Config
from engine.database import Database, database_now
from engine.errors import RapportError
from engine.intake import finding, rejects
from engine.intake import mapping as headers
from engine.intake.bulk import Counts
from engine.intake.finding import Find, Wins
from engine.intake.forecast import Forecast
from engine.intake.journal import Journal
from engine.intake.kinds import Kind, kind
from engine.intake.parsing import CLEARS, Batch, Reject, parse
from engine.intake.sources import Source, open_source
from engine.intake.staging import Stage
from engine.intake.values import Rules
from engine.intake.writers import WRITERS
from engine.intake.writers.context import Context
from engine.models import Import

WRITE: Final = 20_000  # records in one transaction: SQLite's only writer is free again within half a second

Progress = Callable[[int, int], None]
Written = Callable[[Session, Sequence[str]], object]
Empty = Literal["keep", "clear"]
Repeats = Literal["keep", "drop"]


@dataclass(frozen=True)
class Reading:
    """How a file is meant, where it does not say so itself.

    `empty`: an empty cell keeps what is known of a contact or an item, or clears it; `repeats`: lines of an order that
    are equal in every column that is read are kept, or only the first of them; `comma`: numbers are written 1.234,56;
    `time_format` (strptime): of times that are not ISO 8601; `encoding`: of text that is neither UTF-8 nor GB18030;
    `find`: what says which contact a row means; `wins`: the file's word, what is here, or the file's where nothing is.
    """

    empty: Empty = "keep"
    repeats: Repeats = "keep"
    comma: bool = False
    time_format: str | None = None
    encoding: str | None = None
    find: Find = "key"
    wins: Wins = "file"

    def kind(self, name: str) -> Kind:
        """The kind of this name, by what its records are found; only contacts by another than their key."""
        wanted = kind(name)
        return wanted.found_by(self.find) if name == "contacts" else wanted


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
    reading: Reading = Reading(),
    file_name: str | None = None,
    progress: Progress | None = None,
    written: Written | None = None,
    forecast: Forecast | None = None,
) -> Import:
    """Take a CSV (plain or gzip) or Parquet file in; the same file twice changes nothing.

    `mapping` {header: column, or "" to leave it out}; `refuse_all` writes nothing if one record is bad; `dry_run`
    counts and writes nothing but the rejects file; `progress` is called with (bytes done, bytes in all), and stops the
    import by raising a RapportError: what was written by then stays, and the row of the import counts it.

    `written` is called with the keys of the contacts or items of each batch, in its transaction; `forecast` is told
    what a dry run found.

    In the answer `rows`, `rejected` and `repeated` count records, and `created`, `updated`, `unchanged` things: an
    order of twenty lines is one. `repeated` were left out; a dry run counts them even where they would be kept.

    Raises Invalid for a header that does not fit, Unreadable and TooLarge for a file that cannot be read.
    """
    wanted = reading.kind(kind_name)
    rules = Rules.of(config, now, reading.time_format, comma=reading.comma)
    source = open_source(path, config.intake, reading.encoding)
    columns = headers.match(wanted, source.header, mapping or {}, ignore_unknown=ignore_unknown)
    name = (file_name or path.name)[:255]
    run = Import(kind=wanted.name, file_name=name, encoding=source.encoding, started_at=now)
    run.rows = run.created = run.updated = run.unchanged = run.rejected = run.repeated = 0
    context = Context(now, config.locale.currency, origin, f"import {name}", living=False, wins=reading.wins)
    names = _staged(wanted, columns, reading)
    with _kept(database, run, dry_run=dry_run), Stage(wanted, names, config.folder / "tmp") as stage:
        note = progress or (lambda _done, _all: None)
        work = _Work(database, wanted, source, columns, rules, reading, context, stage, note, run, written, forecast)
        work.read()
        run.rows = len(stage) + stage.rejected
        if refuse_all and work.anything_wrong():
            run.error = "Nothing was written, because not every record was good."
        else:
            work.write(dry_run=dry_run)
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
    reading: Reading
    context: Context
    stage: Stage
    progress: Progress
    run: Import
    written: Written | None = None
    forecast: Forecast | None = None

    def read(self) -> None:
        """Parse the whole file into the stage; half of the progress."""
        for chunk, done in self.source.chunks():
            cells = {name: [record[position] for record in chunk.records] for position, name in self.columns.items()}
            parsed = parse(
                self.kind, chunk.lines, cells, self.rules, clear="empty" if self.reading.empty == "clear" else "never"
            )
            self.stage.add(parsed.batch)
            self.stage.reject([*chunk.broken, *parsed.rejects])
            if self.kind.gathers:
                self.stage.refuse(parsed.keys)
            self.progress(done // 2, self.source.size)
        self.stage.settle()

    def anything_wrong(self) -> bool:
        """A record is bad, or a group of records cannot be one thing."""
        for batch in self.stage.batches(WRITE):
            self._prepared(self._meant(batch))
        return self.stage.rejected > 0

    def write(self, *, dry_run: bool) -> None:
        """Write the stage, a transaction for each batch, and count; a dry run takes every one back."""
        size, total, done = self.source.size, max(len(self.stage), 1), 0
        for batch in self.stage.batches(WRITE):
            meant = self._meant(batch)
            different = batch.different() if dry_run and self.kind.gathers else meant
            prepared = self._prepared(meant)
            counts = self._write(batch, prepared, dry_run=dry_run)
            self._count(counts, repeated=len(batch) - len(different))
            done += len(batch)
            self.progress(size // 2 + (size - size // 2) * done // total, size)

    def _write(self, batch: Batch, prepared: Any, *, dry_run: bool) -> Counts:
        """One batch in its transaction, which is taken back for a dry run."""
        writer = WRITERS[self.kind.name]
        counts = Counts()

        def work(session: Session) -> None:
            nonlocal counts
            noted = Journal()
            counts = writer.write(session, prepared, replace(self.context, journal=noted))
            if not dry_run:
                noted.save(session, self.run.id)
            elif self.forecast:
                self.forecast.look(session, self.kind, batch.columns[self.kind.key], noted)
            if self.written:
                self.written(session, prepared.columns["key"])
            if dry_run:
                raise _Undo

        with suppress(_Undo):
            self.database.retried(work)
        return counts

    def _prepared(self, batch: Batch) -> Any:
        """What the writer takes; the rest is refused. Whom a row means is looked up before the transaction: whoever
        comes in meanwhile under the same name is seen to be the same person then.
        """
        unclear: list[Reject] = []
        if self.kind.name == "contacts":
            with self.database.read() as session:
                batch, unclear = finding.find(session, batch, self.reading.find)
        prepared, wrong = WRITERS[self.kind.name].prepare(batch, self.rules.currency)
        self.stage.reject([*unclear, *wrong])
        return prepared

    def _meant(self, batch: Batch) -> Batch:
        """Lines of orders without their repeats, if that is wanted; a batch never cuts an order in two."""
        return batch.different() if self.kind.gathers and self.reading.repeats == "drop" else batch

    def _count(self, counts: Counts, repeated: int) -> None:
        run = self.run
        run.created += counts.created
        run.updated += counts.updated
        run.unchanged += counts.unchanged
        run.repeated += repeated


def _staged(wanted: Kind, columns: Mapping[int, str], reading: Reading) -> list[str]:
    """Columns the parser gives: the shop's own fields are one, an event always has a key, and cells may clear."""
    names = {wanted.open if wanted.open and "." in name else name for name in columns.values()}
    marks = {CLEARS} if wanted.merges and reading.empty == "clear" else set()
    return sorted({name for name in names if name} | {wanted.key} | marks)


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
    except BaseException:  # Ctrl-C, or a fault of ours: nobody may take it for complete
        run.error = "It was broken off. What was written by then stays; the same file brings the rest."
        raise
    finally:
        with database.begin() as session:
            run.finished_at = database_now(session)
            session.merge(run)


class _Undo(Exception):
    """Takes a dry run's transaction back."""
