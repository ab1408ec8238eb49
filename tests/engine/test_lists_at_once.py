"""Several at one list at the same time: each waits for the other, and nothing that was said is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy.orm import Session

from engine import identity, lists
from engine.config import Config
from engine.database import Database
from engine.errors import Conflict, Invalid
from engine.lists import following, people, saved
from engine.models import Contact, ListState
from engine.warehouse import Warehouse
from tests.engine.copies import add

UK = {"field": "country", "operator": "is", "value": "UK"}
MINUTE = timedelta(minutes=1)


@pytest.fixture
def warehouse(config: Config, database: Database, now: datetime) -> Iterator[Warehouse]:
    """Contacts 1 to 5 are in the United Kingdom, 6 in France."""
    with database.begin() as session:
        for number in range(1, 7):
            add(session, Contact, now, key=f"c{number}", country="UK" if number < 6 else "FR")
    warehouse = Warehouse(database, config.folder / "warehouse", config)
    warehouse.refresh()
    yield warehouse
    warehouse.close()


@pytest.fixture
def beside(database: Database) -> Iterator[Callable[[Callable[[Session], Any]], Future[Any]]]:
    """Run something in a transaction beside this one, and give it the time to get in between."""
    with ThreadPoolExecutor(4) as pool:

        def run(work: Callable[[Session], Any]) -> Any:
            with database.begin() as session:
                return work(session)

        def start(work: Callable[[Session], Any]) -> Future[Any]:
            started = pool.submit(run, work)
            wait_for([started], 0.5)
            return started

        yield start


def after(monkeypatch: pytest.MonkeyPatch, place: Any, name: str, then: Callable[[], Any]) -> None:
    """Do something once `name` is through for the first time."""
    real = getattr(place, name)

    def through(*given: Any) -> Any:
        found = real(*given)
        monkeypatch.setattr(place, name, real)
        then()
        return found

    monkeypatch.setattr(place, name, through)


def a_list(database: Database, now: datetime, data: Any = UK) -> int:
    with database.begin() as session:
        return lists.save(session, None, "A", data, now=now).id


def members(database: Database, warehouse: Warehouse, list_id: int, now: datetime) -> list[int]:
    with database.read() as session:
        found: list[int] = lists.member_ids(session, warehouse, list_id, now).tolist()
        return found


def test_who_is_taken_off_while_a_list_is_frozen_is_off_it(
    database: Database, warehouse: Warehouse, now: datetime, monkeypatch: pytest.MonkeyPatch, beside: Any
) -> None:
    """Also when the people were found already."""
    list_id = a_list(database, now)
    picked: list[Future[int]] = []

    def take_off(session: Session) -> int:
        return lists.pick(session, list_id, np.array([1]), added=False, now=now)

    after(monkeypatch, people, "member_ids", lambda: picked.append(beside(take_off)))
    with database.begin() as session:
        lists.freeze(session, warehouse, list_id, now)
    assert picked[0].result() == 1
    assert members(database, warehouse, list_id, now) == [2, 3, 4, 5]


def test_who_is_merged_while_a_list_is_frozen_stands_on_it_once(
    database: Database, warehouse: Warehouse, now: datetime, monkeypatch: pytest.MonkeyPatch, beside: Any
) -> None:
    """The merge sees the places that were being written."""
    list_id = a_list(database, now)
    merged: list[Future[Any]] = []

    def merge(session: Session) -> Any:
        return identity.join(session, 2, 1, evidence="", author="ann", now=now)

    after(monkeypatch, people, "forget_state", lambda: merged.append(beside(merge)))
    with database.begin() as session:
        lists.freeze(session, warehouse, list_id, now)
    merged[0].result()
    assert members(database, warehouse, list_id, now) == [1, 3, 4, 5]


@pytest.mark.parametrize("seen", [True, False])
def test_a_pick_during_the_look_is_not_written_over(
    database: Database, warehouse: Warehouse, now: datetime, monkeypatch: pytest.MonkeyPatch, seen: bool
) -> None:
    """The look is given up, the first one (not `seen`) too, and the next tick makes it again."""
    list_id = a_list(database, now)
    if seen:
        lists.follow(database, warehouse, now)

    def put_on() -> None:
        with database.begin() as session:
            lists.pick(session, list_id, np.array([6]), now=now)
        lists.count_again(database, warehouse, list_id, now)

    after(monkeypatch, following, "_look", put_on)
    lists.follow(database, warehouse, now + 16 * MINUTE)
    with database.read() as session:
        assert lists.get(session, list_id).size == 6
        state = session.get(ListState, list_id)
        assert state is None or not state.data
    assert lists.follow(database, warehouse, now + 17 * MINUTE).joined == (1 if seen else 0)
    with database.read() as session:
        assert (lists.get(session, list_id).size, session.get_one(ListState, list_id).size) == (6, 6)


def test_a_pick_during_a_count_is_not_written_over(
    database: Database, warehouse: Warehouse, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever picked has counted since."""
    list_id = a_list(database, now)

    def put_on() -> None:
        with database.begin() as session:
            lists.pick(session, list_id, np.array([6]), now=now)
        lists.count_again(database, warehouse, list_id, now)

    after(monkeypatch, people, "_size", put_on)
    lists.recount(database, warehouse, [list_id], now + MINUTE)
    with database.read() as session:
        assert lists.get(session, list_id).size == 6


def test_two_editors_cannot_make_lists_name_each_other(database: Database, now: datetime, beside: Any) -> None:
    """The later one is told, whether they began at once or not; so it is when a list is put away that is just named."""
    one, other, third = (a_list(database, now) for _ in range(3))
    with database.begin() as session:
        lists.save(session, one, "A", {"list": other}, now=now)
        naming = beside(lambda beside: lists.save(beside, other, "B", {"list": one}, now=now))
    with pytest.raises(Invalid, match="each other"):
        naming.result()
    with database.begin() as session:
        lists.save(session, None, "C", {"list": third}, now=now)
        leaving = beside(lambda beside: lists.delete(beside, third, now=now))
    with pytest.raises(Conflict, match="is part of"):
        leaving.result()
    with database.begin() as session:
        lists.delete(session, one, now=now)
        naming = beside(lambda beside: lists.save(beside, None, "D", {"list": one}, now=now))
    with pytest.raises(Invalid, match="There is no list"):
        naming.result()
    with database.read() as session:
        assert [found.name for found in saved.users_of(session, third)] == ["C"]
