"""Criteria that cannot be understood are refused, with the path to the fault and the nearest valid word."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine import criteria
from engine.config import WarehouseConfig
from engine.errors import Invalid
from tests.engine.criteria.world import NOW, MemoryCatalogue, MemoryWarehouse, World

AGE = {"field": "age", "operator": "at_least", "value": 18}
VIEWED = {"event": "item_view", "measure": "count", "operator": "at_least", "value": 1}
SPENT = {**VIEWED, "event": "order", "measure": "sum", "property": "total"}


def leaf(field: str, operator: str, *value: Any) -> dict[str, Any]:
    """A leaf with or without a value."""
    return {"field": field, "operator": operator, **({"value": value[0]} if value else {})}


def nested(depth: int) -> Any:
    """A condition under so many nots."""
    node: Any = AGE
    for _ in range(depth):
        node = {"not": node}
    return node


FAULTS: list[tuple[Any, str, str]] = [
    # what, path, words of the message
    (None, "", "must be an object"),
    ([AGE], "", "must be an object"),
    ({}, "", "exactly one of"),
    ({"feild": "age"}, "", "Did you mean 'field'?"),
    ({"all": [AGE], "any": [AGE]}, "", "all and any"),
    ({"all": [AGE], "limit": 3}, "limit", "Unknown key 'limit'"),
    ({"all": [AGE, {"any": []}]}, "all[1].any", "at least one"),
    ({"any": []}, "any", "at least one"),
    ({"none": AGE}, "none", "must be a list"),
    ({"not": [AGE]}, "not", "must be an object"),
    ({"at_least": 3, "of": [AGE, AGE]}, "at_least", "from 1 to 2"),
    ({"at_least": True, "of": [AGE]}, "at_least", "from 1 to 1"),
    ({"at_least": 1}, "of", "at least one"),
    ({"all": [AGE, AGE, leaf("age", "atleast", 3)]}, "all[2].operator", "Did you mean 'at_least'?"),
    (leaf("agee", "is", 3), "field", "Did you mean 'age'?"),
    (leaf("country; DROP TABLE", "is", 3), "field", "Unknown field"),
    (leaf("bucket", "is", 3), "field", "The nearest: "),
    ({"field": 3, "operator": "is"}, "field", "must be a name"),
    ({"field": "age"}, "operator", "The operator is missing"),
    (leaf("age", "contains", "1"), "operator", "cannot be asked of number. Possible: is, in, at_least"),
    (leaf("age", "at_least"), "value", "needs a value"),
    (leaf("age", "known", 1), "value", "takes no value"),
    ({**AGE, "unit": "years"}, "unit", 'beside "include"'),
    (leaf("age", "at_least", "18"), "value", "must be a number, not a text"),
    (leaf("age", "at_least", True), "value", "not true or false"),
    (leaf("age", "at_least", float("nan")), "value", "out of range"),
    (leaf("age", "at_least", 10**16), "value", "out of range"),
    (leaf("age", "between", [45, 25]), "value", "must not be greater"),
    (leaf("age", "between", [45]), "value", "needs 2 values, not 1"),
    (leaf("age", "between", 45), "value", "needs a list"),
    (leaf("country", "in", []), "value", "list of 1 to 1,000"),
    (leaf("country", "in", ["x"] * 1001), "value", "list of 1 to 1,000"),
    (leaf("country", "in", ["x", 3]), "value[1]", "must be a text"),
    (leaf("country", "is", "x" * 1001), "value", "1,001 characters"),
    (leaf("country", "is", " "), "value", "use the operator 'unknown'"),
    (leaf("country", "is", "a\0b"), "value", "NUL"),
    (leaf("country", "is", "\ud800"), "value", "surrogate"),
    (leaf("country", "is", None), "value", "not nothing"),
    (leaf("income", "at_least", 0.00001), "value", "four decimals"),
    (leaf("income", "at_least", {}), "value", "an amount like 12.99, not an object"),
    (leaf("birth_date", "on", "2023-02-29"), "value", "no date"),
    (leaf("birth_date", "on", "0001-01-01"), "value", "outside the years"),
    (leaf("birth_date", "on", "2023-02-28T10:00"), "value", "no date"),
    (leaf("created_at", "before", "2023-02-28T25:00"), "value", "no time"),
    (leaf("created_at", "between", ["2024-01-02", "2024-01-01T09:00"]), "value", "must not be greater"),
    (leaf("created_at", "before", "1800-01-01T00:00+23:59"), "value", "outside the years"),
    (leaf("created_at", "before", "2299-12-31T23:00-23:59"), "value", "outside the years"),
    (leaf("created_at", "in_last", 0), "value", "whole number of days"),
    (leaf("created_at", "in_last", 1.5), "value", "whole number of days"),
    (leaf("email_consent", "is", "yes"), "value", "true or false"),
    ({**VIEWED, "event": "item_veiw"}, "event", "Did you mean 'item_view'?"),
    ({**VIEWED, "measure": "cuont"}, "measure", "Did you mean 'count'?"),
    ({"event": "order"}, "measure", "The measure is missing"),
    ({**VIEWED, "property": "value"}, "property", "takes no property"),
    ({**SPENT, "property": "totl"}, "property", "Did you mean 'total'?"),
    ({**SPENT, "property": "channel"}, "property", "needs number or money"),
    ({**VIEWED, "within": {}}, "within", "last_days"),
    ({**VIEWED, "within": {"last_days": 0}}, "within.last_days", "1 to 36,500"),
    ({**VIEWED, "within": {"last_hours": 0}}, "within.last_hours", "a whole number of hours, 1 to 876,000"),
    ({**VIEWED, "within": {"last_minutes": 1.5}}, "within.last_minutes", "a whole number of minutes"),
    ({**VIEWED, "within": {"last_hours": True}}, "within.last_hours", "a whole number of hours"),
    ({**VIEWED, "within": {"last_hours": "3"}}, "within.last_hours", "a whole number of hours"),
    ({**VIEWED, "within": {"last_hour": 3}}, "within.last_hour", "last_hours"),
    ({**VIEWED, "within": {"last_days": 1, "last_hours": 3}}, "within.last_hours", "'last_days' or 'last_hours'"),
    ({**VIEWED, "within": {"since": {"event": "order"}, "hours": -1}}, "within.hours", "1 to 876,000"),
    (
        {"sequence": [{"event": "order"}, {"event": "order", "hours": 1, "minutes": 5}]},
        "sequence[1].minutes",
        "not both",
    ),
    ({**VIEWED, "within": {"last_days": 3, "from": "2024-01-01"}}, "within.from", "Unknown key 'from'"),
    ({**VIEWED, "within": {"before": "2024-01-01"}}, "within", "goes with"),
    ({**VIEWED, "within": {"from": "2024-01-02", "to": "2024-01-02"}}, "within.to", "empty"),
    ({**VIEWED, "within": {"from": "2024-13-02"}}, "within.from", "no date"),
    ({**VIEWED, "where": []}, "where", "at least one"),
    ({**VIEWED, "where": [leaf("origin", "is", "web"), {"any": []}]}, "where[1]", "object with a field"),
    ({**VIEWED, "where": [leaf("chanel", "is", "web")]}, "where[0].field", "Unknown field 'chanel'"),
    ({**VIEWED, "where": [leaf("value", "at_least", "x")]}, "where[0].value", "not an amount"),
    ({"include": AGE, "limit": 3}, "limit", "Unknown key 'limit'"),
    ({"exclude": AGE}, "include", 'everyone is {"all": []}'),
    ({"include": {"all": [AGE, {"include": AGE}]}}, "include.all[1]", "stand at the top only"),
    ({"include": AGE, "exclude": {"any": [AGE, leaf("agee", "known")]}}, "exclude.any[1].field", "Did you mean 'age'?"),
    ({"include": AGE, "exclude": {"all": []}}, "exclude.all", "at least one"),
    ({"include": AGE, "unit": "hausehold"}, "unit", "Unknown unit 'hausehold'"),
    (leaf("age", "top_percent", 0), "value", "above 0 and at most 100"),
    (leaf("age", "top_percent", 0.00001), "value", "four decimals"),
    (leaf("country", "top_percent", 10), "operator", "cannot be asked of choice"),
    ({**VIEWED, "where": [leaf("value", "top_percent", 10)]}, "where[0].operator", "compares people"),
    (leaf("birth_date", "in_month", 13), "value", "1 to 12"),
    (leaf("birth_date", "on_weekday", 0), "value", "1 to 7"),
    (leaf("birth_date", "in_period", "last_weak"), "value", "Did you mean 'last_week'?"),
    (leaf("birth_date", "in_period", 3), "value", "the name of a period"),
    (leaf("birth_date", "anniversary_in_next", 0), "value", "whole number of days"),
    (leaf("city", "matches", "(a"), "value", "no regular expression as RE2 reads them"),
    (leaf("city", "matches", "(((a{9}){99}){99}){99}"), "value", "no regular expression"),
    (leaf("city", "matches", "a" * 201), "value", "201 characters"),
    (leaf("attributes.tags", "has_any", ["x"] * 51), "value", "list of 1 to 50"),
    (leaf("attributes.tags", "has_any", ["x", 2]), "value[1]", "must be a text"),
    (leaf("attributes.tags", "has_at_least", 0), "value", "1 to 50"),
    (leaf("country", "has_any", ["x"]), "operator", "cannot be asked of choice"),
    ({**VIEWED, "within": {"since": {"event": "ordr"}}}, "within.since.event", "Did you mean 'order'?"),
    ({**VIEWED, "within": {"since": {"where": []}}}, "within.since", '{"event": "order"}'),
    ({**VIEWED, "within": {"since": {"event": "order"}, "days": 0}}, "within.days", "1 to 36,500"),
    ({**VIEWED, "within": {"since": {"event": "order"}, "last_days": 3}}, "within.last_days", "Unknown key"),
    (
        {**VIEWED, "within": {"since": {"event": "order", "where": [leaf("x", "known")]}}},
        "within.since.where[0].field",
        "Unknown field 'x'",
    ),
    ({**VIEWED, "compared_to": "last"}, "compared_to", "Unknown comparison 'last'"),
    ({**VIEWED, "compared_to": "previous"}, "compared_to", "both ends"),
    ({**VIEWED, "compared_to": "previous", "within": {"to": "2024-01-01"}}, "compared_to", "both ends"),
    ({**VIEWED, "compared_to": "previous", "within": {"since": {"event": "order"}}}, "compared_to", "both ends"),
    ({**VIEWED, "measure": "days_since", "compared_to": "previous"}, "compared_to", "count or sum instead"),
    ({**VIEWED, "measure": "first_at"}, "operator", "cannot be asked of moment"),
    ({**SPENT, "measure": "last", "property": "channel"}, "operator", "cannot be asked of choice"),
    ({"sequence": [{"event": "order"}]}, "sequence", "2 to 10 steps"),
    ({"sequence": [{"event": "order"}] * 11}, "sequence", "2 to 10 steps"),
    ({"sequence": [{"event": "order"}, 3]}, "sequence[1]", "an object with an event"),
    ({"sequence": [{"event": "order", "days": 3}, {"event": "order"}]}, "sequence[0].days", "Unknown key 'days'"),
    ({"sequence": [{"event": "order"}, {"event": "order", "not": True}]}, "sequence[1].days", "the time to wait"),
    (
        {"sequence": [{"event": "order"}, {"event": "order", "days": 1, "not": False}]},
        "sequence[1].not",
        "leave it out",
    ),
    (
        {"sequence": [{"event": "order"}, {"event": "order", "days": 1, "not": True}, {"event": "order"}]},
        "sequence[1].not",
        "Only the last step",
    ),
    (
        {"sequence": [{"event": "order"}, {"event": "order", "where": [leaf("chanel", "is", "web")]}]},
        "sequence[1].where[0].field",
        "Did you mean 'channel'?",
    ),
    ({"sequence": [{"event": "order"}] * 2, "within": {"since": {"event": "order"}}}, "within.since", "Unknown key"),
    ({"list": "12"}, "list", "the number of a list"),
    ({"list": 4}, "list", "refers to itself"),
    ({"list": 10}, "list", "each other: “list 10” → “list 11” → “list 10”. Take one"),
    ({"any": [AGE, {"list": 12}]}, "any[1].list", "“list 12” cannot be used, for its list “list 7”: Unknown field"),
    ({"list": 12}, "list", "(field of “list 7”)"),
    ({"all": [AGE], "unit": "household"}, "unit", '{"include": {"all": [...]}, "unit": "household"}'),
    ({**AGE, "unit": "household"}, "unit", 'beside "include"'),
    ({"include": {"all": [AGE], "unit": "household"}}, "include.unit", "at the top only"),
    ({"list": 9}, "list", "is one of households; freeze it"),
    ({"list": 7}, "list", "cannot be used: Unknown field 'gone'"),
    (nested(32), ".".join(["not"] * 32), "deeper than 32"),
    ({"all": [AGE] * 1000}, "all[999]", "more than 1,000 conditions"),
    ({**VIEWED, "where": [leaf("origin", "is", "web")] * 1000}, "where", "more than 1,000 conditions"),
    ({"sequence": [{"event": "order", "where": [leaf("units", "is", 1)] * 200}] * 6}, "sequence[4].where", "1,000"),
    ({"any": [{"list": 8}] * 30}, "any[8].list", "more than 1,000 conditions"),
]


@pytest.fixture
def catalogue() -> MemoryCatalogue:
    """Names as they are, with a few lists: 4 and 5 refer to each other, as do 10 and 11;
    7 to a field that is gone, 12 to 7; 8 is long.
    """
    lists = {1: [1], 4: {"list": 5}, 5: {"all": [{"list": 4}]}, 7: leaf("gone", "known"), 8: {"all": [AGE] * 110},
             9: {"include": AGE, "unit": "household"}, 10: {"list": 11}, 11: {"any": [{"list": 10}]},
             12: {"all": [{"list": 7}]}}  # fmt: skip
    world = World(contacts=[{"id": 1, "attributes": {"tags": ["x"]}}], lists=lists)
    return MemoryCatalogue(world, MemoryWarehouse(world))


@pytest.mark.parametrize(("data", "path", "words"), FAULTS, ids=lambda part: str(part)[:40])
def test_a_fault_is_named_with_its_path(catalogue: MemoryCatalogue, data: Any, path: str, words: str) -> None:
    """`field` is the JSON path, the message says what would be right."""
    with pytest.raises(Invalid) as caught:
        criteria.parse(data, catalogue, list_id=4)
    assert (caught.value.field, words in caught.value.message) == (path, True), caught.value.message


@pytest.mark.parametrize("fault", [leaf("gone", "known"), {"list": 100}])
def test_a_fault_behind_many_lists_is_told_in_a_line(fault: Any) -> None:
    """The first and last of those that lead to it, by names that are cut."""
    lists = {100 + number: {"all": [{"list": 101 + number}]} for number in range(12)} | {112: {"any": [AGE, fault]}}
    catalogue = MemoryCatalogue(World(lists=lists), None)
    catalogue.names = {number: f"{number} {'very long name ' * 20}" for number in lists}
    with pytest.raises(Invalid) as caught:
        criteria.parse({"list": 100}, catalogue)
    assert caught.value.field == "list"
    assert len(caught.value.message) < 400, caught.value.message
    assert all(f"“{name} very" in caught.value.message for name in (100, 101)), caught.value.message
    assert "“112 very" in caught.value.message


def test_an_unknown_condition_names_the_kinds_once(catalogue: MemoryCatalogue) -> None:
    """And the one that was probably meant."""
    for key, meant in (("xyzzy", False), ("evnt", True)):
        with pytest.raises(Invalid) as refused:
            criteria.parse({key: "order"}, catalogue)
        assert refused.value.message.count("sequence") == 1
        assert ("Did you mean 'event'?" in refused.value.message) == meant


def test_the_limits_themselves_are_allowed(catalogue: MemoryCatalogue) -> None:
    """31 nots around a leaf, 1,000 nodes, text of 1,000 characters, 1,000 values."""
    for data in (
        nested(31),
        {"all": [AGE] * 999},
        leaf("country", "is", "é" * 1000),
        leaf("country", "in", [str(number) for number in range(1000)]),
    ):
        assert criteria.to_json(criteria.parse(data, catalogue)) == data


THEN: dict[str, Any] = {"sequence": [{"event": "order"}, {"event": "item_view", "days": 3}]}  # weighs 16
SINCE = {**VIEWED, "within": {"since": {"event": "order"}, "days": 3}}  # 8
CHANGED = {**VIEWED, "within": {"last_days": 3}, "compared_to": "previous"}  # 8


@pytest.mark.parametrize(
    ("within", "beyond", "path"),
    [
        ({"all": [AGE] * 10}, {"all": [AGE] * 11}, "all[0]"),
        ({"all": [AGE, AGE, VIEWED, VIEWED]}, {"all": [*[AGE] * 4, VIEWED, {"not": {"any": [VIEWED]}}]}, "all[4]"),
        ({"include": SINCE}, {"include": {"all": [AGE, AGE, AGE, SINCE]}}, "include.all[3]"),
        (CHANGED, {"any": [AGE, {"all": [AGE, CHANGED, AGE]}]}, "any[1]"),
        ({"not": VIEWED}, THEN, ""),
        ({"all": [{"list": 1}] * 10}, {"all": [AGE, AGE, AGE, {"any": [AGE, {"list": 2}]}]}, "all[3]"),
        ({"list": 2}, {"list": 3}, ""),
    ],
)
def test_what_is_too_costly_is_refused_at_its_costliest_part(within: Any, beyond: Any, path: str) -> None:
    """By the weight of each kind of node; what is only saved may weigh what it likes."""
    world = World(lists={1: [1], 2: {"all": [VIEWED, AGE, AGE]}, 3: {"all": [VIEWED] * 3}})
    warehouse = MemoryWarehouse(world)
    warehouse.config = replace(warehouse.config, warehouse=WarehouseConfig(criteria_weight=10))
    criteria.parse(within, MemoryCatalogue(world, warehouse))
    with pytest.raises(Invalid, match="too costly to count") as caught:
        criteria.parse(beyond, MemoryCatalogue(world, warehouse))
    assert (caught.value.field, "freeze" in caught.value.message) == (path, True)
    criteria.parse(beyond, MemoryCatalogue(world, None))


def test_many_sequences_are_refused_as_they_come() -> None:
    """A hundred and twenty took 14 s on 6,000 contacts."""
    catalogue = MemoryCatalogue(World(), MemoryWarehouse(World()))
    criteria.parse({"any": [THEN] * 62}, catalogue)
    with pytest.raises(Invalid, match="too costly to count"):
        criteria.parse({"any": [THEN] * 63}, catalogue)


def test_ten_thousand_nodes_are_refused_quickly(catalogue: MemoryCatalogue) -> None:
    """The reading stops at the limit."""
    with pytest.raises(Invalid, match="1,000"):
        criteria.parse({"all": [{"any": [AGE] * 100}] * 100}, catalogue)


def test_times_without_a_zone_are_the_shops(catalogue: MemoryCatalogue) -> None:
    """10:00 in June is 09:00 UTC in London."""
    read = criteria.parse(leaf("created_at", "before", "2024-06-01T10:00"), catalogue)
    assert criteria.to_json(read)["value"] == "2024-06-01T09:00:00+00:00"


def test_the_shops_own_names_are_those_that_came_in() -> None:
    """An attribute, a property and an event type are known once the warehouse has them, else the nearest is named."""
    own = {"shoe size": 41, "joined": "2024-02-29", "tier": "gold", "vip": True, "tags": ["a"]}
    world = World(
        contacts=[{"id": 1, "attributes": own}],
        events=[{"id": 1, "type": "quiz", "contact_id": 1, "occurred_at": NOW, "properties": {"score/10": "7"}}],
    )
    warehouse = MemoryWarehouse(world)
    catalogue = MemoryCatalogue(world, warehouse)
    types = {field.key: field.type for field in catalogue.fields() if field.group == "attributes"}
    assert types == {
        "attributes.shoe size": "number",
        "attributes.joined": "date",
        "attributes.tier": "text",
        "attributes.vip": "yes_no",
        "attributes.tags": "choices",
    }
    quiz = {**VIEWED, "event": "quiz", "where": [leaf("properties.score/10", "at_least", 7)]}
    for data in (
        leaf("attributes.shoe size", "between", [40, 42]),
        leaf("attributes.joined", "before", "2025-01-01"),
        quiz,
    ):
        found = warehouse.execute(criteria.select(criteria.parse(data, catalogue), warehouse, NOW))
        assert found["contact_id"].to_pylist() == [1], data
    for data, path, words in (
        (leaf("attributes.shoesize", "is", 41), "field", "Did you mean 'attributes.shoe size'?"),
        ({**VIEWED, "event": "quizz"}, "event", "Did you mean 'quiz'?"),
        ({**quiz, "where": [leaf("properties.score", "is", 7)]}, "where[0].field", "properties.score/10"),
    ):
        with pytest.raises(Invalid) as caught:
            criteria.parse(data, catalogue)
        assert (caught.value.field, words in caught.value.message) == (path, True), caught.value.message


def test_a_name_that_came_in_since_the_last_look_is_found() -> None:
    """The catalogue looks again before it refuses."""
    world = World(contacts=[{"id": 1, "attributes": {"size": 1}}])
    warehouse = MemoryWarehouse(world)
    catalogue = MemoryCatalogue(world, warehouse)
    assert catalogue.field("attributes.size").type == "number"
    world.contacts.append({"id": 2, "attributes": {"tier": "gold"}})
    warehouse.load(world)
    assert catalogue.field("attributes.tier").type == "text"


def test_a_thousand_conditions_in_a_row_are_answered() -> None:
    """They are joined by halves: one after the other they would be nested deeper than Python's stack."""
    world = World(contacts=[{"id": 1, "age": 998}, {"id": 2, "age": 5}])
    warehouse = MemoryWarehouse(world)
    ages = [leaf("age", "is", number) for number in range(6, 1005)]
    asked = criteria.parse({"none": ages}, MemoryCatalogue(world, None))
    assert warehouse.execute(criteria.select(asked, warehouse, NOW))["contact_id"].to_pylist() == [2]


@pytest.mark.parametrize("operator", ["is", "contains", "starts_with"])
def test_letters_with_marks_are_read_in_one_form(operator: str) -> None:
    """As intake stores them, however they were typed."""
    typed, stored = (
        criteria.parse(leaf("first_name", operator, text), MemoryCatalogue(World(), None))
        for text in ("Zoe\u0308", "Zo\u00eb")
    )
    assert typed == stored
