"""Contacts that are likely one person: the same telephone or e-mail address, or the same name at the same postcode.

A person decides. What more than LIMIT share says nothing; what was merged once and undone is not offered again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from engine.identity.linking import LIMIT
from engine.models import Contact, Merge


@dataclass(frozen=True)
class Pair:
    """Two contacts and what they share: name, email or phone."""

    one: Contact
    other: Contact
    why: str


_NAME: Final = (func.lower(Contact.first_name), func.lower(Contact.last_name), func.lower(Contact.postcode))
SAME: Final[dict[str, Sequence[Any]]] = {"phone": (Contact.phone,), "email": (Contact.email,), "name": _NAME}


def likely(session: Session, *, limit: int = 50) -> list[Pair]:
    """At most `limit` pairs, by the first's id; each once, for the strongest reason."""
    found: dict[tuple[int, int], Pair] = {}
    for why in SAME:
        for row in session.execute(_pairs(why, limit)):
            one, other = row[0], row[1]
            found.setdefault((one.id, other.id), Pair(one, other, why))
    return [found[ids] for ids in sorted(found)][:limit]


def _pairs(why: str, limit: int) -> Select[Contact, Contact]:
    """The first of those who share something, with each of the others."""
    columns = SAME[why]
    stands = and_(Contact.merged_into.is_(None), *(column.is_not(None) for column in columns))
    shared = (
        select(
            *(column.label(f"c{place}") for place, column in enumerate(columns)), func.min(Contact.id).label("first")
        )
        .where(stands)
        .group_by(*columns)
        .having(func.count().between(2, LIMIT))
        .subquery()
    )
    one = aliased(Contact)
    same = and_(*(column == shared.c[f"c{place}"] for place, column in enumerate(columns)))
    return (
        select(one, Contact)
        .join(shared, one.id == shared.c.first)
        .join(Contact, and_(same, Contact.id != one.id, Contact.merged_into.is_(None)))
        .where(~_parted(one.id, Contact.id))
        .order_by(one.id, Contact.id)
        .limit(limit)
    )


def _parted(one: Any, other: Any) -> ColumnElement[bool]:
    """A person said that these are two."""
    pair = or_(
        and_(Merge.merged_id == one, Merge.kept_id == other), and_(Merge.merged_id == other, Merge.kept_id == one)
    )
    return exists().where(pair, Merge.undone_by.is_not(None), Merge.undone_by != "")
