"""Contacts, and the consent they gave."""

from __future__ import annotations

from typing import Final

from sqlalchemy import func, insert, literal, or_, select, update
from sqlalchemy.orm import Session

from engine.database import UtcDateTime
from engine.intake.bulk import Counts, Staged
from engine.intake.parsing import Batch, Reject
from engine.intake.writers.context import CONTACTS, Context, Folded, fold
from engine.models import CHANNELS, Consent, Contact, new_bucket

FILE: Final = "import"  # origin of a file that nobody named another way in for


def prepare(batch: Batch, _currency: str) -> tuple[Folded, list[Reject]]:
    """One record per key."""
    return fold(batch, "attributes")


def write(session: Session, contacts: Folded, context: Context) -> Counts:
    """Insert what is new, change what differs, and put changed consent into the ledger."""
    keys = contacts.columns["key"]
    staged = Staged(session, CONTACTS, contacts.columns | {"bucket": [new_bucket() for _ in keys]})
    created = staged.insert({"attributes": {}, "origin": context.origin}, context.now)
    staged.lock()
    for channel in CHANNELS:
        if f"{channel}_consent" in contacts.columns:
            if context.origin == FILE:
                _keep_withdrawn(session, staged, channel)
            _record(session, staged, channel, context)
    updated = staged.update(context.now)
    return Counts(created, updated, contacts.rows - created - updated)


def _keep_withdrawn(session: Session, staged: Staged, channel: str) -> None:
    """A "yes" of a customer file is as old as the file: it never overturns a "no" that came since. A living word
    (origin api, survey, call ...) does.
    """
    column = f"{channel}_consent"
    refused = select(Contact.key).where(getattr(Contact, column).is_(False))
    stale = staged.stage.c[column].is_(True) & staged.stage.c.key.in_(refused)
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
        )
        .join(staged.stage, staged.stage.c.key == Contact.key)
        .where(said.is_not(None), or_(last.is_distinct_from(said), first))
        .order_by(Contact.id)
    )
    columns = ["contact_id", "channel", "granted", "origin", "evidence", "at"]
    session.execute(insert(Consent).from_select(columns, words))
