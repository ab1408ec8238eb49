"""Why agrees with the criteria: verdicts at every moment, and the instants at which time changes them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from engine import criteria
from engine.criteria.nodes import Question
from engine.criteria.operators import OPERATORS
from engine.criteria.plain import TESTS, truth
from engine.values import TYPES, Clock
from engine.why import Why, explain
from engine.why.facts import Asked
from tests.engine.criteria import strategies
from tests.engine.criteria.world import NOW, ZONE, MemoryCatalogue, MemoryWarehouse, World

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]
INSTANT = timedelta(microseconds=1)


@given(strategies.worlds(), strategies.criteria)
@settings(max_examples=40, suppress_health_check=SLOW)
def test_every_verdict_and_every_change_to_come_is_the_warehouses(world: World, data: Any) -> None:
    """Each node now; the whole right before and at the moment at which time is said to change it."""
    _agree(world, data)


@given(strategies.narrow_worlds(), strategies.moments)
@settings(max_examples=40, suppress_health_check=SLOW)
def test_changes_are_exact_to_the_instant(world: World, data: Any) -> None:
    """Rows every half day, waits and windows of a day or two."""
    _agree(world, data)


def _agree(world: World, data: Any) -> None:
    warehouse = MemoryWarehouse(world)
    asked = criteria.parse(data, MemoryCatalogue(world, None))
    ids = [contact["id"] for contact in world.contacts]
    told = explain(Asked(asked, warehouse, warehouse.execute, tuple(ids), NOW))
    assert [one.contact_id for one in told] == ids
    people = criteria.people(asked, warehouse, NOW)
    nodes = dict(criteria.walk(asked.root))
    columns = {f"t{place}": people.truth(node) for place, node in enumerate(nodes.values())}
    rows = warehouse.execute(people.table.select("contact_id", **columns)).to_pylist()
    truths = {row["contact_id"]: row for row in rows}
    for one in told:
        if one.contact_id in truths:
            found = {node.path: node.met for node in one.root.walk()}
            row = truths[one.contact_id]
            assert found == {path: row[f"t{place}"] for place, path in enumerate(nodes)}
            _turns(asked, warehouse, one)


def _turns(asked: criteria.Criteria, warehouse: MemoryWarehouse, one: Why) -> None:
    """Only what is followed: percentiles and the like are told as of now."""
    if not one.followed:
        return
    moment = one.root.until
    assert _is_met(asked, warehouse, one, (moment or one.looked) - INSTANT) is one.met
    if moment:
        assert one.clause is not None
        assert _is_met(asked, warehouse, one, moment) is not one.met


def _is_met(asked: criteria.Criteria, warehouse: MemoryWarehouse, one: Why, moment: datetime) -> bool:
    return one.contact_id in warehouse.execute(criteria.select(asked, warehouse, moment))["contact_id"].to_pylist()


def test_each_operator_has_its_plain_test() -> None:
    """But those that compare a contact with all others."""
    positive = {key for key, row in OPERATORS.items() if not row.negated and not row.compares}
    assert set(TESTS) == positive


def _told(world: World, data: Any) -> Why:
    warehouse = MemoryWarehouse(world)
    asked = criteria.parse(data, MemoryCatalogue(world, None))
    return explain(Asked(asked, warehouse, warehouse.execute, (1,), NOW))[0]


def _orders(*days: float) -> World:
    orders = [
        {"id": number, "contact_id": 1, "ordered_at": NOW - timedelta(days=day), "total": 50_000, "units": 1,
         "currency": "GBP"}
        for number, day in enumerate(days, 1)
    ]  # fmt: skip
    return World(contacts=[{"id": 1, "attributes": {}}], orders=orders)


THIRD = {"event": "order", "measure": "count", "within": {"last_days": 30}, "operator": "at_least", "value": 3}


def test_the_third_order_made_it_true_and_the_first_will_end_it() -> None:
    """Orders 20, 10 and 5 days ago."""
    found = _told(_orders(20, 10, 5), THIRD)
    assert found.met
    assert found.root.event is not None
    assert (found.root.event.at, found.root.event.number, found.root.event.made) == (NOW - timedelta(5), 3, True)
    assert found.root.value is not None
    assert found.root.value.en == "3"
    assert found.root.until is not None
    assert abs(found.root.until - (NOW + timedelta(10))) <= timedelta(hours=1, microseconds=1)  # the clock goes forward
    assert found.clause == found.root


@pytest.mark.parametrize(("scale", "number"), [("hours", 3), ("minutes", 180)])
def test_a_window_of_hours_ends_to_the_instant(scale: str, number: int) -> None:
    """An order an hour ago leaves a window of three hours two hours from now, and is compared until five."""
    world, window = _orders(1 / 24), {f"last_{scale}": number}
    asked = {"event": "order", "measure": "count", "within": window, "operator": "at_least", "value": 1}
    found = _told(world, asked)
    assert (found.met, found.root.until) == (True, NOW + timedelta(hours=2) + INSTANT)
    compared = {**asked, "compared_to": "previous", "operator": "known"}
    del compared["value"]
    _agree(world, compared)
    assert _told(world, compared).root.until == NOW + timedelta(hours=2) + INSTANT


def test_who_did_not_order_within_two_hours_is_meant_two_hours_later() -> None:
    """A view an hour ago."""
    view = {"id": 1, "contact_id": 1, "type": "item_view", "occurred_at": NOW - timedelta(hours=1), "properties": {}}
    world = World(contacts=[{"id": 1, "attributes": {}}], events=[view])
    asked = {"sequence": [{"event": "item_view"}, {"event": "order", "hours": 2, "not": True}]}
    _agree(world, asked)
    found = _told(world, asked)
    assert (found.met, found.root.until) == (False, NOW + timedelta(hours=1))


def test_time_ended_it_and_no_row_did() -> None:
    """The oldest of three is 31 days ago."""
    found = _told(_orders(31, 10, 5), THIRD)
    assert not found.met
    assert found.root.event is None
    assert found.root.since is not None
    assert NOW - timedelta(1, 1) < found.root.since < NOW - timedelta(1) + timedelta(seconds=1)
    assert found.root.until is None


@pytest.mark.parametrize(("born", "path"), [("1996-03-10", "all[0]"), ("1996-12-10", "all[1]")])
def test_the_clause_that_ends_it_is_named(born: str, path: str) -> None:
    """A thirtieth birthday before or after the last order is 60 days ago."""
    world = _orders(5)
    world.contacts[0]["birth_date"] = datetime.fromisoformat(born).date()
    ordered = {"event": "order", "measure": "count", "within": {"last_days": 60}, "operator": "at_least", "value": 1}
    found = _told(world, {"all": [{"field": "age", "operator": "less_than", "value": 30}, ordered]})
    assert found.met
    assert found.clause is not None
    assert found.clause.path == path


@pytest.mark.parametrize("size", ["nan", "1e300", "-inf", "seven", "9" * 30, ["a", None], None])
@pytest.mark.parametrize(("operator", "value"), [("at_least", 3), ("not_at_least", 3), ("is", 7), ("has_any", ["a"])])
def test_whatever_an_attribute_holds_is_told(size: Any, operator: str, value: Any) -> None:
    """What cannot be read, and numbers that no number of ours may be."""
    world = World(contacts=[{"id": 1, "attributes": {"size": size}}])
    _agree(world, {"field": "attributes.size", "operator": operator, "value": value})
    told = _told(world, {"field": "attributes.size", "operator": operator, "value": value})
    assert told.root.value is not None
    assert told.root.value.en


def test_moments_at_the_ends_of_the_calendar() -> None:
    """A window later than the last day there is is none."""
    world = _orders(5)
    world.orders[0]["ordered_at"] = datetime(9999, 12, 31, 23, tzinfo=NOW.tzinfo)
    assert not _told(world, THIRD).met


def test_a_window_ends_right_before_now() -> None:
    """An order of this very instant counts from the next one on."""
    found = _told(_orders(20, 10, 0), THIRD)
    assert not found.met
    assert found.root.until == NOW + INSTANT


AGES = [0, 1, 29, 30, 31, -1, -30, 365]


@pytest.mark.parametrize("days", AGES)
@pytest.mark.parametrize(
    ("operator", "value"),
    [("in_last", 30), ("in_next", 30), ("days_ago", 30), ("in_period", "this_week"), ("in_period", "next_month"),
     ("anniversary_in_next", 7), ("anniversary_in_last", 7), ("on", "2026-03-02"), ("before", "2026-03-02")],
)  # fmt: skip
def test_time_turns_what_is_asked_of_time_to_the_instant(operator: str, value: Any, days: int) -> None:
    """A moment and a day that are exactly so old: the bounds belong where the criteria say."""
    moment = NOW - timedelta(days=days)
    world = World(contacts=[{"id": 1, "attributes": {}, "created_at": moment, "birth_date": moment.date()}])
    for field in ("created_at", "birth_date"):
        _agree(world, {"field": field, "operator": operator, "value": value})


@pytest.mark.parametrize("key", sorted(TESTS))
def test_plain_tests_hold_the_documented_cases(key: str) -> None:
    """The same ones as the columns do."""
    row = OPERATORS[key]
    for case in row.cases:
        kind = TYPES[row.takes or case.type]
        values = tuple(kind.parse(given, ZONE) for given in case.given)
        assert truth(Question(row, case.type, values), case.stored, Clock(NOW, ZONE)) is case.expected


def test_a_change_ends_when_the_stretch_before_has_gone() -> None:
    """Orders 40 and 5 days ago: in 20 days there is nothing to compare with, five days later there is again."""
    compared = {"event": "order", "measure": "count", "within": {"last_days": 30}, "compared_to": "previous",
                "operator": "known"}  # fmt: skip
    world = _orders(40, 5)
    _agree(world, compared)
    found = _told(world, compared)
    assert found.root.until is not None
    assert abs(found.root.until - (NOW + timedelta(20))) <= timedelta(hours=1, microseconds=1)
