"""An import is taken back as a whole.

What it created goes, unless somebody changed it since or something else hangs on it; what it changed gets its former
values, field by field, unless they were changed again; orders it replaced come back. A yes it brought is as if never
said, a no stays. A transaction for each row of the journal, marked there: an undo that was killed goes on where it was.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import Any, Final

from sqlalchemy import (
    Column,
    ColumnElement,
    Table,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session

from engine import identity
from engine.consent import ADDRESSES
from engine.database import Base, Database, database_now, next_revision
from engine.errors import Conflict, NotFound
from engine.identity import names
from engine.identity.merging import MANUAL
from engine.identity.rows import among
from engine.intake import journal
from engine.intake.bulk import load
from engine.intake.journal import LIFE, typed
from engine.intake.writers.orders import HEAD, LINE
from engine.models import (
    Consent,
    Contact,
    Deletion,
    Event,
    Identity,
    Import,
    ImportChange,
    ListPick,
    Merge,
    MergedPlace,
    MergedRow,
    Order,
    OrderLine,
)

CHANGED: Final = "changed"  # why a thing is kept: somebody wrote to it since
FOLLOWING: Final = ("list_join", "list_leave")  # events of ours that only say what follows from the rest

# What is done first: what hangs on others goes before them.
STEPS: Final = (
    ("events", "created"),
    ("events", "changed"),
    ("orders", "replaced"),
    ("orders", "created"),
    ("identities", "changed"),
    ("identities", "created"),
    ("consents", "created"),
    ("items", "created"),
    ("contacts", "created"),
    ("items", "changed"),
    ("contacts", "changed"),
)
_WHOLE: Final = {"synchronize_session": False}

Tally = Counter[tuple[str, str, str]]  # (table, removed | restored | kept, why kept) -> how many
Gone = Mapping[str, Collection[int]]  # table -> ids that count as gone


@dataclass
class _Work:
    """One import being taken back, or looked at."""

    session: Session
    now: datetime
    revisions: set[int]  # of the import's and the undo's own transactions: what they wrote last, nobody wrote since
    began: datetime  # the import
    writes: bool = False
    gone: Gone = field(default_factory=dict)
    tally: Tally = field(default_factory=Counter)


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


def preview(session: Session, import_id: int, now: datetime) -> Tally:
    """What an undo would do now; writes nothing."""
    run = check(session, import_id, now)
    gone: defaultdict[str, set[int]] = defaultdict(set)
    work = _Work(session, now, _revisions(session, import_id), run.started_at, gone=gone)
    picked = select(func.count()).select_from(ListPick).where(*_picked(run))
    work.tally["list_picks", "removed", ""] = session.scalar(picked) or 0
    for table, how in STEPS:
        for change in _changes(session, import_id, table, how):
            rows = journal.read(change)
            if table in ("events", "identities", "consents"):
                gone[table].update(map(int, rows))
            _LOOK[how](work, table, rows, gone)
    return work.tally


def undo(
    database: Database, import_id: int, *, now: datetime, progress: Callable[[int, int], None] | None = None
) -> Import:
    """Take an import back; `progress` (things done, things in all) may stop it by raising a RapportError, and the same
    call goes on with it. Of two at once the later goes on, and the other ends. Raises NotFound, Conflict.
    """
    with database.begin() as session:
        claim = _claim(session, check(session, import_id, now), now)
        done, total = shares(session, import_id)
    for table, how in STEPS:
        while True:
            with database.begin() as session:
                _hold(session, import_id, claim)
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
        session.execute(delete(ImportChange).where(ImportChange.import_id == import_id), execution_options=_WHOLE)
    return run


def _claim(session: Session, run: Import, now: datetime) -> datetime:
    """Take the import in hand; the moment says in whose hands it is. Its places on lists go at once."""
    claim = database_now(session)
    mine = update(Import).where(Import.id == run.id, Import.undone_at.is_(None))
    if not session.execute(mine.values(undo_started_at=claim).returning(Import.id), execution_options=_WHOLE).all():
        raise Conflict("This import is undone already.")
    session.refresh(run)
    run.finished_at = run.finished_at or now
    picks = session.execute(delete(ListPick).where(*_picked(run)).returning(ListPick.contact_id)).all()
    run.undone = _listed(told(run) + Counter({("list_picks", "removed", ""): len(picks)}))
    return claim


def _hold(session: Session, import_id: int, claim: datetime) -> None:
    """Nobody else takes it back until this transaction ends. Raises Conflict when another has it in hand by now."""
    names.alone(session)
    mine = update(Import).where(Import.id == import_id, Import.undo_started_at == claim, Import.undone_at.is_(None))
    held = session.execute(mine.values(undo_started_at=claim).returning(Import.id), execution_options=_WHOLE).all()
    if not held:
        raise Conflict("This import is being undone by somebody else, who goes on with it.")


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
    work = _Work(session, now, revisions, run.started_at, writes=True)
    if change.table_name == "contacts" and change.how == "created":
        work.gone = {name: _created(session, change.import_id, name) for name in ("consents", "identities")}
    _DO[change.table_name, change.how](work, journal.read(change))
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


# What goes, and what stays and why


def _stays(work: _Work, table: Table, ids: Sequence[int]) -> tuple[list[int], dict[int, str]]:
    """Which of the created rows are there, and why some have to stay."""
    rows = select(table.c.id).where(table.c.id.in_(among(work.session, ids)))
    if "revision" not in table.c or table.name in ("events", "consents"):  # nobody edits those
        return list(work.session.scalars(rows)), {}
    found = {row.id: row.revision for row in work.session.execute(_held(work, rows.add_columns(table.c.revision)))}
    why = {row_id: CHANGED for row_id, revision in found.items() if revision not in work.revisions}
    for column in _references(table):
        for row_id in work.session.scalars(_referring(work, column, list(found))):
            why.setdefault(row_id, column.table.name)
    return list(found), why


def _held(work: _Work, rows: Any) -> Any:
    """Nobody else changes them meanwhile."""
    return rows.with_for_update() if work.writes else rows


def _references(table: Table) -> Iterator[Column[Any]]:
    """Columns of other tables that point to this one; what belongs to an order goes with it."""
    for other in Base.metadata.sorted_tables:
        for key in other.foreign_keys:
            own = table.name == "orders" and key.ondelete == "CASCADE"
            if key.column.table is table and not own and other.name not in (MergedPlace.__tablename__, "own_facts"):
                yield key.parent


def _referring(work: _Work, column: Column[Any], ids: Sequence[int]) -> Any:
    """Those of `ids` that a row points to which is not gone, and is more than a trace of the rest."""
    other = column.table
    rows = select(column).where(column.in_(among(work.session, ids))).distinct()
    through = other.c.order_id if other.name == "order_lines" else other.c.get("id")
    gone = work.gone.get("orders" if other.name == "order_lines" else other.name)
    if gone and through is not None:
        rows = rows.where(through.not_in(among(work.session, gone)))
    if other.name == Event.__tablename__:
        rows = rows.where(or_(other.c.type.not_in(FOLLOWING), other.c.contact_id.is_(None)))
    if other.name == ListPick.__tablename__:  # the import's own
        rows = rows.where(other.c.at != work.began)
    if other.name == Merge.__tablename__:  # those of a record go with what the record said
        rows = rows.where(other.c.undone_at.is_(None), other.c.how == MANUAL)
    if other.name == MergedRow.__tablename__:
        for name, theirs in work.gone.items():
            rows = rows.where(or_(other.c.table_name != name, other.c.row_id.not_in(among(work.session, theirs))))
    elif "id" in other.c:
        marks = MergedRow.table_name == other.name, MergedRow.row_id == other.c.id, MergedRow.contact_id != column
        rows = rows.where(~exists().where(*marks))
    return rows


def _look_created(work: _Work, name: str, ids: Sequence[int], gone: defaultdict[str, set[int]]) -> None:
    there, why = _stays(work, _TABLES[name], ids)
    gone[name].update(set(there) - why.keys())
    _count(work, name, there, why)


def _look_replaced(work: _Work, name: str, orders: Mapping[int, Any], gone: defaultdict[str, set[int]]) -> None:
    back = _unchanged(work, orders)
    gone[name].update(back)  # their lines of now, that is
    work.tally[name, "restored", ""] += len(back)
    work.tally[name, "kept", CHANGED] += len(orders) - len(back)


def _look_changed(work: _Work, name: str, rows: Mapping[int, Any], gone: defaultdict[str, set[int]]) -> None:
    left = {row_id: change for row_id, change in rows.items() if row_id not in gone[name]}
    _former(work, name, left)


_LOOK: Final[dict[str, Callable[..., None]]] = {
    "created": _look_created,
    "replaced": _look_replaced,
    "changed": _look_changed,
}


def _count(work: _Work, name: str, there: Sequence[int], why: Mapping[int, str]) -> None:
    if name in ("identities", "consents"):
        return  # of no number that a person would know
    work.tally[name, "removed", ""] += len(there) - len(why)
    for reason, count in Counter(why.values()).items():
        work.tally[name, "kept", reason] += count


# What is done


def _remove(name: str) -> Callable[[_Work, Sequence[int]], None]:
    def remove(work: _Work, ids: Sequence[int]) -> None:
        there, why = _stays(work, _TABLES[name], ids)
        _count(work, name, there, why)
        _delete(work, name, set(there) - why.keys())

    return remove


def _delete(work: _Work, name: str, ids: Collection[int]) -> None:
    """Delete rows and what belongs to them; the warehouse forgets by the Deletion rows."""
    session = work.session
    if name == "contacts":
        theirs = select(Event.id).where(Event.contact_id.in_(among(session, ids)), Event.type.in_(FOLLOWING))
        _delete(work, "events", session.scalars(theirs).all())
        _part(work, ids)
        words = select(Consent.id).where(Consent.contact_id.in_(among(session, ids)))
        _delete(work, "consents", session.scalars(words).all())
    if name == "orders":
        lines = select(OrderLine.id).where(OrderLine.order_id.in_(among(session, ids)))
        _delete(work, "order_lines", session.scalars(lines).all())
    if name in ("orders", "events", "consents"):
        identity.disown(session, name, ids)
    table = _TABLES[name]
    if "revision" in table.c:
        rows = select(literal(name), table.c.id, literal(next_revision(session))).where(
            table.c.id.in_(among(session, ids))
        )
        session.execute(insert(Deletion).from_select(["table_name", "row_id", "revision"], rows))
    session.execute(delete(table).where(table.c.id.in_(among(session, ids))), execution_options=_WHOLE)


def _part(work: _Work, ids: Collection[int]) -> None:
    """Whoever was merged with these contacts by what a record said is separate again."""
    session = work.session
    if not identity.is_used(session):
        return
    around = identity.linked(session, ids)
    nameless = {"email": None, "phone": None, "revision": next_revision(session)}
    session.execute(delete(Identity).where(Identity.contact_id.in_(among(session, ids))), execution_options=_WHOLE)
    session.execute(
        update(Contact).where(Contact.id.in_(among(session, ids))).values(nameless), execution_options=_WHOLE
    )
    identity.settle(session, around | set(ids), work.now)


def _put_back(work: _Work, orders: Mapping[int, Any]) -> None:
    """Orders as they were, with their lines."""
    session, revision = work.session, next_revision(work.session)
    back = _unchanged(work, orders)
    _look_replaced(work, "orders", orders, defaultdict(set))
    lines = select(OrderLine.id).where(OrderLine.order_id.in_(among(session, back)))
    _delete(work, "order_lines", session.scalars(lines).all())
    table = _TABLES["orders"]
    there = set(session.scalars(select(Contact.id).where(Contact.id.in_(among(session, _owners(orders))))))
    for order_id in back:
        former = dict(zip(HEAD, orders[order_id]["order"], strict=True))
        values = {name: typed(table.c[name], value) for name, value in former.items()}
        values["contact_id"] = values["contact_id"] if values["contact_id"] in there else None
        session.execute(update(table).where(table.c.id == order_id).values(**values, revision=revision))
    rows = [line for order_id in back for line in orders[order_id]["lines"]]
    if rows:
        columns = dict(zip((column.name for column in LINE), zip(*rows, strict=True), strict=True))
        load(session, _TABLES["order_lines"], columns | {"revision": [revision] * len(rows)})
    identity.disown(session, "orders", back)
    identity.rehome(session, identity.kept(session, there))


def _owners(orders: Mapping[int, Any]) -> set[int]:
    place = HEAD.index("contact_id")
    return {order["order"][place] for order in orders.values()} - {None}


def _unchanged(work: _Work, orders: Mapping[int, Any]) -> list[int]:
    """Those that still are what the import made of them."""
    rows = select(Order.id, Order.digest).where(Order.id.in_(among(work.session, orders)))
    return [row.id for row in work.session.execute(_held(work, rows)) if row.digest == orders[row.id]["digest"]]


def _restore(name: str) -> Callable[[_Work, Mapping[int, Any]], None]:
    def restore(work: _Work, rows: Mapping[int, Any]) -> None:
        if name != "contacts":
            former = _former(work, name, rows)
            _write(work, name, former)
            if name == "events":
                identity.disown(work.session, name, former)
            return
        ids = list(rows)
        around = identity.linked(work.session, ids)
        with identity.unfolded(work.session, ids):
            work.session.flush()
            _write(work, name, _former(work, name, rows))
            work.session.expire_all()
        identity.settle(work.session, around | set(ids), work.now)

    return restore


def _former(work: _Work, name: str, rows: Mapping[int, Any]) -> dict[int, dict[str, Any]]:
    """id -> fields as they were, of those that nobody changed since; consent has its own ledger."""
    table, former = _TABLES[name], dict[int, dict[str, Any]]()
    found = select(table).where(table.c.id.in_(among(work.session, rows)))
    own = identity.owners(work.session, name, rows)
    for there in work.session.execute(_held(work, found)).mappings():
        row: Mapping[Any, Any] = {**there, "contact_id": own[there["id"]]} if there["id"] in own else there
        fields = {field_: pair for field_, pair in rows[row["id"]].items() if not field_.endswith("_consent")}
        back = {field_: was for field_, (was, then) in fields.items() if _now(row, field_) == then}
        if name in ("contacts", "items") and fields:
            kept = len(back) < len(fields)
            work.tally[name, "kept" if kept else "restored", CHANGED if kept else ""] += 1
        if back:
            former[row["id"]] = _patched(table, row, back)
    return former


def _now(row: Mapping[Any, Any], name: str) -> Any:
    column, dot, own = name.partition(".")
    return row[column].get(own) if dot else journal.plain(row[column])


def _patched(table: Table, row: Mapping[Any, Any], back: Mapping[str, Any]) -> dict[str, Any]:
    """Values to write; the shop's own fields are one column."""
    values: dict[str, Any] = {}
    for name, was in back.items():
        column, dot, own = name.partition(".")
        if not dot:
            values[column] = typed(table.c[column], was)
            continue
        values.setdefault(column, dict(row[column])).pop(own, None)
        if was is not None:
            values[column][own] = was
    return values


def _write(work: _Work, name: str, former: Mapping[int, dict[str, Any]]) -> None:
    """A statement for each set of fields."""
    table, alike = _TABLES[name], defaultdict(list)
    stamps = {"revision": next_revision(work.session), "updated_at": work.now}
    given = {column: value for column, value in stamps.items() if column in table.c}
    for row_id, values in former.items():
        alike[tuple(values)].append(values | given | {"row_id": row_id})
    for rows in alike.values():
        statement = update(table).where(table.c.id == bindparam("row_id"))
        work.session.connection().execute(
            statement.values({name: bindparam(name) for name in rows[0] if name != "row_id"}), rows
        )


def _unsay(work: _Work, ids: Sequence[int]) -> None:
    """A yes is as if never said: what was said before it stands again. A no stays."""
    session = work.session
    yes = select(Consent.id, Consent.contact_id, Consent.channel).where(
        Consent.id.in_(among(session, ids)), Consent.granted
    )
    rows = session.execute(yes).all()
    people = {row.contact_id for row in rows}
    with identity.unfolded(session, people):
        session.flush()
        _delete(work, "consents", [row.id for row in rows])
        for channel in ADDRESSES:
            theirs = among(session, [row.contact_id for row in rows if row.channel == channel])
            last = (
                select(Consent.granted)
                .where(Consent.contact_id == Contact.id, Consent.channel == channel)
                .order_by(Consent.id.desc())
                .limit(1)
            )
            values = {f"{channel}_consent": last.scalar_subquery(), "revision": next_revision(session)}
            session.execute(update(Contact).where(Contact.id.in_(theirs)).values(values), execution_options=_WHOLE)
        session.expire_all()


def _unname(work: _Work, ids: Sequence[int]) -> None:
    """Nobody is known by these names any more; who is one person is seen anew. What somebody's key says goes with
    them.
    """
    session, table = work.session, _TABLES["identities"]
    rows = select(Identity.id, Identity.contact_id, Identity.kind, Identity.value, Contact.key).join(Contact)
    there = session.execute(rows.where(Identity.id.in_(among(session, ids)))).all()
    beside = [row for row in there if names.key_of(row.kind, row.value) != row.key]
    people = {row.contact_id for row in beside}
    around = identity.linked(session, people)
    mine = table.c.id.in_(among(session, [row.id for row in beside]))
    with identity.unfolded(session, people):
        session.execute(delete(table).where(mine), execution_options=_WHOLE)
        names.show(session, people)
        session.expire_all()
    identity.settle(session, around | people, work.now)


_TABLES: Final[dict[str, Table]] = {
    name: Base.metadata.tables[name]
    for name in ("contacts", "items", "orders", "order_lines", "events", "identities", "consents")
}
_DO: Final[dict[tuple[str, str], Callable[[_Work, Any], None]]] = {
    **{(name, "created"): _remove(name) for name in ("contacts", "items", "orders", "events")},
    **{(name, "changed"): _restore(name) for name in ("contacts", "items", "events", "identities")},
    ("orders", "replaced"): _put_back,
    ("identities", "created"): _unname,
    ("consents", "created"): _unsay,
}
