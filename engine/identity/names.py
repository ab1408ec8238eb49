"""Contacts that are known by a card, an e-mail address or a telephone instead of a customer number.

Such a contact is provisional: its key says what it is known by (`card:4711`, `email:ann@shop.example`,
`phone:+442071838750`). What somebody was named with beside that are `Identity` rows of the same kinds. Who filled
a form in (`form:...`) bears no name until the owner of the address has confirmed it: what anybody typed joins nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session
from sqlalchemy.sql.expression import SQLColumnExpression

from engine.database import among as texts
from engine.database import next_revision, take_turn
from engine.identity.rows import among
from engine.models import Contact, Identity

KINDS: Final = ("card", "email", "phone")  # the strongest first: it names the contact, the others are named with it
COLUMNS: Final = {"email": Contact.email, "phone": Contact.phone}  # where a customer's own stand

FORM: Final = "form:"  # begins the keys of people who filled a form in

NAME_LIMIT: Final = 120  # of a value, so that the kind fits into a key of 128 characters with it

Name = tuple[str, str]  # kind, value


def key_of(kind: str, value: str) -> str:
    """The key of the contact known by this alone."""
    return f"{kind}:{value}"


def name_of(key: str) -> Name | None:
    """What a provisional contact is known by; None for a customer number."""
    kind, colon, value = key.partition(":")
    return (kind, value) if colon and kind in KINDS else None


def is_provisional(key: str) -> bool:
    """Known by no customer number."""
    return name_of(key) is not None or key.startswith(FORM)


def rank(key: str) -> tuple[int, str]:
    """Which of several is kept: a customer, a card, an address, an answer to a form; then the smaller key."""
    known = name_of(key)
    return (KINDS.index(known[0]) + 1 if known else len(KINDS) + 1 if key.startswith(FORM) else 0, key)


def provisional(column: SQLColumnExpression[str]) -> ColumnElement[bool]:
    """SQL condition on a key."""
    return or_(_known_by_key(column), column.startswith(FORM, autoescape=True))


def unproven() -> ColumnElement[bool]:
    """SQL condition on a contact: somebody filled a form in, and no address was confirmed."""
    named = exists().where(Identity.contact_id == Contact.id, Identity.kind.in_(KINDS))
    return Contact.key.startswith(FORM, autoescape=True) & ~named


def _known_by_key(column: SQLColumnExpression[str]) -> ColumnElement[bool]:
    return or_(*(column.startswith(f"{kind}:", autoescape=True) for kind in KINDS))


def alone(session: Session) -> None:
    """Let nobody else name or merge people until the end of the transaction: two who name one person at the same time
    would not see each other, and nobody would merge what they said. Before any row is written or locked, a row about a
    contact too: whoever is first would wait for it, and it for them. SQLite has one writer.
    """
    take_turn(session, "who is who")


def show(session: Session, contact_ids: Collection[int]) -> None:
    """Give provisional contacts the addresses they are named with; of several the first by letters."""
    ids = among(session, contact_ids)
    for kind, column in COLUMNS.items():
        first = select(func.min(Identity.value)).where(Identity.kind == kind, Identity.contact_id == Contact.id)
        theirs = Contact.id.in_(ids), _known_by_key(Contact.key)
        address = first.correlate(Contact).scalar_subquery()
        values = {column.key: address, "revision": next_revision(session)}
        session.execute(
            update(Contact).where(*theirs, column.is_distinct_from(address)).values(values),
            execution_options={"synchronize_session": False},
        )


def claim(session: Session, names: Iterable[tuple[str, str, int]], now: datetime) -> set[int]:
    """Write down (kind, value, contact id); which contacts have a new one."""
    wanted = sorted(set(names))
    new: list[dict[str, object]] = []
    for start in range(0, len(wanted), 10_000):
        some = wanted[start : start + 10_000]
        theirs = Identity.contact_id.in_(among(session, {contact_id for _, _, contact_id in some}))
        there = set(session.execute(select(Identity.kind, Identity.value, Identity.contact_id).where(theirs)))
        new += [
            {"kind": kind, "value": value, "contact_id": contact_id, "created_at": now}
            for kind, value, contact_id in some
            if (kind, value, contact_id) not in there
        ]
    if new:
        dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
        session.execute(dialect.insert(Identity).on_conflict_do_nothing(), new)
    return {int(row["contact_id"]) for row in new}  # type: ignore[call-overload]


def named(session: Session, contact_ids: Collection[int]) -> dict[int, set[Name]]:
    """All that these contacts are named with, a customer's own addresses included."""
    found: dict[int, set[Name]] = {contact_id: set() for contact_id in contact_ids}
    ids = among(session, contact_ids)
    rows = select(Identity.contact_id, Identity.kind, Identity.value)
    for contact_id, kind, value in session.execute(rows.where(Identity.contact_id.in_(ids), Identity.kind.in_(KINDS))):
        found[contact_id].add((kind, value))
    addresses = select(Contact.id, *COLUMNS.values()).where(Contact.id.in_(ids), ~provisional(Contact.key))
    for row in session.execute(addresses):
        found[row.id] |= {(kind, address) for kind, address in zip(COLUMNS, row[1:], strict=True) if address}
    return found


def owners(session: Session, kind: str, values: Collection[str]) -> dict[str, tuple[str, int]]:
    """value -> key of the contact that bears it (of merged ones the kept), and how many people do; the first by id."""
    person = func.coalesce(Contact.merged_into, Contact.id).label("person")
    given = sorted(values)
    named = select(Identity.value.label("value"), person).join(Contact, Contact.id == Identity.contact_id)
    found = named.where(Identity.kind == kind, texts(session, Identity.value, given))
    if kind in COLUMNS:
        own = select(COLUMNS[kind], person).where(texts(session, COLUMNS[kind], given), ~unproven())
        found = found.union(own)  # type: ignore[assignment]
    said = found.subquery()
    first, count = func.min(said.c.person).label("first"), func.count(said.c.person.distinct()).label("count")
    each = select(said.c.value, first, count).group_by(said.c.value).subquery()
    rows = select(each.c.value, Contact.key, each.c.count).join(Contact, Contact.id == each.c.first)
    return {value: (key, many) for value, key, many in session.execute(rows)} if given else {}


def bearers(session: Session, names: Collection[Name], limit: int) -> dict[int, set[Name]]:
    """contact id -> which of `names` it bears; a name that more than `limit` bear tells nobody from another."""
    found: dict[Name, set[int]] = {}
    for kind, values in _by_kind(names).items():
        for start in range(0, len(values), 10_000):
            some = values[start : start + 10_000]
            rows = select(Identity.value, Identity.contact_id).where(Identity.kind == kind, Identity.value.in_(some))
            for value, contact_id in session.execute(rows):
                found.setdefault((kind, value), set()).add(contact_id)
            if kind in COLUMNS:
                theirs = and_(COLUMNS[kind].in_(some), ~provisional(Contact.key))
                for address, contact_id in session.execute(select(COLUMNS[kind], Contact.id).where(theirs)):
                    found.setdefault((kind, str(address)), set()).add(contact_id)
    bearing: dict[int, set[Name]] = {}
    for name, ids in found.items():
        for contact_id in ids if len(ids) <= limit else ():
            bearing.setdefault(contact_id, set()).add(name)
    return bearing


def _by_kind(names: Collection[Name]) -> Mapping[str, Sequence[str]]:
    return {kind: sorted(value for other, value in names if other == kind) for kind in KINDS}
