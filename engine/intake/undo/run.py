"""One import from the first step of its undo to the last, a transaction for each row of the journal."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import chain
from typing import Any, Final

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session

from engine.database import Database, database_now, next_revision
from engine.errors import Conflict, NotFound
from engine.identity import names
from engine.intake import journal
from engine.intake.journal import LIFE
from engine.intake.undo.doing import DO
from engine.intake.undo.looking import LOOK
from engine.intake.undo.work import STEPS, WHOLE, Tally, Work
from engine.models import Import, ImportChange, ListPick

HELD: Final = timedelta(seconds=60)  # a step of 20,000 rows takes seconds; who took none for so long is gone


def may(session: Session, import_id: int, now: datetime) -> bool:
    """The import can still be taken back, and there is something to take back; also of one that was killed."""
    try:
        check(session, import_id, now)
    except Conflict:
        return False
    return sum(shares(session, import_id)) > 0


def check(session: Session, import_id: int, now: datetime) -> Import:
    """The import; raises NotFound, and Conflict when it cannot be taken back (any more)."""
    run = session.get(Import, import_id)
    if run is None:
        raise NotFound(f"There is no import {import_id}.")
    if run.undone_at is not None:
        raise Conflict("This import is undone already.")
    if now - run.started_at >= LIFE:
        raise Conflict(f"This import is older than {LIFE.days} days: what it changed is no longer known.")
    if run.created + run.updated and run.undo_started_at is None and not sum(shares(session, import_id)):
        raise Conflict("This import is from before imports could be undone: what it changed is not known.")
    return run


def is_held(session: Session, import_id: int) -> bool:
    """Some process has it in hand, and took a step lately."""
    run = session.get_one(Import, import_id)
    return (
        run.undone_at is None and run.undo_started_at is not None and database_now(session) - run.undo_started_at < HELD
    )


def begin(session: Session, import_id: int, now: datetime) -> datetime:
    """Take the import in hand, from whoever has it; the moment says in whose hands it is, and that they are alive. Its
    places on lists go at once. Raises NotFound, Conflict.
    """
    run = check(session, import_id, now)
    claim = database_now(session)
    mine = update(Import).where(Import.id == run.id, Import.undone_at.is_(None))
    if not session.execute(mine.values(undo_started_at=claim).returning(Import.id), execution_options=WHOLE).all():
        raise Conflict("This import is undone already.")
    session.refresh(run)
    run.finished_at = run.finished_at or now
    picks = session.execute(delete(ListPick).where(*_picked(run)).returning(ListPick.contact_id)).all()
    run.undone = _listed(told(run) + Counter({("list_picks", "removed", ""): len(picks)}))
    return claim


def preview(session: Session, import_id: int, now: datetime) -> Tally:
    """What an undo would do now; writes nothing."""
    run = check(session, import_id, now)
    gone: defaultdict[str, set[int]] = defaultdict(set)
    work = Work(session, now, _revisions(session, import_id), run.started_at, gone=gone)
    picked = select(func.count()).select_from(ListPick).where(*_picked(run))
    work.tally["list_picks", "removed", ""] = session.scalar(picked) or 0
    for table, how in STEPS:
        for change in _changes(session, import_id, table, how):
            rows = journal.read(change)
            if table in ("events", "identities", "consents"):
                gone[table].update(map(int, rows))
            LOOK[how](work, table, rows, gone)
    return work.tally


def undo(
    database: Database, import_id: int, *, now: datetime, progress: Callable[[int, int], None] | None = None
) -> Import:
    """Take an import back; `progress` (things done, things in all) may stop it by raising a RapportError, and the same
    call goes on with it. Of two at once the later goes on, and the other ends. Raises NotFound, Conflict.
    """
    with database.begin() as session:
        claim = begin(session, import_id, now)
        done, total = shares(session, import_id)
    for table, how in STEPS:
        while True:
            with database.begin() as session:
                claim = _hold(session, import_id, claim)
                change = next(_changes(session, import_id, table, how, limit=1), None)
                if change is None:
                    break
                done += change.count
                _take_back(session, change, now)
            if progress:
                progress(min(done, total), total)
    with database.begin() as session:
        _hold(session, import_id, claim)
        run = session.get_one(Import, import_id)
        run.undone_at, run.undone = database_now(session), run.undone or []
        session.execute(delete(ImportChange).where(ImportChange.import_id == import_id), execution_options=WHOLE)
    return run


def _hold(session: Session, import_id: int, claim: datetime) -> datetime:
    """The next claim: nobody else takes it back until this transaction ends. Raises Conflict when another has it in
    hand by now.
    """
    names.alone(session)
    claimed = max(database_now(session), claim)
    mine = update(Import).where(Import.id == import_id, Import.undo_started_at == claim, Import.undone_at.is_(None))
    held = session.execute(mine.values(undo_started_at=claimed).returning(Import.id), execution_options=WHOLE).all()
    if not held:
        raise Conflict("This import is being undone by somebody else, who goes on with it.")
    return claimed


def _picked(run: Import) -> tuple[ColumnElement[bool], ...]:
    """Places on lists that the import gave."""
    return ListPick.at == run.started_at, ListPick.author.startswith("import ")


def shares(session: Session, import_id: int) -> tuple[int, int]:
    """Things taken back, and things in all."""
    rows = select(ImportChange.undo_revision.is_not(None), func.sum(ImportChange.count))
    found = rows.where(ImportChange.import_id == import_id).group_by(ImportChange.undo_revision.is_not(None))
    counted = {bool(done): int(count) for done, count in session.execute(found)}
    return counted.get(True, 0), sum(counted.values())


def told(run: Import) -> Tally:
    """What the undo did."""
    return Counter({(table, what, why): count for table, what, why, count in run.undone or []})


def _take_back(session: Session, change: ImportChange, now: datetime) -> None:
    run = session.get_one(Import, change.import_id)
    revisions = _revisions(session, run.id) | {next_revision(session)}
    work = Work(session, now, revisions, run.started_at, writes=True)
    if change.table_name == "contacts" and change.how == "created":
        work.gone = {name: _created(session, change.import_id, name) for name in ("consents", "identities")}
    DO[change.table_name, change.how](work, journal.read(change))
    change.undo_revision = next_revision(session)
    run.undone = _listed(told(run) + work.tally)


def _listed(tally: Tally) -> list[list[Any]]:
    return [[*what, count] for what, count in sorted(tally.items())]


def _changes(
    session: Session, import_id: int, table: str, how: str, limit: int | None = None
) -> Iterator[ImportChange]:
    """What is not taken back yet, the latest first."""
    found = select(ImportChange.id).where(
        ImportChange.import_id == import_id,
        ImportChange.table_name == table,
        ImportChange.how == how,
        ImportChange.undo_revision.is_(None),
    )
    for change_id in session.scalars(found.order_by(ImportChange.id.desc()).limit(limit)).all():
        yield session.get_one(ImportChange, change_id)


def _created(session: Session, import_id: int, table: str) -> set[int]:
    found = select(ImportChange).where(
        ImportChange.import_id == import_id, ImportChange.table_name == table, ImportChange.how == "created"
    )
    return set(chain.from_iterable(journal.read(change) for change in session.scalars(found)))


def _revisions(session: Session, import_id: int) -> set[int]:
    rows = select(ImportChange.revision, ImportChange.undo_revision).where(ImportChange.import_id == import_id)
    return {one for row in session.execute(rows) for one in row if one is not None}
