"""Find or make the contact somebody says they are."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from engine import intake
from engine.config import Config
from engine.errors import Invalid
from engine.identity import names
from engine.models import Contact, Event

LETTERS: Final = "23456789abcdefghjkmnpqrstuvwxyz"  # no 0 or O, no 1, i or l: they are read aloud and typed
ORIGIN_FLYER: Final = "flyer"


def short(length: int) -> str:
    """A random word of `length` letters that people can type."""
    return "".join(secrets.choice(LETTERS) for _ in range(length))


def find(session: Session, email: str | None, phone: str | None, *, proven: bool = False) -> Contact | None:
    """Whose address this is: by the e-mail address if one is given, else by the telephone; of several the oldest. An
    e-mail address that nobody has is somebody new, whoever has the telephone: homes share one. `proven` leaves out who
    filled a form in and has not confirmed it.
    """
    column, address = (Contact.email, email) if email else (Contact.phone, phone)
    if not address:
        return None
    theirs = select(Contact).where(column == address, Contact.merged_into.is_(None))
    if proven:
        theirs = theirs.where(~names.unproven())
    return session.scalars(theirs.order_by(Contact.id).limit(1)).first()


def write(session: Session, key: str, facts: Mapping[str, Any], *, origin: str, now: datetime, config: Config) -> None:
    """Set columns of a contact through intake, `attributes.<name>` among them. Raises Invalid with the column."""
    record: dict[str, Any] = {"key": key, "attributes": {}}
    for column, value in facts.items():
        prefix, _, own = column.partition(".")
        if own:
            record[prefix][own] = value
        else:
            record[column] = value
    session.flush()
    take(session, "contacts", [record], origin=origin, now=now, config=config)
    session.expire_all()  # intake writes past the objects of this session


def take(
    session: Session, kind: str, records: Sequence[Mapping[str, Any]], *, origin: str, now: datetime, config: Config
) -> int:
    """Records of our own through the one door in; how many were new. Raises Invalid for one that is refused."""
    taken = intake.accept(session, kind, records, now=now, config=config, origin=origin, refuse_all=True, own=True)
    for reject in taken.rejected:
        raise Invalid(reject.message, field=reject.field)
    return taken.created


def known(contact: Contact, column: str) -> Any:
    """What is known of a column of contacts, `attributes.<name>` included; None or "" for nothing."""
    prefix, _, own = column.partition(".")
    return contact.attributes.get(own) if own else getattr(contact, prefix)


def came_by_flyer(session: Session, visitor: str | None) -> bool:
    """A flyer brought this browser here."""
    if not visitor:
        return False
    return bool(session.scalar(select(exists().where(Event.visitor == visitor, Event.type == "flyer_scan"))))
