"""Due to buy again: against the definition, written out in plain Python."""

from __future__ import annotations

import math
import statistics
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from sqlalchemy.orm import Session

from engine import criteria, lists
from engine.catalogue import open_catalogue
from engine.config import Config
from engine.database import Database
from engine.errors import Invalid
from engine.models import Contact
from engine.warehouse import Warehouse
from engine.why import why
from recommender.due import LEAST
from tests.recommender.shop import NOW, add_contacts, add_items, add_order

CATEGORIES = ("Food > Coffee", "Food > Coffee > Beans", "Toys")
Bought = tuple[int, str, datetime]  # contact, category, moment


@pytest.fixture
def pantry(database: Database, warehouse: Warehouse) -> list[Bought]:
    """25 people buy coffee, beans and toys at random; one gives beans back, guests buy too. What was kept."""
    rng = np.random.default_rng(11)
    bought: list[Bought] = []
    with database.begin() as session:
        items = [add_items(session, 1, key=f"i{n}", category=category)[0] for n, category in enumerate(CATEGORIES)]
        people = add_contacts(session, 26)
        for _ in range(260):
            who = people[rng.integers(25)]
            item = items[int(rng.choice(3, p=[0.5, 0.47, 0.03]))]
            at = NOW - timedelta(days=int(rng.integers(1, 200)), hours=int(rng.integers(24)))
            add_order(session, who, [item], at, quantity=int(rng.integers(1, 3)))
            bought.append((who.id, item.category or "", at))
        returner = people[25]
        for days, quantity in ((40, 1), (20, 1), (5, -2)):
            add_order(session, returner, [items[1]], NOW - timedelta(days=days), quantity=quantity)
        for days in range(1, 30):
            add_order(session, None, [items[0]], NOW - timedelta(days=days))
    warehouse.refresh()
    return bought


def expected(bought: list[Bought], path: str, zone: ZoneInfo, times: int = 1) -> dict[int, date]:
    """The day of each contact."""
    days: dict[int, set[date]] = {}
    for who, category, at in bought:
        if category == path or category.startswith(path + " > "):
            days.setdefault(who, set()).add(at.astimezone(zone).date())
    gaps = {who: [(later - sooner).days for sooner, later in pairwise(sorted(some))] for who, some in days.items()}
    everybody = [gap for own in gaps.values() for gap in own]
    if len(everybody) < LEAST:
        return {}
    median = statistics.median(everybody)
    usual = {who: math.prod([*own, median]) ** (1 / (len(own) + 1)) for who, own in gaps.items()}
    return {
        who: max(some) + timedelta(days=max(math.floor(usual[who] + 0.5), 1))
        for who, some in days.items()
        if len(some) >= times
    }


def found(session: Session, warehouse: Warehouse, asked: dict[str, Any]) -> dict[int, date]:
    """The day of each contact for whom it is true."""
    checked = criteria.parse(asked, open_catalogue(session, warehouse))
    assert criteria.to_json(checked) == asked
    people = criteria.people(checked, warehouse, NOW)
    rows = people.table.filter(people.truth(checked.root)).select("contact_id", day=people.value(checked.root))
    return {row["contact_id"]: row["day"] for row in warehouse.execute(rows).to_pylist()}


@pytest.mark.parametrize("path", ["Food > Coffee", "Food > Coffee > Beans"])
@pytest.mark.parametrize("times", [1, 6])
def test_it_is_what_plain_python_says(
    database: Database, warehouse: Warehouse, config: Config, pantry: list[Bought], path: str, times: int
) -> None:
    """Of a category with all below it; guests and what went back as a whole count nothing."""
    right = expected(pantry, path, config.locale.zone, times)
    asked = {"due": {"category": path}, "operator": "known"} | ({"times": times} if times > 1 else {})
    with database.read() as session:
        assert found(session, warehouse, asked) == right
    assert len(right) > 3


@pytest.mark.parametrize(
    ("operator", "value", "meant"),
    [
        ("in_next", 20, lambda days: 1 <= days <= 20),
        ("in_last", 15, lambda days: -14 <= days <= 0),
        ("days_ago", 30, lambda days: days < -29),
    ],
)
def test_within_and_overdue(
    database: Database,
    warehouse: Warehouse,
    config: Config,
    pantry: list[Bought],
    operator: str,
    value: int,
    meant: Any,
) -> None:
    """Due in the next days from tomorrow, in the last ones with today, or longer ago than these."""
    today = NOW.astimezone(config.locale.zone).date()
    right = expected(pantry, "Food > Coffee > Beans", config.locale.zone)
    right = {who: day for who, day in right.items() if meant((day - today).days)}
    asked = {"due": {"item": "i1"}, "operator": operator, "value": value}
    with database.read() as session:
        assert found(session, warehouse, asked) == right
        checked = criteria.parse(asked, open_catalogue(session, warehouse))
        assert lists.preview(warehouse, checked, now=NOW).count == len(right)
    assert right


@pytest.mark.usefixtures("pantry")
def test_few_gaps_say_nothing(database: Database, warehouse: Warehouse) -> None:
    """Toys were bought again fewer than LEAST times: nobody is due, and the contrary is true of everybody."""
    with database.read() as session:
        asked = {"due": {"item": "i2"}, "operator": "in_last", "value": 1000}
        assert found(session, warehouse, asked) == {}
        assert len(found(session, warehouse, asked | {"operator": "not_in_last"})) == 26


@pytest.mark.usefixtures("pantry")
def test_it_reads_well_and_says_why(database: Database, warehouse: Warehouse) -> None:
    """In both languages."""
    with database.read() as session:
        asked = {"due": {"category": "Food > Coffee"}, "operator": "in_last", "value": 365}
        checked = criteria.parse(asked, open_catalogue(session, warehouse))
        assert criteria.sentence(checked) == (
            "People whose day to buy an item of “Food > Coffee” again is in the last 365 days"
        )
        assert criteria.sentence(checked, "zh") == "再次购买类别“Food > Coffee”的商品的日期在最近365天内的联系人"
        met = warehouse.execute(criteria.select(checked, warehouse, NOW))["contact_id"].to_pylist()
        [person] = why(session, warehouse, checked, met[:1], NOW)
        assert person.root.value
        en, zh = person.root.value.en, person.root.value.zh
    assert "last on" in en
    assert "usual again after" in en
    assert "天后再次购买" in zh


def test_once_after_one_who_buys_often(database: Database, warehouse: Warehouse) -> None:
    """Who bought once is due when everybody is: 30 days later; who buys every 10 days, after 10, 10, 10 and 30."""
    with database.begin() as session:
        [coffee] = add_items(session, 1, category="Food > Coffee")
        people = add_contacts(session, 8)
        for who in people[:6]:
            for days in (31, 1):
                add_order(session, who, [coffee], NOW - timedelta(days=days))
        for days in (31, 21, 11, 1):
            add_order(session, people[6], [coffee], NOW - timedelta(days=days))
        add_order(session, people[7], [coffee], NOW - timedelta(days=10))
        keys = {who.id: who.key for who in session.query(Contact)}
    warehouse.refresh()
    with database.read() as session:
        asked = {"due": {"item": "A0"}, "operator": "known"}
        days = {keys[who]: (day - NOW.date()).days for who, day in found(session, warehouse, asked).items()}
        checked = criteria.parse(asked, open_catalogue(session, warehouse))
        [once] = why(session, warehouse, checked, [next(who for who, key in keys.items() if key == "C7")], NOW)
    assert days == {f"C{number}": 29 for number in range(6)} | {"C6": round(30_000**0.25) - 1, "C7": 20}
    assert once.root.value
    assert once.root.value.en == "bought once, last on 20 Feb 2026, usual again after 30 days (between 10 and 30)"


@pytest.mark.usefixtures("pantry")
@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"due": {}, "operator": "known"}, "due"),
        ({"due": {"item": "i0", "category": "Toys"}, "operator": "known"}, "due.category"),
        ({"due": {"item": "nothing"}, "operator": "known"}, "due.item"),
        ({"due": {"item": "i0"}, "times": 0, "operator": "known"}, "times"),
        ({"due": {"item": "i0"}}, "operator"),
    ],
)
def test_a_fault_is_named(database: Database, warehouse: Warehouse, asked: dict[str, Any], field: str) -> None:
    """By its path."""
    with database.read() as session, pytest.raises(Invalid) as fault:
        criteria.parse({"any": [asked]}, open_catalogue(session, warehouse))
    assert fault.value.field == f"any[0].{field}"
