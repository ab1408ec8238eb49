"""Traits are the figures a shopkeeper would work out by hand from the orders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import insert, update

from engine import traits
from engine.config import Config, Locale
from engine.database import Database, next_revision
from engine.models import Contact, Item, Order, OrderLine
from engine.warehouse import Warehouse, parts
from tests.engine.copies import add, remove

Line = tuple[str, int, int]  # category, quantity, unit price in ten-thousandths


@pytest.fixture
def warehouse(database: Database, config: Config) -> Iterator[Warehouse]:
    """An empty warehouse."""
    warehouse = Warehouse(database, config.folder / "warehouse", config)
    yield warehouse
    warehouse.close()


def order(database: Database, at: datetime, contact: int | None, *lines: Line, discount: int = 0, **given: Any) -> int:
    """An order of these lines, each with a discount; the contact is made if needed."""
    with database.begin() as session:
        if contact is not None and session.get(Contact, contact) is None:
            add(session, Contact, at, id=contact, key=str(contact))
        total = sum(quantity * price - discount for _, quantity, price in lines)
        row = {"key": str(next_revision(session)), "contact_id": contact, "ordered_at": at, "total": total}
        order_id = add(session, Order, at, **row, **given)
        for number, (category, quantity, price) in enumerate(lines):
            item = add(session, Item, at, key=f"{order_id}-{number}", category=category)
            line = {"quantity": quantity, "unit_price": price, "discount": discount}
            add(session, OrderLine, at, order_id=order_id, item_id=item, **line)
    return order_id


def of(warehouse: Warehouse, contact: int) -> dict[str, Any] | None:
    """The traits of one contact after a refresh."""
    warehouse.refresh()
    table = warehouse.table("traits")
    rows = warehouse.execute(table.filter(table.contact_id == contact)).to_pylist()
    return rows[0] if rows else None


def test_one_customer_by_hand(warehouse: Warehouse, database: Database, now: datetime) -> None:
    """Three purchases ten and twenty days apart and a return: every figure as worked out on paper."""
    order(database, now, 1, ("Wine > Red", 2, 100_000), ("Food", 1, 50_000), channel="web", margin=60_000)
    order(database, now + timedelta(days=10), 1, ("Wine > White", 1, 80_000), channel="store", margin=20_000)
    order(database, now + timedelta(days=12), 1, ("Wine > Red", -1, 100_000), channel="phone", margin=-30_000)
    order(database, now + timedelta(days=30), 1, ("Food > Fresh", 4, 10_001), channel="phone", margin=5)
    assert of(warehouse, 1) == {
        "contact_id": 1,
        "first_order_at": now,
        "last_order_at": now + timedelta(days=30),
        "order_count": 3,
        "other_currency_orders": 0,
        "discounted_orders": 0,
        "spend": 250_000 + 80_000 - 100_000 + 40_004,
        "margin": 60_000 + 20_000 - 30_000 + 5,
        "average_order": round((250_000 + 80_000 + 40_004) / 3),
        "units": 8,
        "returned_units": 1,
        "mean_gap_days": 15.0,
        "favourite_category": "Wine",
        "channels": "both",
        "rfm_recency": 1,
        "rfm_frequency": 1,
        "rfm_monetary": 1,
    }


def test_orders_with_a_discount_are_counted_once(warehouse: Warehouse, database: Database, now: datetime) -> None:
    """Purchases in the shop's currency with a discount on any line; neither returns nor other currencies."""
    order(database, now, 1, ("Wine", 1, 100), ("Food", 1, 100), discount=5)
    order(database, now, 1, ("Wine", 1, 100))
    order(database, now, 1, ("Wine", -1, 100), discount=5)
    order(database, now, 1, ("Wine", 1, 100), discount=5, currency="JPY")
    found = of(warehouse, 1)
    assert found is not None
    assert (found["order_count"], found["discounted_orders"]) == (2, 1)


def test_columns_are_as_promised(warehouse: Warehouse) -> None:
    """Names and types of SCHEMA, also without any order."""
    warehouse.refresh()
    assert warehouse.execute(warehouse.table("traits")).schema == traits.SCHEMA


def test_who_has_no_traits(warehouse: Warehouse, database: Database, now: datetime) -> None:
    """A return alone makes no customer, nor do orders of strangers or an empty order."""
    order(database, now, 1, ("Wine", -1, 100))
    order(database, now, 2)
    order(database, now, None, ("Wine", 1, 100))
    assert of(warehouse, 1) is None
    assert warehouse.execute(warehouse.table("traits")).num_rows == 0


def test_one_order_has_no_gap(warehouse: Warehouse, database: Database, now: datetime) -> None:
    """With one order there is no rhythm; without cost no margin, without category no favourite."""
    order(database, now, 1, (None, 1, 100), channel="phone")  # type: ignore[arg-type]
    found = of(warehouse, 1)
    assert found is not None
    unknown = ("mean_gap_days", "margin", "favourite_category")
    assert [found[name] for name in unknown] == [None] * 3
    assert found["channels"] == "phone"


@pytest.mark.parametrize(
    ("channels", "expected"),
    [
        (["web"], "web"),
        (["phone", "phone", None], "phone"),
        (["web", "phone"], "several"),
        (["store", "phone"], "several"),
        (["web", "store", "phone"], "both"),
        ([None], None),
    ],
)
def test_channels(
    warehouse: Warehouse, database: Database, now: datetime, channels: list[str | None], expected: str | None
) -> None:
    """The one channel that someone buys on; both is web and store."""
    for channel in channels:
        order(database, now, 1, ("Wine", 1, 100), channel=channel)
    found = of(warehouse, 1)
    assert found is not None
    assert found["channels"] == expected


def test_one_unknown_cost_makes_the_margin_unknown(warehouse: Warehouse, database: Database, now: datetime) -> None:
    """A sum over the known ones would say less than was earned."""
    order(database, now, 1, ("Wine", 1, 100), margin=50)
    order(database, now, 1, ("Wine", 1, 100), margin=None)
    found = of(warehouse, 1)
    assert found is not None
    assert (found["margin"], found["spend"]) == (None, 200)


def test_currencies_are_not_mixed(warehouse: Warehouse, database: Database, now: datetime) -> None:
    """Orders in another currency are counted and otherwise left out; who has only such has no amounts, no quintile."""
    order(database, now, 1, ("Wine", 1, 100))
    order(database, now + timedelta(days=5), 1, ("Beer", 9, 10**6), currency="JPY", channel="web")
    order(database, now, 2, ("Beer", 1, 10**6), currency="JPY")
    first, second = of(warehouse, 1), of(warehouse, 2)
    assert first is not None
    assert second is not None
    names = (
        "order_count",
        "other_currency_orders",
        "spend",
        "units",
        "last_order_at",
        "favourite_category",
        "channels",
    )
    assert [first[name] for name in names] == [1, 1, 100, 1, now, "Wine", None]
    assert [second[name] for name in names] == [0, 1, 0, 0, None, None, None]
    assert (second["rfm_recency"], second["average_order"]) == (None, None)


def test_a_new_currency_computes_anew(database: Database, config: Config, now: datetime) -> None:
    """When the setting changes, the traits follow at the next refresh though no order did."""
    order(database, now, 1, ("Wine", 1, 100), currency="JPY")
    spends = []
    for currency in ("GBP", "JPY"):
        changed = replace(config, locale=Locale(currency=currency))
        warehouse = Warehouse(database, config.folder / "warehouse", changed)
        spends.append((of(warehouse, 1) or {})["spend"])
        warehouse.close()
    assert spends == [0, 100]


def test_equal_favourites(warehouse: Warehouse, database: Database, now: datetime) -> None:
    """Of two categories with the same spend the first by name is the favourite; returned wine is not loved."""
    order(database, now, 1, ("Wine", 1, 100), ("Beer", 1, 100), ("Ale", 3, 100))
    order(database, now, 1, ("Ale", -3, 100), ("Tea", 1, 1))
    found = of(warehouse, 1)
    assert found is not None
    assert found["favourite_category"] == "Beer"


def test_traits_follow_the_orders(warehouse: Warehouse, database: Database, now: datetime) -> None:
    """A changed order, a moved order, a deleted one: the traits change with them, and only with them."""
    first = order(database, now, 1, ("Wine", 1, 100))
    second = order(database, now, 2, ("Wine", 1, 100))
    assert (of(warehouse, 1) or {})["spend"] == 100
    with database.begin() as session:
        session.execute(update(Order).where(Order.id == first).values(total=70, revision=next_revision(session)))
    assert (of(warehouse, 1) or {})["spend"] == 70
    with database.begin() as session:
        session.execute(update(Order).where(Order.id == second).values(contact_id=1, revision=next_revision(session)))
    assert (of(warehouse, 1) or {})["spend"] == 170
    assert of(warehouse, 2) is None
    with database.begin() as session:
        lines = session.scalars(update(OrderLine).values(quantity=1).returning(OrderLine.id)).all()
        for line in lines:
            remove(session, OrderLine, line)
        remove(session, Order, second)
    assert (of(warehouse, 1) or {})["spend"] == 70
    with database.begin() as session:
        add(session, Contact, now, id=99, key="new")
    assert warehouse.refresh().rows == {"contacts": 1}


def test_the_same_as_pandas(
    warehouse: Warehouse, database: Database, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three thousand orders of 400 people: sums, gaps and quintiles equal those computed with pandas."""
    monkeypatch.setattr(parts, "PART_ROWS", 1000)
    generator = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "contact": generator.integers(1, 401, 3000),
            "days": generator.integers(0, 900, 3000),
            "total": generator.integers(-2_000, 100_000, 3000),
        }
    )
    with database.begin() as session:
        stamps = {
            "revision": next_revision(session),
            "created_at": now,
            "updated_at": now,
            "attributes": {},
            "bucket": 1,
        }
        people = [{"id": number, "key": str(number), **stamps} for number in range(1, 401)]
        session.connection().execute(insert(Contact), people)
        rows = [
            {
                "key": str(row.Index),
                "contact_id": row.contact,
                "ordered_at": now + timedelta(days=row.days),
                "total": row.total,
                "currency": "GBP",
                "units": 1,
                "digest": "",
                "revision": next_revision(session),
            }
            for row in frame.itertuples()
        ]
        session.connection().execute(insert(Order), rows)
    warehouse.refresh()
    table = warehouse.execute(warehouse.table("traits").order_by("contact_id")).to_pandas().set_index("contact_id")

    bought = frame[frame.total > 0].groupby("contact")
    expected = pd.DataFrame({"spend": frame.groupby("contact").total.sum(), "order_count": bought.size()}).dropna()
    span = bought.days.max() - bought.days.min()
    assert (table.spend == expected.spend).all()
    assert (table.order_count == expected.order_count).all()
    gaps = (span / (bought.size() - 1).replace(0, np.nan)).reindex(table.index)
    assert np.allclose(table.mean_gap_days.astype(float), gaps.astype(float), equal_nan=True)
    values = {"rfm_recency": bought.days.max(), "rfm_frequency": bought.size(), "rfm_monetary": expected.spend}
    for name, value in values.items():
        ranked = value.reindex(table.index).reset_index().sort_values([value.name or 0, "contact_id"]).contact_id
        assert table[name].value_counts().max() - table[name].value_counts().min() <= 1
        assert table[name].loc[ranked].is_monotonic_increasing
