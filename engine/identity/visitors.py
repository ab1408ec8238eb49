"""From an anonymous visitor to a known contact."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Final
from zlib import crc32

from sqlalchemy import CursorResult, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from engine.database import among, next_revision, take_turn
from engine.errors import Invalid, NotFound
from engine.identity.rows import rehome
from engine.models import Contact, Event, Identity, MergedRow

VISITOR = "visitor"
IDENTIFY = "identify"  # the event by which a visitor makes themselves known
DOORS: Final = 64  # visitors share them, since a file names more than PostgreSQL has room for locks
_WHOLE = {"synchronize_session": False}


def hold(session: Session, writing: Iterable[str], becoming: Iterable[str] = ()) -> None:
    """Before events of visitors are written and before visitors become somebody: the one waits until the other is
    committed, or an event of that moment would stay nobody's for ever. Those who write do not wait for each other.
    """
    shared = dict.fromkeys(map(_door, writing), True)
    for door, is_shared in sorted((shared | dict.fromkeys(map(_door, becoming), False)).items()):
        take_turn(session, f"visitors {door}", shared=is_shared)


def _door(visitor: str) -> int:
    return crc32(visitor.encode()) % DOORS


def identify(session: Session, visitor: str, contact_id: int, at: datetime) -> int:
    """The visitor turned out to be this contact: what they did before joins the contact's history.

    Returns how many events moved. A visitor known as somebody else (a shared device) belongs to the new contact
    from now on, unless that word is later than `at`: records come in any order. Events that already had an owner
    stay where they are.
    """
    limit = Event.__table__.c.visitor.type.length or 0  # type: ignore[attr-defined]
    if not visitor or len(visitor) > limit:
        raise Invalid(f"A visitor is named by 1 to {limit} characters.", field="visitor")
    contact = session.get(Contact, contact_id)
    if contact is None:
        raise NotFound(f"There is no contact {contact_id}.")
    hold(session, (), [visitor])
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    row = {"contact_id": contact_id, "kind": VISITOR, "value": visitor, "created_at": at}
    session.execute(dialect.insert(Identity).values(row).on_conflict_do_nothing())
    session.execute(
        update(Identity)
        .where(Identity.kind == VISITOR, Identity.value == visitor, Identity.created_at <= at)
        .values(contact_id=contact_id, created_at=at),
        execution_options=_WHOLE,
    )
    moved = session.execute(
        update(Event)
        .where(Event.visitor == visitor, Event.contact_id.is_(None))
        .values(contact_id=contact_id, revision=next_revision(session)),
        execution_options=_WHOLE,
    )
    if contact.merged_into is not None:
        rehome(session, [contact_id])
    assert isinstance(moved, CursorResult)
    return moved.rowcount


def contact_of_visitor(session: Session, visitor: str) -> int | None:
    """The contact a visitor is known to be; of a merged one, the contact that was kept."""
    return contacts_of_visitors(session, [visitor]).get(visitor)


def contacts_of_visitors(session: Session, visitors: Collection[str]) -> dict[str, int]:
    """visitor -> contact, for the visitors that are known."""
    statement = (
        select(Identity.value, func.coalesce(Contact.merged_into, Contact.id).label("contact_id"))
        .join(Contact, Contact.id == Identity.contact_id)
        .where(Identity.kind == VISITOR, among(session, Identity.value, sorted(visitors)))
    )
    return {row.value: row.contact_id for row in session.execute(statement)} if visitors else {}


def owners_of_visitors(session: Session, visitors: Collection[str]) -> dict[str, int]:
    """visitor -> contact, for the visitors that are known; of a merged one this one itself. What is written to it has
    to be brought home (`rehome`), and is its own when the merge is undone.
    """
    theirs = Identity.kind == VISITOR, among(session, Identity.value, sorted(visitors))
    rows = select(Identity.value, Identity.contact_id).where(*theirs)
    return {row.value: row.contact_id for row in session.execute(rows)} if visitors else {}


def visitors_of(session: Session, contact_id: int) -> list[Identity]:
    """The devices that stand for a contact or for one merged into it, the latest first."""
    whole = select(Contact.id).where((Contact.id == contact_id) | (Contact.merged_into == contact_id))
    statement = select(Identity).where(Identity.kind == VISITOR, Identity.contact_id.in_(whole))
    return list(session.scalars(statement.order_by(Identity.created_at.desc(), Identity.id).limit(50)))


def mistaken(session: Session, visitor: str, contact_id: int) -> int:
    """The visitor is not the contact they are known as: what stands in both names, but for the words by which they
    were recognised, is anonymous again. How many events. Raises NotFound, also when they are known as somebody else. A
    later identify joins them anew.
    """
    hold(session, (), [visitor])
    if contact_of_visitor(session, visitor) != contact_id:
        raise NotFound("This browser is not known as this contact any more; open the contact again.")
    session.execute(
        delete(Identity).where(Identity.kind == VISITOR, Identity.value == visitor), execution_options=_WHOLE
    )
    theirs = (Event.visitor == visitor, Event.contact_id == contact_id, Event.type != IDENTIFY)
    marks = MergedRow.table_name == "events", MergedRow.row_id.in_(select(Event.id).where(*theirs))
    session.execute(delete(MergedRow).where(*marks), execution_options=_WHOLE)
    gone = session.execute(
        update(Event).where(*theirs).values(contact_id=None, revision=next_revision(session)),
        execution_options=_WHOLE,
    )
    assert isinstance(gone, CursorResult)
    return gone.rowcount
