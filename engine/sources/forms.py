"""Forms: kept with a version, closed and opened, and what becomes of an answer."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from engine import consent, contacts, identity
from engine.config import Config
from engine.consent import ADDRESSES
from engine.database import next_revision
from engine.errors import Conflict, Invalid, NotFound
from engine.identity import names
from engine.identity.names import NAME_LIMIT
from engine.models import OWN_KEYS, Contact, Event, Form
from engine.sources import people, questions
from engine.sources.questions import ORIGINS, Definition

EVENT: Final = "survey"
MOST: Final = 500  # forms of a shop
KEY: Final = f"{OWN_KEYS}answer:"  # begins the keys of answers: nobody outside can take one before it comes


@dataclass(frozen=True)
class Ask:
    """What the owner of an address has to confirm before it counts: a consent (its wording), facts to change, that the
    browser is theirs, and the `answer` itself (the key of its event).
    """

    channel: str
    address: str
    wording: str | None
    facts: Mapping[str, Any] = field(default_factory=dict)
    visitor: str | None = None
    answer: str | None = None


@dataclass(frozen=True)
class Answer:
    """What somebody sent: values by question (`questions.read`), the channels they agreed to, the browser, and a
    `nonce` that names this sending of the form, so that it counts once.
    """

    values: Mapping[str, Any]
    consents: Collection[str]
    visitor: str | None
    nonce: str


@dataclass(frozen=True)
class Answered:
    """What came of an answer. `new`: it was not known before; `asks` go to who can send a message."""

    contact_id: int | None
    new: bool
    asks: list[Ask] = field(default_factory=list)


def get(session: Session, form_id: int) -> Form:
    """The form; raises NotFound."""
    form = session.get(Form, form_id)
    if form is None:
        raise NotFound(f"There is no form {form_id}.")
    return form


def find(session: Session, key: str) -> Form:
    """The form at a public address; raises NotFound."""
    form = session.scalars(select(Form).where(Form.key == key[:32])).one_or_none()
    if form is None:
        raise NotFound("There is no form at this address.")
    return form


def every(session: Session) -> Sequence[Form]:
    """All forms, open ones first, the newest first."""
    return session.scalars(select(Form).order_by(Form.closed_at.is_not(None), Form.id.desc()).limit(MOST)).all()


def save(
    session: Session,
    form_id: int | None,
    name: str,
    origin: str,
    given: Mapping[str, Any],
    *,
    version: int | None = None,
    now: datetime,
) -> Form:
    """Make or change a form. Raises Invalid with the path to the fault, and Conflict when `version` is not the
    present one: somebody else was faster.
    """
    definition = questions.parse(given)
    name = name.strip()[:128] or definition.title[:128]
    if origin not in ORIGINS:
        raise Invalid(f"The origin is one of {', '.join(ORIGINS)}.", field="origin")
    if form_id is None:
        return _make(session, name, origin, definition, now)
    form = get(session, form_id)
    changed = {"name": name, "origin": origin, "definition": definition.json(), "updated_at": now}
    guarded = update(Form).where(Form.id == form_id, Form.version == (version or form.version))
    written = session.connection().execute(guarded.values(changed | {"version": Form.version + 1}))
    if written.rowcount != 1:
        raise Conflict("Somebody else changed this form meanwhile; nothing was written.")
    session.refresh(form)
    return form


def _make(session: Session, name: str, origin: str, definition: Definition, now: datetime) -> Form:
    stamps = {"created_at": now, "updated_at": now}
    form = Form(key=people.short(7), name=name, origin=origin, definition=definition.json(), **stamps)
    session.add(form)
    session.flush()
    return form


def close(session: Session, form_id: int, *, now: datetime) -> None:
    """Take no more answers."""
    get(session, form_id).closed_at = now


def reopen(session: Session, form_id: int) -> None:
    """Take answers again."""
    get(session, form_id).closed_at = None


def answer(session: Session, form: Form, given: Answer, *, now: datetime, config: Config) -> Answered:
    """Take an answer. A stranger may know somebody's address: who is new bears no name before an address is confirmed,
    so that nothing of theirs joins anybody else. Of a contact who is known nothing counts before the owner of the
    address confirmed it (`Ask`), unless it is the contact's own browser or there is no double opt-in: then the answer
    counts and what is empty is filled; facts that differ, addresses and a "yes" after a "no" wait, and without double
    opt-in such facts are left alone. Raises Invalid for what intake refuses.
    """
    names.alone(session)  # two answers with one new address make one contact
    if session.scalar(select(Event.id).where(Event.key == KEY + given.nonce)):
        return Answered(None, new=False)
    definition = questions.parse(form.definition)
    facts = {
        question.target: given.values[question.name]
        for question in definition.questions
        if question.target and question.name in given.values
    }
    taking = Taking(session, form, definition, given, facts, now, config)
    contact = people.find(session, facts.get("email"), facts.get("phone"), proven=definition.double_opt_in)
    return taking.known(contact) if contact else taking.unknown()


def own(session: Session, key: str, contact_id: int) -> None:
    """An answer that was nobody's is this contact's: the owner of the address said so."""
    theirs = Event.key == key, Event.contact_id.is_(None)
    values = {"contact_id": contact_id, "revision": next_revision(session)}
    session.execute(update(Event).where(*theirs).values(values), execution_options={"synchronize_session": False})
    identity.rehome(session, [contact_id])


@dataclass(frozen=True)
class Taking:
    """One answer on its way in; `facts` are the answers that go to columns of contacts."""

    session: Session
    form: Form
    definition: Definition
    given: Answer
    facts: Mapping[str, Any]
    now: datetime
    config: Config

    def known(self, contact: Contact) -> Answered:
        """The answer of somebody whose address we had."""
        visitor = self.given.visitor
        theirs = visitor is not None and identity.contact_of_visitor(self.session, visitor) == contact.id
        if theirs or not self.definition.double_opt_in:
            self._note({"contact": contact.key}, visitor=None, origin=self.form.origin)
            held = self._fill(contact, but=ADDRESSES.values())
            waits = held if self.definition.double_opt_in else {}
            return Answered(contact.id, new=True, asks=self._asks(contact, facts=waits))
        self._note({}, visitor=people.short(20), origin=self.form.origin)  # nobody's: the browser may be another's
        asked = self._asks(contact, facts=self._fill(contact, but=self.facts), visitor=visitor, answer=self._key)
        return Answered(contact.id, new=True, asks=asked)

    def unknown(self) -> Answered:
        """The answer of somebody new, or of nobody we could find again."""
        address: str = self.facts.get("email") or self.facts.get("phone") or ""
        who = {"contact": identity.FORM + people.short(20)} if address else {}
        flyer = people.came_by_flyer(self.session, self.given.visitor)
        visitor = self.given.visitor or (None if who else people.short(20))  # a visitor of this one moment
        self._note(who, visitor=visitor, origin=people.ORIGIN_FLYER if flyer else self.form.origin)
        if not who:
            return Answered(None, new=True)
        if len(address) > NAME_LIMIT:
            raise Invalid(f"An address has at most {NAME_LIMIT} characters.", field="email")
        contact = contacts.find(self.session, who["contact"])
        self._fill(contact, but=())
        if self.given.visitor:
            identity.identify(self.session, self.given.visitor, contact.id, self.now)
        return Answered(contact.id, new=True, asks=self._asks(contact, prove="email" in self.facts))

    def _fill(self, contact: Contact, but: Collection[str]) -> dict[str, Any]:
        """Fill what is empty; what is left and differs."""
        there = {column: people.known(contact, column) for column in self.facts}
        empty = {c: value for c, value in self.facts.items() if there[c] in (None, "", []) and c not in but}
        if empty:
            origin = self.form.origin
            people.write(self.session, contact.key, empty, origin=origin, now=self.now, config=self.config)
        left = {column: value for column, value in self.facts.items() if column not in empty}
        return {column: value for column, value in left.items() if str(there[column]) != str(value)}

    def _note(self, who: Mapping[str, str], *, visitor: str | None, origin: str) -> None:
        """The event; `origin` of a contact who is made by it."""
        agreed = {f"{channel}_consent": channel in self.given.consents for channel in self.definition.consents}
        event = {
            "key": self._key,
            "type": EVENT,
            "at": self.now.isoformat(),
            **who,
            "visitor": visitor,
            "origin": self.form.origin,
            "properties": {"form": self.form.key, **self.given.values, **agreed},
        }
        people.take(self.session, "events", [event], origin=origin, now=self.now, config=self.config)

    @property
    def _key(self) -> str:
        return KEY + self.given.nonce

    def _asks(self, contact: Contact, *, prove: bool = False, **held: Any) -> list[Ask]:
        """Write the consents that count at once; what has to wait for the owner of an address: `held` (of `Ask`) for
        the main one. `prove`: that the address is theirs, too.
        """
        waiting = self._grant(contact)
        main = "email" if self.facts.get("email") else "sms"
        if self.definition.double_opt_in and (prove or any(held.values())):
            waiting.setdefault(main, None)
        return [
            Ask(channel, self.facts[ADDRESSES[channel]], wording, **(held if channel == main else {}))
            for channel, wording in waiting.items()
        ]

    def _grant(self, contact: Contact) -> dict[str, str | None]:
        """Channel -> wording of the consents that wait. One for an address that is not the contact's own does neither
        count nor wait: it stands in the event alone.
        """
        waiting: dict[str, str | None] = {}
        for channel, wording in self.definition.consents.items():
            address = self.facts.get(ADDRESSES[channel])
            if channel not in self.given.consents or not address or getattr(contact, ADDRESSES[channel]) != address:
                continue
            refused = getattr(contact, f"{channel}_consent") is False
            if self.definition.double_opt_in or refused or consent.is_suppressed(self.session, channel, address):
                waiting[channel] = wording
                continue
            evidence = f"form {self.form.key} “{self.form.name}”: “{wording}”"
            consent.record(
                self.session, contact.id, channel, True, origin=self.form.origin, evidence=evidence, now=self.now
            )
        return waiting
