"""How much of their money a contact spends in a category."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import ibis

from engine.catalogue import Catalogue
from engine.criteria.comparisons import LEVELS
from engine.criteria.scored import Input, Kind, Score
from engine.errors import Invalid
from engine.values import Clock, Words
from recommender.criteria.published import category_input


def _make(given: Mapping[str, Any], _catalogue: Catalogue) -> Score:
    path, days = given["affinity.category"], given["last_days"]
    if path is None:
        raise Invalid("Name a category.", field="affinity.category")
    en, zh = (f" in the last {days:,} days", f"最近{days:,}天") if days else ("", "")
    words = Words(f"share of spend in “{path}”{en}", f"{zh}在“{path}”的消费占比")
    return Score(lambda warehouse, clock, currency: _shares(warehouse, clock, currency, path, days), words)


def _shares(warehouse: Any, clock: Clock, currency: str, path: str, days: int | None) -> Any:
    """contact_id and value, in [0, 1]: of the lines of purchases in the shop's currency."""
    orders, lines, items = (warehouse.table(name) for name in ("orders", "order_lines", "items"))
    orders = orders.filter(orders.contact_id.notnull(), orders.total > 0, orders.currency == currency)
    if days:
        orders = orders.filter(orders.ordered_at >= clock.shift(clock.now, -days), orders.ordered_at < clock.now)
    category, asked = items.category.lower(), ibis.literal(path).lower()
    inside = items.filter((category == asked) | category.startswith(ibis.literal(path + LEVELS).lower()))
    rows = lines.inner_join(orders.select("contact_id", order_id=orders.id), "order_id")
    rows = rows.left_join(inside.select(inside_id=inside.id), [("item_id", "inside_id")])
    amount = rows.quantity * rows.unit_price - rows.discount
    rows = rows.select("contact_id", amount=amount, inside=rows.inside_id.notnull())
    spent = rows.group_by("contact_id").agg(all=rows.amount.sum(), part=rows.amount.sum(where=rows.inside).fill_null(0))
    spent = spent.filter(spent["all"] > 0)
    return spent.select("contact_id", value=spent.part / spent["all"])


KIND: Final = Kind(
    "affinity",
    Words("Share of spend in a category", "类别消费占比"),
    "What the contact spent on items of the category and below it, as a share (0 to 1) of all they spent on purchases"
    " in the shop's currency; unknown for whoever spent nothing.",
    {"affinity": {"category": "Food > Wine"}, "operator": "at_least", "value": 0.4},
    (
        category_input("affinity.category", "category", "类别"),
        Input("last_days", "days", Words("in the last so many days", "最近多少天")),
    ),
    _make,
    type="number",
)  # fmt: skip
