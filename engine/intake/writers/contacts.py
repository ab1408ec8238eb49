"""Contacts, and the consent they gave."""

from __future__ import annotations

from typing import Any

from sqlalchemy import exists, func, insert, literal, or_, select, update
from sqlalchemy.orm import Session

from engine import identity
from engine.consent import ADDRESSES, suppressed
from engine.database import UtcDateTime, next_revision
from engine.identity import names
from engine.intake import finding
from engine.intake.bulk import Counts, Staged, ids
from engine.intake.parsing import Batch, Reject
from engine.intake.writers.context import CONTACTS, Context, Folded, claim, fold
from engine.models import CHANNELS, Consent, Contact, new_bucket


def prepare(batch: Batch, _currency: str) -> tuple[Folded, list[Reject]]:
    """One record per key."""
    return fold(batch, "attributes")


def write(session: Session, contacts: Folded, context: Context) -> Counts:
    """Insert what is new, change what differs, put changed consent into the ledger, and see who is one person."""
    keys = contacts.columns["key"]
    columns, said = finding.provisional(finding.won(session, contacts.columns, context.wins))
    if not said and not identity.is_used(session):
        return _write(session, columns, contacts.rows, context)
    names.alone(session)
    there = [row.id for row in ids(session, CONTACTS, keys).values()]
    around = identity.linked(session, there)
    with identity.unfolded(session, there):
        counts = _write(session, columns, contacts.rows, context)
    found = {key: row.id for key, row in ids(session, CONTACTS, keys).items()}
    claim(session, [(kind, value, found[key]) for kind, value, key in said], context)
    identity.settle(session, around | set(found.values()), context.now)
    return counts


def _write(session: Session, columns: dict[str, list[Any]], rows: int, context: Context) -> Counts:
    given = columns | {"bucket": [new_bucket() for _ in columns["key"]]}
    staged = Staged(session, CONTACTS, given, context.journal)
    created = staged.insert({"attributes": {}, "origin": context.origin}, context.now)
    staged.lock()
    for channel in CHANNELS:
        if f"{channel}_consent" in columns:
            _keep_withdrawn(session, staged, channel, living=context.living)
            _record(session, staged, channel, context)
    updated = staged.update(context.now)
    return Counts(created, updated, rows - created - updated)


def _keep_withdrawn(session: Session, staged: Staged, channel: str, *, living: bool) -> None:
    """No "yes" overturns the "no" of somebody whose address is suppressed: a system that sends all it knows every night
    repeats one from before the opt-out. A customer file is as old as the file, so its "yes" overturns no "no" at all; a
    living word does when the address may be spoken to.
    """
    column, address = f"{channel}_consent", ADDRESSES[channel]
    said = staged.stage.c
    refused = exists().where(Contact.key == said.key, getattr(Contact, column).is_(False))
    if living:  # by the address they will have, so that the same record twice changes nothing
        refused = refused.where(suppressed(channel, func.coalesce(said[address], getattr(Contact, address))))
    stale = said[column].is_(True) & refused
    session.execute(update(staged.stage).where(stale).values({column: None}))


def _record(session: Session, staged: Staged, channel: str, context: Context) -> None:
    """Words of consent that differ from the last one, or are the first one, join the ledger."""
    said = staged.stage.c[f"{channel}_consent"]
    last = CONTACTS.c[f"{channel}_consent"]
    # A count, because PostgreSQL answers NOT EXISTS beside OR by reading the whole ledger.
    words_before = select(func.count()).where(Consent.contact_id == Contact.id, Consent.channel == channel)
    first = words_before.scalar_subquery() == 0
    words = (
        select(
            Contact.id,
            literal(channel),
            said,
            literal(context.origin),
            literal(context.evidence),
            literal(context.now, UtcDateTime()),
            literal(next_revision(session)),
        )
        .join(staged.stage, staged.stage.c.key == Contact.key)
        .where(said.is_not(None), or_(last.is_distinct_from(said), first))
        .order_by(Contact.id)
    )
    columns = ["contact_id", "channel", "granted", "origin", "evidence", "at", "revision"]
    added = insert(Consent).from_select(columns, words).returning(Consent.id)
    ids_ = session.scalars(added).all()
    if context.journal is not None:
        context.journal.created(Consent.__table__, ids_)  # type: ignore[arg-type]
