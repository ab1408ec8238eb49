"""Events: append-only, one per key."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import chain
from typing import Any

from sqlalchemy import Table, select
from sqlalchemy.orm import Session

from engine import identity
from engine.database import EPOCH, among
from engine.identity.rows import among as rows_among
from engine.intake.bulk import Counts, append
from engine.intake.journal import Journal
from engine.intake.parsing import Batch, Reject
from engine.intake.writers.context import IDENTITIES, Context, Folded, item_rows, people
from engine.models import Event, Identity

EVENTS: Table = Event.__table__  # type: ignore[assignment]


def prepare(batch: Batch, _currency: str) -> tuple[Folded, list[Reject]]:
    """The first record of each key."""
    return Folded(_firsts(batch.columns), len(batch)), []


def _firsts(columns: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """The first of each key, in the order they come."""
    first: dict[str, int] = {}
    for position, key in enumerate(columns["key"]):
        first.setdefault(key, position)
    return _at(columns, first.values())


def _at(columns: Mapping[str, Sequence[Any]], positions: Collection[int]) -> dict[str, list[Any]]:
    return {name: [column[position] for position in positions] for name, column in columns.items()}


def write_all(session: Session, several: Sequence[Folded], context: Context) -> list[Counts]:
    """Insert what is new in any, as `write` would one after the other; how much was new in each. Nobody else writes
    meanwhile (SQLite), or the counts may miss it.
    """
    names = dict.fromkeys(chain.from_iterable(one.columns for one in several))
    columns = {
        name: list(chain.from_iterable(one.columns.get(name) or [None] * len(one.columns["key"]) for one in several))
        for name in names
    }
    columns = _at(columns, sorted(range(len(columns["key"])), key=columns["key"].__getitem__))
    there = _there(session, columns["key"])
    new = set(columns["key"]) - there
    _write(session, Folded(_firsts(columns), sum(one.rows for one in several)), there, context)
    counts = []
    for one in several:
        mine = new.intersection(one.columns["key"])
        new -= mine
        counts.append(Counts(created=len(mine), unchanged=one.rows - len(mine)))
    return counts


def _there(session: Session, keys: Sequence[str]) -> set[str]:
    """Those that were taken before."""
    return set(session.scalars(select(Event.key).where(among(session, Event.key, keys))))


def write(session: Session, events: Folded, context: Context) -> Counts:
    """Insert what is new. A visitor's events go to the contact the visitor is known to be."""
    return _write(session, events, _there(session, events.columns["key"]), context)


def _write(session: Session, events: Folded, there: Collection[str], context: Context) -> Counts:
    new = [position for position, key in enumerate(events.columns["key"]) if key not in there]
    if not new:
        return Counts(unchanged=events.rows)
    given = _at(events.columns, new)
    nothing: list[Any] = [None] * len(new)
    visitors, items = (given.get(name, nothing) for name in ("visitor", "item"))
    who = people(session, given, len(new), context)
    item = item_rows(session, {key: None for key in items if key is not None}, context)
    named = {visitor for visitor in visitors if visitor is not None}
    becoming = {one for one, kind in zip(visitors, given["type"], strict=True) if kind == identity.IDENTIFY} & named
    identity.hold(session, named, becoming)
    known = identity.owners_of_visitors(session, named)
    rows: dict[str, Sequence[Any]] = {
        "key": given["key"],
        "contact_id": [
            contact_id if contact_id is not None else known.get(visitor)
            for contact_id, visitor in zip(who.ids, visitors, strict=True)
        ],
        "visitor": visitors,
        "type": given["type"],
        "occurred_at": given["at"],
        "item_id": [item[key].id if key is not None else None for key in items],
        "properties": [properties or "{}" for properties in given.get("properties", nothing)],
        **{name: given[name] for name in ("value", "origin") if name in given},
    }
    created = append(session, EVENTS, rows, context.now, context.journal)
    if known:
        identity.rehome(session, identity.kept(session, set(known.values())))
    _identify(session, rows, context)
    who.settle(session, context)
    return Counts(created, 0, events.rows - created)


def _identify(session: Session, rows: dict[str, Sequence[Any]], context: Context) -> None:
    """Visitors that made themselves known; the latest word on each counts, whichever came in first."""
    columns = (rows["occurred_at"], rows["type"], rows["visitor"], rows["contact_id"])
    said = sorted(
        (at, visitor, contact)
        for at, kind, visitor, contact in zip(*columns, strict=True)
        if kind == identity.IDENTIFY and visitor is not None and contact is not None
    )
    latest = sorted({visitor: (at, contact) for at, visitor, contact in said}.items())
    with _noted(session, [visitor for visitor, _ in latest], context.journal):
        for visitor, (at, contact) in latest:
            identity.identify(session, visitor, contact, EPOCH + timedelta(microseconds=at))


@contextmanager
def _noted(session: Session, visitors: Sequence[str], journal: Journal | None) -> Iterator[None]:
    """Note whose these visitors become, and which of their events join a contact."""
    if journal is None or not visitors:
        yield
        return
    theirs = Identity.kind == identity.VISITOR, among(session, Identity.value, visitors)
    known = select(Identity.id, Identity.contact_id, Identity.created_at).where(*theirs)
    nobody = select(Event.id).where(among(session, Event.visitor, visitors), Event.contact_id.is_(None))
    before = {row.id: row for row in session.execute(known)}
    joining = session.scalars(nobody).all()
    yield
    after = {row.id: row for row in session.execute(known)}
    journal.created(IDENTITIES, after.keys() - before.keys())
    for one in after.keys() & before.keys():
        journal.changed(IDENTITIES, one, before[one]._asdict(), after[one]._asdict())
    found = select(Event.id, Event.contact_id).where(Event.id.in_(rows_among(session, joining)))
    own = identity.owners(session, EVENTS.name, joining)
    for row in session.execute(found):
        journal.changed(EVENTS, row.id, {"contact_id": None}, {"contact_id": own.get(row.id, row.contact_id)})
