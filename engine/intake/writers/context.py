"""What writers share: the moment and the way in, records of one key made one, contacts and items by key."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Table, select
from sqlalchemy.orm import Session

from engine import identity
from engine.identity import names
from engine.identity.rows import among
from engine.intake.bulk import Staged, ids
from engine.intake.finding import Wins
from engine.intake.journal import Journal
from engine.intake.parsing import CLEARS, Batch, Reject, mark, marked
from engine.models import Contact, Identity, Item, new_bucket

CONTACTS: Table = Contact.__table__  # type: ignore[assignment]
ITEMS: Table = Item.__table__  # type: ignore[assignment]
IDENTITIES: Table = Identity.__table__  # type: ignore[assignment]


@dataclass(frozen=True)
class Context:
    """When, and how it came in. A `living` word was said now; a file is as old as the file, whatever its origin."""

    now: datetime
    currency: str
    origin: str
    evidence: str
    living: bool = True
    journal: Journal | None = None
    wins: Wins = "file"


@dataclass(frozen=True)
class Folded:
    """One record per key; `rows` counts the records before."""

    columns: dict[str, list[Any]]
    rows: int


def fold(batch: Batch, own: str) -> tuple[Folded, list[Reject]]:
    """Make the records of one key one: the last word on each field counts, the shop's `own` fields are merged."""
    keys = batch.columns["key"]
    if len(set(keys)) == len(keys):
        return Folded(batch.columns, len(batch)), []
    merged: dict[str, dict[str, Any]] = {}
    for row in zip(*batch.columns.values(), strict=True):
        said = {name: value for name, value in zip(batch.columns, row, strict=True) if value is not None}
        there = merged.pop(said["key"], {})  # back at the end: the keys come sorted, so that is its place
        if own in there and own in said:
            said[own] = json.dumps(json.loads(there[own]) | json.loads(said[own]), ensure_ascii=False)
        gone = marked(there.get(CLEARS)) - said.keys() | marked(said.get(CLEARS))
        kept = {name: value for name, value in there.items() if name not in gone}
        merged[said["key"]] = kept | said | {CLEARS: mark(gone)}
    columns = {name: [record.get(name) for record in merged.values()] for name in batch.columns}
    return Folded(columns, len(batch)), []


def _contacts(session: Session, keys: Iterable[str | None], context: Context) -> dict[str, Any]:
    """key -> row with `id` and `merged_into`; contacts nobody has met yet are created."""
    wanted = sorted({key for key in keys if key is not None})
    found = ids(session, CONTACTS, wanted, Contact.merged_into)
    missing = [key for key in wanted if key not in found]
    if missing:
        columns: dict[str, list[Any]] = {"key": missing, "bucket": [new_bucket() for _ in missing]}
        defaults = {"attributes": {}, "origin": context.origin}
        Staged(session, CONTACTS, columns, context.journal).insert(defaults, context.now)
        found |= ids(session, CONTACTS, missing, Contact.merged_into)
    return found


@dataclass(frozen=True)
class People:
    """Whom the records of a batch speak of: a contact id for each, or None; `settle` when they are written."""

    ids: list[int | None]
    named: set[int]  # who is named with something new
    merged: set[int]  # who was merged away: what is written to them belongs to the kept one

    def settle(self, session: Session, context: Context) -> None:
        """Bring merges and history to where they belong."""
        identity.rehome(session, self.merged)
        identity.settle(session, self.named, context.now)


def people(session: Session, columns: Mapping[str, Sequence[Any]], count: int, context: Context) -> People:
    """By customer number, else by card, e-mail or telephone (columns `contact`, `card`, `email`, `phone`); contacts
    nobody has met yet are created. What somebody is named with beside that is written down.
    """
    nothing = [None] * count
    numbers, *others = (columns.get(name, nothing) for name in ("contact", *names.KINDS))
    said = [
        [(kind, value) for kind, value in zip(names.KINDS, row, strict=True) if value is not None]
        for row in zip(*others, strict=True)
    ]
    keys = [
        number if number is not None else names.key_of(*some[0]) if some else None
        for number, some in zip(numbers, said, strict=True)
    ]
    if any(said):
        names.alone(session)
    found = _contacts(session, keys, context)
    theirs = [found[key].id if key is not None else None for key in keys]
    claims = {(kind, value, who) for who, some in zip(theirs, said, strict=True) for kind, value in some if who}
    named = claim(session, claims, context) if claims else set()
    return People(theirs, named, {row.id for row in found.values() if row.merged_into is not None})


def claim(session: Session, claims: Collection[tuple[str, str, int]], context: Context) -> set[int]:
    """`names.claim`, noted in the journal; provisional contacts show it."""
    named = names.claim(session, claims, context.now)
    if context.journal is not None and named:
        theirs = select(Identity.id, Identity.kind, Identity.value, Identity.contact_id).where(
            Identity.contact_id.in_(among(session, named)), Identity.created_at == context.now
        )
        rows = session.execute(theirs)
        said = set(claims)
        context.journal.created(IDENTITIES, (row.id for row in rows if tuple(row[1:]) in said))
    if named:
        with identity.unfolded(session, named):
            names.show(session, named)
    return named


def item_rows(session: Session, titles: Mapping[str, str | None], context: Context) -> dict[str, Any]:
    """key -> row with `id` and `cost`; unknown items are created, and one without a title takes the one given."""
    wanted = sorted(titles)
    found = ids(session, ITEMS, wanted, Item.cost, Item.title)
    missing = [key for key in wanted if key not in found]
    if missing:
        columns: dict[str, list[Any]] = {"key": missing, "title": [titles[key] for key in missing]}
        defaults = {"attributes": {}, "currency": context.currency, "active": True, "recommendable": True}
        Staged(session, ITEMS, columns, context.journal).insert(defaults, context.now)
        found |= ids(session, ITEMS, missing, Item.cost, Item.title)
    unnamed = [key for key in wanted if found[key].title is None and titles[key] is not None]
    if unnamed:
        given: dict[str, list[Any]] = {"key": unnamed, "title": [titles[key] for key in unnamed]}
        Staged(session, ITEMS, given, context.journal).update(context.now)
    return found
