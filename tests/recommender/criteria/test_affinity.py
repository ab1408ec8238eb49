"""Share of spend in a category: against pandas."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from engine import criteria
from engine.catalogue import open_catalogue
from engine.database import Database
from engine.errors import Invalid
from engine.models import Order, OrderLine
from engine.warehouse import Warehouse
from tests.recommender.shop import NOW, add_contacts, add_items

CATEGORIES = ["Food", "Food > Wine", "food > wine > Red", "Food > Winegums", "Toys", None]


def fill(database: Database) -> pd.DataFrame:
    """200 orders with a line or two; returns, foreign orders and guests among them. Its lines."""
    rng = np.random.default_rng(3)
    rows = []
    with database.begin() as session:
        items = [add_items(session, 1, key=f"i{n}", category=category)[0] for n, category in enumerate(CATEGORIES)]
        people = add_contacts(session, 20)
        for number in range(200):
            who = people[number % 20] if number % 11 else None
            currency, sign = ("EUR" if number % 7 == 0 else "GBP"), (-1 if number % 9 == 0 else 1)
            at = NOW - timedelta(days=int(rng.integers(1, 300)))
            lines = [
                (items[rng.integers(len(items))], int(rng.integers(1, 50)) * 10_000) for _ in range(1 + number % 2)
            ]
            total = sign * sum(price for _, price in lines)
            order = Order(key=f"o{number}", contact_id=who and who.id, ordered_at=at, currency=currency,
                          total=total, units=sign, digest="")  # fmt: skip
            session.add(order)
            session.flush()
            for item, price in lines:
                session.add(OrderLine(order_id=order.id, item_id=item.id, quantity=sign, unit_price=price))
                rows.append((who and who.id, item.category, currency, sign * price, sign, at))
    return pd.DataFrame(rows, columns=["contact", "category", "currency", "amount", "sign", "at"])


@pytest.mark.parametrize(("category", "days"), [("Food > Wine", None), ("FOOD", None), ("Food > Wine", 90)])
def test_it_is_what_pandas_says(database: Database, warehouse: Warehouse, category: str, days: int | None) -> None:
    """Purchases in the shop's currency; the category and all below it, whatever the case."""
    lines = fill(database)
    warehouse.refresh()
    mine = lines[(lines["currency"] == "GBP") & (lines["sign"] > 0) & lines["contact"].notna()]
    if days:
        mine = mine[mine["at"] >= NOW - timedelta(days=days)]
    path = mine["category"].fillna("").str.lower()
    inside = (path == category.lower()) | path.str.startswith(category.lower() + " > ")
    share = mine["amount"].where(inside, 0).groupby(mine["contact"]).sum() / mine.groupby("contact")["amount"].sum()
    asked = {"affinity": {"category": category}, "operator": "at_least", "value": 0.3}
    asked |= {"last_days": days} if days else {}
    with database.read() as session:
        checked = criteria.parse(asked, open_catalogue(session, warehouse))
        people = criteria.people(checked, warehouse, NOW)
        rows = warehouse.execute(people.table.select("contact_id", value=people.value(checked.root))).to_pylist()
        chosen = warehouse.execute(criteria.select(checked, warehouse, NOW))["contact_id"].to_pylist()
    found = {row["contact_id"]: row["value"] for row in rows if row["value"] is not None}
    assert found == pytest.approx({int(who): value for who, value in share.items()})
    assert sorted(chosen) == sorted(who for who, value in found.items() if value >= 0.3)
    assert 0 < len(chosen) < 20
    assert criteria.to_json(checked) == asked


def test_it_reads_well(database: Database, warehouse: Warehouse) -> None:
    """And the contrary keeps those of whom nothing is known."""
    warehouse.refresh()
    with database.read() as session:
        catalogue = open_catalogue(session, warehouse)
        asked = {"affinity": {"category": "Toys"}, "last_days": 90, "operator": "at_least", "value": 0.5}
        said = criteria.sentence(criteria.parse(asked, catalogue))
        assert said == "People whose share of spend in “Toys” in the last 90 days is at least 0.5"
        with pytest.raises(Invalid) as fault:
            criteria.parse({"affinity": {}, "operator": "at_least", "value": 0.5}, catalogue)
    assert fault.value.field == "affinity.category"
