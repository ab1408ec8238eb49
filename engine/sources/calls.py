"""Calls: what was said on the telephone, written down by who was there, and taken back at once when it was wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final

from sqlalchemy import delete, exists, insert, literal, select
from sqlalchemy.orm import Session

from engine import consent, contacts, identity
from engine.config import Config
from engine.consent import ADDRESSES
from engine.database import next_revision
from engine.errors import Conflict, Invalid, NotFound
from engine.identity import names
from engine.models import Contact, Deletion, Event, Item, Order
from engine.sources import people

EVENT: Final = "call"
ORIGIN: Final = "call"
AGAIN: Final = "call_again"  # own attribute: the day they want to be called
UNDO: Final = timedelta(minutes=10)


@dataclass(frozen=True)
class Call:
    """One call. `consents`: channel -> (yes or no, wording that was read aloud); `facts`: columns of contacts, filled
    where they are empty.
    """

    note: str = ""
    subject: str = ""
    item: str = ""  # key
    interest: str = ""  # a category
    again: date | None = None
    consents: Mapping[str, tuple[bool, str]] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Before:
    """What to go back to when a call is taken back: all of it text, for a signed address."""

    event_id: int
    made: bool  # the contact was made for this call
    again: str  # the day before, "" for none
    consents: Mapping[str, tuple[str, str]]  # channel -> (yes, no or "" before; the suppression that was lifted)


def find(session: Session, words: str, country: str, limit: int = 8) -> tuple[list[Contact], str | None]:
    """Whom the words may mean, and the number they are when they are one: the exact number first."""
    try:
        phone = consent.normalise("sms", words, country)
    except Invalid:
        return contacts.search(session, words, limit=limit), None
    mine = session.scalars(select(Contact).where(Contact.phone == phone).order_by(Contact.id).limit(limit)).all()
    return list(mine), phone


def record(
    session: Session, who: int | str, call: Call, *, by: str, now: datetime, config: Config
) -> tuple[Before, Contact]:
    """Write a call down; `who` is a contact, or the number (E.164) of somebody new, `by` who was at the telephone.
    Raises Invalid, and Conflict for a yes of somebody who is never to be spoken to again.
    """
    told = {
        "by": by[:128],
        "subject": call.subject,
        "note": call.note,
        "interest": call.interest,
        AGAIN: call.again.isoformat() if call.again else "",
    }
    if not any((call.note, call.subject, call.item, call.interest, call.again, call.consents)):
        raise Invalid("Write down what was said; a call without a word is no use to anybody.", field="note")
    if call.item and not session.scalar(select(exists().where(Item.key == call.item))):
        raise Invalid(f"There is no item {call.item[:60]}.", field="item")
    event = {
        "key": f"call-{people.short(20)}",
        "type": EVENT,
        "at": now.isoformat(),
        **({"phone": who} if isinstance(who, str) else {"contact": contacts.get(session, who).key}),
        "item": call.item or None,
        "origin": ORIGIN,
        "properties": {name: value for name, value in told.items() if value},
    }
    names.alone(session)
    people.take(session, "events", [event], origin=ORIGIN, now=now, config=config)
    written = session.scalars(select(Event).where(Event.key == event["key"])).one()
    contact = contacts.get(session, written.contact_id or 0)
    facts = {column: value for column, value in call.facts.items() if not people.known(contact, column)}
    if facts:  # before the consent, which may be for an address among them
        people.write(session, contact.key, facts, origin=ORIGIN, now=now, config=config)
        contact = contacts.get(session, written.contact_id or 0)
    before = str(contact.attributes.get(AGAIN) or "")
    if call.again:
        _again(session, contact.key, call.again.isoformat(), now, config)
    given = {c: _said(session, contact.id, c, *word, by=by, now=now) for c, word in call.consents.items()}
    return Before(written.id, isinstance(who, str), before, given), contact


def take_back(session: Session, before: Before, *, by: str, now: datetime, config: Config) -> bool:
    """The call was written down wrongly: the event goes, the day to call and the consent are as before (a consent that
    had never been asked becomes a no, because the ledger forgets nothing), and a contact that was made for it goes too,
    unless something else is known of them by now. True when the contact is gone. Raises NotFound, and Conflict after
    ten minutes.
    """
    names.alone(session)
    event = session.get(Event, before.event_id)
    if event is None or event.type != EVENT or event.contact_id is None:
        raise NotFound("This call was taken back already.")
    if now - event.occurred_at > UNDO:
        raise Conflict("A call can be taken back for ten minutes; write another one that puts it right.")
    contact = contacts.get(session, event.contact_id)
    identity.disown(session, "events", [event.id])
    _forget(session, "events", event.id)
    session.execute(delete(Event).where(Event.id == event.id))
    if before.made and not _anything_else(session, contact):
        _forget(session, "contacts", contact.id)
        session.delete(contact)
        return True
    for channel, (word, reason) in before.consents.items():
        why = f"taken back by {by}: written down by mistake"
        consent.record(session, contact.id, channel, word == "yes", origin=ORIGIN, evidence=why, now=now)
        address = getattr(contact, ADDRESSES[channel])
        if reason and address:
            consent.suppress(session, channel, address, reason, now)
    if str(contact.attributes.get(AGAIN) or "") != before.again:
        _again(session, contact.key, before.again or None, now, config)
    return False


def _again(session: Session, key: str, day: str | None, now: datetime, config: Config) -> None:
    people.write(session, key, {f"attributes.{AGAIN}": day}, origin=ORIGIN, now=now, config=config)


def _said(
    session: Session, contact_id: int, channel: str, granted: bool, wording: str, *, by: str, now: datetime
) -> tuple[str, str]:
    """Write a word given aloud, with its evidence; what was before, and the suppression a yes lifted."""
    contact = contacts.get(session, contact_id)
    before = {True: "yes", False: "no", None: ""}[getattr(contact, f"{channel}_consent")]
    address, lifted = getattr(contact, ADDRESSES[channel]), ""
    if granted and not wording:
        raise Invalid("Write down what was asked: the words are the evidence of a yes.", field="wording")
    if granted and not address:
        raise Invalid("There is no address on this channel to say yes for.", field=f"{channel}_consent")
    if granted:
        lifted = consent.suppression(session, channel, address) or ""
        consent.lift(session, channel, address)
    evidence = f"asked by {by} on the telephone, {now:%Y-%m-%d %H:%M} UTC" + (f": “{wording}”" if wording else "")
    consent.record(session, contact_id, channel, granted, origin=ORIGIN, evidence=evidence, now=now)
    return before, lifted


def _anything_else(session: Session, contact: Contact) -> bool:
    """Somebody with a customer number, with history, or made of several."""
    rows = (select(model.id).where(model.contact_id == contact.id).limit(1) for model in (Event, Order))
    return (
        not identity.is_provisional(contact.key)
        or bool(identity.members(session, contact.id))
        or any(session.scalar(row) for row in rows)
    )


def _forget(session: Session, table: str, row_id: int) -> None:
    """Tell the warehouse."""
    row = select(literal(table), literal(row_id), literal(next_revision(session)))
    session.execute(insert(Deletion).from_select(["table_name", "row_id", "revision"], row))
