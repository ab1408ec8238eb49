"""Lists: saved criteria (dynamic), or the people they found on a day (frozen).

Freezing happens in place: the criteria stay as the record of how the people were found, and can no longer be
changed; `copy` gives a dynamic list to go on with. A deleted list can be brought back for 30 days.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, cast
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
from sqlalchemy import ARRAY, BigInteger, CursorResult, Select, bindparam, func, insert, literal, select, update
from sqlalchemy.orm import Session

from engine import criteria, export, money
from engine.catalogue import Catalogue, open_catalogue
from engine.criteria import Criteria
from engine.database import Database
from engine.errors import Conflict, Invalid, NotFound
from engine.models import Contact, ContactList, ListMember
from engine.preview import Clause, Person, Preview, preview

if TYPE_CHECKING:
    from engine.warehouse import Warehouse

__all__ = ["Clause", "Person", "Preview", "behind", "browse", "copy", "count", "delete", "export_csv", "freeze", "get",
           "load", "member_ids", "members", "preview", "recount", "rename", "restore", "save"]  # fmt: skip

NAME_LIMIT: Final = 128
UNDO: Final = timedelta(days=30)
PART: Final = 50_000  # ids in one statement, and contacts in memory while exporting

COLUMNS: Final = (
    "key", "email", "phone", "first_name", "last_name", "birth_date", "age", "income", "education", "household_size",
    "country", "region", "city", "postcode", "language", "origin", "email_consent", "sms_consent",
)  # fmt: skip


def get(session: Session, list_id: int) -> ContactList:
    """A list that is not deleted; raises NotFound."""
    found = session.get(ContactList, list_id)
    if found is None or found.deleted_at is not None:
        raise NotFound(f"There is no list {list_id}.")
    return found


def browse(session: Session, *, words: str = "", after: int | None = None, limit: int = 50) -> list[ContactList]:
    """Lists that are not deleted, newest first, whose name holds `words`; `after`: the last id of the page before."""
    query = select(ContactList).where(ContactList.deleted_at.is_(None)).order_by(ContactList.id.desc()).limit(limit)
    if words:
        query = query.where(ContactList.name.icontains(words, autoescape=True))
    return list(session.scalars(query.where(ContactList.id < after) if after else query))


def save(
    session: Session,
    list_id: int | None,
    name: str,
    criteria_json: Any,
    *,
    version: int | None = None,
    now: datetime,
    catalogue: Catalogue | None = None,
) -> ContactList:
    """A new list (`list_id` None) or a change. Raises Invalid for criteria that cannot be read, Conflict when the
    list was changed since `version` was read or is frozen. Without a catalogue the shop's own names (attributes,
    event types) are believed; with one they must have come in.
    """
    checked = catalogue or Catalogue(session, None, ZoneInfo("UTC"), "")
    criteria.parse(criteria_json, checked, list_id=list_id)
    name = _name(name)
    if list_id is None:
        made = ContactList(name=name, criteria=criteria_json, version=1, created_at=now, updated_at=now)
        session.add(made)
        session.flush()
        return made
    found = get(session, list_id)
    change: dict[str, Any] = {"name": name}
    if found.criteria != criteria_json:
        if found.frozen_at is not None:
            raise Conflict("A frozen list keeps the people it was frozen with; copy it to change the criteria.")
        change |= {"criteria": criteria_json, "size": None, "counted_at": None}
    return _change(session, found, version, {**change, "updated_at": now})


def rename(session: Session, list_id: int, name: str, *, version: int | None = None, now: datetime) -> ContactList:
    """Another name; frozen lists too."""
    return _change(session, get(session, list_id), version, {"name": _name(name), "updated_at": now})


def copy(session: Session, list_id: int, name: str, *, now: datetime) -> ContactList:
    """A dynamic list with the same criteria."""
    return save(session, None, name, get(session, list_id).criteria, now=now)


def delete(session: Session, list_id: int, *, version: int | None = None, now: datetime) -> None:
    """Put a list away; `restore` brings it back within 30 days. Raises Conflict while other lists refer to it."""
    found = get(session, list_id)
    others = select(ContactList).where(ContactList.deleted_at.is_(None), ContactList.id != list_id)
    users = [other.name for other in session.scalars(others) if list_id in _named(other.criteria)]
    if users:
        raise Conflict(f"The list is part of {', '.join(f'“{name}”' for name in users[:5])}; change that first.")
    _change(session, found, version, {"deleted_at": now})


def restore(session: Session, list_id: int, *, now: datetime) -> ContactList:
    """Undo `delete`; raises NotFound when there is nothing to bring back."""
    found = session.get(ContactList, list_id)
    if found is None or found.deleted_at is None or now - found.deleted_at > UNDO:
        raise NotFound(f"There is no deleted list {list_id} to bring back.")
    return _change(session, found, None, {"deleted_at": None, "updated_at": now})


def load(session: Session, warehouse: Warehouse, list_id: int) -> Criteria:
    """The criteria of a list, checked against what is there today. Raises NotFound, or Invalid when a field, event or
    list they name is gone. Those of a frozen list mean its members.
    """
    found = get(session, list_id)
    asked = found.criteria if found.frozen_at is None else {"list": list_id}
    return criteria.parse(
        asked, open_catalogue(session, warehouse), list_id=list_id if asked is found.criteria else None
    )


def count(session: Session, warehouse: Warehouse, list_id: int, now: datetime) -> int:
    """Count the people on a list now, and keep the number and the moment with it."""
    found = get(session, list_id)
    if found.frozen_at is not None:
        query = select(func.count()).select_from(ListMember).where(ListMember.list_id == list_id)
        size = session.scalar(query) or 0
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
    counted: list[tuple[int, int, int]] = []
    left = 0
    with database.read() as session:
        for list_id, version in session.execute(
            select(ContactList.id, ContactList.version).where(*dynamic).order_by(*oldest)
        ).all():
            if counted and time.monotonic() >= deadline:
                left += 1
                continue
            with suppress(Invalid):
                counted.append((list_id, version, _size(session, warehouse, list_id, now)))
    with database.begin() as session:
        for list_id, version, size in counted:
            unchanged = (ContactList.id == list_id, ContactList.version == version)
            session.execute(update(ContactList).where(*unchanged).values(size=size, counted_at=now))
    return len(counted), left


def _size(session: Session, warehouse: Warehouse, list_id: int, now: datetime) -> int:
    people = criteria.select(load(session, warehouse, list_id), warehouse, now)
    size: int = warehouse.execute(people.count())[0][0].as_py()
    return size


def behind(session: Session, list_id: int) -> list[ContactList]:
    """The list and all that decide who is on it: those its criteria name, those that theirs do. A frozen one is its
    people and nothing else. Deleted ones too.
    """
    found: dict[int, ContactList] = {}
    waiting = [list_id]
    while waiting:
        one = session.get(ContactList, waiting.pop())
        if one is not None and one.id not in found:
            found[one.id] = one
            waiting += _named(one.criteria) if one.frozen_at is None else ()
    return list(found.values())


def member_ids(session: Session, warehouse: Warehouse, list_id: int, now: datetime) -> npt.NDArray[np.int64]:
    """The ids of the contacts on a list, ascending: found now (dynamic) or once (frozen)."""
    if get(session, list_id).frozen_at is not None:
        ids = open_catalogue(session, warehouse).members(list_id)["contact_id"].to_numpy()
    else:
        people = criteria.select(load(session, warehouse, list_id), warehouse, now)
        ids = warehouse.execute(people)["contact_id"].to_numpy()
    return np.sort(ids.astype(np.int64))


def members(
    session: Session, warehouse: Warehouse, list_id: int, now: datetime, *, after: int = 0, limit: int = 100
) -> list[Contact]:
    """One page of the contacts on a list, by id; `after`: the last id of the page before."""
    if get(session, list_id).frozen_at is not None:
        query = select(ListMember.contact_id).where(ListMember.list_id == list_id, ListMember.contact_id > after)
        ids: Sequence[int] = session.scalars(query.order_by(ListMember.contact_id).limit(limit)).all()
    else:
        people = criteria.select(load(session, warehouse, list_id), warehouse, now)
        page = people.filter(people.contact_id > after).order_by("contact_id").limit(limit)
        ids = warehouse.execute(page)["contact_id"].to_pylist()
    return list(session.scalars(select(Contact).where(Contact.id.in_(ids)).order_by(Contact.id)))


def freeze(session: Session, warehouse: Warehouse, list_id: int, now: datetime) -> int:
    """Write down who is on the list now; from then on it stays so. How many; the same again when it is frozen."""
    found = get(session, list_id)
    if found.frozen_at is not None:
        return found.size or 0
    ids = member_ids(session, warehouse, list_id, now)
    _change(session, found, found.version, {"frozen_at": now, "counted_at": now, "updated_at": now})
    for part in _parts(ids):
        people = select(literal(list_id), Contact.id).where(Contact.id.in_(_among(session, part)))
        session.execute(insert(ListMember).from_select(["list_id", "contact_id"], people))
    return count(session, warehouse, list_id, now)  # the warehouse may still know people who were erased a moment ago


def export_csv(session: Session, warehouse: Warehouse, list_id: int, now: datetime) -> Iterator[str]:
    """The people on a list as CSV, in pieces; the columns are those that intake reads. Cells that a spreadsheet would
    run are made harmless. The list is looked up at once, so that a wrong one is an error and not half a file.
    """
    ids = member_ids(session, warehouse, list_id, now)
    own = sorted(open_catalogue(session, warehouse).found().attributes)
    return export.lines((*COLUMNS, *own), _rows(session, ids, [name.partition(".")[2] for name in own]))


def _rows(session: Session, ids: npt.NDArray[np.int64], own: Sequence[str]) -> Iterator[list[Any]]:
    income = COLUMNS.index("income")
    columns = [getattr(Contact, name) for name in COLUMNS]
    for part in _parts(ids):
        query = select(*columns, Contact.attributes).where(Contact.id.in_(_among(session, part))).order_by(Contact.id)
        for *row, attributes in session.execute(query):
            row[income] = None if row[income] is None else money.to_decimal(row[income])
            yield row + [attributes.get(name) for name in own]


def _parts(ids: npt.NDArray[np.int64]) -> Iterator[list[int]]:
    return (ids[start : start + PART].tolist() for start in range(0, len(ids), PART))


def _among(session: Session, ids: list[int]) -> Select[Any]:
    """The ids as a subquery of one bound value: no limit on their number, and one plan for all."""
    if session.get_bind().dialect.name == "postgresql":
        return select(func.unnest(bindparam("ids", ids, ARRAY(BigInteger), unique=True)))
    return select(func.json_each(json.dumps(ids)).table_valued("value").c.value)


def _change(session: Session, found: ContactList, version: int | None, values: dict[str, Any]) -> ContactList:
    """Write, unless the version has moved on: two editors never overwrite each other unseen."""
    expected = found.version if version is None else version
    statement = (
        update(ContactList)
        .where(ContactList.id == found.id, ContactList.version == expected)
        .values(**values, version=expected + 1)
        .execution_options(synchronize_session=False)
    )
    if cast(CursorResult[Any], session.execute(statement)).rowcount != 1:
        raise Conflict("Somebody else changed this list in the meantime; load it again, your changes are not saved.")
    session.refresh(found)
    return found


def _name(given: str) -> str:
    name = given.strip()
    if not 0 < len(name) <= NAME_LIMIT or not name.isprintable():
        raise Invalid(f"A list needs a name of 1 to {NAME_LIMIT} characters.", field="name")
    return name


def _named(data: Any) -> set[int]:
    """The lists that criteria refer to."""
    if isinstance(data, list):
        return set().union(*map(_named, data))
    if not isinstance(data, dict):
        return set()
    return {data["list"]} if "list" in data else set().union(*map(_named, data.values()))
