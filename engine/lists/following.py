"""Dynamic lists kept fresh: who joined and who left since the last look, as events, and a row for each list and day.

The first look at a list is a baseline and tells of nobody; so is the one after its criteria, or those of a list they
name, were changed: the people did nothing then. A look that finds many who came or went writes PART of them in each
transaction and moves the remembered people as far, so that it can be broken off anywhere and nobody is told of twice.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from typing import cast as cast_to

import numpy as np
from sqlalchemy import CursorResult, String, Table, cast, delete, insert, literal, or_, select, update
from sqlalchemy.orm import Session

from engine.database import Database, Json, UtcDateTime, insert_new, microseconds, next_revision
from engine.errors import Invalid, NotFound
from engine.lists import bits
from engine.lists.people import PART, Ids, among, member_ids
from engine.lists.saved import behind, get
from engine.models import OWN_KEYS, Contact, ContactList, Event, ListBlock, ListDay, ListPick, ListState
from engine.warehouse.tables import TABLES

if TYPE_CHECKING:
    from engine.warehouse import Warehouse

AGEING: Final = timedelta(minutes=15)  # windows of days move on without any new data
DAYS: Final = 400  # of growth that are shown at once
JOIN, LEAVE = "list_join", "list_leave"
_STATES: Final = cast_to(Table, ListState.__table__)


@dataclass(frozen=True)
class Followed:
    """What a round did: lists that were looked at, people who joined and left, lists left for the next round."""

    lists: int = 0
    joined: int = 0
    left: int = 0
    waiting: int = 0


@dataclass(frozen=True)
class _Look:
    """What one look at a list found. `version`, `changed`: of the list, the latter moved by picks too; `rules`, `data`:
    as of ListState; `turn`: of the state it goes on from, or 0.
    """

    list_id: int
    name: str
    version: int
    changed: datetime
    rules: str
    data: str
    turn: int
    before: Ids
    after: Ids
    is_baseline: bool

    @property
    def joined(self) -> Ids:
        """Who is new, ascending."""
        return np.setdiff1d(self.after, self.before, assume_unique=True)

    @property
    def left(self) -> Ids:
        """Who is gone, ascending."""
        return np.setdiff1d(self.before, self.after, assume_unique=True)


@dataclass(frozen=True)
class _Moment:
    """When a part is written: the shop's day, and the turn of the state before it."""

    now: datetime
    day: date
    turn: int
    is_last: bool


def follow(database: Database, warehouse: Warehouse, now: datetime, *, seconds: float = 2.0) -> Followed:
    """Look at the dynamic lists whose people may be others by now (their data changed, or AGEING passed), those whose
    look is oldest first, for about `seconds` but at least one. One that cannot be used is passed over. Nothing is
    locked while the warehouse counts; of several who follow at once one writes.
    """
    deadline = time.monotonic() + seconds
    data = data_mark(warehouse)
    due = _due(database, data, now)
    lists = joined = left = 0
    while due and (not lists or time.monotonic() < deadline):
        with suppress(Invalid, NotFound):
            for came, went in _moves(database, warehouse, due[0], data, now):
                joined, left = joined + came, left + went
        lists += 1
        due = due[1:]
    return Followed(lists, joined, left, len(due))


def remembered(session: Session, list_id: int) -> dict[int, bits.Bits]:
    """The people of a dynamic list as of the last look."""
    rows = select(ListBlock.block, ListBlock.bits).where(ListBlock.list_id == list_id)
    return {row.block: bits.unpack(row.bits) for row in session.execute(rows)}


def joined_by(session: Session, contact_id: int) -> list[tuple[ContactList, datetime]]:
    """Dynamic lists a contact was on at their last look, newest first, and when that was; picks since count."""
    rows = (
        select(ContactList, ListState.looked_at, ListBlock.bits, ListPick.added)
        .join(ListState, ListState.list_id == ContactList.id)
        .outerjoin(ListBlock, (ListBlock.list_id == ContactList.id) & (ListBlock.block == contact_id // bits.BLOCK))
        .outerjoin(ListPick, (ListPick.list_id == ContactList.id) & (ListPick.contact_id == contact_id))
        .where(ContactList.deleted_at.is_(None), ContactList.frozen_at.is_(None))
        .where(or_(ListBlock.block.is_not(None), ListPick.added.is_(True)))
        .order_by(ContactList.id.desc())
    )
    return [
        (one, looked_at)
        for one, looked_at, packed, added in session.execute(rows)
        if (bits.holds(packed, contact_id) if added is None else added)
    ]


def growth(session: Session, list_id: int, *, since: date | None = None, limit: int = DAYS) -> list[ListDay]:
    """A list's last `limit` days with a look, oldest first; `since`: none before this one."""
    query = select(ListDay).where(ListDay.list_id == get(session, list_id).id)
    query = query if since is None else query.where(ListDay.day >= since)
    return list(session.scalars(query.order_by(ListDay.day.desc()).limit(limit)))[::-1]


def data_mark(warehouse: Warehouse) -> str:
    """Changes with what the warehouse holds."""
    files = sorted(part for name in TABLES for part in warehouse.parts(name))
    return _digest(files)


def _due(database: Database, data: str, now: datetime) -> list[int]:
    state = ListState
    moved = or_(state.list_id.is_(None), state.data != data, state.looked_at <= now - AGEING)
    query = (
        select(ContactList.id)
        .outerjoin(state, state.list_id == ContactList.id)
        .where(ContactList.frozen_at.is_(None), ContactList.deleted_at.is_(None), moved)
        .order_by(state.looked_at.is_not(None), state.looked_at, ContactList.id)
    )
    with database.read() as session:
        return list(session.scalars(query))


def _moves(
    database: Database, warehouse: Warehouse, list_id: int, data: str, now: datetime
) -> Iterator[tuple[int, int]]:
    """Look once and write what moved, part by part: how many joined and left in each."""
    found = _look(database, warehouse, list_id, data, now)
    nobody = found.after[:0]
    joined, left = (nobody, nobody) if found.is_baseline else (found.joined, found.left)
    turn, people = found.turn, found.after if found.is_baseline else found.before
    size = max(len(joined), len(left), 1)
    for start in range(0, size, PART):
        came, went = joined[start : start + PART], left[start : start + PART]
        if not found.is_baseline:
            people = np.setdiff1d(np.union1d(people, came), went, assume_unique=True)
        moment = _Moment(now, _day(warehouse, now), turn, is_last=start + PART >= size)
        with database.begin() as session:
            if not _move(session, found, people, moment):
                return  # somebody else looked, or the list was changed
            _tell(session, found, ((JOIN, came), (LEAVE, went)), moment)
            _count_day(session, found, len(people), (len(came), len(went)), moment.day)
        turn += 1
        yield len(came), len(went)


def _look(database: Database, warehouse: Warehouse, list_id: int, data: str, now: datetime) -> _Look:
    with database.read() as session:
        found, rules = get(session, list_id), _rules(session, list_id)
        state = session.get(ListState, list_id)
        is_baseline = state is None or state.rules != rules
        before = bits.ids({} if is_baseline else remembered(session, list_id))
        after = member_ids(session, warehouse, list_id, now)
        turn = state.turn if state else 0
        at = found.name, found.version, found.updated_at
        return _Look(list_id, *at, rules, data, turn, before, after, is_baseline)


def _rules(session: Session, list_id: int) -> str:
    """Of all that decides who is on the list, but the data and the picks."""
    deciding = sorted(behind(session, list_id), key=lambda one: one.id)
    return _digest([[one.id, one.criteria, one.frozen_at is not None] for one in deciding])


def _move(session: Session, found: _Look, people: Ids, moment: _Moment) -> bool:
    """Remember `people`, if the list is still as it was found and nobody looked since."""
    as_it_was = (ContactList.version == found.version, ContactList.updated_at == found.changed)
    counted = (
        update(ContactList)
        .where(ContactList.id == found.list_id, *as_it_was)
        .values(size=len(people), counted_at=moment.now)
    )
    if _rows(session, counted) != 1:
        return False
    data = found.data if moment.is_last else ""  # broken off here, the next round goes on at once
    values = {"rules": found.rules, "data": data, "size": len(people), "looked_at": moment.now}
    if moment.turn:
        guarded = (ListState.list_id == found.list_id, ListState.turn == moment.turn)
        if _rows(session, update(ListState).where(*guarded).values(**values, turn=moment.turn + 1)) != 1:
            return False
    elif not insert_new(session, _STATES, [{"list_id": found.list_id, "turn": 1, **values}], ["list_id"]):
        return False
    _remember(session, found.list_id, people)
    return True


def _remember(session: Session, list_id: int, people: Ids) -> None:
    """Write the blocks that are others than before."""
    rows = select(ListBlock.block, ListBlock.bits).where(ListBlock.list_id == list_id)
    before = {row.block: row.bits for row in session.execute(rows)}
    after = {number: bits.pack(found) for number, found in bits.blocks(people).items()}
    changed = [number for number in before.keys() | after.keys() if before.get(number) != after.get(number)]
    old = delete(ListBlock).where(ListBlock.list_id == list_id, ListBlock.block.in_(among(session, changed)))
    session.execute(old, execution_options={"synchronize_session": False})
    new = [{"list_id": list_id, "block": number, "bits": after[number]} for number in changed if number in after]
    if new:
        session.execute(insert(ListBlock), new)


def _tell(session: Session, found: _Look, moved: Sequence[tuple[str, Ids]], moment: _Moment) -> None:
    """Events of those who are contacts still."""
    told = {"list_id": found.list_id, "list": found.name}
    for kind, ids in moved:
        if not len(ids):
            continue
        key = literal(f"{OWN_KEYS}{kind}:{found.list_id}:") + cast(Contact.id, String)
        values: dict[str, Any] = {
            "key": key + literal(f":{microseconds(moment.now)}.{moment.turn}"),
            "contact_id": Contact.id,
            "type": literal(kind),
            "occurred_at": literal(moment.now, UtcDateTime()),
            "properties": literal(told, Json),
            "revision": literal(next_revision(session)),
        }
        people = select(*values.values()).where(
            Contact.id.in_(among(session, ids.tolist())), Contact.merged_into.is_(None)
        )
        session.execute(insert(Event).from_select(list(values), people.order_by(Contact.id)))


def _count_day(session: Session, found: _Look, size: int, moved: tuple[int, int], day: date) -> None:
    row = session.get(ListDay, (found.list_id, day))
    if row is None:
        row = ListDay(list_id=found.list_id, day=day, size=size, joined=0, left=0)
        session.add(row)
    row.size, row.joined, row.left = size, row.joined + moved[0], row.left + moved[1]


def _day(warehouse: Warehouse, now: datetime) -> date:
    return now.astimezone(warehouse.config.locale.zone).date()


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]


def _rows(session: Session, statement: Any) -> int:
    result: CursorResult[Any] = session.connection().execute(statement)
    return result.rowcount
