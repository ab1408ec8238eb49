"""Lists as they are saved: name and criteria, each change of them a version, and being put away and brought back."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final, cast
from zoneinfo import ZoneInfo

from sqlalchemy import CursorResult, delete, select, update
from sqlalchemy.orm import Session

from engine import criteria
from engine.catalogue import Catalogue
from engine.database import take_turn
from engine.errors import Conflict, Invalid, NotFound
from engine.models import ContactList, ListBlock, ListState, ListVersion

NAME_LIMIT: Final = 128
UNDO: Final = timedelta(days=30)
NAMING: Final = "lists that name others"  # two who save at once would not see that their lists name each other


def get(session: Session, list_id: int) -> ContactList:
    """A list that is not deleted; raises NotFound."""
    found = session.get(ContactList, list_id)
    if found is None or found.deleted_at is not None:
        raise NotFound(f"There is no list {list_id}.")
    return found


def held(session: Session, list_id: int) -> ContactList:
    """The same as it is now; nobody else changes it, picks for it or freezes it until the end of the transaction."""
    session.flush()
    found = session.get(ContactList, list_id, with_for_update={"key_share": True}, populate_existing=True)
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
    author: str = "",
) -> ContactList:
    """A new list (`list_id` None) or a change. Raises Invalid for criteria that cannot be read, Conflict when the
    list was changed since `version` was read or is frozen. Without a catalogue the shop's own names (attributes,
    event types) are believed; with one they must have come in. `author`: who saves, for the versions.
    """
    _check(session, criteria_json, catalogue or Catalogue(session, None, ZoneInfo("UTC"), ""), list_id)
    name = _name(name)
    if list_id is None:
        made = ContactList(name=name, criteria=criteria_json, version=1, created_at=now, updated_at=now)
        session.add(made)
        session.flush()
        return _kept(session, made, author)
    found = held(session, list_id)
    values: dict[str, Any] = {"name": name}
    if found.criteria != criteria_json:
        if found.frozen_at is not None:
            raise Conflict("A frozen list keeps the people it was frozen with; copy it to change the criteria.")
        values |= {"criteria": criteria_json, "size": None, "counted_at": None}
        forget_state(session, list_id)
    return _kept(session, change(session, found, version, {**values, "updated_at": now}), author)


def rename(
    session: Session, list_id: int, name: str, *, version: int | None = None, now: datetime, author: str = ""
) -> ContactList:
    """Another name; frozen lists too."""
    found = change(session, get(session, list_id), version, {"name": _name(name), "updated_at": now})
    return _kept(session, found, author)


def copy(session: Session, list_id: int, name: str, *, now: datetime, author: str = "") -> ContactList:
    """A dynamic list with the same criteria; whom somebody picked by hand is not copied."""
    return save(session, None, name, get(session, list_id).criteria, now=now, author=author)


def put_away(session: Session, list_id: int, *, version: int | None = None, now: datetime) -> None:
    """Put a list away; `restore` brings it back within 30 days. Raises Conflict while other lists refer to it."""
    take_turn(session, NAMING)
    found = get(session, list_id)
    users = [other.name for other in users_of(session, list_id)]
    if users:
        raise Conflict(f"The list is part of {', '.join(f'“{name}”' for name in users[:5])}; change that first.")
    change(session, found, version, {"deleted_at": now})
    forget_state(session, list_id)


def restore(session: Session, list_id: int, *, now: datetime) -> ContactList:
    """Undo `put_away`; raises NotFound when there is nothing to bring back."""
    found = session.get(ContactList, list_id)
    if found is None or found.deleted_at is None or now - found.deleted_at > UNDO:
        raise NotFound(f"There is no deleted list {list_id} to bring back.")
    return change(session, found, None, {"deleted_at": None, "updated_at": now})


def users_of(session: Session, list_id: int) -> list[ContactList]:
    """Other lists whose criteria name this one, by id."""
    others = select(ContactList).where(ContactList.deleted_at.is_(None), ContactList.id != list_id)
    return [other for other in session.scalars(others.order_by(ContactList.id)) if list_id in named(other.criteria)]


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
            waiting += named(one.criteria) if one.frozen_at is None else ()
    return list(found.values())


def forget_state(session: Session, list_id: int) -> None:
    """The tick looks at the list as if it were new."""
    session.execute(delete(ListBlock).where(ListBlock.list_id == list_id))
    session.execute(delete(ListState).where(ListState.list_id == list_id))


def change(session: Session, found: ContactList, version: int | None, values: dict[str, Any]) -> ContactList:
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


def named(data: Any) -> set[int]:
    """The lists that criteria refer to."""
    if isinstance(data, list):
        return set().union(*map(named, data))
    if not isinstance(data, dict):
        return set()
    return {data["list"]} if "list" in data else set().union(*map(named, data.values()))


def _check(session: Session, criteria_json: Any, catalogue: Catalogue, list_id: int | None) -> None:
    """Raise Invalid for criteria that cannot be read; the lists they name are looked at as they are now."""
    criteria.parse(criteria_json, catalogue, list_id=list_id)
    if named(criteria_json):
        take_turn(session, NAMING)
        session.flush()
        session.expire_all()
        criteria.parse(criteria_json, catalogue, list_id=list_id)


def _kept(session: Session, saved: ContactList, author: str) -> ContactList:
    """The list, its new state among the versions; a save that changed nothing is none."""
    query = select(ListVersion).where(ListVersion.list_id == saved.id).order_by(ListVersion.version.desc())
    last = session.scalars(query.limit(1)).first()
    if last is None or (last.name, last.criteria) != (saved.name, saved.criteria):
        session.add(
            ListVersion(
                list_id=saved.id,
                version=saved.version,
                name=saved.name,
                criteria=saved.criteria,
                at=saved.updated_at,
                author=author[:128],
            )
        )
        session.flush()
    return saved


def _name(given: str) -> str:
    name = given.strip()
    if not 0 < len(name) <= NAME_LIMIT or not name.isprintable():
        raise Invalid(f"A list needs a name of 1 to {NAME_LIMIT} characters.", field="name")
    return name
