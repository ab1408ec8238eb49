"""One contact: find, read, erase. What happened with them: engine.timeline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Final

from sqlalchemy import ColumnElement, delete, insert, literal, or_, select, update
from sqlalchemy.orm import Session

from engine import consent, identity
from engine.database import next_revision
from engine.errors import NotFound, Unavailable
from engine.identity import VISITOR
from engine.intake import journal
from engine.kept import Kept, kept
from engine.models import (
    Consent,
    Contact,
    ContactList,
    Deletion,
    Event,
    Identity,
    ListMember,
    ListPick,
    Order,
)

if TYPE_CHECKING:
    from engine.warehouse import Pin, Warehouse

TEXTS: Final = "texts of contacts"
COPIED: Final = "SELECT id, lower(concat_ws(chr(10), key, email, phone, first_name, last_name)) AS text FROM contacts"
WORDS: Final = 8  # more words than this in a search say nothing new


_forgetting: list[Callable[[Session, int, datetime], None]] = []


def on_erase(forget: Callable[[Session, int, datetime], None]) -> None:
    """Let an upper package forget its own rows about a contact (session, contact_id, now) before the contact goes."""
    if forget not in _forgetting:
        _forgetting.append(forget)


def get(session: Session, contact_id: int) -> Contact:
    """The contact; of one that was merged, the one that was kept. Raises NotFound."""
    contact = session.get(Contact, contact_id)
    if contact is None:
        raise NotFound(f"There is no contact {contact_id}; it may have been erased.")
    return session.get_one(Contact, contact.merged_into) if contact.merged_into else contact


def find(session: Session, key: str) -> Contact:
    """The contact by its key, or by that of one merged into it. Raises NotFound."""
    found = session.scalar(select(Contact.id).where(Contact.key == key))
    if found is None:
        raise NotFound(f"There is no contact with the key '{key[:128]}'; it may have been erased.")
    return get(session, found)


def search(
    session: Session, words: str, *, after: int | None = None, limit: int = 50, warehouse: Warehouse | None = None
) -> list[Contact]:
    """Contacts that hold every word in key, e-mail, telephone or name, by id; `after` is the last id seen. With a
    `warehouse` its copy is asked, brought up to date before: a million contacts take 0.1 s there, in SQL 1 s.
    """
    asked = words.split()[:WORDS]
    if warehouse and asked:
        with suppress(Unavailable):
            return _search_copy(session, warehouse, asked, after or 0, limit)
    statement = select(Contact).where(Contact.merged_into.is_(None)).order_by(Contact.id).limit(limit)
    if after is not None:
        statement = statement.where(Contact.id > after)
    for word in asked:
        statement = statement.where(_holds(word, is_sqlite=session.get_bind().dialect.name == "sqlite"))
    return list(session.scalars(statement))


def _search_copy(session: Session, warehouse: Warehouse, words: Sequence[str], after: int, limit: int) -> list[Contact]:
    """Those who went since the copy was made are left out, and the page is filled up."""
    warehouse.refresh()
    found: list[Contact] = []
    while len(found) < limit:
        wanted, last = limit - len(found), after
        ids = warehouse.pinned(lambda pin: _copied(pin, kept(warehouse), words, last, wanted))  # noqa: B023
        rows = select(Contact).where(Contact.id.in_(ids), Contact.merged_into.is_(None)).order_by(Contact.id)
        found += session.scalars(rows)
        if len(ids) < wanted:
            break
        after = ids[-1]
    return found


def _copied(pin: Pin, known: Kept, words: Sequence[str], after: int, limit: int) -> list[int]:
    """Their ids. Who asks again, as while typing, finds the texts in memory."""
    state, rows = pin.names["contacts"], pin.bound(COPIED, ["contacts"])
    again = known.again(("searched", state))
    texts = {TEXTS: known.get((TEXTS, state), lambda: pin.query(rows))} if again else {}
    quoted = (word.replace("'", "''") for word in words)
    holds = " AND ".join(f"contains(text, lower('{word}'))" for word in quoted)
    source = f'"{TEXTS}"' if again else f"({rows})"
    sql = f"SELECT id FROM {source} WHERE id > {after} AND {holds} ORDER BY id LIMIT {limit}"
    ids: list[int] = pin.query(sql, texts)["id"].to_pylist()
    return ids


def _holds(word: str, *, is_sqlite: bool) -> ColumnElement[bool]:
    """SQLite's LIKE takes no notice of case by itself; lower() around it doubles the 0.4 s for a million contacts."""
    columns = (Contact.key, Contact.email, Contact.phone, Contact.first_name, Contact.last_name)
    holds = "contains" if is_sqlite else "icontains"
    return or_(*(getattr(column, holds)(word, autoescape=True) for column in columns))


def erase(session: Session, contact_id: int, now: datetime) -> None:
    """Forget a person: contact, identities, consents, list memberships and events go, orders stay without a name,
    the addresses stay suppressed as digests. The warehouse forgets by the Deletion rows, the journal of imports what
    they were before. Files of refused records are not searched: they live for `engine.intake.leftovers.REJECTS_LIFE`.
    Whoever was merged with them is forgotten as well. Raises NotFound.
    """
    people = identity.erased(session, get(session, contact_id).id)
    for one in people:
        _erase(session, one, now)
    journal.forget(session, people)


def _erase(session: Session, contact_id: int, now: datetime) -> None:
    contact = session.get_one(Contact, contact_id, with_for_update=True, populate_existing=True)
    for forget in _forgetting:
        forget(session, contact_id, now)
    revision = next_revision(session)
    for channel, address in (("email", contact.email), ("sms", contact.phone)):
        if address:
            _keep_silent(session, channel, address, now)
    visitors = select(Identity.value).where(Identity.contact_id == contact_id, Identity.kind == VISITOR)
    theirs = or_(Event.contact_id == contact_id, Event.contact_id.is_(None) & Event.visitor.in_(visitors))
    words = Consent.contact_id == contact_id
    for rows in (
        select(literal("events"), Event.id, literal(revision)).where(theirs),
        select(literal("consents"), Consent.id, literal(revision)).where(words),
    ):
        session.execute(insert(Deletion).from_select(["table_name", "row_id", "revision"], rows))
    whole = {"synchronize_session": False}
    session.execute(delete(Event).where(theirs), execution_options=whole)
    session.execute(
        update(Order).where(Order.contact_id == contact_id).values(contact_id=None, revision=revision),
        execution_options=whole,
    )
    session.add(Deletion(table_name="contacts", row_id=contact_id, revision=revision))
    _leave_lists(session, contact_id)
    session.delete(contact)  # identities, consents and list memberships follow by ON DELETE CASCADE
    session.flush()


def _leave_lists(session: Session, contact_id: int) -> None:
    """Frozen lists on which they stand hold one less; dynamic ones are counted anew."""
    kept = select(ListMember.list_id).where(ListMember.contact_id == contact_id)
    added, taken = (
        select(ListPick.list_id).where(ListPick.contact_id == contact_id, ListPick.added.is_(way))
        for way in (True, False)
    )
    stands = ContactList.id.in_(kept.union(added)), ContactList.id.not_in(taken)
    frozen = update(ContactList).where(ContactList.frozen_at.is_not(None), ContactList.size > 0, *stands)
    session.execute(frozen.values(size=ContactList.size - 1), execution_options={"synchronize_session": False})


def _keep_silent(session: Session, channel: str, address: str, now: datetime) -> None:
    """Suppress as a digest; a readable row of the same address goes."""
    consent.forget_suppression(session, channel, address)
    consent.suppress(session, channel, consent.erased(address), "erased", now)
