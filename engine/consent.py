"""Who may be spoken to: an append-only ledger of consent, and addresses that must be left alone.

A suppression is kept by address, so that it outlives imports, merges and new contacts. The address of an erased
person is kept only as `sha256:<hex digest>`: enough to leave it alone if it ever comes back, too little to read it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from sqlalchemy import ColumnElement, String, and_, delete, exists, func, insert, literal, or_, select, update
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.functions import FunctionElement

from engine.database import insert_new, next_revision
from engine.errors import Conflict, Invalid, NotFound, nearest
from engine.models import CHANNELS, Consent, Contact, Deletion, MergedRow, Suppression

ERASED = "sha256:"
ADDRESSES: Final = {"email": "email", "sms": "phone"}  # channel -> the contact's address on it
FINAL: Final = frozenset({"complaint", "erased"})  # a suppression for these reasons is never lifted

# What almost every address looks like, 20 times faster than the full check: a dot-atom (RFC 5322 3.2.3), host labels
# (RFC 1123 2.1). Anything else, and the reserved names of RFC 6761, go to the library.
_ATOM = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_PLAIN_EMAIL = re.compile(
    rf"(?=.{{1,64}}@)(?=.{{3,254}}\Z){_ATOM}(?:\.{_ATOM})*@(?:(?!xn--){_LABEL}\.)+"
    r"(?!(?:arpa|invalid|local|localhost|onion|test)\Z)[a-z]{2,63}"
)
_PLAIN_PHONE = re.compile(r"\+[1-9][0-9]{7,14}")


def record(
    session: Session,
    contact_id: int,
    channel: str,
    granted: bool,
    *,
    origin: str,
    evidence: str | None = None,
    confirmed: bool = False,
    now: datetime,
) -> None:
    """Write a word of consent: to the ledger if it differs from the last one, and to the contact. `confirmed`: by the
    link in a message to the address (double opt-in), which counts anew after a yes that was not.
    """
    _check(channel)
    contact = session.get(Contact, contact_id)
    if contact is None:
        raise NotFound(f"There is no contact {contact_id}.")
    if contact.merged_into is not None:  # the person speaks, whatever we once called them
        contact = session.get_one(Contact, contact.merged_into)
        contact_id = contact.id
    ledger = select(Consent.granted, Consent.confirmed)
    ledger = ledger.where(Consent.contact_id == contact_id, Consent.channel == channel, _own())
    last = session.execute(ledger.order_by(Consent.id.desc()).limit(1)).first()
    if last is None or last.granted is not granted or (confirmed and not last.confirmed):
        told = {"origin": origin, "evidence": evidence, "confirmed": confirmed, "at": now}
        session.add(Consent(contact_id=contact_id, channel=channel, granted=granted, **told))
    setattr(contact, f"{channel}_consent", granted)
    session.flush()


def suppress(session: Session, channel: str, address: str, reason: str, now: datetime) -> bool:
    """Leave an address alone from now on; True if it was not suppressed before."""
    return suppress_all(session, channel, {address: reason}, now) == 1


def suppress_all(session: Session, channel: str, reasons: Mapping[str, str], now: datetime) -> int:
    """Leave many addresses alone from now on, each for its reason, by a constant number of statements; how many were
    not suppressed before. A reason in FINAL takes the place of one that could be lifted.
    """
    _check(channel)
    digests = Suppression.address.in_([erased(address) for address in reasons])
    gone = set(session.scalars(select(Suppression.address).where(Suppression.channel == channel, digests)))
    rows = [
        {"channel": channel, "address": address, "reason": reason, "at": now, "revision": next_revision(session)}
        for address, reason in sorted(reasons.items())  # in one order everywhere: no deadlock
        if erased(address) not in gone
    ]
    for final in FINAL & set(reasons.values()):
        addresses = [address for address, reason in reasons.items() if reason == final]
        lighter = and_(Suppression.address.in_(addresses), Suppression.reason.not_in(FINAL))
        change = {"reason": final, "revision": next_revision(session)}
        session.execute(update(Suppression).where(Suppression.channel == channel, lighter).values(change))
    return insert_new(session, Suppression.__table__, rows, ["channel", "address"])  # type: ignore[arg-type]


def withdraw_all(
    session: Session, channel: str, evidence: Mapping[int, str | None], *, origin: str, now: datetime
) -> None:
    """Write the refusal of many contacts, each with its evidence, as `record` does for one, by a constant number of
    statements.
    """
    _check(channel)
    merged = select(Contact.id, Contact.merged_into).where(Contact.id.in_(evidence), Contact.merged_into.is_not(None))
    kept = {row.id: int(row.merged_into or 0) for row in session.execute(merged)}
    evidence = {kept.get(contact_id, contact_id): why for contact_id, why in evidence.items()}
    theirs = Consent.contact_id.in_(evidence), Consent.channel == channel, _own()
    words = select(func.max(Consent.id)).where(*theirs)
    last = Consent.id.in_(words.group_by(Consent.contact_id))
    known = set(session.scalars(select(Consent.contact_id).where(last, Consent.granted.is_(False))))
    told = {"channel": channel, "granted": False, "origin": origin, "at": now, "revision": next_revision(session)}
    rows = [{"contact_id": i, "evidence": why, **told} for i, why in evidence.items() if i not in known]
    if rows:
        session.execute(insert(Consent), rows)
    column = f"{channel}_consent"
    differs = and_(Contact.id.in_(evidence), getattr(Contact, column).is_distinct_from(False))
    session.execute(update(Contact).where(differs).values({column: False, "revision": next_revision(session)}))


def _own() -> ColumnElement[bool]:
    """The word is the contact's own, not that of one merged into it: undone, each has their own last word."""
    return ~exists().where(MergedRow.table_name == "consents", MergedRow.row_id == Consent.id)


def lift(session: Session, channel: str, address: str) -> bool:
    """Let an address be spoken to again, because its owner asked for it; True if it was suppressed.

    Raises Conflict for the reasons in FINAL: who complained to their provider, or was erased, stays alone.
    """
    reason = suppression(session, channel, address)
    if reason in FINAL:
        raise Conflict(f"This address stays suppressed for good: {reason}.")
    forget_suppression(session, channel, address)
    return reason is not None


def forget_suppression(session: Session, channel: str, address: str) -> None:
    """Delete the row of an address as it is written; the warehouse forgets by a Deletion row."""
    theirs = Suppression.channel == channel, Suppression.address == address
    rows = select(literal("suppressions"), Suppression.id, literal(next_revision(session))).where(*theirs)
    session.execute(insert(Deletion).from_select(["table_name", "row_id", "revision"], rows))
    session.execute(delete(Suppression).where(*theirs), execution_options={"synchronize_session": False})


@dataclass(frozen=True)
class Standing:
    """How things stand with a contact on one channel: the last word of consent, and why the address is suppressed."""

    channel: str
    address: str | None
    consent: bool | None
    suppression: str | None

    @property
    def reachable(self) -> bool:
        """May be spoken to."""
        return bool(self.address and self.consent and not self.suppression)


def standings(session: Session, contact: Contact) -> list[Standing]:
    """Where the contact stands on every channel."""
    found = []
    for channel, name in ADDRESSES.items():
        address = getattr(contact, name)
        reason = suppression(session, channel, address) if address else None
        found.append(Standing(channel, address, getattr(contact, f"{channel}_consent"), reason))
    return found


def suppression(session: Session, channel: str, address: str) -> str | None:
    """Why the address must be left alone; None when it may be spoken to."""
    _check(channel)
    statement = select(Suppression.reason).where(
        Suppression.channel == channel, Suppression.address.in_([address, erased(address)])
    )
    reasons = session.scalars(statement).all()
    return next((reason for reason in reasons if reason in FINAL), next(iter(reasons), None))


def is_suppressed(session: Session, channel: str, address: str) -> bool:
    """The address must be left alone."""
    return suppression(session, channel, address) is not None


def suppressed(channel: str, address: ColumnElement[Any]) -> ColumnElement[bool]:
    """SQL condition for choosing many at once: the address in this column is suppressed, erased people's included."""
    _check(channel)

    def among(value: ColumnElement[Any]) -> ColumnElement[bool]:
        return exists().where(Suppression.channel == channel, Suppression.address == value)

    return or_(among(address), among(literal(ERASED, String) + _sha256(address)))


def erased(address: str) -> str:
    """How the address of an erased person is kept."""
    return ERASED + hashlib.sha256(address.encode()).hexdigest()


def normalise(channel: str, address: str, country: str) -> str:
    """An e-mail address in lower case with an ASCII host, or a telephone number as E.164.

    `country` (ISO 3166) is where a number without a prefix belongs. Raises Invalid.
    """
    _check(channel)
    return _email(address.strip()) if channel == "email" else _phone(address.strip(), country)


def _check(channel: str) -> None:
    if channel not in CHANNELS:
        raise Invalid(f"Unknown channel '{channel}'.{nearest(channel, CHANNELS)}", field="channel")


def _email(address: str) -> str:
    lower = address.lower()
    if _PLAIN_EMAIL.fullmatch(lower):
        return lower
    try:
        found = validate_email(address[:1000], check_deliverability=False, allow_smtputf8=False, strict=True)
    except EmailNotValidError as error:
        raise Invalid(f"{address[:60]!r} is not an e-mail address: {error}") from None
    return (found.ascii_email or found.normalized).lower()


def _phone(number: str, country: str) -> str:
    if _PLAIN_PHONE.fullmatch(number) and _has_country(number):
        return number
    try:
        found = phonenumbers.parse(number[:100], country)
    except phonenumbers.NumberParseException:
        raise Invalid(f"{number[:60]!r} is not a telephone number; write it like +442071838750.") from None
    if not phonenumbers.is_possible_number(found):
        raise Invalid(f"{number[:60]!r} has too few or too many digits for a telephone number.")
    return str(phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.E164))


def countries(phone: str) -> Sequence[str]:
    """The countries a number (E.164) may be of: the one it is of, else all with its code."""
    found = phonenumbers.parse(phone)
    exact = phonenumbers.region_code_for_number(found)
    return [exact] if exact else phonenumbers.region_codes_for_country_code(found.country_code or 0)


def _has_country(number: str) -> bool:
    return any(int(number[1:end]) in phonenumbers.COUNTRY_CODE_TO_REGION_CODE for end in (2, 3, 4))


class _sha256(FunctionElement[str]):  # noqa: N801
    """Hex SHA-256 of a text in SQL: built in on PostgreSQL, added by engine.database on SQLite."""

    type = String()
    inherit_cache = True


@compiles(_sha256, "sqlite")
def _on_sqlite(element: _sha256, compiler: Any, **options: Any) -> str:
    return f"sha256_hex({compiler.process(element.clauses, **options)})"


@compiles(_sha256, "postgresql")
def _on_postgresql(element: _sha256, compiler: Any, **options: Any) -> str:
    return f"encode(sha256(convert_to({compiler.process(element.clauses, **options)}, 'UTF8')), 'hex')"
