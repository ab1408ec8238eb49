"""Dynamic lists kept fresh: events of who joined and left, the row of each day, and what makes no events."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from engine import lists
from engine.catalogue import open_catalogue
from engine.config import Config
from engine.contacts import erase
from engine.database import Database, next_revision
from engine.lists import bits, following
from engine.models import Contact, ContactList, Event, ListState
from engine.warehouse import Warehouse
from tests.engine.copies import add

UK = {"all": [{"field": "country", "operator": "is", "value": "UK"}]}
MINUTE = timedelta(minutes=1)


@pytest.fixture
def warehouse(config: Config, database: Database) -> Iterator[Warehouse]:
    """Over an empty database."""
    warehouse = Warehouse(database, config.folder / "warehouse", config)
    yield warehouse
    warehouse.close()


def people(database: Database, now: datetime, count: int, country: str | None = "UK") -> list[int]:
    """Contacts of a country; their ids."""
    with database.begin() as session:
        there = session.scalar(select(func.count()).select_from(Contact)) or 0
        return [add(session, Contact, now, key=f"c{there + n}", country=country) for n in range(count)]


def move(database: Database, ids: list[int], country: str) -> None:
    """To another country."""
    with database.begin() as session:
        for one in session.scalars(select(Contact).where(Contact.id.in_(ids))):
            one.country, one.revision = country, next_revision(session)


def saved(database: Database, now: datetime, criteria: Any = UK, name: str = "British") -> int:
    """A dynamic list."""
    with database.begin() as session:
        return lists.save(session, None, name, criteria, now=now).id


def tick(database: Database, warehouse: Warehouse, now: datetime, **more: Any) -> lists.Followed:
    """Refresh, then follow."""
    warehouse.refresh()
    return lists.follow(database, warehouse, now, **more)


def told(database: Database, list_id: int) -> list[tuple[str, int]]:
    """What the events tell of a list, in the order they were written."""
    with database.read() as session:
        events = session.scalars(select(Event).where(Event.type.in_(["list_join", "list_leave"])).order_by(Event.id))
        return [(one.type, one.contact_id or 0) for one in events if one.properties["list_id"] == list_id]


def remembered(database: Database, list_id: int) -> list[int]:
    """Who was on the list at the last look."""
    with database.read() as session:
        found: list[int] = bits.ids(following.remembered(session, list_id)).tolist()
        return found


def test_who_joins_and_leaves_is_told_once(database: Database, warehouse: Warehouse, now: datetime) -> None:
    """The first look tells of nobody, the next of those who came and went; a third of no one. The day has a row."""
    ann, ben, eve = people(database, now, 3)
    list_id = saved(database, now)
    assert tick(database, warehouse, now) == lists.Followed(lists=1)
    assert (told(database, list_id), remembered(database, list_id)) == ([], [ann, ben, eve])
    move(database, [ann], "FR")
    new = people(database, now, 2)
    assert tick(database, warehouse, now + MINUTE) == lists.Followed(lists=1, joined=2, left=1)
    expected = [("list_join", new[0]), ("list_join", new[1]), ("list_leave", ann)]
    assert told(database, list_id) == expected
    assert tick(database, warehouse, now + 2 * MINUTE).joined == 0  # the events themselves are new data
    assert tick(database, warehouse, now + 3 * MINUTE) == lists.Followed()
    assert told(database, list_id) == expected
    with database.read() as session:
        (day,) = lists.growth(session, list_id)
        assert (day.day, day.size, day.joined, day.left) == (now.date(), 4, 2, 1)
        found = lists.get(session, list_id)
        assert (found.size, found.version) == (4, 1)
        event = session.scalars(select(Event).where(Event.type == "list_join")).first()
        assert event is not None
        assert (event.properties, event.key.startswith("rapport:")) == ({"list_id": list_id, "list": "British"}, True)


def test_criteria_can_ask_who_joined(database: Database, warehouse: Warehouse, now: datetime) -> None:
    """An event as any other, with the list's number among its properties."""
    people(database, now, 2)
    list_id = saved(database, now)
    tick(database, warehouse, now)
    new = people(database, now, 1)
    tick(database, warehouse, now + MINUTE)
    warehouse.refresh()
    joined = {"event": "list_join", "measure": "count", "operator": "at_least", "value": 1, "within": {"last_days": 7},
              "where": [{"field": "properties.list_id", "operator": "is", "value": list_id}]}  # fmt: skip
    with database.begin() as session:
        catalogue = open_catalogue(session, warehouse)
        made = lists.save(session, None, "New here", {"all": [joined]}, now=now, catalogue=catalogue)
        assert lists.member_ids(session, warehouse, made.id, now + 2 * MINUTE).tolist() == new


def test_an_edit_is_a_baseline(database: Database, warehouse: Warehouse, now: datetime) -> None:
    """Other criteria, of the list or of one that it names, move people who did nothing; a new name does not."""
    people(database, now, 2)
    people(database, now, 2, "FR")
    inner = saved(database, now)
    outer = saved(database, now, {"all": [{"list": inner}]}, "Outer")
    tick(database, warehouse, now)
    with database.begin() as session:
        lists.save(session, inner, "French", {"all": [{**UK["all"][0], "value": "FR"}]}, now=now)
    assert tick(database, warehouse, now + timedelta(hours=1)) == lists.Followed(lists=2)
    assert remembered(database, inner) == remembered(database, outer) == [3, 4]
    with database.begin() as session:
        lists.rename(session, inner, "Gauls", now=now)
    people(database, now, 1, "FR")
    assert tick(database, warehouse, now + timedelta(hours=2)).joined == 2
    assert told(database, inner) == told(database, outer) == [("list_join", 5)]


def test_days_move_people_without_new_data(database: Database, warehouse: Warehouse, now: datetime) -> None:
    """A window of days ages: the list is looked at again after a while, not at every tick."""
    (ann,) = people(database, now - timedelta(days=1), 1)
    recent = {"all": [{"field": "created_at", "operator": "in_last", "value": 7}]}
    list_id = saved(database, now, recent)
    tick(database, warehouse, now)
    assert tick(database, warehouse, now + MINUTE) == lists.Followed()
    assert tick(database, warehouse, now + timedelta(days=8)).left == 1
    assert told(database, list_id) == [("list_leave", ann)]


def test_a_budget_looks_at_the_oldest_first(database: Database, warehouse: Warehouse, now: datetime) -> None:
    """One at least, the rest at the next ticks; a list that cannot be used holds up none."""
    people(database, now, 1)
    bad = saved(database, now, {"all": [{"field": "attributes.gone", "operator": "is", "value": "x"}]}, "Bad")
    ids = [saved(database, now, name=f"L{number}") for number in range(3)]
    assert tick(database, warehouse, now) == lists.Followed(lists=4)
    move(database, [1], "FR")
    first = tick(database, warehouse, now + MINUTE, seconds=0)
    assert (first.lists, first.waiting) == (1, 3)  # the one nobody could look at comes first
    seen = [tick(database, warehouse, now + (2 + n) * MINUTE, seconds=0).left for n in range(5)]
    assert sum(seen) <= 3
    tick(database, warehouse, now + timedelta(hours=1))
    assert [told(database, one) for one in ids] == [[("list_leave", 1)]] * 3
    assert told(database, bad) == []


def test_erased_and_picked(database: Database, warehouse: Warehouse, now: datetime) -> None:
    """Who is erased leaves without an event; who is put on the list by hand joins, who is taken off leaves."""
    ann, ben, eve = people(database, now, 3)
    (jan,) = people(database, now, 1, "FR")
    list_id = saved(database, now)
    tick(database, warehouse, now)
    with database.begin() as session:
        erase(session, ann, now)
        lists.pick(session, list_id, np.array([jan]), now=now, author="Mei")
        lists.pick(session, list_id, np.array([ben]), added=False, now=now)
    assert tick(database, warehouse, now + MINUTE) == lists.Followed(lists=1, joined=1, left=2)
    assert told(database, list_id) == [("list_join", jan), ("list_leave", ben)]
    with database.begin() as session:
        assert lists.unpick(session, list_id, np.array([jan, ben]), now=now) == 2
    tick(database, warehouse, now + 2 * MINUTE)
    assert remembered(database, list_id) == [ben, eve]


def test_of_two_who_follow_one_writes(
    database: Database, warehouse: Warehouse, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other finds the state moved on and leaves it; nobody is told of twice."""
    people(database, now, 1)
    list_id = saved(database, now)
    tick(database, warehouse, now)
    people(database, now, 2)
    warehouse.refresh()
    looked = following._look

    def slow(*given: Any) -> Any:
        found = looked(*given)
        monkeypatch.setattr(following, "_look", looked)
        lists.follow(database, warehouse, now + MINUTE)
        return found

    monkeypatch.setattr(following, "_look", slow)
    assert lists.follow(database, warehouse, now + 2 * MINUTE).joined == 0
    assert told(database, list_id) == [("list_join", 2), ("list_join", 3)]


def test_many_are_told_in_parts_that_may_break_off(
    database: Database, warehouse: Warehouse, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between two parts, the next round goes on where it was."""
    monkeypatch.setattr(following, "PART", 2)
    people(database, now, 1)
    list_id = saved(database, now)
    tick(database, warehouse, now)
    new = people(database, now, 5)
    warehouse.refresh()
    step = following._moves(database, warehouse, list_id, following.data_mark(warehouse), now + MINUTE)
    assert next(step) == (2, 0)
    step.close()
    assert remembered(database, list_id) == [1, *new[:2]]
    assert lists.follow(database, warehouse, now + 2 * MINUTE).joined == 3
    assert told(database, list_id) == [("list_join", number) for number in new]


def test_put_away_and_brought_back_begins_anew(database: Database, warehouse: Warehouse, now: datetime) -> None:
    """What happened in between is told to nobody."""
    people(database, now, 1)
    list_id = saved(database, now)
    tick(database, warehouse, now)
    with database.begin() as session:
        lists.delete(session, list_id, now=now)
    people(database, now, 3)
    tick(database, warehouse, now + MINUTE)
    with database.begin() as session:
        assert session.get(ListState, list_id) is None
        lists.restore(session, list_id, now=now)
    tick(database, warehouse, now + 2 * MINUTE)
    assert (told(database, list_id), len(remembered(database, list_id))) == ([], 4)


def test_the_lists_of_one_contact(database: Database, warehouse: Warehouse, now: datetime) -> None:
    """Dynamic ones as of the last look, heeding picks at once; frozen ones too."""
    ann, ben = people(database, now, 2)
    dynamic, frozen = saved(database, now), saved(database, now, name="Kept")
    tick(database, warehouse, now)
    with database.begin() as session:
        lists.freeze(session, warehouse, frozen, now)
        lists.pick(session, frozen, np.array([ben]), added=False, now=now)
        assert [one.id for one, _ in lists.joined_by(session, ann)] == [dynamic]
        assert [one.id for one in lists.kept_on(session, ann)] == [frozen]
        assert lists.kept_on(session, ben) == []
        lists.pick(session, dynamic, np.array([ann]), added=False, now=now)
        assert lists.joined_by(session, ann) == []


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.integers(1, 8), unique=True), min_size=1, max_size=5), st.integers(1, 3))
def test_the_events_lead_from_the_first_people_to_the_last(
    database: Database,
    warehouse: Warehouse,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
    looks: list[list[int]],
    part: int,
) -> None:
    """Whoever comes and goes at whatever look, in parts of any size: applying joins and leaves to the people of the
    baseline gives those of the last look, and nobody joins who is on it or leaves who is not.
    """
    if not (ids := _everybody(database)):
        ids = people(database, now, 8)
        warehouse.refresh()
    list_id = saved(database, now)
    monkeypatch.setattr(following, "PART", part)
    at = now
    for look in looks:
        there = np.array(sorted(ids[number - 1] for number in look), np.int64)
        monkeypatch.setattr(following, "member_ids", lambda *_, there=there: there)
        at += timedelta(hours=1)
        lists.follow(database, warehouse, at, seconds=600)
    on = {ids[number - 1] for number in looks[0]}
    for kind, contact_id in told(database, list_id):
        assert (contact_id in on) == (kind == "list_leave")
        on ^= {contact_id}
    assert sorted(on) == remembered(database, list_id) == sorted(ids[number - 1] for number in looks[-1])
    with database.begin() as session:
        days = lists.growth(session, list_id)
        assert len(looks[0]) + sum(day.joined - day.left for day in days) == days[-1].size == len(looks[-1])
        lists.delete(session, list_id, now=now)


def _everybody(database: Database) -> list[int]:
    with database.read() as session:
        return list(session.scalars(select(Contact.id).order_by(Contact.id)))


@given(st.sets(st.integers(1, 300_000)), st.sets(st.integers(1, 300_000)))
def test_bits_are_the_ids(one: set[int], other: set[int]) -> None:
    """There and back, and the operations of sets."""
    first, second = (bits.blocks(np.array(sorted(ids), np.int64)) for ids in (one, other))
    assert bits.ids(first).tolist() == sorted(one)
    assert bits.size(first) == len(one)
    assert bits.ids(bits.both(first, second)).tolist() == sorted(one & other)
    assert bits.ids(bits.without(first, second)).tolist() == sorted(one - other)
    for number in one | other:
        packed = first.get(number // bits.BLOCK)
        assert (packed is not None and bits.holds(bits.pack(packed), number)) == (number in one)


def test_a_million_members_are_small() -> None:
    """Remembered in less than a quarter of a megabyte, whatever the ids are."""
    ids = np.flatnonzero(np.random.default_rng(1).random(2_000_000) < 0.5).astype(np.int64)
    found = {number: bits.pack(one) for number, one in bits.blocks(ids).items()}
    assert sum(map(len, found.values())) < 260_000
    assert np.array_equal(bits.ids({number: bits.unpack(one) for number, one in found.items()}), ids)


def test_lists_are_all_dynamic_ones(database: Database, warehouse: Warehouse, now: datetime) -> None:
    """Frozen ones are not looked at."""
    list_id = saved(database, now)
    warehouse.refresh()
    with database.begin() as session:
        lists.freeze(session, warehouse, list_id, now)
    assert tick(database, warehouse, now) == lists.Followed()
    with database.read() as session:
        assert session.get(ContactList, list_id)


def test_a_pick_is_a_change_of_the_list(database: Database, warehouse: Warehouse, now: datetime) -> None:
    """Whoever waits to send to it sees that, while an editor of its criteria is not disturbed."""
    (ann,) = people(database, now, 1)
    list_id = saved(database, now)
    for step, change in enumerate((lists.pick, lists.unpick), 1):
        with database.begin() as session:
            change(session, list_id, np.array([ann]), now=now + step * MINUTE)
        with database.read() as session:
            found = lists.get(session, list_id)
            assert (found.updated_at, found.version) == (now + step * MINUTE, 1)
