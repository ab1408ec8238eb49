"""Rows that go with a contact when it is merged, and come back when the merge is undone.

Each row that stands with another contact than its own is marked with whose it is (`MergedRow`). Where it stands is then
a function of the marks and of `Contact.merged_into`: merges are undone in any order, exactly.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Select,
    Table,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session

from engine.database import next_revision
from engine.models import Consent, Contact, Event, MergedRow, Order

_WHOLE = {"synchronize_session": False}
_PART = 50_000
CONTACTS: Table = Contact.__table__  # type: ignore[assignment]


@dataclass(frozen=True)
class Moved:
    """A table with `id` and `contact_id`. Of two rows of one person that are equal in the columns `unique`, the second
    stays where it is.
    """

    table: Table
    unique: tuple[str, ...] = ()


MOVED: dict[str, Moved] = {}


def move_with_contacts(moved: Moved) -> None:
    """Let a table's rows follow their contact into a merge; upper packages add theirs at import."""
    MOVED[moved.table.name] = moved


for _model in (Order, Event, Consent):
    move_with_contacts(Moved(_model.__table__))  # type: ignore[arg-type]


def among(session: Session, ids: Collection[int]) -> Select[Any]:
    """The ids as a subquery of one bound value."""
    given = sorted(ids)
    if session.get_bind().dialect.name == "postgresql":
        return select(func.unnest(bindparam("ids", given, ARRAY(BigInteger), unique=True)))
    return select(func.json_each(json.dumps(given)).table_valued("value").c.value)


def rehome(session: Session, contact_ids: Collection[int]) -> None:
    """Put what these contacts own where it belongs: with the contact they are merged into, or with themselves."""
    for some in _parts(contact_ids):  # none: nothing is asked
        for moved in MOVED.values():
            _mark(session, moved, some)
            _move(session, moved.table, some)
    own = select(Contact.id).where(Contact.merged_into.is_(None))
    for some in _parts(contact_ids):
        at_home = MergedRow.contact_id.in_(among(session, some)), MergedRow.contact_id.in_(own)
        session.execute(delete(MergedRow).where(*at_home), execution_options=_WHOLE)


def disown(session: Session, table: str, row_ids: Collection[int]) -> None:
    """These rows were written anew: whose they are is what they say now."""
    for some in _parts(row_ids):
        marks = MergedRow.table_name == table, MergedRow.row_id.in_(among(session, some))
        session.execute(delete(MergedRow).where(*marks), execution_options=_WHOLE)


def owners(session: Session, table: str, row_ids: Collection[int]) -> dict[int, int]:
    """row id -> whose it is, for the rows that stand with another contact."""
    marks = MergedRow.table_name == table, MergedRow.row_id.in_(among(session, row_ids))
    rows = select(MergedRow.row_id, MergedRow.contact_id).where(*marks)
    return {row.row_id: row.contact_id for row in session.execute(rows)}


def forget(session: Session, contact_ids: Collection[int]) -> None:
    """Drop the marks of contacts that are erased."""
    marks = MergedRow.contact_id.in_(among(session, contact_ids))
    session.execute(delete(MergedRow).where(marks), execution_options=_WHOLE)


def _mark(session: Session, moved: Moved, ids: list[int]) -> None:
    """Note whose the rows are that are about to leave."""
    table, name = moved.table, moved.table.name
    marked = exists().where(MergedRow.table_name == name, MergedRow.row_id == table.c.id)
    leaving = (
        select(literal(name), table.c.id, table.c.contact_id)
        .join(CONTACTS, CONTACTS.c.id == table.c.contact_id)
        .where(table.c.contact_id.in_(among(session, ids)), CONTACTS.c.merged_into.is_not(None), ~marked)
    )
    if moved.unique:
        leaving = leaving.where(~_met(moved))
    session.execute(insert(MergedRow).from_select(["table_name", "row_id", "contact_id"], leaving))


def _met(moved: Moved) -> ColumnElement[bool]:
    """The person has such a row already: the kept contact, or an earlier one of another that is merged into it."""
    table, other, owner = moved.table, moved.table.alias(), CONTACTS.alias()
    same = and_(*(other.c[name] == table.c[name] for name in moved.unique), other.c.id != table.c.id)
    kept = other.c.contact_id == CONTACTS.c.merged_into
    earlier = and_(owner.c.merged_into == CONTACTS.c.merged_into, other.c.id < table.c.id)
    return exists().where(same, owner.c.id == other.c.contact_id, or_(kept, earlier))


def _move(session: Session, table: Table, ids: list[int]) -> None:
    """Set where the marked rows stand."""
    home = select(func.coalesce(CONTACTS.c.merged_into, CONTACTS.c.id)).join(
        MergedRow, MergedRow.contact_id == CONTACTS.c.id
    )
    home = home.where(MergedRow.table_name == table.name, MergedRow.row_id == table.c.id)
    marks = select(MergedRow.row_id).where(
        MergedRow.table_name == table.name, MergedRow.contact_id.in_(among(session, ids))
    )
    where = home.correlate(table).scalar_subquery()
    values: dict[str, Any] = {"contact_id": where}
    if "revision" in table.c:
        values["revision"] = next_revision(session)
    away = table.c.id.in_(marks), table.c.contact_id.is_distinct_from(where)
    session.execute(update(table).where(*away).values(values), execution_options=_WHOLE)


def _parts(ids: Collection[int]) -> Iterator[list[int]]:
    given = sorted(ids)
    return (given[start : start + _PART] for start in range(0, len(given), _PART))
