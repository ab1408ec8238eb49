"""Who is on a list: found by its criteria now, or kept when it was frozen; and whom somebody picked by hand."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
from sqlalchemy import ARRAY, BigInteger, Select, Text, bindparam, delete, exists, func, insert, literal, select, update
from sqlalchemy.orm import Session

from engine import criteria, identity, leaves
from engine.catalogue import open_catalogue
from engine.criteria import Criteria
from engine.criteria.nodes import picked
from engine.database import Database
from engine.errors import Invalid
from engine.lists.saved import change, forget_state, get, held
from engine.models import Contact, ContactList, ListMember, ListPick

if TYPE_CHECKING:
    from engine.warehouse import Warehouse

Ids = npt.NDArray[np.int64]
PART: Final = 50_000  # ids in one statement, and contacts in memory while exporting


def load(session: Session, warehouse: Warehouse, list_id: int) -> Criteria:
    """The criteria of a list, checked against what is there today. Raises NotFound, or Invalid when a field, event or
    list they name is gone. Those of a frozen list mean its members; nobody picked by hand is in those of a dynamic one.
    """
    found = get(session, list_id)
    asked = found.criteria if found.frozen_at is None else {"list": list_id}
    return criteria.parse(
        asked, open_catalogue(session, warehouse), list_id=list_id if asked is found.criteria else None
    )


def whole(session: Session, warehouse: Warehouse, list_id: int) -> Criteria:
    """The same, with those whom somebody put on the list or took off it by hand."""
    asked = load(session, warehouse, list_id)
    if get(session, list_id).frozen_at is not None:
        return asked
    picks = open_catalogue(session, warehouse).picks(list_id)
    return replace(asked, root=picked(asked.root, list_id, *picks))


def count(session: Session, warehouse: Warehouse, list_id: int, now: datetime) -> int:
    """Count the people on a list now, and keep the number and the moment with it."""
    found = get(session, list_id)
    if found.frozen_at is not None:
        size: int = open_catalogue(session, warehouse).members(list_id).num_rows
    else:
        size = _size(session, warehouse, list_id, now)
    found.size, found.counted_at = size, now
    session.flush()
    return size


def recount(
    database: Database, warehouse: Warehouse, list_ids: Sequence[int], now: datetime, *, seconds: float = 2.0
) -> tuple[int, int]:
    """Count dynamic lists anew, those whose count is oldest first, for about `seconds` but at least one: how many were
    counted, and how many are left. One that cannot be used, or changes meanwhile, keeps the count it has. Nothing is
    locked while the warehouse counts.
    """
    deadline = time.monotonic() + seconds
    dynamic = (ContactList.id.in_(list_ids), ContactList.frozen_at.is_(None), ContactList.deleted_at.is_(None))
    oldest = (ContactList.counted_at.is_not(None), ContactList.counted_at, ContactList.id)
    counted: list[tuple[int, int, datetime, int]] = []
    left = 0
    with database.read() as session:
        for list_id, version, changed in session.execute(
            select(ContactList.id, ContactList.version, ContactList.updated_at).where(*dynamic).order_by(*oldest)
        ).all():
            if counted and time.monotonic() >= deadline:
                left += 1
                continue
            with suppress(Invalid):
                counted.append((list_id, version, changed, _size(session, warehouse, list_id, now)))
    with database.begin() as session:
        for list_id, version, changed, size in counted:
            as_it_was = (ContactList.version == version, ContactList.updated_at == changed)
            session.execute(
                update(ContactList).where(ContactList.id == list_id, *as_it_was).values(size=size, counted_at=now)
            )
    return len(counted), left


def count_again(database: Database, warehouse: Warehouse, list_id: int, now: datetime) -> None:
    """Count one list anew, dynamic or frozen, after its people were picked. Raises NotFound."""
    with database.read() as session:
        is_frozen = get(session, list_id).frozen_at is not None
    if not is_frozen:
        recount(database, warehouse, [list_id], now)
        return
    with database.begin() as session:
        count(session, warehouse, list_id, now)


def _size(session: Session, warehouse: Warehouse, list_id: int, now: datetime) -> int:
    return leaves.size(warehouse, whole(session, warehouse, list_id), now, exact=True)


def member_ids(session: Session, warehouse: Warehouse, list_id: int, now: datetime) -> Ids:
    """The ids of the contacts on a list, ascending: found now (dynamic) or once (frozen)."""
    if get(session, list_id).frozen_at is not None:
        ids = open_catalogue(session, warehouse).members(list_id)["contact_id"].to_numpy()
        return np.sort(ids.astype(np.int64))
    return leaves.members(warehouse, whole(session, warehouse, list_id), now)


def members(
    session: Session, warehouse: Warehouse, list_id: int, now: datetime, *, after: int = 0, limit: int = 100
) -> list[Contact]:
    """The first contacts on a list beyond the id `after`, by id: at most `limit`, fewer when some are gone by now."""
    return page(session, warehouse, list_id, now, after=after, limit=limit)[0]


def page(
    session: Session, warehouse: Warehouse, list_id: int, now: datetime, *, after: int = 0, limit: int = 100
) -> tuple[list[Contact], int | None]:
    """The same, and the id to go on after, None at the end. What one page found of a dynamic list is kept: those that
    follow within a minute agree with it while the data stand, and find nothing anew.
    """
    if get(session, list_id).frozen_at is not None:
        ids: Sequence[int] = session.scalars(_kept(list_id, after).limit(limit + 1)).all()
    else:
        found = leaves.members(warehouse, whole(session, warehouse, list_id), now, exact=False)
        start = np.searchsorted(found, after, side="right")
        ids = found[start : start + limit + 1].tolist()
    there = Contact.id.in_(ids[:limit]), Contact.merged_into.is_(None)  # the copy may know those who are gone
    people = list(session.scalars(select(Contact).where(*there).order_by(Contact.id)))
    return people, ids[limit - 1] if len(ids) > limit else None


def _kept(list_id: int, after: int) -> Select[Any]:
    """The ids on a frozen list beyond `after`, ascending."""
    taken = exists().where(
        ListPick.list_id == list_id, ListPick.contact_id == ListMember.contact_id, ListPick.added.is_(False)
    )
    kept = select(ListMember.contact_id).where(ListMember.list_id == list_id, ListMember.contact_id > after, ~taken)
    added = select(ListPick.contact_id).where(
        ListPick.list_id == list_id, ListPick.contact_id > after, ListPick.added.is_(True)
    )
    both = kept.union(added).subquery()
    return select(both.c.contact_id).order_by(both.c.contact_id)


def freeze(session: Session, warehouse: Warehouse, list_id: int, now: datetime) -> int:
    """Write down who is on the list now; from then on it stays so. How many; the same again when it is frozen."""
    identity.alone(session)  # a merge would not see the places that are being written
    found = held(session, list_id)  # nor would who picks see that they are too late for what was found
    if found.frozen_at is not None:
        return found.size or 0
    ids = member_ids(session, warehouse, list_id, now)
    change(session, found, found.version, {"frozen_at": now, "counted_at": now, "updated_at": now})
    for part in parts(ids):
        known = Contact.id.in_(among(session, part)), Contact.merged_into.is_(None)
        people = select(literal(list_id), Contact.id).where(*known)
        session.execute(insert(ListMember).from_select(["list_id", "contact_id"], people))
    session.execute(delete(ListPick).where(ListPick.list_id == list_id))  # they are in what was found
    forget_state(session, list_id)
    return count(session, warehouse, list_id, now)  # the warehouse may still know people who were erased a moment ago


def present(session: Session, ids: Ids) -> Iterator[list[int]]:
    """Those of the ids that are contacts still, in parts."""
    for part in parts(ids):
        there = Contact.id.in_(among(session, part)), Contact.merged_into.is_(None)
        yield list(session.scalars(select(Contact.id).where(*there).order_by(Contact.id)))


def parts(ids: Ids) -> Iterator[list[int]]:
    """The ids, as many at a time as one statement takes."""
    return (ids[start : start + PART].tolist() for start in range(0, len(ids), PART))


def among(session: Session, values: Sequence[int] | Sequence[str]) -> Select[Any]:
    """The values as a subquery of one bound value: no limit on their number, and one plan for all."""
    if session.get_bind().dialect.name == "postgresql":
        kind = ARRAY(Text if values and isinstance(values[0], str) else BigInteger)
        return select(func.unnest(bindparam("values", values, kind, unique=True)))
    return select(func.json_each(json.dumps(values)).table_valued("value").c.value)
