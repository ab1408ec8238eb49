"""DuckDB's answer to random criteria about random people is that of plain Python, unknown values included."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import ibis
import pytest
from hypothesis import HealthCheck, given, settings

from engine import criteria
from engine.criteria.nodes import EventLeaf, Leaf
from engine.criteria.rows import measured
from engine.values import Clock
from tests.engine.criteria import reference, strategies
from tests.engine.criteria.world import NOW, ZONE, MemoryCatalogue, MemoryWarehouse, World


@given(strategies.worlds(), strategies.criteria)
@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_every_node_says_the_same_of_every_contact_as_plain_python(world: World, data: Any) -> None:
    """Truth of each node, and whether the value it compares is unknown."""
    _compare(world, data)


@given(strategies.narrow_worlds(), strategies.moments)
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_what_came_when_is_exact_to_the_instant(world: World, data: Any) -> None:
    """One or two contacts, a row every half day, waits of one or two days: whatever can coincide does."""
    _compare(world, data)


def _compare(world: World, data: Any) -> None:
    warehouse = MemoryWarehouse(world)
    parsed = criteria.parse(data, MemoryCatalogue(world, None))
    people = criteria.people(parsed, warehouse, NOW)
    nodes = list(criteria.walk(parsed.root))
    truths = {f"t{index}": people.truth(node) for index, (_, node) in enumerate(nodes)}
    leaves = {index: node for index, (_, node) in enumerate(nodes) if isinstance(node, Leaf | EventLeaf)}
    unknowns = {f"u{index}": people.unknown(leaf) for index, leaf in leaves.items()}
    found = warehouse.execute(
        people.table.select("contact_id", **truths, **unknowns).order_by("contact_id")
    ).to_pylist()
    asked = reference.Asked(data, world)
    assert [row["contact_id"] for row in found] == [contact["id"] for contact in asked.standing]
    for row, contact in zip(found, asked.standing, strict=True):
        for index, (path, node) in enumerate(nodes):
            written = node.to_json()
            assert row[f"t{index}"] is asked.true(written, contact), (path, written)
            if index in leaves:
                assert row[f"u{index}"] is asked.is_unknown(written, contact), (path, written)


@given(strategies.worlds(), strategies.criteria)
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_select_gives_the_ids_for_which_the_root_is_true(world: World, data: Any) -> None:
    """One column contact_id, each once."""
    warehouse = MemoryWarehouse(world)
    parsed = criteria.parse(data, MemoryCatalogue(world, None))
    found = warehouse.execute(criteria.select(parsed, warehouse, NOW))
    assert found.column_names == ["contact_id"]
    asked = reference.Asked(data, world)
    expected = [contact["id"] for contact in asked.standing if asked.true(data, contact)]
    assert sorted(found["contact_id"].to_pylist()) == expected


@pytest.mark.parametrize(
    ("measure", "operator", "value", "expected"),
    [
        ({"measure": "count"}, "is", 0, [2]),
        ({"measure": "count"}, "less_than", 2, [1, 2]),
        ({"measure": "sum", "property": "total"}, "at_most", 0, [2]),
        ({"measure": "average", "property": "total"}, "at_most", 0, []),  # nothing has no average
    ],
)
def test_who_did_nothing_did_it_zero_times(
    measure: dict[str, Any], operator: str, value: int, expected: list[int]
) -> None:
    """People without any row of the event have a count and a sum, of nought."""
    world = World(
        contacts=[{"id": n, "attributes": {}} for n in (1, 2)],
        orders=[{"id": 1, "contact_id": 1, "ordered_at": NOW, "total": 50_000, "units": 1, "currency": "GBP"}],
    )
    parsed = criteria.parse(
        {"event": "order", **measure, "operator": operator, "value": value}, MemoryCatalogue(world, None)
    )
    warehouse = MemoryWarehouse(world)
    assert sorted(warehouse.execute(criteria.select(parsed, warehouse, NOW))["contact_id"].to_pylist()) == expected


def _where(event: str, field: str, operator: str, value: Any) -> dict[str, Any]:
    conditions = [{"field": field, "operator": operator, "value": value}]
    return {"event": event, "measure": "count", "operator": "at_least", "value": 1, "where": conditions}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (_where("order", "total", "at_least", 4_000), []),  # yen
        (_where("order", "unit_price", "at_least", 4_000), []),
        (_where("return", "unit_price", "at_least", 4_000), []),
        (_where("order", "total", "not_at_least", 4_000), [1, 2]),  # unknown in the shop's currency
        (_where("order", "item", "is", "sku-1"), []),  # came back
        (_where("return", "item", "is", "sku-1"), [1, 2]),
        (_where("order", "item", "is", "sku-0"), [1, 2]),
        ({**_where("order", "item", "is", "sku-1"), "measure": "sum", "property": "units", "operator": "is",
          "value": 0}, [1, 2]),
    ],
)  # fmt: skip
def test_other_currencies_and_what_came_back_are_kept_apart(data: dict[str, Any], expected: list[int]) -> None:
    """An order of 5,000 yen in a shop of pounds, and one in pounds; in both an item was bought and another returned."""
    given = {"ordered_at": NOW - timedelta(days=1), "units": 1}
    world = World(
        contacts=[{"id": n, "attributes": {}} for n in (1, 2)],
        items=[{"id": n + 1, "key": f"sku-{n}", "category": None} for n in range(2)],
        orders=[
            {**given, "id": 1, "contact_id": 1, "total": 50_000_000, "currency": "JPY"},
            {**given, "id": 2, "contact_id": 2, "total": 10_000, "currency": "GBP"},
        ],
        order_lines=_numbered(
            {"order_id": order, "item_id": item, "quantity": quantity, "unit_price": price, "discount": 0}
            for order, price in ((1, 50_000_000), (2, 10_000))
            for item, quantity in ((1, 2), (2, -1))
        ),
    )
    _compare(world, data)
    warehouse = MemoryWarehouse(world)
    found = warehouse.execute(criteria.select(criteria.parse(data, MemoryCatalogue(world, None)), warehouse, NOW))
    assert sorted(found["contact_id"].to_pylist()) == expected


def _numbered(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"id": number, **row} for number, row in enumerate(rows, 1)]


@given(strategies.criteria)
@settings(max_examples=100)
def test_criteria_survive_json_and_always_have_words(data: Any) -> None:
    """parse(to_json(x)) == x, to_json gives what was given, and both languages say something of every node."""
    catalogue = MemoryCatalogue(World(lists={1: [], 2: {"all": []}, 3: []}), None)
    parsed = criteria.parse(data, catalogue)
    assert criteria.to_json(parsed) == data
    assert criteria.parse(criteria.to_json(parsed), catalogue) == parsed
    for language in ("en", "zh_Hans_CN"):
        assert len(criteria.sentence(parsed, language)) >= len("所有家庭")
        assert all(criteria.phrase(parsed, node, language).strip() for _, node in criteria.walk(parsed.root))


@pytest.mark.parametrize("event", ["item_view", "order", "return"])
@pytest.mark.parametrize("where", [[], [{"field": "brand", "operator": "known"}]])
def test_the_item_of_the_last_row_is_looked_up_after_it_is_found(event: str, where: list[Any]) -> None:
    """Not one for each row; only a condition on items needs them before."""
    world = World()
    asked = {"event": event, "measure": "last", "property": "brand", "operator": "is", "value": "Dune"}
    root = criteria.parse({**asked, "where": where} if where else asked, MemoryCatalogue(world, None)).root
    assert isinstance(root, EventLeaf)
    found = measured(root.deed, MemoryWarehouse(world), Clock(NOW, ZONE), "GBP")
    (aggregate,) = found.op().find(ibis.expr.operations.Aggregate)
    read = {table.name for table in aggregate.find(ibis.expr.operations.UnboundTable)}
    assert ("items" in read) is bool(where)
