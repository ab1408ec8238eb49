"""From an anonymous visitor to a known contact."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CursorResult, select, update
from sqlalchemy.orm import Session

from engine.database import insert_new, next_revision
from engine.errors import Invalid, NotFound
from engine.models import Contact, Event, Identity

VISITOR = "visitor"


def identify(session: Session, visitor: str, contact_id: int, at: datetime) -> int:
    """The visitor turned out to be this contact: what they did before joins the contact's history.

    Returns how many events moved. A visitor known as somebody else (a shared device) belongs to the new contact
    from now on, unless that word is later than `at`: records come in any order. Events that already had an owner
    stay where they are.
    """
    limit = Event.__table__.c.visitor.type.length or 0  # type: ignore[attr-defined]
    if not visitor or len(visitor) > limit:
        raise Invalid(f"A visitor is named by 1 to {limit} characters.", field="visitor")
    if session.get(Contact, contact_id) is None:
        raise NotFound(f"There is no contact {contact_id}.")
    row = {"contact_id": contact_id, "kind": VISITOR, "value": visitor, "created_at": at}
    insert_new(session, Identity.__table__, [row], ["kind", "value"])  # type: ignore[arg-type]
    session.execute(
        update(Identity)
        .where(Identity.kind == VISITOR, Identity.value == visitor, Identity.created_at <= at)
        .values(contact_id=contact_id, created_at=at)
    )
    moved = session.execute(
        update(Event)
        .where(Event.visitor == visitor, Event.contact_id.is_(None))
        .values(contact_id=contact_id, revision=next_revision(session)),
        execution_options={"synchronize_session": False},
    )
    assert isinstance(moved, CursorResult)
    return moved.rowcount


def contact_of_visitor(session: Session, visitor: str) -> int | None:
    """The contact a visitor is known to be."""
    return session.scalar(select(Identity.contact_id).where(Identity.kind == VISITOR, Identity.value == visitor))
