"""The rows that tell a behaviour, and the number they make for each contact."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from engine import fields
from engine.criteria.nodes import Deed
from engine.values import Clock

Tables = Any  # anything with .table(name): the warehouse


def measured(deed: Deed, warehouse: Tables, clock: Clock, currency: str) -> Any:
    """Ibis table (contact_id, value): one row for each contact with at least one row of the behaviour."""
    asked = [leaf.field for leaf in deed.where] + ([deed.property] if deed.property else [])
    rows = ROWS[deed.behaviour.rows](warehouse, deed.behaviour.key, {row.table for row in asked})
    start, end = deed.window.bounds(clock) if deed.window else (None, None)
    conditions = [rows.contact_id.notnull()]
    conditions += [rows.at >= start] if start else []
    conditions += [rows.at < end] if end else []
    if deed.behaviour.rows == "orders" and deed.property and deed.property.type == "money":
        conditions.append(rows.currency == currency)  # amounts of other currencies are never mixed in
    for leaf in deed.where:
        column = fields.read_as(leaf.field, leaf.question.type).column(rows, clock)
        conditions.append(leaf.question.truth(column, clock))
    rows = rows.filter(*conditions)
    return rows.group_by("contact_id").agg(value=deed.measure.aggregate(_column(deed, rows, clock)))


def _column(deed: Deed, rows: Any, clock: Clock) -> Any:
    """What is aggregated. Among order lines an order counts once, and its amounts are those of the lines."""
    lines = "line_total" in rows.columns
    if deed.property is None:
        return rows.order_id.nunique() if lines else rows.count()
    if lines and f"line_{deed.property.key}" in rows.columns:
        return rows[f"line_{deed.property.key}"]
    kind = deed.property.type if deed.measure.key == "distinct" else "number"
    return fields.read_as(deed.property, kind).column(rows, clock)


def _events(warehouse: Tables, kind: str, tables: set[str]) -> Any:
    events = warehouse.table("events")
    rows = events.filter(events.type == kind)
    rows = rows.select("contact_id", "item_id", "value", "origin", "properties", at=rows.occurred_at)
    return with_items(rows, warehouse, tables)


def _orders(warehouse: Tables, _kind: str, tables: set[str]) -> Any:
    """Purchases: orders with a total above zero, so that a return is no order."""
    orders = warehouse.table("orders")
    orders = orders.filter(orders.total > 0)
    rows = orders.select(
        "contact_id",
        "total",
        "margin",
        "units",
        "channel",
        "store",
        "currency",
        order_id=orders.id,
        at=orders.ordered_at,
    )
    if not tables & {"order_lines", "items"}:
        return rows
    lines = warehouse.table("order_lines")
    amount = lines.quantity * lines.unit_price - lines.discount
    rows = rows.inner_join(
        lines.select(
            "order_id",
            "item_id",
            "unit_price",
            "discount",
            line_units=lines.quantity,
            line_total=amount,
            line_margin=amount - lines.quantity * lines.unit_cost,
        ),
        "order_id",
    )
    return with_items(rows, warehouse, tables)


def with_items(rows: Any, warehouse: Tables, tables: set[str]) -> Any:
    """The rows with what `fields.ITEM_FIELDS` name, if any of them is asked."""
    if "items" not in tables:
        return rows
    items = warehouse.table("items")
    return rows.left_join(items.select("title", "category", "brand", item_id=items.id, item_key=items.key), "item_id")


Rows = Callable[[Tables, str, set[str]], Any]  # (warehouse, key of the behaviour, tables of the fields asked) -> rows

ROWS: Final[dict[str, Rows]] = {"events": _events, "orders": _orders}


def register_rows(
    kind: str, build: Rows, known: Mapping[str, fields.Field], title: str, *, properties: bool = False
) -> None:
    """Let behaviours be told by rows of another kind: contact_id, `at` and what the fields name. `properties`: JSON
    text whose keys may be asked too; `title` for the documentation.
    """
    ROWS[kind], fields.ROW_FIELDS[kind], fields.ROW_TITLES[kind] = build, known, title
    if properties:
        fields.OPEN_ROWS.add(kind)
