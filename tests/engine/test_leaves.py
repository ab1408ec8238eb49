"""Masks that are kept say what the criteria say, whatever happens to the data, the clock and the memory meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import criteria, lists
from engine.catalogue import open_catalogue
from engine.config import Config
from engine.criteria.nodes import Membership
from engine.criteria.parse import parse
from engine.database import Database
from engine.kept import STILL, Kept
from engine.leaves import Leaves, members, size
from engine.masks import Base, Mask
from engine.models import Contact, Event
from engine.warehouse import Pin, Warehouse
from engine.warehouse.tables import TABLES
from tests.engine.copies import add, remove
from tests.engine.criteria import strategies
from tests.engine.criteria.world import NOW, MemoryCatalogue, MemoryWarehouse, World, stored

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]
VIEWED = {"event": "item_view", "measure": "count", "operator": "at_least", "value": 2, "within": {"last_days": 3}}
ADULT = {"field": "age", "operator": "at_least", "value": 18}


class Memory(MemoryWarehouse):
    """The warehouse in memory, its tables by the names of their states."""

    def pin(self, world: World) -> Pin:
        """These rows; the same rows have the same names."""
        names = {}
        for name, table in TABLES.items():
            rows = [stored({"bucket": 1, **row} if name == "contacts" else row) for row in getattr(world, name, [])]
            names[name] = f"{name} {hash(repr(rows))}"
            known = pa.Table.from_pylist(rows, schema=table.schema)
            with self._ibis.con.cursor() as cursor:
                cursor.register("known", known)
                cursor.execute(f'CREATE TABLE IF NOT EXISTS "{names[name]}" AS SELECT * FROM known')
        return Pin(NOW, names, self)  # type: ignore[arg-type]

    def query(self, sql: str, tables: Any = None, _deadline: Any = None) -> pa.Table:
        """What the reader does."""
        with self._ibis.con.cursor() as cursor:
            for name, rows in (tables or {}).items():
                cursor.register(name, rows)
            cursor.execute("SET timezone = 'UTC'")
            return cursor.sql(sql).to_arrow_table()


def said(leaves: Leaves, asked: criteria.Criteria) -> dict[str, list[Any]]:
    """Ids by node, and of leaves how many are unknown."""
    return {
        path: [*leaves.base.ids[leaves.truth(node).flags].tolist(), f"{leaves.unknown(node)} unknown"]
        for path, node in criteria.walk(asked.root)
    }


def computed(warehouse: Memory, world: World, asked: criteria.Criteria, now: datetime) -> dict[str, list[Any]]:
    """The same from one expression over everything, with nothing kept."""
    warehouse.load(world)
    found = {}
    for path, node in criteria.walk(asked.root):
        whole = criteria.people(replace(asked, root=node), warehouse, now)
        unknown = 0
        if not criteria.walk(node) or (not hasattr(node, "nodes") and not isinstance(node, Membership)):
            unknown = warehouse.execute(whole.table.filter(whole.unknown(node)).count())[0][0].as_py()
        ids = warehouse.execute(criteria.select(replace(asked, root=node), warehouse, now))["contact_id"].to_pylist()
        found[path] = [*sorted(ids), f"{unknown} unknown"]
    return found


@given(strategies.worlds(), st.lists(strategies.criteria, min_size=1, max_size=2), st.data())
@settings(max_examples=15, suppress_health_check=SLOW)
def test_what_is_kept_is_what_the_criteria_find(world: World, trees: list[Any], data: st.DataObject) -> None:
    """Random trees, asked again while rows come, change and go and the clock moves on."""
    warehouse, kept, now = Memory(world), Kept(limit=data.draw(st.sampled_from([0, 300, 2**20]))), NOW
    for step in range(4):
        asked = parse(data.draw(st.sampled_from(trees)), MemoryCatalogue(world, None))
        leaves = Leaves(warehouse.pin(world), kept, asked, now)
        assert now - STILL < leaves.moment <= now
        assert said(leaves, asked) == computed(warehouse, world, asked, leaves.moment)
        now += timedelta(seconds=data.draw(st.sampled_from([1, 40, 90_000])))
        if data.draw(st.booleans()):
            world = _changed(world, data.draw(st.sampled_from(["contacts", "events", "orders", "traits"])), step)
    kept.pool.shutdown()


def _changed(world: World, name: str, step: int) -> World:
    """Another first row, one row less, or a contact more."""
    rows = list(getattr(world, name))
    if name == "contacts" and step % 2:
        return replace(world, contacts=[*rows, {"id": 90 + step, "age": 30, "bucket": 3, "attributes": {}}])
    return replace(world, **{name: rows[1:]})


def ask(database: Database, warehouse: Warehouse, data: Any, now: datetime) -> lists.Preview:
    """Preview criteria."""
    with database.read() as session:
        return lists.preview(warehouse, parse(data, open_catalogue(session, warehouse)), now=now)


@pytest.fixture
def warehouse(config: Config, database: Database, now: datetime) -> Any:
    """Twenty contacts; those with an even number looked at two items."""
    with database.begin() as session:
        for number in range(1, 21):
            add(session, Contact, now, key=f"c{number}", bucket=number, age=number * 2)
            for view in range(2 * (1 - number % 2)):
                add(session, Event, now, key=f"{number}-{view}", contact_id=number,
                    occurred_at=now - timedelta(days=1, seconds=number))  # fmt: skip
    opened = Warehouse(database, config.folder / "warehouse", config)
    opened.refresh()
    yield opened
    opened.close()


def test_new_people_changed_people_and_erased_people(database: Database, warehouse: Warehouse, now: datetime) -> None:
    """Each refresh is seen by the next question, in the count and among the people shown."""
    both = {"all": [VIEWED, ADULT]}
    assert ask(database, warehouse, both, now).count == 6  # 10, 12 ... 20
    with database.begin() as session:
        add(session, Contact, now, key="new", bucket=0, age=50)
        for view in range(2):
            add(session, Event, now, key=f"n{view}", contact_id=21, occurred_at=now - timedelta(hours=1))
    warehouse.refresh()
    found = ask(database, warehouse, both, now)
    assert (found.count, found.people[0].key) == (7, "new")
    with database.begin() as session:
        session.get_one(Contact, 20).age = 3
        for event in (17, 18, 16):  # both of contact 18, and one of the two of contact 16
            remove(session, Event, event)
        remove(session, Contact, 18)
    warehouse.refresh()
    found = ask(database, warehouse, both, now)
    assert [person.key for person in found.people] == ["new", "c10", "c12", "c14"]
    assert (found.count, found.base) == (4, 20)


def test_a_person_erased_since_the_last_refresh_is_not_shown(
    database: Database, warehouse: Warehouse, now: datetime
) -> None:
    """The count is as of the copy; names come from SQL, where there are none any more."""
    with database.begin() as session:
        for event in (19, 20):
            remove(session, Event, event)
        remove(session, Contact, 20)
    found = ask(database, warehouse, VIEWED, now)
    assert (found.count, len(found.people)) == (10, 9)


def test_the_clock_stands_still_for_a_minute_while_the_data_do(
    database: Database, warehouse: Warehouse, now: datetime
) -> None:
    """The moment is said; new data or a minute later is a new one, and people leave by ageing."""
    assert ask(database, warehouse, VIEWED, now).moment == now
    assert ask(database, warehouse, VIEWED, now + timedelta(seconds=59)).moment == now
    later = ask(database, warehouse, VIEWED, now + timedelta(days=2, seconds=-10))
    assert (later.moment, later.count) == (now + timedelta(days=2, seconds=-10), 5)  # a second each aged
    assert ask(database, warehouse, VIEWED, now).moment == now  # a clock that was put back
    with database.begin() as session:
        add(session, Event, now, key="more", contact_id=1)
    warehouse.refresh()
    assert ask(database, warehouse, VIEWED, now + timedelta(seconds=30)).moment == now + timedelta(seconds=30)


def test_members_are_those_of_the_exact_moment(database: Database, warehouse: Warehouse, now: datetime) -> None:
    """Who is written down or written to is on the list now, whatever the preview of a minute ago said."""
    with database.read() as session:
        asked = parse(VIEWED, open_catalogue(session, warehouse))
    later = now + timedelta(days=2, seconds=-10)
    assert members(warehouse, asked, now).tolist() == [*range(2, 21, 2)]
    assert size(warehouse, asked, later - timedelta(seconds=20)) == 10
    assert size(warehouse, asked, later) == 10
    assert members(warehouse, asked, later).tolist() == [2, 4, 6, 8, 10]


def test_a_question_keeps_its_state_while_others_refresh(
    database: Database, warehouse: Warehouse, now: datetime
) -> None:
    """What is pinned shows the old rows after a refresh, whatever is asked of the new ones."""

    def pinned(pin: Pin) -> list[int]:
        counts = []
        for number in range(3):
            counts.append(pin.query(f'SELECT count(*) FROM "{pin.names["events"]}"')[0][0].as_py())
            with database.begin() as session:
                add(session, Event, now, key=f"meanwhile {number}")
            warehouse.refresh()
        return counts

    assert warehouse.pinned(pinned) == [20, 20, 20]
    assert warehouse.execute(warehouse.table("events").count())[0][0].as_py() == 23


def test_many_threads_ask_while_rows_come(database: Database, warehouse: Warehouse, now: datetime) -> None:
    """Every answer is exact for the state it names: contacts come two at a time, one of them an adult."""

    def one(number: int) -> tuple[int, int]:
        if number % 5 == 0:
            with database.begin() as session:
                add(session, Contact, now, key=f"child {number}", age=1)
                add(session, Contact, now, key=f"adult {number}", age=99)
            warehouse.refresh()
        found = ask(database, warehouse, {"any": [ADULT, {"field": "age", "operator": "at_least", "value": 90}]}, now)
        return found.count, found.base

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(one, range(30)))
    assert {2 * (count - 12) == base - 20 for count, base in answers} == {True}
    assert max(answers) == (18, 32)


def test_texts_are_compared_once_each_when_they_are_asked_again(
    database: Database, warehouse: Warehouse, now: datetime
) -> None:
    """Few different ones or nearly all different, with and without any, asked once or often: the same people."""
    with database.begin() as session:
        for contact in session.query(Contact):
            contact.country = (None, "France", "Zürich")[contact.id % 3]
            contact.email = f"{contact.id}@shop.example" if contact.id % 4 else None
    warehouse.refresh()
    for _ in range(3):
        for field, operator, value, expected in (
            ("country", "is", "FRANCE", 7), ("country", "is_not", "France", 13), ("country", "contains", "z", 7),
            ("email", "starts_with", "1", 9), ("email", "not_ends_with", "example", 5), ("country", "is", "x", 0),
        ):  # fmt: skip
            found = ask(database, warehouse, {"field": field, "operator": operator, "value": value}, now)
            unknown = 6 if field == "country" else 5
            assert (found.count, found.clauses[0].unknown) == (expected, unknown), (field, operator)


def counting(calls: list[int], value: Any) -> Callable[[], Any]:
    """Gives the value and remembers that it was asked."""
    return lambda: (calls.append(1), value)[1]


def test_what_is_kept_is_found_once_and_goes_when_it_is_too_much() -> None:
    """By bytes, what was not asked for longest first."""
    kept, calls = Kept(limit=200), []
    half = np.zeros(100, np.uint8)
    for key in ("a", "b", "a", "c", "a", "b"):  # c pushes b out, b pushes c out
        kept.get(key, counting(calls, half))
    assert (len(calls), kept.bytes) == (4, 200)


def test_who_asks_for_what_is_just_being_found_waits_for_it() -> None:
    """Once, also by many; an error is everybody's, and the next one tries again."""
    kept, calls, go = Kept(), [], threading.Event()

    def slow() -> Any:
        calls.append(1)
        assert go.wait(30)
        if len(calls) == 1:
            raise OSError("files went")
        return np.zeros(1)

    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(kept.get, "key", slow) for _ in range(4)]
        go.set()
        failed = [future.exception(30) for future in waiting]
        assert OSError in {type(error) for error in failed}
        assert len(calls) <= 2
        assert kept.get("key", slow).nbytes == 8
        assert len(calls) == 2


@given(
    st.lists(st.integers(1, 10**6), unique=True, max_size=40), st.lists(st.integers(-5, 10**6), max_size=20), st.data()
)
def test_places_and_draws(ids: list[int], others: list[int], data: st.DataObject) -> None:
    """Ids dense or sparse, in any order; people by bucket, however few of them are asked for."""
    buckets = [data.draw(st.integers(0, 2**31 - 2)) for _ in ids]
    base = Base(pa.table({"id": pa.array(ids, pa.int64()), "bucket": pa.array(buckets, pa.int64())}))
    assert base.ids.tolist() == sorted(ids)
    asked = [*ids[:5], *others]
    expected = [sorted(ids).index(number) if number in ids else -1 for number in asked]
    assert base.places(np.array(asked, np.int64)).tolist() == expected
    chosen = base.holds(np.array(ids[::2], np.int64))
    drawn = [number for _, number in sorted(zip(buckets, ids, strict=True)) if number in ids[::2]]
    assert base.first(chosen, 3) == drawn[:3]
    assert (base.first(chosen, 1000), chosen.count, (~chosen).count) == (drawn, len(drawn), len(ids) - len(drawn))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40))
def test_masks_are_sets(flags: list[tuple[bool, bool]]) -> None:
    """And, or, not, counted and added up, at sizes that fill no byte."""
    one, other = (np.array([flag[side] for flag in flags], np.bool_) for side in (0, 1))
    left, right = Mask.of(one), Mask.of(other)
    assert (left & right).flags.tolist() == (one & other).tolist()
    assert (left | ~right).flags.tolist() == (one | ~other).tolist()
    assert ((~left).count, left.count) == (int((~one).sum()), int(one.sum()))
    assert (left.cast("int64") + right.cast("int64")).tolist() == (one.astype(int) + other).tolist()
