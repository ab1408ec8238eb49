"""Which value of an attribute a merged contact shows, and whether it may be spoken to.

The kept contact's own value wins; what it lacks comes from the merged ones, customers before people without a customer
number, each by key. It has been with us since the earliest of them was. Of the shop's own attributes each is taken by
itself. Everybody's own values stay: those of a merged contact in its row, those of the kept one in `OwnFacts`.

Consent is the stricter of opposite words (`_agreed`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from engine.consent import ADDRESSES
from engine.identity.names import rank
from engine.identity.rows import among
from engine.models import Consent, Contact, MergedRow, OwnFacts

FACTS: Final = (
    *("email", "phone", "first_name", "last_name", "birth_date", "age", "income", "education", "household_size"),
    *("household", "account", "country", "region", "city", "postcode", "language", "origin"),
    *("email_consent", "sms_consent", "attributes", "created_at"),
)
FILE: Final = "import"
FILES: Final = frozenset(
    {FILE, "partner", "bought list"}
)  # origins of words that a file repeats: nobody said them anew
Facts = dict[str, Any]
Word = tuple[datetime, bool, str]  # when, whether granted, how it came
Ledger = Mapping[str, Mapping[int, Word]]  # channel -> contact id -> the last word


def unfold(kept: Contact, known: OwnFacts, ledger: Ledger) -> None:
    """Show only the kept contact's own values; what was written to it since the merge has become its own."""
    own, shown = _read(known.own), _read(known.shown)
    for name, value in _facts(kept).items():
        if name == "attributes":
            own[name] = _absorbed(own[name], shown[name], value)
        elif value != shown[name]:
            own[name] = value
    for channel in ADDRESSES:
        said = ledger[channel].get(kept.id)
        own |= {f"{channel}_consent": said[1]} if said else {}
    for name, value in own.items():
        setattr(kept, name, value)


def fold(kept: Contact, merged: Sequence[Contact], ledger: Ledger) -> OwnFacts:
    """Show the values of all; the kept contact's own are given back to be kept."""
    own = _facts(kept)
    people = [kept, *sorted(merged, key=lambda one: rank(one.key))]
    shown = combined([_facts(one) for one in people])
    for channel, column in ADDRESSES.items():
        shown[f"{channel}_consent"] = _consent(channel, people, shown[column], ledger[channel])
    for name, value in shown.items():
        setattr(kept, name, value)
    return OwnFacts(contact_id=kept.id, own=_plain(own), shown=_plain(shown))


def combined(people: Sequence[Facts]) -> Facts:
    """The values shown of several, the first first."""
    shown = {name: next((one[name] for one in people if one[name] is not None), None) for name in FACTS}
    shown["attributes"] = {name: value for one in reversed(people) for name, value in one["attributes"].items()}
    shown["created_at"] = min(one["created_at"] for one in people)
    return shown


def ledger(session: Session, ids: Collection[int]) -> Ledger:
    """The last words of these contacts, by channel and whose they are."""
    return {channel: _last(session, channel, ids) for channel in ADDRESSES}


def _consent(channel: str, people: Sequence[Contact], address: str | None, ledger: Mapping[int, Word]) -> bool | None:
    """A yes given for another address than the one shown is none for this. A word that is in no ledger is as old as
    the contact, and came in a file.
    """
    stands = {one.id: getattr(one, f"{channel}_consent") for one in people}
    words = {one.id: (one.created_at, stands[one.id], FILE) for one in people if stands[one.id] is not None}
    words |= {one: ledger[one] for one in stands if one in ledger}
    elsewhere = {one.id for one in people if getattr(one, ADDRESSES[channel]) not in (None, address)}
    return _agreed([words[one] for one in stands if one in words and not (words[one][1] and one in elsewhere)])


def _last(session: Session, channel: str, ids: Collection[int]) -> dict[int, Word]:
    whose = MergedRow.table_name == "consents", MergedRow.row_id == Consent.id
    owner = select(MergedRow.contact_id).where(*whose).scalar_subquery()
    words = select(func.coalesce(owner, Consent.contact_id), Consent.at, Consent.granted, Consent.origin)
    rows = session.execute(
        words.where(Consent.contact_id.in_(among(session, ids)), Consent.channel == channel).order_by(Consent.id)
    )
    return {contact_id: (at, granted, origin) for contact_id, at, granted, origin in rows}


def _agreed(words: Sequence[Word]) -> bool | None:
    """What several last words say: yes only when nobody says no, or when somebody said yes anew, not in a file,
    after every no.
    """
    refusals = [at for at, granted, _origin in words if not granted]
    if not refusals:
        return True if words else None
    return any(granted and origin not in FILES and at > max(refusals) for at, granted, origin in words)


def _facts(contact: Contact) -> Facts:
    return {name: getattr(contact, name) for name in FACTS}


def _absorbed(own: Mapping[str, Any], shown: Mapping[str, Any], now: Mapping[str, Any]) -> Facts:
    """Own attributes with what was changed or taken away since they were shown with others'."""
    gone = shown.keys() - now.keys()
    news = {name: value for name, value in now.items() if name not in shown or shown[name] != value}
    return {name: value for name, value in own.items() if name not in gone} | news


def _plain(facts: Facts) -> Facts:
    return {name: value.isoformat() if isinstance(value, date) else value for name, value in facts.items()}


def _read(facts: Facts) -> Facts:
    born, since = facts["birth_date"], facts["created_at"]
    return facts | {
        "birth_date": born and date.fromisoformat(born),
        "created_at": datetime.fromisoformat(since),
    }
