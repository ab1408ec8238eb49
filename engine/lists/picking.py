"""Picks: contacts put on a list by hand, or taken off it, whatever its criteria say. A pick that is taken back leaves
the decision to the criteria again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
from sqlalchemy import CursorResult, delete, func, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from engine import consent
from engine.database import UtcDateTime
from engine.errors import Invalid
from engine.lists.people import Ids, among, parts
from engine.lists.saved import get, held
from engine.models import Contact, ContactList, ListMember, ListPick, ListState

WORDS: Final = 100_000  # customer numbers and addresses in one call


@dataclass(frozen=True)
class Recognised:
    """Whom words mean: contact ids, ascending, and the words that mean nobody."""

    ids: Ids
    unknown: list[str]


def recognise(session: Session, words: Sequence[str], *, country: str) -> Recognised:
    """Contacts by customer number, else by e-mail address, else by telephone number (of `country` without a prefix);
    an address that several share means all of them. Raises Invalid for more than WORDS.
    """
    waiting = list(dict.fromkeys(word for word in map(str.strip, words) if word))
    if len(waiting) > WORDS:
        raise Invalid(f"These are {len(waiting):,} at once; at most {WORDS:,} can be looked up.", field="words")
    found: set[int] = set()
    for column, channel in ((Contact.key, ""), (Contact.email, "email"), (Contact.phone, "sms")):
        spelt = {word: _spelt(word, channel, country) for word in waiting}
        addresses = sorted(set(filter(None, spelt.values())))
        if not addresses:
            continue
        kept = func.coalesce(Contact.merged_into, Contact.id).label("id")  # of a merged contact the one that was kept
        known = session.execute(select(column, kept).where(column.in_(among(session, addresses)))).all()
        found |= {row.id for row in known}
        there = {row[0] for row in known}
        waiting = [word for word in waiting if spelt[word] not in there]
    return Recognised(np.array(sorted(found), np.int64), waiting)


def pick(
    session: Session, list_id: int, contact_ids: Ids, *, added: bool = True, now: datetime, author: str = ""
) -> int:
    """Put contacts on a list (`added`) or take them off; how many that changed something for. Who is no contact is
    left out. The list's count follows: `recount`, or the tick.
    """
    _look_again(session, list_id, now)
    return sum(_pick(session, list_id, part, (added, now, author[:128])) for part in parts(contact_ids))


def pick_keys(session: Session, list_id: int, keys: Sequence[str], *, now: datetime, author: str = "") -> int:
    """Put the contacts with these customer numbers on a list, but for whom somebody took off it; how many are new. A
    file knows of no removal, and its undo takes away what it put there.
    """
    if not keys:
        return 0
    kept = func.coalesce(Contact.merged_into, Contact.id)
    found = session.scalars(select(kept).where(Contact.key.in_(among(session, list(keys)))).order_by(kept).distinct())
    _look_again(session, list_id, now)
    how = (True, now, author[:128])
    return sum(_pick(session, list_id, part, how, over=False) for part in parts(np.array(found.all(), np.int64)))


def unpick(session: Session, list_id: int, contact_ids: Ids, *, now: datetime) -> int:
    """Take picks back; how many there were."""
    _look_again(session, list_id, now)
    theirs = (
        delete(ListPick).where(ListPick.list_id == list_id, ListPick.contact_id.in_(among(session, part)))
        for part in parts(contact_ids)
    )
    return sum(_rows(session, statement) for statement in theirs)


def picks(
    session: Session, list_id: int, *, added: bool | None = None, after: int = 0, limit: int = 100
) -> list[tuple[ListPick, Contact]]:
    """Picks with their contacts, by contact id; `added`: only those put on the list, or taken off."""
    query = select(ListPick, Contact).join(Contact, Contact.id == ListPick.contact_id)
    query = query.where(ListPick.list_id == get(session, list_id).id, ListPick.contact_id > after)
    query = query if added is None else query.where(ListPick.added.is_(added))
    return [(row[0], row[1]) for row in session.execute(query.order_by(ListPick.contact_id).limit(limit))]


def kept_on(session: Session, contact_id: int) -> list[ContactList]:
    """Frozen lists that a contact stands on, newest first; who was taken off does not."""
    stands = select(ListMember.list_id).where(ListMember.contact_id == contact_id)
    frozen = select(ContactList).where(ContactList.frozen_at.is_not(None), ContactList.deleted_at.is_(None))
    found = session.scalars(
        frozen.where(
            ContactList.id.in_(stands.union(_picked(contact_id, added=True))),
            ContactList.id.not_in(_picked(contact_id, added=False)),
        ).order_by(ContactList.frozen_at.desc(), ContactList.id.desc())
    )
    return list(found)


def _spelt(word: str, channel: str, country: str) -> str:
    """As a contact would have it; "" for what is no address of the channel."""
    try:
        return consent.normalise(channel, word, country) if channel else word
    except Invalid:
        return ""


def _picked(contact_id: int, *, added: bool) -> Any:
    return select(ListPick.list_id).where(ListPick.contact_id == contact_id, ListPick.added.is_(added))


def _pick(
    session: Session, list_id: int, ids: Sequence[int], how: tuple[bool, datetime, str], *, over: bool = True
) -> int:
    added, now, author = how
    values = {
        "list_id": literal(list_id),
        "contact_id": Contact.id,
        "added": literal(added),
        "at": literal(now, UtcDateTime()),
        "author": literal(author),
    }
    people = select(*values.values()).where(Contact.id.in_(among(session, ids)))
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    insert = dialect.insert(ListPick).from_select(list(values), people)
    key = ["list_id", "contact_id"]
    if not over:
        return _rows(session, insert.on_conflict_do_nothing(index_elements=key))
    return _rows(
        session,
        insert.on_conflict_do_update(
            index_elements=key,
            set_={name: insert.excluded[name] for name in ("added", "at", "author")},
            where=ListPick.added.is_distinct_from(insert.excluded.added),
        ),
    )


def _look_again(session: Session, list_id: int, now: datetime) -> None:
    """The tick need not wait for new data, and whoever waits to send to the list is told that it changed. Its version
    stays: an editor of the criteria has nothing to mend.
    """
    found = held(session, list_id)
    found.updated_at = max(now, found.updated_at + timedelta(microseconds=1))  # another one: a file picks at one `now`
    session.execute(update(ListState).where(ListState.list_id == list_id).values(data=""))


def _rows(session: Session, statement: Any) -> int:
    result: CursorResult[Any] = session.connection().execute(statement, execution_options={"preserve_rowcount": True})
    return result.rowcount
