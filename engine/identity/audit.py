"""Which contacts were merged, by whom, when and why, and which merges were undone."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session, aliased

from engine.models import Contact, Merge


@dataclass(frozen=True)
class Made:
    """A merge with the two contacts it is of."""

    merge: Merge
    merged: Contact
    kept: Contact


def latest(session: Session, *, before: int | None = None, limit: int = 50) -> list[Made]:
    """Merges, those undone included, the newest first; `before` is the id of the last one seen."""
    return _made(session, Merge.id < before if before else Merge.id > 0, limit)


def of_contact(session: Session, contact_id: int, *, limit: int = 50) -> list[Made]:
    """The merges that a contact, or one merged into it, is or was a part of, the newest first."""
    whole = select(Contact.id).where((Contact.id == contact_id) | (Contact.merged_into == contact_id))
    return _made(session, Merge.kept_id.in_(whole) | Merge.merged_id.in_(whole), limit)


def _made(session: Session, which: ColumnElement[bool], limit: int) -> list[Made]:
    kept = aliased(Contact)
    found = session.execute(
        select(Merge, Contact, kept)
        .join(Contact, Contact.id == Merge.merged_id)
        .join(kept, kept.id == Merge.kept_id)
        .where(which)
        .order_by(Merge.id.desc())
        .limit(limit)
    )
    return [Made(row[0], row[1], row[2]) for row in found]
